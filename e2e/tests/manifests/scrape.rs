//! Which pods become targets, and with which labels. Prometheus' relabeling is small enough to be run here, over what
//! discovery would say of the pods that the manifests describe.

use std::collections::BTreeMap;

use e2e::workspace;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::render::{self, list, text, yaml};

/// One step of relabeling, as Prometheus spells it and as prometheus-operator does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relabel {
    #[serde(default, alias = "sourceLabels")]
    source_labels: Vec<String>,
    #[serde(default = "separator")]
    separator: String,
    #[serde(default = "anything")]
    regex: String,
    #[serde(default, alias = "targetLabel")]
    target_label: String,
    #[serde(default = "first_group")]
    replacement: String,
    #[serde(default = "replace")]
    action: String,
}

type Labels = BTreeMap<String, String>;

/// What varies between pods of one workload.
struct Pod {
    name: &'static str,
    ip: &'static str,
    phase: &'static str,
    ready: &'static str,
}

const POD: Pod = Pod { name: "a", ip: "10.244.1.2", phase: "Running", ready: "true" };

#[test]
fn a_node_is_a_target_by_the_labels_of_the_contract() {
    let contract = [
        ("instance", "worker-1"),
        ("job", "mini-node-exporter"),
        ("namespace", "mini-node-exporter"),
        ("node", "worker-1"),
    ];
    assert_eq!(scraped(&POD), [labels(&contract)]);
}

/// `resets()` and dashboards follow a node through roll-outs and reboots.
#[test]
fn a_new_pod_continues_the_series_of_its_node() {
    assert_eq!(scraped(&Pod { name: "b", ip: "10.244.9.9", ..POD }), scraped(&POD));
}

#[test]
fn a_pod_is_dropped_when_it_has_finished_and_not_when_it_is_unready() {
    for phase in ["Succeeded", "Failed"] {
        assert!(scraped(&Pod { phase, ..POD }).is_empty(), "{phase}");
    }
    for phase in ["Pending", "Running", "Unknown"] {
        assert_eq!(scraped(&Pod { phase, ready: "false", ..POD }), scraped(&POD), "{phase}");
    }
}

/// An operator's Prometheus must give the dashboard and the rules what they are written for.
#[test]
fn the_pod_monitor_gives_the_same_labels() {
    let rendering = render::named("kube-prometheus-stack");
    let monitor = rendering.object("PodMonitor", "mini-node-exporter");
    let [endpoint] = list(monitor, "/spec/podMetricsEndpoints") else { panic!("there is one endpoint") };
    let relabelings: Vec<Relabel> = serde_json::from_value(endpoint["relabelings"].clone()).unwrap();
    assert_eq!(monitor["spec"]["namespaceSelector"], Value::Null, "its own namespace is the default");
    let other = Pod { name: "b", ip: "10.244.9.9", ready: "false", ..POD };
    for pod in [&POD, &other] {
        let targets: Vec<_> = discovered(rendering, pod)
            .into_iter()
            .filter(|target| target["__meta_kubernetes_pod_container_port_name"] == text(endpoint, "/port"))
            .filter_map(|target| relabeled(attached_by_the_operator(target, monitor), &relabelings))
            .collect();
        assert_eq!(targets, scraped(pod));
    }
}

/// The component tls chooses the second file.
#[test]
fn the_configuration_with_tls_is_the_other_otherwise() {
    let read = |name: &str| yaml(&workspace::root().join("kustomize/prometheus").join(name));
    let mut with_tls = read("prometheus-tls.yml");
    let job = with_tls["scrape_configs"][0].as_object_mut().unwrap();
    let added = ["scheme", "tls_config", "basic_auth"].map(|key| job.remove(key).unwrap());
    assert_eq!(added[0], "https");
    assert_eq!(with_tls, read("prometheus.yml"));
}

#[test]
fn discovery_asks_for_what_the_role_grants() {
    let [discovery] = list(&job("mini-node-exporter"), "/kubernetes_sd_configs").to_owned().try_into().unwrap();
    assert_eq!(discovery, json!({"role": "pod", "namespaces": {"own_namespace": true}}));
}

/// Among all pods of the stack, one of each workload.
#[test]
fn alerts_go_to_the_alertmanager_of_the_namespace() {
    let config = yaml(&workspace::root().join("kustomize/prometheus/prometheus.yml"));
    let [discovery] = list(&config, "/alerting/alertmanagers") else { panic!("there is one discovery") };
    let relabelings: Vec<Relabel> = serde_json::from_value(discovery["relabel_configs"].clone()).unwrap();
    assert_eq!(discovery["kubernetes_sd_configs"], job("mini-node-exporter")["kubernetes_sd_configs"]);
    let found = discovered(render::named("stack"), &POD).into_iter();
    let kept = found.filter(|target| relabeled(target.clone(), &relabelings).is_some());
    let addresses: Vec<_> = kept.map(|target| target["__address__"].clone()).collect();
    assert_eq!(addresses, [format!("{}:9093", POD.ip)]);
}

