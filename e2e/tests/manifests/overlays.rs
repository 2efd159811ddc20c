//! What each tree promises to the person who applies it.

use e2e::workspace;
use serde_json::{Value, json};

use crate::render::{self, Rendering, at, directories, list, outside_the_tree, text};

#[test]
fn these_are_the_trees() {
    let kustomize = workspace::root().join("kustomize");
    assert_eq!(directories(&kustomize.join("overlays")), ["airgap", "airgap-grafana", "kind", "production"]);
    let components = directories(&kustomize.join("components"));
    for component in ["host-procfs", "network-policy", "pod-monitor"] {
        assert!(components.iter().any(|there| there == component), "{component}");
    }
}

#[test]
fn the_stack_listens_on_three_ports_of_every_node() {
    for (tree, expected) in [
        ("stack", json!({"mini-node-exporter": 30000, "prometheus": 30001, "grafana": 30002})),
        ("kind", json!({"mini-node-exporter": 30000, "prometheus": 30001, "grafana": 30002})),
        ("airgap", json!({"mini-node-exporter": 30000, "prometheus": 30001})),
        ("airgap-grafana", json!({"mini-node-exporter": 30000, "prometheus": 30001, "grafana": 30002})),
        ("production", json!({})),
        ("production-with-every-component", json!({})),
    ] {
        assert_eq!(node_ports(render::named(tree)), expected, "{tree}");
    }
}

#[test]
fn the_exporter_alone_has_a_headless_service() {
    let service = render::named("production").object("Service", "mini-node-exporter");
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["type"], Value::Null);
}

#[test]
fn the_exporter_runs_on_every_node_without_the_host() {
    for rendering in render::all() {
        let pod = exporter(rendering);
        assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]), "{}", rendering.name);
        assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}), "{}", rendering.name);
        let node_name = json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}});
        assert_eq!(pod["containers"][0]["env"], json!([node_name]), "{}", rendering.name);
        assert_eq!(pod["containers"][0]["args"][0], "--web.listen-address=:23333", "{}", rendering.name);
        let port = json!([{"name": "metrics", "containerPort": 23333}]);
        assert_eq!(pod["containers"][0]["ports"], port, "{}", rendering.name);
    }
}

#[test]
fn airgap_has_no_grafana() {
    let objects = &render::named("airgap").documents;
    let left: Vec<_> = objects.iter().filter(|object| object.to_string().contains("grafana")).collect();
    // The datasource's and the dashboard's files are Grafana's, and gone too.
    assert!(left.is_empty(), "{left:#?}");
}

/// The airgap cluster has no DNS, so the name in Grafana's data source is one of its pod's own hosts.
#[test]
fn grafana_of_the_airgap_finds_prometheus_without_dns() {
    let rendering = render::named("airgap-grafana");
    let grafana = &rendering.object("Deployment", "grafana")["spec"]["template"]["spec"];
    let service = rendering.object("Service", "prometheus");
    let address = text(service, "/spec/clusterIP");
    assert!(address.starts_with("10.96.0."), "{address} is not among the lowest of kind's service addresses");
    assert_eq!(grafana["hostAliases"], json!([{"ip": address, "hostnames": ["prometheus"]}]));
    let env = list(grafana, "/containers/0/env");
    let url = json!({"name": "PROMETHEUS_URL", "value": "http://prometheus:9090"});
    assert!(env.contains(&url) && service["spec"]["ports"][0]["port"] == 9090, "{env:?}");
}

