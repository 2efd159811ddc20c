//! What each example of `kustomize/examples/` promises. Those that run pods are in `render::all`, and so in every other
//! test too.

use std::collections::BTreeSet;

use e2e::workspace;
use serde_json::{Value, json};

use crate::references::dangling;
use crate::render::{self, Rendering, assert_none, at, list, outside_the_tree, text, yaml};

/// Flux's and Argo CD's controllers write these fields into a kustomization of their own before they render it.
#[test]
fn flux_and_argo_cd_apply_production_of_a_release() {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let flux = example("flux");
    assert_eq!(flux.object("GitRepository", "mini-node-exporter")["spec"]["ref"], json!({ "tag": version }));
    let flux = flux.object("Kustomization", "mini-node-exporter")["spec"].clone();
    let argo = example("argo-cd").object("Application", "mini-node-exporter")["spec"]["source"].clone();
    assert_eq!(argo["targetRevision"], version);
    for (who, path, components) in [
        ("flux", text(&flux, "/path"), list(&flux, "/components")),
        ("argo-cd", text(&argo, "/path"), list(&argo, "/kustomize/components")),
    ] {
        let path = path.trim_start_matches("./").strip_prefix("kustomize/").unwrap();
        let rendering = outside_the_tree(who, |directory, tree| {
            let component = |it: &Value| format!("{tree}/{path}/{}", it.as_str().unwrap());
            let components: Vec<_> = components.iter().map(component).collect();
            let resources = [format!("{tree}/{path}")];
            let kustomization = json!({ "resources": resources, "components": components });
            fs_err::write(directory.join("kustomization.yaml"), kustomization.to_string()).unwrap();
        });
        assert_eq!(image(&rendering), render::exporter_image(), "{who}");
        for kind in ["PodMonitor", "PrometheusRule", "ConfigMap"] {
            assert!(!rendering.names(kind).is_empty(), "{who}: {kind}");
        }
        assert_none(&dangling(&rendering));
    }
}

