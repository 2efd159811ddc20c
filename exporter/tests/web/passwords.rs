//! Who is let in, what a flood of guesses does to the others, and what is never in the log.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::Signal;

use crate::support::pki::Pki;
use crate::support::running::{Running, SOON, ask, command};
use crate::{TLS, basic, hash, start, start_with, user};

#[test]
fn only_a_name_with_its_own_password_is_let_in() {
    let pki = Pki::new();
    let both = format!("{}  bob: {}\n", user("alice", "wonder:land"), hash("builder", 5));
    let running = start(&pki, &both);
    let status = |lines: &str| running.ask("/metrics", lines).0;
    for _ in 0..2 {
        assert_eq!(status(&basic("alice", "wonder:land")), 200);
        assert_eq!(status(&basic("alice", "wonder:land").replace("Basic", "bAsIc")), 200);
        assert_eq!(status(&basic("bob", "builder")), 200);
        for (name, password) in
            [("alice", "builder"), ("alice", ""), ("", ""), ("carol", "builder"), ("alice", "wonder:land\0")]
        {
            assert_eq!(status(&basic(name, password)), 401, "{name}:{password}");
        }
    }
    for lines in [
        "",
        "Authorization: Basic\r\n",
        "Authorization: Basic !!!\r\n",
        "Authorization: Basic YWxpY2U=\r\n",
        "Authorization: Basic //86//8=\r\n",
        "Authorization: Bearer YWxpY2U6d29uZGVyOmxhbmQ=\r\n",
        "Authorization: \u{e9}\r\n",
    ] {
        assert_eq!(status(lines), 401, "{lines:?}");
    }
}

/// Guesses are checked one at a time, beside the thread that answers, and none of them pushes out what is known.
#[test]
fn a_flood_of_guesses_holds_up_nobody_who_is_known() {
    let pki = Pki::new();
    let running = start(&pki, &format!("basic_auth_users:\n  alice: {}\n", hash("secret", 9)));
    let alice = basic("alice", "secret");
    let began = Instant::now();
    assert_eq!(running.ask("/metrics", &alice).0, 200);
    let one_check = began.elapsed();
    let done = AtomicBool::new(false);
    let (mut scrapes, mut busy) = (Vec::new(), 0);
    let address = running.address();
    let guess = |client: usize| {
        let mut seen = Vec::new();
        for number in (0..10_000).take_while(|_| !done.load(Ordering::Relaxed)) {
            seen.push(ask(address, "/metrics", &basic("alice", &format!("guess {client} {number}"))).0);
        }
        seen
    };
    std::thread::scope(|flood| {
        let guessing: Vec<_> = (0..32)
            .map(|client| {
                let guess = &guess;
                flood.spawn(move || guess(client))
            })
            .collect();
        let over = Over(&done);
        for _ in 0..50 {
            let began = Instant::now();
            assert_eq!(running.ask("/metrics", &alice).0, 200);
            scrapes.push(began.elapsed());
            assert_eq!(running.get("/healthz/live").0, 200);
        }
        drop(over);
        for guesses in guessing {
            let statuses = guesses.join().unwrap();
            assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
            busy += statuses.iter().filter(|status| **status == 503).count();
        }
    });
    scrapes.sort();
    assert!(busy > 0, "32 clients never found the queue full");
    // Waiting in line, each would have taken sixteen checks.
    let median = scrapes[scrapes.len() / 2];
    assert!(median < one_check * 2, "{median:?}, and one check takes {one_check:?}");
}

/// Ends the flood when it is dropped, by a failed assertion too: the threads would guess on for minutes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that nobody knows yet waits for the check under way, not for all those of the flood.
#[test]
fn a_flood_from_one_address_holds_up_another_for_one_check() {
    let pki = Pki::new();
    let config = format!("basic_auth_users:\n  alice: {}\n", hash("secret", 9));
    let running = start_with(&pki, &config, &["--web.listen-address=127.0.0.1:0"]);
    let flood: Vec<_> = (0..12)
        .map(|number| {
            let mut stream = running.connect();
            let lines = basic("alice", &format!("guess {number}"));
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{lines}\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(running.get("/healthz/live").0, 200);
    let mut other = running.connect_from([127, 0, 0, 2].into());
    let lines = basic("alice", "secret");
    write!(other, "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{lines}\r\n").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let is_answered = |mut stream: TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0; 16]).is_ok()
    };
    let answered = flood.into_iter().map(is_answered).filter(|answered| *answered).count();
    assert!(answered <= 6, "{answered} of 12 guesses were checked before it");
}

