//! Names that one object has of another: Kubernetes reports a broken one late, as a pod that never starts or a
//! Service without endpoints.

use std::collections::BTreeSet;

use e2e::workspace;
use serde_json::{Map, Value};

use crate::render::{self, Rendering, Workload, assert_none, at, list, text};

/// Everything else would be in a namespace that the reader's context happens to name.
#[test]
fn all_lives_in_one_namespace() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        assert_eq!(Vec::from_iter(rendering.names("Namespace")), ["mini-node-exporter"], "{}", rendering.name);
        for object in rendering.documents.iter().filter(|object| object["kind"] != "Namespace") {
            let namespace = at(object, "/metadata/namespace");
            if namespace != "mini-node-exporter" {
                problems.push(format!("{}: {}: namespace is {namespace}", rendering.name, render::id(object)));
            }
        }
    }
    assert_none(&problems);
}

/// These are served by every Kubernetes from 1.20 on.
#[test]
fn every_api_version_is_an_old_one() {
    let known = [
        "v1",
        "apps/v1",
        "rbac.authorization.k8s.io/v1",
        "networking.k8s.io/v1",
        "monitoring.coreos.com/v1",
        "grafana.integreatly.org/v1beta1",
    ];
    let mut problems = Vec::new();
    for rendering in render::all() {
        for object in rendering.documents.iter().filter(|object| !known.contains(&text(object, "/apiVersion"))) {
            problems.push(format!("{}: {}: {}", rendering.name, render::id(object), object["apiVersion"]));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_workload_selects_its_own_pods_and_no_others() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        for workload in rendering.workloads() {
            let selected = selected(rendering, at(workload.object, "/spec/selector/matchLabels"));
            if selected != [workload.name.clone()] {
                problems.push(format!("{}: spec.selector selects the pods of {selected:?}", workload.name));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_service_leads_to_a_port_of_one_workload() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        for service in rendering.of_kind("Service") {
            let name = format!("{}: {}", rendering.name, render::id(service));
            let selected = selecting(rendering, at(service, "/spec/selector"));
            let [workload] = selected.as_slice() else {
                problems.push(format!("{name}: selects {} workloads", selected.len()));
                continue;
            };
            for port in list(service, "/spec/ports") {
                if !ports(workload).contains(text(port, "/targetPort")) {
                    problems.push(format!("{name}: {} has no port {}", workload.name, port["targetPort"]));
                }
            }
        }
    }
    assert_none(&problems);
}

/// A policy that selects nothing guards nothing.
#[test]
fn network_policies_and_pod_monitors_select_the_pods_of_their_name() {
    let mut seen = BTreeSet::new();
    for rendering in render::all() {
        for (kind, selector) in [("NetworkPolicy", "/spec/podSelector"), ("PodMonitor", "/spec/selector")] {
            for object in rendering.of_kind(kind) {
                let name = text(object, "/metadata/name");
                let workload = if name == "mini-node-exporter" { "DaemonSet" } else { "Deployment" };
                let selected = selected(rendering, at(object, &format!("{selector}/matchLabels")));
                assert_eq!(selected, [format!("{}: {workload}/{name}", rendering.name)], "{kind}");
                seen.insert((kind, name));
            }
        }
    }
    let policies = ["grafana", "mini-node-exporter", "prometheus"].map(|name| ("NetworkPolicy", name));
    assert_eq!(Vec::from_iter(seen), [&policies[..], &[("PodMonitor", "mini-node-exporter")]].concat());
}

/// The hash of the content in the name is what rolls the pods out when the content changes.
#[test]
fn every_config_map_has_the_hash_of_its_content_in_its_name() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        // A sidecar sees changes by itself, and would load the old one beside the new.
        let kept = |map: &&Value| map["metadata"]["labels"]["grafana_dashboard"].is_null();
        for name in rendering.of_kind("ConfigMap").filter(kept).map(|map| text(map, "/metadata/name")) {
            let hash = name.rsplit('-').next().unwrap();
            if hash.len() != 10 || !hash.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit()) {
                problems.push(format!("{}: ConfigMap/{name} has no hash in its name", rendering.name));
            }
        }
    }
    assert_none(&problems);
}

