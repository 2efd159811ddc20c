//! What the network refuses.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::images::Image;
use e2e::backend::kind::kubectl::NAMESPACE;
use e2e::backend::kind::{Kind, rollout};
use e2e::process::command::Cmd;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use serde_json::{Value, json};

use crate::kubernetes::{EXPORTER, PROMETHEUS, pods};

/// Asks each URL until the answer is the expected one, and prints the last: `yes` if a server answers, be it with an error.
/// A policy applies to a new pod only after a moment.
const ASK: &str = r#"for wanted; do
    url=${wanted#*=}
    for try in 1 2 3 4 5 6 7 8 9 10; do
        answer=no
        if said=$(timeout 2 wget -q -O /dev/null "$url" 2>&1); then answer=yes; fi
        case $said in *"server returned error"*) answer=yes; esac
        [ "$answer" != "${wanted%%=*}" ] || break
        sleep 0.5
    done
    echo "$answer=$url"
done"#;

/// A pod that asks: its namespace, its name, the name in its labels, and the URLs, each with `yes=` or `no=` before it.
type Client<'c> = (&'c str, &'c str, &'c str, &'c [String]);

pub fn production_admits_prometheus_of_two_namespaces_and_nobody_else(kind: &mut Kind) -> Result<()> {
    let kubectl = &kind.cluster.kubectl;
    kubectl.command(["create", "namespace", "monitoring"]).run()?;
    let seen = of_another_namespace(kind).and_then(|()| as_shipped(kind));
    // After a failure, too: the trials that follow ask the exporter through its node port.
    kubectl.command(["delete", "namespace/monitoring", "--wait=false"]).run()?;
    kubectl.command(["delete", "networkpolicy/mini-node-exporter"]).run()?;
    seen
}

/// A policy that names another namespace alone: the stack's own Prometheus is refused, and `lab check` shows the policy.
fn of_another_namespace(kind: &Kind) -> Result<()> {
    apply_policy(kind)?;
    let other_alone = r#"[{"op": "remove", "path": "/spec/ingress/0/from/1"}]"#;
    let patch = ["patch", "networkpolicy/mini-node-exporter", "--type=json", "--patch", other_alone];
    kind.cluster.kubectl.command(patch).run()?;
    every_target_is_down(kind)?;
    lab_check_names_the_policy(kind)
}

fn as_shipped(kind: &Kind) -> Result<()> {
    apply_policy(kind)?;
    let target = pods(&kind.cluster.kubectl, EXPORTER)?.pop().context("no exporter")?;
    let [yes, no] = ["yes", "no"].map(|wanted| [format!("{wanted}=http://{}:23333/metrics", target.status.ip)]);
    ask(
        kind,
        &[
            ("monitoring", "friend", "prometheus", &yes),
            (NAMESPACE, "neighbour", "prometheus", &yes),
            ("monitoring", "stranger", "stranger", &no),
            ("default", "elsewhere", "prometheus", &no),
        ],
    )?;
    // The kubelet's probes come from no pod, and have gone on all the time.
    for pod in pods(&kind.cluster.kubectl, EXPORTER)? {
        let restarts: u64 = pod.containers().map(|container| container.restart_count).sum();
        ensure!(pod.is_ready() && restarts == 0, "pod {}: {:?}", pod.metadata.name, pod.status);
    }
    Ok(())
}

fn apply_policy(kind: &Kind) -> Result<()> {
    let policy = workspace::root().join("kustomize/components/network-policy/network-policy.yaml");
    kind.cluster.kubectl.command(["apply", "--filename"]).arg(policy).run()?;
    Ok(())
}

/// A connection that is open stays open, so Prometheus is restarted.
fn every_target_is_down(kind: &Kind) -> Result<()> {
    kind.cluster.kubectl.command(["rollout", "restart", "deployment/prometheus"]).run()?;
    rollout::await_workloads(&kind.cluster.kubectl, Duration::from_secs(60))?;
    poll::until("the policy in force", Duration::from_secs(30), Duration::from_millis(200), || {
        match kind.stack().prometheus.targets(&kind.stack().job) {
            Ok(targets) if targets.len() == 3 && targets.iter().all(|target| target.health == "down") => {
                Attempt::Ready(())
            }
            Ok(targets) => Attempt::NotYet(format!("{targets:?}")),
            Err(error) => Attempt::NotYet(format!("{error:#}")),
        }
    })
}

