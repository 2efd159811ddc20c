//! The one cluster of this tier: made by the first trial that runs, ended by `main`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::Ports;
use e2e::backend::kind::{Kind, Options, is_on};
use e2e::backend::sweep;
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use libtest_mimic::{Completion, Failed, Trial};

/// What a trial does with the cluster.
pub type Body = fn(&mut Kind) -> Result<()>;

/// Why a trial cannot be run on this cluster, if so.
pub type Obstacle = fn(&Kind) -> Option<&'static str>;

#[derive(Clone, Default)]
pub struct Shared {
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    kind: Option<Kind>,
    /// The user's own kubeconfig as it was before the first command.
    before: Option<Vec<u8>>,
    broken: bool,
}

impl Shared {
    pub fn trial(&self, name: &str, body: Body) -> Trial {
        self.trial_where(name, body, |_| None)
    }

    /// A trial that is reported as ignored, with the reason, where this cluster cannot show what it is about.
    pub fn trial_where(&self, name: &str, body: Body, obstacle: Obstacle) -> Trial {
        let held = Arc::clone(&self.held);
        Trial::ignorable_test(name, move || {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            run(&mut held, body, obstacle).map_err(|error| Failed::from(format!("{error:#}")))
        })
    }

    /// Deletes the cluster, saving evidence first if a trial failed, and looks at the user's own kubeconfig.
    pub fn end(&self, failed: bool) -> Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = held.before.take() else { return Ok(()) };
        if let Some(kind) = held.kind.take() {
            if failed {
                eprintln!("the evidence is in {}", kind.save_evidence()?.display());
            }
            drop(kind);
        }
        ensure!(before == own_kubeconfig(), "the user's own kubeconfig was changed");
        eprintln!("ok   the user's own kubeconfig is as it was");
        Ok(())
    }
}

fn run(held: &mut Held, body: Body, obstacle: Obstacle) -> Result<Completion> {
    interrupt::check()?;
    ensure!(!held.broken, "the cluster did not come up, see the first failure");
    if held.kind.is_none() {
        held.before = Some(own_kubeconfig());
        held.broken = true;
        held.kind = Some(start()?);
        held.broken = false;
    }
    let kind = held.kind.as_mut().context("no cluster")?;
    if let Some(reason) = obstacle(kind) {
        return Ok(Completion::ignored_with(reason));
    }
    let result = body(kind);
    if result.is_err() {
        for line in kind.complaints() {
            eprintln!("  | {line}");
        }
    }
    result.map(|()| Completion::Completed)
}

fn start() -> Result<Kind> {
    interrupt::listen()?;
    let progress = Progress::default();
    progress.line("");
    sweep::sweep(&progress);
    let airgap = is_on("LAB_AIRGAP");
    let options = Options {
        nodes: 3,
        airgap,
        // Debian packages no Grafana.
        grafana: !airgap,
        images: Vec::new(),
        procfs: None,
        ports: Ports::Any,
        keep: is_on("LAB_KEEP"),
    };
    if airgap {
        progress.line("skip everything about Grafana: the airgap mode has none, for Debian packages none");
    }
    Kind::start(&options, &progress)
}

/// The bytes of the user's own kubeconfig; none where there is no such file.
fn own_kubeconfig() -> Vec<u8> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    std::fs::read(home.join(".kube/config")).unwrap_or_default()
}
