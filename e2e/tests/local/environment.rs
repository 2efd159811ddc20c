//! The caller's environment and machine: proxies, variables of other tools, programs that hang, files that are missing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use e2e::backend::Backend as _;
use e2e::process::command::Cmd;
use e2e::wait::poll;
use fs_err as fs;

use crate::lab::Lab;
use crate::running::ended;
use crate::serve::serve;
use crate::stacks::{samples, shared};

/// An address that refuses every connection.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn loopback_is_never_reached_through_a_proxy() -> Result<()> {
    let own = shared()?;
    samples(&own)?;
    let lab = Lab::new()?;
    let base = own.local.stack().prometheus.base();
    let command = lab.command(["check", "--only", "rules-healthy", "--prometheus", base]).env("HTTP_PROXY", NOWHERE);
    ended(command)?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_proxy_that_refuses_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let command = lab.command(["check", "--prometheus", "http://prometheus.example"]);
    let command = command.env("HTTP_PROXY", "http://user:s3cret@127.0.0.1:9").env("NO_PROXY", "");
    let ended = ended(command)?.expect_code(1)?;
    let ended = ended.expect_stderr("http://prometheus.example/")?;
    let ended = ended.expect_stderr("through the proxy 127.0.0.1:9: ")?.expect_stderr("Connection refused")?;
    ensure!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    Ok(())
}

/// Its first answer takes 6 s, longer than the 5 s that a request has without patience.
#[test]
fn patience_extends_the_deadline_of_a_request() -> Result<()> {
    let slow = serve(Router::new().fallback(|| async {
        poll::pause(Duration::from_secs(6)).expect("no interrupt");
        r#"{"status":"success","data":{"activeTargets":[],"scrapePools":[],"droppedTargets":[]}}"#
    }));
    let lab = Lab::new()?;
    let command = lab.command(["check", "--prometheus", &slow]).env("LAB_PATIENCE", "3");
    ended(command)?.expect_code(1)?.expect_stderr("no target in job `mini-node-exporter`")?;
    Ok(())
}

#[test]
fn another_package_called_e2e_is_ignored() -> Result<()> {
    let lab = Lab::new()?;
    let command = lab.command(["check", "--list"]).env("CARGO_MANIFEST_DIR", "/elsewhere/e2e");
    ended(command.env("CARGO_PKG_DESCRIPTION", "Tests of something else"))?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_space_in_cargo_home_reaches_the_compiler_whole() -> Result<()> {
    let lab = Lab::new()?;
    let built = lab.script("built", "exit 0")?;
    lab.script("bin/rustc", "echo x86_64-unknown-linux-gnu")?;
    let says =
        format!("eval \"set -- $CFLAGS\"\necho \"$CC_SHELL_ESCAPED_FLAGS: $*\" > '{}/flags'", lab.dir().display());
    let says = format!("{says}\necho '{{\"executable\":\"{}\"}}'", built.display());
    lab.script("bin/cargo", &format!("[ \"$1\" != auditable ] || exit 1\n{says}"))?;
    let dist = Cmd::new(e2e::workspace::root().join("scripts/dist")).arg(lab.dir().join("out"));
    let path = std::env::join_paths([lab.dir().join("bin"), "/usr/bin".into(), "/bin".into()])?;
    dist.env("PATH", path).env("CARGO_HOME", "/my home/cargo").env("CFLAGS", "").run()?;
    let flags = fs::read_to_string(lab.dir().join("flags"))?;
    ensure!(flags == "1: -ffile-prefix-map=/my home/cargo=/cargo\n", "{flags}");
    Ok(())
}

#[test]
fn a_temporary_directory_that_does_not_exist_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let ended = ended(
        lab.command(["check", "--without", "grafana", "--without", "alertmanager"]).env("TMPDIR", "/nowhere/tmp"),
    )?
    .expect_code(1)?;
    ended.expect_stderr("no temporary file in /nowhere/tmp: ")?;
    Ok(())
}

#[test]
fn a_file_that_cannot_be_opened_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let runs = lab.dir().join("mini-node-exporter/runs");
    // A directory in its place: root may write to any file.
    fs::create_dir_all(runs.join("gate"))?;
    let gate = runs.join("gate").display().to_string();
    lab.run(&["status"], &[])?.expect_code(1)?.expect_stderr(&gate)?;
    Ok(())
}

/// Everything else asks `docker`.
#[test]
fn kind_does_not_take_another_engine_from_the_shell() -> Result<()> {
    let lab = Lab::bare()?;
    lab.script("bin/docker", "case $1 in version) echo 1.46 ;; info) echo 2 ;; esac")?;
    let version = "case $1 in version) echo 'kind v9.9.9 go1.26.1 linux/amd64'; exit ;; esac";
    lab.script("bin/kind", &format!("{version}\necho \"asks ${{KIND_EXPERIMENTAL_PROVIDER:-docker}}\" >&2; exit 1"))?;
    lab.script("bin/kubectl", "echo 'Client Version: v1.32.3'")?;
    let images =
        ["exporter", "prometheus", "alertmanager", "grafana", "node"].map(|name| format!("--image={name}=i:1"));
    let command = lab.command(["check", "--backend", "kind"]).args(images);
    ended(command.env("KIND_EXPERIMENTAL_PROVIDER", "podman"))?.expect_code(1)?.expect_stderr("asks docker")?;
    Ok(())
}

#[test]
fn a_docker_that_hangs_timed_out_and_is_not_missing() -> Result<()> {
    let lab = Lab::bare()?;
    lab.script("bin/docker", "exec /bin/sleep 100")?;
    let began = Instant::now();
    let ended = ended(lab.command(["doctor"]).env("LAB_PATIENCE", "1"))?.expect_code(0)?;
    let row = ended.stdout.lines().find(|row| row.contains(" docker ")).context("no row of docker")?;
    ensure!(row.contains("failed") && row.contains("timed out after 5 s") && !row.contains("install"), "{row}");
    ensure!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    Ok(())
}

#[test]
pub fn doctor_looks_at_the_programs_that_are_named() -> Result<()> {
    let lab = Lab::bare()?;
    let prometheus = lab.script("mine/prometheus", "echo 'prometheus, version 9.9.9'")?.display().to_string();
    lab.script("home/bin/grafana", "echo 'Version 12.3.4'")?;
    let home = lab.dir().join("home").display().to_string();
    let exporter = lab.script("mine/exporter", "echo mine 1.2.3")?.display().to_string();
    let words = ["doctor", "--prometheus", &prometheus, "--grafana-home", &home, "--exporter", &exporter];
    let shown = lab.run(&words, &[])?.expect_code(0)?.stdout;
    for text in ["9.9.9, flag: ", "12.3.4, flag: ", "mine 1.2.3"] {
        ensure!(shown.contains(text), "no `{text}` in:\n{shown}");
    }
    Ok(())
}

#[test]
fn a_missing_file_fails_before_anything_is_built() -> Result<()> {
    let lab = Lab::new()?;
    for flag in ["--exporter", "--prometheus", "--grafana"] {
        let ended = lab.run(&["check", flag, "/nowhere/program"], &[])?.expect_code(1)?;
        let expected = format!("error: {flag} /nowhere/program: no such file\n");
        ensure!(ended.stderr == expected, "{}", ended.stderr);
    }
    Ok(())
}
