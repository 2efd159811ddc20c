//! The promtool unit test that a scenario makes: the series that a Prometheus would have scraped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use e2e::backend::local::scenario_nodes::{ExporterState, NodeStep};
use e2e::client::prometheus::Labels;
use e2e::play::notation;
use e2e::process::command::Cmd;
use e2e::scenario::{Scenario, Timeline};
use e2e::stack::JOB;
use e2e::stack::samples::DURATIONS;
use fs_err as fs;
use serde_json::{Value, json};

/// Has promtool judge a scenario by these rule files; its output is the error.
pub fn judge(scenario: &Scenario, rules: &[PathBuf], promtool: &Path, directory: &Path) -> Result<()> {
    let file = directory.join(format!("{}.json", scenario.name));
    // JSON is YAML.
    fs::write(&file, test(scenario, rules).to_string())?;
    Cmd::new(promtool).args(["test", "rules"]).arg(&file).limit(Duration::from_secs(60)).run()?;
    Ok(())
}

/// The test file.
pub fn test(scenario: &Scenario, rules: &[PathBuf]) -> Value {
    let interval = format!("{}ms", scenario.interval.as_millis());
    let questions = scenario.expectations.iter().flat_map(|expectation| {
        expectation.questions.iter().map(|question| {
            let samples: Vec<Value> = question
                .answer
                .iter()
                .map(|(labels, value)| json!({ "labels": notation::written(labels), "value": value }))
                .collect();
            let at = format!("{}ms", expectation.at.as_millis());
            json!({ "expr": question.expr, "eval_time": at, "exp_samples": samples })
        })
    });
    json!({
        "rule_files": rules,
        "evaluation_interval": interval,
        "tests": [{
            "name": scenario.name,
            "interval": interval,
            "input_series": scenario.timelines.iter().flat_map(scraped).collect::<Vec<_>>(),
            "promql_expr_test": questions.collect::<Vec<_>>(),
        }],
    })
}

/// What Prometheus has of a node after each step.
fn scraped(timeline: &Timeline) -> Vec<Value> {
    let node = timeline.node.as_str();
    let mut all = Vec::new();
    let mut add = |metric: &str, more: &[(&str, &str)], value: &dyn Fn(&NodeStep) -> Option<f64>| {
        let attached = [("__name__", metric), ("job", JOB), ("node", node), ("instance", node)];
        let labels: Labels =
            attached.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        all.push(json!({ "series": notation::written(&labels), "values": written(timeline.steps.iter().map(value)) }));
    };
    add("up", &[], &|step| match step.state {
        ExporterState::Answers => Some(1.0),
        ExporterState::Hangs | ExporterState::Gone => Some(0.0),
        ExporterState::Undiscovered => None,
    });
    let answered = |step: &NodeStep| (step.state == ExporterState::Answers).then_some(());
    add("node_uptime", &[("hostname", node)], &|step| answered(step).and(step.uptime));
    for (index, duration) in DURATIONS.into_iter().enumerate() {
        let value = move |step: &NodeStep| answered(step).and(step.load).map(|load| load[index]);
        add("node_load", &[("hostname", node), ("duration", duration)], &value);
    }
    let success = |read: bool| Some(f64::from(u8::from(read)));
    add("node_scrape_collector_success", &[("collector", "uptime")], &|step| {
        answered(step).and(success(step.uptime.is_some()))
    });
    add("node_scrape_collector_success", &[("collector", "load")], &|step| {
        answered(step).and(success(step.load.is_some()))
    });
    all
}

/// A series that a scrape no longer has ends at once, as Prometheus marks it.
fn written(values: impl Iterator<Item = Option<f64>>) -> String {
    let mut there = false;
    let words = values.map(|value| {
        let word = match value {
            Some(value) => value.to_string(),
            None if there => "stale".to_owned(),
            None => "_".to_owned(),
        };
        there = value.is_some();
        word
    });
    words.collect::<Vec<_>>().join(" ")
}
