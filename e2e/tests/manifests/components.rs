//! Every component, and every two of them in both orders, on each tree that `kustomize/README.md` says they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use e2e::workspace;
use serde_json::{Value, json};

use crate::references::dangling;
use crate::render::{
    Rendering, assert_none, at, containers, directories, kustomize_page, list, outside_the_tree, text, yaml,
};

/// Each tree as the page names it, and its directory below `kustomize/`.
const TREES: [(&str, &str); 3] = [("exporter", "exporter"), ("production", "overlays/production"), ("stack", "stack")];

/// How many variants one `kubectl kustomize` renders: most of its time is its start.
const PER_PROCESS: usize = 32;

/// Whether a rendering has what a component adds.
type Effect = fn(&Rendering) -> bool;

const EFFECTS: [(&str, Effect); 17] = [
    ("alertmanager", |it| it.names("Deployment").contains("alertmanager")),
    ("alertmanager-config", |it| it.names("AlertmanagerConfig").len() == 1),
    ("cpus", |it| exporter_has_arg(it, "--collector.cpus")),
    ("dashboard", |it| {
        let maps = it.of_kind("ConfigMap");
        maps.filter(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1").count() == 1
    }),
    ("existing-namespace", |it| it.names("Namespace").is_empty()),
    ("grafana-operator", |it| it.names("GrafanaDashboard").len() == 1),
    ("host-procfs", |it| {
        let mounts = list(exporter(it), "/spec/template/spec/containers/0/volumeMounts");
        let mounted = |path: &str| mounts.iter().any(|mount| mount["mountPath"] == path);
        let cpus = mounted("/host/sys/devices/system/cpu");
        exporter_has_arg(it, "--path.procfs=/host/proc") && mounted("/host/proc") && cpus
    }),
    ("kube-prometheus", |it| it.names("RoleBinding").contains("prometheus-k8s")),
    ("kube-state-metrics", |it| it.names("PrometheusRule").contains("mini-node-exporter-nodes")),
    ("lab", |it| {
        let interval = prometheus_config(it).map(|config| config["global"]["scrape_interval"].clone());
        interval == Some(json!("2s"))
    }),
    ("network-policy", |it| it.names("NetworkPolicy").contains("mini-node-exporter")),
    ("openshift", |it| {
        let users = ["runAsUser", "runAsGroup", "fsGroup"];
        let context = |it: &Value| users.iter().any(|user| !it["securityContext"][user].is_null());
        let asks = |template: &Value| {
            context(&template["spec"]) || containers(template).iter().any(|(_, container)| context(container))
        };
        !it.workloads().iter().any(|workload| asks(workload.template))
    }),
    ("pod-monitor", |it| it.names("PodMonitor").len() == 1),
    ("prometheus-pvc", |it| {
        let volumes = list(it.object("Deployment", "prometheus"), "/spec/template/spec/volumes");
        volumes.iter().any(|volume| volume["name"] == "data" && volume["emptyDir"].is_null())
    }),
    ("prometheus-rule", |it| it.names("PrometheusRule").contains("mini-node-exporter")),
    ("tls", |it| exporter_has_arg(it, "--web.config.file=/etc/mini-node-exporter/web.yml")),
    ("user-namespace", |it| exporter(it)["spec"]["template"]["spec"]["hostUsers"] == json!(false)),
];

/// A tree with components, in this order.
struct Variant {
    tree: &'static str,
    components: Vec<&'static str>,
}

#[test]
fn the_page_has_every_component_tree_and_example() {
    let kustomize = workspace::root().join("kustomize");
    let names = |table| -> BTreeSet<String> { kustomize_page(table).into_iter().map(|row| row[0].clone()).collect() };
    for (table, directory) in [("component", "components"), ("example", "examples")] {
        assert_eq!(names(table), directories(&kustomize.join(directory)).into_iter().collect(), "{directory}");
    }
    assert!(EFFECTS.iter().map(|(name, _)| (*name).to_owned()).eq(names("component")), "EFFECTS lacks a component");
}

#[test]
fn every_component_works_with_every_other_in_both_orders() {
    let variants = variants();
    let half = variants.len().div_ceil(2);
    let problems = thread::scope(|scope| {
        let halves: Vec<_> = variants.chunks(half).map(|half| scope.spawn(|| problems_of(half))).collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(variants.len() > 400, "only {} variants", variants.len());
    assert_none(&problems);
}

/// Alone and in pairs, but for those that the page says are not meant together.
fn variants() -> Vec<Variant> {
    let meant: BTreeMap<String, String> =
        kustomize_page("component").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let apart: BTreeSet<[String; 2]> =
        kustomize_page("not together").into_iter().map(|row| [row[0].clone(), row[1].clone()]).collect();
    let mut variants = Vec::new();
    for (tree, _) in TREES {
        let components = || EFFECTS.iter().map(|(name, _)| *name).filter(|name| meant[*name].contains(tree));
        variants.extend(components().map(|one| Variant { tree, components: vec![one] }));
        for first in components() {
            let together = |second: &&str| {
                let pair = [first, *second].map(str::to_owned);
                *second != first && !apart.contains(&pair) && !apart.contains(&[pair[1].clone(), pair[0].clone()])
            };
            let seconds = components().filter(together);
            variants.extend(seconds.map(|second| Variant { tree, components: vec![first, second] }));
        }
    }
    variants
}

fn problems_of(variants: &[Variant]) -> Vec<String> {
    let rendered = variants.chunks(PER_PROCESS).flat_map(|chunk| chunk.iter().zip(render(chunk)));
    let named = rendered.flat_map(|(variant, rendering)| {
        let problems = problems(variant, &rendering).into_iter();
        problems.map(|problem| format!("{} with {:?}: {problem}", variant.tree, variant.components)).collect::<Vec<_>>()
    });
    named.collect()
}

/// Renders each in a namespace of its own, so that one process can render them all.
fn render(variants: &[Variant]) -> Vec<Rendering> {
    let all = outside_the_tree("components", |directory, kustomize| {
        for (at, variant) in variants.iter().enumerate() {
            let tree = TREES.iter().find(|(name, _)| *name == variant.tree).unwrap().1;
            let component = |name: &&str| format!("../{kustomize}/components/{name}");
            let kustomization = json!({
                "namespace": format!("variant-{at}"),
                "resources": [format!("../{kustomize}/{tree}")],
                "components": variant.components.iter().map(component).collect::<Vec<_>>(),
            });
            fs_err::create_dir(directory.join(at.to_string())).unwrap();
            let file = directory.join(format!("{at}/kustomization.yaml"));
            fs_err::write(file, kustomization.to_string()).unwrap();
        }
        let resources: Vec<_> = (0..variants.len()).map(|at| at.to_string()).collect();
        fs_err::write(directory.join("kustomization.yaml"), json!({ "resources": resources }).to_string()).unwrap();
    });
    let mut renderings: Vec<_> =
        (0..variants.len()).map(|at| Rendering { name: at.to_string(), documents: Vec::new() }).collect();
    for document in all.documents {
        let own = if document["kind"] == "Namespace" { "/metadata/name" } else { "/metadata/namespace" };
        let at: usize = text(&document, own).strip_prefix("variant-").unwrap().parse().unwrap();
        renderings[at].documents.push(document);
    }
    renderings
}

fn problems(variant: &Variant, rendering: &Rendering) -> Vec<String> {
    let mut problems = dangling(rendering);
    for (name, effect) in EFFECTS.iter().filter(|(name, _)| variant.components.contains(name)) {
        if !effect(rendering) {
            problems.push(format!("what {name} adds is missing"));
        }
    }
    let host_path = list(exporter(rendering), "/spec/template/spec/volumes").iter().any(|it| !it["hostPath"].is_null());
    let enforced = rendering
        .of_kind("Namespace")
        .next()
        .map(|namespace| text(namespace, "/metadata/labels/pod-security.kubernetes.io~1enforce").to_owned());
    if host_path && enforced.as_deref() != Some("privileged") {
        problems.push(format!("a hostPath in a namespace that enforces {enforced:?}"));
    }
    problems.extend(disagreements(rendering));
    problems
}

/// Where probes, monitor, Prometheus and network policy disagree with the exporter about its port or its scheme.
fn disagreements(rendering: &Rendering) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |what: &str, seen: &Value, expected: Value| {
        if *seen != expected {
            problems.push(format!("{what} is {seen}, not {expected}"));
        }
    };
    let container = at(exporter(rendering), "/spec/template/spec/containers/0");
    let tls = exporter_has_arg(rendering, "--web.config.file=");
    let scheme = if tls { json!("https") } else { Value::Null };
    for probe in ["livenessProbe", "readinessProbe"] {
        let port = if tls { "health" } else { "metrics" };
        expect(&format!("{probe}'s port"), at(container, &format!("/{probe}/httpGet/port")), json!(port));
    }
    for port in list(container, "/ports") {
        let flag = if port["name"] == "health" { "--web.health-address" } else { "--web.listen-address" };
        let listens = exporter_has_arg(rendering, &format!("{flag}=:{}", port["containerPort"]));
        expect(&format!("an exporter that listens on port {}", port["name"]), &json!(listens), json!(true));
    }
    for monitor in rendering.of_kind("PodMonitor") {
        let endpoint = at(monitor, "/spec/podMetricsEndpoints/0");
        expect("the PodMonitor's port", &endpoint["port"], json!("metrics"));
        expect("the PodMonitor's scheme", &endpoint["scheme"], scheme.clone());
    }
    if let Some(config) = prometheus_config(rendering) {
        expect("Prometheus' scheme", at(&config, "/scrape_configs/0/scheme"), scheme);
        for policy in rendering.of_kind("NetworkPolicy").filter(|it| text(it, "/metadata/name") == "mini-node-exporter")
        {
            let admitted = list(policy, "/spec/ingress/0/from").iter().any(|from| from["namespaceSelector"].is_null());
            expect("the network policy admits Prometheus of its namespace", &json!(admitted), json!(true));
        }
    }
    problems
}

fn exporter(rendering: &Rendering) -> &Value {
    rendering.object("DaemonSet", "mini-node-exporter")
}

fn exporter_has_arg(rendering: &Rendering, start: &str) -> bool {
    let args = list(exporter(rendering), "/spec/template/spec/containers/0/args");
    args.iter().filter_map(Value::as_str).any(|arg| arg.starts_with(start))
}

/// The configuration that Prometheus reads, where there is one: its pod mounts one of several files.
fn prometheus_config(rendering: &Rendering) -> Option<Value> {
    let deployment = rendering.of_kind("Deployment").find(|it| text(it, "/metadata/name") == "prometheus")?;
    let mounts = list(deployment, "/spec/template/spec/containers/0/volumeMounts");
    let file = mounts.iter().find(|mount| mount["mountPath"] == "/etc/prometheus/prometheus.yml")?;
    let map = rendering.of_kind("ConfigMap").find(|it| text(it, "/metadata/name").starts_with("prometheus-config-"))?;
    serde_saphyr::from_str(map["data"][text(file, "/subPath")].as_str()?).ok()
}

/// Prometheus-operator spells the inhibitions in its own way.
#[test]
fn both_alertmanagers_have_the_same_inhibitions() {
    let read = |file: &str| yaml(&workspace::root().join("kustomize").join(file));
    let resource = read("components/alertmanager-config/alertmanager-config.yaml");
    let spelled = |matcher: &Value| {
        let regex = matcher["matchType"] == "=~";
        let value = text(matcher, "/value");
        let value = if regex { format!("{value:?}") } else { value.to_owned() };
        json!(format!("{} {} {value}", text(matcher, "/name"), text(matcher, "/matchType")))
    };
    let rule = |rule: &Value| {
        let matchers = |field| list(rule, field).iter().map(spelled).collect::<Vec<_>>();
        json!({ "source_matchers": matchers("/sourceMatch"), "target_matchers": matchers("/targetMatch"),
            "equal": rule["equal"] })
    };
    let rules: Vec<Value> = list(&resource, "/spec/inhibitRules").iter().map(rule).collect();
    assert_eq!(json!(rules), read("alertmanager/alertmanager.yml")["inhibit_rules"]);
}
