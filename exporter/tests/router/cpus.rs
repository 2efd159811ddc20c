//! The collector `cpus`, which is off by default.

use crate::support::router::get;
use crate::support::tree::{HOSTNAME, LOADAVG, Tree, UPTIME};
use mini_node_exporter::{collector, http};

/// A tree in `proc`, with the text of `sys/devices/system/cpu/online` beside it.
fn metrics(online: Option<&str>) -> String {
    let tree = Tree::new();
    let config = |root: &std::path::Path| http::ExporterOptions {
        procfs: root.into(),
        node_name: Some("worker-1".into()),
        collectors: collector::TABLE.to_vec(),
        ..http::ExporterOptions::default()
    };
    std::fs::create_dir_all(tree.path("proc")).unwrap();
    std::fs::create_dir_all(tree.path("sys/devices/system/cpu")).unwrap();
    if let Some(online) = online {
        tree.write("sys/devices/system/cpu/online", online);
    }
    get(config(&tree.path("proc")), "/metrics").body
}

#[test]
fn it_counts_what_lies_beside_the_procfs_tree() {
    let metrics = metrics(Some("0-3,8\n"));
    assert!(metrics.contains("\nnode_cpus{hostname=\"worker-1\"} 5\n"), "{metrics}");
    assert!(metrics.contains("node_scrape_collector_success{collector=\"cpus\"} 1\n"), "{metrics}");
}

#[test]
fn a_bad_file_is_no_number_of_cpus() {
    for online in [None, Some(""), Some("x")] {
        let metrics = metrics(online);
        assert!(!metrics.contains("node_cpus{"), "{metrics}");
        assert!(metrics.contains("node_scrape_collector_success{collector=\"cpus\"} 0\n"), "{metrics}");
    }
}

#[test]
fn it_is_off_by_default() {
    assert!(collector::defaults().iter().all(|collector| collector.name() != "cpus"));
}

/// A /proc that is mounted with `subset=pid` has the processes and nothing else: no false 0 comes of that.
#[test]
fn a_procfs_of_processes_alone_gives_no_false_zero() {
    let tree = Tree::new();
    for file in [UPTIME, LOADAVG, HOSTNAME] {
        tree.remove(file);
    }
    std::fs::remove_dir_all(tree.path("sys")).unwrap();
    std::fs::create_dir_all(tree.path("1/task")).unwrap();
    let config = || http::ExporterOptions {
        procfs: tree.root().into(),
        node_name: Some("a".into()),
        ..http::ExporterOptions::default()
    };
    let metrics = get(config(), "/metrics").body;
    for collector in ["load", "uptime"] {
        assert!(!metrics.contains(&format!("node_{collector}{{")), "{metrics}");
        let failed = format!("node_scrape_collector_success{{collector=\"{collector}\"}} 0\n");
        assert!(metrics.contains(&failed), "{metrics}");
    }
    assert_eq!(get(config(), "/healthz/ready").status, 503);
}
