//! The restricted Pod Security Standard (as of Kubernetes 1.36, its baseline included), one function a control, for
//! pods on Linux nodes. Admission in a real cluster judges a pod as a whole; this names the workload and the field.

use serde_json::{Value, json};

use crate::render::{self, assert_none, at, containers, list, text};

/// One control of the standard.
struct Control {
    /// Its name in the standard's own page.
    name: &'static str,
    /// The fields of a pod's template that break it, each with what was seen.
    breaches: fn(&Value) -> Vec<String>,
}

/// A host path breaks "Volume Types" alone here, as it does in admission, though the standard's page lists it twice.
const CONTROLS: [Control; 15] = [
    Control { name: "HostProcess", breaches: host_process },
    Control { name: "Host Namespaces", breaches: host_namespaces },
    Control { name: "Privileged Containers", breaches: privileged_containers },
    Control { name: "Capabilities", breaches: capabilities },
    Control { name: "Host Ports", breaches: host_ports },
    Control { name: "Host Probes and Lifecycle Hooks", breaches: host_probes },
    Control { name: "AppArmor", breaches: app_armor },
    Control { name: "SELinux", breaches: se_linux },
    Control { name: "/proc Mount Type", breaches: proc_mount_type },
    Control { name: "Sysctls", breaches: sysctls },
    Control { name: "Volume Types", breaches: volume_types },
    Control { name: "Privilege Escalation", breaches: privilege_escalation },
    Control { name: "Running as Non-root", breaches: running_as_non_root },
    Control { name: "Running as Non-root user", breaches: running_as_non_root_user },
    Control { name: "Seccomp", breaches: seccomp },
];

#[test]
fn every_pod_meets_the_restricted_standard() {
    let mut problems = Vec::new();
    for rendering in render::all().iter().filter(|rendering| rendering.name != EVERYTHING) {
        for workload in rendering.workloads() {
            let broken = broken(workload.template);
            problems.extend(broken.iter().map(|(control, field)| format!("{}: {control}: {field}", workload.name)));
        }
        assert_eq!(enforced(rendering), "restricted", "{}", rendering.name);
    }
    assert_none(&problems);
}

#[test]
fn the_host_procfs_component_breaks_exactly_one_control() {
    let rendering = render::named(EVERYTHING);
    let broken: Vec<_> = rendering.workloads().iter().flat_map(|workload| broken(workload.template)).collect();
    assert_eq!(broken, [("Volume Types", "volumes[host-proc].hostPath".to_owned())]);
    assert_eq!(enforced(rendering), "privileged");
}

