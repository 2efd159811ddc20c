//! What a cluster's Alertmanager delivers of the rules' own alerts.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::kind::Kind;
use e2e::client::alertmanager::{Alert, Page};
use e2e::stack::JOB;
use e2e::wait::poll::{self, Attempt};

use crate::sped_up::{self, yields};
use crate::variant;

const CLUSTER: &str = "cut-off";

const OF_EACH: &str = "MiniNodeExporterTargetDown";

/// Every node's exporter is cut off from Prometheus: the alert of the cluster is delivered, and that of each node is not.
pub fn nodes_that_are_cut_off_are_one_page(kind: &Kind) -> Result<()> {
    let (config, rules) = (sped_up::config(CLUSTER, "")?, sped_up::rules(&[])?);
    let patches =
        [("ConfigMap", "prometheus-config", config.as_str()), ("ConfigMap", "prometheus-rules", rules.as_str())];
    variant::with(kind, CLUSTER, &[], &patches, |stack| {
        stack.rolled_out(Duration::from_secs(60))?;
        let stack_of_trial = stack.view()?.stack;
        let alertmanager = stack_of_trial.alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
        let pages = alertmanager.pages().context("the lab cannot receive pages")?;
        let nodes = stack_of_trial.names().len();
        yields(&stack_of_trial.prometheus, &format!(r#"count(up{{job="{JOB}"}} == 1) == {nodes}"#))?;
        // The first seconds without a target are minutes at this speed, and raise MiniNodeExporterAbsent.
        let began = SystemTime::now();
        stack.drop_scrapes()?;
        let every = Duration::from_millis(500);
        poll::until("the alerts of every node inhibited", Duration::from_secs(60), every, || {
            match alertmanager.alerts("alertname", OF_EACH) {
                Ok(held) if held.len() == nodes && held.iter().all(Alert::is_inhibited) => Attempt::Ready(()),
                Ok(held) => Attempt::NotYet(format!("{:?}", held.iter().map(Alert::whereabouts).collect::<Vec<_>>())),
                Err(error) => Attempt::NotYet(format!("{error:#}")),
            }
        })?;
        let is_new = |page: &Page| page.received >= began && page.status == "firing" && is_of_trial(page);
        let delivered: Vec<Page> = pages.all().into_iter().filter(is_new).collect();
        let is_one = matches!(&delivered[..], [page] if page.names("MiniNodeExporterNodesDown"));
        ensure!(is_one, "{delivered:?}");
        Ok(())
    })
}

fn is_of_trial(page: &Page) -> bool {
    page.alerts.iter().any(|alert| alert.labels.get("cluster").is_some_and(|cluster| cluster == CLUSTER))
}
