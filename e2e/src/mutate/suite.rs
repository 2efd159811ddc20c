//! Unit tests in promtool's notation, and copies of them in which rules can be changed.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use serde::Deserialize;
use tempfile::TempDir;

use crate::process::command::{Cmd, CommandError};

/// How long promtool may take for a file of tests.
const LIMIT: Duration = Duration::from_secs(60);

/// Files of tests, and the rule files that they load.
pub struct Suite {
    pub tests: Vec<TestFile>,
    promtool: PathBuf,
    /// The text of each rule file, by each path under which a test loads it.
    rules: BTreeMap<PathBuf, String>,
    /// Where promtool has its own files, which it leaves when it is killed.
    scratch: TempDir,
}

/// A file of tests.
pub struct TestFile {
    pub path: PathBuf,
    text: String,
    /// The paths of the rule files that it loads.
    loads: Vec<PathBuf>,
}

/// A copy of all tests and rules in a directory of its own, at the paths that they have below the root. Rules are named
/// relative to their tests, so that a test finds the rules of the copy.
pub struct Copy<'a> {
    suite: &'a Suite,
    dir: TempDir,
}

impl Suite {
    /// Reads the files of tests, and what they load.
    pub fn read(promtool: PathBuf, tests: &[PathBuf]) -> Result<Self> {
        let tests = tests.iter().map(|path| TestFile::read(path)).collect::<Result<Vec<_>>>()?;
        let loaded = tests.iter().flat_map(|test| &test.loads);
        let rules = loaded.map(|path| Ok((path.clone(), fs::read_to_string(path)?))).collect::<Result<_>>()?;
        Ok(Self { tests, promtool, rules, scratch: tempfile::tempdir()? })
    }

    /// The paths under which tests load a rule file, and the indices of these tests.
    pub fn uses(&self, rules: &Path) -> Result<(Vec<PathBuf>, Vec<usize>)> {
        let file = fs::canonicalize(rules)?;
        let places: Vec<_> =
            self.rules.keys().filter(|path| fs::canonicalize(path).is_ok_and(|path| path == file)).cloned().collect();
        let tests = self.tests.iter().enumerate();
        let using = tests.filter(|(_, test)| test.loads.iter().any(|path| places.contains(path)));
        Ok((places.clone(), using.map(|(index, _)| index).collect()))
    }

    /// Copies everything.
    pub fn copy(&self) -> Result<Copy<'_>> {
        let copy = Copy { suite: self, dir: tempfile::tempdir()? };
        let tests = self.tests.iter().map(|test| (&test.path, &test.text));
        for (path, text) in tests.chain(&self.rules) {
            let path = copy.place(path);
            fs::create_dir_all(path.parent().context("a file without a folder")?)?;
            fs::write(path, text)?;
        }
        Ok(copy)
    }

    /// What promtool says of a file of tests, in its own place.
    pub fn run(&self, test: usize) -> Result<(), CommandError> {
        self.promtool(&self.tests[test].path)
    }

    fn promtool(&self, test: &Path) -> Result<(), CommandError> {
        // One of them runs on each core, and collecting garbage would take it a quarter of its time.
        let command = Cmd::new(&self.promtool).env("GOMAXPROCS", "1").env("GOGC", "800");
        let command = command.env("TMPDIR", self.scratch.path()).args(["test", "rules"]).arg(test);
        command.limit(LIMIT).run().map(drop)
    }
}

impl TestFile {
    fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            rule_files: Vec<PathBuf>,
        }
        let text = fs::read_to_string(path)?;
        let name = path.display();
        let file: File = serde_saphyr::from_str(&text).with_context(|| format!("{name}: not a file of unit tests"))?;
        let path = clean(path);
        let mut loads = Vec::new();
        for pattern in file.rule_files {
            ensure!(pattern.is_relative(), "{name} loads `{}`; expected a path relative to {name}", pattern.display());
            let pattern = clean(&path.with_file_name(pattern));
            for found in glob::glob(&pattern.to_string_lossy())? {
                loads.push(found?);
            }
        }
        Ok(Self { path, text, loads })
    }
}

impl Copy<'_> {
    /// Replaces a rule file in all its places.
    pub fn put(&self, places: &[PathBuf], text: &str) -> Result<()> {
        Ok(places.iter().try_for_each(|path| fs::write(self.place(path), text))?)
    }

    /// The first expectation in a file of tests that is not met, as promtool names it.
    pub fn failure(&self, test: usize) -> Result<Option<String>> {
        match self.suite.promtool(&self.place(&self.suite.tests[test].path)) {
            Ok(()) => Ok(None),
            Err(error) if error.code() == Some(1) => Ok(Some(first_failed(&error.output().stderr))),
            Err(error) => Err(error.into()),
        }
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.dir.path().join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The first line below `FAILED:`, or below the name of a group of tests there.
fn first_failed(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).skip_while(|line| *line != "FAILED:").skip(1);
    let first = lines.find(|line| !line.starts_with("name:")).unwrap_or_default();
    first.trim_end_matches(',').to_owned()
}

/// The path without `.` and `..`, of which promtool takes the second away as text, too.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    clean
}
