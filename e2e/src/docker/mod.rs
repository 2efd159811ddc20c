//! `docker`, and the engine that it reaches.

pub mod containers;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, ensure};

use crate::process::command::{Cmd, CommandError};
use crate::process::{self, log};

/// The engine that `docker` reaches.
#[derive(Clone, Debug)]
pub struct Docker {
    program: PathBuf,
    api: (u32, u32),
    cgroup: String,
}

impl Docker {
    /// Asks for the engine that this `docker` reaches.
    pub fn find(program: impl Into<PathBuf>) -> Result<Self> {
        let program = program.into();
        let api = Cmd::new(&program).args(["version", "--format", "{{.Server.APIVersion}}"]).read();
        let api = api.map_err(|error| {
            if error.not_found() {
                anyhow!("`docker` is not on PATH: install Docker, or use the local backend, which needs none")
            } else {
                let said = error.reason();
                let advice = match () {
                    () if said.to_lowercase().contains("permission denied") => "join the group `docker`",
                    () if error.timed_out() => "restart its daemon",
                    () => "start its daemon",
                };
                anyhow!("Docker does not answer ({said}): {advice}, or use the local backend")
            }
        })?;
        let numbers = api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let api =
            numbers.with_context(|| format!("`docker version` reports the API version `{api}`, not MAJOR.MINOR"))?;
        let cgroup = Cmd::new(&program).args(["info", "--format", "{{.CgroupVersion}}"]).read()?;
        Ok(Self { program, api, cgroup })
    }

    /// Whether the engine's containers live in cgroups of version 1.
    pub fn has_cgroup_v1(&self) -> bool {
        self.cgroup == "1"
    }

    pub fn has_image(&self, reference: &str) -> bool {
        self.command(["image", "inspect", "--format", "{{.Id}}", reference]).run().is_ok()
    }

    /// Pulls an image.
    pub fn pull(&self, reference: &str) -> Result<()> {
        let pulled = self.command(["pull", "--quiet", reference]).limit(Duration::from_secs(600)).run();
        pulled.map(drop).map_err(|error| anyhow!("cannot pull image {reference}: {}", error.reason()))
    }

    /// Builds an image from a directory, and makes sure that the engine has it.
    ///
    /// A buildx builder in a container of its own keeps what it builds to itself, and succeeds, unless it is told to
    /// load it; the legacy builder does not know the flag.
    pub fn build(&self, directory: &Path, reference: &str, arguments: &[(&str, &str)]) -> Result<()> {
        let has_buildx = self.command(["buildx", "version"]).run().is_ok();
        let verb: &[&str] = if has_buildx { &["buildx", "build", "--load"] } else { &["build"] };
        let arguments = arguments.iter().flat_map(|(name, value)| ["--build-arg".into(), format!("{name}={value}")]);
        let build = self.command(verb).args(["--tag", reference]).args(arguments).arg(".");
        let output = build.dir(directory).limit(Duration::from_secs(120)).run()?;
        ensure!(
            self.has_image(reference),
            "`docker {}` succeeded, but the engine has no image {reference}: `docker buildx ls` shows which builder is in \
             use, and `docker buildx use default` chooses the engine's own; the build's last lines:\n{}",
            verb.join(" "),
            log::quoted("", &log::last(&format!("{}{}", output.stdout, output.stderr), 8))
        );
        Ok(())
    }

    /// Writes images into one archive that `kind load image-archive` reads.
    pub fn save(&self, references: &[&str], archive: &Path) -> Result<()> {
        let mut save = self.command(["save", "--output"]).arg(archive).limit(Duration::from_secs(300));
        // Newer engines keep every platform of an image, of which only one is whole; older ones refuse the flag.
        if self.api >= (1, 48) {
            save = save.args(["--platform", &format!("linux/{}", process::arch()?)]);
        }
        let advice = "the disk of the archive is full: free some of it, or set XDG_STATE_HOME to a folder elsewhere";
        save.args(references).run().map(drop).map_err(|error| explain(&error, advice))
    }

    /// Gives an image one more name.
    pub fn tag(&self, from: &str, to: &str) -> Result<()> {
        self.command(["tag", from, to]).run()?;
        Ok(())
    }

    /// The address on this machine of a container's published port.
    pub fn published(&self, container: &str, port: u16) -> Result<String> {
        let text = self.command(["port", container, &format!("{port}/tcp")]).read()?;
        let address = text.lines().next().with_context(|| format!("port {port} of {container} is not published"))?;
        Ok(address.to_owned())
    }

    fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Cmd {
        Cmd::new(&self.program).args(args)
    }
}

/// A `docker` command with a deadline of 30 s.
pub fn docker<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Cmd {
    Cmd::new("docker").args(args)
}

/// The whole failure, with advice for a full disk.
pub fn explain(error: &CommandError, advice: &str) -> Error {
    let full = error.to_string();
    if full.contains("no space left on device") { anyhow!("{full}\n{advice}") } else { anyhow!(full) }
}
