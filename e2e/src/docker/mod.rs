//! A typed handle on `docker`.

pub mod containers;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::process::command::{Cmd, CommandError};

/// The engine that `docker` reaches.
#[derive(Clone, Debug)]
pub struct Docker {
    api: (u32, u32),
    cgroup: String,
}

impl Docker {
    /// Asks for the engine.
    pub fn find() -> Result<Self> {
        let api = docker(["version", "--format", "{{.Server.APIVersion}}"]).read();
        let api = api.map_err(|error| {
            if error.not_found() {
                anyhow!("`docker` is not on PATH: install Docker, or use the local backend, which needs none")
            } else {
                let said = error.last_line();
                let denied = said.to_lowercase().contains("permission denied");
                let advice = if denied { "be a member of the group `docker`" } else { "start its engine" };
                anyhow!("Docker does not answer ({said}): {advice}, or use the local backend")
            }
        })?;
        let numbers = api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let api = numbers.with_context(|| format!("`docker version` names the API version `{api}`, which is none"))?;
        let cgroup = docker(["info", "--format", "{{.CgroupVersion}}"]).read()?;
        Ok(Self { api, cgroup })
    }

    /// Whether the engine's containers live in cgroups of version 1.
    pub fn has_cgroup_v1(&self) -> bool {
        self.cgroup == "1"
    }

    /// Whether an image is here.
    pub fn has_image(&self, reference: &str) -> bool {
        docker(["image", "inspect", "--format", "{{.Id}}", reference]).run().is_ok()
    }

    /// Pulls an image, unless it is here.
    pub fn pull(&self, reference: &str) -> Result<()> {
        if self.has_image(reference) {
            return Ok(());
        }
        let pulled = docker(["pull", "--quiet", reference]).limit(Duration::from_secs(600)).run();
        pulled
            .map(drop)
            .map_err(|error| anyhow!("the image {reference} is not here and cannot be pulled: {}", error.last_line()))
    }

    /// Writes images into one archive that `kind load image-archive` reads.
    pub fn save(&self, references: &[&str], archive: &Path) -> Result<()> {
        let mut save = docker(["save", "--output"]).arg(archive).limit(Duration::from_secs(300));
        // Newer engines keep every platform of an image, of which only one is whole; older ones refuse the flag.
        if self.api >= (1, 48) {
            save = save.args(["--platform", platform()?]);
        }
        save.args(references).run().map(drop).map_err(|error| {
            let full = error.to_string();
            let advice =
                "the archive's disk is full: free some of it, or set XDG_STATE_HOME to a folder on another disk";
            if full.contains("no space left on device") { anyhow!("{full}\n{advice}") } else { error.into() }
        })
    }

    /// Gives an image one more name.
    pub fn tag(&self, from: &str, to: &str) -> Result<()> {
        docker(["tag", from, to]).run()?;
        Ok(())
    }

    /// The address on this machine of a container's published port.
    pub fn published(&self, container: &str, port: u16) -> Result<String> {
        let text = docker(["port", container, &format!("{port}/tcp")]).read()?;
        let address = text.lines().next().with_context(|| format!("port {port} of {container} is not published"))?;
        Ok(address.to_owned())
    }
}

/// A `docker` command with a deadline of 30 s.
pub fn docker<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Cmd {
    Cmd::new("docker").args(args)
}

/// The failure in a few words, with what helps against the commonest cause.
pub fn explain(error: &CommandError) -> String {
    let full = error.to_string();
    if full.contains("no space left on device") {
        return format!("{full}\nthe disk is full: `docker system df` shows what Docker holds of it");
    }
    full
}

fn platform() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("linux/amd64"),
        "aarch64" => Ok("linux/arm64"),
        other => bail!("there are no images for {other}"),
    }
}
