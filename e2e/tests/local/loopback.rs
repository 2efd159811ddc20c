//! Nothing that a lab starts can be reached from elsewhere: every socket on which any of its processes takes
//! connections or datagrams is on loopback, by the kernel's own tables. Grafana is left out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use rustix::process::{Pid, Signal};

use crate::lab::{self, Lab};

#[test]
fn every_socket_of_a_lab() -> Result<()> {
    expect_loopback(&["up"], &["mini-node-exporter", "prometheus", "lab"])
}

/// The fleet's nodes in one process, which is `lab` by its path `/proc/self/exe`, and a scenario's in one each.
#[test]
fn every_socket_of_a_fleet_and_of_a_scenario() -> Result<()> {
    expect_loopback(
        &["up", "--nodes", "20", "--clusters", "2", "--scenario", "quiet-day"],
        &["exe", "mini-node-exporter", "prometheus"],
    )
}

fn expect_loopback(words: &[&str], listening: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let mut parts = lab.programs();
    parts.extend(["--without".into(), "grafana".into()]);
    let alertmanager = lab::alertmanager();
    // `lab` itself receives what an Alertmanager delivers.
    let listening = listening.iter().filter(|name| **name != "lab" || alertmanager.is_some());
    parts.extend(match &alertmanager {
        Some(program) => ["--alertmanager".into(), program.into()],
        None => ["--without".into(), "alertmanager".into()],
    });
    if words.contains(&"--nodes") {
        parts.drain(..2);
    }
    let running = lab.start(words, &parts)?;
    running.wait_for(" is up until ")?;
    let mut seen = BTreeSet::new();
    for (pid, name) in lab.processes() {
        for address in listens_on(pid).with_context(|| format!("process {pid:?}, `{name}`"))? {
            ensure!(address.is_loopback(), "`{name}` listens on {address}, which others reach");
            seen.insert(name.clone());
        }
    }
    let missing: Vec<_> = listening.filter(|name| !seen.iter().any(|it| name.starts_with(it.as_str()))).collect();
    ensure!(missing.is_empty(), "these listen on nothing: {missing:?}; these do: {seen:?}");
    running.signal(Signal::INT)?;
    running.expect_code(0)?;
    lab.expect_nothing_left()
}

/// The sockets of TCP that listen, and those of UDP that are not connected, by the kernel's name of that state.
const TABLES: [(&str, &str); 4] = [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")];

/// The addresses of the sockets that a process listens on.
fn listens_on(pid: Pid) -> Result<Vec<IpAddr>> {
    let proc = format!("/proc/{}", pid.as_raw_nonzero());
    let links = fs::read_dir(format!("{proc}/fd"))?.filter_map(|entry| entry.ok()?.path().read_link().ok());
    let own: BTreeSet<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let mut addresses = Vec::new();
    for (table, listening) in TABLES {
        for row in fs::read_to_string(format!("{proc}/net/{table}"))?.lines().skip(1) {
            // slot, local address, remote address, state, …, inode at place 9.
            let fields: Vec<&str> = row.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { continue };
            if state == listening && own.contains(&format!("socket:[{inode}]")) {
                addresses.push(address(local).with_context(|| format!("`{local}` in {table}"))?);
            }
        }
    }
    Ok(addresses)
}

/// `0100007F:1F90`, and the same of 32 digits: words of four bytes in this machine's order.
fn address(local: &str) -> Option<IpAddr> {
    let digits = local.split(':').next()?.as_bytes();
    let words = digits.chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let address = match bytes.len() {
        4 => IpAddr::V4(<[u8; 4]>::try_from(bytes).ok()?.into()),
        _ => IpAddr::V6(<[u8; 16]>::try_from(bytes).ok()?.into()),
    };
    Some(address.to_canonical())
}
