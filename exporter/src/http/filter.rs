//! `?collect[]=NAME` runs only the named collectors, `?exclude[]=NAME` all but the named ones, and of what they expose
//! `?name[]=METRIC` shows only the named metrics.

use crate::collector::{self, Collector};

const COLLECT: &str = "collect[]";
const EXCLUDE: &str = "exclude[]";
const NAME: &str = "name[]";

/// What a query wants of a scrape.
pub(super) struct ScrapeFilter {
    /// The collectors to run.
    pub(super) collectors: Vec<&'static dyn Collector>,
    /// The metrics to expose; all if it is empty.
    pub(super) names: Vec<String>,
}

impl ScrapeFilter {
    /// Parses a query. Other parameters are ignored. An error repeats no part of the query but a collector's name.
    pub(super) fn parse(query: &str, enabled: &[&'static dyn Collector]) -> Result<Self, String> {
        let (mut collect, mut exclude, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                COLLECT => collect.push(known(COLLECT, &value, enabled)?),
                EXCLUDE => exclude.push(known(EXCLUDE, &value, enabled)?),
                NAME => names.push(value.into_owned()),
                _ => {}
            }
        }
        if !collect.is_empty() && !exclude.is_empty() {
            return Err(format!("`{COLLECT}` and `{EXCLUDE}` cannot be combined"));
        }
        if let Some(name) = collect.iter().find(|name| enabled.iter().all(|enabled| enabled.name() != **name)) {
            return Err(format!("the collector `{name}` is disabled"));
        }
        let runs = |name| !exclude.contains(&name) && (collect.is_empty() || collect.contains(&name));
        Ok(Self { collectors: enabled.iter().copied().filter(|one| runs(one.name())).collect(), names })
    }
}

/// Returns the collector's name as it stands in our own table.
fn known(key: &str, name: &str, enabled: &[&'static dyn Collector]) -> Result<&'static str, String> {
    let mut all = collector::TABLE.iter().chain(enabled);
    all.find(|collector| collector.name() == name)
        .map(|collector| collector.name())
        .ok_or_else(|| format!("unknown collector in `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str, enabled: &[&'static dyn Collector]) -> Result<Vec<&'static str>, String> {
        Ok(ScrapeFilter::parse(query, enabled)?.collectors.iter().map(|one| one.name()).collect())
    }

    #[test]
    fn a_query_chooses_collectors() {
        let all = &collector::defaults()[..];
        assert_eq!(names("", all), Ok(vec!["load", "uptime"]));
        assert_eq!(names("format=text&collect=load&%5B%5D", all), Ok(vec!["load", "uptime"]));
        assert_eq!(names("collect[]=load", all), Ok(vec!["load"]));
        assert_eq!(names("collect%5B%5D=load&collect[]=uptime&collect[]=load", all), Ok(vec!["load", "uptime"]));
        assert_eq!(names("exclude[]=load&x=y", all), Ok(vec!["uptime"]));
        assert_eq!(names("exclude[]=load&exclude[]=uptime", all), Ok(vec![]));
    }

    #[test]
    fn a_contradictory_query_is_refused() {
        let all = &collector::defaults()[..];
        for (query, enabled, reason) in [
            ("collect[]=load&exclude[]=uptime", all, "`collect[]` and `exclude[]` cannot be combined"),
            ("collect[]=cpu", all, "unknown collector in `collect[]`"),
            ("exclude[]=", all, "unknown collector in `exclude[]`"),
            ("collect[]=load", &all[1..], "the collector `load` is disabled"),
        ] {
            assert_eq!(names(query, enabled), Err(reason.to_string()));
        }
        assert_eq!(names("exclude[]=load", &all[1..]), Ok(vec!["uptime"]));
    }
}
