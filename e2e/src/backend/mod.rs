//! Backends, which start and stop a stack.

pub mod existing;
pub mod kind;
pub mod local;
mod sink;
#[cfg(test)]
pub mod stand_in;
pub mod sweep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::run::Run;
use crate::stack::samples;
use crate::stack::{Scraped, Stack};
use crate::terminal::progress::Progress;
use crate::wait::poll::{self, Attempt, Final};

/// What holds a stack's parts, and removes them when it is dropped.
pub trait Backend {
    /// `local`, `kind`, `existing` or `container`.
    fn name(&self) -> &'static str;

    /// The endpoints.
    fn stack(&self) -> &Stack;

    /// Name and address of what there is to open.
    fn links(&self) -> Vec<(String, String)> {
        self.stack().links()
    }

    /// The run that the stack belongs to.
    fn run(&self) -> &Run;

    /// The name and reference of each image that the parts run from; none where they are programs.
    fn images(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::new()
    }

    /// Fails once a part that should run does not.
    fn alive(&self) -> Result<()>;

    /// What the parts say is wrong, newest last: for a failed check, whose own observation often is only the effect.
    fn complaints(&self) -> Vec<String>;

    /// The nodes of a scenario, where it was started for one.
    fn scenario_nodes(&self) -> Option<&local::scenario_nodes::ScenarioNodes> {
        None
    }

    /// Whether it started a program that it can restart.
    fn can_restart(&self) -> bool {
        false
    }

    /// Restarts the program once, and waits until it answers.
    fn restart(&self) -> Result<()> {
        anyhow::bail!("there is no program to restart")
    }

    /// How long a check may wait that would like to wait for `wanted`.
    fn check_limit(&self, wanted: Duration) -> Duration {
        wanted
    }

    /// Saves logs and configurations where they outlive the stack, and says where.
    fn save_evidence(&self) -> Result<PathBuf>;

    /// Ends the parts in order, and fails if one had to be killed. What is left of them goes when the backend is
    /// dropped.
    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

/// Which ports of this machine the parts listen on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// Whatever is free.
    #[default]
    Any,
    /// The usual ones; for one that is taken, whatever is free.
    Usual,
}

/// Saves the evidence of a failure, and says where it is, or why it could not be saved.
pub fn save_evidence(backend: &dyn Backend, progress: &Progress) {
    match backend.save_evidence() {
        Ok(folder) => progress.trouble(&format!("the logs are in {}", folder.display())),
        Err(error) => progress.trouble(&format!("warn cannot save the logs: {error:#}")),
    }
}

/// Waits until Prometheus has samples of every node, or has scraped every other target, 40 s at most.
pub fn await_samples(backend: &dyn Backend) -> Result<()> {
    let stack = backend.stack();
    let attempt = || {
        let scraped = match stack.scraped {
            Scraped::Nodes(_) => samples::scraped(&stack.prometheus, &stack.job)?.len(),
            Scraped::Instances(_) => {
                let targets = stack.prometheus.targets(&stack.job)?;
                targets.iter().filter(|target| target.health != "unknown").count()
            }
        };
        let all = stack.names().len();
        ensure!(scraped >= all, "{scraped} of {all} targets scraped");
        Ok(())
    };
    until(backend, "samples of every target", backend.check_limit(Duration::from_secs(40)), attempt)
}

/// Polls until `attempt` succeeds; its error is what was seen last. A [`Final`] error, or a part of the stack that ended,
/// stops the wait.
pub fn until<T>(
    backend: &dyn Backend,
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    poll::until(what, limit, Duration::from_millis(100), || match attempt() {
        Ok(value) => Attempt::Ready(value),
        Err(seen) if seen.is::<Final>() => Attempt::Failed(seen),
        Err(seen) => match backend.alive() {
            Ok(()) => Attempt::NotYet(format!("{seen:#}")),
            Err(ended) => Attempt::Failed(ended),
        },
    })
}
