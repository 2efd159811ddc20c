//! What people get wrong in the manifests of a cluster: a table of faults, each planted in the stack that runs. Those
//! that hold up the roll-out are named by the wait for it; of the rest exactly the right checks fail.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::kind::{Kind, rollout};
use e2e::checks::report::{CheckReport, Outcome};
use e2e::docker::docker;

use crate::fault;
use crate::kubernetes::{PROMETHEUS, pods};
use crate::variant::{self, Patches};
use crate::view::View;

type Fault = fault::Fault<Plant>;

/// Where a fault is.
enum Plant {
    /// In the manifests, whose roll-out is waited for so many seconds: one that is held up is believed sooner.
    Manifests(u64, Patches<'static>),
    /// On the way from Prometheus to the exporters, whose packets are dropped.
    Way,
}

/// The name under which the roll-out stands among the checks.
const ROLL_OUT: &str = "roll-out";

/// A change that only makes a Deployment's pods anew.
const NEW_PODS: &str =
    r#"[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"planted": "here"}}]"#;

pub fn a_role_without_watch(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[
                ("Role", "prometheus", r#"[{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "list"]}]"#),
                // The API server looks at a role only when a watch begins.
                ("Deployment", "prometheus", NEW_PODS),
            ],
        ),
        fails: &["targets-up"],
        says: "the API server refuses",
    };
    expect(kind, &fault)
}

pub fn no_toleration(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[
                variant::AT_ONCE,
                ("DaemonSet", "mini-node-exporter", r#"[{"op": "remove", "path": "/spec/template/spec/tolerations"}]"#),
            ],
        ),
        fails: &[ROLL_OUT, "targets-up", "one-target-per-node", "node-labels", "uptime", "load"],
        says: "its pods must tolerate every taint",
    };
    expect(kind, &fault)
}

pub fn a_wrong_port_name(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[
                variant::AT_ONCE,
                (
                    "DaemonSet",
                    "mini-node-exporter",
                    r#"[
                {"op": "replace", "path": "/spec/template/spec/containers/0/ports/0/name", "value": "http"},
                {"op": "replace", "path": "/spec/template/spec/containers/0/livenessProbe/httpGet/port", "value": "http"},
                {"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/httpGet/port", "value": "http"}
            ]"#,
                ),
            ],
        ),
        // The Service looks for the name too, and so finds nobody.
        fails: &[
            "exporter-ready",
            "targets-up",
            "one-target-per-node",
            "node-labels",
            "uptime",
            "load",
            "panels-have-data",
        ],
        says: "its relabelling drops them all",
    };
    expect(kind, &fault)
}

pub fn a_wrong_probe_path(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            15,
            &[(
                "DaemonSet",
                "mini-node-exporter",
                r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/httpGet/path", "value": "/health"}]"#,
            )],
        ),
        // A pod that is not ready is scraped all the same.
        fails: &[ROLL_OUT],
        says: "Readiness probe failed: HTTP probe failed with statuscode: 404",
    };
    expect(kind, &fault)
}

pub fn a_wrong_image_tag(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[(
                "DaemonSet",
                "mini-node-exporter",
                r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "mini-node-exporter:no-such-tag"}]"#,
            )],
        ),
        // One node at a time: the others keep what they have.
        fails: &[ROLL_OUT, "targets-up", "node-labels", "uptime", "load"],
        says: "no node has this image",
    };
    expect(kind, &fault)
}

pub fn a_network_policy_that_shuts_prometheus_out(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[
                (
                    "NetworkPolicy",
                    "prometheus",
                    r#"[{"op": "replace", "path": "/spec/egress/0/ports/0/port", "value": 9100}]"#,
                ),
                // A connection that is open may stay open.
                ("Deployment", "prometheus", NEW_PODS),
            ],
        ),
        fails: &["targets-up", "node-labels", "uptime", "load", "panels-have-data"],
        says: "is down (Get \"http://",
    };
    expect(kind, &fault)
}

pub fn a_pod_that_pod_security_refuses(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[(
                "DaemonSet",
                "mini-node-exporter",
                r#"[{"op": "add", "path": "/spec/template/spec/hostPID", "value": true}]"#,
            )],
        ),
        // One node at a time: the others keep what they have.
        fails: &[ROLL_OUT, "targets-up", "one-target-per-node", "node-labels", "uptime", "load"],
        says: "violates PodSecurity \"restricted",
    };
    expect(kind, &fault)
}

pub fn a_way_that_drops_what_prometheus_asks(kind: &mut Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Way,
        fails: &["targets-up", "node-labels", "uptime", "load", "panels-have-data"],
        says: "context deadline exceeded",
    };
    expect(kind, &fault)
}

/// Plants the fault, looks, and takes it out again, whatever was seen: the trials that follow expect a healthy stack.
fn expect(kind: &Kind, fault: &Fault) -> Result<()> {
    match &fault.plant {
        Plant::Manifests(seconds, patches) => {
            let limit = Duration::from_secs(*seconds);
            let seen = variant::apply(kind, &[], patches).and_then(|()| look(kind, fault, limit));
            variant::undo_after(seen, kind)
        }
        Plant::Way => {
            let prometheus = pods(kind, PROMETHEUS)?.pop().context("no Prometheus")?;
            let rule = |verb| {
                let rule =
                    ["--source", &prometheus.status.ip, "--protocol", "tcp", "--dport", "23333", "--jump", "DROP"];
                docker(["exec", &prometheus.spec.node_name, "iptables", "--wait", verb, "FORWARD"]).args(rule).run()
            };
            rule("--insert")?;
            let seen = View::of(kind).shows(fault, Vec::new);
            let undone = rule("--delete");
            variant::undo_after(seen, kind)?;
            undone?;
            Ok(())
        }
    }
}

fn look(kind: &Kind, fault: &Fault, limit: Duration) -> Result<()> {
    let failure = rollout::await_workloads(&kind.cluster.kubectl, limit).err().map(|error| format!("{error:#}"));
    View::of(kind).shows(fault, || {
        let failed = failure.clone().map(|observed| Outcome::Failed { observed });
        failed.map(|outcome| CheckReport { name: ROLL_OUT, outcome, seconds: 0.0 }).into_iter().collect()
    })
}
