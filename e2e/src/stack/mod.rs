//! A running stack, whatever its backend: where its parts answer, and what they must agree with.

pub mod nodes;
mod part;
pub mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fs_err as fs;

use crate::client::alertmanager::Alertmanager;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::{Labels, Prometheus, node_of};
use crate::docker::docker;
use crate::workspace::dashboard;

pub use crate::workspace::project::JOB;
pub use part::Part;

/// A running stack: where its parts answer, and what they must agree with.
#[derive(Clone, Debug)]
pub struct Stack {
    /// What has to be scraped in this job.
    pub scraped: Scraped,
    /// The name of the scrape job.
    pub job: String,
    /// Whether `lab` started it. In other stacks only this job and the project's rules are checked.
    pub own: bool,
    /// The exporters that can be reached from here.
    pub exporters: Vec<Exporter>,
    pub prometheus: Prometheus,
    /// The Alertmanager, or why there is none; `Here(None)` where only Prometheus knows its address.
    pub alertmanager: Part<Option<Alertmanager>>,
    /// The Grafana, or why there is none.
    pub grafana: Part<Grafana>,
    /// The uid of Grafana's data source, where it is not the one that the dashboard opens with.
    pub datasource: Option<String>,
    /// The uid of the dashboard that the link to Grafana opens.
    pub dashboard: Option<String>,
    /// What the exporters read.
    pub procfs: Procfs,
}

/// The targets of a stack's scrape job. Which checks are run depends on whose they are.
#[derive(Clone, Debug)]
pub enum Scraped {
    /// This repository's exporters, by their nodes, as their samples name them.
    Nodes(BTreeSet<String>),
    /// Another program, by its instances; any if none is named.
    Instances(BTreeSet<String>),
}

/// The procfs that the exporters read, seen without them.
#[derive(Clone, Debug)]
pub enum Procfs {
    /// A kernel's own, mounted here: its values move.
    Live(PathBuf),
    /// A kernel's own, inside a container.
    LiveInContainer(String),
    /// A tree of files, which stand still.
    Fixture(PathBuf),
    /// A folder with such a tree for each node, under the node's name.
    Fixtures(PathBuf),
    /// A kernel's own, on a node that cannot be reached from here.
    Unseen,
}

impl Stack {
    /// A stack that `lab` started. Of a cluster's exporters one is enough.
    pub fn own(
        nodes: BTreeSet<String>,
        exporters: Vec<Exporter>,
        prometheus: Prometheus,
        grafana: Part<Grafana>,
        procfs: Procfs,
    ) -> Self {
        Self {
            scraped: Scraped::Nodes(nodes),
            job: JOB.into(),
            own: true,
            exporters,
            prometheus,
            alertmanager: Part::Omitted,
            grafana,
            datasource: None,
            dashboard: Some(dashboard::UID.into()),
            procfs,
        }
    }

    /// Whether its targets are this repository's exporters.
    pub fn is_ours(&self) -> bool {
        matches!(self.scraped, Scraped::Nodes(_))
    }

    /// The nodes or instances that have to be scraped.
    pub fn names(&self) -> &BTreeSet<String> {
        let (Scraped::Nodes(names) | Scraped::Instances(names)) = &self.scraped;
        names
    }

    /// The name that labels give a target: its node, or its instance.
    pub fn name_of(&self, labels: &Labels) -> String {
        match self.scraped {
            Scraped::Nodes(_) => node_of(labels),
            Scraped::Instances(_) => labels.get("instance").cloned().unwrap_or_default(),
        }
    }

    /// Name and address of each part that answers.
    pub fn links(&self) -> Vec<(String, String)> {
        let exporter =
            self.exporters.first().map(|exporter| ("exporter".to_owned(), format!("{}/metrics", exporter.base())));
        let mut links: Vec<_> = exporter.into_iter().collect();
        links.push(("prometheus".to_owned(), self.prometheus.base().to_owned()));
        if let Some(Some(alertmanager)) = self.alertmanager.here() {
            links.push(("alertmanager".to_owned(), alertmanager.base().to_owned()));
        }
        if let Some(grafana) = self.grafana.here() {
            // Its home page is the dashboard that Grafana itself gives a uid.
            let page = self.dashboard.as_deref().filter(|uid| !uid.is_empty()).map(|uid| grafana.link(uid));
            links.push(("grafana".to_owned(), page.unwrap_or_else(|| grafana.base().to_owned())));
        }
        links
    }
}

impl Procfs {
    /// Reads the numbers in a file of each node: one in `uptime`, three in `loadavg`. Nodes that share a file share one read:
    /// read one after the other, the first would be old by the last.
    pub fn numbers<'n, const N: usize>(
        &self,
        nodes: &'n BTreeSet<String>,
        file: &str,
    ) -> Result<BTreeMap<&'n str, [f64; N]>> {
        let read = |node: &str| -> Result<[f64; N]> {
            let text = match self {
                Self::Live(root) | Self::Fixture(root) => fs::read_to_string(root.join(file))?,
                Self::Fixtures(folder) => fs::read_to_string(folder.join(node).join(file))?,
                Self::LiveInContainer(name) => {
                    let cat = ["exec", name, "cat", &format!("/proc/{file}")];
                    docker(cat).limit(Duration::from_secs(10)).run()?.stdout
                }
                Self::Unseen => bail!("cannot read {file} of the nodes from here"),
            };
            let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).take(N).collect();
            numbers.try_into().ok().with_context(|| format!("{file} does not begin with {N} numbers"))
        };
        if let Self::Fixtures(_) = self {
            return nodes.iter().map(|node| Ok((node.as_str(), read(node)?))).collect();
        }
        let shared = read("")?;
        Ok(nodes.iter().map(|node| (node.as_str(), shared)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grafana_is_linked_where_its_dashboard_is() {
        let linked = |dashboard: Option<&str>| {
            let grafana = Part::Here(Grafana::new("http://g"));
            let own = Stack::own(BTreeSet::new(), Vec::new(), Prometheus::new("http://p"), grafana, Procfs::Unseen);
            Stack { dashboard: dashboard.map(str::to_owned), ..own }.links().pop().unwrap().1
        };
        assert_eq!([Some("u"), Some(""), None].map(linked), ["http://g/d/u", "http://g", "http://g"]);
    }
}
