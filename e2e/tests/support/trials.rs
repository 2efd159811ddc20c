//! Tests whose order matters: they run one after the other on the main thread, and share one thing, which the first of
//! them makes and which is taken down after the last. `trials!` names each once.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use e2e::process::guard;
use e2e::wait::interrupt;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// What the trials of a tier share.
pub trait Shared: Sized + Send + 'static {
    /// Makes it, for the first trial that runs.
    fn make() -> Result<Self>;

    /// Called before each trial.
    fn begin(&mut self) {}

    /// What is worth reading after a trial has failed.
    fn last_words(&self) -> Vec<String>;

    /// Takes it down after the last trial; `failed` if any of them did.
    fn end(self, failed: bool) -> Result<()>;
}

/// A trial: its name, what it does, and why this machine cannot show that, if so.
pub struct Entry<T> {
    pub name: &'static str,
    pub body: fn(&mut T) -> Result<()>,
    pub obstacle: fn(&T) -> Option<&'static str>,
}

/// The trials of a tier, in order: `module::function`, with `unless module::obstacle` where not every machine can run
/// it.
#[macro_export]
macro_rules! trials {
    ($($module:ident::$name:ident $(unless $obstacle:path)?),+ $(,)?) => {
        vec![$($crate::trials::Entry {
            name: concat!(stringify!($module), "::", stringify!($name)),
            body: |shared| $module::$name(shared),
            obstacle: |_shared| { $(if let Some(reason) = $obstacle(_shared) { return Some(reason); })? None },
        }),+]
    };
}

/// Runs the trials as the command line asks. They are ignored unless it names them, with what they need as the reason.
pub fn run<T: Shared>(needs: &str, entries: Vec<Entry<T>>) -> ExitCode {
    guard::through(env!("CARGO_BIN_EXE_lab"));
    if let Err(error) = interrupt::listen() {
        eprintln!("error: no signal handler: {error}");
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let held = Arc::new(Mutex::new(Held::Nothing));
    let trial = |entry: Entry<T>| {
        let held = Arc::clone(&held);
        Trial::ignorable_test(entry.name, move || {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            held.run(&entry).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let trials = entries.into_iter().map(|entry| trial(entry).with_kind(needs).with_ignored_flag(true)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
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
    fn run(&mut self, entry: &Entry<T>) -> Result<Completion> {
        interrupt::check()?;
        if let Self::Nothing = self {
            *self = Self::Broken;
            *self = Self::Made(T::make()?);
        }
        let Self::Made(shared) = self else { return Err(anyhow!("not run: see the first failure")) };
        if let Some(reason) = (entry.obstacle)(shared) {
            return Ok(Completion::ignored_with(reason));
        }
        shared.begin();
        let result = (entry.body)(shared);
        if result.is_err() {
            for line in shared.last_words() {
                eprintln!("  | {line}");
            }
        }
        result.map(|()| Completion::Completed)
    }
}
