//! The component `tls`: the exporters behind TLS, client certificates and a password, which Prometheus has.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use fs_err as fs;
use serde_json::json;

use crate::fault::Fault;
use crate::kubernetes::{EXPORTER, pods};
use crate::tls_client::{Client, make_certificates};
use crate::variant;
use crate::view::View;

/// The secrets that the component asks for, and the directories that hold what goes into them.
const SECRETS: [(&str, &str); 2] = [("mini-node-exporter-web", "exporter"), ("prometheus-scrape", "prometheus")];

/// A password that is not the exporters': every scrape is refused, and it is said why.
const WRONG_PASSWORD: Fault<&str> = Fault {
    plant: "a guess",
    fails: &["exporter-ready", "targets-up", "node-labels", "uptime", "load", "panels-have-data"],
    says: "server returned HTTP status 401 Unauthorized",
};

pub fn prometheus_scrapes_with_a_certificate_and_a_password_and_nobody_without(kind: &mut Kind) -> Result<()> {
    let dir = kind.run().dir().join("tls");
    make_certificates(&dir)?;
    let seen = variant::undo_after(look(kind, &dir), kind);
    let names = SECRETS.map(|(name, _)| name);
    kind.cluster.kubectl.command(["delete", "secret", "--ignore-not-found"]).args(names).run()?;
    seen
}

fn look(kind: &Kind, dir: &Path) -> Result<()> {
    give_secrets(kind, dir)?;
    deploy(kind, "the right password")?;
    every_node_is_scraped(kind)?;
    nobody_else_gets_anything(kind, dir)?;
    no_probe_has_failed(kind)?;

    fs::write(dir.join("prometheus/password"), WRONG_PASSWORD.plant)?;
    give_secrets(kind, dir)?;
    deploy(kind, "a wrong password")?;
    view(kind).shows(&WRONG_PASSWORD, Vec::new)
}

/// Makes the secrets, or replaces what is in them.
fn give_secrets(kind: &Kind, dir: &Path) -> Result<()> {
    let kubectl = &kind.cluster.kubectl;
    for (name, folder) in SECRETS {
        let from = format!("--from-file={}", dir.join(folder).display());
        let made = kubectl.command(["create", "secret", "generic", name, &from, "--dry-run=client", "--output=json"]);
        let file = kind.run().dir().join("secret.json");
        fs::write(&file, made.read()?)?;
        kubectl.command(["apply", "--filename"]).arg(&file).run()?;
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// Deploys the stack with the component. Prometheus' pod is new for each `reason`: a kubelet takes its time to tell a pod
/// of a secret that has changed.
fn deploy(kind: &Kind, reason: &str) -> Result<()> {
    let reason = json!([{ "op": "add", "path": "/spec/template/metadata/annotations", "value": { "reason": reason } }]);
    let patches = [variant::AT_ONCE, ("Deployment", "prometheus", &*reason.to_string())];
    variant::apply(kind, &["tls"], &patches)?;
    variant::rolled_out(kind)
}

/// The stack whose exporters answer only those that have what Prometheus has: they are judged by what it knows of them.
fn view(kind: &Kind) -> View<'_> {
    let mut view = View::of(kind);
    view.stack.exporters.clear();
    view
}

fn every_node_is_scraped(kind: &Kind) -> Result<()> {
    let failures = view(kind).failures()?;
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    let targets = kind.stack().prometheus.targets(&kind.stack().job)?;
    let plain: Vec<&String> =
        targets.iter().map(|target| &target.scrape_url).filter(|url| !url.starts_with("https://")).collect();
    ensure!(plain.is_empty(), "scraped without TLS: {plain:?}");
    Ok(())
}

fn nobody_else_gets_anything(kind: &Kind, dir: &Path) -> Result<()> {
    let base = kind.stack().exporters.first().context("no exporter")?.base();
    let client = Client { dir, address: base.trim_start_matches("http://") };
    let user = format!("prometheus:{}", client.password()?);
    let right = client.curl(&["--user", &user])?;
    ensure!(right == (200, true), "with certificate and password: {right:?}");
    for wrong in [&[][..], &["--user", "prometheus:guess"]] {
        let seen = client.curl(wrong)?;
        ensure!(seen == (401, false), "with {wrong:?} instead of the password: {seen:?}");
    }
    // The handshake itself fails: no status, no byte.
    let without = client.curl_without_certificate(&["--user", &user]);
    ensure!(without.as_ref().is_err_and(|error| error.to_string().contains("certificate required")), "{without:?}");
    Ok(())
}

/// The probes ask an address of their own, in plain.
fn no_probe_has_failed(kind: &Kind) -> Result<()> {
    for pod in pods(kind, EXPORTER)? {
        let restarts: u64 = pod.containers().map(|container| container.restart_count).sum();
        ensure!(pod.is_ready() && restarts == 0, "pod {}: {:?}", pod.metadata.name, pod.status);
    }
    Ok(())
}
