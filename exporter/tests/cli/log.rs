//! The lines that others read.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::support::running::{Guarded, Running, SOON, address_in, command, get};
use crate::support::tree::{HOSTNAME, Tree, UPTIME};

#[test]
fn every_listener_has_a_line_with_the_address_really_bound() {
    let mut running = Running::start(["--web.listen-address=:0", "--web.listen-address", "127.0.0.2:0"]);
    let (both_families, other) =
        (running.wait_for_line("message=listening"), running.wait_for_line("message=listening"));
    assert!(other.contains("address=127.0.0.2:"), "{other}");
    for address in [running.address(), ([127, 0, 0, 1], address_in(&both_families).port()).into(), address_in(&other)] {
        assert_ne!(address.port(), 0);
        assert_eq!(get(address, "/healthz/live").0, 200, "{address}");
    }
}

#[test]
pub fn json_has_the_same_fields_at_its_top_level() {
    use std::io::{BufRead, BufReader};

    let child = command()
        .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut child = Guarded(child.unwrap());
    let lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.take(2).last().expect("two lines");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((event["message"].as_str(), event["level"].as_str()), (Some("listening"), Some("INFO")), "{line}");
    assert!(event["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{line}");
}

#[test]
fn a_file_that_breaks_and_one_that_heals_are_one_line_each() {
    let tree = Tree::new();
    let running = Running::start(["--path.procfs".as_ref(), tree.root().as_os_str()]);
    let scrape = || {
        for path in ["/metrics", "/metrics", "/healthz/ready", "/info/uptime", "/info/hostname"] {
            running.get(path);
        }
    };
    scrape();
    tree.write(UPTIME, "soon\n");
    scrape();
    tree.write(HOSTNAME, "");
    scrape();
    tree.write(UPTIME, "1.00 1.00\n");
    scrape();
    tree.write(HOSTNAME, "worker-1\n");
    scrape();
    running.signal(Signal::TERM);
    let (code, log, _) = running.wait(SOON);
    assert_eq!(code, Some(0));
    let (uptime, hostname) = (tree.path(UPTIME), tree.path(HOSTNAME));
    let (uptime, hostname) = (uptime.to_str().unwrap(), hostname.to_str().unwrap());
    let about_files: Vec<&String> = log.iter().filter(|line| line.contains("procfs file")).collect();
    let expected = [
        ("level=error", "cannot read", uptime),
        ("level=error", "cannot read", hostname),
        ("level=info", "is readable again", uptime),
        ("level=info", "is readable again", hostname),
    ];
    assert_eq!(about_files.len(), expected.len(), "{log:#?}");
    for (line, (level, message, file)) in about_files.iter().zip(expected) {
        assert!(line.contains(level) && line.contains(message) && line.contains(file), "{line}");
        assert!(!line.contains("soon"), "a file's content is in the log: {line}");
    }
}

/// Somebody else may take the last room of a shared pipe, and none of them is to find it changed.
#[test]
fn the_log_has_a_pipe_opened_for_itself_that_never_waits() {
    const NONBLOCK: u32 = 0o4000;

    let running = Running::start([""; 0]);
    let flags = |descriptor: &str| {
        let info = std::fs::read_to_string(running.proc("fdinfo").join(descriptor)).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect(&info);
        u32::from_str_radix(flags.trim(), 8).unwrap()
    };
    let pipe = running.proc("fd/2").read_link().unwrap();
    let entries = std::fs::read_dir(running.proc("fd")).unwrap().map(Result::unwrap);
    let same = entries.filter(|entry| entry.path().read_link().is_ok_and(|leads_to| leads_to == pipe));
    let waits: Vec<bool> = same.map(|entry| flags(entry.file_name().to_str().unwrap()) & NONBLOCK == 0).collect();
    assert_eq!(waits, [true, false], "of standard error and the log");
}

/// As `containerd` does when its own disk is slow: the pipe is open and not read.
#[test]
fn a_log_that_nobody_reads_for_a_while_stops_nothing_and_says_what_was_lost() {
    use std::io::Read;

    let tree = Tree::new();
    let child = command()
        .args(["--web.listen-address=127.0.0.1:0", "--log.level=debug", "--path.procfs"])
        .arg(tree.root())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut child = Guarded(child.unwrap());
    let mut stderr = child.0.stderr.take().unwrap();
    let mut log = String::new();
    let mut read_until = |wanted: &[&str]| {
        let mut chunk = vec![0; 1 << 20];
        while !wanted.iter().all(|text| log.contains(text)) {
            let soon = Timespec { tv_sec: 20, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&stderr, PollFlags::IN)], Some(&soon)).unwrap();
            let read = if ready == 0 { 0 } else { stderr.read(&mut chunk).unwrap() };
            assert!(read > 0, "no more is written, and {wanted:?} is not there: {log}");
            log.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        }
        log.split_off(0)
    };
    let begin = read_until(&["message=started", "message=listening"]);
    let address = address_in(begin.lines().find(|line| line.contains("listening")).expect(&begin));
    // One line each for the connection and for the file, 200 bytes together: more than a pipe of 64 KiB takes.
    let flaps = 400;
    for turn in 0..flaps {
        tree.write(UPTIME, if turn % 2 == 0 { "soon\n" } else { "1.00 1.00\n" });
        assert_eq!(get(address, "/metrics").0, 200, "scrape {turn}");
    }
    let kept = read_until(&["procfs file"]);
    assert!(kept.ends_with('\n') && kept.lines().all(|line| line.starts_with("ts=")), "a line is not whole: {kept}");
    assert_eq!(get(address, "/healthz/live").0, 200);
    let after = read_until(&["message=\"accepted connection\""]);
    let said = after.lines().find(|line| line.contains("dropped log lines")).expect(&after);
    let lost = said.split("lines=").nth(1).and_then(|rest| rest.split(' ').next());
    let lost: usize = lost.and_then(|lost| lost.parse().ok()).expect(said);
    assert_eq!(kept.lines().count() + lost, 2 * flaps, "{said}");
    // It has to end although the pipe is full once more.
    for _ in 0..1000 {
        assert_eq!(get(address, "/healthz/live").0, 200);
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child.0), Signal::TERM).unwrap();
    let ended = std::time::Instant::now();
    while child.0.try_wait().unwrap().is_none() {
        assert!(ended.elapsed() < SOON, "SIGTERM is not heard");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}
