//! The images of a cluster: what each is called, where it comes from, and how another is used instead.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail};
use fs_err as fs;

use super::airgap;
use crate::docker::Docker;
use crate::process::command::Cmd;
use crate::terminal::progress::Progress;
use crate::tools::digest::sha256;
use crate::tools::pins;
use crate::workspace;
use crate::workspace::exporter;

/// An image that a cluster needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// The exporter.
    Exporter,
    /// Prometheus.
    Prometheus,
    /// Alertmanager.
    Alertmanager,
    /// Grafana.
    Grafana,
    /// kube-state-metrics, which only a test deploys.
    KubeStateMetrics,
    /// The nodes.
    Node,
}

/// An image to use instead of ours: `grafana=REF`.
#[derive(Clone, Debug)]
pub struct Override {
    image: Image,
    reference: String,
}

/// The reference of each image that a cluster gets. Of a part that it does not get there is none.
pub type Images = BTreeMap<Image, String>;

const ALL: [(Image, &str); 6] = [
    (Image::Exporter, "exporter"),
    (Image::Prometheus, "prometheus"),
    (Image::Alertmanager, "alertmanager"),
    (Image::Grafana, "grafana"),
    (Image::KubeStateMetrics, "kube-state-metrics"),
    (Image::Node, "node"),
];

impl Image {
    /// The name that the shipped manifests call it by, which kustomize replaces; `None` for an image that they do not use.
    pub fn in_manifests(self) -> Option<&'static str> {
        match self {
            Self::Exporter => Some("ghcr.io/mini-node-exporter/mini-node-exporter"),
            Self::Prometheus => Some("prom/prometheus"),
            Self::Alertmanager => Some("prom/alertmanager"),
            Self::Grafana => Some("grafana/grafana"),
            Self::KubeStateMetrics | Self::Node => None,
        }
    }

    /// Its name in flags and reports.
    pub fn name(self) -> &'static str {
        ALL.into_iter().find(|(image, _)| *image == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Override {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || ALL.map(|(_, name)| name).join(", ");
        let (name, reference) =
            text.split_once('=').with_context(|| format!("not of the form NAME=REF, with NAME one of {}", names()))?;
        let Some((image, _)) = ALL.into_iter().find(|(_, known)| *known == name) else {
            bail!("unknown image `{name}`; expected {}", names());
        };
        Ok(Self { image, reference: reference.to_owned() })
    }
}

/// The image that was named: by the last override, else by the environment, such as `LAB_IMAGE_GRAFANA`.
pub fn chosen(image: Image, overrides: &[Override]) -> Option<String> {
    let last = overrides.iter().rev().find(|choice| choice.image == image).map(|choice| choice.reference.clone());
    let variable = || std::env::var(format!("LAB_IMAGE_{}", image.name().to_uppercase().replace('-', "_"))).ok();
    last.or_else(variable).filter(|reference| !reference.is_empty())
}

/// Ensures that the engine has the wanted images; returns their references.
pub fn ensure(
    docker: &Docker,
    wanted: &[Image],
    overrides: &[Override],
    airgapped: bool,
    progress: &Progress,
) -> Result<Images> {
    let mut images = Images::new();
    let ours = |image: &Image| airgapped && wanted.contains(image) && chosen(*image, overrides).is_none();
    let packaged: Vec<Image> = airgap::BUILT.into_iter().filter(ours).collect();
    let built = if packaged.is_empty() { Images::new() } else { airgap::ensure(docker, &packaged, progress)? };
    for &image in wanted {
        let name = image.name();
        let reference = match (chosen(image, overrides), image) {
            (Some(reference), _) => reference,
            (None, Image::Exporter) => build_exporter(docker, progress)?,
            (None, _) => built.get(&image).cloned().unwrap_or_else(|| pinned(image)),
        };
        if !docker.has_image(&reference) {
            progress
                .step(&format!("pull the image of {name}"), |_| docker.pull(&reference))
                .map_err(|error| anyhow!("{error:#}; {}", instead_of(image)))?;
        }
        images.insert(image, loadable(docker, image, reference)?);
    }
    Ok(images)
}

/// What to do about an image that cannot be pulled.
fn instead_of(image: Image) -> String {
    let name = image.name();
    match image {
        Image::Exporter => format!("without `--image {name}=…` the workspace's own is built"),
        Image::Alertmanager | Image::Grafana => {
            format!("use another with `--image {name}=REF`, or none with `--without {name}`")
        }
        Image::KubeStateMetrics => format!("use another with `--image {name}=REF`"),
        Image::Prometheus | Image::Node => {
            format!("use another with `--image {name}=REF`, or one that needs no registry with `--airgap`")
        }
    }
}

