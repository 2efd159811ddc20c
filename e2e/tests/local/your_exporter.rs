//! `docs/your-exporter.md` on the small exporter in `fixtures/exporter`: its commands and its `lab.toml` in the order of the
//! page, and the step of `action.yml`.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use e2e::tools::digest::sha256;
use e2e::workspace;
use fs_err as fs;
use serde_json::{Map, Value};

use crate::others::Shop;
use crate::running::{Ended, ended};
use crate::serve::serve;

/// What the release of the test's mirror has as `lab`: it shows its arguments.
const RELEASED: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n";

#[test]
fn every_command_of_the_page() -> Result<()> {
    let shop = Shop::new()?;
    fs::remove_file(shop.file())?;
    let path = path_with_stand_ins(&shop)?;
    for (language, text) in blocks(&shop)? {
        match language.as_str() {
            "toml" => fs::write(shop.file(), text)?,
            "sh" => text.lines().try_for_each(|line| run(&shop, &path, line))?,
            _ => {}
        }
    }
    let junit = fs::read_to_string(shop.folder().join("junit.xml"))?;
    ensure!(junit.contains("labels-stable") && !junit.contains("<failure"), "{junit}");
    shop.lab.expect_nothing_left()
}

/// One that runs is what a command with a target alone is for.
fn run(shop: &Shop, path: &OsString, line: &str) -> Result<()> {
    let is_for_one_that_runs = line.contains("--target") && !line.contains("--command");
    let _running = is_for_one_that_runs.then(|| shop.start()).transpose()?;
    let command = shop.lab.command_of("sh".as_ref(), ["-c", line]).env("PATH", path).dir(shop.folder());
    ended(command)?.expect_code(0).with_context(|| line.to_owned())?;
    Ok(())
}

/// With the inputs of the page; `lab` is built.
#[test]
fn the_action_passes_as_lab_does() -> Result<()> {
    let shop = Shop::new()?;
    let (_, step) = blocks(&shop)?.into_iter().find(|(language, _)| language == "yaml").context("no step")?;
    let step: Value = serde_saphyr::from_str(&step)?;
    let uses = step[0]["uses"].as_str().context("it uses nothing")?;
    let repository = env!("CARGO_PKG_REPOSITORY").replace("https://github.com/", "");
    ensure!(uses.starts_with(&format!("{repository}@")), "{uses}");
    let (ended, folder) = action(&shop, step[0]["with"].as_object().context("no inputs")?, NOWHERE)?;
    ended.expect_code(0)?;
    let junit = fs::read_to_string(folder.join("junit.xml"))?;
    ensure!(junit.contains("targets-up") && !junit.contains("<failure"), "{junit}");
    ensure!(!folder.join(EVIDENCE).exists(), "evidence of a success");
    Ok(())
}

#[test]
fn the_action_fails_as_lab_does() -> Result<()> {
    let shop = Shop::new()?;
    // promtool reads the text format only.
    let exposition = |headers: HeaderMap| async move {
        let is_text = headers[ACCEPT].as_bytes().starts_with(b"text/plain");
        let kind = if is_text { "text/plain; version=0.0.4" } else { "application/openmetrics-text; version=1.0.0" };
        ([(CONTENT_TYPE, kind)], if is_text { "orders_total 1\n" } else { "orders_total 1\n# EOF\n" })
    };
    let without_help = serve(Router::new().fallback(exposition)).replace("http://", "");
    let arguments = format!("--target {without_help} --only exposition-lints");
    let (ended, folder) = action(&shop, &inputs(&[("arguments", &arguments)]), NOWHERE)?;
    ended.expect_code(1)?;
    let junit = fs::read_to_string(folder.join("junit.xml"))?;
    ensure!(junit.contains("<failure") && junit.contains("no help text"), "{junit}");
    ensure!(fs::read_dir(folder.join(EVIDENCE))?.count() == 1, "no evidence");
    // Nothing was checked, and the report says why.
    let (ended, folder) = action(&shop, &inputs(&[("arguments", "--command ./nowhere")]), NOWHERE)?;
    ended.expect_code(1)?;
    let junit = fs::read_to_string(folder.join("junit.xml"))?;
    ensure!(junit.contains("errors=\"1\"") && junit.contains("No such file or directory"), "{junit}");
    Ok(())
}

/// What is downloaded is run if its hash is that of the release, and arguments arrive as they are.
#[test]
fn the_action_with_the_lab_of_a_release() -> Result<()> {
    let shop = Shop::new()?;
    let arguments = "--command './shop $HOME'\n--job \"a b\"";
    let inputs = inputs(&[("version", "v9.9.9"), ("arguments", arguments)]);
    let (released, folder) = action(&shop, &inputs, &releases(&sha256(RELEASED.as_bytes())))?;
    released.expect_code(0)?;
    let arrived = fs::read_to_string(folder.join("junit.xml"))?;
    ensure!(arrived == "check\n--format\njunit\n--command\n./shop $HOME\n--job\na b\n", "{arrived}");

    let (other, folder) = action(&shop, &inputs, &releases(&"0".repeat(64)))?;
    other.expect_code(1)?.expect_stderr("is not the one that SHA256SUMS of v9.9.9 lists")?;
    ensure!(!folder.join("junit.xml").exists(), "it was run");
    let (missing, _) = action(&shop, &inputs, NOWHERE)?;
    missing.expect_code(1)?.expect_stderr("without `version` lab is built")?;
    Ok(())
}

