//! The file of a scenario.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::expectation::Expectation;
use super::life::{Series, lives};
use super::{Scenario, notation};
use crate::client::prometheus::Labels;

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
    ensure!(interval >= Duration::from_secs(1), "line {}: expected an interval of 1s or more", line(&group.interval));
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
        Scenario { name: name.to_owned(), title: group.name, interval, lives: lives(&series)?, expectations };
    ensure!(!scenario.expectations.is_empty(), "nothing is expected: expected `alert_rule_test` or `promql_expr_test`");
    for expectation in &scenario.expectations {
        let (length, line) = (scenario.length(), expectation.line);
        ensure!(expectation.at <= length, "line {line}: the scenario ends at {}", humantime::format_duration(length));
        let on_a_step = expectation.at.as_millis().is_multiple_of(interval.as_millis());
        ensure!(
            on_a_step,
            "line {line}: expected a time on a step, a multiple of {}",
            humantime::format_duration(interval)
        );
    }
    Ok(scenario)
}

fn duration(text: &Spanned<String>) -> Result<Duration> {
    located(text, |text| match text {
        "0" => Ok(Duration::ZERO),
        _ => humantime::parse_duration(text).with_context(|| format!("`{text}` is no duration: expected such as `5m`")),
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
    use crate::backend::local::cast::State;

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
    fn a_file_becomes_lives_and_expectations() {
        let scenario = parse("test", TEXT).unwrap();
        let states: Vec<State> = scenario.lives[0].moments.iter().map(|moment| moment.state).collect();
        let (here, gone) = (State::Answers, State::Gone);
        assert_eq!(states, [here, here, here, gone, gone, gone, here]);
        assert_eq!(scenario.lives[0].moments[6].load, Some([3.0, 3.0, 3.0]));
        let expected: Vec<&str> = scenario.expectations.iter().map(|expectation| expectation.text.as_str()).collect();
        assert_eq!(expected, [r#"up gives up{node="a"} 1"#, r#"A fires for {node="a"}"#]);
        assert_eq!(scenario.length(), Duration::from_secs(360));
    }

    /// What is wrong, in which line, and what was expected there.
    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        for (from, to, said) in [
            ("60+60x2 stale", "60+60y2 stale", "line 5: `60+60y2` is no value: expected A, AxN"),
            ("values: 60+60x2", "values: 60+60x3", "line 7: 7 steps, but 8 in line 5: expected as many"),
            ("node_uptime{node=\"a\"}", "node_uptime{node=a}", "line 4: `node_uptime{node=a}` is no series: expected"),
            ("node_uptime", "node_boot", "line 5: `node_boot`: expected a series of up, node_uptime or node_load"),
            ("\"5m\"", "\"2m\"", "line 9: duration=\"2m\": expected 1m, 5m or 15m"),
            ("\"5m\"", "\"1m\"", "line 9: this series is there already"),
            ("60+60x2 stale", "60+60x3", "node `a`: step 3: an exporter that is gone takes all series with it"),
            ("60+60x2", "_x3", "node `a`: step 0: expected a node on which all is well"),
            ("interval: 1m", "interval: soon", "line 2: `soon` is no duration: expected such as `5m`"),
            ("eval_time: 5m", "eval_time: 9m", "line 13: the scenario ends at 6m"),
            ("eval_time: 5m", "eval_time: 90s", "line 13: expected a time on a step, a multiple of 1m"),
            ("alertname", "alert", "line 13"),
        ] {
            let error = format!("{:#}", parse("test", &TEXT.replacen(from, to, 1)).unwrap_err());
            assert!(error.contains(said), "{to}: `{said}` is not in: {error}");
        }
    }
}