/// A control that nothing can break proves nothing.
#[test]
fn every_control_sees_its_breach_and_no_other() {
    let good = render::named("stack").object("DaemonSet", "mini-node-exporter")["spec"]["template"].clone();
    assert_eq!(broken(&good), []);
    let unknown = json!({"a.b/c": "d"});
    let breaches = [
        ("HostProcess", "/spec/securityContext/windowsOptions/hostProcess", json!(true)),
        ("HostProcess", "/spec/containers/0/securityContext/windowsOptions/hostProcess", json!(true)),
        ("Host Namespaces", "/spec/hostNetwork", json!(true)),
        ("Host Namespaces", "/spec/hostPID", json!(true)),
        ("Host Namespaces", "/spec/hostIPC", json!(true)),
        ("Privileged Containers", "/spec/containers/0/securityContext/privileged", json!(true)),
        ("Capabilities", "/spec/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"])),
        ("Capabilities", "/spec/containers/0/securityContext/capabilities", Value::Null),
        ("Capabilities", "/spec/containers/0/securityContext/capabilities/add", json!(["SYS_TIME"])),
        ("Host Ports", "/spec/containers/0/ports/0/hostPort", json!(23333)),
        ("Host Probes and Lifecycle Hooks", "/spec/containers/0/livenessProbe/httpGet/host", json!("10.0.0.1")),
        ("Host Probes and Lifecycle Hooks", "/spec/containers/0/lifecycle/preStop/tcpSocket/host", json!("10.0.0.1")),
        ("AppArmor", "/spec/securityContext/appArmorProfile/type", json!("Unconfined")),
        (
            "AppArmor",
            "/metadata/annotations",
            json!({"container.apparmor.security.beta.kubernetes.io/exporter": "unconfined"}),
        ),
        ("SELinux", "/spec/securityContext/seLinuxOptions/type", json!("spc_t")),
        ("SELinux", "/spec/containers/0/securityContext/seLinuxOptions/user", json!("system_u")),
        ("/proc Mount Type", "/spec/containers/0/securityContext/procMount", json!("Unmasked")),
        ("Sysctls", "/spec/securityContext/sysctls", json!([{"name": "kernel.msgmax", "value": "1"}])),
        ("Volume Types", "/spec/volumes", json!([{"name": "v", "hostPath": {"path": "/proc"}}])),
        ("Volume Types", "/spec/volumes", json!([{"name": "v", "nfs": unknown}])),
        ("Privilege Escalation", "/spec/containers/0/securityContext/allowPrivilegeEscalation", Value::Null),
        ("Running as Non-root", "/spec/securityContext/runAsNonRoot", Value::Null),
        ("Running as Non-root", "/spec/containers/0/securityContext/runAsNonRoot", json!(false)),
        ("Running as Non-root user", "/spec/securityContext/runAsUser", json!(0)),
        ("Running as Non-root user", "/spec/containers/0/securityContext/runAsUser", json!(0)),
        ("Seccomp", "/spec/securityContext/seccompProfile", Value::Null),
        ("Seccomp", "/spec/containers/0/securityContext/seccompProfile/type", json!("Unconfined")),
    ];
    for (control, field, value) in &breaches {
        let mut bad = good.clone();
        set(&mut bad, field, value.clone());
        let seen: Vec<_> = broken(&bad).into_iter().map(|(control, _)| control).collect();
        assert_eq!(seen, [*control], "{field} = {value}");
    }
    for Control { name, .. } in &CONTROLS {
        assert!(breaches.iter().any(|(control, ..)| control == name), "nothing breaks {name}");
    }
}

const EVERYTHING: &str = "production-with-every-component";

fn broken(template: &Value) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    for Control { name, breaches } in &CONTROLS {
        broken.extend(breaches(template).into_iter().map(|field| (*name, field)));
    }
    broken
}

fn enforced(rendering: &render::Rendering) -> &str {
    let namespace = rendering.object("Namespace", "mini-node-exporter");
    text(namespace, "/metadata/labels/pod-security.kubernetes.io~1enforce")
}

/// Sets a field, with whatever objects lead to it.
fn set(value: &mut Value, pointer: &str, to: Value) {
    let mut field = value;
    for part in pointer.split('/').skip(1) {
        field = match part.parse::<usize>() {
            Ok(index) => &mut field[index],
            Err(_) => &mut field[part],
        };
    }
    *field = to;
}

fn host_process(template: &Value) -> Vec<String> {
    settings(template, "windowsOptions/hostProcess", |value| !is_true(value))
}

fn host_namespaces(template: &Value) -> Vec<String> {
    let spec = &template["spec"];
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| is_true(&spec[field]));
    shared.map(|field| format!("{field} is true")).collect()
}

fn privileged_containers(template: &Value) -> Vec<String> {
    settings(template, "privileged", |value| !is_true(value))
}

fn capabilities(template: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, container) in containers(template) {
        let capabilities = &container["securityContext"]["capabilities"];
        if !list(capabilities, "/drop").contains(&json!("ALL")) {
            breaches.push(format!("{name}.securityContext.capabilities.drop is {}", capabilities["drop"]));
        }
        for capability in list(capabilities, "/add").iter().filter(|add| **add != "NET_BIND_SERVICE") {
            breaches.push(format!("{name}.securityContext.capabilities.add has {capability}"));
        }
    }
    breaches
}

fn host_ports(template: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, container) in containers(template) {
        for port in list(container, "/ports").iter().filter(|port| !is_default(&port["hostPort"], &json!(0))) {
            breaches.push(format!("{name}.ports[{}].hostPort is {}", port["name"], port["hostPort"]));
        }
    }
    breaches
}

fn host_probes(template: &Value) -> Vec<String> {
    let hooks = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle/postStart", "lifecycle/preStop"];
    let mut breaches = Vec::new();
    for (name, container) in containers(template) {
        for field in hooks.iter().flat_map(|hook| [format!("{hook}/httpGet/host"), format!("{hook}/tcpSocket/host")]) {
            let host = at(container, &format!("/{field}"));
            if !is_default(host, &json!("")) {
                breaches.push(format!("{name}.{} is {host}", field.replace('/', ".")));
            }
        }
    }
    breaches
}

