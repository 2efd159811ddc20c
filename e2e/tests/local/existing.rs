//! `lab check` on a stack that already runs.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use e2e::backend::Backend as _;
use e2e::backend::local::prometheus::config;
use e2e::client::access::Access;
use e2e::client::prometheus::Prometheus;
use e2e::process::child::Process;
use e2e::process::log::Line;
use fs_err as fs;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::lab::{self, Lab};
use crate::passing::is_omitted;
use crate::running::Ended;
use crate::serve::serve;
use crate::stacks::{Own, live, samples, shared};

/// The password `s3cret` as bcrypt has it, at the least cost.
const HASH: &str = "$2b$04$LjKtYpbAxJ6bsqOwDEHbJ.wvo47Ltysmh9DMtEoNU9wGB8VTOh2VS";

#[test]
fn a_lab_that_another_process_runs() -> Result<()> {
    let own = live()?;
    let lab = Lab::new()?;
    let began = std::time::Instant::now();
    let ended = check(&lab, own.local.stack().prometheus.base(), &["--format", "json"])?.expect_code(0)?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(seconds <= 5.0 * e2e::wait::poll::patience(), "it took {seconds:.1} s, and 5 s is the limit");
    let report: Value = serde_json::from_str(&ended.stdout).context(ended.stdout)?;
    ensure!(report["backend"] == "existing", "{report}");
    for check in report["checks"].as_array().context("no checks")? {
        let outcome = if is_omitted(check["name"].as_str().unwrap_or_default()) { "omitted" } else { "passed" };
        ensure!(check["outcome"] == outcome, "{check}");
    }
    lab.expect_nothing_left()
}

