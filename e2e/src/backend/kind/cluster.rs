//! A typed handle on one `kind` cluster.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

use super::shim;
use crate::docker::explain;
use crate::process::command::Cmd;
use crate::run::Run;
use crate::workspace;

/// The port of each part on every node, fixed by the manifests.
pub const NODE_PORTS: [u16; 3] = [30000, 30001, 30002];

/// A cluster by its name; it need not be there yet.
#[derive(Clone, Debug)]
pub struct Cluster {
    name: String,
    program: PathBuf,
    kubeconfig: PathBuf,
    env: Vec<(&'static str, OsString)>,
}

/// What a new cluster is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'s> {
    /// The node image.
    pub image: &'s str,
    /// How many nodes, the control plane included.
    pub nodes: usize,
    /// Whether the nodes are made of Debian packages.
    pub airgap: bool,
    /// The ports on this machine for [`NODE_PORTS`]; 0 for any.
    pub ports: [u16; 3],
}

impl Cluster {
    /// The cluster of a run; nothing is made yet.
    pub fn of(run: &Run, program: &Path) -> Result<Self> {
        Self::at(run.id(), run.dir(), program)
    }

    /// The cluster of a run that may be another process'.
    pub fn at(id: &str, dir: &Path, program: &Path) -> Result<Self> {
        let env = if shim::needed() { shim::install(&dir.join("bin"))? } else { Vec::new() };
        let kubeconfig = dir.join("kubeconfig");
        Ok(Self { name: format!("mne-{id}"), program: program.to_owned(), kubeconfig, env })
    }

    /// The name of the control plane's node and container.
    pub fn control_plane(&self) -> String {
        format!("{}-control-plane", self.name)
    }

    /// The cluster's own kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Makes the cluster, and waits until its control plane is ready.
    pub fn create(&self, shape: Shape<'_>, dir: &Path) -> Result<()> {
        let config = dir.join("kind.yaml");
        let text = serde_json::to_vec_pretty(&configuration(shape)?)?;
        std::fs::write(&config, text).with_context(|| format!("{} cannot be written", config.display()))?;
        // Nodes of a create that fails are retained for their logs; whoever asked for the cluster deletes it.
        self.kind(["create", "cluster", "--name", &self.name, "--image", shape.image, "--wait", "120s", "--retain"])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--config")
            .arg(&config)
            .limit(Duration::from_secs(300))
            .run()
            .map_err(|error| anyhow!("{}", explain(&error)))?;
        Ok(())
    }

    /// Loads the images of an archive into every node.
    pub fn load(&self, archive: &Path) -> Result<()> {
        self.kind(["load", "image-archive", "--name", &self.name])
            .arg(archive)
            .limit(Duration::from_secs(180))
            .run()
            .map_err(|error| anyhow!("{}", explain(&error)))?;
        Ok(())
    }

    /// Saves the logs of every node, for evidence.
    pub fn export_logs(&self, to: &Path) -> Result<()> {
        let export = self.kind(["export", "logs", "--name", &self.name]).arg(to);
        export.limit(Duration::from_secs(90)).shielded().run()?;
        Ok(())
    }

    /// Deletes the cluster; one that is not there is no error.
    pub fn delete(&self) -> Result<()> {
        self.kind(["delete", "cluster", "--name", &self.name])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .limit(Duration::from_secs(120))
            .shielded()
            .run()
            .map_err(|error| anyhow!("{}", explain(&error)))
            .with_context(|| format!("delete it by hand: `kind delete cluster --name {}`", self.name))?;
        Ok(())
    }

    fn kind<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Cmd {
        let mut cmd = Cmd::new(&self.program).args(args);
        for (name, value) in &self.env {
            cmd = cmd.env(name, value);
        }
        cmd
    }
}

/// The cluster's configuration. It is JSON, which is YAML. Ports listen on loopback alone.
fn configuration(shape: Shape<'_>) -> Result<Value> {
    let mut configuration = if shape.airgap { airgap_configuration()? } else { ordinary_configuration() };
    let mapping = |(inside, outside): (u16, u16)| json!({ "containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1" });
    let mappings: Vec<Value> = NODE_PORTS.into_iter().zip(shape.ports).map(mapping).collect();
    let control_plane = json!({ "role": "control-plane", "extraPortMappings": mappings });
    let workers = std::iter::repeat_n(json!({ "role": "worker" }), shape.nodes.saturating_sub(1));
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

/// What the nodes made of Debian packages need; it lies beside their recipe.
fn airgap_configuration() -> Result<Value> {
    let file = workspace::root().join("e2e/airgap/kind.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(nodes: usize, airgap: bool) -> Value {
        configuration(Shape { image: "node", nodes, airgap, ports: [30000, 0, 0] }).unwrap()
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
    fn every_port_listens_on_loopback_alone() {
        for airgap in [false, true] {
            let configuration = configured(2, airgap);
            assert_eq!(configuration["networking"]["apiServerAddress"], "127.0.0.1");
            let mappings = &configuration["nodes"][0]["extraPortMappings"];
            let mapping = |inside: u16, outside: u16| json!({ "containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1" });
            assert_eq!(*mappings, json!([mapping(30000, 30000), mapping(30001, 0), mapping(30002, 0)]));
            assert_eq!(configuration["nodes"][1]["extraPortMappings"], Value::Null);
        }
    }

    #[test]
    fn kinds_own_network_is_left_out_where_its_image_cannot_be_had() {
        assert_eq!(configured(1, true)["networking"]["disableDefaultCNI"], true);
        assert_eq!(configured(1, false)["networking"]["disableDefaultCNI"], Value::Null);
    }
}
