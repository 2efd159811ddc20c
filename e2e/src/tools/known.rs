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

    /// The file names under which it may be on `PATH`.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus => &["prometheus"],
            Self::Promtool => &["promtool"],
            Self::Grafana => &["grafana", "grafana-server"],
            Self::Kind => &["kind"],
            Self::Kubectl => &["kubectl"],
        }
    }

    /// The arguments that make it say its version.
    pub fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus | Self::Promtool => &["--version"],
            // The one spelling that both `grafana` and the older `grafana-server` know.
            Self::Grafana => &["-v"],
            Self::Kind => &["version"],
            Self::Kubectl => &["version", "--client"],
        }
    }

    /// The oldest version that will do.
    pub fn minimum(self) -> Version {
        match self {
            Self::Prometheus | Self::Promtool => Version(2, 42, 0),
            Self::Grafana => Version(9, 0, 0),
            Self::Kind => Version(0, 20, 0),
            // The first with kustomize 5, whose components and patches the manifests use.
            Self::Kubectl => Version(1, 27, 0),
        }
    }

    /// The Debian package that holds it.
    pub fn debian_package(self) -> Option<&'static str> {
        match self {
            Self::Grafana => None,
            other => Some(other.name()),
        }
    }

    /// The release tarball: its address without the platform, and the program's place inside.
    pub(super) fn tarball(self) -> Option<Tarball> {
        match self {
            Self::Prometheus | Self::Promtool => {
                let version = pins::PROMETHEUS;
                Some(Tarball {
                    base: format!("https://github.com/prometheus/prometheus/releases/download/v{version}"),
                    file: |platform| format!("prometheus-{}.{}.tar.gz", pins::PROMETHEUS, platform.replace('_', "-")),
                    sums: |_| "sha256sums.txt".into(),
                    program: self.name(),
                })
            }
            Self::Grafana => Some(Tarball {
                base: format!("https://dl.grafana.com/grafana/release/{}", pins::GRAFANA),
                file: |platform| format!("grafana_{}_{}_{platform}.tar.gz", pins::GRAFANA, pins::GRAFANA_BUILD),
                sums: |file| format!("{file}.sha256"),
                program: "bin/grafana",
            }),
            // Both are one bare binary a release, and their packages are a minute newer or older: not worth a path.
            Self::Kind | Self::Kubectl => None,
        }
    }

    /// What a person can do to get it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Prometheus => "unpack a release of Prometheus and pass `--prometheus FILE`, or put it on PATH",
            Self::Promtool => "put the promtool of a Prometheus release on PATH",
            Self::Grafana => {
                "unpack a release of Grafana and pass `--grafana-home DIR`, put `grafana` on PATH, or leave it out with `--without grafana`"
            }
            Self::Kind => "get it with `go install sigs.k8s.io/kind@latest` or from your system's packages",
            Self::Kubectl => "get it from your system's packages",
        }
    }
}

/// A release tarball.
pub(super) struct Tarball {
    /// The folder that holds it.
    pub base: String,
    /// Its name, for a platform such as `linux_amd64`.
    pub file: fn(&str) -> String,
    /// The name of the file with its SHA-256.
    pub sums: fn(&str) -> String,
    /// The program's path below the tarball's one top folder.
    pub program: &'static str,
}
