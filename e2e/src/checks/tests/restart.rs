//! `labels-stable`.

use super::*;
use crate::checks::restart::changes;

#[test]
fn a_label_that_changes_at_a_restart_is_named() {
    let series = |of: &[(&str, &[&str])]| {
        let labels = |value: &&str| BTreeMap::from([("x".to_owned(), (*value).to_owned())]);
        of.iter().map(|(name, values)| ((*name).to_owned(), values.iter().map(labels).collect())).collect()
    };
    // The second metric has values that come and go, and the last one is not there yet.
    let before = series(&[("a", &["1", "2"]), ("b", &["1", "2"]), ("c", &["1"]), ("d", &["1"])]);
    let after = series(&[("a", &["3", "4"]), ("b", &["2", "3"]), ("c", &["9"])]);
    assert_eq!(changes(&before, &after), ["`x` of a, c, such as from `1` to `3`"]);
    assert_eq!(changes(&before, &before), [""; 0]);
    let judged = judged("labels-stable", &stack(Procfs::Unseen, &[]));
    assert_snapshot!(shown([judged]), @"omit nothing to restart; name a program with `--command`");
}
