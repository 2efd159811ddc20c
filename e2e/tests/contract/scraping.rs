//! The labels that are attached to what is scraped: dashboard and rules are written for them.

use crate::catalogue::Labels;
use e2e::stack::JOB;

use crate::shipped::{self, PROMETHEUS_CONFIG};

#[test]
fn the_cluster_and_the_local_lab_attach_the_same_labels() {
    let expected: Labels = ["instance", "job", "node"].map(str::to_owned).into();
    for (place, jobs) in [(PROMETHEUS_CONFIG, shipped::cluster_jobs()), ("the local lab", shipped::local_jobs())] {
        assert_eq!(jobs[JOB], expected, "{place}: job `{JOB}`");
    }
}

#[test]
fn both_scrape_the_same_jobs() {
    let names = |jobs: crate::scrape::Jobs| jobs.into_keys().collect::<Vec<_>>();
    assert_eq!(names(shipped::cluster_jobs()), names(shipped::local_jobs()));
}
