//! The *restricted* Pod Security Standard, as of Kubernetes 1.36, for pods on Linux nodes.
//!
//! This is no admission controller: it does not know every value that the standard allows, but the few that our pods
//! have. Of each field that the standard limits, anything else is a breach, so a pod that passes here passes there, and
//! a new value has to be judged by a person. The cluster tier asks a real admission.

use serde_json::{Value, json};

use crate::render::{self, assert_none, at, containers, list, outside_the_tree, text};

/// The kinds of volume that we use; the standard allows a few more. A `hostPath` is not among them.
const VOLUMES: [&str; 4] = ["configMap", "emptyDir", "projected", "secret"];

/// The fields of a pod's template that breach the standard, each with what was seen.
fn breaches(template: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut expect = |field: String, seen: &Value, expected: Value| {
        if *seen != expected {
            breaches.push(format!("{field} is {seen}, not {expected}"));
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        expect(field.into(), &template["spec"][field], Value::Null);
    }
    let annotations = template["metadata"]["annotations"].as_object().into_iter().flatten();
    for (name, value) in annotations.filter(|(name, _)| name.contains("apparmor")) {
        expect(format!("metadata.annotations[{name}]"), value, Value::Null);
    }
    // Nothing more in it than a user that is not root: no sysctls, no profile of AppArmor, SELinux or Windows.
    let mut context = template["spec"]["securityContext"].clone();
    if let Some(context) = context.as_object_mut() {
        context.retain(|field, id| !["runAsUser", "runAsGroup", "fsGroup"].contains(&field.as_str()) || *id == 0);
    }
    let confined = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    expect("securityContext".into(), &context, confined);
    for (name, container) in containers(template) {
        // Nothing more in it: not privileged, no capability, no user, no mount of /proc or profile of its own.
        let nothing = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
        });
        expect(format!("{name}.securityContext"), &container["securityContext"], nothing);
        for port in list(container, "/ports") {
            expect(format!("{name}.ports[{}].hostPort", port["name"]), &port["hostPort"], Value::Null);
        }
        for hook in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle/postStart", "lifecycle/preStop"] {
            for field in [format!("/{hook}/httpGet/host"), format!("/{hook}/tcpSocket/host")] {
                expect(format!("{name}{field}"), at(container, &field), Value::Null);
            }
        }
    }
    for volume in list(template, "/spec/volumes") {
        for kind in volume.as_object().unwrap().keys().filter(|key| *key != "name") {
            if !VOLUMES.contains(&kind.as_str()) {
                breaches.push(format!("volumes[{}] is a {kind}", text(volume, "/name")));
            }
        }
    }
    breaches
}

#[test]
fn every_pod_meets_the_restricted_standard() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        for workload in rendering.workloads() {
            problems.extend(breaches(workload.template).iter().map(|breach| format!("{}: {breach}", workload.name)));
        }
        assert_eq!(enforced(rendering), "restricted", "{}", rendering.name);
    }
    assert_none(&problems);
}

#[test]
fn the_host_procfs_component_breaks_exactly_one_control() {
    let rendering = outside_the_tree("with-host-procfs", |directory, tree| {
        let kustomization = json!({
            "resources": [format!("{tree}/overlays/production")],
            "components": [format!("{tree}/components/host-procfs")],
        });
        fs_err::write(directory.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    });
    let seen: Vec<_> = rendering.workloads().iter().flat_map(|workload| breaches(workload.template)).collect();
    assert_eq!(seen, ["volumes[host-proc] is a hostPath", "volumes[host-cpus] is a hostPath"]);
    assert_eq!(enforced(&rendering), "privileged");
}

fn enforced(rendering: &render::Rendering) -> &str {
    let namespace = rendering.object("Namespace", "mini-node-exporter");
    text(namespace, "/metadata/labels/pod-security.kubernetes.io~1enforce")
}
