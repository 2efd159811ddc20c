//! `?collect[]=NAME` runs only the named collectors, `?exclude[]=NAME` all but the named ones, and of what they expose
//! `?name[]=METRIC` shows only the named metrics.

use crate::collector::{self, Collector};

/// Why a filter makes no sense. No part of the query is repeated that is not a collector's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFilter {
    #[error("`collect[]` and `exclude[]` cannot be combined")]
    Both,
    #[error("`{0}` names an unknown collector")]
    Unknown(&'static str),
    #[error("the collector `{0}` is disabled")]
    Disabled(&'static str),
}

const COLLECT: &str = "collect[]";
const EXCLUDE: &str = "exclude[]";
const NAME: &str = "name[]";

/// What a query asks for.
#[derive(Clone)]
pub(super) struct Filter {
    /// These collectors; `None` where the query does not say.
    pub(super) collectors: Option<Vec<&'static dyn Collector>>,
    /// These metrics; all where there is none.
    pub(super) names: Vec<String>,
}

impl Filter {
    /// Reads a query. Other parameters are ignored.
    pub(super) fn parse(query: &str, enabled: &[&'static dyn Collector]) -> Result<Self, BadFilter> {
        let (mut collect, mut exclude, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                COLLECT => collect.push(known(COLLECT, &value, enabled)?),
                EXCLUDE => exclude.push(known(EXCLUDE, &value, enabled)?),
                NAME => names.push(value.into_owned()),
                _ => {}
            }
        }
        let keep: Box<dyn Fn(&str) -> bool> = match (collect.is_empty(), exclude.is_empty()) {
            (true, true) => return Ok(Self { collectors: None, names }),
            (false, false) => return Err(BadFilter::Both),
            (false, true) => {
                let is_enabled = |name: &&str| enabled.iter().any(|collector| collector.name() == *name);
                if let Some(name) = collect.iter().find(|name| !is_enabled(name)) {
                    return Err(BadFilter::Disabled(name));
                }
                Box::new(|name| collect.contains(&name))
            }
            (true, false) => Box::new(|name| !exclude.contains(&name)),
        };
        let collectors = enabled.iter().copied().filter(|collector| keep(collector.name())).collect();
        Ok(Self { collectors: Some(collectors), names })
    }
}

/// The collector's name out of our own table.
fn known(key: &'static str, name: &str, enabled: &[&'static dyn Collector]) -> Result<&'static str, BadFilter> {
    let mut all = collector::TABLE.iter().chain(enabled);
    all.find(|collector| collector.name() == name).map(|collector| collector.name()).ok_or(BadFilter::Unknown(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str, enabled: &[&'static dyn Collector]) -> Result<Option<Vec<&'static str>>, BadFilter> {
        let filter = Filter::parse(query, enabled)?;
        Ok(filter.collectors.map(|some| some.iter().map(|one| one.name()).collect()))
    }

    #[test]
    fn a_query_chooses_collectors() {
        let all = &collector::defaults()[..];
        assert_eq!(names("", all), Ok(None));
        assert_eq!(names("format=text&collect=load&%5B%5D", all), Ok(None));
        assert_eq!(names("collect[]=load", all), Ok(Some(vec!["load"])));
        assert_eq!(names("collect%5B%5D=load&collect[]=uptime&collect[]=load", all), Ok(Some(vec!["load", "uptime"])));
        assert_eq!(names("exclude[]=load&x=y", all), Ok(Some(vec!["uptime"])));
        assert_eq!(names("exclude[]=load&exclude[]=uptime", all), Ok(Some(vec![])));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let all = &collector::defaults()[..];
        assert_eq!(names("collect[]=load&exclude[]=uptime", all), Err(BadFilter::Both));
        assert_eq!(names("collect[]=cpu", all), Err(BadFilter::Unknown("collect[]")));
        assert_eq!(names("exclude[]=", all), Err(BadFilter::Unknown("exclude[]")));
        assert_eq!(names("collect[]=load", &all[1..]), Err(BadFilter::Disabled("load")));
        assert_eq!(names("exclude[]=load", &all[1..]), Ok(Some(vec!["uptime"])));
    }
}
