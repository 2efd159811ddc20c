//! What the airgap mode needs, built from Debian packages and Go modules by the steps in `e2e/airgap`, whose README says
//! how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::images::{Image, Images};
use crate::docker::Docker;
use crate::process::command::Cmd;
use crate::terminal::progress::Progress;
use crate::wait::lock;
use crate::{tools, workspace};

/// The images that the airgap mode builds. Grafana is neither packaged nor a Go module.
pub const BUILT: [Image; 3] = [Image::Node, Image::Prometheus, Image::Alertmanager];

/// The name of prometheus-operator's image.
const OPERATOR: &str = "operator";

/// The steps in order: name, script, deadline in minutes, and the images that need it.
const STEPS: [(&str, &str, u64, &[&str]); 7] = [
    ("fetch Debian packages", "fetch", 10, &["node", "prometheus", "alertmanager", OPERATOR]),
    ("build the base image", "base/build", 10, &["node"]),
    ("compile Kubernetes and the rest", "programs/build", 60, &["node", "prometheus"]),
    ("build the node image", "node/build", 10, &["node"]),
    ("build the Prometheus image", "prometheus/build", 5, &["prometheus"]),
    ("compile Alertmanager", "alertmanager/build", 30, &["alertmanager"]),
    ("compile prometheus-operator", "operator/build", 30, &[OPERATOR]),
];

/// Builds the wanted images that are missing; returns the references of all.
pub fn ensure(engine: &Docker, wanted: &[Image], progress: &Progress) -> Result<Images> {
    if wanted.contains(&Image::Node) && !engine.has_cgroup_v1() {
        bail!(
            "the airgap mode needs cgroup version 1, and this engine uses another: run without `--airgap`, on an \
             engine that can pull images"
        );
    }
    let names: Vec<&str> = wanted.iter().map(|image| image.name()).collect();
    Ok(wanted.iter().copied().zip(obtain(&names, progress)?).collect())
}

/// Builds the image of prometheus-operator and its config reloader, which only a test needs; returns its reference.
pub fn operator(progress: &Progress) -> Result<String> {
    Ok(obtain(&[OPERATOR], progress)?.remove(0))
}

/// The references of images by their names, after building those that are missing.
fn obtain(wanted: &[&str], progress: &Progress) -> Result<Vec<String>> {
    if let Some(references) = present(wanted)? {
        return Ok(references);
    }
    let _one_at_a_time = progress.step("wait for other builds of the airgap images", |step| {
        lock::hold(&cache()?.join("lock"), Duration::from_secs(60 * 60), |text| step.note(text))
    })?;
    build(wanted, progress)?;
    present(wanted)?.context("every step of the airgap build succeeded, but an image is missing")
}

/// Runs every step that the wanted images need. One whose result exists ends at once.
fn build(wanted: &[&str], progress: &Progress) -> Result<()> {
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
fn present(wanted: &[&str]) -> Result<Option<Vec<String>>> {
    let built = listed()?;
    Ok(wanted.iter().map(|name| built.get(*name).cloned()).collect())
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

/// The directory of a Go module's files, by its path and version.
pub fn module(module: &str) -> Result<PathBuf> {
    let cache = cache()?;
    let download = |go: Cmd| {
        let cmd = go.args(["mod", "download", "-json", module]).dir(std::env::temp_dir());
        cmd.env("GOPATH", cache.join("go")).limit(Duration::from_secs(60)).read()
    };
    let asked = match download(Cmd::new("go")) {
        Err(error) if error.not_found() => download(Cmd::new(cache.join("go-toolchain/usr/lib/go-1.24/bin/go"))),
        asked => asked,
    };
    let answer: Value = serde_json::from_str(&asked.map_err(|error| anyhow!("{}", error.reason()))?)?;
    Ok(answer["Dir"].as_str().context("`go mod download` names no directory")?.into())
}

/// Whether all of [`BUILT`] exist already.
pub fn is_built() -> Result<bool> {
    Ok(present(&BUILT.map(Image::name))?.is_some())
}