fn app_armor(template: &Value) -> Vec<String> {
    let profiles = [json!("RuntimeDefault"), json!("Localhost")];
    let mut breaches = settings(template, "appArmorProfile/type", |value| value.is_null() || profiles.contains(value));
    let annotations = template["metadata"]["annotations"].as_object();
    for (name, profile) in annotations.into_iter().flatten() {
        let profile = profile.as_str().unwrap_or("");
        if name.starts_with("container.apparmor.security.beta.kubernetes.io/")
            && !(profile == "runtime/default" || profile.starts_with("localhost/"))
        {
            breaches.push(format!("metadata.annotations[{name}] is {profile}"));
        }
    }
    breaches
}

fn se_linux(template: &Value) -> Vec<String> {
    let types = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let known = |value: &Value| value.is_null() || types.iter().any(|known| value == known);
    let mut breaches = settings(template, "seLinuxOptions/type", known);
    for field in ["seLinuxOptions/user", "seLinuxOptions/role"] {
        breaches.extend(settings(template, field, |value| is_default(value, &json!(""))));
    }
    breaches
}

fn proc_mount_type(template: &Value) -> Vec<String> {
    settings(template, "procMount", |value| is_default(value, &json!("Default")))
}

fn sysctls(template: &Value) -> Vec<String> {
    let safe = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    ];
    let names = list(template, "/spec/securityContext/sysctls").iter().map(|sysctl| text(sysctl, "/name"));
    names.filter(|name| !safe.contains(name)).map(|name| format!("securityContext.sysctls has {name}")).collect()
}

fn volume_types(template: &Value) -> Vec<String> {
    let allowed = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let mut breaches = Vec::new();
    for volume in list(template, "/spec/volumes") {
        let types = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        let bad = types.filter(|kind| !allowed.contains(&kind.as_str()));
        breaches.extend(bad.map(|kind| format!("volumes[{}].{kind}", text(volume, "/name"))));
    }
    breaches
}

fn privilege_escalation(template: &Value) -> Vec<String> {
    of_each_container(template, "allowPrivilegeEscalation", |value, _| *value == json!(false))
}

fn running_as_non_root(template: &Value) -> Vec<String> {
    of_each_container(template, "runAsNonRoot", |value, pods| is_true(value) || (value.is_null() && is_true(pods)))
}

fn running_as_non_root_user(template: &Value) -> Vec<String> {
    settings(template, "runAsUser", |value| *value != json!(0))
}

fn seccomp(template: &Value) -> Vec<String> {
    let confined = |value: &Value| value == "RuntimeDefault" || value == "Localhost";
    of_each_container(template, "seccompProfile/type", |value, pods| {
        confined(value) || (value.is_null() && confined(pods))
    })
}

/// A field that is judged by itself wherever a security context can have it: the pod's, and each container's.
fn settings(template: &Value, field: &str, good: impl Fn(&Value) -> bool) -> Vec<String> {
    let pod = std::iter::once((String::new(), &template["spec"]));
    let contexts = pod.chain(containers(template).into_iter().map(|(name, value)| (format!("{name}."), value)));
    contexts
        .map(|(name, owner)| (name, at(owner, &format!("/securityContext/{field}"))))
        .filter(|(_, value)| !good(value))
        .map(|(name, value)| format!("{name}securityContext.{} is {value}", field.replace('/', ".")))
        .collect()
}

/// A field that each container needs, from its own security context or, where `good` looks there, from the pod's.
fn of_each_container(template: &Value, field: &str, good: impl Fn(&Value, &Value) -> bool) -> Vec<String> {
    let pointer = format!("/securityContext/{field}");
    let pods = at(&template["spec"], &pointer);
    containers(template)
        .into_iter()
        .map(|(name, container)| (name, at(container, &pointer)))
        .filter(|(_, value)| !good(value, pods))
        .map(|(name, value)| format!("{name}.securityContext.{} is {value}", field.replace('/', ".")))
        .collect()
}

fn is_true(value: &Value) -> bool {
    *value == json!(true)
}

fn is_default(value: &Value, default: &Value) -> bool {
    value.is_null() || value == default
}
