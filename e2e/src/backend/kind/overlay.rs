//! The run's own overlay: the shipped one with this run's images and Alertmanager's configuration, without the parts that have
//! no image, and with a fixture tree to read where asked for.

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

/// Alertmanager's configuration, by the name that the shipped one has.
const ALERTMANAGER: &str = "alertmanager.yml";

/// The files that the exporter reads, as keys of a `ConfigMap` and as paths below a procfs.
const FILES: [(&str, &str); 3] = [("uptime", "uptime"), ("loadavg", "loadavg"), ("hostname", "sys/kernel/hostname")];

/// Writes the overlay into a directory of its own below `dir`; returns that directory.
pub fn write(dir: &Path, images: &Images, alertmanager: Option<&Value>, fixture: Option<&Path>) -> Result<PathBuf> {
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
        "resources": ["kustomize/overlays/kind"],
        "images": replacements(images),
    });
    let (mut generated, mut patches) = (Vec::new(), deletions(images));
    if let Some(config) = alertmanager {
        fs::write(place.join(ALERTMANAGER), serde_json::to_vec_pretty(config)?)?;
        generated.push(json!({
            "name": "alertmanager-config", "namespace": NAMESPACE, "behavior": "merge", "files": [ALERTMANAGER],
        }));
    }
    if let Some(root) = fixture {
        generated.push(copy_fixture(&place, root)?);
        patches.extend(reading_fixture());
    }
    kustomization["configMapGenerator"] = generated.into();
    kustomization["patches"] = patches.into();
    fs::write(place.join("kustomization.yaml"), serde_json::to_vec_pretty(&kustomization)?)?;
    Ok(place)
}

/// The patches that delete the parts without an image.
fn deletions(images: &Images) -> Vec<Value> {
    let missing = [Image::Alertmanager, Image::Grafana].into_iter().filter(|image| !images.contains_key(image));
    missing.map(|image| deletion(image.name())).collect()
}

/// The patch that deletes every object of a part.
pub fn deletion(part: &str) -> Value {
    let patch = "{$patch: delete, kind: Any, metadata: {name: any}}";
    json!({ "target": { "labelSelector": format!("app.kubernetes.io/name={part}") }, "patch": patch })
}

fn replacements(images: &Images) -> Vec<Value> {
    let replace = |name: &str, reference: &str| {
        let (new, tag) = split(reference);
        json!({ "name": name, "newName": new, "newTag": tag })
    };
    images.iter().filter_map(|(image, reference)| Some(replace(image.in_manifests()?, reference))).collect()
}

/// Copies a fixture tree for a `ConfigMap`, which the restricted Pod Security standard allows as a volume.
fn copy_fixture(place: &Path, root: &Path) -> Result<Value> {
    for (key, path) in FILES {
        fs::copy(root.join(path), place.join(key))?;
    }
    let files = FILES.map(|(key, _)| key);
    Ok(json!({ "name": "procfs-fixture", "namespace": NAMESPACE, "files": files }))
}

/// The patches that mount that tree, and point the exporter at it.
fn reading_fixture() -> [Value; 2] {
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
    [mount, flag].map(|patch| json!({ "target": target, "patch": patch.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path, fixture: Option<&Path>) -> Value {
        let images = Images::from([
            (Image::Exporter, "mini-node-exporter:abc".into()),
            (Image::Alertmanager, "alertmanager:a".into()),
            (Image::Grafana, "host:5000/grafana:9".into()),
            (Image::Node, "kindest/node:v1".into()),
        ]);
        let place = write(dir, &images, Some(&json!({ "route": {} })), fixture).unwrap();
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
        let alertmanager = image("prom/alertmanager", "alertmanager", "a");
        let grafana = image("grafana/grafana", "host:5000/grafana", "9");
        assert_eq!(kustomization["images"], json!([exporter, alertmanager, grafana]));
        assert_eq!(kustomization["configMapGenerator"][0]["files"], json!(["alertmanager.yml"]));
        assert_eq!(fs::read_to_string(dir.path().join("overlay/alertmanager.yml")).unwrap(), "{\n  \"route\": {}\n}");
        assert_eq!(kustomization["patches"], json!([]));
    }

    #[test]
    fn a_part_without_an_image_is_deleted() {
        let grafana = Images::from([(Image::Grafana, "grafana/grafana:9".into())]);
        assert_eq!(deletions(&grafana), [deletion("alertmanager")]);
        assert_eq!(deletions(&Images::new()), [deletion("alertmanager"), deletion("grafana")]);
    }

    #[test]
    fn a_fixture_tree_is_mounted_and_unmounted_again() {
        let dir = tempfile::tempdir().unwrap();
        let tree = workspace::root().join("fixtures/ordinary-node/proc");
        let kustomization = written(dir.path(), Some(&tree));
        assert_eq!(kustomization["configMapGenerator"][1]["files"], json!(["uptime", "loadavg", "hostname"]));
        assert_eq!(fs::read(dir.path().join("overlay/uptime")).unwrap(), fs::read(tree.join("uptime")).unwrap());
        let flag = kustomization["patches"][1]["patch"].as_str().unwrap();
        assert!(flag.contains("--path.procfs=/fixture"), "{flag}");
        assert_eq!(written(dir.path(), None)["patches"], json!([]));
    }

    #[test]
    fn a_file_that_the_tree_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tree = workspace::root().join("fixtures/bad-uptime-missing/proc");
        let error = write(dir.path(), &Images::new(), None, Some(&tree)).unwrap_err();
        assert!(format!("{error:#}").contains("bad-uptime-missing/proc/uptime"), "{error:#}");
    }
}
