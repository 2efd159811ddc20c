//! Progress: one line a step with its time. A spinner on a terminal; plain lines elsewhere, and another every 10 s from a
//! step that takes long. All of it goes to standard error, so that standard output holds only results.

use std::io::IsTerminal as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::out::{self, Mark};
use crate::wait::interrupt;

/// How often a long step without a spinner prints a line.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The steps of one run.
#[derive(Debug, Default)]
pub struct Progress {
    shown: Shown,
    spinner: Mutex<Option<ProgressBar>>,
    times: Mutex<Vec<(String, f64)>>,
}

/// What is shown of the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    #[default]
    All,
    /// What goes wrong.
    Trouble,
    Nothing,
}

/// A step that is under way.
#[derive(Debug)]
pub struct Step {
    spinner: Option<ProgressBar>,
    name: String,
    note: Mutex<String>,
    result: Mutex<String>,
}

impl Progress {
    /// Steps of which this is shown.
    pub fn showing(shown: Shown) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Steps that are not shown, only timed: for tests, whose runner has the terminal.
    pub fn quiet() -> Self {
        Self::showing(Shown::Nothing)
    }

    /// What is shown of them.
    pub fn shown(&self) -> Shown {
        self.shown
    }

    /// Does `work` as a step of that name.
    pub fn step<T>(&self, name: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        let shows_all = self.shown == Shown::All;
        let step = Step::new(name, shows_all && std::io::stderr().is_terminal());
        self.spinner.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&step.spinner);
        let began = Instant::now();
        let result = if shows_all && step.spinner.is_none() { with_signs_of_life(&step, work) } else { work(&step) };
        let seconds = began.elapsed().as_secs_f64();
        if let Some(spinner) = self.spinner.lock().unwrap_or_else(PoisonError::into_inner).take() {
            spinner.finish_and_clear();
        }
        let mark = match &result {
            Ok(_) => Mark::Ok,
            Err(_) if interrupt::seen() => Mark::Stop,
            Err(_) => Mark::Fail,
        };
        let came_to = step.result.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.say(mark, format!("{name}  {seconds:.1} s  {came_to}").trim_end());
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), seconds));
        result
    }

    /// Says something with a mark before it.
    pub fn say(&self, mark: Mark, text: &str) {
        let line = format!("{mark} {}", out::plain(text));
        if matches!(mark, Mark::Fail | Mark::Warn | Mark::Skip) { self.trouble(&line) } else { self.line(&line) }
    }

    /// Says something, between steps or in the middle of one.
    pub fn line(&self, text: &str) {
        if self.shown == Shown::All {
            self.write(text);
        }
    }

    /// Like [`Progress::line`], for errors and warnings.
    pub fn trouble(&self, text: &str) {
        if self.shown != Shown::Nothing {
            self.write(text);
        }
    }

    fn write(&self, text: &str) {
        // A spinner redraws its line from a thread of its own, and would write into ours.
        match &*self.spinner.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(spinner) => spinner.suspend(|| out::note(text)),
            None => out::note(text),
        }
    }

    /// The steps so far and the seconds each took.
    pub fn times(&self) -> Vec<(String, f64)> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Step {
    fn new(name: &str, spin: bool) -> Self {
        let spinner = spin.then(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {wide_msg}") {
                spinner.set_style(style);
            }
            spinner.set_prefix(name.to_owned());
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        // A terminal that cannot move its cursor gets plain lines.
        let spinner = spinner.filter(|spinner| !spinner.is_hidden());
        Self { spinner, name: name.to_owned(), note: Mutex::default(), result: Mutex::default() }
    }

    /// Shows what the step is doing now.
    pub fn note(&self, text: &str) {
        let text = &out::plain(text);
        if let Some(spinner) = &self.spinner {
            spinner.set_message(text.to_owned());
        }
        text.clone_into(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sets the result that is shown beside the step's time.
    pub fn came_to(&self, text: impl Into<String>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }
}

fn with_signs_of_life<T>(step: &Step, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let began = Instant::now();
        scope.spawn(move || {
            while is_done.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                let note = step.note.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let line =
                    format!("{} {}  {:.0} s so far  {note}", Mark::Busy, step.name, began.elapsed().as_secs_f64());
                out::note(line.trim_end());
            }
        });
        let result = work(step);
        drop(done);
        result
    })
}
