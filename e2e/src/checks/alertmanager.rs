//! `alertmanager-ready`, `alertmanagers-known` and `alerts-delivered`: an alert that fires reaches somebody.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};

use super::Subject;
use super::report::Outcome;
use crate::client::alertmanager::{Alertmanager, Delivery, Pages};
use crate::client::prometheus::Labels;
use crate::stack::Part;
use crate::terminal::out;
use crate::wait::poll::{self, Attempt};

/// Alertmanager is up before the checks begin, and the lab's own groups alerts for a second.
const LIMIT: Duration = Duration::from_secs(5);

/// People's Alertmanagers group alerts for half a minute, unless they are told otherwise.
const PAGED: Duration = Duration::from_secs(60);

/// How long the synthetic alerts fire.
const LASTING: Duration = Duration::from_secs(60);

/// The alert that has to be delivered.
const PROBE: &str = "LabProbe";

/// The label whose value tells the alerts of one check from all others.
const MARK: &str = "lab_probe";

/// Which of the shipped alerts keeps which others from being delivered: many nodes down are one page.
const INHIBITIONS: [(&str, &[&str]); 2] = [
    ("MiniNodeExporterNodesDown", &["MiniNodeExporterTargetDown", "MiniNodeExporterNodeNotScraped"]),
    ("MiniNodeExporterAbsent", &["MiniNodeExporterNodeNotScraped"]),
];

/// It takes alerts.
pub(super) fn alertmanager_ready(subject: Subject<'_>) -> Outcome {
    with_alertmanager(subject, |alertmanager| {
        let ready = subject.poll("a ready Alertmanager", LIMIT, || alertmanager.ready());
        ready.map(|version| format!("version {version}")).into()
    })
}

/// Prometheus sends its alerts to one.
pub(super) fn alertmanagers_known(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    match &stack.alertmanager {
        Part::Omitted => return Outcome::excluded(),
        Part::Missing(reason) => return Outcome::Skipped { reason: reason.clone() },
        Part::Here(_) => {}
    }
    let is_alerting = || {
        stack
            .prometheus
            .rules()
            .map(|groups| groups.iter().flat_map(|group| &group.rules).any(|rule| rule.kind == "alerting"))
    };
    if !stack.own && is_alerting().is_ok_and(|is_alerting| !is_alerting) {
        return Outcome::Omitted { reason: "Prometheus has no alerting rule" };
    }
    Outcome::from(subject.poll("an Alertmanager that Prometheus knows", LIMIT, || {
        let known = stack.prometheus.alertmanagers()?;
        ensure!(
            !known.is_empty(),
            "Prometheus has found none, and its alerts reach nobody; name one in `alerting` in its configuration"
        );
        Ok(format!("Prometheus sends alerts to {}", super::few(known)))
    }))
}

/// A synthetic alert is delivered, and of the shipped alerts those that another one explains are not.
pub(super) fn alerts_delivered(subject: Subject<'_>) -> Outcome {
    with_alertmanager(subject, |alertmanager| match alertmanager.delivery() {
        Delivery::Lab(pages) => deliver(subject, alertmanager, pages).into(),
        Delivery::Nobody(reason) => Outcome::Skipped { reason: reason.clone() },
        Delivery::Probed => page(alertmanager, &subject.stack().job, PAGED).into(),
        Delivery::Unprobed => Outcome::Omitted { reason: "it would page somebody; `--probe-alert` does so" },
    })
}

fn with_alertmanager(subject: Subject<'_>, judge: impl FnOnce(&Alertmanager) -> Outcome) -> Outcome {
    match &subject.stack().alertmanager {
        Part::Omitted => Outcome::excluded(),
        Part::Missing(reason) => Outcome::Skipped { reason: reason.clone() },
        Part::Here(None) => Outcome::Omitted { reason: "its address is not known; name it with `--alertmanager URL`" },
        Part::Here(Some(alertmanager)) => judge(alertmanager),
    }
}

