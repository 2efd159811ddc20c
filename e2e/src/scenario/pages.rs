//! What a scenario expects of Alertmanager, for which promtool has no words: comments in its file, which promtool ignores.
//!
//! | comment | |
//! |---|---|
//! | `# lab: ALERT delivered to RECEIVER by TIME` | a page to this receiver held the alert by then |
//! | `# lab: ALERT not delivered by TIME` | no page to any receiver did |
//! | `# lab: ALERT grouped with ALERT by TIME` | one page held both by then |
//! | `# lab: ALERT inhibited by ALERT at TIME` | at that time the other keeps it from being delivered |
//!
//! An alert is a name, labels, or both, as a series: `TargetDown{node="a"}`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use regex::Regex;

use crate::client::alertmanager::{Alert, Alertmanager, Page};
use crate::client::prometheus::{Labels, Prometheus};
use crate::play::notation::{self, written};
use crate::play::speed_up::duration;

/// The label that holds an alert's name.
const NAME: &str = "alertname";

/// What is expected of the pages about an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct PageExpectation {
    alert: AlertLabels,
    expected: Expected,
}

#[derive(Clone, Debug, PartialEq)]
enum Expected {
    /// To this receiver.
    Delivered(String),
    NotDelivered,
    GroupedWith(AlertLabels),
    InhibitedBy(AlertLabels),
}

/// Some of the labels of an alert.
#[derive(Clone, Debug, PartialEq)]
struct AlertLabels(Labels);

/// An alert, then what is expected of it, and when.
static NOTE: LazyLock<Regex> = LazyLock::new(|| {
    let labels = r#"\{(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|[^"'`}])*\}"#;
    let alert = format!(r"(?:[^\s{{]+(?:{labels})?|{labels})");
    let expected = format!(
        r"delivered\s+to\s+(?<receiver>.+)\s+by|(?<not>not\s+delivered)\s+by|grouped\s+with\s+(?<other>{alert})\s+by|inhibited\s+by\s+(?<source>{alert})\s+at"
    );
    #[expect(clippy::expect_used, reason = "it is written here")]
    Regex::new(&format!(r"^(?<alert>{alert})\s+(?:{expected})\s+(?<time>\S+)$")).expect("a valid pattern")
});

impl PageExpectation {
    /// Reads a comment, without `lab:`; returns the time, too.
    pub fn read(note: &str) -> Result<(Duration, Self)> {
        let found = NOTE.captures(note).with_context(|| {
            format!(
                "unknown comment `lab: {note}`; expected `lab: NODE hangs`, `lab: ALERT delivered to RECEIVER by TIME`, \
                 `lab: ALERT not delivered by TIME`, `lab: ALERT grouped with ALERT by TIME` or \
                 `lab: ALERT inhibited by ALERT at TIME`"
            )
        })?;
        let alert = |name: &str| found.name(name).map(|text| AlertLabels::parse(text.as_str())).transpose();
        let expected = match (found.name("receiver"), alert("other")?, alert("source")?) {
            (Some(receiver), ..) => Expected::Delivered(receiver.as_str().to_owned()),
            (_, Some(other), _) => Expected::GroupedWith(other),
            (_, _, Some(source)) => Expected::InhibitedBy(source),
            _ => Expected::NotDelivered,
        };
        Ok((duration(&found["time"])?, Self { alert: AlertLabels::parse(&found["alert"])?, expected }))
    }

    /// The names of the alerts that it is about.
    pub fn alerts(&self) -> impl Iterator<Item = &str> {
        let other = match &self.expected {
            Expected::GroupedWith(other) | Expected::InhibitedBy(other) => Some(other),
            Expected::Delivered(_) | Expected::NotDelivered => None,
        };
        [Some(&self.alert), other].into_iter().flatten().filter_map(|alert| alert.0.get(NAME).map(String::as_str))
    }

    /// The receiver that it is about.
    pub fn receiver(&self) -> Option<&str> {
        if let Expected::Delivered(receiver) = &self.expected { Some(receiver) } else { None }
    }

