//! `lab scenario run` with unit tests: plays them on real Prometheuses, and shows promtool's verdict beside theirs.

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use e2e::backend::sweep;
use e2e::play::{self, Options};
use e2e::run::Run;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark};
use e2e::terminal::progress::Progress;
use e2e::terminal::report::Format;
use e2e::tools::{self, Tool};
use e2e::wait::interrupt;

use crate::cli::ScenarioRun;

pub fn run(args: &ScenarioRun, files: Vec<PathBuf>, progress: &Progress) -> Result<Exit> {
    if !args.rules.is_empty() || args.exporter.is_some() {
        return Err(
            Usage("`--rules` and `--exporter` are for scenarios; unit tests name their rules".to_owned()).into()
        );
    }
    interrupt::listen()?;
    sweep::sweep(progress);
    let find = |tool: Tool, flag| {
        progress.step(&format!("find {}", tool.name()), |step| {
            let found = tools::find(tool, flag, step)?;
            step.came_to(found.summary());
            Ok(found)
        })
    };
    let prometheus = find(Tool::Prometheus, args.prometheus.as_deref())?;
    let promtool = find(Tool::Promtool, None)?;
    if prometheus.version != promtool.version {
        progress.say(Mark::Warn, "Prometheus and promtool are of different versions, and may disagree");
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        files,
        prometheus: prometheus.path,
        promtool: promtool.path,
        speed: args.speed.speed,
        jobs: args.jobs.map_or(4 * cores, usize::from),
    };
    let (run, began) = (Run::create("local")?, Instant::now());
    let is_text = args.format == Format::Text;
    let report = play::run(&options, &run, &|played| {
        if is_text {
            let _ = out::line(&played.line());
        } else {
            progress.line(&played.line());
        }
    })?;
    let took = began.elapsed();
    out::line(&match args.format {
        Format::Text => format!("\n{}", report.summary(took)),
        Format::Json => report.json(took)?,
        Format::Junit => report.junit()?,
    })?;
    Ok(report.exit())
}
