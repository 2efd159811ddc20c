//! The file of a scenario.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Scenario;
use super::expectation::Expectation;
use super::timeline::{Series, timelines};
use crate::client::prometheus::Labels;
use crate::play::notation;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    interval: Spanned<String>,
    input_series: Vec<InputSeries>,
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<QueryTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputSeries {
    series: Spanned<String>,
    values: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertTest {
    eval_time: Spanned<String>,
    alertname: String,
    exp_alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    exp_labels: Labels,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryTest {
    expr: String,
    eval_time: Spanned<String>,
    exp_samples: Vec<ExpSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpSample {
    labels: Spanned<String>,
    value: f64,
}

pub(super) fn parse(name: &str, text: &str) -> Result<Scenario> {
    let group: Group = serde_saphyr::from_str(text)?;
    let interval = duration(&group.interval)?;
    ensure!(
        interval >= Duration::from_secs(1),
        "line {}: invalid interval; expected 1s or more",
        line(&group.interval)
    );
    let mut series = Vec::new();
    for input in &group.input_series {
        let labels = located(&input.series, notation::series)?;
        series.push(Series { line: line(&input.values), labels, steps: located(&input.values, notation::values)? });
    }
    let mut expectations = Vec::new();
    for test in group.alert_rule_test {
        let alerts: Vec<Labels> = test.exp_alerts.into_iter().map(|alert| alert.exp_labels).collect();
        let at = duration(&test.eval_time)?;
        expectations.push(Expectation::alerts(line(&test.eval_time), at, &test.alertname, &alerts));
    }
    for test in group.promql_expr_test {
        let sample = |sample: &ExpSample| anyhow::Ok((located(&sample.labels, notation::series)?, sample.value));
        let answer = test.exp_samples.iter().map(sample).collect::<Result<_>>()?;
        expectations.push(Expectation::query(line(&test.eval_time), duration(&test.eval_time)?, test.expr, answer));
    }
    expectations.sort_by_key(|expectation| expectation.at);
    let scenario =
        Scenario { name: name.to_owned(), title: group.name, interval, timelines: timelines(&series)?, expectations };
    ensure!(!scenario.expectations.is_empty(), "no expectations; expected `alert_rule_test` or `promql_expr_test`");
    for expectation in &scenario.expectations {
        let (length, line) = (scenario.length(), expectation.line);
        ensure!(expectation.at <= length, "line {line}: the scenario ends at {}", humantime::format_duration(length));
        let on_a_step = expectation.at.as_millis().is_multiple_of(interval.as_millis());
        ensure!(
            on_a_step,
            "line {line}: `eval_time` is between two steps; expected a multiple of {}",
            humantime::format_duration(interval)
        );
    }
    Ok(scenario)
}

fn duration(text: &Spanned<String>) -> Result<Duration> {
    located(text, |text| match text {
        "0" => Ok(Duration::ZERO),
        _ => humantime::parse_duration(text).with_context(|| format!("invalid duration `{text}`; expected e.g. `5m`")),
    })
}

fn located<T>(text: &Spanned<String>, read: impl Fn(&str) -> Result<T>) -> Result<T> {
    read(&text.value).with_context(|| format!("line {}", line(text)))
}

fn line(text: &Spanned<String>) -> u64 {
    text.referenced.line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::local::scenario_nodes::ExporterState;

    const TEXT: &str = r#"name: A test.
interval: 1m
input_series:
  - series: node_uptime{node="a"}
    values: 60+60x2 stale _x2 0
  - series: node_load{node="a", duration="1m"}
    values: 1x2 stale _x2 3
  - series: node_load{node="a", duration="5m"}
    values: 1x2 stale _x2 3
  - series: node_load{node="a", duration="15m"}
    values: 1x2 stale _x2 3
alert_rule_test:
  - { eval_time: 5m, alertname: A, exp_alerts: [{ exp_labels: { node: a } }] }
promql_expr_test:
  - { eval_time: 1m, expr: up, exp_samples: [{ labels: 'up{node="a"}', value: 1 }] }
"#;

    #[test]
    fn a_file_becomes_timelines_and_expectations() {
        let scenario = parse("test", TEXT).unwrap();
        let states: Vec<ExporterState> = scenario.timelines[0].steps.iter().map(|step| step.state).collect();
        let (here, gone) = (ExporterState::Answers, ExporterState::Gone);
        assert_eq!(states, [here, here, here, gone, gone, gone, here]);
        assert_eq!(scenario.timelines[0].steps[6].load, Some([3.0, 3.0, 3.0]));
        let expected: Vec<&str> = scenario.expectations.iter().map(|expectation| expectation.text.as_str()).collect();
        assert_eq!(expected, [r#"up returns up{node="a"} 1"#, r#"A fires for {node="a"}"#]);
        assert_eq!(scenario.length(), Duration::from_secs(360));
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        for (from, to, said) in [
            ("60+60x2 stale", "60+60y2 stale", "line 5: invalid value `60+60y2`; expected A, AxN"),
            ("values: 60+60x2", "values: 60+60x3", "line 7: 7 steps; expected 8, as in line 5"),
            (
                "node_uptime{node=\"a\"}",
                "node_uptime{node=a}",
                "line 4: invalid series `node_uptime{node=a}`; expected",
            ),
            ("node_uptime", "node_boot", "line 5: unknown series `node_boot`; expected up, node_uptime or node_load"),
            ("\"5m\"", "\"2m\"", "line 9: invalid duration=\"2m\"; expected 1m, 5m or 15m"),
            ("\"5m\"", "\"1m\"", "line 9: duplicate series"),
            ("60+60x2 stale", "60+60x3", "node `a`: step 3: `stale` in some series; expected it in all"),
            ("60+60x2", "_x3", "node `a`: step 0: the node must start healthy"),
            ("interval: 1m", "interval: soon", "line 2: invalid duration `soon`; expected e.g. `5m`"),
            ("eval_time: 5m", "eval_time: 9m", "line 13: the scenario ends at 6m"),
            ("eval_time: 5m", "eval_time: 90s", "line 13: `eval_time` is between two steps; expected a multiple of 1m"),
            ("alertname", "alert", "line 13"),
        ] {
            let error = format!("{:#}", parse("test", &TEXT.replacen(from, to, 1)).unwrap_err());
            assert!(error.contains(said), "{to}: `{said}` is not in: {error}");
        }
    }
}
