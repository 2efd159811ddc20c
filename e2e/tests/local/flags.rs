//! Every flag of `lab` works: a row for each argument that a help lists, with the commands that take it and one effect
//! that is seen from outside, but for a few that are named. Most are seen in a world of stand-ins, which say what they
//! were given and end.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use fs_err as fs;
use regex::Regex;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::stacks::{samples, shared};
use crate::{background, existing, several, usage, watching};

/// An argument, and the commands that take it.
struct Row {
    of: &'static [&'static str],
    argument: &'static str,
}

/// One test for each row whose effect is shown here; the effect is a function of the command. Of those that
/// are shown elsewhere the test is named.
macro_rules! rows {
    (here { $($of:ident $argument:literal $test:ident => $effect:expr;)* }
     elsewhere { $($of_proved:ident $proved:literal $by:path;)* }) => {
        const ROWS: &[Row] =
            &[$(Row { of: $of, argument: $argument },)* $(Row { of: $of_proved, argument: $proved }),*];

        $(#[test]
        fn $test() -> Result<()> {
            let effect: fn(&str) -> Result<()> = $effect;
            $of.iter().try_for_each(|command| {
                effect(command).with_context(|| format!("`lab {command} {}` has no such effect", $argument))
            })
        })*

        const _: &[fn() -> Result<()>] = &[$($by),*];
    };
}

/// `lab` alone is `lab up`.
const UP: &[&str] = &["", "up"];
const CHECK: &[&str] = &["check"];
const STACKS: &[&str] = &["", "up", "check"];
const ONE_EXPORTER: &[&str] = &["", "up", "check", "scenario run"];
const HURRIED: &[&str] = &["", "up", "scenario run"];
const SCENARIO: &[&str] = &["scenario run"];
const IMAGES: &[&str] = &["images build"];
const ROOT: &[&str] = &[""];
const STATUS: &[&str] = &["status"];
const OF_A_RUN: &[&str] = &["status", "down", "logs"];
const DOCTOR: &[&str] = &["doctor"];
const COMPLETIONS: &[&str] = &["completions"];
const DOWN: &[&str] = &["down"];
const STARTING: &[&str] = &["", "up", "check", "scenario run"];
const WITHOUT_STEPS: &[&str] = &["status", "logs", "scenario list", "doctor", "completions"];

/// Without a row: two commands that have nothing but subcommands, and one whose first step is a whole build.
const UNSHOWN: [&str; 3] = ["lab scenario --quiet", "lab images --quiet", "lab images build --quiet"];

