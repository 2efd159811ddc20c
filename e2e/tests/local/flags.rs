//! Effects of flags that no other module shows, in a world of stand-ins, which print what they were given and end.

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use fs_err as fs;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::running::ended;
use crate::stacks::{samples, shared};

#[test]
fn exporter() -> Result<()> {
    let world = World::new()?;
    let flags = ["--exporter", &world.exporter, "--prometheus", &world.real[1]];
    let said = "the exporter that was named, with --web.listen-address=127.0.0.1:";
    world.shows(&[&["scenario", "run", "quiet-day"], &flags[..]].concat(), said)
}

#[test]
fn prometheus() -> Result<()> {
    let world = World::new()?;
    let named = world.script("named", &saying("prometheus, version 3.0.0", "echo another Prometheus; exit 3"))?;
    let flags = ["--prometheus", &named, "--exporter", &world.real[0]];
    world.shows(&[&["scenario", "run", "quiet-day"], &flags[..]].concat(), "another Prometheus")
}

/// The sink takes the place of what a receiver is made of, and everything else stays.
#[test]
fn alertmanager_and_its_configuration() -> Result<()> {
    let world = World::new()?;
    let does = "PATH=/usr/bin:/bin; echo another Alertmanager; tr -d ' \\n' <alertmanager.yml; exit 3";
    let named = world.script("named", &saying("alertmanager, version 0.30.0", does))?;
    let config = world.lab.dir().join("mine.yml").display().to_string();
    fs::write(&config, "{ route: { receiver: mine }, receivers: [{ name: mine, email_configs: [{ to: a@b }] }] }")?;
    let words = world.with_real(&["check", "--alertmanager", &named, "--alertmanager-config", &config]);
    let shown = world.shown(&words)?;
    let sink = r#"{"name":"mine","webhook_configs":[{"url":"http://127.0.0.1:"#;
    ensure!(shown.contains("another Alertmanager") && shown.contains(sink), "{shown}");
    fs::write(&config, "receivers: []")?;
    world.shows(&words, "mine.yml: not a configuration of Alertmanager: it has no `route`")
}

#[test]
fn grafana() -> Result<()> {
    let world = World::new()?;
    let named = world.script("home/bin/grafana", &saying("Version 12.0.0", "echo another Grafana; exit 3"))?;
    world.put("home/conf/defaults.ini")?;
    world.shows(&world.with_real(&["check", "--grafana", &named]), "another Grafana")
}

/// Settings of the shell are for another Grafana: this one would open, and migrate, its database.
#[test]
fn grafana_home_and_no_settings_of_the_shell() -> Result<()> {
    let world = World::new()?;
    world.script(
        "home/bin/grafana",
        "echo \"a Grafana on $GF_SERVER_HTTP_ADDR, database: $GF_DATABASE_URL.\"; exit 3",
    )?;
    let home = world.lab.dir().join("home").display().to_string();
    let words = world.with_real(&["check", "--grafana-home", &home]);
    let command = world.lab.command(words).env("GF_DATABASE_URL", "postgres://theirs").env("GF_SERVER_HTTP_ADDR", "::");
    ended(command)?.expect_code(1)?.expect_stderr("a Grafana on 127.0.0.1, database: .")?;
    Ok(())
}

#[test]
fn nodes_and_clusters() -> Result<()> {
    let world = World::new()?;
    let nodes = ["check", "--prometheus", &world.real[1], "--nodes", "7"];
    world.shows(&nodes, "7 nodes in 0 clusters")?;
    world.shows(&[&nodes[..], &["--clusters", "3"]].concat(), "7 nodes in 3 clusters")
}

#[test]
fn airgap() -> Result<()> {
    World::of_kind()?.shows(&["images", "build", "--airgap"], "the airgap mode needs cgroup version 1")
}

#[test]
fn keep() -> Result<()> {
    let images =
        ["exporter", "prometheus", "alertmanager", "grafana", "node"].map(|name| format!("--image={name}=i:1"));
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let words = [&["check", "--backend", "kind"], &images[..]].concat();
    let quiet = World::of_kind()?.shown(&[&words[..], &["--quiet"]].concat())?;
    ensure!(!quiet.contains("delete the cluster"), "{quiet}");
    World::of_kind()?.shows(&[&words[..], &["--keep"]].concat(), "kept the cluster; remove it with `lab down")
}

#[test]
fn scenario() -> Result<()> {
    let world = World::new()?;
    world.shows(&world.with_real(&["up", "--scenario", "quiet-day"]), "\"node\":\"db-1\"")
}

#[test]
fn speed() -> Result<()> {
    let world = World::new()?;
    let words = ["up", "--scenario", "quiet-day", "--exporter", &world.real[0], "--speed", "30"];
    world.shows(&words, "\"scrape_interval\": \"2000ms\"")
}

#[test]
fn rules_of_a_check() -> Result<()> {
    let rules = json!({ "groups": [{ "name": "g", "rules": [{ "record": "mine:own", "expr": "vector(1)" }] }] });
    World::new()?.of_shared("rules", "mine.yml", &rules, "rules-healthy", "Prometheus has loaded no rules")
}