    /// Fails with what was seen until that time instead. Alerts that are not the scenario's own are ignored.
    pub fn judge(&self, seen: &Seen<'_>) -> Result<()> {
        let alert = &self.alert;
        let holding = |alert: &AlertLabels| {
            let pages = seen.pages.iter().filter(|page| page.alerts.iter().any(|paged| alert.fits(&paged.labels)));
            pages.map(|page| page.receiver.as_str()).collect::<BTreeSet<_>>()
        };
        match &self.expected {
            Expected::Delivered(receiver) => match holding(alert) {
                receivers if receivers.contains(receiver.as_str()) => Ok(()),
                receivers if receivers.is_empty() => bail!("{}", seen.undelivered(alert)?),
                receivers => bail!("it was delivered to {}", quoted(&receivers)),
            },
            Expected::NotDelivered => {
                let mut paged = seen.pages.iter().flat_map(|page| page.alerts.iter().map(move |alert| (page, alert)));
                match paged.find(|(_, paged)| alert.fits(&paged.labels)) {
                    Some((page, paged)) => {
                        bail!("{} was delivered to `{}`", AlertLabels(paged.labels.clone()), page.receiver)
                    }
                    None => Ok(()),
                }
            }
            Expected::GroupedWith(other) => {
                if seen.pages.iter().any(|page| holds_both(page, alert, other)) {
                    return Ok(());
                }
                for alert in [alert, other] {
                    ensure!(!holding(alert).is_empty(), "{alert} was not delivered: {}", seen.undelivered(alert)?);
                }
                bail!("they were delivered in different pages")
            }
            Expected::InhibitedBy(source) => seen.expect_inhibited(alert, source),
        }
    }
}

impl fmt::Display for PageExpectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alert = &self.alert;
        match &self.expected {
            Expected::Delivered(receiver) => write!(f, "{alert} is delivered to {receiver}"),
            Expected::NotDelivered => write!(f, "{alert} is not delivered"),
            Expected::GroupedWith(other) => write!(f, "{alert} is grouped with {other}"),
            Expected::InhibitedBy(source) => write!(f, "{alert} is inhibited by {source}"),
        }
    }
}

impl AlertLabels {
    fn parse(text: &str) -> Result<Self> {
        let mut labels = notation::series(text)?;
        if let Some(name) = labels.remove("__name__") {
            labels.insert(NAME.to_owned(), name);
        }
        Ok(Self(labels))
    }

    /// Whether an alert has these labels.
    fn fits(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

impl fmt::Display for AlertLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = self.0.clone();
        let name = labels.remove(NAME).unwrap_or_default();
        let labels = if labels.is_empty() { String::new() } else { written(&labels) };
        write!(f, "{name}{labels}")
    }
}

/// What can be seen of the alerts of a scenario.
pub struct Seen<'s> {
    alertmanager: &'s Alertmanager,
    prometheus: &'s Prometheus,
    /// Whether an alert with these labels is one of them.
    is_own: &'s dyn Fn(&Labels) -> bool,
    /// With what fired in each.
    pages: Vec<Page>,
}

impl<'s> Seen<'s> {
    /// The pages from one time to another.
    pub fn within(
        times: &RangeInclusive<SystemTime>,
        alertmanager: &'s Alertmanager,
        prometheus: &'s Prometheus,
        is_own: &'s dyn Fn(&Labels) -> bool,
    ) -> Result<Self> {
        let mut pages = alertmanager.pages().context("the pages of this Alertmanager cannot be seen")?.all();
        pages.retain(|page| times.contains(&page.received));
        for page in &mut pages {
            page.alerts.retain(|alert| alert.status == "firing" && is_own(&alert.labels));
        }
        Ok(Self { alertmanager, prometheus, is_own, pages })
    }

    fn expect_inhibited(&self, alert: &AlertLabels, source: &AlertLabels) -> Result<()> {
        let all = self.alertmanager.all_alerts()?;
        let mut of_it = self.held(&all, alert).peekable();
        ensure!(of_it.peek().is_some(), "{}", self.missing(alert)?);
        for held in of_it {
            let mut sources = all.iter().filter(|other| held.inhibited_by().contains(&other.fingerprint));
            if !sources.any(|other| source.fits(&other.labels)) {
                bail!("{}: {}", AlertLabels(held.labels.clone()), whereabouts(held, &all));
            }
        }
        Ok(())
    }