/// Flux replaces `${…}` by variables of its own and `$$` by `$`, unless an annotation excludes the object.
#[test]
fn flux_substitutes_nothing() {
    let mut problems = Vec::new();
    for rendering in render::all() {
        for object in &rendering.documents {
            let text = object.to_string();
            let substituted = text.contains("${") || text.contains("$$");
            let annotation = at(object, "/metadata/annotations/kustomize.toolkit.fluxcd.io~1substitute");
            if substituted && annotation != "disabled" {
                problems.push(format!("{}: {} holds `${{`", rendering.name, render::id(object)));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn kube_prometheus_stack_selects_the_objects_of_its_release() {
    let rendering = example("kube-prometheus-stack");
    assert_eq!(image(&rendering), render::exporter_image());
    let selected = rendering.of_kind("PodMonitor").chain(rendering.of_kind("PrometheusRule"));
    let labels: Vec<_> = selected.map(|it| text(it, "/metadata/labels/release")).collect();
    assert_eq!(labels, ["kube-prometheus-stack"; 3]);
    let dashboard = rendering.object("ConfigMap", "mini-node-exporter-dashboard");
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(admitted(&rendering), "monitoring");
}

/// Its job finds the pods where they are, and is otherwise that of the stack.
#[test]
fn a_prometheus_without_an_operator_may_list_the_pods_that_its_job_names() {
    let rendering = example("prometheus");
    assert_eq!(image(&rendering), render::exporter_image());
    let binding = rendering.object("RoleBinding", "prometheus-k8s");
    assert_eq!(
        binding["subjects"][0],
        json!({ "kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring" })
    );
    assert_eq!(admitted(&rendering), "monitoring");

    let job = |file: &str| yaml(&workspace::root().join("kustomize").join(file))["scrape_configs"][0].clone();
    let mut expected = job("prometheus/prometheus.yml");
    expected["kubernetes_sd_configs"][0]["namespaces"] = json!({ "names": [binding["metadata"]["namespace"]] });
    assert_eq!(job("examples/prometheus/scrape.yml"), expected);
}

/// As the page says it is made.
#[test]
fn an_example_is_an_overlay_outside_the_tree() {
    let copied = outside_the_tree("kube-prometheus-stack", |directory, tree| {
        let file = workspace::root().join("kustomize/examples/kube-prometheus-stack/kustomization.yaml");
        let text = fs_err::read_to_string(file).unwrap().replace("../../", &format!("{tree}/"));
        fs_err::write(directory.join("kustomization.yaml"), text).unwrap();
    });
    assert_eq!(copied.documents, example("kube-prometheus-stack").documents);
}

/// The page's own blocks, on production with prometheus-operator's objects.
#[test]
fn the_common_changes_change_what_they_say() {
    let rendering = changed("### Common changes");
    assert_eq!(admitted(&rendering), "observability");
    let account = rendering.object("ServiceAccount", "mini-node-exporter");
    assert_eq!(account["imagePullSecrets"], json!([{ "name": "registry" }]));
    let rules = rendering.object("PrometheusRule", "mini-node-exporter");
    let groups = list(rules, "/spec/groups");
    let names =
        |group: &Value| list(group, "/rules").iter().map(|it| text(it, "/alert").to_owned()).collect::<Vec<_>>();
    let shipped = workspace::root().join("kustomize/components/prometheus-rule/prometheus-rule.yaml");
    let mut expected = names(&list(&yaml(&shipped), "/spec/groups")[0]);
    expected.retain(|alert| alert != "MiniNodeExporterUpTooLong");
    assert_eq!(names(&groups[0]), expected);
    assert!(text(&groups[1], "/rules/0/expr").starts_with("16 * "), "{}", groups[1]);
}

#[test]
fn user_workload_monitoring_is_admitted_and_chooses_the_user() {
    let rendering = example("openshift-user-workload-monitoring");
    assert_eq!(image(&rendering), render::exporter_image());
    assert_eq!(admitted(&rendering), "openshift-user-workload-monitoring");
    let context = &rendering.object("DaemonSet", "mini-node-exporter")["spec"]["template"]["spec"]["securityContext"];
    assert_eq!(*context, json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }));
}

/// Each side asks for a name, and the other side's certificate has it.
#[test]
fn cert_manager_issues_what_both_sides_ask_for() {
    let rendering = example("cert-manager");
    assert_eq!(image(&rendering), render::exporter_image());
    let certificate = |secret: &str| {
        let found = rendering.of_kind("Certificate").find(|it| text(it, "/spec/secretName") == secret);
        &found.unwrap_or_else(|| panic!("no Certificate for the Secret {secret}"))["spec"]
    };
    let endpoint = at(rendering.object("PodMonitor", "mini-node-exporter"), "/spec/podMetricsEndpoints/0");
    assert_eq!(endpoint["basicAuth"], Value::Null, "cert-manager makes no password");
    let client = certificate(text(endpoint, "/tlsConfig/cert/secret/name"));
    assert_eq!(client["usages"], json!(["digital signature", "client auth"]));
    let server = certificate("mini-node-exporter-web");
    assert_eq!(server["usages"], json!(["digital signature", "server auth"]));
    assert_eq!(server["dnsNames"], json!([endpoint["tlsConfig"]["serverName"]]));

    let map = rendering.of_kind("ConfigMap").next().unwrap();
    let web: Value = serde_saphyr::from_str(text(map, "/data/web.yml")).unwrap();
    assert_eq!(web["tls_server_config"]["client_allowed_sans"], client["dnsNames"]);
    let files =
        ["cert_file", "key_file", "client_ca_file"].map(|key| text(&web["tls_server_config"], &format!("/{key}")));
    assert_eq!(files, ["tls.crt", "tls.key", "ca.crt"], "these are the keys of cert-manager's Secrets");

    let issuers: BTreeSet<_> = rendering.names("Issuer");
    for certificate in rendering.of_kind("Certificate") {
        assert!(issuers.contains(text(certificate, "/spec/issuerRef/name")), "{}", render::id(certificate));
    }
    let authority = text(rendering.object("Issuer", "mini-node-exporter"), "/spec/ca/secretName");
    assert_eq!(certificate(authority)["isCA"], json!(true));
}

#[test]
fn a_cluster_among_several_has_a_label() {
    let rendering = changed("### Several clusters");
    let endpoint = at(rendering.object("PodMonitor", "mini-node-exporter"), "/spec/podMetricsEndpoints/0");
    let label = json!({ "targetLabel": "cluster", "replacement": "north" });
    assert_eq!(list(endpoint, "/relabelings").last(), Some(&label));
}

/// Production, changed by the first block of YAML below a heading of the page.
fn changed(heading: &str) -> Rendering {
    let page = fs_err::read_to_string(workspace::root().join("kustomize/README.md")).unwrap();
    let below = page.split(heading).nth(1).unwrap();
    let changes = below.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    outside_the_tree(heading, |directory, tree| {
        let resources = format!("resources: [{tree}/overlays/production]");
        let components = format!("components: [{tree}/components/prometheus-rule, {tree}/components/pod-monitor]");
        let text = format!("{resources}\n{components}\n{changes}");
        fs_err::write(directory.join("kustomization.yaml"), text).unwrap();
    })
}

fn example(name: &str) -> Rendering {
    Rendering::of(name, &workspace::root().join("kustomize/examples").join(name))
}

fn image(rendering: &Rendering) -> &str {
    text(rendering.object("DaemonSet", "mini-node-exporter"), "/spec/template/spec/containers/0/image")
}

/// The namespace of the Prometheus that may scrape.
fn admitted(rendering: &Rendering) -> &str {
    let policy = rendering.object("NetworkPolicy", "mini-node-exporter");
    text(policy, "/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name")
}
