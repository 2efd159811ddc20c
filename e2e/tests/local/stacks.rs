//! Stacks inside the test's own process: one that all trials share and none changes, and ones of their own.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use e2e::backend::Backend;
use e2e::backend::local::{Local, Options};
use e2e::checks;
use e2e::checks::Subject;
use e2e::checks::report::Outcome;
use e2e::run::Run;
use e2e::stack::Stack;
use e2e::terminal::progress::Progress;
use e2e::workspace::shipped::Shipped;
use tempfile::TempDir;

use crate::lab;

/// The fixture of the shared stack.
pub const CASE: &str = "ordinary-node";

/// What waits longer than this for a sample that was there before waits in vain.
pub const IN_VAIN: Duration = Duration::from_secs(2);

/// A stack, and the state directory that only it uses.
pub struct Own {
    pub local: Local,
    _state: TempDir,
}

struct Shared {
    own: Arc<Own>,
    end: Sender<()>,
    owner: JoinHandle<()>,
}

static SHARED: Mutex<Option<Result<Shared, String>>> = Mutex::new(None);

/// The stack that reads [`CASE`]; the first trial that asks has it started.
pub fn shared() -> Result<Arc<Own>> {
    let mut shared = SHARED.lock().map_err(|_| anyhow!("the shared stack's start panicked"))?;
    let started = shared.get_or_insert_with(|| start_shared().map_err(|error| format!("{error:#}")));
    started.as_ref().map(|shared| Arc::clone(&shared.own)).map_err(|error| anyhow!("the shared stack: {error}"))
}

/// Ends the shared stack, if there is one. After the last trial.
pub fn end_shared() {
    if let Some(Ok(Shared { own, end, owner })) = SHARED.lock().ok().and_then(|mut shared| shared.take()) {
        drop(own);
        drop(end);
        let _ = owner.join();
    }
}

/// Starts the shared stack on a thread that does nothing else: its children live as long as that thread.
fn start_shared() -> Result<Shared> {
    let (tell, started) = mpsc::channel();
    let (end, is_ended) = mpsc::channel::<()>();
    let owner = thread::spawn(move || {
        let _ = tell.send(Own::start(Options { procfs: Some(lab::fixture(CASE)), ..Options::default() }));
        let _ = is_ended.recv();
    });
    Ok(Shared { own: Arc::new(started.recv()??), end, owner })
}

impl Own {
    /// Starts a stack with these options, this workspace's exporter and a state directory of its own.
    pub fn start(options: Options) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let options = Options {
            exporter: Some(lab::exporter()?),
            prometheus: Some(lab::prometheus()?),
            state: Some(state.path().into()),
            ..options
        };
        Ok(Self { local: Local::start(&options, &Progress::quiet())?, _state: state })
    }

    /// A stack that reads [`CASE`] and whose Prometheus has this changed configuration; its checks give up soon, but
    /// not before Prometheus' first scrape of itself, which follows the same clock as that of the exporter.
    pub fn with_config(edit: fn(&mut serde_json::Value)) -> Result<Self> {
        let procfs = Some(lab::fixture(CASE));
        let check_limit = Some(IN_VAIN);
        let own = Self::start(Options { procfs, check_limit, edit_config: Some(edit), ..Options::default() })?;
        let prometheus = &own.local.stack().prometheus;
        let what = "Prometheus' first scrapes";
        e2e::wait::poll::until(what, Duration::from_secs(40), Duration::from_millis(100), || {
            let exporter = prometheus.targets(e2e::stack::JOB);
            match (prometheus.query(r#"up{job="prometheus"}"#), exporter) {
                (Ok(up), Ok(targets)) if !up.is_empty() && targets.iter().all(|target| target.health != "unknown") => {
                    e2e::wait::poll::Attempt::Ready(())
                }
                (up, targets) => e2e::wait::poll::Attempt::NotYet(format!("{up:?}, {targets:?}")),
            }
        })?;
        Ok(own)
    }
}

/// A running stack with another idea of what it should be, so that checks of it fail.
pub struct Altered {
    own: Arc<Own>,
    stack: Stack,
}

impl Altered {
    /// The shared stack with something changed in what is expected of it.
    pub fn shared(change: impl FnOnce(&mut Stack)) -> Result<Self> {
        let own = shared()?;
        samples(&own)?;
        let mut stack = own.local.stack().clone();
        change(&mut stack);
        Ok(Self { own, stack })
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

    fn check_limit(&self, wanted: Duration) -> Duration {
        wanted.min(IN_VAIN)
    }

    fn save_evidence(&self) -> Result<std::path::PathBuf> {
        bail!("an altered stack is no evidence")
    }
}

/// Waits until Prometheus has samples of a stack.
pub fn samples(own: &Own) -> Result<Vec<e2e::stack::samples::NodeSamples>> {
    e2e::backend::await_samples(&own.local)
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
    let subject = Subject { backend, shipped: &Shipped::read()? };
    Ok(checks::run_one(subject, name).with_context(|| format!("there is no check `{name}`"))?.outcome)
}