rows! { here {
    ROOT "--version" version => |_| World::new()?.shows("", &["--version"], concat!("lab ", env!("CARGO_PKG_VERSION")));

    STARTING "--quiet" quiet => |command| {
        let world = World::new()?;
        world.shows(command, &["--exporter", &world.real[0]], "ok   find Prometheus")?;
        let shown = world.shown(command, &["--exporter", &world.real[0], "--quiet"])?;
        ensure!(shown.contains("FAIL start Prometheus") && !shown.contains("ok   "), "{shown}");
        Ok(())
    };
    // Nothing that these show is a step; below the command line itself it is the same.
    WITHOUT_STEPS "--quiet" quiet_results => |command| {
        let world = World::of_kind()?;
        world.lab.keep_cluster()?;
        let (loud, quiet) = (world.shown(command, &[])?, world.shown(command, &["--quiet"])?);
        ensure!(loud.lines().skip(1).eq(quiet.lines().skip(1)), "{loud}{quiet}");
        Ok(())
    };

    STACKS "--backend" backend => |command| World::new()?.shows(command, &["--backend", "kind"], "`docker` is not on PATH");
    STACKS "--path.procfs" procfs => |command| {
        let world = World::new()?;
        let tree = world.lab.dir().display().to_string();
        world.shows(command, &["--path.procfs", &tree, "--exporter", &world.exporter], &format!("--path.procfs={tree}"))
    };
    ONE_EXPORTER "--exporter" exporter => |command| {
        let world = World::new()?;
        let flags = ["--exporter", &world.exporter, "--prometheus", &world.real[1]];
        world.shows(command, &flags, "the exporter that was named, with --web.listen-address=127.0.0.1:")
    };
    ONE_EXPORTER "--prometheus" prometheus => |command| {
        let world = World::new()?;
        let named = world.script("named", &saying("prometheus, version 3.0.0", "echo another Prometheus; exit 3"))?;
        world.shows(command, &["--prometheus", &named, "--exporter", &world.real[0]], "another Prometheus")
    };
    STACKS "--grafana" grafana => |command| {
        let world = World::new()?;
        let named = world.script("home/bin/grafana", &saying("Version 12.0.0", "echo another Grafana; exit 3"))?;
        world.put("home/conf/defaults.ini")?;
        world.shows(command, &world.with_real(&["--grafana", &named]), "another Grafana")
    };
    STACKS "--grafana-home" grafana_home => |command| {
        let world = World::new()?;
        world.script("home/bin/grafana", "echo the Grafana in a home; exit 3")?;
        let home = world.lab.dir().join("home").display().to_string();
        world.shows(command, &world.with_real(&["--grafana-home", &home]), "the Grafana in a home")
    };
    STACKS "--without" without => |command| {
        let world = World::new()?;
        let looked = "find Grafana";
        world.shows(command, &["--exporter", &world.real[0]], looked)?;
        let shown = world.shown(command, &["--exporter", &world.real[0], "--without", "grafana"])?;
        ensure!(shown.contains("find Prometheus") && !shown.contains(looked), "{shown}");
        Ok(())
    };
    STACKS "--nodes" nodes => |command| {
        let world = World::new()?;
        world.shows(command, &["--nodes", "7", "--prometheus", &world.real[1]], "7 nodes in 0 clusters")
    };
    STACKS "--clusters" clusters => |command| {
        let world = World::new()?;
        let flags = ["--nodes", "7", "--clusters", "3", "--prometheus", &world.real[1]];
        world.shows(command, &flags, "7 nodes in 3 clusters")
    };
    STACKS "--airgap" airgap => |command| {
        World::of_kind()?.shows(command, &["--backend", "kind", "--airgap"], "the airgap mode needs cgroup version 1")
    };
    STACKS "--image" image => |command| {
        let flags = ["--backend", "kind", "--image", "exporter=mine:nope"];
        World::of_kind()?.shows(command, &flags, "there is no image mine:nope here")
    };
    STACKS "--keep" keep => |command| {
        let images = ["--image=exporter=e:1", "--image=prometheus=p:1", "--image=grafana=g:1", "--image=node=n:1"];
        let flags = [&["--backend", "kind"], &images[..]].concat();
        World::of_kind()?.shows(command, &flags, "delete the cluster")?;
        World::of_kind()?.shows(command, &[&flags[..], &["--keep"]].concat(), "the cluster stays: `lab down")
    };

    UP "--for" stay => |command| {
        let world = World::new()?;
        let flags = world.with_real(&["--without", "grafana", "--for", "1ms"]);
        world.shows(command, &flags, "stays until 1ms have passed")
    };
    UP "--scenario" scenario => |command| {
        let world = World::new()?;
        world.shows(command, &world.with_real(&["--scenario", "quiet-day"]), "\"node\":\"db-1\"")
    };
    HURRIED "--speed" speed => |command| {
        let world = World::new()?;
        let scenario = if command == "scenario run" { &[][..] } else { &["--scenario", "quiet-day"] };
        let flags = [scenario, &["--exporter", &world.real[0]]].concat();
        world.shows(command, &flags, "\"scrape_interval\": \"1000ms\"")?;
        world.shows(command, &[&flags[..], &["--speed", "30"]].concat(), "\"scrape_interval\": \"2000ms\"")
    };
    SCENARIO "<NAME>" name => |command| {
        let world = World::new()?;
        let mut series = vec![json!({ "series": "node_uptime{node=\"mine-1\"}", "values": "60+60x2" })];
        series.extend(["1m", "5m", "15m"].map(|duration| {
            json!({ "series": format!("node_load{{node=\"mine-1\", duration=\"{duration}\"}}"), "values": "0x2" })
        }));
        let expected = json!([{ "eval_time": "1m", "expr": "ALERTS", "exp_samples": [] }]);
        let file = json!({ "name": "A life of my own.", "interval": "1m", "input_series": series, "promql_expr_test": expected });
        let path = world.lab.dir().join("mine.yml");
        fs::write(&path, file.to_string())?;
        let words = [command, &path.display().to_string()].join(" ");
        world.shows(&words, &world.with_real(&[]), "mine: A life of my own.")
    };
    SCENARIO "--rules" rules_of_a_scenario => |command| {
        let world = World::new()?;
        let rules = world.lab.dir().join("rules");
        fs::create_dir(&rules)?;
        fs::write(rules.join("mine.yml"), "groups: []")?;
        world.shows(command, &["--exporter", &world.real[0], "--rules", &rules.to_string_lossy()], "mine.yml")
    };

    CHECK "--context" context => |_| of_a_cluster();
    CHECK "--dashboards" dashboards => |_| {
        let world = World::new()?;
        let panel = json!({ "id": 1, "type": "stat", "title": "Mine", "gridPos": { "x": 0, "y": 0, "w": 1, "h": 1 },
            "targets": [{ "refId": "A", "expr": "nothing_of_the_kind", "instant": true }] });
        let dashboard = json!({ "uid": "mine", "title": "Mine", "panels": [panel] });
        world.of_shared("dashboards", "mine.json", &dashboard, "panels-have-data", "`Mine`")
    };
    CHECK "--rules" rules => |_| {
        let world = World::new()?;
        let rules = json!({ "groups": [{ "name": "g", "rules": [{ "record": "mine:own", "expr": "vector(1)" }] }] });
        world.of_shared("rules", "mine.yml", &rules, "rules-healthy", "Prometheus has loaded no rule")
    };

    IMAGES "--airgap" images_airgap => |command| {
        World::of_kind()?.shows(command, &["--airgap"], "the airgap mode needs cgroup version 1")
    };

} elsewhere {
    DOWN "--quiet" usage::quiet;
    OF_A_RUN "[ID]" several::labs_do_not_disturb_each_other;
    STATUS "--watch" watching::a_node_that_goes_and_returns_is_told_by_both;
    UP "--detach" background::a_lab_goes_on_until_it_is_ended;
    DOCTOR "--format" usage::doctor_in_json;
    COMPLETIONS "<SHELL>" usage::completions;
    CHECK "--namespace" of_a_cluster;
    CHECK "--only" existing::checks_can_be_chosen_and_listed;
    CHECK "--skip" existing::checks_can_be_chosen_and_listed;
    CHECK "--list" existing::checks_can_be_chosen_and_listed;
    CHECK "--format" existing::checks_can_be_chosen_and_listed;
    CHECK "--http.config.file" existing::behind_tls_and_a_password;
    CHECK "--job" existing::nobody_there_and_no_such_job_are_named;
} }