#[test]
fn production_bounds_the_exporter_and_ranks_it() {
    for tree in ["production", "production-with-every-component"] {
        let rendering = render::named(tree);
        let pod = exporter(rendering);
        let resources = json!({"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}});
        assert_eq!(pod["containers"][0]["resources"], resources, "{tree}");
        assert_eq!(pod["priorityClassName"], "system-node-critical", "{tree}");
        let update = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}});
        assert_eq!(rendering.object("DaemonSet", "mini-node-exporter")["spec"]["updateStrategy"], update, "{tree}");
        assert_eq!(rendering.names("Deployment").len(), 0, "{tree}");

        let quota = rendering.object("ResourceQuota", "system-node-critical");
        let critical = json!({"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]});
        let spec = json!({"hard": {"pods": "1G"}, "scopeSelector": {"matchExpressions": [critical]}});
        assert_eq!(quota["spec"], spec, "{tree}");
    }
}

#[test]
fn only_production_closes_the_exporter_to_all_but_prometheus() {
    for rendering in render::all() {
        let closed = rendering.name.starts_with("production");
        assert_eq!(rendering.names("NetworkPolicy").len(), usize::from(closed), "{}", rendering.name);
    }
    let spec = &render::named("production").object("NetworkPolicy", "mini-node-exporter")["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["egress"], json!([]));
    let prometheus = json!({
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
        "namespaceSelector": {},
    });
    assert_eq!(spec["ingress"], json!([{"from": [prometheus], "ports": [{"protocol": "TCP", "port": 23333}]}]));
}

#[test]
fn components_combine() {
    let rendering = render::named("production-with-every-component");
    let args = json!(["--web.listen-address=:23333", "--path.procfs=/host/proc"]);
    let pod = exporter(rendering);
    assert_eq!(pod["containers"][0]["args"], args);
    assert_eq!(pod["volumes"], json!([{"name": "host-proc", "hostPath": {"path": "/proc", "type": "Directory"}}]));
    let mount = json!([{"name": "host-proc", "mountPath": "/host/proc", "readOnly": true}]);
    assert_eq!(pod["containers"][0]["volumeMounts"], mount);
    assert_eq!(rendering.names("NetworkPolicy").len(), 1);
    assert_eq!(rendering.names("PodMonitor").len(), 1);
}

#[test]
fn prometheus_is_bounded() {
    for tree in ["stack", "kind", "airgap", "airgap-grafana"] {
        let deployment = render::named(tree).object("Deployment", "prometheus");
        assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate", "{tree}");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<_> = list(container, "/args").iter().filter_map(Value::as_str).collect();
        for flag in ["--storage.tsdb.retention.time=", "--storage.tsdb.retention.size="] {
            assert!(args.iter().any(|arg| arg.starts_with(flag)), "{tree}: {flag}");
        }
        assert_eq!(container["resources"]["limits"]["memory"], "512Mi", "{tree}");
        assert_eq!(container["env"], json!([{"name": "GOMEMLIMIT", "value": "460MiB"}]), "{tree}");
    }
}

/// What a user does for a registry of their own, and the harness for every run: all in one kustomization elsewhere.
#[test]
fn an_overlay_outside_the_tree_sets_images_rules_and_flags() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let rendering = outside_the_tree("outside", |directory, tree| {
        let kustomization = format!(
            "
resources:
  - {tree}/overlays/kind
images:
  - {{name: mini-node-exporter, newName: example.invalid/exporter, newTag: '2'}}
  - {{name: prom/prometheus, newTag: v3.5.0}}
  - {{name: grafana/grafana, newTag: 13.0.1, digest: '{digest}'}}
configMapGenerator:
  - name: prometheus-rules
    namespace: mini-node-exporter
    behavior: merge
    files: [thresholds.yml]
patches:
  - target: {{kind: DaemonSet, name: mini-node-exporter}}
    patch: |
      - {{op: add, path: /spec/template/spec/containers/0/args/-, value: --log.level=debug}}
"
        );
        std::fs::write(directory.join("kustomization.yaml"), kustomization).unwrap();
        std::fs::write(directory.join("thresholds.yml"), "groups: []\n").unwrap();
    });
    let images: Vec<_> = rendering
        .workloads()
        .iter()
        .flat_map(render::Workload::containers)
        .map(|(name, container)| format!("{name} {}", text(container, "/image")))
        .collect();
    let expected = [
        "containers[exporter] example.invalid/exporter:2".to_owned(),
        format!("initContainers[admin-password] grafana/grafana:13.0.1@{digest}"),
        format!("containers[grafana] grafana/grafana:13.0.1@{digest}"),
        "containers[prometheus] prom/prometheus:v3.5.0".to_owned(),
    ];
    assert_eq!(images, expected);
    let args = json!(["--web.listen-address=:23333", "--log.level=debug"]);
    assert_eq!(exporter(&rendering)["containers"][0]["args"], args);

    let rules = |rendering: &Rendering| {
        let found =
            rendering.of_kind("ConfigMap").find(|map| text(map, "/metadata/name").starts_with("prometheus-rules-"));
        found.unwrap().clone()
    };
    let (shipped, merged) = (rules(render::named("kind")), rules(&rendering));
    assert_eq!(merged["data"]["thresholds.yml"], "groups: []\n");
    assert_eq!(merged["data"]["mini-node-exporter.yml"], shipped["data"]["mini-node-exporter.yml"]);
    assert_ne!(merged["metadata"]["name"], shipped["metadata"]["name"]);
    let volumes = at(rendering.object("Deployment", "prometheus"), "/spec/template/spec/volumes").to_string();
    assert!(volumes.contains(text(&merged, "/metadata/name")), "{volumes}");
}

fn exporter(rendering: &Rendering) -> &Value {
    at(rendering.object("DaemonSet", "mini-node-exporter"), "/spec/template/spec")
}

fn node_ports(rendering: &Rendering) -> Value {
    let mut ports = json!({});
    for service in rendering.of_kind("Service").filter(|service| service["spec"]["type"] == "NodePort") {
        for port in list(service, "/spec/ports") {
            ports[text(service, "/metadata/name")] = port["nodePort"].clone();
        }
    }
    ports
}
