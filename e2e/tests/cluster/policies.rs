//! What the API server and the network refuse, on clusters that enforce it.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use e2e::backend::kind::images::Image;
use e2e::docker::docker;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use serde_json::{Value, json};

use crate::kubernetes::{EXPORTER, PROMETHEUS, pods};

pub fn without_admission(kind: &Kind) -> Option<&'static str> {
    kind.cluster.airgap.then_some("the airgap mode's Kubernetes 1.20 has no Pod Security admission")
}

/// Found out once, where the network is our own and as plain as can be: whether a policy that admits nobody to the exporters
/// keeps Prometheus' pod from one of them. Any other is believed to enforce policies, and its trials say when it does not.
pub fn without_network_policies(kind: &Kind) -> Option<&'static str> {
    static ENFORCED: OnceLock<bool> = OnceLock::new();
    if !kind.cluster.airgap {
        return None;
    }
    // What could not be found out is no reason to leave anything out.
    let enforced = *ENFORCED.get_or_init(|| are_enforced(kind).unwrap_or(true));
    (!enforced).then_some("this cluster's network enforces no policies: one that admits nobody was tried")
}

fn are_enforced(kind: &Kind) -> Result<bool> {
    let kubectl = &kind.cluster.kubectl;
    let prometheus = pods(kind, PROMETHEUS)?.pop().context("no Prometheus")?;
    let exporters = pods(kind, EXPORTER)?;
    let elsewhere = exporters.iter().find(|pod| pod.spec.node_name != prometheus.spec.node_name);
    let target = elsewhere.context("no exporter on another node than Prometheus'")?;
    let reaches = || dials(&prometheus.spec.node_name, "prometheus", &target.status.ip);
    ensure!(reaches()?, "Prometheus' pod does not reach {} without any policy", target.metadata.name);
    apply(kind, "mini-node-exporter", &admits_nobody(), &[])?;
    // It takes a moment to be in force.
    let tried =
        poll::until("the policy in force", Duration::from_secs(3), Duration::from_millis(100), || match reaches() {
            Ok(false) => Attempt::Ready(()),
            Ok(true) => Attempt::NotYet("the exporter is reached".into()),
            Err(error) => Attempt::NotYet(format!("{error:#}")),
        });
    kubectl.command(["delete", "networkpolicy", "admits-nobody"]).run()?;
    Ok(tried.is_ok())
}

fn admits_nobody() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "admits-nobody" },
        "spec": { "podSelector": { "matchLabels": { "app.kubernetes.io/name": "mini-node-exporter" } }, "policyTypes": ["Ingress"] },
    })
}

/// Whether a connection to an exporter comes about from the network of a program's pod: its image need not have any
/// tool for it, but its node has.
fn dials(node: &str, program: &str, ip: &str) -> Result<bool> {
    const DIAL: &str = r#"for exe in /proc/[0-9]*/exe; do
        case "$(readlink "$exe")" in */"$0")
            nsenter --net="${exe%/exe}/ns/net" timeout 2 bash -c "exec 3<>/dev/tcp/$1/23333" 2>/dev/null && echo yes || echo no
            exit;;
        esac
    done; echo "no process of $0" >&2; exit 1"#;
    Ok(docker(["exec", node, "sh", "-c", DIAL, program, ip]).read()? == "yes")
}

pub fn pod_security_refuses_a_privileged_pod(kind: &mut Kind) -> Result<()> {
    let mut pod = client(kind, "refused", "nobody");
    pod["spec"]["hostPID"] = json!(true);
    let refused = apply(kind, "mini-node-exporter", &pod, &["--dry-run=server"]);
    let error = refused.err().context("a pod in the host's PID namespace was admitted")?.to_string();
    ensure!(error.contains("violates PodSecurity \"restricted"), "refused for another reason: {error}");
    Ok(())
}

pub fn network_policy_admits_only_prometheus(kind: &mut Kind) -> Result<()> {
    let policy = workspace::root().join("kustomize/components/network-policy/network-policy.yaml");
    kind.cluster.kubectl.command(["apply", "--filename"]).arg(policy).run()?;
    let target = pods(kind, EXPORTER)?.pop().context("no exporter")?;
    let url = format!("http://{}:23333/metrics", target.status.ip);
    kind.cluster.kubectl.command(["create", "namespace", "monitoring"]).run()?;
    let friend = reaches(kind, "monitoring", "friend", "prometheus", &url);
    let stranger = reaches(kind, "monitoring", "stranger", "stranger", &url);
    let elsewhere = reaches(kind, "default", "elsewhere", "prometheus", &url);
    // Whatever came of it: the trials that follow ask the exporter through its node port.
    kind.cluster.kubectl.command(["delete", "networkpolicy", "mini-node-exporter"]).run()?;
    ensure!(friend?, "a pod with Prometheus' label, in the namespace that is named, does not reach {url}");
    ensure!(!stranger?, "a pod without Prometheus' label reaches {url}");
    ensure!(!elsewhere?, "a pod in another namespace than the one that is named reaches {url}");
    Ok(())
}

/// Whether a pod in that namespace, with that name as its label, gets an answer.
fn reaches(kind: &Kind, namespace: &str, pod: &str, label: &str, url: &str) -> Result<bool> {
    let mut client = client(kind, pod, label);
    client["spec"]["containers"][0]["command"] = json!(["wget", "-q", "-T", "5", "-O", "/dev/null", url]);
    apply(kind, namespace, &client, &[])?;
    let what = format!("the end of the pod `{pod}`");
    let label = format!("app.kubernetes.io/name={label}");
    poll::until(&what, Duration::from_secs(60), Duration::from_millis(500), || {
        match kind.cluster.kubectl.get([&format!("--namespace={namespace}"), "pods", "--selector", &label]) {
            Ok(found) => match found.pods.first() {
                Some(pod) if pod.status.phase == "Succeeded" => Attempt::Ready(true),
                Some(pod) if pod.status.phase == "Failed" => Attempt::Ready(false),
                Some(pod) => Attempt::NotYet(format!("{:?}", pod.status)),
                None => Attempt::NotYet("no pod".into()),
            },
            Err(error) => Attempt::NotYet(format!("{error:#}")),
        }
    })
}

/// A pod of Prometheus' image, which has a `wget`.
fn client(kind: &Kind, name: &str, label: &str) -> Value {
    let image = &kind.cluster.images[&Image::Prometheus];
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/name": label } },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            // A number: the image names its user, which the kubelet cannot tell from root.
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "client",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

fn apply(kind: &Kind, namespace: &str, object: &Value, extra: &[&str]) -> Result<()> {
    let file = kind.run().dir().join("pod.json");
    fs_err::write(&file, object.to_string())?;
    let namespace = format!("--namespace={namespace}");
    let command = kind.cluster.kubectl.command(["apply", &namespace]).args(extra).arg("--filename").arg(&file);
    command.limit(Duration::from_secs(30)).run()?;
    Ok(())
}
