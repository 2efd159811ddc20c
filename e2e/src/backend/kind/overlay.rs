//! The run's own overlay: a shipped overlay with this run's images and, where asked for, a fixture tree to read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use serde_json::{Value, json};

use super::images::{Image, Images, split};
use super::kubectl::NAMESPACE;
use crate::workspace;

/// Where the fixture tree is mounted.
const FIXTURE: &str = "/fixture";

/// The files that the exporter reads, as keys of a `ConfigMap` and as paths below a procfs.
const FILES: [(&str, &str); 3] = [("uptime", "uptime"), ("loadavg", "loadavg"), ("hostname", "sys/kernel/hostname")];

/// Writes the overlay into a directory of its own below `dir`; returns that directory.
pub fn write(dir: &Path, images: &Images, fixture: Option<&Path>) -> Result<PathBuf> {
    let place = dir.join("overlay");
    fs::create_dir_all(&place)?;
    // kustomize takes no absolute path, but follows a link.
    let link = place.join("kustomize");
    if !link.exists() {
        symlink(workspace::root().join("kustomize"), &link)?;
    }
    let mut kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("kustomize/overlays/{}", shipped(images))],
        "images": replacements(images),
    });
    if let Some(root) = fixture {
        add_fixture(&mut kustomization, &place, root)?;
    }
    fs::write(place.join("kustomization.yaml"), serde_json::to_vec_pretty(&kustomization)?)?;
    Ok(place)
}

/// The shipped overlay of a stack with or without Grafana.
fn shipped(images: &Images) -> &'static str {
    if images.contains_key(&Image::Grafana) { "kind" } else { "airgap" }
}

fn replacements(images: &Images) -> Vec<Value> {
    let replace = |name: &str, reference: &str| {
        let (new, tag) = split(reference);
        json!({ "name": name, "newName": new, "newTag": tag })
    };
    images.iter().filter_map(|(image, reference)| Some(replace(image.in_manifests()?, reference))).collect()
}

/// Mounts a fixture tree as a `ConfigMap`, which the restricted Pod Security standard allows, and points the exporter
/// at it.
fn add_fixture(kustomization: &mut Value, place: &Path, root: &Path) -> Result<()> {
    for (key, path) in FILES {
        let from = root.join(path);
        fs::copy(&from, place.join(key))?;
    }
    let target = json!({ "kind": "DaemonSet", "name": "mini-node-exporter" });
    let items: Vec<Value> = FILES.into_iter().map(|(key, path)| json!({ "key": key, "path": path })).collect();
    let mount = json!({ "spec": { "template": { "spec": {
        "containers": [{
            "name": "exporter",
            "volumeMounts": [{ "name": "fixture", "mountPath": FIXTURE, "readOnly": true }],
        }],
        "volumes": [{ "name": "fixture", "configMap": { "name": "procfs-fixture", "items": items } }],
    } } }, "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "mini-node-exporter" } });
    let flag = json!([{
        "op": "add",
        "path": "/spec/template/spec/containers/0/args/-",
        "value": format!("--path.procfs={FIXTURE}"),
    }]);
    let files: Vec<&str> = FILES.into_iter().map(|(key, _)| key).collect();
    kustomization["configMapGenerator"] = json!([{ "name": "procfs-fixture", "namespace": NAMESPACE, "files": files }]);
    kustomization["patches"] =
        json!([{ "target": target, "patch": mount.to_string() }, { "target": target, "patch": flag.to_string() }]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path, fixture: Option<&Path>) -> Value {
        let images = Images::from([
            (Image::Exporter, "mini-node-exporter:abc".into()),
            (Image::Grafana, "host:5000/grafana:9".into()),
            (Image::Node, "kindest/node:v1".into()),
        ]);
        let place = write(dir, &images, fixture).unwrap();
        assert!(place.join("kustomize/overlays/kind/kustomization.yaml").exists());
        serde_json::from_slice(&fs::read(place.join("kustomization.yaml")).unwrap()).unwrap()
    }

    #[test]
    fn it_is_the_shipped_overlay_with_this_runs_images() {
        let dir = tempfile::tempdir().unwrap();
        let kustomization = written(dir.path(), None);
        assert_eq!(kustomization["resources"], json!(["kustomize/overlays/kind"]));
        let image = |name, new, tag| json!({ "name": name, "newName": new, "newTag": tag });
        let exporter = image("ghcr.io/mini-node-exporter/mini-node-exporter", "mini-node-exporter", "abc");
        assert_eq!(kustomization["images"], json!([exporter, image("grafana/grafana", "host:5000/grafana", "9")]));
        assert_eq!(kustomization["patches"], Value::Null);
    }

    #[test]
    fn grafana_is_deployed_only_where_there_is_an_image_of_it() {
        let grafana = Images::from([(Image::Grafana, "grafana/grafana:9".into())]);
        assert_eq!([shipped(&Images::new()), shipped(&grafana)], ["airgap", "kind"]);
    }

    #[test]
    fn a_fixture_tree_is_mounted_and_unmounted_again() {
        let dir = tempfile::tempdir().unwrap();
        let tree = workspace::root().join("fixtures/ordinary-node/proc");
        let kustomization = written(dir.path(), Some(&tree));
        assert_eq!(kustomization["configMapGenerator"][0]["files"], json!(["uptime", "loadavg", "hostname"]));
        assert_eq!(fs::read(dir.path().join("overlay/uptime")).unwrap(), fs::read(tree.join("uptime")).unwrap());
        let flag = kustomization["patches"][1]["patch"].as_str().unwrap();
        assert!(flag.contains("--path.procfs=/fixture"), "{flag}");
        assert_eq!(written(dir.path(), None)["patches"], Value::Null);
    }

    #[test]
    fn a_file_that_the_tree_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tree = workspace::root().join("fixtures/bad-uptime-missing/proc");
        let error = write(dir.path(), &Images::new(), Some(&tree)).unwrap_err();
        assert!(format!("{error:#}").contains("bad-uptime-missing/proc/uptime"), "{error:#}");
    }
}