    /// Why an alert is in no page.
    fn undelivered(&self, alert: &AlertLabels) -> Result<String> {
        let all = self.alertmanager.all_alerts()?;
        match self.held(&all, alert).next() {
            None => self.missing(alert),
            Some(held) => Ok(format!("{}; {}", whereabouts(held, &all), self.alertmanager.refusals()?)),
        }
    }

    /// The alerts of Alertmanager that fit.
    fn held<'a>(&self, all: &'a [Alert], alert: &AlertLabels) -> impl Iterator<Item = &'a Alert> {
        all.iter().filter(move |held| (self.is_own)(&held.labels) && alert.fits(&held.labels))
    }

    /// Why Alertmanager does not have an alert.
    fn missing(&self, alert: &AlertLabels) -> Result<String> {
        if self.prometheus.alertmanagers()?.is_empty() {
            return Ok("Prometheus knows no Alertmanager; name one in `alerting` in its configuration".to_owned());
        }
        let active = self.prometheus.query("ALERTS")?;
        let of_it = active.iter().filter(|sample| (self.is_own)(&sample.labels) && alert.fits(&sample.labels));
        let states: BTreeSet<&str> = of_it.map(|sample| sample.label("alertstate")).collect();
        let state = if states.is_empty() {
            "inactive".to_owned()
        } else {
            states.into_iter().collect::<Vec<_>>().join(" and ")
        };
        Ok(format!("Alertmanager has no such alert; in Prometheus it is {state}"))
    }
}

/// What keeps an alert from being delivered, or whom it is for.
fn whereabouts(alert: &Alert, all: &[Alert]) -> String {
    let sources = all.iter().filter(|other| alert.inhibited_by().contains(&other.fingerprint));
    let sources: Vec<String> = sources.map(|source| AlertLabels(source.labels.clone()).to_string()).collect();
    if sources.is_empty() { alert.whereabouts() } else { format!("it is inhibited by {}", sources.join(" and ")) }
}

fn holds_both(page: &Page, one: &AlertLabels, other: &AlertLabels) -> bool {
    let fitting = |alert: &AlertLabels| {
        let fits = page.alerts.iter().enumerate().filter(|(_, paged)| alert.fits(&paged.labels));
        fits.map(|(index, _)| index).collect::<BTreeSet<_>>()
    };
    let (one, other) = (fitting(one), fitting(other));
    // A page with a single alert that fits both does not hold two.
    !one.is_empty() && !other.is_empty() && one.union(&other).count() > 1
}

