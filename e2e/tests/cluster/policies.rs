//! What the API server and the network refuse, where they are of a kind that does.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::kind::Kind;
use e2e::kind::images::Image;
use e2e::paths;
use e2e::stack::Backend as _;
use serde_json::{Value, json};

use crate::kubernetes::{EXPORTER, pods};

pub fn needs_admission(kind: &Kind) -> Option<&'static str> {
    kind.airgap().then_some("Kubernetes 1.20, the airgap mode's, knows no Pod Security admission")
}

pub fn needs_policies(kind: &Kind) -> Option<&'static str> {
    kind.airgap().then_some("the airgap mode's network enforces no policy")
}

pub fn pod_security(kind: &mut Kind) -> Result<()> {
    let mut pod = client(kind, "refused", "nobody")?;
    pod["spec"]["hostPID"] = json!(true);
    let refused = apply(kind, "mini-node-exporter", &pod, &["--dry-run=server"]);
    let error = refused.err().context("a pod in the host's PID namespace was admitted")?.to_string();
    ensure!(error.contains("violates PodSecurity \"restricted"), "refused for another reason: {error}");
    Ok(())
}

pub fn network(kind: &mut Kind) -> Result<()> {
    let policy = paths::workspace().join("kustomize/components/network-policy/network-policy.yaml");
    kind.kubectl().command(["apply", "--filename"]).arg(policy).run()?;
    let targets = pods(kind, EXPORTER)?;
    let address = targets.first().and_then(|pod| pod["status"]["podIP"].as_str()).context("no exporter")?;
    let url = format!("http://{address}:23333/metrics");
    ensure!(reaches(kind, "friend", "prometheus", &url)?, "a pod with Prometheus' label does not reach {url}");
    ensure!(!reaches(kind, "stranger", "stranger", &url)?, "a pod without Prometheus' label reaches {url}");
    kind.kubectl().command(["delete", "networkpolicy", "--all"]).run()?;
    Ok(())
}

/// Whether a pod in another namespace, with that name as its label, gets an answer.
fn reaches(kind: &Kind, pod: &str, label: &str, url: &str) -> Result<bool> {
    let mut client = client(kind, pod, label)?;
    client["spec"]["containers"][0]["command"] = json!(["wget", "-q", "-T", "5", "-O", "/dev/null", url]);
    apply(kind, "default", &client, &[])?;
    let phase = |wanted: &str| {
        let condition = format!("--for=jsonpath={{.status.phase}}={wanted}");
        let name = format!("pod/{pod}");
        kind.kubectl().command(["wait", "--namespace=default", &condition, &name, "--timeout=40s"]).run()
    };
    let succeeded = phase("Succeeded").is_ok();
    if !succeeded {
        phase("Failed").with_context(|| format!("the pod `{pod}` neither succeeded nor failed"))?;
    }
    Ok(succeeded)
}

/// A pod of Prometheus' image, which has a `wget`.
fn client(kind: &Kind, name: &str, label: &str) -> Result<Value> {
    let image = kind.image(Image::Prometheus).context("no image of Prometheus")?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/name": label } },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "client",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    }))
}

fn apply(kind: &Kind, namespace: &str, object: &Value, extra: &[&str]) -> Result<()> {
    let file = kind.run().dir().join("pod.json");
    std::fs::write(&file, object.to_string())?;
    let namespace = format!("--namespace={namespace}");
    let command = kind.kubectl().command(["apply", &namespace]).args(extra).arg("--filename").arg(&file);
    command.limit(Duration::from_secs(30)).run()?;
    Ok(())
}