#[test]
fn every_argument_has_a_row() -> Result<()> {
    let flag = Regex::new(r"^ {2,6}(?:-\w, )?(--[a-z][a-z.-]*)")?;
    let positional = Regex::new(r"^  ([<\[][A-Z]+[>\]])")?;
    let mut arguments = BTreeSet::new();
    for (command, help) in usage::helps(&Lab::new()?)? {
        let found = help
            .lines()
            .filter_map(|line| Some(flag.captures(line).or_else(|| positional.captures(line))?[1].to_owned()));
        // Whether help is shown is what `usage::help` is about, of every command.
        arguments.extend(
            found.filter(|name| name != "--help" && name != "<COMMAND>").map(|name| format!("lab {command} {name}")),
        );
    }
    let rows = ROWS.iter();
    let rows = rows.flat_map(|row| row.of.iter().map(|command| format!("lab {command} {}", row.argument)));
    let rows: BTreeSet<String> = rows.chain(UNSHOWN.map(str::to_owned)).collect();
    let missing: Vec<_> = arguments.difference(&rows).collect();
    ensure!(missing.is_empty(), "no row shows an effect of: {missing:#?}");
    let extra: Vec<_> = rows.difference(&arguments).collect();
    ensure!(extra.is_empty(), "no help lists: {extra:#?}");
    Ok(())
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
        let lab = Lab::bare()?;
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
        world.script("bin/kind", &saying("kind v0.32.0", "[ \"$1\" = delete ]"))?;
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

    fn shows(&self, command: &str, flags: &[&str], text: &str) -> Result<()> {
        let shown = self.shown(command, flags)?;
        ensure!(shown.contains(text), "no `{text}` in:\n{shown}");
        Ok(())
    }

    fn shown(&self, command: &str, flags: &[&str]) -> Result<String> {
        // The commands with something that has to be named.
        let named = match command {
            "scenario run" => Some("quiet-day"),
            "completions" => Some("bash"),
            _ => None,
        };
        let words: Vec<&str> = command.split_whitespace().chain(named).chain(flags.iter().copied()).collect();
        self.lab.transcript(&words, &[])
    }

    /// One check of the shared stack, held against a file of one's own.
    fn of_shared(&self, flag: &str, file: &str, content: &Value, check: &str, says: &str) -> Result<()> {
        let own = shared()?;
        samples(&own)?;
        let dir = self.lab.dir().join(flag);
        fs::create_dir(&dir)?;
        fs::write(dir.join(file), content.to_string())?;
        let base = own.local.stack().prometheus.base();
        let flag = format!("--{flag}={}", dir.display());
        self.shows("check", &["--prometheus", base, "--only", check, &flag], says)
    }
}

/// A program that says its version when it is asked for, and does this otherwise.
fn saying(version: &str, does: &str) -> String {
    format!("case \"$*\" in *version*|-v) echo '{version}'; exit ;; esac\n{does}")
}

/// What `kubectl` is asked names both.
fn of_a_cluster() -> Result<()> {
    let world = World::new()?;
    let own = shared()?;
    samples(&own)?;
    world.script(
        "bin/kubectl",
        "case \"$*\" in version*) echo 'Client Version: v1.32.3' ;; *) echo \"asked: $*\" >&2; exit 1 ;; esac",
    )?;
    let base = own.local.stack().prometheus.base();
    let flags = ["--prometheus", base, "--context", "there", "--namespace", "here"];
    world.shows("check", &flags, "asked: --context there --namespace here ")
}
