//! Files that change while it runs.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::https::Client;
use crate::support::pki::Pki;
use crate::support::running::{Running, SOON};
use crate::{TLS, basic, start, user};

/// Asks until it is so.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "not after {SOON:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Asks for longer than a change takes to be seen.
#[track_caller]
fn stays(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert!(is_so(), "not after {:?}: {what}", began.elapsed());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[track_caller]
fn end(running: Running, complaints: usize) -> Vec<String> {
    running.signal(Signal::TERM);
    let (code, log, _) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    let bad: Vec<_> = log.iter().filter(|line| line.contains("keeping the previous one")).collect();
    assert_eq!(bad.len(), complaints, "{log:#?}");
    log
}

#[test]
fn a_new_certificate_is_served_to_new_connections() {
    let pki = Pki::new();
    let running = start(&pki, TLS);
    let before = Client::new(&pki);
    let expires = |client: &Client, seconds: u64| {
        let body = client.get(running.address(), "/metrics").unwrap().body;
        assert!(body.contains(&format!("\nmini_node_exporter_tls_not_after_timestamp_seconds {seconds}\n")), "{body}");
    };
    // 2099 and 2098.
    expires(&before, 4_070_908_800);
    let after = Client { roots: pki.rotate(), ..Client::new(&pki) };
    eventually("the new certificate", || after.get(running.address(), "/metrics").is_ok());
    expires(&after, 4_039_372_800);
    assert!(before.get(running.address(), "/metrics").is_err());
    end(running, 0);
}

#[test]
fn a_bad_file_changes_nothing_and_is_one_line() {
    let pki = Pki::new();
    let running = start(&pki, &format!("{TLS}{}", user("alice", "secret")));
    let client = Client::new(&pki);
    let alice = basic("alice", "secret");
    let is_as_before = || {
        // A reload also ends a connection that was opened just before it: a client tries again.
        let ask = |lines: &str| {
            let ask = || client.ask(running.address(), "/metrics", lines);
            ask().or_else(|_| ask())
        };
        let (with, without) = (ask(&alice), ask(""));
        with.is_ok_and(|answer| answer.status == 200) && without.is_ok_and(|answer| answer.status == 401)
    };
    assert!(is_as_before());
    let key = pki.read("server.key");
    for (file, bad) in [("web.yml", "tls_config: {}\n"), ("server.key", "none"), ("web.yml", "")] {
        let good = pki.read(file);
        pki.replace(file, bad);
        stays(bad, is_as_before);
        pki.replace(file, good);
        stays("healed", is_as_before);
    }
    let log = end(running, 3);
    let said = |text: &str| log.iter().any(|line| line.contains(text));
    assert!(
        said("unknown key; expected one of")
            && said("no private key found")
            && said("TLS was removed; restart to apply it"),
        "{log:#?}"
    );
    assert!(!log.iter().any(|line| line.contains("secret") || key.lines().any(|part| line.contains(part))), "{log:#?}");
}

/// Half a file, seen while it is written, must not let anybody in.
#[test]
fn a_step_down_takes_a_restart() {
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    let alice = user("alice", "secret");
    for (strict, loose, complaint) in [
        (format!("{TLS}{verify}"), TLS.to_string(), "client_auth_type was relaxed"),
        (
            format!("{TLS}{verify}"),
            format!("{TLS}  client_auth_type: RequireAnyClientCert\n"),
            "client_auth_type was relaxed",
        ),
        (
            format!("{TLS}{verify}  client_allowed_sans: [nobody.example]\n"),
            format!("{TLS}{verify}"),
            "client_allowed_sans was removed",
        ),
        (format!("{TLS}  min_version: TLS13\n"), TLS.to_string(), "min_version or max_version was relaxed"),
        (alice.clone(), "basic_auth_users: {}\n".to_string(), "every user was removed"),
        (format!("{TLS}{alice}"), alice.clone(), "TLS was removed"),
    ] {
        let pki = Pki::new();
        let mut running = start(&pki, &strict);
        let old = Client { versions: vec![&rustls::version::TLS12], ..Client::new(&pki) };
        let named = Client::with(&pki, "client");
        let strangers = [old, Client::new(&pki), named, Client::with(&pki, "stranger")];
        let admitted = || {
            let asked = strangers.iter().map(|client| client.get(running.address(), "/metrics"));
            let admitted: Vec<bool> = asked.map(|answer| answer.is_ok_and(|answer| answer.status == 200)).collect();
            (admitted, ask_plain(&running))
        };
        let before = admitted();
        assert!(before.0.contains(&false) && !before.1, "{before:?} with\n{strict}");
        pki.replace("web.yml", &loose);
        stays(complaint, || admitted() == before);
        let line = running.wait_for_line("keeping the previous one");
        assert!(line.contains(&format!("{complaint}; restart to apply it")), "{line}");
        pki.replace("web.yml", &strict);
        end(running, 1);
    }
}

/// Whether a client without TLS is answered.
fn ask_plain(running: &Running) -> bool {
    let mut stream = running.connect();
    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 200")
}

#[test]
fn the_client_ca_is_followed_when_its_file_alone_changes() {
    let pki = Pki::new();
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    let running = start(&pki, &format!("{TLS}{verify}"));
    let clients = ["client", "own", "stranger"].map(|name| Client::with(&pki, name));
    let without = Client::new(&pki);
    let admitted = || {
        let is_admitted = |client: &Client| client.get(running.address(), "/metrics").is_ok();
        assert!(!is_admitted(&without), "a client without a certificate is let in");
        clients.each_ref().map(is_admitted)
    };
    assert_eq!(admitted(), [true, false, false]);
    pki.replace("ca.crt", pki.read("own.crt"));
    eventually("the new CA is in force", || admitted() == [false, true, false]);
    stays("the new CA is in force", || admitted() == [false, true, false]);
    end(running, 0);
}

/// A client whose certificate is good no more must not go on over the connection that it has.
#[test]
fn a_reload_ends_what_was_opened_before_it() {
    let pki = Pki::new();
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    let running = start(&pki, &format!("{TLS}{verify}"));
    let mut stream = Client::with(&pki, "client").connect(running.address()).unwrap();
    let mut ask = || -> std::io::Result<Vec<u8>> {
        stream.write_all(b"GET /healthz/live HTTP/1.1\r\nHost: test\r\n\r\n")?;
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            seen.push(byte[0]);
        }
        Ok(seen)
    };
    assert!(ask().is_ok() && ask().is_ok(), "a connection is kept");
    let (without, own) = (Client::new(&pki), Client::with(&pki, "own"));
    assert!(without.get(running.address(), "/healthz/live").is_err());
    pki.replace("ca.crt", pki.read("own.crt"));
    eventually("the new CA is in force", || own.get(running.address(), "/healthz/live").is_ok());
    assert!(ask().is_err(), "a request is answered under rules that are in force no more");
    assert!(without.get(running.address(), "/healthz/live").is_err());
    end(running, 0);
}