/// A mirror that refuses every connection.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Where the action leaves the logs of a run that failed, below its folder.
const EVIDENCE: &str = "mini-node-exporter/evidence";

/// Runs the step of `action.yml` as a runner does; returns the folder that it names in its output, too.
fn action(shop: &Shop, inputs: &Map<String, Value>, mirror: &str) -> Result<(Ended, PathBuf)> {
    let action: Value = serde_saphyr::from_str(&fs::read_to_string(workspace::root().join("action.yml"))?)?;
    let declared = action["inputs"].as_object().context("no inputs")?;
    ensure!(inputs.keys().all(|name| declared.contains_key(name)), "{inputs:?} are not all inputs");
    let step = &action["runs"]["steps"][0];
    let [temp, output] = ["temp", "output"].map(|name| shop.lab.dir().join(name));
    fs::create_dir_all(&temp)?;
    fs::write(&output, "")?;
    let script = step["run"].as_str().context("it runs nothing")?;
    let mut command = shop.lab.command_of("bash".as_ref(), ["-ec", script]).dir(shop.folder());
    for (variable, value) in step["env"].as_object().context("no variables")? {
        let name = value.as_str().and_then(|value| value.strip_prefix("${{ inputs.")?.strip_suffix(" }}"));
        let name = name.with_context(|| format!("{variable} is no input"))?;
        let value = inputs.get(name).unwrap_or(&declared[name]["default"]).as_str().context("no text")?;
        command = command.env(variable, value);
    }
    let command =
        command.env("PATH", path_with_stand_ins(shop)?).env("LAB_MIRROR", mirror).env("no_proxy", "127.0.0.1");
    let command = command.env("GITHUB_ACTION_PATH", workspace::root());
    let ended = ended(command.env("RUNNER_TEMP", &temp).env("GITHUB_OUTPUT", &output))?;
    let named = fs::read_to_string(&output)?;
    let folder = named.trim_end().strip_prefix("folder=").with_context(|| format!("{named}{}", ended.stderr))?;
    Ok((ended, folder.into()))
}

fn inputs(given: &[(&str, &str)]) -> Map<String, Value> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// A `PATH` on which `git` and `cargo` use this checkout and the `lab` of this build: no test downloads, or compiles for
/// minutes. This `lab` leaves Grafana out, which not every machine has, and does not stay for ever.
fn path_with_stand_ins(shop: &Shop) -> Result<OsString> {
    let lab = env!("CARGO_BIN_EXE_lab");
    let lab = format!(
        "[ \"$1\" != up ] || set -- \"$@\" --for 1s\nexec '{lab}' \"$@\" --without grafana --without alertmanager"
    );
    let lab = shop.lab.script("bin/lab", &lab)?;
    let (root, repository) = (workspace::root().display(), env!("CARGO_PKG_REPOSITORY"));
    shop.lab.script("bin/git", &format!("[ \"$*\" = 'clone {repository}' ] && ln -s '{root}' mini-node-exporter"))?;
    let cargo = format!(
        "case \"$*\" in\n\"install --locked --path $4\") [ -f \"$4/src/bin/lab/main.rs\" ] ;;\n\
         \"build --locked --package e2e --bin lab\"*) echo '{{\"executable\":\"{}\"}}' ;;\n*) exit 9 ;;\nesac",
        lab.display()
    );
    shop.lab.script("bin/cargo", &cargo)?;
    let own = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([shop.lab.dir().join("bin")].into_iter().chain(std::env::split_paths(&own)))?)
}

/// A mirror of a release whose `SHA256SUMS` lists this hash.
fn releases(hash: &str) -> String {
    let base = "/github.com/mini-node-exporter/mini-node-exporter/releases/download/v9.9.9/";
    let sums = ["amd64", "arm64"].map(|arch| format!("{hash}  lab-9.9.9-linux-{arch}\n")).concat();
    serve(Router::new().fallback(move |uri: Uri| async move {
        match uri.path().strip_prefix(base) {
            Some("SHA256SUMS") => Ok(sums),
            Some(name) if name.starts_with("lab-9.9.9-linux-") => Ok(RELEASED.to_owned()),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }))
}

/// The blocks of the page, each with its language; the exporter has the address of this one.
fn blocks(shop: &Shop) -> Result<Vec<(String, String)>> {
    let page = fs::read_to_string(workspace::root().join("docs/your-exporter.md"))?;
    let page = page.replace("127.0.0.1:8080", &shop.address);
    // Every second part is between two fences.
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    Ok(blocks.map(|(language, text)| (language.to_owned(), text.to_owned())).collect())
}