fn lab_check_names_the_policy(kind: &Kind) -> Result<()> {
    let kubectl = &kind.cluster.kubectl;
    let context = kubectl.command(["config", "current-context"]).read()?;
    let check =
        ["check", "--prometheus", kind.stack().prometheus.base(), "--context", &context, "--only", "targets-up"];
    let check = Cmd::new(env!("CARGO_BIN_EXE_lab")).args(check).env("KUBECONFIG", kind.run().dir().join("kubeconfig"));
    let failed = check.run().err().context("the check passed")?;
    for named in ["mini-node-exporter", "NamespaceSelector: kubernetes.io/metadata.name=monitoring"] {
        ensure!(failed.output().stderr.contains(named), "no `{named}` in:\n{failed}");
    }
    Ok(())
}

/// The pod is a stand-in for Grafana, whose image need not exist here.
pub fn a_pod_with_grafana_s_labels_reaches_prometheus_by_name_and_nothing_else(kind: &Kind) -> Result<()> {
    let has_own = kind.cluster.images.contains_key(&Image::Grafana);
    let policy = workspace::root().join("kustomize/grafana/network-policy.yaml");
    if !has_own {
        kind.cluster.kubectl.command(["apply", "--filename"]).arg(policy).run()?;
    }
    let target = pods(&kind.cluster.kubectl, EXPORTER)?.pop().context("no exporter")?;
    let prometheus = pods(&kind.cluster.kubectl, PROMETHEUS)?.pop().context("no Prometheus")?;
    let urls = |exporter, api| {
        [
            "yes=http://prometheus:9090/-/ready".to_owned(),
            format!("yes=http://{}:9090/-/ready", prometheus.status.ip),
            format!("{exporter}=http://{}:23333/metrics", target.status.ip),
            "no=http://alertmanager:9093/-/ready".to_owned(),
            format!("{api}=http://kubernetes.default.svc:443/"),
        ]
    };
    let clients = [
        (NAMESPACE, "stand-in", "grafana", &urls("no", "no")[..]),
        (NAMESPACE, "stranger", "stranger", &urls("yes", "yes")),
    ];
    let seen = ask(kind, &clients);
    if !has_own {
        kind.cluster.kubectl.command(["delete", "networkpolicy/grafana"]).run()?;
    }
    seen
}

/// Starts these pods at the same time, and fails unless each gets the answers that it should.
fn ask(kind: &Kind, clients: &[Client<'_>]) -> Result<()> {
    let started = clients.iter().try_for_each(|client| start(kind, client));
    let seen = started.and_then(|()| clients.iter().try_for_each(|client| gets_its_answers(kind, client)));
    for (namespace, name, ..) in clients {
        let delete = ["delete", "pod", name, "--ignore-not-found", "--wait=false", &format!("--namespace={namespace}")];
        kind.cluster.kubectl.command(delete).run()?;
    }
    seen
}

fn start(kind: &Kind, client: &Client<'_>) -> Result<()> {
    let file = kind.run().dir().join("client.json");
    fs_err::write(&file, pod(kind, client).to_string())?;
    let namespace = format!("--namespace={}", client.0);
    kind.cluster.kubectl.command(["apply", &namespace, "--filename"]).arg(&file).run()?;
    Ok(())
}

fn gets_its_answers(kind: &Kind, (namespace, name, _, urls): &Client<'_>) -> Result<()> {
    let logs = || kind.cluster.kubectl.command(["logs", &format!("--namespace={namespace}"), name]).read();
    let what = format!("the answers of the pod `{name}`");
    let answers = poll::until(&what, Duration::from_secs(120), Duration::from_millis(300), || match logs() {
        Ok(log) if log.lines().count() == urls.len() => Attempt::Ready(log),
        Ok(log) => Attempt::NotYet(log),
        Err(error) => Attempt::NotYet(error.to_string()),
    })?;
    ensure!(answers.lines().eq(urls.iter()), "`{name}` in {namespace} should get {urls:?}, and got {answers}");
    Ok(())
}

/// A pod of Prometheus' image, which has a shell and `wget`.
fn pod(kind: &Kind, (namespace, name, label, urls): &Client<'_>) -> Value {
    let image = &kind.cluster.images[&Image::Prometheus];
    let command = ["/bin/sh", "-c", ASK, "sh"].into_iter().chain(urls.iter().map(String::as_str));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": namespace, "name": name, "labels": { "app.kubernetes.io/name": label } },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
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
                "command": command.collect::<Vec<_>>(),
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}
