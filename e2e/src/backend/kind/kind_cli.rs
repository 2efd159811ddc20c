//! `kind`, for one cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde_json::{Value, json};

use super::privileges;
use crate::docker::explain;
use crate::process::command::Cmd;
use crate::workspace;

/// The port of each part on every node, fixed by the manifests: exporter, Prometheus, Grafana, Alertmanager.
pub const NODE_PORTS: [u16; 4] = [30000, 30001, 30002, 30003];

/// The program `kind` and the name of a cluster, which need not exist yet.
#[derive(Clone, Debug)]
pub struct KindCli {
    program: PathBuf,
    cluster: String,
    kubeconfig: PathBuf,
}

impl KindCli {
    /// For the cluster of a run, by the run's id and directory.
    pub fn new(program: &Path, id: &str, dir: &Path) -> Self {
        Self { program: program.to_owned(), cluster: format!("mne-{id}"), kubeconfig: dir.join("kubeconfig") }
    }

    /// The name of the control plane's node and container.
    pub fn control_plane(&self) -> String {
        format!("{}-control-plane", self.cluster)
    }

    /// The cluster's own kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Makes the cluster from a node image, and waits until its control plane is ready. The nodes of a create that
    /// fails stay, for their logs.
    pub fn create(&self, image: &str, configuration: &Value) -> Result<()> {
        let config = self.kubeconfig.with_file_name("kind.yaml");
        let text = serde_json::to_vec_pretty(configuration)?;
        fs::write(&config, text)?;
        let create = self.command("create", "cluster")?.args(["--image", image, "--wait", "120s", "--retain"]);
        let create = create.arg("--config").arg(&config).arg("--kubeconfig").arg(&self.kubeconfig);
        run(create.limit(Duration::from_secs(300)))
    }

    /// Loads the images of an archive into every node.
    pub fn load(&self, archive: &Path) -> Result<()> {
        run(self.command("load", "image-archive")?.arg(archive).limit(Duration::from_secs(180)))
    }

    /// Saves the logs of every node in a directory.
    pub fn export_logs(&self, to: &Path) -> Result<()> {
        run(self.command("export", "logs")?.arg(to).limit(Duration::from_secs(90)).shielded())
    }

    /// Deletes the cluster; it is no error that there is none.
    pub fn delete(&self) -> Result<()> {
        let delete = self.command("delete", "cluster")?.arg("--kubeconfig").arg(&self.kubeconfig);
        run(delete.limit(Duration::from_secs(120)).shielded())
            .with_context(|| format!("delete it by hand: `kind delete cluster --name {}`", self.cluster))
    }

    fn command(&self, verb: &str, object: &str) -> Result<Cmd> {
        // With the shell's `KIND_EXPERIMENTAL_PROVIDER` it would use another engine than the other commands here.
        let command = Cmd::new(&self.program).without_env("KIND_").args([verb, object, "--name", &self.cluster]);
        Ok(if privileges::are_limited() { command.env("PATH", privileges::path()?) } else { command })
    }
}

fn run(command: Cmd) -> Result<()> {
    let advice = "the disk is full: `docker system df` shows how much of it Docker uses";
    command.run().map(drop).map_err(|error| explain(&error, advice))
}

/// The configuration of a cluster of that many nodes, control plane included. `ports` are those of this machine for
/// [`NODE_PORTS`], on loopback only; 0 stands for any.
pub fn configuration(nodes: usize, airgap: bool, ports: [u16; 4]) -> Result<Value> {
    let mut configuration = if airgap { airgap_configuration()? } else { ordinary_configuration() };
    let mapping = |(inside, outside): (u16, u16)| json!({ "containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1" });
    let mappings: Vec<Value> = NODE_PORTS.into_iter().zip(ports).map(mapping).collect();
    let control_plane = json!({ "role": "control-plane", "extraPortMappings": mappings });
    let workers = std::iter::repeat_n(json!({ "role": "worker" }), nodes.saturating_sub(1));
    configuration["nodes"] = std::iter::once(control_plane).chain(workers).collect();
    Ok(configuration)
}

fn ordinary_configuration() -> Value {
    json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": { "apiServerAddress": "127.0.0.1" },
    })
}

/// What the nodes of the airgap mode need; the file is beside their recipe.
fn airgap_configuration() -> Result<Value> {
    let file = workspace::root().join("e2e/airgap/kind.yaml");
    let text = fs::read_to_string(&file)?;
    serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(nodes: usize, airgap: bool) -> Value {
        configuration(nodes, airgap, [30000, 0, 0, 0]).unwrap()
    }

    #[test]
    fn one_node_is_the_control_plane_and_the_rest_are_workers() {
        let roles = |nodes| {
            let nodes = configured(nodes, false)["nodes"].take();
            nodes.as_array().unwrap().iter().map(|node| node["role"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(roles(1), ["control-plane"]);
        assert_eq!(roles(3), ["control-plane", "worker", "worker"]);
    }

    #[test]
    fn every_port_listens_on_loopback_only() {
        for airgap in [false, true] {
            let configuration = configured(2, airgap);
            assert_eq!(configuration["networking"]["apiServerAddress"], "127.0.0.1");
            let mappings = &configuration["nodes"][0]["extraPortMappings"];
            let mapping = |inside: u16, outside: u16| json!({ "containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1" });
            assert_eq!(
                *mappings,
                json!([mapping(30000, 30000), mapping(30001, 0), mapping(30002, 0), mapping(30003, 0)])
            );
            assert_eq!(configuration["nodes"][1]["extraPortMappings"], Value::Null);
        }
    }

    #[test]
    fn the_airgap_mode_has_no_kindnet() {
        assert_eq!(configured(1, true)["networking"]["disableDefaultCNI"], true);
        assert_eq!(configured(1, false)["networking"]["disableDefaultCNI"], Value::Null);
    }
}
