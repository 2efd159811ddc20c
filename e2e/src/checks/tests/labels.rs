//! `node-labels`.

use super::*;

#[test]
fn labels_are_the_nodes_name_and_no_others() {
    let judge = |own: bool, change: fn(&mut Value)| {
        let mut labels = labels("node_uptime", "a");
        change(&mut labels);
        let samples = vector(&[(labels, 1.0), (self::labels("node_load", "a"), 1.0)]);
        judged("node-labels", &Stack { own, ..stack(Procfs::Unseen, &[(BOTH, samples)]) })
    };
    let changes: [fn(&mut Value); 6] = [
        |_| (),
        |it| it["instance"] = json!("a:23333"),
        |it| it["hostname"] = json!("pod-1"),
        |it| it["pod"] = json!("x7k2p"),
        |it| it["node"] = json!("b"),
        |it| it["__name__"] = json!("node_load"),
    ];
    let own = shown(changes.map(|change| judge(true, change)));
    assert_snapshot!(own, @r#"
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has instance="a:23333"; expected the node's name
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has hostname="pod-1"; expected the node's name
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has a label `pod`: its series ends at each roll-out
    FAIL the labels of every node's samples: last seen: no `node_uptime` with node="a"; Prometheus has node_uptime{node="b"}, node_load{node="a"}
    FAIL the labels of every node's samples: last seen: no `node_uptime` with node="a"; Prometheus has node_load{node="a"}, node_load{node="a"}
    "#);
    assert_eq!(shown(changes.map(|change| judge(false, change))), own);
    // Other stacks may add labels; a duration is for loads alone.
    let additions: [fn(&mut Value); 2] = [|it| it["zone"] = json!("z"), |it| it["duration"] = json!("1m")];
    assert_snapshot!(shown(additions.map(|add| judge(true, add))), @r#"
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has unexpected labels: ["zone"]
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has unexpected labels: ["duration"]
    "#);
    assert_snapshot!(shown(additions.map(|add| judge(false, add))), @"
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    ");
}

#[test]
fn a_node_of_a_cluster_has_its_label_and_other_nodes_are_refused() {
    let judge = |node: &str, samples: &[Value]| {
        let samples: Vec<_> = samples.iter().map(|labels| (labels.clone(), 1.0)).collect();
        let scraped = Scraped::Nodes([node.to_owned()].into());
        judged("node-labels", &Stack { scraped, ..stack(Procfs::Unseen, &[(BOTH, vector(&samples))]) })
    };
    let of = |node: &str| ["node_uptime", "node_load"].map(|name| labels(name, node));
    let mut clustered = of("a");
    for labels in &mut clustered {
        labels["cluster"] = json!("c");
    }
    let seen = [judge("c/a", &clustered), judge("a", &[of("a"), of("b")].concat()), judge("a", &[])];
    assert_snapshot!(shown(seen), @r#"
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    FAIL the labels of every node's samples: last seen: `node_uptime` has node="b": not a node of this stack
    FAIL the labels of every node's samples: last seen: no `node_uptime` with node="a"; Prometheus has no samples of `node_uptime` or `node_load`
    "#);
}
