//! Progress: one line a step with its time. A spinner on a terminal; plain lines elsewhere, and a sign of life from a
//! step that takes long. All of it goes to standard error, so that standard output holds results alone.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// A plain step says that it still works this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// The steps of one run.
#[derive(Debug, Default)]
pub struct Progress {
    quiet: bool,
    times: Mutex<Vec<(String, f64)>>,
}

/// A step that is under way.
#[derive(Debug)]
pub struct Step {
    bar: Option<ProgressBar>,
    name: String,
    note: Mutex<String>,
}

impl Progress {
    /// Steps that are not shown, only timed: for tests, whose runner has the terminal.
    #[must_use]
    pub fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// Does `work` as a step of that name.
    ///
    /// # Errors
    ///
    /// The work's own.
    pub fn step<T>(&self, name: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        let step = Step::new(name, !self.quiet && std::io::stderr().is_terminal());
        let began = Instant::now();
        let result = if self.quiet || step.bar.is_some() { work(&step) } else { with_signs_of_life(&step, work) };
        let seconds = began.elapsed().as_secs_f64();
        if let Some(bar) = &step.bar {
            bar.finish_and_clear();
        }
        let mark = if result.is_ok() { "ok  " } else { "FAIL" };
        self.line(&format!("{mark} {name}  {seconds:.1} s"));
        if let Ok(mut times) = self.times.lock() {
            times.push((name.to_owned(), seconds));
        }
        result
    }

    /// Says something between steps.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// The steps so far and the seconds each took.
    #[must_use]
    pub fn times(&self) -> Vec<(String, f64)> {
        self.times.lock().map(|times| times.clone()).unwrap_or_default()
    }
}

impl Step {
    fn new(name: &str, spin: bool) -> Self {
        let bar = spin.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, name: name.to_owned(), note: Mutex::default() }
    }

    /// Says what the step is doing now.
    pub fn note(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
        if let Ok(mut note) = self.note.lock() {
            text.clone_into(&mut note);
        }
    }
}

fn with_signs_of_life<T>(step: &Step, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let began = Instant::now();
        scope.spawn(move || {
            while is_done.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                let note = step.note.lock().map(|note| note.clone()).unwrap_or_default();
                eprintln!("...  {}  {:.0} s so far  {note}", step.name, began.elapsed().as_secs_f64());
            }
        });
        let result = work(step);
        drop(done);
        result
    })
}
