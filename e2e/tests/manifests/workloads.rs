//! What every workload has, whatever it is: pinned images, probes, resources, an account of its own.

use std::collections::BTreeSet;

use e2e::tools::pins;
use serde_json::{Value, json};

use crate::render::{self, Rendering, Workload, assert_none, at, bytes, list, text};

/// Looks at every workload of every tree.
#[track_caller]
fn of_each_workload(problems: impl Fn(&Rendering, &Workload<'_>) -> Vec<String>) {
    let mut found = Vec::new();
    for rendering in render::all() {
        let workloads = rendering.workloads();
        assert!(!workloads.is_empty(), "{} runs nothing", rendering.name);
        for workload in &workloads {
            found.extend(problems(rendering, workload).iter().map(|problem| format!("{}: {problem}", workload.name)));
        }
    }
    assert_none(&found);
}

/// Looks at every container of every workload, those of `initContainers` included.
#[track_caller]
fn of_each_container(problems: impl Fn(&Value) -> Vec<String>) {
    of_each_workload(|_, workload| {
        let containers = workload.containers();
        let problems = containers.iter().flat_map(|(name, container)| {
            problems(container).into_iter().map(move |problem| format!("{name}.{problem}"))
        });
        problems.collect()
    });
}

#[test]
fn no_image_is_pulled_again() {
    of_each_container(|container| {
        let policy = text(container, "/imagePullPolicy");
        if policy == "IfNotPresent" { Vec::new() } else { vec![format!("imagePullPolicy is `{policy}`")] }
    });
}

/// The exporter's is that of the release of this version. The harness pins what it fetches for the local lab: both backends
/// run the same versions.
#[test]
fn every_image_has_the_version_that_the_harness_pins() {
    let pinned = [
        render::exporter_image(),
        format!("prom/prometheus:v{}", pins::PROMETHEUS),
        format!("prom/alertmanager:v{}", pins::ALERTMANAGER),
        format!("grafana/grafana:{}", pins::GRAFANA),
    ];
    of_each_container(|container| {
        let image = text(container, "/image");
        if pinned.iter().any(|pinned| pinned == image) {
            return Vec::new();
        }
        vec![format!("image is `{image}`, and not one of {pinned:?}")]
    });
}

#[test]
fn every_container_is_probed_on_a_port_that_it_names() {
    of_each_workload(|_, workload| {
        let mut problems = Vec::new();
        for container in list(workload.template, "/spec/containers") {
            let name = text(container, "/name");
            for probe in ["livenessProbe", "readinessProbe"] {
                if container[probe].is_null() {
                    problems.push(format!("containers[{name}] has no {probe}"));
                }
            }
            let ports: Vec<_> = list(container, "/ports").iter().map(|port| &port["name"]).collect();
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let port = at(container, &format!("/{probe}/httpGet/port"));
                if !container[probe].is_null() && !ports.contains(&port) {
                    problems.push(format!("containers[{name}].{probe} asks port {port}, which it does not name"));
                }
            }
        }
        problems
    });
}

#[test]
fn every_container_says_what_it_needs_and_where_memory_and_disk_end() {
    of_each_container(|container| {
        let fields = [
            "requests/cpu",
            "requests/memory",
            "requests/ephemeral-storage",
            "limits/memory",
            "limits/ephemeral-storage",
        ];
        let missing = fields.iter().filter(|field| text(container, &format!("/resources/{field}")).is_empty());
        missing.map(|field| format!("resources.{} is missing", field.replace('/', "."))).collect()
    });
}

/// The exporter's image has no shell to look around in.
#[test]
fn every_container_keeps_its_last_log_lines() {
    of_each_container(|container| {
        let policy = text(container, "/terminationMessagePolicy");
        if policy == "FallbackToLogsOnError" {
            Vec::new()
        } else {
            vec![format!("terminationMessagePolicy is `{policy}`")]
        }
    });
}

/// The disk that the volumes may fill counts, or the kubelet evicts the pod for using them.
#[test]
fn the_disk_limit_has_room_for_the_volumes_and_the_log() {
    of_each_workload(|_, workload| {
        let limit = list(workload.template, "/spec/containers").iter();
        let limit: u64 = limit.map(|it| bytes(text(it, "/resources/limits/ephemeral-storage"))).sum();
        let volumes = list(workload.template, "/spec/volumes").iter();
        let volumes: u64 = volumes.filter_map(|it| it["emptyDir"]["sizeLimit"].as_str()).map(bytes).sum();
        // The kubelet keeps five files of 10 MiB of a container's log.
        let needed = volumes + 50 * 1024 * 1024;
        if limit >= needed { Vec::new() } else { vec![format!("ephemeral storage ends at {limit} of {needed} bytes")] }
    });
}

