//! What the airgap mode needs, built from Debian packages and Go modules by the steps in `e2e/airgap`, whose README says
//! how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::images::{Image, Images};
use crate::docker::Docker;
use crate::process::command::Cmd;
use crate::terminal::progress::Progress;
use crate::wait::lock;
use crate::{tools, workspace};

/// The images that the airgap mode builds. Grafana is neither packaged nor a Go module.
pub const BUILT: [Image; 2] = [Image::Node, Image::Prometheus];

/// The steps in order: name, script, deadline in minutes, and the images that need it.
const STEPS: [(&str, &str, u64, &[Image]); 5] = [
    ("fetch Debian packages", "fetch", 10, &BUILT),
    ("build the base image", "base/build", 10, &[Image::Node]),
    ("compile Kubernetes and the rest", "programs/build", 60, &BUILT),
    ("build the node image", "node/build", 10, &[Image::Node]),
    ("build the Prometheus image", "prometheus/build", 5, &[Image::Prometheus]),
];

/// Builds the wanted images that are missing; returns the references of all.
pub fn ensure(engine: &Docker, wanted: &[Image], progress: &Progress) -> Result<Images> {
    if wanted.contains(&Image::Node) && !engine.has_cgroup_v1() {
        bail!(
            "the airgap mode needs cgroup version 1, and this engine uses another: run without `--airgap`, on an \
             engine that can pull images"
        );
    }
    if let Some(images) = present(wanted)? {
        return Ok(images);
    }
    let _one_at_a_time = progress.step("wait for other builds of the airgap images", |step| {
        lock::hold(&cache()?.join("lock"), Duration::from_secs(60 * 60), |text| step.note(text))
    })?;
    build(wanted, progress)?;
    present(wanted)?.context("every step of the airgap build succeeded, but an image is missing")
}

/// Runs every step that the wanted images need. One whose result exists ends at once.
fn build(wanted: &[Image], progress: &Progress) -> Result<()> {
    let logs = cache()?.join("logs");
    fs_err::create_dir_all(&logs)?;
    for (name, script, minutes, images) in STEPS {
        if !images.iter().any(|image| wanted.contains(image)) {
            continue;
        }
        let log = logs.join(format!("{}.log", script.replace('/', "-")));
        progress.step(name, |step| {
            let cmd = script_command(script)?.log(&log).limit(Duration::from_secs(minutes * 60));
            cmd.run_with_progress(|line| step.note(line)).map_err(|error| anyhow!("{error}"))?;
            Ok(())
        })?;
    }
    Ok(())
}

/// The references of the wanted images, if all of them are here.
fn present(wanted: &[Image]) -> Result<Option<Images>> {
    let built = listed()?;
    let reference = |&image: &Image| Some((image, built.get(image.name())?.clone()));
    Ok(wanted.iter().map(reference).collect())
}

/// The `kind` that was compiled for the node image.
pub fn kind() -> Result<PathBuf> {
    Ok(listed()?.remove("kind").context("no kind was compiled: run `lab images build --airgap`")?.into())
}

/// What is built, by name: nothing before the first step of the first build.
fn listed() -> Result<BTreeMap<String, String>> {
    if !cache()?.join("fetched").exists() {
        return Ok(BTreeMap::new());
    }
    let listed = script_command("built")?
        .read()
        .map_err(|error| anyhow!("cannot list the airgap images: {}", error.reason()))?;
    let pair = |line: &str| line.split_once(' ').map(|(name, place)| (name.to_owned(), place.to_owned()));
    Ok(listed.lines().filter_map(pair).collect())
}

fn script_command(script: &str) -> Result<Cmd> {
    let path = workspace::root().join("e2e/airgap").join(script);
    let mut cmd = Cmd::new(path).env("CACHE", cache()?);
    if let Ok(mirror) = tools::debian_mirror() {
        cmd = cmd.env("DEBIAN_MIRROR", mirror);
    }
    Ok(cmd)
}

fn cache() -> Result<PathBuf> {
    let path = workspace::cache()?.join("airgap");
    fs_err::create_dir_all(&path)?;
    Ok(path)
}

/// Whether both images exist already.
pub fn is_built() -> Result<bool> {
    Ok(present(&BUILT)?.is_some())
}
