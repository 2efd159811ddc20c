//! What each tree promises to the person who applies it.

use e2e::tools::pins;
use e2e::workspace;
use regex::Regex;
use serde_json::{Value, json};

use crate::render::{self, Rendering, at, bytes, list, outside_the_tree, text};

#[test]
fn the_stack_listens_on_ports_of_every_node() {
    for rendering in render::all().iter().filter(|rendering| rendering.name.starts_with("production")) {
        assert_eq!(node_ports(rendering), json!({}), "{}", rendering.name);
    }
    for (tree, expected) in [
        ("stack", json!({"mini-node-exporter": 30000, "prometheus": 30001, "grafana": 30002})),
        ("kind", json!({"mini-node-exporter": 30000, "prometheus": 30001, "grafana": 30002, "alertmanager": 30003})),
    ] {
        assert_eq!(node_ports(render::named(tree)), expected, "{tree}");
    }
}

/// The pages write a node port as `30001 (Prometheus)`.
#[test]
fn every_page_names_the_node_ports_as_they_are() {
    let written = Regex::new(r"\b(3\d{4}) \((\w+)\)").unwrap();
    let ports = node_ports(render::named("kind"));
    let mut seen = 0;
    for page in ["README.md", "docs/reference.md", "docs/architecture.md"] {
        let text = fs_err::read_to_string(workspace::root().join(page)).unwrap();
        for found in written.captures_iter(&text) {
            let service = found[2].to_lowercase().replace("exporter", "mini-node-exporter");
            assert_eq!(ports[&service].to_string(), found[1], "{page}: {}", &found[0]);
            seen += 1;
        }
    }
    assert!(seen >= 3, "no page says where the stack answers");
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
        let port = json!({"name": "metrics", "containerPort": 23333});
        assert_eq!(pod["containers"][0]["ports"][0], port, "{}", rendering.name);
    }
}