fn deliver(subject: Subject<'_>, alertmanager: &Alertmanager, pages: &Pages) -> Result<String> {
    let mark = mark()?;
    let pairs = if subject.stack().is_ours() { &INHIBITIONS[..] } else { &[] };
    let mut alerts = vec![alert(PROBE, &mark, "probe", &subject.stack().job)];
    for (source, targets) in pairs {
        // In a cluster of their own, so that they inhibit each other and nothing else.
        let names = std::iter::once(source).chain(*targets);
        alerts.extend(names.map(|name| alert(name, &mark, source, &subject.stack().job)));
    }
    alertmanager.send(&alerts, LASTING)?;
    let receiver = subject.poll("the synthetic alert delivered", LIMIT, || {
        let delivered = pages.all().into_iter().find(|page| {
            page.alerts.iter().any(|alert| alert.labels.get(MARK) == Some(&mark) && alert.labels["alertname"] == PROBE)
        });
        delivered.map_or_else(|| Err(undelivered(alertmanager, &mark)), |page| Ok(page.receiver))
    })?;
    subject.poll("inhibited alerts", LIMIT, || inhibited(alertmanager, &mark, pairs))?;
    let count: usize = pairs.iter().map(|(_, targets)| targets.len()).sum();
    let inhibited = out::count(count, "inhibition works", "inhibitions work");
    let inhibited = if count == 0 { String::new() } else { format!("; {inhibited}") };
    Ok(format!("a synthetic alert reached the receiver `{receiver}`{inhibited}"))
}

/// Sends a synthetic alert to people, and waits until a request to a receiver has succeeded. What its receiver has got
/// cannot be seen from here.
pub(super) fn page(alertmanager: &Alertmanager, job: &str, limit: Duration) -> Result<String> {
    let mark = mark()?;
    let succeeded = || alertmanager.requests().map(|(all, failed)| all - failed);
    let before = succeeded()?;
    alertmanager.send(&[alert(PROBE, &mark, "probe", job)], 2 * limit)?;
    let every = Duration::from_secs(1).min(limit);
    poll::until("the synthetic alert delivered", limit, every, || match succeeded() {
        Ok(now) if now > before => Attempt::Ready(()),
        Ok(_) => Attempt::NotYet(undelivered(alertmanager, &mark).to_string()),
        Err(error) => Attempt::NotYet(format!("{error:#}")),
    })?;
    let held = alertmanager.alerts(MARK, &mark)?;
    let whereabouts = held.first().context("Alertmanager does not have the synthetic alert")?.whereabouts();
    Ok(format!("a receiver has taken a page since `{PROBE}` was sent: {whereabouts}"))
}

/// What no other check marks its alerts with.
fn mark() -> Result<String> {
    Ok(UNIX_EPOCH.elapsed().context("the clock is before 1970")?.as_nanos().to_string())
}

fn alert(name: &str, mark: &str, cluster: &str, job: &str) -> Labels {
    let labels = [("alertname", name), ("severity", "critical"), (MARK, mark), ("cluster", cluster), ("job", job)];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Why the synthetic alert is not delivered, as far as Alertmanager tells.
fn undelivered(alertmanager: &Alertmanager, mark: &str) -> anyhow::Error {
    let why = || -> Result<String> {
        let held = alertmanager.alerts(MARK, mark)?;
        let probe = held.iter().find(|alert| alert.labels["alertname"] == PROBE);
        let whereabouts = probe.context("Alertmanager does not have it")?.whereabouts();
        Ok(format!("{whereabouts}; {}", alertmanager.refusals()?))
    };
    why().map_or_else(|error| error, anyhow::Error::msg)
}

/// Fails unless each target of these pairs is inhibited.
fn inhibited(alertmanager: &Alertmanager, mark: &str, pairs: &[(&str, &[&str])]) -> Result<()> {
    let held = alertmanager.alerts(MARK, mark)?;
    let held: BTreeMap<(&str, &str), bool> = held
        .iter()
        .map(|alert| ((alert.labels["cluster"].as_str(), alert.labels["alertname"].as_str()), alert.is_inhibited()))
        .collect();
    for (source, targets) in pairs {
        for target in *targets {
            if held.get(&(*source, *target)) != Some(&true) {
                bail!(
                    "{target} is delivered beside {source} of the same cluster; add the `inhibit_rules` of \
                     kustomize/alertmanager/alertmanager.yml to the configuration"
                );
            }
        }
    }
    Ok(())
}
