//! The one cluster of this tier.

use std::path::PathBuf;

use anyhow::Result;
use e2e::backend::Backend as _;
use e2e::backend::Ports;
use e2e::backend::kind::images::{self, Image};
use e2e::backend::kind::{self, Kind, Options, is_on};
use e2e::backend::sweep;
use e2e::terminal::out::Mark;
use e2e::terminal::progress::Progress;
use e2e::workspace::project::Project;

use crate::trials::Shared;

impl Shared for Kind {
    fn make() -> Result<Self> {
        let progress = Progress::default();
        progress.line("");
        sweep::sweep(&progress);
        let airgap = is_on("LAB_AIRGAP");
        // There is no package of Grafana.
        let grafana = !airgap || images::chosen(Image::Grafana, &[]).is_some();
        let options = Options {
            nodes: 3,
            airgap,
            alertmanager: Some(Project::shipped()?.alertmanager_config()?),
            optional: grafana.then_some(Image::Grafana).into_iter().chain([Image::KubeStateMetrics]).collect(),
            images: Vec::new(),
            procfs: None,
            ports: Ports::Any,
            keep: is_on("LAB_KEEP"),
        };
        if !grafana {
            let why = "everything about Grafana: LAB_IMAGE_GRAFANA names no image";
            progress.say(Mark::Skip, why);
        }
        if airgap {
            // Before there is a cluster that compiling would slow down.
            kind::airgap::operator(&progress)?;
        }
        let kind = Kind::start(&options, &progress)?;
        for (name, reference) in kind.images() {
            progress.say(Mark::Note, &format!("image {name}: {reference}"));
        }
        Ok(kind)
    }

    fn last_lines(&self) -> Vec<String> {
        self.complaints()
    }

    /// Saves evidence first if a trial failed.
    fn end(self, failed: bool) -> Result<()> {
        if failed {
            eprintln!("the evidence is in {}", self.save_evidence()?.display());
        }
        Ok(())
    }
}

/// The bytes of the user's own kubeconfig; none where there is no such file.
pub fn own_kubeconfig() -> Vec<u8> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    fs_err::read(home.join(".kube/config")).unwrap_or_default()
}
