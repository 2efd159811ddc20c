//! The usual ports: taken where they are free, replaced and shown where they are not.

use std::net::TcpListener;

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::several::link;

/// Others on this machine, this very test in another process among them, may hold or free these ports at any time: only
/// what this test itself holds is certain.
#[test]
fn taken_ones_are_replaced_and_shown() -> Result<()> {
    let lab = Lab::new()?;
    let usual = [("exporter", 23333), ("prometheus", 9090)];
    let held: Vec<_> = usual.iter().map(|(_, port)| TcpListener::bind(("127.0.0.1", *port))).collect();
    let ended = lab.run(&["up", "--for", "1ms"], &lab.parts())?.expect_code(0)?;
    for ((part, port), held) in usual.iter().zip(&held) {
        let has_usual = link(&ended.stdout, part)?.contains(&format!(":{port}"));
        let told = ended.stderr.contains(&format!("{part}: port {port} is in use; using another"));
        ensure!(told != has_usual, "{part} on its usual port: {has_usual}, said to be taken: {told}\n{ended:?}");
        ensure!(held.is_err() || !has_usual, "{part} has a port that this test holds: {ended:?}");
    }
    lab.expect_nothing_left()
}