#[test]
pub fn checks_can_be_chosen_and_listed() -> Result<()> {
    let own = live()?;
    let lab = Lab::new()?;
    let base = own.local.stack().prometheus.base();
    let only = check(&lab, base, &["--only", "targets-up", "--only", "load", "--skip", "load"])?.expect_code(0)?.stdout;
    ensure!(only.contains("pass targets-up") && only.contains("omit load") && !only.contains("uptime"), "{only}");
    let junit = check(&lab, base, &["--only", "targets-up", "--format", "junit"])?.expect_code(0)?.stdout;
    ensure!(junit.contains(r#"<testcase name="targets-up" classname="lab""#), "{junit}");
    let list = lab.run(&["check", "--list"], &[])?.expect_code(0)?.stdout;
    for name in e2e::checks::names() {
        ensure!(list.lines().any(|line| line.starts_with(name)), "no {name} in {list}");
    }
    lab.run(&["check", "--only", "no-such"], &[])?.expect_code(2)?.expect_stderr("possible values: ")?;
    Ok(())
}

/// A report with a check of each outcome but a skipped one.
#[test]
fn a_check_that_fails() -> Result<()> {
    let own = shared()?;
    samples(&own)?;
    let lab = Lab::bare()?.with_promtool()?;
    let base = own.local.stack().prometheus.base();
    let words = ["check", "--prometheus", base, "--skip", "panels-have-data", "--without", "alertmanager"];
    let shown = lab.transcript(&words, &[])?;
    lab.assert_snapshot("check_of_a_node_that_stands_still", &shown);
    ensure!(lab.evidence().len() == 1, "the report of a failure is kept");
    lab.expect_nothing_left()
}

#[test]
pub fn an_unreachable_address_and_an_unknown_job_are_named() -> Result<()> {
    let lab = Lab::new()?;
    check(&lab, "http://127.0.0.1:1", &[])?.expect_code(1)?.expect_stderr("http://127.0.0.1:1/api/v1/targets")?;
    let own = live()?;
    let ended = check(&lab, own.local.stack().prometheus.base(), &["--job", "node"])?.expect_code(1)?;
    ended.expect_stderr("no target in job `node`; its jobs: mini-node-exporter, prometheus")?;
    lab.expect_nothing_left()
}

/// Of which nothing is known but that Prometheus scrapes it, as it does itself.
#[test]
fn the_job_of_another_exporter() -> Result<()> {
    let own = shared()?;
    samples(&own)?;
    let lab = Lab::new()?;
    let base = own.local.stack().prometheus.base();
    // What the newest Prometheus exposes of itself breaks rules of its own linter.
    let words = ["--job", "prometheus", "--skip", "exposition-lints"];
    let shown = check(&lab, base, &words)?.expect_code(0)?.stdout;
    for line in ["pass targets-up", "1 of 1 up", "pass rules-healthy", "omit panels-have-data"] {
        ensure!(shown.contains(line), "no `{line}` in {shown}");
    }
    ensure!(!shown.contains("uptime") && !shown.contains("node-labels"), "{shown}");
    let only = check(&lab, base, &["--job", "prometheus", "--only", "uptime"])?.expect_code(2)?;
    only.expect_stderr("the check `uptime` is for targets of mini-node-exporter")?;
    lab.expect_nothing_left()
}

/// Nobody is paged, unless `--probe-alert` asks for it.
#[test]
fn an_alertmanager_beside_it() -> Result<()> {
    let Some(own) = Own::with_alertmanager()? else { return Ok(()) };
    samples(&own)?;
    let alertmanager = own.local.stack().alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
    let (lab, base) = (Lab::new()?, own.local.stack().prometheus.base());
    let check = |words: &[&str]| {
        let only = ["alertmanager-ready", "alertmanagers-known", "alerts-delivered"].map(|name| ["--only", name]);
        lab.run(&[&["check", "--prometheus", base], only.as_flattened(), words].concat(), &[])
    };
    let shown = check(&["--alertmanager", alertmanager.base()])?.expect_code(0)?.stdout;
    for line in ["pass alertmanager-ready", "pass alertmanagers-known", "omit alerts-delivered"] {
        ensure!(shown.contains(line), "no `{line}` in {shown}");
    }
    ensure!(alertmanager.alerts("alertname", "LabProbe")?.is_empty(), "an alert was sent");
    let shown = check(&[])?.expect_code(0)?.stdout;
    ensure!(shown.contains("omit alertmanager-ready") && shown.contains("pass alertmanagers-known"), "{shown}");
    let shown = check(&["--alertmanager", alertmanager.base(), "--probe-alert"])?.expect_code(0)?.stdout;
    ensure!(shown.contains("a receiver has taken a page since `LabProbe` was sent"), "{shown}");
    let paged = |name: &str| alertmanager.pages().is_some_and(|pages| pages.all().iter().any(|page| page.names(name)));
    ensure!(paged("LabProbe") && !paged("MiniNodeExporterNodesDown"), "{:?}", alertmanager.pages());
    // With rules, and without anything that is told of their alerts.
    let own = shared()?;
    samples(&own)?;
    let known = ["check", "--prometheus", own.local.stack().prometheus.base(), "--only", "alertmanagers-known"];
    let shown = lab.run(&known, &[])?.expect_code(1)?.stdout;
    ensure!(shown.contains("its alerts reach nobody"), "{shown}");
    lab.expect_nothing_left()
}

/// It only reads: GET, and POST to query endpoints.
#[test]
fn nothing_is_changed_there() -> Result<()> {
    let own = live()?;
    let audit = Audit::before(own.local.stack().prometheus.base());
    let lab = Lab::new()?;
    check(&lab, &audit.base, &[])?.expect_code(0)?;
    let requests = audit.requests.lock().unwrap().clone();
    ensure!(requests.len() > 20, "{requests:?}");
    for request in requests {
        ensure!(request.starts_with("GET /api/v1/"), "{request}");
    }
    Ok(())
}

/// A node for which the `DaemonSet` makes no pod, and a probe on a port of its own, as with TLS.
#[test]
fn a_cluster_in_which_not_every_node_has_an_exporter() -> Result<()> {
    let own = shared()?;
    samples(&own)?;
    let lab = Lab::bare()?;
    let ports = json!([{ "name": "metrics", "containerPort": 23333 }, { "name": "health", "containerPort": 23334 }]);
    let container = json!({ "ports": ports, "readinessProbe": { "httpGet": { "port": "health", "scheme": "HTTP" } } });
    let pod = json!({ "kind": "Pod", "metadata": { "name": "e-1" }, "status": { "phase": "Running" },
        "spec": { "nodeName": "worker-1", "containers": [container] } });
    let set = json!({ "kind": "DaemonSet", "status": { "desiredNumberScheduled": 1 } });
    let objects = lab.dir().join("objects.json");
    fs::write(&objects, json!({ "items": [set, pod] }).to_string())?;
    let stack = own.local.stack();
    let (objects, exporter) = (objects.display(), stack.exporters[0].base().trim_start_matches("http://"));
    let kubectl = format!(
        "case \"$*\" in
         version*) echo 'Client Version: v1.32.3' ;;
         *'get nodes'*) echo node/worker-1; echo node/windows-1 ;;
         *daemonsets*) /bin/cat '{objects}' ;;
         *--cache-dir*:23334) echo 'Forwarding from {exporter} -> 23334'; exec /bin/sleep 300 ;;
         *) exit 1 ;;
         esac"
    );
    lab.script("bin/kubectl", &kubectl)?;
    let only = ["--only", "exporter-ready", "--only", "targets-up", "--only", "one-target-per-node"];
    let words = [&["--context", "there"], &only[..]].concat();
    let shown = check(&lab, stack.prometheus.base(), &words)?.expect_code(0)?.stdout;
    ensure!(shown.contains("/healthz/ready answers 200") && shown.contains("1 of 1 nodes"), "{shown}");
    lab.expect_nothing_left()
}

