//! What is played of a test: its rules, as one group or as their own, at another speed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fs_err as fs;
use promql_parser::parser::Expr;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::chain::{Chain, Records};
use super::file::{AlertTest, Test, TestFile, Texts};
use super::notation::Step;
use super::remote_write::Written;
use super::schedule;
use super::speed_up::{self, Indivisible, Scale, divided, duration, uses_query};
use crate::workspace::promql;

/// The rule that comes last in each group: each of its samples is an evaluation that took place.
pub const MARK: &str = "live:mark";

/// The label that says of which group a mark is.
pub const MARKED: &str = "live_mark";

/// The speeds to choose from.
const SPEEDS: [u32; 14] = [1000, 500, 250, 125, 100, 50, 40, 25, 20, 10, 5, 4, 2, 1];

/// The shortest time between two evaluations.
const SHORTEST: Duration = Duration::from_millis(200);

/// How long a play may take.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// How long the start of a play may have to wait until all intervals and steps meet.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How the groups of rules are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As promtool does: all rules as one group, at multiples of `evaluation_interval`.
    #[default]
    Aligned,
    /// As in production: every group at its own interval, and at four offsets.
    Real,
}

/// The rules, samples and questions of a test.
pub struct Plan<'a> {
    pub test: &'a Test,
    pub mode: Mode,
    pub evaluation_interval: Duration,
    pub fuzzy_compare: bool,
    /// Whether a rule or a query calculates with durations.
    pub is_rounded: bool,
    pub groups: Vec<PlayedGroup>,
    /// What each test of alerts, and each query, depends on.
    pub chains: Chains,
    /// Until when the rules are evaluated.
    pub end: Duration,
    /// After which time the evaluations and the steps of all subqueries meet.
    alignment: Duration,
    /// How long this machine takes to rewrite the rules.
    pub rewriting: Duration,
}

/// A group as it is played.
pub struct PlayedGroup {
    pub name: String,
    pub interval: Duration,
    /// How far before its time a rule is evaluated.
    pub query_offset: Duration,
    pub rules: Vec<Rule>,
    /// What else the group says.
    other: Map<String, Value>,
}

/// What the expectations of a test depend on, in their order.
#[derive(Default)]
pub struct Chains {
    pub alerts: Vec<Chain>,
    pub queries: Vec<Chain>,
}

impl<'a> Plan<'a> {
    /// Reads the rules of a test; fails for what cannot be played.
    pub fn new(mode: Mode, file: &TestFile, test: &'a Test) -> Result<Self> {
        let groups = ordered(file)?;
        let groups = match mode {
            Mode::Aligned => vec![merged(groups, file.evaluation_interval)?],
            Mode::Real => {
                let own = groups.into_iter().map(|group| own(group, file.evaluation_interval));
                own.collect::<Result<_>>()?
            }
        };
        let mut plan = Self {
            test,
            mode,
            evaluation_interval: file.evaluation_interval,
            fuzzy_compare: file.fuzzy_compare,
            is_rounded: false,
            groups,
            chains: Chains::default(),
            end: test.end(),
            alignment: file.evaluation_interval,
            rewriting: Duration::ZERO,
        };
        if mode == Mode::Real {
            plan.keep_what_is_read()?;
        }
        plan.look_at_chains()?;
        plan.look_at_queries()?;
        let began = Instant::now();
        plan.rules(Scale { speed: 1, start: Some(0) }, &plan.names())?;
        plan.rewriting = began.elapsed();
        Ok(plan)
    }

    /// The alerts of tests that no rule defines.
    pub fn undefined(&self) -> BTreeSet<&str> {
        let rules = || self.groups.iter().flat_map(|group| &group.rules);
        let names = self.test.alerts.iter().map(|test| &*test.name);
        names.filter(|name| rules().all(|rule| rule.alert.as_deref() != Some(name))).collect()
    }

    /// Drops the groups that no expectation depends on, which would only take time.
    fn keep_what_is_read(&mut self) -> Result<()> {
        let of_alerts = self.test.series.iter().filter(|series| series.labels["__name__"] == "ALERTS");
        let given: BTreeSet<&String> = of_alerts.filter_map(|series| series.labels.get("alertname")).collect();
        if let Some(AlertTest { name, .. }) = self.test.alerts.iter().find(|test| given.contains(&test.name)) {
            bail!("it has a series `ALERTS` of {name}, which cannot be told from what the rules write");
        }
        let chains = self.chains()?;
        let is_read = |place: usize| chains.all().any(|chain| chain.groups.contains(&place));
        let groups = std::mem::take(&mut self.groups).into_iter().enumerate();
        self.groups = groups.filter(|(place, _)| is_read(*place)).map(|(_, group)| group).collect();
        let mut rules = self.groups.iter().flat_map(|group| &group.rules);
        let labels = |rule: &&Rule| rule.labels.iter().flat_map(Texts::values).flatten().any(|text| uses_query(text));
        if let Some(rule) = rules.find(labels) {
            bail!("`{}` has a label with a query, and it is not known what it reads", rule.name());
        }
        Ok(())
    }

