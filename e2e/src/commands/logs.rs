//! `lab logs`: what the parts of a running lab have logged.

use std::fs;

use anyhow::Result;

use super::choose;
use crate::cli::Which;
use crate::{kind, out};

pub(super) fn logs(which: &Which) -> Result<u8> {
    let run = match choose(which.id.as_deref())? {
        Ok(run) => run,
        Err(code) => return Ok(code),
    };
    if run.record.as_ref().is_some_and(|record| record.backend == "kind") {
        for line in kind::logs(&run)?.lines() {
            out::line(line)?;
        }
        return Ok(0);
    }
    let mut files: Vec<_> = fs::read_dir(&run.dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    for file in files {
        let part = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for line in String::from_utf8_lossy(&fs::read(&file)?).lines() {
            out::line(&format!("{part} | {line}"))?;
        }
    }
    Ok(0)
}
