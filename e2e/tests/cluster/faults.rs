//! Mistakes in a cluster's manifests: a table of faults, each planted in a stack of its own. The wait for the roll-out names
//! those that hold it up, and exactly the right checks fail.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::kind::Kind;
use e2e::backend::kind::objects::Pod;
use e2e::checks::report::{CheckReport, Outcome};
use e2e::stack::JOB;
use e2e::workspace;
use fs_err as fs;
use serde_json::{Value, json};

use crate::fault;
use crate::kubernetes::{EXPORTER, pods};
use crate::variant::{self, Patches};

type Fault<'p> = fault::Fault<Plant<'p>>;

/// Where a fault is.
enum Plant<'p> {
    /// In the manifests, and how many seconds their roll-out may take: trouble that lasts ends the wait sooner.
    Manifests(u64, Patches<'p>),
    /// In the network, which drops the packets from Prometheus to the exporters.
    Network,
}

/// The name under which the roll-out stands among the checks.
const ROLL_OUT: &str = "roll-out";

/// An image that no node has.
const WRONG_TAG: Patches<'static> = &[(
    "DaemonSet",
    "mini-node-exporter",
    r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "mini-node-exporter:no-such-tag"}]"#,
)];

const NO_IMAGE: &str = "no node has this image";

/// What fails where Prometheus has no target, and no Service leads to an exporter.
pub const NO_TARGETS: &[&str] = &[
    "exporter-ready",
    "targets-up",
    "one-target-per-node",
    "node-labels",
    "uptime",
    "load",
    "rules-find-series",
    "panels-have-data",
];

/// What fails where no target answers Prometheus.
const NO_ANSWERS: &[&str] = &["targets-up", "node-labels", "uptime", "load", "rules-find-series", "panels-have-data"];

pub fn a_role_without_watch(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[("Role", "prometheus", r#"[{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "list"]}]"#)],
        ),
        fails: &["targets-up"],
        says: "the API server refuses",
    };
    expect(kind, "no-watch", &fault)
}

pub fn no_toleration(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[("DaemonSet", "mini-node-exporter", r#"[{"op": "remove", "path": "/spec/template/spec/tolerations"}]"#)],
        ),
        fails: &[ROLL_OUT, "targets-up", "one-target-per-node", "node-labels", "uptime", "load"],
        says: "its pods must tolerate every taint",
    };
    expect(kind, "no-toleration", &fault)
}

pub fn a_wrong_port_name(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[(
                "DaemonSet",
                "mini-node-exporter",
                r#"[
                {"op": "replace", "path": "/spec/template/spec/containers/0/ports/0/name", "value": "http"},
                {"op": "replace", "path": "/spec/template/spec/containers/0/livenessProbe/httpGet/port", "value": "http"},
                {"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/httpGet/port", "value": "http"}
            ]"#,
            )],
        ),
        // The Service goes by the name, too.
        fails: NO_TARGETS,
        says: "its relabelling drops them all",
    };
    expect(kind, "port-name", &fault)
}

pub fn a_wrong_probe_path(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            15,
            &[(
                "DaemonSet",
                "mini-node-exporter",
                r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/httpGet/path", "value": "/health"}]"#,
            )],
        ),
        // A pod that is not ready is scraped all the same, but no Service leads to it.
        fails: &[ROLL_OUT, "exporter-ready"],
        says: "Readiness probe failed: HTTP probe failed with statuscode: 404",
    };
    expect(kind, "probe-path", &fault)
}

pub fn a_wrong_image_tag(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(30, WRONG_TAG),
        fails: &[
            ROLL_OUT,
            "exporter-ready",
            "targets-up",
            "node-labels",
            "uptime",
            "load",
            "rules-find-series",
            "panels-have-data",
        ],
        says: NO_IMAGE,
    };
    expect(kind, "image-tag", &fault)
}

