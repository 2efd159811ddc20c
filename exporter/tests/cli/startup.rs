//! What users of Prometheus' exporters expect of one: listeners, and what the log says at start.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use mini_node_exporter::server;
use socket2::SockRef;

use crate::support::running::{Running, address_in, command, get, output};
use crate::support::tree::{HOSTNAME, Tree};

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn start(arguments: &[&str]) -> Running {
    let mut command = command();
    command.args(arguments);
    Running::start_command(command)
}

#[test]
fn localhost_is_loopback_of_both_families() {
    let mut running = start(&["--web.listen-address=localhost:0"]);
    let ipv4 = running.address();
    assert_eq!(ipv4.ip(), Ipv4Addr::LOCALHOST);
    let mut addresses = vec![ipv4];
    if has_ipv6() {
        addresses.push(address_in(&running.wait_for_line("message=listening")));
        assert_eq!(addresses[1], SocketAddr::from((Ipv6Addr::LOCALHOST, ipv4.port())));
    }
    for address in addresses {
        assert_eq!(get(address, "/healthz/live").0, 200, "{address}");
    }
}

#[test]
pub fn a_socket_of_systemd_is_listened_on() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // What systemd does: the socket is descriptor 3, and the variables name the very process that is to take it.
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" --web.systemd-socket";
    let mut service = Command::new("sh");
    service.args(["-c", script]).arg(command().get_program()).env_remove("NODE_NAME");
    let ours = socket.try_clone().unwrap();
    service.stdin(Stdio::from(OwnedFd::from(socket)));
    let running = Running::start_command(service);
    let bound = server::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
    let buffers = |socket: &SockRef<'_>| (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
    assert_eq!(buffers(&SockRef::from(&ours)), buffers(&SockRef::from(&bound)), "other buffers than of a bound socket");
    assert_eq!(running.address(), address);
    assert_eq!(running.get("/healthz/live").0, 200);
}

#[test]
fn without_a_socket_of_systemd_one_line_says_so() {
    let output = output(["--web.systemd-socket"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("--web.systemd-socket: systemd passed no socket"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn the_first_line_says_what_has_started() {
    let tree = Tree::new();
    let root = tree.root().to_str().unwrap();
    let mut running = Running::start(["--path.procfs", root, "--no-collector.load"]);
    let line = running.line("message=started");
    for field in [
        concat!("version=", env!("CARGO_PKG_VERSION"), " revision="),
        &format!("procfs={root}"),
        "node=worker-1 node_from=procfs",
        "collectors=uptime",
    ] {
        assert!(line.contains(field), "no {field:?} in {line}");
    }
    let line = start(&["--web.listen-address=127.0.0.1:0", "--node-name=given"]).line("message=started");
    assert!(line.contains("procfs=/proc node=given node_from=flag collectors=load,uptime"), "{line}");
    let mut command = command();
    command.args(["--web.listen-address=127.0.0.1:0"]).env("NODE_NAME", "given");
    let line = Running::start_command(command).line("message=started");
    assert!(line.contains("node=given node_from=environment"), "{line}");
}

#[test]
fn a_root_without_any_file_is_warned_of_at_start() {
    let tree = Tree::new();
    let nowhere = tree.path("nowhere");
    let mut running = Running::start(["--node-name=given", "--path.procfs", nowhere.to_str().unwrap()]);
    let line = running.line("level=warn");
    assert!(line.contains("not a procfs tree") && line.contains(nowhere.to_str().unwrap()), "{line}");
    // One file is enough: the others are named when they are read.
    tree.remove("uptime");
    tree.remove("loadavg");
    let mut running = Running::start(["--path.procfs", tree.root().to_str().unwrap()]);
    running.line("message=started");
    assert_eq!(running.get("/info/hostname"), (200, "worker-1".into()));
    running.signal(rustix::process::Signal::TERM);
    let (_, log, _) = running.wait(crate::support::running::SOON);
    assert!(!log.iter().any(|line| line.contains("level=warn")), "{HOSTNAME} is there: {log:#?}");
}