#[test]
fn dashboards() -> Result<()> {
    let panel = json!({ "id": 1, "type": "stat", "title": "Mine", "gridPos": { "x": 0, "y": 0, "w": 1, "h": 1 },
        "targets": [{ "refId": "A", "expr": "nothing_of_the_kind", "instant": true }] });
    let dashboard = json!({ "uid": "mine", "title": "Mine", "panels": [panel] });
    World::new()?.of_shared("dashboards", "mine.json", &dashboard, "panels-have-data", "`Mine`")
}

/// What `kubectl` is asked names both.
#[test]
fn context_and_namespace() -> Result<()> {
    let world = World::new()?;
    let own = shared()?;
    samples(&own)?;
    world.script(
        "bin/kubectl",
        "case \"$*\" in version*) echo 'Client Version: v1.32.3' ;; *) echo \"asked: $*\" >&2; exit 1 ;; esac",
    )?;
    let base = own.local.stack().prometheus.base();
    let words = ["check", "--prometheus", base, "--context", "there", "--namespace", "here"];
    world.shows(&words, "asked: --context there --namespace here ")
}

/// `PATH` holds nothing but stand-ins. The Prometheus on it says how it was configured, and ends; so does the Grafana,
/// of the nodes that there are.
struct World {
    lab: Lab,
    /// The exporter and the Prometheus that really are.
    real: [String; 2],
    /// A stand-in for the exporter.
    exporter: String,
}

impl World {
    fn new() -> Result<Self> {
        let lab = Lab::bare()?.with_promtool()?;
        let parts = lab.programs();
        let real = [&parts[1], &parts[3]].map(|path| path.to_string_lossy().into_owned());
        let exporter = lab.script("exporter", "echo \"the exporter that was named, with $*\"; exit 3")?;
        let world = Self { exporter: exporter.display().to_string(), lab, real };
        let configured = "PATH=/usr/bin:/bin\ngrep -m 1 scrape_interval prometheus.yml\nls rules\nexit 3";
        world.script("bin/prometheus", &saying("prometheus, version 3.0.0", configured))?;
        // It starts last, and finds what Prometheus discovers.
        let discovered = "PATH=/usr/bin:/bin
            found() { cat nodes.json scenario.json 2>/dev/null | grep -o \"\\\"$1\\\":\\\"[^\\\"]*\\\"\"; }
            found node | sort | head -3
            echo \"$(found node | wc -l) nodes in $(found cluster | sort -u | wc -l) clusters\"
            exit 3";
        world.script("bin/grafana", &saying("Version 12.0.0", discovered))?;
        world.put("conf/defaults.ini")?;
        Ok(world)
    }

    /// With what a cluster needs, up to the create, which fails. The engine has every image but one, and cgroup 2.
    fn of_kind() -> Result<Self> {
        let world = Self::new()?;
        let engine = "case $1 in
            version) echo 1.46 ;;
            info) echo 2 ;;
            image) [ \"$5\" != mine:nope ] ;;
            pull) exit 1 ;;
            esac";
        world.script("bin/docker", engine)?;
        world.script("bin/kind", &saying("kind v9.9.9", "[ \"$1\" = delete ]"))?;
        world.script("bin/kubectl", "echo 'Client Version: v1.32.3'")?;
        Ok(world)
    }

    fn script(&self, name: &str, body: &str) -> Result<String> {
        Ok(self.lab.script(name, body)?.display().to_string())
    }

    /// An empty file.
    fn put(&self, name: &str) -> Result<()> {
        let path = self.lab.dir().join(name);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        Ok(fs::write(path, "")?)
    }

    /// Flags, and those that name the real exporter and the real Prometheus.
    fn with_real<'a>(&'a self, flags: &[&'a str]) -> Vec<&'a str> {
        [flags, &["--exporter", &self.real[0], "--prometheus", &self.real[1]]].concat()
    }

    fn shows(&self, words: &[&str], text: &str) -> Result<()> {
        let shown = self.shown(words)?;
        ensure!(shown.contains(text), "no `{text}` in:\n{shown}");
        Ok(())
    }

    fn shown(&self, words: &[&str]) -> Result<String> {
        self.lab.transcript(words, &[])
    }

    /// One check of the shared stack, by a file of one's own.
    fn of_shared(&self, flag: &str, file: &str, content: &Value, check: &str, says: &str) -> Result<()> {
        let own = shared()?;
        samples(&own)?;
        let dir = self.lab.dir().join(flag);
        fs::create_dir(&dir)?;
        fs::write(dir.join(file), content.to_string())?;
        let base = own.local.stack().prometheus.base();
        let flag = format!("--{flag}={}", dir.display());
        self.shows(&["check", "--prometheus", base, "--only", check, &flag], says)
    }
}

/// A program that says its version when it is asked for, and does this otherwise.
fn saying(version: &str, does: &str) -> String {
    format!("case \"$*\" in *version*|-v) echo '{version}'; exit ;; esac\n{does}")
}