/// The other nodes keep the exporter that they have.
pub fn an_update_to_a_wrong_image_tag_stops_at_the_first_node(kind: &Kind) -> Result<()> {
    variant::with(kind, "bad-update", &[], &[], |stack| {
        stack.rolled_out(Duration::from_secs(60))?;
        stack.apply(&[], WRONG_TAG)?;
        let error = stack.rolled_out(Duration::from_secs(30)).err().context("the update rolled out")?;
        ensure!(format!("{error:#}").contains(NO_IMAGE), "{error:#}");
        let (ready, waiting): (Vec<Pod>, Vec<Pod>) =
            pods(stack.kubectl, EXPORTER)?.into_iter().partition(Pod::is_ready);
        ensure!((ready.len(), waiting.len()) == (2, 1), "ready: {ready:?}, and not: {waiting:?}");
        let prometheus = stack.view()?.stack.prometheus;
        for pod in ready {
            let node = pod.spec.node_name;
            let up = prometheus.query(&format!(r#"up{{job="{JOB}", node="{node}"}} == 1"#))?;
            ensure!(up.len() == 1, "{node} is not scraped");
        }
        Ok(())
    })
}

pub fn a_network_policy_that_shuts_prometheus_out(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            60,
            &[
                (
                    "NetworkPolicy",
                    "prometheus",
                    // The API server's, for discovery.
                    r#"[{"op": "add", "path": "/spec/egress/0/ports/0/port", "value": 6443}]"#,
                ),
                // A connection that is open stays open, and a policy applies to a new pod only after a moment: Prometheus
                // starts once DNS, another port, is out of reach.
                (
                    "Deployment",
                    "prometheus",
                    r#"[{"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["/bin/sh", "-c",
                         "while timeout 2 nc $(sed -n 's/^nameserver //p' /etc/resolv.conf) 53 </dev/null; do sleep 0.2; done; exec /bin/prometheus \"$@\"", "sh"]}]"#,
                ),
            ],
        ),
        fails: NO_ANSWERS,
        says: "is down (Get \"http://",
    };
    expect(kind, "shut-out", &fault)
}

pub fn a_pod_that_pod_security_refuses(kind: &Kind) -> Result<()> {
    let fault = Fault {
        plant: Plant::Manifests(
            30,
            &[(
                "DaemonSet",
                "mini-node-exporter",
                r#"[{"op": "add", "path": "/spec/template/spec/hostPID", "value": true}]"#,
            )],
        ),
        fails: &[
            ROLL_OUT,
            "exporter-ready",
            "targets-up",
            "one-target-per-node",
            "node-labels",
            "uptime",
            "load",
            "rules-find-series",
            "panels-have-data",
        ],
        says: "violates PodSecurity \"restricted",
    };
    expect(kind, "pod-security", &fault)
}

pub fn a_network_that_drops_scrapes(kind: &Kind) -> Result<()> {
    let fault = Fault { plant: Plant::Network, fails: NO_ANSWERS, says: "context deadline exceeded" };
    expect(kind, "dropped", &fault)
}

pub fn a_route_that_leads_to_nobody(kind: &Kind) -> Result<()> {
    let config = json!({ "route": { "receiver": "nobody" }, "receivers": [{ "name": "nobody" }] });
    let config = variant::replace("/data/alertmanager.yml", config.to_string());
    let fault = Fault {
        plant: Plant::Manifests(60, &[("ConfigMap", "alertmanager-config", &config)]),
        fails: &["alerts-delivered"],
        says: "its route leads to the receiver `nobody`; no request to a receiver failed",
    };
    expect(kind, "no-route", &fault)
}

pub fn a_receiver_that_is_down(kind: &Kind) -> Result<()> {
    let down = json!({ "name": "down", "webhook_configs": [{ "url": "http://127.0.0.1:1/" }] });
    let config = json!({ "route": { "receiver": "down", "group_wait": "1s" }, "receivers": [down] });
    let config = variant::replace("/data/alertmanager.yml", config.to_string());
    let fault = Fault {
        plant: Plant::Manifests(60, &[("ConfigMap", "alertmanager-config", &config)]),
        fails: &["alerts-delivered"],
        says: "requests to receivers failed since it started",
    };
    expect(kind, "receiver-down", &fault)
}

pub fn a_prometheus_that_alerts_nobody(kind: &Kind) -> Result<()> {
    let shipped = fs::read_to_string(workspace::root().join("kustomize/components/lab/prometheus.yml"))?;
    let mut config: Value = serde_saphyr::from_str(&shipped)?;
    config.as_object_mut().and_then(|config| config.remove("alerting")).context("no `alerting`")?;
    let config = variant::replace("/data/prometheus.yml", config.to_string());
    let fault = Fault {
        plant: Plant::Manifests(60, &[("ConfigMap", "prometheus-config", &config)]),
        fails: &["alertmanagers-known"],
        says: "Prometheus has found none",
    };
    expect(kind, "no-alerting", &fault)
}

/// Plants the fault in a stack of its own, and checks what is seen of it.
fn expect(kind: &Kind, namespace: &str, fault: &Fault<'_>) -> Result<()> {
    match &fault.plant {
        Plant::Manifests(seconds, patches) => variant::with(kind, namespace, &[], patches, |stack| {
            let failure = stack.rolled_out(Duration::from_secs(*seconds)).err().map(|error| format!("{error:#}"));
            stack.view()?.shows(fault, || {
                let failed = failure.clone().map(|observed| Outcome::Failed { observed });
                failed.map(|outcome| CheckReport { name: ROLL_OUT, outcome, seconds: 0.0 }).into_iter().collect()
            })
        }),
        Plant::Network => variant::with(kind, namespace, &[], &[], |stack| {
            stack.rolled_out(Duration::from_secs(60))?;
            stack.drop_scrapes()?;
            stack.view()?.shows(fault, Vec::new)
        }),
    }
}
