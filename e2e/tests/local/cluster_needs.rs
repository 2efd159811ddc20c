//! What a cluster needs and is not here: each is said in one message, before anything is made. A stand-in for `docker`
//! answers like an engine, so that these need none.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use e2e::tools::pins;
use fs_err as fs;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::running::{Ended, ended};
use crate::serve::serve;

/// Stand-ins: the name and the script of each.
type Programs<'p> = &'p [(&'p str, &'p str)];

/// What is missing, too old or not ours to use, and what is said.
#[test]
fn each_need_is_named_in_one_message() -> Result<()> {
    let docker = |body| ("docker", body);
    let cases: [(Programs<'_>, &[&str]); 6] = [
        (&[], &["`docker` is not on PATH: install Docker, or use the local backend"]),
        (
            &[docker("echo 'Cannot connect to the daemon at unix:///nowhere' >&2; exit 1")],
            &["Docker does not answer (Cannot connect to the daemon at unix:///nowhere): start its daemon"],
        ),
        (
            &[docker("echo 'permission denied while trying to connect' >&2; exit 1")],
            &["Docker does not answer (permission denied while", "join the group `docker`"],
        ),
        (&[ENGINE], &["kind could not be found or downloaded (PATH: not found", "Debian package: ", "`go install"]),
        (
            &[ENGINE, ("kind", "echo 'kind v0.11.0 go1.16.4 linux/amd64'")],
            &["bin/kind is version 0.11.0, older than ", pins::KIND],
        ),
        (
            &[ENGINE, KIND, ("kubectl", "echo 'Client Version: v1.20.2'")],
            &["kubectl could not be found or downloaded", "bin/kubectl is version 1.20.2, older than 1.27.0"],
        ),
    ];
    for (programs, said) in cases {
        let lab = Lab::new()?;
        let mut ended = run(&lab, bin(&lab, programs)?, &[])?.expect_code(1)?;
        for text in said {
            ended = ended.expect_stderr(text)?;
        }
        let messages = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        ensure!(messages == 1, "{messages} messages in:\n{}", ended.stderr);
        lab.expect_nothing_left()?;
    }
    Ok(())
}

#[test]
fn an_image_that_cannot_be_pulled() -> Result<()> {
    let lab = Lab::new()?;
    let bin = bin(&lab, &[ENGINE, KIND, ("kubectl", "echo 'Client Version: v1.32.3'")])?;
    let words = ["--image", "exporter=mine:nope"];
    let ended = run(&lab, bin, &words)?.expect_code(1)?;
    ended.expect_stderr("cannot pull image mine:nope: no such host")?.expect_stderr("without `--image exporter=…`")?;
    lab.expect_nothing_left()
}

/// The airgap mode has a Grafana only if an image of it is named.
#[test]
fn an_image_of_grafana_is_wanted_in_the_airgap_mode_too() -> Result<()> {
    let lab = Lab::new()?;
    let engine = "case $1 in\n\
                  version) echo 1.46 ;;\n\
                  info) echo 1 ;;\n\
                  image) [ \"$5\" != mine:nope ] ;;\n\
                  *) echo 'no such host' >&2; exit 1 ;;\nesac";
    let bin = bin(&lab, &[("docker", engine), KIND, ("kubectl", "echo 'Client Version: v1.32.3'")])?;
    let others = ["exporter", "prometheus", "alertmanager", "node"].map(|name| format!("--image={name}=i:1"));
    let named = |flags: &[&str], variable| {
        let command = lab.command(["check", "--backend", "kind"]).arg("--airgap").args(&others).args(flags);
        ended(
            command.env("PATH", &bin).env("XDG_CACHE_HOME", lab.dir().join("cache")).env("LAB_IMAGE_GRAFANA", variable),
        )
    };
    for (flags, variable) in [(&["--image=grafana=mine:nope"][..], "other:1"), (&[], "mine:nope")] {
        named(flags, variable)?
            .expect_code(1)?
            .expect_stderr("cannot pull image mine:nope: no such host")?
            .expect_stderr("use another with `--image grafana=REF`, or none with `--without grafana`")?;
    }
    lab.expect_nothing_left()
}

/// An engine that fails is not one without images, which would be built for an hour.
#[test]
fn airgap_images_that_cannot_be_listed() -> Result<()> {
    let lab = Lab::new()?;
    fs::create_dir_all(lab.dir().join("cache/mini-node-exporter/airgap"))?;
    fs::write(lab.dir().join("cache/mini-node-exporter/airgap/fetched"), "")?;
    let engine =
        "case $1 in version) echo 1.46 ;; info) echo 1 ;; *) echo 'no route to the engine' >&2; exit 1 ;; esac";
    lab.script("bin/docker", engine)?;
    let path = std::env::join_paths([lab.dir().join("bin"), "/usr/bin".into(), "/bin".into()])?;
    let command = lab.command(["doctor"]).env("PATH", path).env("XDG_CACHE_HOME", lab.dir().join("cache"));
    let shown = ended(command)?.expect_code(0)?.stdout;
    let row = shown
        .lines()
        .find(|row| row.starts_with("kind --airgap ") && row.contains(" images  "))
        .context("no row of the images")?;
    ensure!(row.contains("failed") && row.contains("cannot list the airgap images: no route to the engine"), "{row}");
    Ok(())
}

/// A cluster of 20 nodes as stand-ins show it: its uptimes are compared while they are fresh, and a cluster that is still
/// there afterwards is a failure.
#[test]
fn a_large_cluster_and_one_that_cannot_be_deleted() -> Result<()> {
    let lab = Lab::new()?;
    let check = || with_stand_ins(&lab, 20, "192.0.2.1", &["check", "--only", "uptime"]);
    let passed = check()?.expect_code(0)?;
    ensure!(passed.stdout.contains("pass uptime") && passed.stdout.contains("n1 "), "{passed:?}");
    lab.expect_nothing_left()?;

    fs::write(lab.dir().join("bin/kind.stuck"), "")?;
    let stuck = check()?.expect_code(1)?;
    ensure!(stuck.stdout.contains("1 passed, 0 failed"), "{stuck:?}");
    stuck
        .expect_stderr("FAIL delete the cluster")?
        .expect_stderr("delete it by hand: `kind delete cluster --name mne-")?;
    ensure!(lab.runs().len() == 1, "`lab down` has to find it: {:?}", lab.runs());
    Ok(())
}

/// Of a configuration of one's own the receivers become the lab, or nobody where the lab cannot be reached.
#[test]
fn whom_the_alertmanager_of_a_cluster_delivers_to() -> Result<()> {
    let lab = Lab::new()?;
    let config = lab.dir().join("mine.yml");
    fs::write(&config, "{ route: { receiver: mine }, receivers: [{ name: mine, email_configs: [{ to: a@b }] }] }")?;
    let flag = format!("--alertmanager-config={}", config.display());
    let run = |gateway, words: &[&str], code| -> Result<(Ended, String)> {
        let ended = with_stand_ins(&lab, 1, gateway, &[words, &[&flag]].concat())?.expect_code(code)?;
        lab.expect_nothing_left()?;
        let applied: Value = serde_json::from_slice(&fs::read(lab.dir().join("alertmanager.yml"))?)?;
        Ok((ended, applied["receivers"].to_string()))
    };
    let nobody = r#"[{"name":"mine"}]"#;
    let (_, reached) = run("127.0.0.1", &["check", "--only", "alertmanager-ready"], 0)?;
    let sink = r#"[{"name":"mine","webhook_configs":[{"url":"http://127.0.0.1:"#;
    ensure!(reached.starts_with(sink), "{reached}");
    let (ended, elsewhere) = run("192.0.2.1", &["check", "--only", "alerts-delivered"], 3)?;
    let said = "cannot receive pages: cannot listen on 192.0.2.1, the gateway of the cluster's network: ";
    ensure!(elsewhere == nobody && ended.stdout.contains(said), "{elsewhere}\n{ended:?}");
    fs::write(lab.dir().join("bin/docker.ended"), "")?;
    let (ended, refused) = run("127.0.0.1", &["up"], 1)?;
    let said = "skip receive pages: ";
    ensure!(refused == nobody && ended.stderr.contains(said), "{refused}\n{ended:?}");
    ended.expect_stderr(" cannot connect to 127.0.0.1:")?;
    Ok(())
}

/// Runs a command on a cluster of stand-ins with that many nodes, whose network has this gateway. Every part answers as
/// Prometheus does, and Alertmanager's configuration is kept.
fn with_stand_ins(lab: &Lab, nodes: usize, gateway: &str, words: &[&str]) -> Result<Ended> {
    let nodes = (1..=nodes).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let prometheus = prometheus_of(nodes.clone());
    let address = prometheus.trim_start_matches("http://");
    let engine = format!(
        "case $* in
         version*) echo 1.46 ;;
         info*) echo 2 ;;
         inspect*Gateway*) echo {gateway} ;;
         inspect*) [ ! -e \"$0.ended\" ] && echo running ;;
         port*) echo {address} ;;
         save*) : > \"$3\" ;;
         exec*/dev/tcp/*) [ ! -e \"$0.ended\" ] && shift 2 && exec \"$@\" ;;
         exec*) sleep 0.4; cat /proc/uptime ;;
         esac"
    );
    lab.script("bin/docker", &engine)?;
    let kind = "case $1 in version) echo 'kind v9.9.9 go1.26.1' ;; delete) [ ! -e \"$0.stuck\" ] ;; esac";
    lab.script("bin/kind", kind)?;
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let node =
        |name: &String| json!({ "kind": "Node", "metadata": { "name": name }, "status": { "conditions": ready } });
    let objects = lab.dir().join("objects.json");
    fs::write(&objects, json!({ "items": nodes.iter().map(node).collect::<Vec<_>>() }).to_string())?;
    let kubectl = format!(
        "case $* in
         version*) echo 'Client Version: v1.32.3' ;;
         *apply*) for dir; do :; done; cp \"$dir/alertmanager.yml\" '{}' ;;
         *) cat '{}' ;;
         esac",
        lab.dir().join("alertmanager.yml").display(),
        objects.display()
    );
    lab.script("bin/kubectl", &kubectl)?;
    let path = std::env::join_paths([lab.dir().join("bin"), "/usr/bin".into(), "/bin".into()])?;
    let images =
        ["exporter", "prometheus", "alertmanager", "grafana", "node"].map(|name| format!("--image={name}=i:1"));
    let kind = ["--backend", "kind", "--nodes", &nodes.len().to_string()];
    ended(lab.command(words).args(kind).args(images).env("PATH", path).env("LAB_PATIENCE", "1"))
}

/// A Prometheus that has just scraped the uptime of these nodes, which is this machine's.
fn prometheus_of(nodes: Vec<String>) -> String {
    serve(Router::new().fallback(move || async move {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let value = uptime.split(' ').next().unwrap_or_default().to_owned();
        let sample = |node: &String| json!({ "metric": { "node": node }, "value": [0, value] });
        let result: Vec<_> = nodes.iter().map(sample).collect();
        json!({ "status": "success", "data": { "resultType": "vector", "result": result } }).to_string()
    }))
}

/// Exit code 2, with the flag in the first line. `LAB_AIRGAP` in the environment is ignored by the local backend.
#[test]
fn flags_of_the_other_backend() -> Result<()> {
    let lab = Lab::new()?;
    let bad: [(&[&str], &str); 5] = [
        (&["check", "--backend", "kind", "--nodes", "21"], "`--nodes` is at most 20 with `--backend kind`"),
        (&["--keep"], "`--keep` needs `--backend kind`"),
        (&["check", "--airgap"], "`--airgap` needs `--backend kind`"),
        (&["up", "--image", "grafana=mine:1"], "`--image` needs `--backend kind`"),
        (&["check", "--backend", "kind", "--exporter", "/e"], "`--exporter` needs `--backend local`"),
    ];
    for (words, said) in bad {
        let ended = lab.run(words, &[])?.expect_code(2)?;
        let first = ended.stderr.lines().next().context("nothing is said")?;
        ensure!(first.contains(said), "no `{said}` in: {first}");
    }
    for nodes in ["0", "5001"] {
        lab.run(&["check", "--backend", "kind", "--nodes", nodes], &[])?
            .expect_code(2)?
            .expect_stderr("'--nodes <N>'")?;
    }
    let nowhere = ["check", "--path.procfs", "/nowhere"];
    ended(lab.command(nowhere).env("LAB_AIRGAP", "1"))?.expect_code(1)?.expect_stderr("--path.procfs /nowhere: ")?;
    lab.expect_nothing_left()
}

/// An engine that has no image and reaches no registry.
const ENGINE: (&str, &str) = (
    "docker",
    "case $1 in\n\
     version) echo 1.46 ;;\n\
     info) echo 1 ;;\n\
     *) echo 'no such host' >&2; exit 1 ;;\nesac",
);

const KIND: (&str, &str) = ("kind", "echo 'kind v9.9.9 go1.26.1 linux/amd64'");

/// A folder with these stand-ins.
fn bin(lab: &Lab, programs: Programs<'_>) -> Result<PathBuf> {
    for (name, body) in programs {
        lab.script(&format!("bin/{name}"), body)?;
    }
    Ok(lab.dir().join("bin"))
}

/// A check on a cluster in a world whose `PATH` is this folder, and whose cache is empty.
fn run(lab: &Lab, path: PathBuf, words: &[&str]) -> Result<Ended> {
    let command = lab.command(["check", "--backend", "kind"]).args(words).env("PATH", path);
    ended(command.env("XDG_CACHE_HOME", lab.dir().join("cache")))
}
