//! What each tree renders to. A generated `ConfigMap` is shown by the files that it holds, so that an edit of the
//! dashboard or of a rule is reviewed once, where it is made.

use std::path::{Path, PathBuf};

use e2e::workspace;
use serde_json::Value;

use crate::render::{self, Rendering, text};

#[test]
fn every_tree_renders_as_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for rendering in render::all() {
            insta::assert_snapshot!(rendering.name.as_str(), show(rendering));
        }
    });
}

fn show(rendering: &Rendering) -> String {
    let mut shown = String::new();
    for document in &rendering.documents {
        let mut document = document.clone();
        if text(&document, "/kind") == "ConfigMap" {
            for (key, content) in document["data"].as_object_mut().unwrap() {
                if let Some(file) = source(key, content.as_str().unwrap()) {
                    *content = Value::from(format!("the content of {}", file.display()));
                }
            }
        }
        if text(&document, "/kind") == "PrometheusRule" {
            document["spec"]["groups"] = Value::from("those of kustomize/prometheus/rules, as another test proves");
        }
        document.sort_all_objects();
        shown.push_str("---\n");
        shown.push_str(&serde_saphyr::to_string(&document).unwrap());
    }
    for name in rendering.names("ConfigMap") {
        if let Some((plain, _hash)) = name.rsplit_once('-') {
            shown = shown.replace(name, &format!("{plain}-HASH"));
        }
    }
    shown
}

/// The file in the tree that has this name and this content.
fn source(name: &str, content: &str) -> Option<PathBuf> {
    fn search(directory: &Path, name: &str, content: &str) -> Option<PathBuf> {
        let below = render::directories(directory);
        let file = directory.join(name);
        if fs_err::read_to_string(&file).is_ok_and(|there| there == content) {
            return Some(file);
        }
        below.iter().find_map(|below| search(&directory.join(below), name, content))
    }
    let file = ["kustomize", "grafana"].iter().find_map(|top| search(&workspace::root().join(top), name, content))?;
    Some(file.strip_prefix(workspace::root()).unwrap().to_owned())
}
