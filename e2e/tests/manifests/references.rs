//! Names that one object has of another: Kubernetes reports a broken one late, as a pod that never starts or a
//! Service without endpoints.

use std::collections::{BTreeMap, BTreeSet};

use e2e::workspace;
use serde_json::{Map, Value, json};

use crate::render::{self, Rendering, Workload, assert_none, at, list, outside_the_tree, text};

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
        "cert-manager.io/v1",
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
    let policies = ["alertmanager", "grafana", "mini-node-exporter", "prometheus"].map(|name| ("NetworkPolicy", name));
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
fn every_volume_is_mounted() {
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
        }
    }
    assert_none(&problems);
}

#[test]
fn every_reference_leads_somewhere() {
    assert_none(&render::all().iter().flat_map(dangling).collect::<Vec<_>>());
}

/// An overlay adds it to the names of all objects, and what refers to them has to follow.
#[test]
fn a_prefix_reaches_every_reference() {
    let rendering = outside_the_tree("with-a-prefix", |directory, tree| {
        let components = ["grafana-operator", "kube-prometheus", "pod-monitor", "prometheus-pvc", "prometheus-rule"];
        let components = components.map(|name| format!("{tree}/components/{name}"));
        let kustomization = json!({ "namePrefix": "team-", "resources": [tree], "components": components });
        fs_err::write(directory.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    });
    for service in rendering.names("Service") {
        assert!(service.starts_with("team-"), "{service}");
    }
    assert_none(&dangling(&rendering));
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

/// The references of one object to another that lead nowhere.
pub fn dangling(rendering: &Rendering) -> Vec<String> {
    let mut references = Vec::new();
    for workload in rendering.workloads() {
        let mut refer = |kind, name: &str| references.push((workload.name.clone(), kind, name.to_owned()));
        refer("ServiceAccount", text(workload.template, "/spec/serviceAccountName"));
        for volume in list(workload.template, "/spec/volumes") {
            let sources = list(volume, "/projected/sources").iter().chain([volume]);
            for source in sources.filter(|source| source["secret"]["optional"] != Value::Bool(true)) {
                refer("ConfigMap", text(source, "/configMap/name"));
                refer("Secret", text(source, "/secret/secretName"));
                refer("Secret", text(source, "/secret/name"));
                refer("PersistentVolumeClaim", text(source, "/persistentVolumeClaim/claimName"));
            }
        }
        for (_, container) in workload.containers() {
            let variables = environment(container);
            if let Some((host, _)) = variables.get("PROMETHEUS_URL").and_then(|url| url[7..].split_once(':')) {
                refer("Service", host);
            }
        }
    }
    for binding in rendering.of_kind("RoleBinding") {
        let mut refer = |kind, name: &str| references.push((render::id(binding), kind, name.to_owned()));
        refer("Role", text(binding, "/roleRef/name"));
        let own = |subject: &&Value| subject["namespace"] == binding["metadata"]["namespace"];
        for subject in list(binding, "/subjects").iter().filter(own) {
            refer("ServiceAccount", text(subject, "/name"));
        }
    }
    for dashboard in rendering.of_kind("GrafanaDashboard") {
        references.push((render::id(dashboard), "ConfigMap", text(dashboard, "/spec/configMapRef/name").to_owned()));
    }
    let made = |name: &str| {
        let issued = rendering.of_kind("Certificate").any(|certificate| text(certificate, "/spec/secretName") == name);
        issued || made_by_hand(name)
    };
    references.retain(|(_, kind, name)| {
        let there = rendering.names(kind).contains(name.as_str()) || *kind == "Secret" && made(name);
        !name.is_empty() && !there
    });
    references.into_iter().map(|(from, kind, name)| format!("{from}: there is no {kind}/{name}")).collect()
}

/// Whether a Secret is one that the component tls asks for.
pub fn made_by_hand(secret: &str) -> bool {
    TLS_COMPONENT.contains(&format!(" create secret generic {secret} "))
}

/// A container's variables, with `$(…)` filled in as the kubelet does.
pub fn environment(container: &Value) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::<String, String>::new();
    for variable in list(container, "/env") {
        let mut value = text(variable, "/value").to_owned();
        for (name, earlier) in &variables {
            value = value.replace(&format!("$({name})"), earlier);
        }
        variables.insert(text(variable, "/name").to_owned(), value);
    }
    variables
}
