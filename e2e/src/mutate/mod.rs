//! Tests of rules' tests: changes rules one clause at a time, runs their unit tests with promtool, and reports the changes
//! that no test notices.

mod change;
mod report;
mod rules;
mod suite;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use fs_err as fs;

use crate::terminal::out;
use crate::terminal::progress::{Progress, Step};
use crate::wait::interrupt;
pub use report::Report;
use report::{Outcome, Tried};
use rules::{Mutant, RuleFile};
use suite::{Copy, Suite};

/// A rule file whose tests are tested.
struct Subject {
    name: String,
    rules: RuleFile,
    /// The paths under which tests load it.
    places: Vec<PathBuf>,
    /// The tests that load it.
    tests: Mutex<Vec<Candidate>>,
}

/// A test that may notice a change.
#[derive(Clone, Copy)]
struct Candidate {
    test: usize,
    /// How long it takes.
    seconds: f64,
    /// How many of the last changes it noticed; the older ones count less.
    noticed: f64,
}

/// What is changed, and by what it is tested.
pub struct Options {
    /// Rule files.
    pub rules: Vec<PathBuf>,
    /// Files of unit tests.
    pub tests: Vec<PathBuf>,
    /// Kinds of changes, names of rules, or single changes (`RULE: CHANGE`), that are tried alone; all if there are none.
    pub only: Vec<String>,
    pub promtool: PathBuf,
}

/// Tries changes of some rules with the tests that load them.
pub fn run(options: Options, progress: &Progress) -> Result<Report> {
    let suite = Suite::read(options.promtool, &options.tests)?;
    let mut subjects = options.rules.iter().map(|path| Subject::read(path, &suite)).collect::<Result<Vec<_>>>()?;
    choose(&mut subjects, &options.only)?;
    let times = progress.step("run the tests without a change", |_| expect_passes(&suite, &subjects))?;
    for candidate in subjects.iter_mut().flat_map(|subject| subject.tests.get_mut().into_iter().flatten()) {
        candidate.seconds = times[candidate.test];
    }
    let mutants: Vec<_> =
        subjects.iter().flat_map(|subject| subject.rules.mutants.iter().map(move |mutant| (subject, mutant))).collect();
    let count = out::count(mutants.len(), "change", "changes");
    let mut tried = progress.step(&format!("try {count}"), |step| try_all(&suite, &mutants, step))?;
    tried.extend(subjects.iter().flat_map(Subject::skipped));
    Ok(Report { changes: tried })
}

/// Keeps the mutants of these kinds and rules.
fn choose(subjects: &mut [Subject], only: &[String]) -> Result<()> {
    let all = || subjects.iter().flat_map(|subject| &subject.rules.mutants);
    let files: Vec<_> = subjects.iter().map(|subject| &subject.name).collect();
    ensure!(all().next().is_some(), "no rule in {}: nothing to change", out::names(&files));
    for name in only {
        let is_there = all().any(|mutant| mutant.is(name));
        let kinds: BTreeSet<_> = all().map(|mutant| mutant.kind).collect();
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
        ensure!(is_there, "--only {name}: no such change; expected `RULE`, `RULE: CHANGE`, or a kind: {kinds}");
    }
    for subject in subjects.iter_mut().filter(|_| !only.is_empty()) {
        subject.rules.mutants.retain(|mutant| only.iter().any(|name| mutant.is(name)));
    }
    Ok(())
}

/// Returns the seconds that each file of tests takes; fails unless all pass, with the rules as the mutants rewrite them.
fn expect_passes(suite: &Suite, subjects: &[Subject]) -> Result<Vec<f64>> {
    in_parallel(suite, suite.tests.len(), |copy, test| {
        for subject in subjects {
            copy.put(&subject.places, &subject.rules.rewritten)?;
        }
        let began = Instant::now();
        if copy.failure(test)?.is_some() {
            suite.run(test).context("the tests fail before anything is changed; mend them first")?;
            bail!("{} fails with rules that are only written in another way", suite.tests[test].path.display());
        }
        Ok(began.elapsed().as_secs_f64())
    })
}

