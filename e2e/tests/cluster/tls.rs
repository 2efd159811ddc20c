//! The component `tls`: the exporters behind TLS, client certificates and a password, which Prometheus has.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use fs_err as fs;

use crate::fault::Fault;
use crate::kubernetes::{EXPORTER, pods};
use crate::tls_client::{Client, make_certificates};
use crate::variant::{self, Variant};
use crate::view::View;

/// The secrets that the component asks for, and the directories that hold what goes into them.
const SECRETS: [(&str, &str); 2] = [("mini-node-exporter-web", "exporter"), ("prometheus-scrape", "prometheus")];

/// How long a roll-out may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A password that is not the exporters': every scrape is refused, and it is said why.
const WRONG_PASSWORD: Fault<&str> = Fault {
    plant: "a guess",
    fails: &["exporter-ready", "targets-up", "node-labels", "uptime", "load", "rules-find-series", "panels-have-data"],
    says: "server returned HTTP status 401 Unauthorized",
};

pub fn prometheus_scrapes_with_a_certificate_and_a_password_and_nobody_without(kind: &Kind) -> Result<()> {
    let dir = kind.run().dir().join("certificates");
    make_certificates(&dir)?;
    // Pods wait for their secrets.
    variant::with(kind, "tls", &["tls"], &[], |stack| {
        give_secrets(stack, &dir)?;
        stack.rolled_out(LIMIT)?;
        every_node_is_scraped(stack)?;
        nobody_else_gets_anything(stack, &dir)?;
        no_probe_has_failed(stack)?;

        fs::write(dir.join("prometheus/password"), WRONG_PASSWORD.plant)?;
        give_secrets(stack, &dir)?;
        // A kubelet takes its time to update a secret in a pod that runs.
        stack.kubectl.command(["rollout", "restart", "deployment/prometheus"]).run()?;
        stack.rolled_out(LIMIT)?;
        view(stack)?.shows(&WRONG_PASSWORD, Vec::new)
    })
}

/// Makes the secrets, or replaces what is in them.
fn give_secrets(stack: &Variant<'_>, dir: &Path) -> Result<()> {
    let kubectl = stack.kubectl;
    for (name, folder) in SECRETS {
        let from = format!("--from-file={}", dir.join(folder).display());
        let made = kubectl.command(["create", "secret", "generic", name, &from, "--dry-run=client", "--output=json"]);
        let file = dir.join("secret.json");
        fs::write(&file, made.read()?)?;
        kubectl.command(["apply", "--filename"]).arg(&file).run()?;
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// The stack whose exporters answer only those that have what Prometheus has: they are judged by what it knows of them.
fn view<'v>(stack: &'v Variant<'_>) -> Result<View<'v>> {
    let mut view = stack.view()?;
    view.stack.exporters.clear();
    Ok(view)
}

fn every_node_is_scraped(stack: &Variant<'_>) -> Result<()> {
    let view = view(stack)?;
    let failures = view.failures()?;
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    let targets = view.stack.prometheus.targets(&view.stack.job)?;
    let plain: Vec<&String> =
        targets.iter().map(|target| &target.scrape_url).filter(|url| !url.starts_with("https://")).collect();
    ensure!(plain.is_empty(), "scraped without TLS: {plain:?}");
    Ok(())
}

fn nobody_else_gets_anything(stack: &Variant<'_>, dir: &Path) -> Result<()> {
    let view = stack.view()?;
    let base = view.stack.exporters.first().context("no exporter")?.base();
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
fn no_probe_has_failed(stack: &Variant<'_>) -> Result<()> {
    for pod in pods(stack.kubectl, EXPORTER)? {
        let restarts: u64 = pod.containers().map(|container| container.restart_count).sum();
        ensure!(pod.is_ready() && restarts == 0, "pod {}: {:?}", pod.metadata.name, pod.status);
    }
    Ok(())
}
