//! Every flag works: a row for each argument that clap knows, with one effect of it that is seen from outside, and that
//! is not there without it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{Read, Write};

use mini_node_exporter::{cli, collector};
use rustix::process::Signal;

use crate::support::running::{Running, SOON};
use crate::support::tree::Tree;
use crate::{flags, log, startup};

/// One test for each row, which is the argument's.
macro_rules! effects {
    ($($test:ident: $argument:literal => $effect:expr;)*) => {
        const ROWS: &[&str] = &[$($argument),*];

        $(#[test]
        fn $test() {
            $effect;
        })*
    };
}

effects! {
    help: "help" => flags::help();
    version: "version" => flags::version();
    listen_address: "web.listen-address" => shows(["--web.listen-address=127.0.0.2:0"], "/", "address=127.0.0.2:");
    systemd_socket: "web.systemd-socket" => startup::a_socket_of_systemd_is_listened_on();
    web_config: "web.config.file" => {
        let place = Tree::new();
        place.write("web.yml", "http_server_config:\n  headers:\n    X-Frame-Options: deny\n");
        shows(["--web.config.file".as_ref(), place.path("web.yml").as_os_str()], "/", "x-frame-options: deny");
    };
    health_address: "web.health-address" => shows(["--web.health-address=127.0.0.3:0"], "/", "address=127.0.0.3:");
    cors: "web.cors.origin" => shows(["--web.cors.origin=https://a.*"], "/", "access-control-allow-origin: https://a.example");
    telemetry_path: "web.telemetry-path" => shows(["--web.telemetry-path=/elsewhere"], "/elsewhere", "node_uptime{");
    max_requests: "web.max-requests" => {
        assert!(too_many(&["--web.max-requests=1"]) > 0, "every scrape is answered");
        assert_eq!(too_many(&[]), 0);
    };
    exporter_metrics: "web.disable-exporter-metrics" => hides(["--web.disable-exporter-metrics"], "/metrics", "process_cpu_");
    procfs: "path.procfs" => {
        shows(["--path.procfs".as_ref(), Tree::new().root().as_os_str()], "/info/uptime", "1761.77");
    };
    node_name: "node-name" => shows(["--node-name=given"], "/metrics", "node_uptime{hostname=\"given\"}");
    log_level: "log.level" => shows(["--log.level=debug"], "/", "level=debug");
    log_format: "log.format" => log::json_has_the_same_fields_at_its_top_level();
    disable_defaults: "collector.disable-defaults" => hides(["--collector.disable-defaults"], "/metrics", "node_uptime{");
}

/// The two flags of every collector, which the table of collectors makes.
#[test]
fn every_collector_has_a_flag_that_enables_it_and_one_that_disables_it() {
    for name in collector::TABLE.iter().map(|collector| collector.name()) {
        let runs = format!("node_scrape_collector_success{{collector=\"{name}\"}}");
        let (on, off) = (format!("--collector.{name}"), format!("--no-collector.{name}"));
        assert!(seen(["--collector.disable-defaults", &on], "/metrics").contains(&runs), "{on} does nothing");
        assert!(!seen([&on, &off], "/metrics").contains(&runs), "{off} does nothing");
    }
}

#[test]
fn every_argument_has_a_row() {
    let mut command = cli::command();
    command.build();
    let arguments: BTreeSet<String> =
        command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_string).collect();
    let switches =
        collector::TABLE.iter().flat_map(|one| ["collector", "no-collector"].map(|it| format!("{it}.{}", one.name())));
    let rows: BTreeSet<String> = ROWS.iter().map(|row| (*row).to_string()).chain(switches).collect();
    assert_eq!(arguments, rows, "left: the arguments; right: those of which an effect is shown");
}

/// How many of 30 scrapes at once get 503. The process stands still until all are sent.
fn too_many(flags: &[&str]) -> usize {
    let tree = Tree::new();
    let running = Running::start([&["--path.procfs", tree.root().to_str().unwrap()], flags].concat());
    running.signal(Signal::STOP);
    let mut clients: Vec<_> = (0..30).map(|_| running.connect()).collect();
    for client in &mut clients {
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    }
    running.signal(Signal::CONT);
    let answers = clients.into_iter().map(|mut client| {
        let mut answer = String::new();
        client.read_to_string(&mut answer).map(|_| answer).unwrap()
    });
    answers.filter(|answer| answer.starts_with("HTTP/1.1 503 ")).count()
}

#[track_caller]
fn shows<S: AsRef<OsStr>>(flags: impl IntoIterator<Item = S>, path: &str, text: &str) {
    let (with, without) = (seen(flags, path), seen([""; 0], path));
    assert!(with.contains(text), "no `{text}` in:\n{with}");
    assert!(!without.contains(text), "`{text}` without the flag:\n{without}");
}

#[track_caller]
fn hides<S: AsRef<OsStr>>(flags: impl IntoIterator<Item = S>, path: &str, text: &str) {
    let (with, without) = (seen(flags, path), seen([""; 0], path));
    assert!(!with.contains(text), "`{text}` in spite of the flag:\n{with}");
    assert!(without.contains(text), "no `{text}` without the flag:\n{without}");
}

/// All that is seen of an exporter that is asked once: its whole answer and its whole log.
fn seen<S: AsRef<OsStr>>(flags: impl IntoIterator<Item = S>, path: &str) -> String {
    let running = Running::start(flags);
    let (_, answer) = running.ask(path, "Origin: https://a.example\r\n");
    running.signal(Signal::TERM);
    let (_, log, _) = running.wait(SOON);
    format!("{answer}\n{}", log.join("\n"))
}
