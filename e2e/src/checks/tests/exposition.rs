//! `exposition-lints`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::checks::exposition;

const GOOD: &str = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n";

/// Judges what a target exposes, and how long its scrape took. The linter has something to say of `bad`.
fn judge(answer: &str, seconds: f64) -> Outcome {
    let mut target = target("a", "up");
    target["scrapeUrl"] = json!(format!("{}/metrics", answering(&[("/metrics", answer.to_owned())])));
    target["scrapeTimeout"] = json!("10s");
    target["lastScrapeDuration"] = json!(seconds);
    linted(&scraping(&[target]), &|text| {
        Ok(if text.contains("bad") { vec!["bad no help text".into(), "worse no help text".into()] } else { vec![] })
    })
}

fn linted(stack: &Stack, lint: &dyn Fn(&str) -> anyhow::Result<Vec<String>>) -> Outcome {
    linted_within(Duration::ZERO, stack, lint)
}

fn linted_within(limit: Duration, stack: &Stack, lint: &dyn Fn(&str) -> anyhow::Result<Vec<String>>) -> Outcome {
    let backend = Backend { stack: stack.clone(), limit, ended: false };
    exposition::judge(Subject { backend: &backend, project: &Project::default() }, lint)
}

#[test]
fn an_exposition_is_as_prometheus_wants_it() {
    let plain = |text: &str| format!("200 text/plain; version=0.0.4\n{text}");
    let seen = [
        judge(&plain(GOOD), 0.25),
        judge(&plain(GOOD), 5.5),
        judge(&plain("bad 1\n"), 0.0),
        judge(&plain("# nothing\n"), 0.0),
        judge(&format!("200 application/json\n{GOOD}"), 0.0),
        judge("200 application/openmetrics-text; version=1.0.0\nbad 1\n# EOF\n", 0.0),
        judge("404 text/plain\nnot here", 0.0),
        judge("401 text/plain\nwho are you?", 0.0),
    ];
    assert_snapshot!(shown(seen), @"
    pass 1 exposition without a problem; the slowest scrape takes 0.250 s of 10 s
         http://ADDRESS/metrics: 1 sample, 51 bytes
    FAIL scrapes within half of their timeout: last seen: the scrape of http://ADDRESS/metrics takes 5.500 s, more than half of its timeout of 10 s
    FAIL 1 problem:
      http://ADDRESS/metrics: bad, worse no help text
    FAIL 1 problem:
      http://ADDRESS/metrics: no sample in 10 bytes
    FAIL 1 problem:
      http://ADDRESS/metrics: its content type is `application/json`; expected `text/plain; version=0.0.4`
    pass 1 exposition without a problem; the slowest scrape takes 0.000 s of 10 s
         http://ADDRESS/metrics: 1 sample, 12 bytes; not linted: promtool does not read application/openmetrics-text
    FAIL an exposition: last seen: GET http://ADDRESS/metrics: 404 Not Found
    skip cannot read the targets from here: GET http://ADDRESS/metrics: 401 Unauthorized
    ");
}

#[test]
fn what_cannot_be_read_from_here_is_skipped() {
    let mut target = target("a", "up");
    target["scrapeUrl"] = json!("http://127.0.0.1:1/metrics");
    let seen = shown([linted(&scraping(&[target.clone()]), &|_| Ok(Vec::new()))]);
    assert!(seen.starts_with("skip cannot reach the targets from here: GET http://ADDRESS/metrics: "), "{seen}");
    target["scrapeUrl"] = json!(answering(&[("/", format!("200 text/plain\n{GOOD}"))]));
    let without_linter = linted(&scraping(&[target]), &|_| anyhow::bail!("promtool could not be found"));
    assert_snapshot!(shown([without_linter, linted(&scraping(&[]), &|_| Ok(Vec::new()))]), @"
    skip promtool could not be found
    FAIL an exposition: last seen: Prometheus has no target in job `mini-node-exporter`
    ");
}

/// In a cluster a Service leads to the exporters only after a while.
#[test]
fn an_exporter_that_refuses_the_first_connection_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        drop(listener.accept());
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            BufReader::new(&stream)
                .lines()
                .take_while(|line| line.as_ref().is_ok_and(|it| !it.is_empty()))
                .for_each(drop);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", GOOD.len());
            write!(stream, "{head}Connection: close\r\n\r\n{GOOD}").unwrap();
        }
    });
    let stack = Stack { exporters: vec![Exporter::new(format!("http://{address}"))], ..scraping(&[target("a", "up")]) };
    assert_snapshot!(shown([linted_within(Duration::from_secs(20), &stack, &|_| Ok(Vec::new()))]), @"
    pass 1 exposition without a problem
         http://ADDRESS/metrics: 1 sample, 51 bytes
    ");
    let refusing = Stack { exporters: vec![Exporter::new("http://127.0.0.1:1")], ..stack };
    let seen = shown([linted(&refusing, &|_| Ok(Vec::new()))]);
    assert!(
        seen.starts_with("skip cannot reach the exporters: an exposition: last seen: GET http://ADDRESS"),
        "{seen}"
    );
}
