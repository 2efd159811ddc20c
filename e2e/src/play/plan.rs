//! What is played of a test: all its rules as one group, at another speed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use fs_err as fs;
use promql_parser::parser::{self, Expr};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::file::{Test, TestFile, Texts};
use super::notation::Step;
use super::remote_write::Written;
use super::speed_up::{self, Scale, divided};
use crate::workspace::promql;

/// The rule that comes last in the group: each of its samples is an evaluation that took place.
pub const MARK: &str = "live:mark";

/// The speeds to choose from.
const SPEEDS: [u32; 14] = [1000, 500, 250, 125, 100, 50, 40, 25, 20, 10, 5, 4, 2, 1];

/// The shortest time between two evaluations.
const SHORTEST: Duration = Duration::from_millis(200);

/// How long a play may take.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// How long the start of a play may have to wait for the steps of its subqueries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The rules, samples and questions of a test.
pub struct Plan<'a> {
    pub test: &'a Test,
    pub evaluation_interval: Duration,
    pub fuzzy_compare: bool,
    /// Whether a rule or a query calculates with durations.
    pub is_rounded: bool,
    /// The group without its rules.
    group: Map<String, Value>,
    rules: Vec<Rule>,
    /// After which time the evaluations and the steps of all subqueries meet.
    alignment: Duration,
    /// How long this machine takes to rewrite the rules.
    pub rewriting: Duration,
}

impl<'a> Plan<'a> {
    /// Reads the rules of a test; fails for what cannot be played.
    pub fn new(file: &TestFile, test: &'a Test) -> Result<Self> {
        let groups = ordered(file)?;
        let mut plan = Self {
            test,
            evaluation_interval: file.evaluation_interval,
            fuzzy_compare: file.fuzzy_compare,
            is_rounded: false,
            group: Map::new(),
            rules: Vec::new(),
            alignment: file.evaluation_interval,
            rewriting: Duration::ZERO,
        };
        let differs = groups
            .windows(2)
            .any(|pair| pair[0].limit != pair[1].limit || pair[0].query_offset != pair[1].query_offset);
        ensure!(!differs, "its groups differ in `limit` or `query_offset`, and are played as one");
        for group in groups {
            plan.add(group);
        }
        plan.look_at_queries()?;
        let began = Instant::now();
        plan.rules(Scale { speed: 1, start: Some(0) }, "live")?;
        plan.rewriting = began.elapsed();
        Ok(plan)
    }

    /// Adds the rules of a group, which get its labels.
    fn add(&mut self, group: Group) {
        let Group { limit, query_offset, labels, rules, other, .. } = group;
        for mut rule in rules.into_iter().flatten() {
            rule.labels = [labels.clone(), rule.labels]
                .into_iter()
                .flatten()
                .reduce(|group, own| group.into_iter().chain(own).collect());
            self.rules.push(rule);
        }
        self.group.extend(other);
        self.group.extend(limit.map(|limit| ("limit".to_owned(), limit.into())));
        self.group.extend(query_offset.map(|offset| ("query_offset".to_owned(), offset.into())));
    }

    /// Notes what the queries of rules and test depend on.
    fn look_at_queries(&mut self) -> Result<()> {
        let of_rules = self.rules.iter().map(|rule| &*rule.expr);
        let queries: Vec<&str> = of_rules.chain(self.test.queries.iter().map(|test| &*test.expr)).collect();
        let mut alignment = self.alignment;
        for query in queries {
            self.is_rounded |= speed_up::is_rounded(query);
            let tree = parser::parse(query).map_err(|error| anyhow!("cannot parse `{query}`: {error}"))?;
            for part in promql::parts(&tree) {
                match part {
                    Expr::Subquery(subquery) => alignment = multiple(alignment, subquery.step),
                    Expr::VectorSelector(selector) => ensure!(
                        !speed_up::may_select(selector, MARK),
                        "`{part}` selects by a pattern of names, and finds the samples of the lab, too"
                    ),
                    _ => {}
                }
            }
        }
        self.alignment = alignment;
        Ok(())
    }

    /// How many evaluations follow the first.
    pub fn steps(&self) -> u32 {
        u32::try_from(self.test.end().as_millis() / self.evaluation_interval.as_millis()).unwrap_or(u32::MAX)
    }

    /// The evaluation that decides what is so at a time.
    pub fn step_of(&self, time: Duration) -> u32 {
        u32::try_from(time.as_millis() / self.evaluation_interval.as_millis()).unwrap_or(u32::MAX)
    }

    /// The highest speed, no higher than `highest`, that divides every duration; fails where the play takes too long.
    pub fn speed(&self, highest: u32) -> Result<Option<u32>> {
        let mut fits = SPEEDS.into_iter().filter(|speed| *speed <= highest && self.fits(*speed));
        let Some(speed) = fits.next() else { return Ok(None) };
        let takes = self.test.end() / speed;
        ensure!(
            takes <= LONGEST,
            "it takes {} at speed {speed}",
            humantime::format_duration(Duration::from_secs(takes.as_secs()))
        );
        let wait = self.alignment / speed;
        ensure!(
            wait <= LONGEST_WAIT,
            "the steps of its subqueries meet only every {}",
            humantime::format_duration(wait)
        );
        Ok(Some(speed))
    }

