//! `lab logs`: what the parts of a running lab have logged.

use anyhow::Result;
use e2e::backend::kind;
use e2e::process::log;
use e2e::terminal::exit::Exit;
use e2e::terminal::out;
use fs_err as fs;

use crate::cli::Which;
use crate::which::choose;

pub fn logs(which: &Which) -> Result<Exit> {
    let run = choose(which.id.as_deref())?;
    let mut files: Vec<_> = fs::read_dir(&run.dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    for file in files {
        let part = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for line in log::text(&file).lines() {
            out::line(&out::plain(&format!("{part} | {line}")))?;
        }
    }
    if run.record.as_ref().is_some_and(|record| record.backend == "kind") {
        for line in kind::logs(&run)?.lines() {
            out::line(&out::plain(line))?;
        }
    }
    Ok(Exit::Ok)
}
