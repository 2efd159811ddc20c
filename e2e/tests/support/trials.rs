//! Tests that share one thing, which the first of them makes and which is taken down after the last. First those run that
//! leave it as it is, several at a time; then the others, one after the other and in order.

use std::any;
use std::borrow::Borrow;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use anyhow::{Result, anyhow};
use e2e::process::guard;
use e2e::wait::interrupt;
use libtest_mimic::{Arguments, Completion, Failed};

/// What the trials of a tier share.
pub trait Shared: Sized + Send + Sync + 'static {
    /// Makes it, for the first trial that runs.
    fn make() -> Result<Self>;

    /// Called before each trial.
    fn begin(&mut self) {}

    /// Returns the last lines of its logs, shown when a trial fails.
    fn last_lines(&self) -> Vec<String>;

    /// Takes it down after the last trial; `failed` if any of them did.
    fn end(self, failed: bool) -> Result<()>;
}

type Alone<T> = dyn Fn(&mut T) -> Result<()> + Send;
type Overlapping<T> = dyn Fn(&T) -> Result<()> + Send;

enum Body<T> {
    Alone(Box<Alone<T>>),
    Overlapping(Box<Overlapping<T>>),
}

/// How many run at the same time of those that may.
const OVERLAPPING: usize = 4;

/// A function of the tier, run as a test of its own name.
pub struct Trial<T> {
    name: &'static str,
    body: Body<T>,
    obstacle: fn(&T) -> Option<&'static str>,
}

/// Makes a trial that runs alone, named after its function's module and name.
pub fn trial<T, F: Fn(&mut T) -> Result<()> + Send + 'static>(body: F) -> Trial<T> {
    Trial { name: name::<F>(), body: Body::Alone(Box::new(body)), obstacle: |_| None }
}

/// Makes a trial that may run beside others.
#[allow(dead_code, reason = "the container tier has none")]
pub fn overlapping<T, F: Fn(&T) -> Result<()> + Send + 'static>(body: F) -> Trial<T> {
    Trial { name: name::<F>(), body: Body::Overlapping(Box::new(body)), obstacle: |_| None }
}

fn name<F>() -> &'static str {
    let name = any::type_name::<F>();
    name.split_once("::").map_or(name, |(_crate, name)| name)
}

impl<T> Trial<T> {
    /// Skips the trial where `obstacle` gives a reason.
    #[allow(dead_code, reason = "every machine with Docker runs all of the container tier")]
    pub fn unless(self, obstacle: fn(&T) -> Option<&'static str>) -> Self {
        Self { obstacle, ..self }
    }
}

/// Runs the trials as the command line asks. They are ignored unless it names them, with what they need as the reason.
pub fn run<T: Shared>(needs: &str, trials: Vec<Trial<T>>) -> ExitCode {
    if let Some(code) = guard::enter() {
        return code;
    }
    if let Err(error) = interrupt::listen() {
        eprintln!("error: no signal handler: {error}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::from_args();
    let held = Arc::new(RwLock::new(Held::Nothing));
    let (overlapping, alone): (Vec<_>, Vec<_>) =
        trials.into_iter().partition(|trial| matches!(trial.body, Body::Overlapping(_)));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let mut failed = false;
    for (threads, trials) in [(OVERLAPPING, overlapping), (1, alone)] {
        let test = |trial: Trial<T>| {
            let (held, failures) = (Arc::clone(&held), Arc::clone(&failures));
            libtest_mimic::Trial::ignorable_test(trial.name, move || {
                Held::run(&held, &trial).map_err(|error| {
                    let text = format!("{error:#}");
                    let line = format!("{}: {text}", trial.name);
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    Failed::from(text)
                })
            })
        };
        let tests: Vec<_> =
            trials.into_iter().map(|trial| test(trial).with_kind(needs).with_ignored_flag(true)).collect();
        if !tests.is_empty() {
            let arguments = Arguments { test_threads: Some(threads), ..arguments.clone() };
            failed |= libtest_mimic::run(&arguments, tests).has_failed();
        }
    }
    let code = if failed { ExitCode::from(101) } else { ExitCode::SUCCESS };
    let held = std::mem::replace(&mut *held.write().unwrap_or_else(PoisonError::into_inner), Held::Nothing);
    let ended = if let Held::Made(shared) = held { shared.end(failed) } else { Ok(()) };
    // Those of the trials that overlap stand above all that came after them.
    for failure in failures.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        eprintln!("failed: {failure}");
    }
    match ended {
        Ok(()) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

enum Held<T> {
    Nothing,
    Made(T),
    Broken,
}

impl<T: Shared> Held<T> {
    fn run(held: &RwLock<Self>, trial: &Trial<T>) -> Result<Completion> {
        interrupt::check()?;
        Self::make(held)?;
        let began = Instant::now();
        let completion = match &trial.body {
            Body::Alone(body) => match &mut *held.write().unwrap_or_else(PoisonError::into_inner) {
                Self::Made(shared) => trial.run(shared, |shared| {
                    shared.begin();
                    body(shared)
                }),
                _ => not_run(),
            },
            Body::Overlapping(body) => match &*held.read().unwrap_or_else(PoisonError::into_inner) {
                Self::Made(shared) => trial.run(shared, |shared| body(shared)),
                _ => not_run(),
            },
        };
        eprintln!("     {} took {:.1} s", trial.name, began.elapsed().as_secs_f64());
        completion
    }

    /// Makes what is shared, unless an earlier trial did or failed to.
    fn make(held: &RwLock<Self>) -> Result<()> {
        let is_missing = |held: &Self| matches!(held, Self::Nothing);
        if is_missing(&held.read().unwrap_or_else(PoisonError::into_inner)) {
            let mut held = held.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have been first.
            if is_missing(&held) {
                *held = Self::Broken;
                *held = Self::Made(T::make()?);
            }
        }
        Ok(())
    }
}

impl<T: Shared> Trial<T> {
    fn run<R: Borrow<T>>(&self, mut shared: R, body: impl FnOnce(&mut R) -> Result<()>) -> Result<Completion> {
        if let Some(reason) = (self.obstacle)(shared.borrow()) {
            return Ok(Completion::ignored_with(reason));
        }
        let result = body(&mut shared);
        if result.is_err() {
            for line in shared.borrow().last_lines() {
                eprintln!("  | {line}");
            }
        }
        result.map(|()| Completion::Completed)
    }
}

fn not_run() -> Result<Completion> {
    Err(anyhow!("not run: see the first failure"))
}
