//! What a killed lab's children left running: the kernel ends a child with its parent, but not what that child started.

use std::path::Path;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

/// The variable that names the run's directory to every child, and through it to what the child starts.
pub(super) const MARK: &str = "LAB_RUN";

/// Kills every process that belongs to the run with this directory.
pub fn kill_all_of(dir: &Path) {
    let mark = format!("{MARK}={}", dir.display());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
        if let Some(pid) = pid
            && environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