fn quoted(names: &BTreeSet<&str>) -> String {
    format!("`{}`", names.iter().copied().collect::<Vec<_>>().join("`, `"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use super::*;
    use crate::client::alertmanager::{Delivery, Pages};
    use crate::client::stand_in::StandIn;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn comments_are_read_in_every_form() {
        let shown = [
            "Down delivered to on call by 30m",
            r#"Down{ node="a b", cluster = 'c}' } not delivered by 1h30m"#,
            r#"{node="a"} grouped with Down{node="by 5m"} by 5m"#,
            r#"Down inhibited by Up{a="\"}"} at 0m"#,
        ]
        .map(|note| {
            let (at, expectation) = PageExpectation::read(note).unwrap();
            format!("{} s: {expectation}", at.as_secs())
        });
        assert_snapshot!(shown.join("\n"), @r#"
        1800 s: Down is delivered to on call
        5400 s: Down{cluster="c}", node="a b"} is not delivered
        300 s: {node="a"} is grouped with Down{node="by 5m"}
        0 s: Down is inhibited by Up{a="\"}"}
        "#);
        for note in [
            "Down fires by 5m",
            "Down delivered to by 5m",
            "Down delivered to pages at 5m",
            "Down inhibited by Up by 5m",
            "not delivered by 5m",
            r#"Down{node="a} not delivered by 5m"#,
            "Down not delivered by",
        ] {
            let error = format!("{:#}", PageExpectation::read(note).unwrap_err());
            assert!(
                error.starts_with(&format!("unknown comment `lab: {note}`; expected `lab: NODE hangs`")),
                "{error}"
            );
        }
        for (note, said) in [
            ("Down not delivered by soon", "invalid duration `soon`"),
            ("Down{node=a} not delivered by 5m", "invalid series `Down{node=a}`; expected NAME{LABEL"),
        ] {
            let error = format!("{:#}", PageExpectation::read(note).unwrap_err());
            assert!(error.starts_with(said), "{error}");
        }
    }

    /// An Alertmanager that has delivered these pages and holds these alerts, and a Prometheus that knows it or not.
    struct World {
        pages: Vec<(&'static str, Value)>,
        held: Vec<Value>,
        failed: u32,
        is_known: bool,
        active: Vec<Value>,
    }

    impl Default for World {
        fn default() -> Self {
            Self { pages: Vec::new(), held: Vec::new(), failed: 0, is_known: true, active: Vec::new() }
        }
    }

    impl World {
        /// What is seen of it instead.
        fn judge(&self, note: &str) -> String {
            let pages = Pages::default();
            for (receiver, alerts) in &self.pages {
                let page = json!({ "receiver": receiver, "status": "firing", "alerts": alerts });
                pages.add(serde_json::from_value(page).unwrap());
            }
            let now = SystemTime::now();
            for (receiver, received) in [("before", now - 2 * MINUTE), ("after", now + MINUTE)] {
                let page = json!({ "receiver": receiver, "status": "firing", "alerts": [paged("Down", "a")] });
                pages.add(Page { received, ..serde_json::from_value(page).unwrap() });
            }
            let json = |value: Value| format!("200 application/json\n{value}");
            let known: Vec<Value> = self.is_known.then(|| json!({ "url": "http://a" })).into_iter().collect();
            let metrics =
                format!("200 text/plain\nalertmanager_notification_requests_failed_total{{}} {}\n", self.failed);
            let active: Vec<Value> =
                self.active.iter().map(|metric| json!({ "metric": metric, "value": [0, "1"] })).collect();
            let answers = [
                ("/api/v2/alerts", json(json!(self.held))),
                ("/metrics", metrics),
                (
                    "/api/v1/alertmanagers",
                    json(json!({ "status": "success", "data": { "activeAlertmanagers": known } })),
                ),
                (
                    "/api/v1/query",
                    json(json!({ "status": "success", "data": { "resultType": "vector", "result": active } })),
                ),
            ];
            let answers: Vec<(&str, &str)> = answers.iter().map(|(path, answer)| (*path, answer.as_str())).collect();
            let base = StandIn::answering(&answers).base;
            let (alertmanager, prometheus) = (Alertmanager::new(&base, Delivery::Lab(pages)), Prometheus::new(&base));
            let is_own = |labels: &Labels| labels.get("node").is_none_or(|node| node != "other");
            let seen = Seen::within(&(now - MINUTE..=now), &alertmanager, &prometheus, &is_own).unwrap();
            let judged = PageExpectation::read(note).unwrap().1.judge(&seen);
            judged.map_or_else(|error| format!("{error:#}"), |()| "as expected".to_owned())
        }
    }

    fn paged(name: &str, node: &str) -> Value {
        json!({ "labels": { "alertname": name, "node": node }, "status": "firing" })
    }

    fn held(name: &str, node: &str, inhibited_by: &[&str]) -> Value {
        json!({
            "fingerprint": name,
            "labels": { "alertname": name, "node": node },
            "receivers": [{ "name": "pages" }],
            "status": { "state": "active", "inhibitedBy": inhibited_by },
        })
    }

    #[test]
    fn a_page_must_reach_its_receiver() {
        let note = r#"Down{node="a"} delivered to pages by 5m"#;
        let delivered = |receiver, alert| World { pages: vec![(receiver, json!([alert]))], ..World::default() };
        let resolved = json!({ "labels": { "alertname": "Down", "node": "a" }, "status": "resolved" });
        let down = vec![held("Down", "a", &[])];
        let metric = json!({ "alertname": "Down", "node": "a", "alertstate": "pending" });
        let seen = [
            delivered("pages", paged("Down", "a")).judge(note),
            delivered("mail", paged("Down", "a")).judge(note),
            delivered("pages", paged("Down", "b")).judge(note),
            delivered("pages", resolved).judge(note),
            World { held: down.clone(), ..World::default() }.judge(note),
            World { held: down, failed: 3, ..World::default() }.judge(note),
            World { held: vec![held("Down", "a", &["Lost"]), held("Lost", "", &[])], ..World::default() }.judge(note),
            World { active: vec![metric], ..World::default() }.judge(note),
            World { is_known: false, ..World::default() }.judge(note),
            World::default().judge("Down delivered to before by 5m"),
        ];
        assert_snapshot!(seen.join("\n"), @r#"
        as expected
        it was delivered to `mail`
        Alertmanager has no such alert; in Prometheus it is inactive
        Alertmanager has no such alert; in Prometheus it is inactive
        its route leads to the receiver `pages`; no request to a receiver failed
        its route leads to the receiver `pages`; 3 requests to receivers failed since it started
        it is inhibited by Lost{node=""}; no request to a receiver failed
        Alertmanager has no such alert; in Prometheus it is pending
        Prometheus knows no Alertmanager; name one in `alerting` in its configuration
        Alertmanager has no such alert; in Prometheus it is inactive
        "#);
    }

    #[test]
    fn a_page_that_is_not_expected_is_named() {
        let note = "Down not delivered by 5m";
        let delivered = |alert| World { pages: vec![("mail", json!([paged("Up", "a"), alert]))], ..World::default() };
        let seen = [
            World::default().judge(note),
            delivered(paged("Down", "a")).judge(note),
            delivered(paged("Down", "other")).judge(note),
            delivered(paged("Down", "a")).judge(r#"{node="a"} not delivered by 5m"#),
        ];
        assert_snapshot!(seen.join("\n"), @r#"
        as expected
        Down{node="a"} was delivered to `mail`
        as expected
        Up{node="a"} was delivered to `mail`
        "#);
    }

    #[test]
    fn one_page_holds_both() {
        let note = r#"Down{node="a"} grouped with Down by 5m"#;
        let (a, b) = (paged("Down", "a"), paged("Down", "b"));
        let delivered = |pages: &[Value]| World {
            pages: pages.iter().map(|alerts| ("pages", alerts.clone())).collect(),
            held: vec![held("Down", "b", &[])],
            ..World::default()
        };
        let seen = [
            delivered(&[json!([a, b])]).judge(note),
            delivered(&[json!([a])]).judge(note),
            delivered(&[json!([a]), json!([b])]).judge(r#"Down{node="a"} grouped with Down{node="b"} by 5m"#),
            delivered(&[json!([a])]).judge(r#"Down{node="a"} grouped with Down{node="b"} by 5m"#),
        ];
        assert_snapshot!(seen.join("\n"), @r#"
        as expected
        they were delivered in different pages
        they were delivered in different pages
        Down{node="b"} was not delivered: its route leads to the receiver `pages`; no request to a receiver failed
        "#);
    }

    #[test]
    fn what_inhibits_an_alert_is_named() {
        let note = "Down inhibited by Lost at 5m";
        let world = |held| World { held, ..World::default() };
        let (lost, other) = (held("Lost", "", &[]), held("Other", "", &[]));
        let seen = [
            world(vec![held("Down", "a", &["Lost"]), lost.clone()]).judge(note),
            world(vec![held("Down", "a", &["Lost"]), held("Down", "b", &[]), lost]).judge(note),
            world(vec![held("Down", "a", &["Other"]), other]).judge(note),
            world(Vec::new()).judge(note),
        ];
        assert_snapshot!(seen.join("\n"), @r#"
        as expected
        Down{node="b"}: its route leads to the receiver `pages`
        Down{node="a"}: it is inhibited by Other{node=""}
        Alertmanager has no such alert; in Prometheus it is inactive
        "#);
    }
}
