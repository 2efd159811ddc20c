//! What the trials share: a run, its network, and the image.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::kind::images::{self, Image, split};
use e2e::backend::kind::is_on;
use e2e::backend::sweep;
use e2e::docker::containers::{self, LABEL};
use e2e::docker::{Docker, docker};
use e2e::run::Run;
use e2e::terminal::progress::Progress;
use e2e::wait::poll;
use fs_err as fs;
use testcontainers::core::{AccessMode, Mount, WaitFor};
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _};

use crate::log::Log;
use crate::trials::Shared;

/// How long a container may take to log the line that says it is ready.
const START: Duration = Duration::from_secs(20);

/// The run that the trials' containers belong to, its network, and the image.
pub struct Site {
    run: Run,
    engine: Docker,
    exporter: String,
    network: String,
    log: Log,
}

impl Shared for Site {
    fn make() -> Result<Self> {
        let progress = Progress::default();
        progress.line("");
        sweep::sweep(&progress);
        let engine = progress.step("find Docker", |_| Docker::find("docker"))?;
        let exporter = image(&engine, Image::Exporter, &progress)?;
        let run = Run::create("container")?;
        let network = create_network(&run)?;
        Ok(Self { run, engine, exporter, network, log: Log::default() })
    }

    fn begin(&mut self) {
        self.log.clear();
    }

    fn last_lines(&self) -> Vec<String> {
        self.log.lines()
    }

    fn end(self, _failed: bool) -> Result<()> {
        containers::remove(self.run.id())
    }
}

impl Site {
    pub fn run(&self) -> &Run {
        &self.run
    }

    pub fn network(&self) -> &str {
        &self.network
    }

    /// What the trial's containers have logged so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The exporter's image.
    pub fn image(&self) -> &str {
        &self.exporter
    }

    /// The exporter as its security context in a cluster has it, ready once it listens: a scratch image has nothing that
    /// a health check could run.
    pub fn exporter(&self) -> ContainerRequest<GenericImage> {
        self.request(&self.exporter)
            .with_ready_conditions(vec![WaitFor::message_on_stderr("listening")])
            .with_readonly_rootfs(true)
            .with_cap_drop("ALL")
            .with_security_opt("no-new-privileges")
    }

    /// The same, reading a fixture's tree instead of its own procfs.
    pub fn exporter_on(&self, tree: &Path) -> Result<ContainerRequest<GenericImage>> {
        let staged = self.stage(tree)?;
        Ok(self.exporter().with_mount(read_only(&staged, "/fixture")).with_cmd(["--path.procfs=/fixture"]))
    }

    /// Prometheus, which has its configuration at `/etc/prometheus`.
    pub fn prometheus(&self, configuration: &Path) -> Result<ContainerRequest<GenericImage>> {
        let image = image(&self.engine, Image::Prometheus, &Progress::default())?;
        Ok(self.request(&image).with_mount(read_only(configuration, "/etc/prometheus")))
    }

    /// Copies a directory to where users of any id can read it, whatever the modes of the check-out.
    pub fn stage(&self, from: &Path) -> Result<PathBuf> {
        let name = from.to_string_lossy().replace('/', "-");
        let to = self.run.dir().join("staged").join(name.trim_start_matches('-'));
        copy(from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        Ok(to)
    }

    fn request(&self, image: &str) -> ContainerRequest<GenericImage> {
        let (name, tag) = split(image);
        GenericImage::new(name, tag)
            .with_label(LABEL, self.run.id())
            .with_network(&self.network)
            // Published ports could be reached from other machines.
            .with_host_config_modifier(|host| host.publish_all_ports = Some(false))
            .with_log_consumer(self.log.consumer())
            .with_startup_timeout(START.mul_f64(poll::patience()))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Err(error) = containers::remove(self.run.id()) {
            // A run that is kept keeps its directory too, by which `lab down` finds what is left.
            let _ = self.run.keep();
            eprintln!("warn {error:#}; `lab down {}` tries again", self.run.id());
        }
    }
}

/// A directory of this machine as a container sees it.
pub fn read_only(directory: &Path, at: &str) -> Mount {
    Mount::bind_mount(directory.to_string_lossy(), at).with_access_mode(AccessMode::ReadOnly)
}

/// Creates the run's network. It is internal: containers on it reach each other and this machine, nothing else.
fn create_network(run: &Run) -> Result<String> {
    let name = format!("mne-{}", run.id());
    let label = format!("{LABEL}={}", run.id());
    docker(["network", "create", "--internal", "--label", &label, &name])
        .run()
        .context("cannot create a network: `docker network ls` shows which ones use up the address ranges")?;
    Ok(name)
}

fn image(engine: &Docker, image: Image, progress: &Progress) -> Result<String> {
    let mut images = images::ensure(engine, &[image], &[], is_on("LAB_AIRGAP"), progress)?;
    images.remove(&image).with_context(|| format!("no image of {}", image.name()))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, std::fs::Permissions::from_mode(0o755))
    } else {
        fs::copy(from, to)?;
        fs::set_permissions(to, std::fs::Permissions::from_mode(0o644))
    }
}
