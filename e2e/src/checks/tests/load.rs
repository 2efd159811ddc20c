//! `load`.

use super::*;
use crate::checks::load::{Readings, remember};

#[test]
fn the_three_loads_are_those_of_the_tree() {
    let judge = |loads: &[(&str, f64)]| {
        let tree = tree("", "0.57 0.80 0.77 2/816 12345\n");
        judged("load", &stack(Procfs::Fixture(tree.path().into()), &[(LOAD, self::loads(loads))]))
    };
    let right @ [one, five, fifteen] = [("1m", 0.57), ("5m", 0.8), ("15m", 0.77)];
    let seen = [
        judge(&right),
        judge(&[("1m", 0.8), ("5m", 0.57), fifteen]),
        judge(&[one, five]),
        judge(&[one, five, fifteen, fifteen]),
        judge(&[one, five, ("1h", 0.77)]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass a 0.57 0.8 0.77, as in `loadavg`
    FAIL the loads of `loadavg`: last seen: node_load of a is [0.8, 0.57, 0.77], but `loadavg` said [[0.57, 0.8, 0.77]]
    FAIL the loads of `loadavg`: last seen: node_load of a has durations ["1m", "5m"]; expected ["1m", "5m", "15m"]
    FAIL the loads of `loadavg`: last seen: node_load of a has durations ["1m", "5m", "15m", "15m"]; expected ["1m", "5m", "15m"]
    FAIL the loads of `loadavg`: last seen: node_load of a has durations ["1h", "1m", "5m"]; expected ["1m", "5m", "15m"]
    "#);
}

#[test]
fn a_load_that_cannot_be_compared_is_a_number_of_0_or_more() {
    let judge = |load: f64| {
        let loads = loads(&[("1m", 1.0), ("5m", load), ("15m", 1.0)]);
        judged("load", &stack(Procfs::Unseen, &[(LOAD, loads)]))
    };
    assert_snapshot!(shown([0.0, 7000.0, -0.01, f64::NAN, f64::INFINITY].map(judge)), @"
    pass a 1 0 1, plausible; the node's /proc cannot be reached; not compared
    pass a 1 7000 1, plausible; the node's /proc cannot be reached; not compared
    FAIL the loads of `loadavg`: last seen: node_load of a is [1.0, -0.01, 1.0]; expected finite numbers of 0 or more
    FAIL the loads of `loadavg`: last seen: node_load of a is [1.0, NaN, 1.0]; expected finite numbers of 0 or more
    FAIL the loads of `loadavg`: last seen: node_load of a is [1.0, inf, 1.0]; expected finite numbers of 0 or more
    ");
}

/// The kernel may have made a new reading since the scrape.
#[test]
fn the_last_four_readings_are_kept() {
    let mut readings = Readings::default();
    for reading in [1.0, 2.0, 2.0, 3.0, 4.0, 5.0] {
        remember(&mut readings, [reading; 3]);
    }
    assert_eq!(Vec::from(readings), [2.0, 3.0, 4.0, 5.0].map(|reading| [reading; 3]));
}