/// `kubectl apply` keeps a copy of each object in an annotation, and annotations end at 256 KiB.
#[test]
fn every_config_map_can_be_applied() {
    for rendering in render::all() {
        for map in rendering.of_kind("ConfigMap") {
            let size = map.to_string().len();
            assert!(size < 256 * 1024, "{}: {} takes {size} bytes", rendering.name, render::id(map));
        }
    }
}

#[test]
fn every_volume_is_mounted_and_holds_what_is_there() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        for workload in rendering.workloads() {
            let mounted: BTreeSet<_> = workload
                .containers()
                .into_iter()
                .flat_map(|(_, container)| list(container, "/volumeMounts"))
                .map(|mount| text(mount, "/name"))
                .collect();
            let volumes: BTreeSet<_> =
                list(workload.template, "/spec/volumes").iter().map(|volume| text(volume, "/name")).collect();
            if mounted != volumes {
                problems.push(format!("{}: mounts {mounted:?} of volumes {volumes:?}", workload.name));
            }
            for volume in list(workload.template, "/spec/volumes") {
                if let Some(missing) = missing(rendering, volume) {
                    problems.push(format!("{}: volumes[{}]: {missing}", workload.name, text(volume, "/name")));
                }
            }
        }
    }
    assert_none(&problems);
}

/// A file that the generator does not list is never loaded.
#[test]
fn every_rule_file_reaches_prometheus() {
    let rules = workspace::root().join("kustomize/prometheus/rules");
    let files: BTreeSet<_> = fs_err::read_dir(rules)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let rendering = render::named("stack");
    let rules = rendering.of_kind("ConfigMap").find(|map| text(map, "/metadata/name").starts_with("prometheus-rules-"));
    let keys: BTreeSet<_> = rules.unwrap()["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, files);
}

/// The names of the workloads whose pods have these labels.
fn selected(rendering: &Rendering, labels: &Value) -> Vec<String> {
    selecting(rendering, labels).into_iter().map(|workload| workload.name).collect()
}

fn selecting<'a>(rendering: &'a Rendering, labels: &Value) -> Vec<Workload<'a>> {
    let none = Map::new();
    let wanted = labels.as_object().unwrap_or(&none);
    assert!(!wanted.is_empty(), "{}: a selector is empty: {labels}", rendering.name);
    let mut workloads = rendering.workloads();
    workloads.retain(|workload| {
        let labels = at(workload.template, "/metadata/labels");
        wanted.iter().all(|(name, value)| labels[name] == *value)
    });
    workloads
}

fn ports<'a>(workload: &Workload<'a>) -> BTreeSet<&'a str> {
    list(workload.template, "/spec/containers")
        .iter()
        .flat_map(|container| list(container, "/ports"))
        .map(|port| text(port, "/name"))
        .collect()
}

/// Secrets are not shipped; how to make them is said here.
const TLS_COMPONENT: &str = include_str!("../../../kustomize/components/tls/kustomization.yaml");

/// What a volume needs that the tree does not have.
fn missing(rendering: &Rendering, volume: &Value) -> Option<String> {
    for (kind, field) in [("ConfigMap", "/configMap/name"), ("Secret", "/secret/secretName")] {
        let name = text(volume, field);
        let optional = *at(volume, "/secret/optional") == Value::Bool(true);
        let made_by_hand = kind == "Secret" && TLS_COMPONENT.contains(&format!(" create secret generic {name} "));
        if !name.is_empty() && !optional && !made_by_hand && !rendering.names(kind).contains(name) {
            return Some(format!("there is no {kind}/{name}"));
        }
    }
    None
}