/// Builds the exporter's image around the static binary. Its tag is a digest of what is inside, so that the same
/// content is built once.
pub fn build_exporter(engine: &Docker, progress: &Progress) -> Result<String> {
    let binary = progress.step("build the static exporter", exporter::static_binary)?;
    let reference = format!("mini-node-exporter:{}", content_key(&binary)?);
    if !engine.has_image(&reference) {
        progress.step("build the exporter's image", |_| {
            let (version, revision) = says(&binary)?;
            engine.build(workspace::root(), &reference, &[("VERSION", &version), ("REVISION", &revision)])
        })?;
    }
    Ok(reference)
}

/// A digest of what an image around this binary is made of.
fn content_key(binary: &Path) -> Result<String> {
    let mut content = fs::read(binary)?;
    content.extend(fs::read(workspace::root().join("Dockerfile"))?);
    // It goes into the image too: a binary that only its builder may run gives an image that nobody can start.
    content.extend(fs::metadata(binary)?.permissions().mode().to_be_bytes());
    Ok(sha256(&content)[..12].to_owned())
}

/// The version and the revision that an exporter's binary says of itself, for the image's labels.
pub fn says(binary: &Path) -> Result<(String, String)> {
    let said = Cmd::new(binary).arg("--version").read()?;
    let parts = said.strip_prefix("mini-node-exporter ").and_then(|rest| rest.split_once(" (revision "));
    let (version, rest) = parts.with_context(|| format!("{} says `{said}`", binary.display()))?;
    Ok((version.to_owned(), rest.split(',').next().unwrap_or_default().to_owned()))
}

fn pinned(image: Image) -> String {
    match image {
        Image::Exporter => "mini-node-exporter".into(),
        Image::Prometheus => format!("prom/prometheus:v{}", pins::PROMETHEUS),
        Image::Alertmanager => format!("prom/alertmanager:v{}", pins::ALERTMANAGER),
        Image::Grafana => format!("grafana/grafana:{}", pins::GRAFANA),
        Image::KubeStateMetrics => {
            format!("registry.k8s.io/kube-state-metrics/kube-state-metrics:v{}", pins::KUBE_STATE_METRICS)
        }
        Image::Node => pins::KIND_NODE.into(),
    }
}

/// A digest does not survive `kind load`, so what goes through an archive gets a tag made of it.
fn loadable(docker: &Docker, image: Image, reference: String) -> Result<String> {
    match (image, reference.rsplit_once("@sha256:")) {
        (Image::Node, _) | (_, None) => Ok(reference),
        (_, Some((_, digest))) => {
            let tagged = format!("mini-node-exporter/lab-{}:{}", image.name(), digest.get(..12).unwrap_or(digest));
            docker.tag(&reference, &tagged)?;
            Ok(tagged)
        }
    }
}

/// A reference's name and tag, as kustomize's `images:` wants them.
pub fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_the_tag() {
        assert_eq!(split("prom/prometheus:v3"), ("prom/prometheus", "v3"));
        assert_eq!(split("host:5000/grafana"), ("host:5000/grafana", "latest"));
    }

    /// An image of a binary that nobody but its builder may run is another one, which a right one does not get for its
    /// own.
    #[test]
    fn the_content_key_follows_the_binarys_bytes_and_mode() {
        let binary = tempfile::NamedTempFile::new().unwrap();
        let key = |bytes: &str, mode: u32| {
            fs::write(&binary, bytes).unwrap();
            fs::set_permissions(&binary, std::fs::Permissions::from_mode(mode)).unwrap();
            content_key(binary.path()).unwrap()
        };
        let right = key("a", 0o755);
        assert_eq!(right, key("a", 0o755));
        assert!(right != key("a", 0o700) && right != key("b", 0o755));
        assert_eq!(right.len(), 12);
    }

    #[test]
    fn an_override_names_a_known_image() {
        assert_eq!("grafana=mine:1".parse::<Override>().unwrap().reference, "mine:1");
        let unknown = "graphana=mine:1".parse::<Override>().unwrap_err().to_string();
        assert_eq!(
            unknown,
            "unknown image `graphana`; expected exporter, prometheus, alertmanager, grafana, kube-state-metrics, node"
        );
    }
}