#[test]
fn every_object_has_the_recommended_labels() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        for object in rendering.documents.iter().filter(|object| object["kind"] != "Namespace") {
            let label = |name: &str| text(object, &format!("/metadata/labels/app.kubernetes.io~1{name}"));
            for (name, value) in [("part-of", "mini-node-exporter"), ("managed-by", "kustomize")] {
                if label(name) != value {
                    problems.push(format!("{}: {}: `{name}` is `{}`", rendering.name, render::id(object), label(name)));
                }
            }
        }
    }
    assert_none(&problems);
}

/// `kubectl get pods -L app.kubernetes.io/version` tells the truth.
#[test]
fn every_pod_has_the_version_of_its_image() {
    of_each_workload(|_, workload| {
        let tag = text(workload.template, "/spec/containers/0/image").rsplit(':').next().unwrap_or_default();
        let mut problems = Vec::new();
        for (place, labels) in [("", &workload.object["metadata"]), ("pod ", &workload.template["metadata"])] {
            let version = text(labels, "/labels/app.kubernetes.io~1version");
            if version != tag {
                problems.push(format!("{place}label `version` is `{version}`, and the image's tag `{tag}`"));
            }
            if text(labels, "/labels/app.kubernetes.io~1component").is_empty() {
                problems.push(format!("{place}label `component` is missing"));
            }
        }
        problems
    });
}

/// Configuration, secrets and the node's own files are for reading.
#[test]
fn only_scratch_space_can_be_written() {
    of_each_workload(|_, workload| {
        let volumes = list(workload.template, "/spec/volumes");
        let scratch = |name: &Value| volumes.iter().any(|it| it["name"] == *name && !it["emptyDir"].is_null());
        let mounts = workload.containers().into_iter().flat_map(|(name, container)| {
            list(container, "/volumeMounts").iter().map(move |mount| (name.clone(), mount))
        });
        let open = mounts.filter(|(_, mount)| mount["readOnly"] != json!(true) && !scratch(&mount["name"]));
        open.map(|(name, mount)| format!("{name} may write to {}", mount["mountPath"])).collect()
    });
}

#[test]
fn every_workload_has_an_account_of_its_own() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        let mut taken = BTreeSet::new();
        for workload in rendering.workloads() {
            let account = text(workload.template, "/spec/serviceAccountName");
            if !rendering.names("ServiceAccount").contains(account) {
                problems.push(format!("{}: ServiceAccount `{account}` is not among the manifests", workload.name));
            }
            if !taken.insert(account) {
                problems.push(format!("{}: ServiceAccount `{account}` is another workload's too", workload.name));
            }
        }
    }
    assert_none(&problems);
}

/// A token is used by an account that a role is bound to.
#[test]
fn a_token_is_mounted_only_where_it_is_used() {
    of_each_workload(|rendering, workload| {
        let mut problems = Vec::new();
        let account = text(workload.template, "/spec/serviceAccountName");
        let used = rendering.of_kind("RoleBinding").any(|binding| {
            list(binding, "/subjects").iter().any(|subject| {
                subject["kind"] == "ServiceAccount"
                    && subject["name"] == account
                    && subject["namespace"] == "mini-node-exporter"
            })
        });
        let mounted = at(workload.template, "/spec/automountServiceAccountToken");
        if *mounted != json!(used) {
            problems.push(format!("spec.automountServiceAccountToken is {mounted}, and it must be {used}"));
        }
        let by_default = &rendering.object("ServiceAccount", account)["automountServiceAccountToken"];
        if *by_default != json!(false) {
            problems.push(format!("ServiceAccount/{account} mounts its token everywhere"));
        }
        problems
    });
}

/// A role of the cluster would reach other namespaces.
#[test]
fn the_only_right_is_to_read_pods_of_the_namespace() {
    for rendering in render::all() {
        for kind in ["ClusterRole", "ClusterRoleBinding"] {
            assert!(rendering.names(kind).is_empty(), "{}: {:?}", rendering.name, rendering.names(kind));
        }
        for role in rendering.of_kind("Role") {
            let expected = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]);
            assert_eq!(role["rules"], expected, "{}", rendering.name);
        }
        for binding in rendering.of_kind("RoleBinding") {
            assert_eq!(binding["roleRef"]["kind"], "Role", "{}", rendering.name);
            rendering.object("Role", text(binding, "/roleRef/name"));
        }
    }
}