#[test]
fn production_bounds_the_exporter_and_ranks_it() {
    for tree in ["production", "kube-prometheus-stack"] {
        let rendering = render::named(tree);
        let pod = exporter(rendering);
        let resources = json!({
            "requests": {"cpu": "5m", "memory": "8Mi", "ephemeral-storage": "1Mi"},
            "limits": {"memory": "32Mi", "ephemeral-storage": "64Mi"},
        });
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
fn production_closes_the_exporter_and_the_stack_what_it_can() {
    for rendering in render::all() {
        let expected: &[&str] = match rendering.name.as_str() {
            "stack" | "kind" => &["alertmanager", "grafana", "prometheus"],
            _ => &["mini-node-exporter"],
        };
        assert_eq!(Vec::from_iter(rendering.names("NetworkPolicy")), expected, "{}", rendering.name);
    }
    let port = |protocol: &str, port: u16| json!({"protocol": protocol, "port": port});
    let pods = |name: &str| json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}});

    let exporter = &render::named("production").object("NetworkPolicy", "mini-node-exporter")["spec"];
    let mut elsewhere = pods("prometheus");
    elsewhere["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}});
    assert_eq!(exporter["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(exporter["egress"], json!([]));
    assert_eq!(exporter["ingress"], json!([{"from": [elsewhere, pods("prometheus")], "ports": [port("TCP", 23333)]}]));

    // Their node ports admit everybody. The API server may be at any address and port.
    let prometheus = &render::named("stack").object("NetworkPolicy", "prometheus")["spec"];
    assert_eq!(prometheus["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(prometheus["ingress"], json!([{"ports": [port("TCP", 9090)]}]));
    assert_eq!(prometheus["egress"], json!([{"ports": [{"protocol": "TCP"}]}]));
    let alertmanager = &render::named("stack").object("NetworkPolicy", "alertmanager")["spec"];
    assert_eq!(alertmanager["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(alertmanager["ingress"], json!([{"from": [pods("prometheus")], "ports": [port("TCP", 9093)]}]));
    // What comes through the lab's node port has the address of a node.
    let alertmanager = &render::named("kind").object("NetworkPolicy", "alertmanager")["spec"];
    let no_pod = json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"]}});
    assert_eq!(alertmanager["ingress"], json!([{"from": [pods("prometheus"), no_pod], "ports": [port("TCP", 9093)]}]));
    let grafana = &render::named("stack").object("NetworkPolicy", "grafana")["spec"];
    assert_eq!(grafana["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(grafana["ingress"], json!([{"ports": [port("TCP", 3000)]}]));
    let queries = json!({"to": [pods("prometheus")], "ports": [port("TCP", 9090)]});
    // No selector matches NodeLocal DNSCache, and OpenShift's DNS listens on 5353.
    let names = json!({"ports": [port("UDP", 53), port("TCP", 53), port("UDP", 5353), port("TCP", 5353)]});
    assert_eq!(grafana["egress"], json!([queries, names]));
}

/// A Fargate or virtual-kubelet node runs no pod of a daemon set, and the image is built for two architectures.
#[test]
fn the_exporter_stays_off_nodes_that_cannot_run_it() {
    for rendering in render::all() {
        let terms = at(exporter(rendering), "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
        let not = |key: &str, value: &str| json!({"key": key, "operator": "NotIn", "values": [value]});
        let built = json!({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]});
        let expected = [not("eks.amazonaws.com/compute-type", "fargate"), not("type", "virtual-kubelet"), built];
        assert_eq!(*terms, json!({"nodeSelectorTerms": [{"matchExpressions": expected}]}), "{}", rendering.name);
    }
}

/// With `maxUnavailable: 10%` of fewer than 20 nodes, a single pod that is never ready would stop a roll-out.
#[test]
fn one_node_with_a_bad_file_does_not_stop_a_roll_out() {
    for rendering in render::all() {
        let probe = at(exporter(rendering), "/containers/0/readinessProbe/httpGet/path");
        assert_eq!(probe, "/healthz/live", "{}: a bad file fails /healthz/ready", rendering.name);
    }
}

/// What the workflow applies beside prometheus-operator: the Prometheus is where the network policy looks for it.
#[test]
fn the_operator_s_prometheus_is_admitted_and_pinned() {
    let rendering = Rendering::of("operator", &workspace::root().join("e2e/operator"));
    let prometheus = rendering.object("Prometheus", "prometheus");
    assert_eq!(prometheus["spec"]["image"], format!("prom/prometheus:v{}", pins::PROMETHEUS));
    let admitted = at(
        rendering.object("NetworkPolicy", "mini-node-exporter"),
        "/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name",
    );
    assert_eq!(*admitted, prometheus["metadata"]["namespace"]);
    for kind in ["PodMonitor", "PrometheusRule", "ConfigMap"] {
        assert!(!rendering.names(kind).is_empty(), "{kind}");
    }
}

#[test]
fn prometheus_is_bounded() {
    for tree in ["stack", "kind"] {
        let deployment = render::named(tree).object("Deployment", "prometheus");
        assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate", "{tree}");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<_> = list(container, "/args").iter().filter_map(Value::as_str).collect();
        let value = |flag: &str| {
            let found = args.iter().find_map(|arg| arg.strip_prefix(flag));
            found.unwrap_or_else(|| panic!("{tree}: {flag} is not set"))
        };
        value("--storage.tsdb.retention.time=");
        // What is written since the last block, and a block that is being compacted, come on top.
        let kept = bytes(value("--storage.tsdb.retention.size="));
        let volumes = list(deployment, "/spec/template/spec/volumes");
        let data = volumes.iter().find(|volume| volume["name"] == "data").unwrap();
        let volume = bytes(text(data, "/emptyDir/sizeLimit"));
        assert!(kept * 3 / 2 <= volume, "{tree}: {kept} bytes are kept on a volume of {volume}");
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
  - {{name: ghcr.io/mini-node-exporter/mini-node-exporter, newName: example.invalid/exporter, newTag: '2'}}
  - {{name: prom/prometheus, newTag: v9.9.9}}
  - {{name: grafana/grafana, newTag: 9.9.9, digest: '{digest}'}}
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
        fs_err::write(directory.join("kustomization.yaml"), kustomization).unwrap();
        fs_err::write(directory.join("thresholds.yml"), "groups: []\n").unwrap();
    });
    let images: Vec<_> = rendering
        .workloads()
        .iter()
        .flat_map(render::Workload::containers)
        .map(|(name, container)| format!("{name} {}", text(container, "/image")))
        .collect();
    let expected = [
        "containers[exporter] example.invalid/exporter:2".to_owned(),
        format!("containers[alertmanager] prom/alertmanager:v{}", pins::ALERTMANAGER),
        format!("initContainers[admin-password] grafana/grafana:9.9.9@{digest}"),
        format!("containers[grafana] grafana/grafana:9.9.9@{digest}"),
        "containers[prometheus] prom/prometheus:v9.9.9".to_owned(),
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