    /// Notes what the expectations depend on, and until when they may be met.
    fn look_at_chains(&mut self) -> Result<()> {
        let Test { alerts, queries, .. } = self.test;
        if self.mode == Mode::Aligned {
            self.chains.alerts.resize(alerts.len(), Chain::default());
            self.chains.queries.resize(queries.len(), Chain::default());
            return Ok(());
        }
        self.chains = self.chains()?;
        let times = alerts.iter().map(|test| test.at).chain(queries.iter().map(|test| test.at));
        let ends = times.zip(self.chains.all()).map(|(at, chain)| at + chain.whole);
        self.end = ends.max().unwrap_or_default();
        Ok(())
    }

    fn chains(&self) -> Result<Chains> {
        let records = Records::new(&self.groups);
        Ok(Chains {
            alerts: self.test.alerts.iter().map(|test| records.of_alert(&test.name)).collect::<Result<_>>()?,
            queries: self.test.queries.iter().map(|test| records.of_query(&test.expr)).collect::<Result<_>>()?,
        })
    }

    /// The groups whose order matters to an expectation.
    pub fn linked(&self) -> BTreeSet<usize> {
        self.chains
            .all()
            .filter(|chain| chain.groups.len() > 1)
            .flat_map(|chain| chain.groups.iter().copied())
            .collect()
    }

    /// Names for the groups, as long as nothing depends on them.
    fn names(&self) -> Vec<String> {
        (0..self.groups.len()).map(|index| index.to_string()).collect()
    }

    /// Notes what the queries of rules and test calculate.
    fn look_at_queries(&mut self) -> Result<()> {
        let of_rules = self.groups.iter().flat_map(|group| &group.rules).map(Rule::parse);
        let of_test = self.test.queries.iter().map(|test| speed_up::parse(&test.expr));
        let queries = of_rules.chain(of_test).collect::<Result<Vec<Expr>>>()?;
        let intervals = self.groups.iter().map(|group| group.interval);
        let mut alignment = intervals.fold(self.alignment, |all, interval| multiple(all, Some(interval)));
        for tree in queries {
            self.is_rounded |= speed_up::is_rounded(&tree);
            for part in promql::parts(&tree) {
                if let Expr::Subquery(subquery) = part {
                    alignment = multiple(alignment, subquery.step);
                }
            }
            let marks = promql::selectors(&tree).find(|selector| speed_up::may_select(selector, MARK));
            if let Some(selector) = marks {
                bail!("`{selector}` selects by a pattern of names, and finds the samples of the lab, too");
            }
        }
        self.alignment = alignment;
        Ok(())
    }

    /// How many steps of `evaluation_interval` follow the first.
    pub fn steps(&self) -> u32 {
        self.step_of(self.end)
    }

    /// The evaluation that decides what is so at a time.
    pub fn step_of(&self, time: Duration) -> u32 {
        u32::try_from(time.as_millis() / self.evaluation_interval.as_millis()).unwrap_or(u32::MAX)
    }

    /// The highest speed, no higher than `highest`, that divides every duration; fails where the play takes too long.
    pub fn speed(&self, highest: u32) -> Result<u32> {
        let Some(speed) = self.fitting(highest) else { return self.check(1).map(|()| 1) };
        let takes = self.end / speed;
        ensure!(
            takes <= LONGEST,
            "it takes {} at speed {speed}; a play may take {} minutes at most",
            humantime::format_duration(Duration::from_secs(takes.as_secs())),
            LONGEST.as_secs() / 60
        );
        let wait = self.alignment / speed;
        ensure!(
            wait <= LONGEST_WAIT,
            "the intervals of its groups and the steps of its subqueries meet only every {}",
            humantime::format_duration(wait)
        );
        Ok(speed)
    }

    /// Fails for a speed that does not fit, with one that does.
    pub fn expect_fits(&self, speed: u32) -> Result<()> {
        let mut result = self.check(speed);
        if let (Err(reason), Some(fits)) = (&mut result, self.fitting(speed)) {
            match reason.downcast_mut::<Indivisible>() {
                Some(indivisible) => indivisible.fits = fits,
                None => bail!("{reason:#}; use e.g. {fits}"),
            }
        }
        result
    }

    /// The highest of the speeds, no higher than `highest`, that fits.
    fn fitting(&self, highest: u32) -> Option<u32> {
        SPEEDS.into_iter().filter(|speed| *speed <= highest).find(|speed| self.check(*speed).is_ok())
    }

    /// Fails where a speed leaves no time between evaluations, or divides a duration not into whole milliseconds.
    fn check(&self, speed: u32) -> Result<()> {
        let intervals = || self.groups.iter().map(|group| group.interval).chain([self.evaluation_interval]);
        // Groups that read each other are evaluated one after the other within an interval.
        let shortest = SHORTEST * (1 << (schedule::bits(self.linked().len()) - 2).min(2));
        let times = self.test.series.iter().flat_map(|series| &series.samples).map(|(time, _)| *time);
        let asked = self.test.queries.iter().map(|test| test.at);
        for time in intervals().chain(times).chain(asked) {
            divided(time, speed)?;
        }
        if let Some(interval) = intervals().find(|interval| speed > 1 && *interval / speed < shortest) {
            let [left, shortest] = [interval / speed, shortest].map(humantime::format_duration);
            bail!("speed {speed} leaves {left} between two evaluations, which need {shortest}");
        }
        self.rules(Scale { speed, start: Some(0) }, &self.names()).map(drop)
    }