#[test]
fn users_come_and_go_but_never_the_last_one() {
    let pki = Pki::new();
    let running = start(&pki, &user("alice", "secret"));
    let status = |name, password| {
        let lines = basic(name, password);
        running.ask("/metrics", &lines).0
    };
    assert_eq!((status("alice", "secret"), status("bob", "other")), (200, 401));
    pki.replace("web.yml", user("bob", "other"));
    eventually("bob is let in", || status("bob", "other") == 200);
    assert_eq!(status("alice", "secret"), 401, "whoever is gone is not remembered");
    pki.replace("web.yml", "basic_auth_users: {}\n");
    stays("somebody is asked for a password", || status("alice", "secret") == 401 && running.get("/metrics").0 == 401);
    end(running, 1);
}

/// It may be half written: half of it may be a valid configuration that asks for less.
#[test]
fn a_file_that_is_being_written_is_left_alone() {
    let pki = Pki::new();
    let running = start(&pki, &user("alice", "secret"));
    let bob = basic("bob", "other");
    let began = Instant::now();
    for line in 0.. {
        let written = Instant::now();
        pki.write("web.yml", user("bob", "other") + &"# more\n".repeat(line));
        assert_eq!(running.get("/metrics").0, 401);
        let status = running.ask("/metrics", &bob).0;
        // A machine that stood still meanwhile has left it alone for long enough.
        assert!(status == 401 || written.elapsed() >= Duration::from_secs(1), "{status} after {:?}", began.elapsed());
        if began.elapsed() > Duration::from_secs(4) {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    eventually("bob is let in", || running.ask("/metrics", &bob).0 == 200);
    assert_eq!(running.get("/metrics").0, 401);
    end(running, 0);
}

#[test]
fn an_emptied_bucket_is_not_filled_by_another_change() {
    let pki = Pki::new();
    let limit = "rate_limit: {interval: 1h, burst: 1}\n";
    let running = start(&pki, limit);
    assert_eq!((running.get("/metrics").0, running.get("/metrics").0), (200, 429));
    pki.replace("web.yml", format!("{limit}http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"));
    eventually("the new header", || {
        let (status, answer) = running.ask("/metrics", "");
        assert_eq!(status, 429, "{answer}");
        answer.contains("x-frame-options: deny")
    });
    stays("no token", || running.get("/metrics").0 == 429);
    end(running, 0);
}

/// As Kubernetes changes a mounted Secret: the directory behind a link is another one at once.
#[test]
fn a_mounted_secret_changes_by_its_link() {
    let pki = Pki::new();
    for (directory, user) in [("one", user("alice", "secret")), ("two", user("bob", "other"))] {
        std::fs::create_dir(pki.path(directory)).unwrap();
        crate::support::pki::age(&pki.write(&format!("{directory}/web.yml"), user));
    }
    std::os::unix::fs::symlink("one", pki.path("..data")).unwrap();
    std::os::unix::fs::symlink("..data/web.yml", pki.path("web.yml")).unwrap();
    let running = Running::start(["--web.config.file".as_ref(), pki.path("web.yml").as_os_str()]);
    assert_eq!(running.ask("/metrics", &basic("alice", "secret")).0, 200);
    // Nobody asks for longer than it takes until the files are looked at again.
    std::thread::park_timeout(Duration::from_millis(1200));
    std::os::unix::fs::symlink("two", pki.path("..next")).unwrap();
    std::fs::rename(pki.path("..next"), pki.path("..data")).unwrap();
    eventually("bob is let in", || running.ask("/metrics", &basic("bob", "other")).0 == 200);
    end(running, 0);
}