#[test]
pub fn behind_tls_and_a_password() -> Result<()> {
    let own = live()?;
    let dir = tempfile::tempdir()?;
    let place = dir.path();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    fs::write(place.join("cert.pem"), cert.pem())?;
    fs::write(place.join("key.pem"), signing_key.serialize_pem())?;
    let tls = json!({ "cert_file": "cert.pem", "key_file": "key.pem" });
    let web = json!({ "tls_server_config": tls, "basic_auth_users": { "sre": HASH } });
    fs::write(place.join("web.yml"), web.to_string())?;
    let stack = own.local.stack();
    let node = stack.names().first().context("no node")?;
    let mut scraping = config(node, stack.exporters[0].base().trim_start_matches("http://"));
    scraping["rule_files"] = json!([e2e::workspace::root().join("kustomize/prometheus/rules/*.yml")]);
    scraping["scrape_configs"].as_array_mut().context("no scrape configs")?.truncate(1);
    fs::write(place.join("prometheus.yml"), scraping.to_string())?;
    let flags = [
        "--config.file=prometheus.yml",
        "--web.config.file=web.yml",
        "--storage.tsdb.path=data",
        "--web.listen-address=127.0.0.1:0",
    ];
    let flags: Vec<OsString> = flags.iter().map(OsString::from).collect();
    let process = Process::start("prometheus", &lab::prometheus()?, &flags, &[], place.join("prometheus.log"))?;
    let limit = Duration::from_secs(30);
    let address = process.wait_for_line("its address", limit, |line| {
        (Line(line).message() == "Listening on").then(|| Line(line).field("address"))?
    })?;
    let base = format!("https://{address}");

    let access = json!({ "basic_auth": { "username": "sre", "password_file": "password" }, "tls_config": { "ca_file": "cert.pem" } });
    fs::write(place.join("password"), "s3cret\n")?;
    let file = place.join("http.yml");
    fs::write(&file, access.to_string())?;
    let prometheus = Prometheus::elsewhere(&base, &Access::read(&file)?);
    process.wait_until("scraping", Duration::from_secs(40), || {
        // Growth needs two.
        let series = prometheus.range("node_uptime[1m]")?;
        ensure!(series.iter().any(|series| series.values.len() > 3), "{series:?}");
        Ok(())
    })?;
    let lab = Lab::new()?;
    let flag = file.display().to_string();
    // The panels ask for what Prometheus shows of itself too, and this one does not scrape itself.
    let passing = check(&lab, &base, &["--http.config.file", &flag, "--skip", "panels-have-data"])?.expect_code(0)?;
    ensure!(!passing.stdout.contains("s3cret") && !passing.stderr.contains("s3cret"), "a secret is shown");
    fs::write(place.join("password"), "s3cret-but-wrong\n")?;
    let refused =
        check(&lab, &base, &["--http.config.file", &flag])?.expect_code(1)?.expect_stderr("401 Unauthorized")?;
    ensure!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
    // The system does not trust the certificate.
    check(&lab, &base, &[])?.expect_code(1)?.expect_stderr("certificate")?;
    process.stop()?;
    lab.expect_nothing_left()
}

fn check(lab: &Lab, base: &str, words: &[&str]) -> Result<Ended> {
    let command = ["check", "--prometheus", base, "--without", "alertmanager"].into_iter().chain(words.iter().copied());
    lab.run(&command.collect::<Vec<_>>(), &[])
}

/// A server in front of a Prometheus that writes down what it is asked for.
struct Audit {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Audit {
    fn before(prometheus: &str) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, behind) = (Arc::clone(&requests), prometheus.to_owned());
        let router = Router::new().fallback(move |request: Request| async move {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            seen.lock().unwrap().push(format!("{} {path}", request.method()));
            // On this thread nothing else waits: each request is asked in its turn.
            let answer = ureq::get(format!("{behind}{path}")).config().http_status_as_error(false).build().call();
            let mut answer = answer.expect("Prometheus answers");
            (answer.status(), answer.body_mut().read_to_string().expect("a body")).into_response()
        });
        let base = serve(router);
        Self { base, requests }
    }
}