#[test]
fn passwords_in_plain_are_warned_of_and_the_first_line_says_what_is_on() {
    let pki = Pki::new();
    let alice = user("alice", "secret");
    for (config, tls, auth) in [(TLS, true, false), (&alice, false, true), (&format!("{TLS}{alice}"), true, true)] {
        let mut running = start(&pki, config);
        let line = running.line("message=started");
        assert!(line.contains(&format!("tls={tls} auth={auth}")), "{line}");
        running.signal(Signal::TERM);
        let (_, log, _) = running.wait(SOON);
        assert_eq!(log.iter().any(|line| line.contains("in plain text")), auth && !tls, "{log:#?}");
    }
}

#[test]
fn nothing_of_a_password_is_in_the_log() {
    let pki = Pki::new();
    let config = user("alice", "sesame");
    let running = start_with(&pki, &config, &["--log.level=debug"]);
    for (name, password) in [("alice", "sesame"), ("alice", "simsim"), ("nobody", "sesame")] {
        running.ask("/metrics", &basic(name, password));
    }
    running.signal(Signal::TERM);
    let (_, log, _) = running.wait(SOON);
    let failed: Vec<_> = log.iter().filter(|line| line.contains("authentication failed")).collect();
    assert!(failed.len() == 1 && failed[0].contains("peer=127.0.0.1"), "not once a minute: {failed:?}");
    let log = log.join("\n");
    assert!(log.contains("passwords are sent in plain text"), "{log}");
    let encoded = basic("alice", "sesame");
    for secret in ["sesame", "simsim", "$2b$", encoded.rsplit(' ').next().unwrap().trim()] {
        assert!(!log.contains(secret), "{secret} in:\n{log}");
    }
}

/// As under `pids.max` or a seccomp filter: its address space has no room for the stack of another thread.
#[test]
fn without_a_thread_for_it_a_password_is_refused_and_the_reason_is_given() {
    let pki = Pki::new();
    let file = pki.write("web.yml", user("alice", "secret"));
    let start_within = |limit: &str| {
        let mut limited = std::process::Command::new("sh");
        let script = "ulimit -v \"$1\" && exec \"$0\" --web.listen-address=127.0.0.1:0 --web.config.file=\"$2\"";
        limited.args(["-c", script]).arg(command().get_program()).arg(limit).arg(&file);
        // A thread's own arena would take room in which another's stack fits.
        limited.env("MALLOC_ARENA_MAX", "1").env_remove("NODE_NAME");
        Running::start_command(limited)
    };
    let free = start_within("unlimited");
    assert_eq!(free.get("/metrics").0, 401);
    let status = std::fs::read_to_string(free.proc("status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    let limit = size.unwrap().parse::<u64>().unwrap() + 1024;
    let mut running = start_within(&limit.to_string());
    let reason = "cannot check password: cannot start thread";
    let (status, answer) = running.ask("/metrics", &basic("alice", "secret"));
    assert!(status == 503 && answer.contains(reason), "{answer}");
    running.wait_for_line(reason);
    assert_eq!(running.get("/healthz/live").0, 200);
}

/// A browser asks without a password whether the page may send one, and reads that it has to.
#[test]
fn a_page_of_an_allowed_origin_may_send_a_password() {
    let pki = Pki::new();
    let config = format!("basic_auth_users:\n  alice: {}\n", hash("secret", 4));
    let arguments = ["--web.listen-address=127.0.0.1:0", "--web.cors.origin=https://a\\.example"];
    let running = start_with(&pki, &config, &arguments);
    let answer = |method: &str| {
        let mut stream = running.connect();
        let lines = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\nConnection: close";
        write!(stream, "{method} /metrics HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("access-control-allow-origin: https://a.example\r\n"), "{answer}");
        answer
    };
    let may = answer("OPTIONS");
    assert!(may.starts_with("HTTP/1.1 204") && may.contains("access-control-allow-headers: Accept, Authorization"));
    assert!(answer("GET").starts_with("HTTP/1.1 401"));
}
