//! The one stack that several tests share and none changes: every check of it passes, with exact values.

use anyhow::{Result, bail, ensure};
use e2e::checks;
use e2e::checks::report::Outcome;
use e2e::checks::{Choice, Subject};
use e2e::stack::samples::NodeSamples;
use e2e::workspace::project::Project;

use crate::passing::is_omitted;
use crate::stacks::{samples, shared};

#[test]
fn every_check_passes_with_exact_values() -> Result<()> {
    let shared = shared()?;
    let samples = samples(&shared)?;
    ensure!(
        samples == [NodeSamples { node: "worker-1".into(), uptime: 1761.77, load: [0.57, 0.8, 0.77] }],
        "{samples:?}"
    );
    for report in
        checks::run(Subject { backend: &shared.local, project: &Project::shipped()? }, &Choice::default(), |_| {})
    {
        let expected = match report.name {
            name if is_omitted(name) => {
                ensure!(matches!(report.outcome, Outcome::Omitted { .. }), "{report:?}");
                continue;
            }
            "uptime" => "worker-1 1761.77 s, exactly the fixture's value",
            "load" => "worker-1 0.57 0.8 0.77, as in `loadavg`",
            "node-labels" => "4 series with node = instance = hostname, job = mini-node-exporter",
            "targets-up" => "1 of 1 up",
            "one-target-per-node" => "1 of 1 nodes",
            _ => "",
        };
        let Outcome::Passed { observed, .. } = &report.outcome else { bail!("{report:?}") };
        ensure!(observed.contains(expected), "{report:?}");
    }
    Ok(())
}
