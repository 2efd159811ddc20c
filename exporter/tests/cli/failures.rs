//! What ends the exporter with exit code 1, and what must not end it.

use std::net::TcpListener;
use std::process::Stdio;

use crate::support::running::{Guarded, Running, address_in, command, get, output};
use crate::support::tree::{Tree, UPTIME};

#[test]
fn a_taken_port_is_exit_code_1_and_one_line_that_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // The one that could be had is not reported: nothing listens when something cannot.
    for arguments in [vec![address.clone()], vec!["127.0.0.1:0".to_string(), address.clone()]] {
        let output = output(arguments.iter().map(|address| format!("--web.listen-address={address}")));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()), "{stderr}");
        let expected =
            format!("mini-node-exporter: cannot listen on {address}: Address already in use (os error 98)\n");
        assert_eq!(stderr, expected);
    }
}

#[test]
fn an_address_of_no_interface_is_exit_code_1_and_one_line() {
    let output = output(["--web.listen-address=192.0.2.1:0"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("192.0.2.1:0") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn a_tree_that_does_not_exist_yet_is_not_ready() {
    let tree = Tree::new();
    let running = Running::start(["--path.procfs".into(), tree.path("later")]);
    assert_eq!(running.get("/healthz/ready").0, 503);
    assert_eq!(running.get("/healthz/live"), (200, "ok\n".into()));
    assert_eq!(running.get("/metrics").0, 200);
}

/// As under `pids.max` or a seccomp filter: its address space has no room for the stack of another thread.
#[test]
fn without_another_thread_a_tree_that_may_hang_is_not_read_and_the_reason_is_given() {
    let tree = Tree::new();
    let free = Running::start([""; 0]);
    free.get("/metrics");
    let status = std::fs::read_to_string(free.proc("status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    let limit = size.unwrap().parse::<u64>().unwrap() + 1024;
    let mut limited = std::process::Command::new("sh");
    let script = "ulimit -v \"$1\" && exec \"$0\" --web.listen-address=127.0.0.1:0 --path.procfs=\"$2\"";
    limited.args(["-c", script]).arg(command().get_program()).arg(limit.to_string()).arg(tree.root());
    let running = Running::start_command(limited);
    assert!(running.get("/metrics").1.contains("node_scrape_collector_success{collector=\"uptime\"} 0\n"));
    let reason = "cannot start reader thread: Resource temporarily unavailable (os error 11)";
    let line = format!("{}: {reason}\n", tree.root().display());
    assert_eq!(running.get("/info/uptime"), (500, line.clone()));
    assert_eq!(running.get("/healthz/ready"), (503, line));
}

/// Writing the line fails then: the log is lost, the exporter is not.
#[test]
fn a_log_that_nobody_reads_any_more_ends_nothing() {
    use std::io::{BufRead, BufReader};

    let tree = Tree::new();
    let mut command = command();
    command.args(["--web.listen-address=127.0.0.1:0", "--path.procfs"]).arg(tree.root());
    let mut child = Guarded(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address =
        address_in(&lines.find(|line| line.contains("message=listening")).expect("a line says where it listens"));
    drop(lines);
    tree.remove(UPTIME);
    for _ in 0..3 {
        assert_eq!(get(address, "/info/uptime").0, 500);
    }
}
