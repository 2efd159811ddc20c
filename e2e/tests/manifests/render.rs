//! What `kubectl kustomize` makes of a tree.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use e2e::backend::kind::images::Image;
use e2e::process::command::Cmd;
use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::workspace;
use serde_json::Value;

/// The documents of one tree, sorted by kind and name.
pub struct Rendering {
    pub name: String,
    pub documents: Vec<Value>,
}

/// Something that runs pods.
pub struct Workload<'a> {
    /// Tree, kind and name, as failures show it: `kind: Deployment/grafana`.
    pub name: String,
    pub object: &'a Value,
    /// The pod's template, labels included.
    pub template: &'a Value,
}

/// Every tree that a person applies: the base stack, each overlay, and each example that runs pods.
pub fn all() -> &'static [Rendering] {
    static ALL: OnceLock<Vec<Rendering>> = OnceLock::new();
    ALL.get_or_init(|| {
        let kustomize = workspace::root().join("kustomize");
        let mut all = vec![Rendering::of("stack", &kustomize)];
        for overlay in directories(&kustomize.join("overlays")) {
            all.push(Rendering::of(&overlay, &kustomize.join("overlays").join(&overlay)));
        }
        for example in directories(&kustomize.join("examples")) {
            all.push(Rendering::of(&example, &kustomize.join("examples").join(&example)));
        }
        all.retain(|rendering| !rendering.workloads().is_empty());
        all
    })
}

/// One of [`all`] by its name.
pub fn named(name: &str) -> &'static Rendering {
    all().iter().find(|rendering| rendering.name == name).unwrap_or_else(|| panic!("there is no tree `{name}`"))
}

/// Renders a kustomization that is written outside the tree, as the harness does for each run.
///
/// `write` gets the new directory, and the way from there to `kustomize/`: kustomize takes no absolute path.
pub fn outside_the_tree(name: &str, write: impl FnOnce(&Path, &str)) -> Rendering {
    let directory = tempfile::tempdir().unwrap();
    let from = fs_err::canonicalize(directory.path()).unwrap();
    let to = fs_err::canonicalize(workspace::root().join("kustomize")).unwrap();
    let mut way = PathBuf::new();
    way.extend(from.components().filter(|part| matches!(part, Component::Normal(_))).map(|_| ".."));
    way.push(to.strip_prefix("/").unwrap());
    write(&from, way.to_str().unwrap());
    Rendering::of(name, &from)
}

/// The exporter's image, as a release of this version pushes it.
pub fn exporter_image() -> String {
    format!("{}:{}", Image::Exporter.in_manifests().unwrap(), env!("CARGO_PKG_VERSION"))
}

/// The names of the directories in one.
pub fn directories(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs_err::read_dir(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn yaml(path: &Path) -> Value {
    let text = fs_err::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A field that may be missing.
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap_or("")
}

/// The entries of a list that may be missing.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// The bytes of a quantity, as Kubernetes (`2Gi`) and Prometheus (`1GB`, which is 1024 to the third) spell it.
pub fn bytes(quantity: &str) -> u64 {
    let at = quantity.find(|char: char| !char.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(at);
    let power = ["", "K", "M", "G", "T"].iter().position(|prefix| *prefix == unit.trim_end_matches(['i', 'B']));
    let power = u32::try_from(power.unwrap_or_else(|| panic!("`{quantity}` has no known unit"))).unwrap();
    number.parse::<u64>().unwrap() * 1024_u64.pow(power)
}

/// The rows of the table in `kustomize/README.md` whose first head this is, without links and backticks.
pub fn kustomize_page(head: &str) -> Vec<Vec<String>> {
    let page = fs_err::read_to_string(workspace::root().join("kustomize/README.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.split("](").next().unwrap());
        cells.map(|cell| cell.trim_matches([' ', '`', '[', ']']).to_owned()).collect()
    };
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    let rows: Vec<_> = lines.by_ref().take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "kustomize/README.md has no table of `{head}`");
    rows
}

/// Fails with every problem at once.
#[track_caller]
pub fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

impl Rendering {
    pub fn of(name: &str, path: &Path) -> Self {
        let stdout = Cmd::new(kubectl()).arg("kustomize").arg(path).read().unwrap_or_else(|error| panic!("{error}"));
        let mut documents: Vec<Value> = serde_saphyr::from_multiple(&stdout).unwrap();
        documents.sort_by_cached_key(|document| (text(document, "/kind").to_owned(), id(document)));
        Self { name: name.to_owned(), documents }
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |document| text(document, "/kind") == kind)
    }

    /// The one object of this kind and name.
    pub fn object(&self, kind: &str, name: &str) -> &Value {
        self.of_kind(kind)
            .find(|document| text(document, "/metadata/name") == name)
            .unwrap_or_else(|| panic!("{}: there is no {kind}/{name}", self.name))
    }

    pub fn names(&self, kind: &str) -> BTreeSet<&str> {
        self.of_kind(kind).map(|document| text(document, "/metadata/name")).collect()
    }

    pub fn workloads(&self) -> Vec<Workload<'_>> {
        let runs_pods = |document: &&Value| document.pointer("/spec/template/spec/containers").is_some();
        self.documents
            .iter()
            .filter(runs_pods)
            .map(|object| Workload {
                name: format!("{}: {}", self.name, id(object)),
                object,
                template: at(object, "/spec/template"),
            })
            .collect()
    }
}

impl<'a> Workload<'a> {
    /// The containers that run, and those that run before them, each with the name of its field.
    pub fn containers(&self) -> Vec<(String, &'a Value)> {
        containers(self.template)
    }
}

pub fn containers(template: &Value) -> Vec<(String, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|field| list(template, &format!("/spec/{field}")).iter().map(move |container| (field, container)))
        .map(|(field, container)| (format!("{field}[{}]", text(container, "/name")), container))
        .collect()
}

/// `Kind/name`.
pub fn id(document: &Value) -> String {
    format!("{}/{}", text(document, "/kind"), text(document, "/metadata/name"))
}

/// Fetched where it is missing; Debian 12's own is too old.
pub fn kubectl() -> &'static Path {
    static KUBECTL: OnceLock<PathBuf> = OnceLock::new();
    KUBECTL.get_or_init(|| {
        let found = Progress::quiet().step("find kubectl", |step| tools::find(Tool::Kubectl, None, step));
        found.unwrap_or_else(|error| panic!("{error:#}")).path
    })
}