#[test]
fn prometheus_scrapes_itself() {
    assert_eq!(job("prometheus")["static_configs"], json!([{"targets": ["localhost:9090"]}]));
}

/// The targets among all pods of the stack, one of each workload, all on one node.
fn scraped(pod: &Pod) -> Vec<Labels> {
    let job = job("mini-node-exporter");
    let relabelings: Vec<Relabel> = serde_json::from_value(job["relabel_configs"].clone()).unwrap();
    discovered(render::named("stack"), pod)
        .into_iter()
        .map(|mut target| {
            target.insert("job".into(), text(&job, "/job_name").into());
            target
        })
        .filter_map(|target| relabeled(target, &relabelings))
        .collect()
}

fn job(name: &str) -> Value {
    let config = yaml(&workspace::root().join("kustomize/prometheus/prometheus.yml"));
    let found = list(&config, "/scrape_configs").iter().find(|job| job["job_name"] == name);
    found.unwrap_or_else(|| panic!("there is no job `{name}`")).clone()
}

/// What discovery by role `pod` says: one target for each declared port of each container.
fn discovered(rendering: &render::Rendering, pod: &Pod) -> Vec<Labels> {
    let mut targets = Vec::new();
    for workload in rendering.workloads() {
        let mut of_pod = labels(&[
            ("__meta_kubernetes_namespace", "mini-node-exporter"),
            ("__meta_kubernetes_pod_name", pod.name),
            ("__meta_kubernetes_pod_ip", pod.ip),
            ("__meta_kubernetes_pod_phase", pod.phase),
            ("__meta_kubernetes_pod_ready", pod.ready),
            ("__meta_kubernetes_pod_node_name", "worker-1"),
        ]);
        for (name, value) in workload.template["metadata"]["labels"].as_object().unwrap() {
            let name = name.replace(|char: char| !char.is_ascii_alphanumeric(), "_");
            of_pod.insert(format!("__meta_kubernetes_pod_label_{name}"), value.as_str().unwrap().into());
            of_pod.insert(format!("__meta_kubernetes_pod_labelpresent_{name}"), "true".into());
        }
        for container in list(workload.template, "/spec/containers") {
            for port in list(container, "/ports") {
                let number = port["containerPort"].to_string();
                let mut target = of_pod.clone();
                target.insert("__address__".into(), format!("{}:{number}", pod.ip));
                target.insert("__meta_kubernetes_pod_container_name".into(), text(container, "/name").into());
                target.insert("__meta_kubernetes_pod_container_port_name".into(), text(port, "/name").into());
                target.insert("__meta_kubernetes_pod_container_port_number".into(), number);
                targets.push(target);
            }
        }
    }
    targets
}

/// The labels that prometheus-operator sets before it runs a `PodMonitor`'s own relabelings.
fn attached_by_the_operator(mut target: Labels, monitor: &Value) -> Labels {
    let job = text(monitor, "/spec/jobLabel").replace(|char: char| !char.is_ascii_alphanumeric(), "_");
    for (label, source) in [
        ("namespace", "__meta_kubernetes_namespace"),
        ("pod", "__meta_kubernetes_pod_name"),
        ("container", "__meta_kubernetes_pod_container_name"),
        ("endpoint", "__meta_kubernetes_pod_container_port_name"),
        ("job", &format!("__meta_kubernetes_pod_label_{job}")),
    ] {
        let value = target[source].clone();
        target.insert(label.into(), value);
    }
    target
}

/// The labels of the samples, or none if a step drops the target.
fn relabeled(mut labels: Labels, steps: &[Relabel]) -> Option<Labels> {
    for step in steps {
        let regex = Regex::new(&format!("^(?s:{})$", step.regex)).unwrap();
        let sources = step.source_labels.iter().map(|name| labels.get(name).map_or("", String::as_str));
        let source = sources.collect::<Vec<_>>().join(&step.separator);
        match step.action.as_str() {
            "keep" if !regex.is_match(&source) => return None,
            "drop" if regex.is_match(&source) => return None,
            "keep" | "drop" => {}
            "labeldrop" => labels.retain(|name, _| !regex.is_match(name)),
            "replace" => {
                if let Some(groups) = regex.captures(&source) {
                    let mut value = String::new();
                    groups.expand(&step.replacement, &mut value);
                    labels.insert(step.target_label.clone(), value);
                }
            }
            action => panic!("`{action}` is not played here yet: add it"),
        }
    }
    let address = labels.get("__address__").cloned().unwrap_or_default();
    labels.entry("instance".into()).or_insert(address);
    labels.retain(|name, value| !name.starts_with("__") && !value.is_empty());
    Some(labels)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn separator() -> String {
    ";".into()
}

fn anything() -> String {
    "(.*)".into()
}

fn first_group() -> String {
    "$1".into()
}

fn replace() -> String {
    "replace".into()
}
