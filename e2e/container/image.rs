//! What the image is made of.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::kind::images;
use e2e::docker::{Docker, docker};
use e2e::process::command::Cmd;
use e2e::workspace;
use fs_err as fs;

use crate::running::{Running, inspect};
use crate::site::Site;

/// How much the image may hold besides the binary, in bytes.
const BESIDES: u64 = 100_000;

pub fn holds_little_besides_the_binary(site: &mut Site) -> Result<()> {
    let bytes = inspect("image", site.image())?["Size"].as_u64().context("the image has no size")?;
    let running = Running::start(site.exporter())?;
    // Taken from the image itself, so that any image can be tested, whoever built it.
    let copy = site.run().dir().join("mini-node-exporter");
    docker(["cp", &format!("{}:/mini-node-exporter", running.id())]).arg(&copy).run()?;
    let binary = fs::metadata(&copy)?.len();
    ensure!(binary > 0, "the binary in {} is empty", site.image());
    let besides = bytes.saturating_sub(binary);
    ensure!(
        besides <= BESIDES,
        "{} has {bytes} bytes, {besides} more than its binary; {BESIDES} is the limit",
        site.image()
    );
    eprintln!("ok   image {bytes} bytes, its binary {binary}, {besides} besides");
    Ok(())
}

pub fn says_who_runs_it_and_what_it_is(site: &mut Site) -> Result<()> {
    let image = inspect("image", site.image())?;
    let config = &image["Config"];
    // Kubernetes' runAsNonRoot cannot look a name up, so it has to be a number.
    ensure!(config["User"] == "65534:65534", "the image's user is {}, not 65534:65534", config["User"]);
    ensure!(config["Volumes"].is_null(), "the image declares volumes: {}", config["Volumes"]);
    let labels = &config["Labels"];
    for key in ["title", "description", "licenses", "version", "revision"] {
        let label = labels[format!("org.opencontainers.image.{key}")].as_str().unwrap_or_default();
        ensure!(!label.is_empty(), "the image has no label `{key}`: {labels}");
    }
    let running = Running::start(site.exporter())?;
    let copy = site.run().dir().join("mini-node-exporter");
    docker(["cp", &format!("{}:/mini-node-exporter", running.id())]).arg(&copy).run()?;
    let (version, revision) = images::says(&copy)?;
    for (key, said) in [("version", version), ("revision", revision)] {
        let label = &labels[format!("org.opencontainers.image.{key}")];
        ensure!(label == &said, "the label `{key}` is {label}, and the binary says {said}");
    }
    Ok(())
}

/// A builder's umask and target directory are the builder's own; whoever runs the image is somebody else. A stand-in for
/// cargo builds what the image has already.
pub fn runs_for_everybody_however_it_was_built(site: &mut Site) -> Result<()> {
    const CARGO: &str = r#"#!/bin/sh
        test "$1" = build || exit 1
        cp "$BUILT" "$CARGO_TARGET_DIR/exporter" && printf '{"executable":"%s"}\n' "$CARGO_TARGET_DIR/exporter""#;
    let place = site.run().dir().join("built");
    let (checkout, target, bin) = (place.join("checkout"), place.join("target"), place.join("bin"));
    for dir in [&checkout.join("scripts"), &target, &bin] {
        fs::create_dir_all(dir)?;
    }
    for file in ["Dockerfile", "scripts/dist"] {
        fs::copy(workspace::root().join(file), checkout.join(file))?;
    }
    let built = place.join("mini-node-exporter");
    let running = Running::start(site.exporter())?;
    docker(["cp", &format!("{}:/mini-node-exporter", running.id())]).arg(&built).run()?;
    fs::write(bin.join("cargo"), CARGO)?;
    fs::set_permissions(bin.join("cargo"), std::fs::Permissions::from_mode(0o755))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
    let dist = Cmd::new("sh").args(["-c", "umask 077 && exec scripts/dist"]).dir(&checkout).env("PATH", path);
    dist.env("CARGO_TARGET_DIR", &target).env("BUILT", &built).run()?;

    let reference = format!("mini-node-exporter:{}", site.run().id());
    Docker::find("docker")?.build(&checkout, &reference, &[])?;
    let said = docker(["run", "--rm", "--network", "none", &reference, "--version"]).read();
    docker(["image", "rm", "--force", &reference]).run()?;
    let said = said.context("the image's own user may not run its binary")?;
    ensure!(said.starts_with("mini-node-exporter "), "it says {said}");
    Ok(())
}

pub fn has_no_shell(site: &mut Site) -> Result<()> {
    let running = Running::start(site.exporter())?;
    // What is there can be run, so what cannot be run is not there.
    docker(["exec", running.id(), "/mini-node-exporter", "--version"]).run()?;
    for program in ["sh", "/bin/sh", "/bin/bash", "/busybox/sh"] {
        match docker(["exec", running.id(), program, "-c", "true"]).run() {
            Ok(_) => anyhow::bail!("{} has a {program}", site.image()),
            Err(error) => {
                let reason = error.to_string();
                let missing = reason.contains("no such file") || reason.contains("not found in $PATH");
                ensure!(missing, "`{program}` failed for another reason than that it is not there: {reason}");
            }
        }
    }
    Ok(())
}
