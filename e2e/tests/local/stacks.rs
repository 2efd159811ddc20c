//! Stacks inside the test's own process: one that many tests share and none changes, and ones of their own.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::backend::Backend;
use e2e::backend::local::{Local, Options, WantedProgram};
use e2e::checks;
use e2e::checks::report::Outcome;
use e2e::checks::{Choice, Subject};
use e2e::run::Run;
use e2e::stack::samples::{self, NodeSamples};
use e2e::stack::{JOB, Stack};
use e2e::terminal::progress::Progress;
use e2e::workspace::project::Project;
use fs_err as fs;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::lab;

/// The fixture of the shared stack.
pub const CASE: &str = "ordinary-node";

/// A stack, and the state directory that only it uses.
pub struct Own {
    pub local: Local,
    _state: TempDir,
}

/// The stack that reads [`CASE`]; the first test that asks has it started, and the last one that lets go ends it.
pub fn shared() -> Result<Arc<Own>> {
    static SHARED: Shared = Mutex::new(Weak::new());
    once(&SHARED, Options { procfs: Some(lab::fixture(CASE)), ..Options::default() })
}

/// As [`shared`], on the live `/proc`.
pub fn live() -> Result<Arc<Own>> {
    static SHARED: Shared = Mutex::new(Weak::new());
    let own = once(&SHARED, Options::default())?;
    own.settle()?;
    Ok(own)
}

type Shared = Mutex<Weak<Own>>;

fn once(shared: &Shared, options: Options) -> Result<Arc<Own>> {
    // A start that panicked has left nothing in there.
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Ok(running);
    }
    let own = Arc::new(Own::start(options).context("the shared stack")?);
    *shared = Arc::downgrade(&own);
    Ok(own)
}

impl Own {
    /// Starts a stack with these options, this workspace's exporter and a state directory of its own.
    pub fn start(options: Options) -> Result<Self> {
        lab::begin()?;
        let state = tempfile::tempdir()?;
        let project = if options.project.is_ours() { Project::shipped()? } else { options.project };
        let options =
            Options { project, exporter: Some(lab::exporter()?), prometheus: Some(lab::prometheus()?), ..options };
        let run = Run::create_in(state.path().into(), "local")?;
        Ok(Self { local: Local::start(&options, run, &Progress::quiet())?, _state: state })
    }

    /// A stack that reads [`CASE`] and has a real Alertmanager; `None` where there is none.
    pub fn with_alertmanager() -> Result<Option<Self>> {
        let Some(program) = lab::alertmanager() else { return Ok(None) };
        let (procfs, alertmanager) = (Some(lab::fixture(CASE)), Some(WantedProgram::File(program)));
        Self::start(Options { procfs, alertmanager, ..Options::default() }).map(Some)
    }

    /// A stack that reads [`CASE`] and whose Prometheus has reloaded this changed configuration, once it has settled.
    pub fn with_config(edit: fn(&mut serde_json::Value)) -> Result<Self> {
        let own = Self::start(Options { procfs: Some(lab::fixture(CASE)), ..Options::default() })?;
        own.edit_prometheus(edit)?;
        own.settle()?;
        Ok(own)
    }

    /// Has Prometheus reload its configuration, changed.
    pub fn edit_prometheus(&self, edit: fn(&mut serde_json::Value)) -> Result<()> {
        let file = self.local.run().dir().join("prometheus.yml");
        let mut config = serde_json::from_slice(&fs::read(&file)?)?;
        edit(&mut config);
        fs::write(&file, config.to_string())?;
        self.local.prometheus().signal(Signal::HUP);
        Ok(())
    }

    /// Waits until Prometheus has scraped itself for some seconds, which follows the same clock as its scrapes of the
    /// exporter: a rate needs two samples, and the dashboard's queries look at steps of five seconds.
    pub fn settle(&self) -> Result<()> {
        let prometheus = &self.local.stack().prometheus;
        self.local.prometheus().wait_until("scraping itself", Duration::from_secs(40), || {
            let history = prometheus.range(r#"up{job="prometheus"}[1m]"#)?;
            ensure!(history.iter().any(|series| series.values.len() >= 7), "{history:?}");
            Ok(())
        })
    }
}

/// A running stack with other expectations, so that checks of it fail. Each check looks once, for all samples are there.
pub struct Altered {
    own: Arc<Own>,
    stack: Stack,
}

impl Altered {
    /// The shared stack with something changed in what is expected of it.
    pub fn shared(change: impl FnOnce(&mut Stack)) -> Result<Self> {
        let own = shared()?;
        samples(&own)?;
        let stack = own.local.stack().clone();
        Ok(Self { own, stack }.and(change))
    }

    /// A stack of one's own with something changed in what is expected of it.
    pub fn of(own: Arc<Own>, change: impl FnOnce(&mut Stack)) -> Self {
        let stack = own.local.stack().clone();
        Self { own, stack }.and(change)
    }

    /// With something else changed too.
    pub fn and(mut self, change: impl FnOnce(&mut Stack)) -> Self {
        change(&mut self.stack);
        self
    }
}

impl Backend for Altered {
    fn name(&self) -> &'static str {
        "altered"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        self.own.local.run()
    }

    fn alive(&self) -> Result<()> {
        self.own.local.alive()
    }

    fn complaints(&self) -> Vec<String> {
        self.own.local.complaints()
    }

    fn check_limit(&self, _: Duration) -> Duration {
        Duration::ZERO
    }

    fn save_evidence(&self) -> Result<std::path::PathBuf> {
        bail!("an altered stack is no evidence")
    }
}

/// Waits until Prometheus has samples of a stack.
pub fn samples(own: &Own) -> Result<Vec<NodeSamples>> {
    e2e::backend::await_samples(&own.local)?;
    samples::scraped(&own.local.stack().prometheus, JOB)
}

/// What a check that has to pass has observed.
pub fn passes(backend: &dyn Backend, name: &str) -> Result<String> {
    match run(backend, name)? {
        Outcome::Passed { observed, .. } => Ok(observed),
        other => bail!("`{name}` should pass: {other:?}"),
    }
}

/// Fails unless a check fails, and says all of these texts.
pub fn fails(backend: &dyn Backend, name: &str, causes: &[&str]) -> Result<()> {
    let Outcome::Failed { observed } = run(backend, name)? else { bail!("`{name}` should fail") };
    for cause in causes {
        ensure!(observed.contains(cause), "`{name}` fails without saying `{cause}`: {observed}");
    }
    Ok(())
}

fn run(backend: &dyn Backend, name: &str) -> Result<Outcome> {
    let subject = Subject { backend, project: &Project::shipped()? };
    let report = checks::run(subject, &Choice::only(&[name]), |_| {}).pop();
    Ok(report.with_context(|| format!("there is no check `{name}`"))?.outcome)
}