    /// Whether a speed leaves time between evaluations, and divides every duration into whole milliseconds.
    pub fn fits(&self, speed: u32) -> bool {
        let is_long_enough = self.evaluation_interval / speed >= SHORTEST || speed == 1;
        let is_whole = |time: Duration| divided(time, speed).is_ok();
        let mut times = self.test.series.iter().flat_map(|series| &series.samples).map(|(time, _)| *time);
        let mut asked = self.test.queries.iter().map(|test| test.at);
        is_long_enough
            && is_whole(self.evaluation_interval)
            && times.all(is_whole)
            && asked.all(is_whole)
            && self.rules(Scale { speed, start: Some(0) }, "live").is_ok()
    }

    /// After which time of the clock evaluations and subqueries meet.
    pub fn alignment(&self, speed: u32) -> Duration {
        self.alignment / speed
    }

    /// The rule file.
    pub fn rules(&self, scale: Scale, name: &str) -> Result<Value> {
        for test in &self.test.queries {
            scale.query(&test.expr)?;
        }
        let rules = self.rules.iter().map(|rule| {
            let name = || format!("`{}`", rule.alert.as_ref().or(rule.record.as_ref()).map_or("", String::as_str));
            self.scaled(scale, rule.clone()).with_context(name)
        });
        let mut rules = rules.collect::<Result<Vec<_>>>()?;
        rules.push(json!({ "record": MARK, "expr": "vector(1)" }));
        let mut group = self.group.clone();
        group.insert("name".to_owned(), name.into());
        let mut group = Value::Object(group);
        scale.durations(&mut group)?;
        group["interval"] = milliseconds(self.evaluation_interval / scale.speed).into();
        group["rules"] = rules.into();
        Ok(json!({ "groups": [group] }))
    }

    fn scaled(&self, scale: Scale, mut rule: Rule) -> Result<Value> {
        rule.expr = scale.query(&rule.expr)?;
        for text in
            [&mut rule.labels, &mut rule.annotations].into_iter().flatten().flat_map(Texts::values_mut).flatten()
        {
            let uses_url = speed_up::uses_url(text) && self.test.external_url.is_none();
            ensure!(!uses_url, "a template uses the external URL, and the test sets none");
            *text = scale.template(text)?;
        }
        let mut rule = serde_json::to_value(rule)?;
        scale.durations(&mut rule)?;
        Ok(rule)
    }

    /// Prometheus' configuration.
    pub fn config(&self, speed: u32) -> Value {
        json!({
            "global": {
                "evaluation_interval": milliseconds(self.evaluation_interval / speed),
                "external_labels": self.test.external_labels,
            },
            "rule_files": [super::run::RULES],
        })
    }

    /// The samples that an evaluation sees first.
    pub fn samples(&self, step: u32, scale: Scale) -> Vec<Written<'a>> {
        let end = self.evaluation_interval * step;
        let begin = step.checked_sub(1).map(|step| self.evaluation_interval * step);
        let is_new = |time: Duration| time <= end && begin.is_none_or(|begin| time > begin);
        let at = |time: Duration| {
            let since = time / scale.speed;
            scale.start.unwrap_or_default() + u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        let of_series = self.test.series.iter().map(|series| {
            // The samples are sorted.
            let first = series.samples.partition_point(|(time, _)| begin.is_some_and(|begin| *time <= begin));
            let new = series.samples[first..].iter().take_while(|(time, _)| is_new(*time));
            let samples: Vec<(u64, Step)> = new.map(|(time, step)| (at(*time), *step)).collect();
            Written { labels: &series.labels, samples }
        });
        of_series.filter(|series| !series.samples.is_empty()).collect()
    }
}

/// A rule file.
#[derive(Deserialize)]
struct RuleFile {
    kind: Option<String>,
    groups: Option<Vec<Group>>,
}

/// A group of rules. Every text is as it is written, whatever it looks like.
#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(rename = "interval")]
    _interval: Option<String>,
    limit: Option<u64>,
    query_offset: Option<String>,
    labels: Option<Texts>,
    rules: Option<Vec<Rule>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A rule.
#[derive(Clone, Deserialize, Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    labels: Option<Texts>,
    annotations: Option<Texts>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// The groups of all rule files, as promtool evaluates them: those first that its order does not name.
fn ordered(file: &TestFile) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for path in &file.rule_files {
        let shown = path.display();
        let rules: Option<RuleFile> =
            serde_saphyr::from_str(&fs::read_to_string(path)?).with_context(|| format!("{shown}: not a rule file"))?;
        let Some(rules) = rules else { continue };
        ensure!(rules.kind.is_none(), "{shown} is a Kubernetes object, and promtool takes plain rule files");
        groups.extend(rules.groups.into_iter().flatten());
    }
    groups.sort_by_key(|group| file.group_eval_order.iter().position(|name| *name == group.name).unwrap_or_default());
    Ok(groups)
}

pub fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// The least duration that is a multiple of both.
fn multiple(one: Duration, other: Option<Duration>) -> Duration {
    let Some(other) = other else { return one };
    let (mut a, mut b) = (one.as_millis(), other.as_millis());
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let least = one.as_millis() / a.max(1) * other.as_millis();
    Duration::from_millis(u64::try_from(least).unwrap_or(u64::MAX))
}