    /// After which time of the clock evaluations and subqueries meet.
    pub fn alignment(&self, speed: u32) -> Duration {
        self.alignment / speed
    }

    /// The rule file, its groups under these names.
    pub fn rules(&self, scale: Scale, names: &[String]) -> Result<Value> {
        for test in &self.test.queries {
            scale.query(&test.expr)?;
        }
        let groups = self.groups.iter().zip(names).enumerate();
        let groups = groups.map(|(place, (group, name))| {
            let rules = group.rules.iter().map(|rule| self.scaled(scale, rule.clone()).with_context(|| rule.place()));
            let mut rules = rules.collect::<Result<Vec<_>>>()?;
            rules.push(json!({ "record": MARK, "expr": "vector(1)", "labels": { MARKED: place.to_string() } }));
            let mut shown = Value::Object(group.other.clone());
            shown["name"] = name.as_str().into();
            shown["interval"] = milliseconds(group.interval).into();
            scale.durations(&mut shown)?;
            shown["rules"] = rules.into();
            Ok(shown)
        });
        Ok(json!({ "groups": groups.collect::<Result<Vec<_>>>()? }))
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

    /// The samples after one time, until another.
    pub fn samples(&self, begin: Option<Duration>, end: Duration, scale: Scale) -> Vec<Written<'a>> {
        let at = |time: Duration| {
            let since = time / scale.speed;
            scale.start.unwrap_or_default() + u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        let of_series = self.test.series.iter().map(|series| {
            // The samples are sorted.
            let first = series.samples.partition_point(|(time, _)| begin.is_some_and(|begin| *time <= begin));
            let new = series.samples[first..].iter().take_while(|(time, _)| *time <= end);
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
#[derive(Default, Deserialize)]
struct Group {
    name: String,
    interval: Option<String>,
    limit: Option<u64>,
    query_offset: Option<String>,
    labels: Option<Texts>,
    rules: Option<Vec<Rule>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A rule.
#[derive(Clone, Deserialize, Serialize)]
pub struct Rule {
    /// The rule file.
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    pub expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    labels: Option<Texts>,
    annotations: Option<Texts>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Rule {
    /// The name of what it writes.
    pub fn name(&self) -> &str {
        self.alert.as_ref().or(self.record.as_ref()).map_or("", String::as_str)
    }

    /// Its expression; the error names the rule.
    pub fn parse(&self) -> Result<Expr> {
        speed_up::parse(&self.expr).with_context(|| self.place())
    }

    fn place(&self) -> String {
        format!("{}: `{}`", self.file.display(), self.name())
    }
}

impl Chains {
    /// All of them: of alerts, and then of queries.
    fn all(&self) -> impl Iterator<Item = &Chain> {
        self.alerts.iter().chain(&self.queries)
    }
}

/// All groups as one, at the interval of the tests.
fn merged(groups: Vec<Group>, interval: Duration) -> Result<PlayedGroup> {
    let differs =
        groups.windows(2).any(|pair| pair[0].limit != pair[1].limit || pair[0].query_offset != pair[1].query_offset);
    ensure!(!differs, "its groups differ in `limit` or `query_offset`, and are played as one");
    let mut all = own(Group::default(), interval)?;
    for group in groups {
        let PlayedGroup { query_offset, rules, other, .. } = own(group, interval)?;
        all.query_offset = query_offset;
        all.rules.extend(rules);
        all.other.extend(other);
    }
    all.interval = interval;
    Ok(all)
}

/// A group by itself, whose rules get its labels.
fn own(group: Group, evaluation_interval: Duration) -> Result<PlayedGroup> {
    let Group { name, interval, limit, query_offset, labels, rules, mut other } = group;
    let mut rules = rules.unwrap_or_default();
    for rule in &mut rules {
        rule.labels = [labels.clone(), rule.labels.take()]
            .into_iter()
            .flatten()
            .reduce(|group, own| group.into_iter().chain(own).collect());
    }
    other.extend(limit.map(|limit| ("limit".to_owned(), limit.into())));
    other.extend(query_offset.clone().map(|offset| ("query_offset".to_owned(), offset.into())));
    let read = |text: Option<&String>| text.map(|text| duration(text)).transpose();
    Ok(PlayedGroup {
        name,
        interval: read(interval.as_ref())?.filter(|own| !own.is_zero()).unwrap_or(evaluation_interval),
        query_offset: read(query_offset.as_ref())?.unwrap_or_default(),
        rules,
        other,
    })
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
        groups.extend(rules.groups.into_iter().flatten().map(|mut group: Group| {
            group.rules.iter_mut().flatten().for_each(|rule| rule.file.clone_from(path));
            group
        }));
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
