//! Tests whose order matters: they run one after the other on the main thread, and share one thing, which the first of
//! them makes and which is taken down after the last.

use std::any;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use e2e::process::guard;
use e2e::wait::interrupt;
use libtest_mimic::{Arguments, Completion, Failed};

/// What the trials of a tier share.
pub trait Shared: Sized + Send + 'static {
    /// Makes it, for the first trial that runs.
    fn make() -> Result<Self>;

    /// Called before each trial.
    fn begin(&mut self) {}

    /// Returns the last lines of its logs, shown when a trial fails.
    fn last_words(&self) -> Vec<String>;

    /// Takes it down after the last trial; `failed` if any of them did.
    fn end(self, failed: bool) -> Result<()>;
}

type Body<T> = dyn Fn(&mut T) -> Result<()> + Send;

/// A function of the tier, run as a test of its own name.
pub struct Trial<T> {
    name: &'static str,
    body: Box<Body<T>>,
    obstacle: fn(&T) -> Option<&'static str>,
}

/// Makes a trial, named after its function's module and name.
pub fn trial<T, F: Fn(&mut T) -> Result<()> + Send + 'static>(body: F) -> Trial<T> {
    let name = any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_crate, name)| name);
    Trial { name, body: Box::new(body), obstacle: |_| None }
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
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let held = Arc::new(Mutex::new(Held::Nothing));
    let test = |trial: Trial<T>| {
        let held = Arc::clone(&held);
        libtest_mimic::Trial::ignorable_test(trial.name, move || {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            held.run(&trial).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let tests = trials.into_iter().map(|trial| test(trial).with_kind(needs).with_ignored_flag(true)).collect();
    let conclusion = libtest_mimic::run(&arguments, tests);
    let held = std::mem::replace(&mut *held.lock().unwrap_or_else(PoisonError::into_inner), Held::Nothing);
    let Held::Made(shared) = held else { return conclusion.exit_code() };
    match shared.end(conclusion.has_failed()) {
        Ok(()) => conclusion.exit_code(),
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
    fn run(&mut self, trial: &Trial<T>) -> Result<Completion> {
        interrupt::check()?;
        if let Self::Nothing = self {
            *self = Self::Broken;
            *self = Self::Made(T::make()?);
        }
        let Self::Made(shared) = self else { return Err(anyhow!("not run: see the first failure")) };
        if let Some(reason) = (trial.obstacle)(shared) {
            return Ok(Completion::ignored_with(reason));
        }
        shared.begin();
        let result = (trial.body)(shared);
        if result.is_err() {
            for line in shared.last_words() {
                eprintln!("  | {line}");
            }
        }
        result.map(|()| Completion::Completed)
    }
}
