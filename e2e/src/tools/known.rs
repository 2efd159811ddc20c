//! What the harness knows of each tool: one line a fact.

use super::version::Version;
use crate::tools::pins;

/// A program that the harness runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The Prometheus server.
    Prometheus,
    /// Prometheus' checker of configurations and rules.
    Promtool,
    /// Alertmanager, which sends Prometheus' alerts to people.
    Alertmanager,
    /// Grafana.
    Grafana,
    /// Kubernetes in Docker.
    Kind,
    /// Kubernetes' client, with kustomize 5 inside.
    Kubectl,
}

impl Tool {
    /// The program's file name.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Its name as people write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
            Self::Grafana => "Grafana",
            Self::Promtool | Self::Kind | Self::Kubectl => self.name(),
        }
    }

    /// The file names under which it may be on `PATH`.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus => &["prometheus"],
            Self::Promtool => &["promtool"],
            // The second is Debian's.
            Self::Alertmanager => &["alertmanager", "prometheus-alertmanager"],
            Self::Grafana => &["grafana", "grafana-server"],
            Self::Kind => &["kind"],
            Self::Kubectl => &["kubectl"],
        }
    }

    /// The arguments that print its version.
    pub fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus | Self::Promtool | Self::Alertmanager => &["--version"],
            // The one spelling that both `grafana` and the older `grafana-server` know.
            Self::Grafana => &["-v"],
            Self::Kind => &["version"],
            Self::Kubectl => &["version", "--client"],
        }
    }

    /// The oldest version that works.
    pub fn minimum(self) -> Version {
        match self {
            Self::Prometheus | Self::Promtool => Version(2, 42, 0),
            Self::Alertmanager => Version(0, 25, 0),
            Self::Grafana => Version(9, 0, 0),
            Self::Kind => Version(0, 20, 0),
            // The first with kustomize 5, whose components and patches the manifests use.
            Self::Kubectl => Version(1, 27, 0),
        }
    }

    /// A configuration that the program must accept in `check config`, where its version does not show what it can do.
    pub(super) fn must_accept(self) -> Option<&'static str> {
        // Debian 12 builds its Prometheus without Kubernetes discovery, which the manifests' configuration uses.
        let pods = "scrape_configs: [{ job_name: pods, kubernetes_sd_configs: [{ role: pod }] }]";
        (self == Self::Promtool).then_some(pods)
    }

    /// The name of its folders in the cache. A release of Prometheus holds both of its programs.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Prometheus | Self::Promtool => Self::Prometheus.name(),
            Self::Alertmanager | Self::Grafana | Self::Kind | Self::Kubectl => self.name(),
        }
    }

    /// The Debian package that holds it.
    pub fn debian_package(self) -> Option<&'static str> {
        match self {
            Self::Alertmanager => Some("prometheus-alertmanager"),
            Self::Grafana => None,
            Self::Prometheus | Self::Promtool | Self::Kind | Self::Kubectl => Some(self.name()),
        }
    }

    /// The file of its official release for an operating system and an architecture, as Go names them.
    pub(super) fn release(self, (os, arch): (&str, &str)) -> Release {
        let version = match self {
            Self::Prometheus | Self::Promtool => pins::PROMETHEUS.to_owned(),
            Self::Alertmanager => pins::ALERTMANAGER.to_owned(),
            Self::Grafana => pins::GRAFANA.to_owned(),
            Self::Kind => pins::KIND.to_owned(),
            Self::Kubectl => pins::KUBECTL.to_owned(),
        };
        let (url, sums, program) = match self {
            Self::Grafana => {
                let file = format!("grafana_{version}_{}_{os}_{arch}.tar.gz", pins::GRAFANA_BUILD);
                let url = format!("https://dl.grafana.com/grafana/release/{version}/{file}");
                (url.clone(), format!("{url}.sha256"), Some("bin/grafana"))
            }
            Self::Kind => {
                let base = "https://github.com/kubernetes-sigs/kind/releases/download";
                let url = format!("{base}/v{version}/kind-{os}-{arch}");
                (url.clone(), format!("{url}.sha256sum"), None)
            }
            Self::Kubectl => {
                let url = format!("https://dl.k8s.io/release/v{version}/bin/{os}/{arch}/kubectl");
                (url.clone(), format!("{url}.sha256"), None)
            }
            Self::Prometheus | Self::Promtool | Self::Alertmanager => {
                let project = self.folder();
                let base = format!("https://github.com/prometheus/{project}/releases/download/v{version}");
                let url = format!("{base}/{project}-{version}.{os}-{arch}.tar.gz");
                (url, format!("{base}/sha256sums.txt"), Some(self.name()))
            }
        };
        Release { version, url, sums, program }
    }

    /// What a person can do to get it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Prometheus => "unpack a release of Prometheus and pass `--prometheus FILE`, or put it on PATH",
            Self::Promtool => "put the promtool of a Prometheus release on PATH",
            Self::Alertmanager => {
                "unpack a release of Alertmanager and pass `--alertmanager FILE`, put it on PATH, or use `--without alertmanager`"
            }
            Self::Grafana => {
                "unpack a release of Grafana and pass `--grafana-home DIR`, put `grafana` on PATH, or use `--without grafana`"
            }
            Self::Kind => {
                "install it with `go install sigs.k8s.io/kind@latest`, or name a node image for an older one with `--image node=REF`"
            }
            Self::Kubectl => "install it from your system's packages",
        }
    }
}

/// A file of an official release.
pub(super) struct Release {
    pub version: String,
    /// The file's address.
    pub url: String,
    /// The address of the file that holds its SHA-256.
    pub sums: String,
    /// The program's path below the archive's one top folder; `None` where the file is the program itself.
    pub program: Option<&'static str>,
}