fn try_all(suite: &Suite, mutants: &[(&Subject, &Mutant)], step: &Step) -> Result<Vec<Tried>> {
    let (done, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let tried = in_parallel(suite, mutants.len(), |copy, index| {
        let (subject, mutant) = mutants[index];
        let began = Instant::now();
        let outcome = match subject.outcome(suite, copy, mutant) {
            Err(_) if interrupt::seen() => Outcome::Untried,
            outcome => outcome?,
        };
        missed.fetch_add(usize::from(matches!(outcome, Outcome::Unnoticed)), Ordering::Relaxed);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        step.note(&format!("{done} done, {} unnoticed", missed.load(Ordering::Relaxed)));
        let (rule, change, clause) = (mutant.rule.clone(), mutant.change.clone(), mutant.clause.clone());
        let (file, line, kind, seconds) =
            (subject.name.clone(), mutant.line, mutant.kind, began.elapsed().as_secs_f64());
        Ok(Tried { file, line, rule, kind, change, clause, outcome, seconds })
    })?;
    step.came_to(format!("{} unnoticed", missed.into_inner()));
    Ok(tried)
}

impl Subject {
    fn read(path: &Path, suite: &Suite) -> Result<Self> {
        let name = relative(path);
        let rules = RuleFile::parse(fs::read_to_string(path)?).with_context(|| name.clone())?;
        let (places, tests) = suite.uses(path)?;
        ensure!(!tests.is_empty(), "no test loads {name}; name one that does, or leave this file out");
        let tests = tests.into_iter().map(|test| Candidate { test, seconds: 0.0, noticed: 0.0 }).collect();
        Ok(Self { name, rules, places, tests: Mutex::new(tests) })
    }

    fn outcome(&self, suite: &Suite, copy: &Copy, mutant: &Mutant) -> Result<Outcome> {
        let noticed = self.noticed(copy, mutant)?.map(|(test, failed)| (relative(&suite.tests[test].path), failed));
        Ok(match (noticed, mutant.excuse.clone()) {
            (Some((test, failed)), None) => Outcome::Noticed { test, failed },
            (Some((test, _)), Some(_)) => Outcome::Needless { test },
            (None, Some(reason)) => Outcome::Excused { reason },
            (None, None) => Outcome::Unnoticed,
        })
    }

    /// The first test that fails with a change, and its first expectation that is not met.
    fn noticed(&self, copy: &Copy, mutant: &Mutant) -> Result<Option<(usize, String)>> {
        interrupt::check()?;
        let tests = || self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        copy.put(&self.places, &mutant.text)?;
        let mut noticed = None;
        let mut candidates = tests().clone();
        candidates.sort_by(|one, other| one.rank().total_cmp(&other.rank()));
        for Candidate { test, .. } in candidates {
            if let Some(failed) = copy.failure(test)? {
                tests().iter_mut().for_each(|other| other.count(other.test == test));
                noticed = Some((test, failed));
                break;
            }
        }
        copy.put(&self.places, &self.rules.text)?;
        Ok(noticed)
    }

    /// The rules whose expressions were not changed.
    fn skipped(&self) -> impl Iterator<Item = Tried> {
        self.rules.skipped.iter().map(|(line, rule, reason)| Tried {
            file: self.name.clone(),
            line: *line,
            rule: rule.clone(),
            kind: "expression",
            change: "any".to_owned(),
            clause: String::new(),
            outcome: Outcome::Skipped { reason: reason.clone() },
            seconds: 0.0,
        })
    }
}

impl Candidate {
    /// Neighbours are often noticed by the same test.
    fn count(&mut self, noticed: bool) {
        self.noticed = 0.8 * self.noticed + f64::from(u8::from(noticed));
    }

    /// Those that probably notice most in a second come first.
    fn rank(&self) -> f64 {
        -(self.noticed + 0.1) / self.seconds
    }
}

/// Does the work for each index, on every core and each with a copy of its own. The first error ends it.
fn in_parallel<T: Send>(
    suite: &Suite,
    count: usize,
    work: impl Fn(&Copy, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let copy = suite.copy()?;
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return anyhow::Ok(done);
            }
            let result = work(&copy, index).inspect_err(|_| next.store(count, Ordering::Relaxed))?;
            done.push((index, result));
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(count)).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<Result<_>>()
    })?;
    let mut done: Vec<_> = done.into_iter().flat_map(|done: Vec<(usize, T)>| done).collect();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// The path as it is named from here.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
