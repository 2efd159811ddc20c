//! `uptime`.

use super::*;

#[test]
fn on_a_fixture_the_uptime_is_exact() {
    let judge = |seen: f64| {
        let tree = tree("1761.77 1.0\n", "");
        judged("uptime", &stack(Procfs::Fixture(tree.path().into()), &[(UPTIME, uptimes(&[seen]))]))
    };
    assert_snapshot!(shown([1761.77, 1761.76, 1761.78].map(judge)), @"
    pass a 1761.77 s, exactly the fixture's value
    FAIL the fixture's uptime: last seen: node_uptime of a is 1761.76, but the fixture's uptime says 1761.77
    FAIL the fixture's uptime: last seen: node_uptime of a is 1761.78, but the fixture's uptime says 1761.77
    ");
}

#[test]
fn a_live_uptime_is_within_five_seconds_of_the_kernels_and_grows() {
    let judge = |(first, second)| {
        let tree = tree("1000.00 1.0\n", "");
        let answers = [(UPTIME, uptimes(&[first])), (UPTIME, uptimes(&[second]))];
        judged("uptime", &stack(Procfs::Live(tree.path().into()), &answers))
    };
    let scrapes =
        [(995.0, 995.5), (1005.0, 1005.5), (994.0, 994.5), (1006.0, 1006.5), (1000.0, 1000.0), (1000.0, 999.5)];
    assert_snapshot!(shown(scrapes.map(judge)), @"
    pass a 995.5 s, growing
    pass a 1005.5 s, growing
    FAIL the kernel's uptime: last seen: node_uptime of a is 994, but the kernel says 1000
    FAIL the kernel's uptime: last seen: node_uptime of a is 1006, but the kernel says 1000
    FAIL uptime growing: last seen: node_uptime of a is 1000 and was 1000 before
    FAIL uptime growing: last seen: node_uptime of a is 999.5 and was 1000 before
    ");
}

/// Growth by a second a second, within five, up to now, and reboots.
#[test]
fn an_uptime_that_cannot_be_compared_grows_with_the_time() {
    // Prometheus' clock does not begin with the test's.
    let judge = |(values, now): (&[(f64, f64)], f64)| {
        let values: Vec<(f64, f64)> = values.iter().map(|(time, value)| (time + 5000.0, *value)).collect();
        let history = history(&json!({ "node": "a" }), &values);
        judged("uptime", &stack(Procfs::Unseen, &[(UPTIME, history), (TIME, scalar(now + 5000.0))]))
    };
    let good: [(&[_], f64); 6] = [
        (&[(0.0, 100.0), (10.0, 115.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 105.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 110.0)], 35.0),
        (&[(0.0, 1000.0), (10.0, 1.0)], 10.0),
        (&[(0.0, 1000.0), (10.0, 10.0)], 10.0),
        (&[(0.0, 1000.0), (10.0, 15.0)], 10.0),
    ];
    assert_snapshot!(shown(good.map(judge)), @"
    pass a 115 s, growing; the node's /proc cannot be reached; not compared
    pass a 105 s, growing; the node's /proc cannot be reached; not compared
    pass a 110 s, growing; the node's /proc cannot be reached; not compared
    pass a 1 s, growing; the node's /proc cannot be reached; not compared
    pass a 10 s, growing; the node's /proc cannot be reached; not compared
    pass a 15 s, growing; the node's /proc cannot be reached; not compared
    ");
    let bad: [(&[_], f64); 8] = [
        (&[(0.0, 100.0), (10.0, 116.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 104.0)], 10.0),
        (&[(0.0, 100.0), (4.0, 100.0)], 4.0),
        (&[(0.0, 10.0), (10.0, 10.0)], 10.0),
        (&[(0.0, 1000.0), (10.0, 16.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 110.0)], 36.0),
        (&[(0.0, 100.0)], 0.0),
        (&[], 0.0),
    ];
    assert_snapshot!(shown(bad.map(judge)), @"
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 16.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 4.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 0.0 in 4.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 0.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by -984.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: the newest node_uptime of a is 26 s old, more than two scrape intervals
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a has 1 sample in the last ten minutes; expected two or more
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a has 0 samples in the last ten minutes; expected two or more
    ");
}

#[test]
fn a_node_without_an_uptime_is_named() {
    let tree = tree("1.0 1.0\n", "");
    let mut stack = stack(Procfs::Fixture(tree.path().into()), &[(UPTIME, uptimes(&[1.0]))]);
    stack.scraped = Scraped::Nodes(["a", "b"].map(str::to_owned).into());
    assert_snapshot!(shown([judged("uptime", &stack)]), @"FAIL the fixture's uptime: last seen: no sample of `node_uptime` from b");
}
