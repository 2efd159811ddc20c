//! What is asked of Docker, where engines differ. Stand-ins for `docker` behave as those do.

use anyhow::{Context as _, Result, ensure};
use e2e::docker::Docker;
use e2e::process::command::Cmd;

use crate::lab::Lab;

/// A buildx builder in a container of its own keeps what it builds, and succeeds, unless it is told to load it.
const CONTAINER_BUILDER: &str = "buildx) [ $2 = version ] && exit
     case \"$*\" in *--load*) touch \"$0.image\" ;; *) echo 'WARNING: No output specified' >&2 ;; esac ;;";

/// An engine without buildx, whose own builder does not know the flag.
const LEGACY_BUILDER: &str = "buildx) echo \"docker: 'buildx' is not a docker command.\" >&2; exit 1 ;;
     build) case \"$*\" in *--load*) echo 'unknown flag: --load' >&2; exit 125 ;; *) touch \"$0.image\" ;; esac ;;";

/// A builder that pushes what it builds to a registry, say.
const ELSEWHERE: &str = "buildx) [ $2 = version ] || echo 'exporting to somewhere else' >&2 ;;";

#[test]
fn an_image_that_is_built_is_loaded_by_every_builder() -> Result<()> {
    for builder in [CONTAINER_BUILDER, LEGACY_BUILDER] {
        let lab = Lab::new()?;
        build(&lab, builder).with_context(|| builder.to_owned())?;
    }
    Ok(())
}

#[test]
fn an_image_that_was_built_and_is_not_there_is_reported_as_such() -> Result<()> {
    let error = build(&Lab::new()?, ELSEWHERE).err().context("no image, and no error")?;
    let error = format!("{error:#}");
    for text in ["`docker buildx build --load` succeeded, but the engine has no image mine:1", "to somewhere else"] {
        ensure!(error.contains(text), "no `{text}` in: {error}");
    }
    ensure!(!error.contains("pull"), "it speaks of pulling: {error}");
    Ok(())
}

fn build(lab: &Lab, builder: &str) -> Result<()> {
    let docker = lab.script(
        "docker",
        &format!(
            "case $1 in
             version) echo 1.46 ;;
             info) echo 2 ;;
             image) [ -e \"$0.image\" ] ;;
             {builder}
             esac"
        ),
    )?;
    Docker::find(docker)?.build(lab.dir(), "mine:1", &[("VERSION", "1")])
}

/// Where root lacks `CAP_SYS_RESOURCE`, kind's `docker` asks for everything else that `--privileged` means.
#[test]
fn nearly_privileged_is_all_but_one_capability() -> Result<()> {
    let lab = Lab::new()?;
    lab.script("bin/docker", "printf '%s\\n' \"$@\"")?;
    let first = e2e::workspace::root().join("e2e/airgap/nearly-privileged");
    let path = std::env::join_paths([first.clone(), lab.dir().join("bin"), "/usr/bin".into(), "/bin".into()])?;
    let asked = |words: &str| -> Result<Vec<String>> {
        let said = Cmd::new(first.join("docker")).args(words.split(' ')).env("PATH", &path).read()?;
        Ok(said.lines().map(str::to_owned).collect())
    };
    let run = asked("run --name n --privileged image")?;
    let nearly = [
        "--cap-add=ALL",
        "--cap-drop=SYS_RESOURCE",
        "--security-opt=systempaths=unconfined",
        "--device-cgroup-rule=a *:* rwm",
        "--device=/dev/kmsg",
    ];
    ensure!(run == [&["run", "--name", "n"], &nearly[..], &["image"]].concat(), "{run:?}");
    ensure!(asked("exec --privileged n true")? == ["exec", "n", "true"], "exec keeps the flag");
    ensure!(asked("ps --privileged")? == ["ps", "--privileged"], "another command loses it");
    // Arguments go through as they are, one with spaces too.
    let spaced = Cmd::new(first.join("docker")).args(["exec", "n", "a b", ""]).env("PATH", &path).read()?;
    ensure!(spaced == "exec\nn\na b", "{spaced}");
    Ok(())
}
