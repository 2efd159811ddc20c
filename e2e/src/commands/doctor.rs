//! `lab doctor`: what each backend needs, what is there, and how to get the rest.

use anyhow::Result;

use crate::report::print_table;
use crate::tools::{self, Tool};

/// What a backend needs a tool for, and the one command that gets it.
struct Need {
    backend: &'static str,
    tool: Tool,
    fix: &'static str,
}

const NEEDS: &[Need] = &[
    Need { backend: "local", tool: Tool::Prometheus, fix: "`cargo lab check` fetches it into the cache" },
    Need { backend: "local", tool: Tool::Grafana, fix: "`cargo lab` fetches it where it can; optional" },
    Need { backend: "tests", tool: Tool::Promtool, fix: "`cargo test` fetches it into the cache" },
    Need { backend: "tests", tool: Tool::Kubectl, fix: "`cargo test` fetches it into the cache" },
];

pub(super) fn doctor() -> Result<u8> {
    let mut rows = vec![["backend", "needs", "state", "what"].map(str::to_owned).to_vec()];
    for need in NEEDS {
        let (state, what) = match tools::find_present(need.tool) {
            Ok(found) => ("ok", format!("{} {} ({})", found.path.display(), found.version, found.origin)),
            Err(_) => ("missing", need.fix.to_owned()),
        };
        rows.push(vec![need.backend.into(), need.tool.name().into(), state.into(), what]);
    }
    print_table(&rows)?;
    Ok(0)
}
