//! Every version that the harness pins; a test compares each file that repeats one (`e2e/tests/contract/pins.rs`).

/// Prometheus: its image's tag and its release.
pub const PROMETHEUS: &str = "3.15.0";

/// Alertmanager: its image's tag and its release.
pub const ALERTMANAGER: &str = "0.35.0";

/// Grafana: its image's tag and its release.
pub const GRAFANA: &str = "13.2.3";

/// The build number that Grafana's tarballs carry in their names.
pub const GRAFANA_BUILD: &str = "36482603486";

/// kind: its release, which is also the oldest one that the pinned node image works with.
pub const KIND: &str = "0.33.0";

/// The node image that goes with that `kind`.
pub const KIND_NODE: &str =
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5";

/// kube-state-metrics: the tag of its image, which the cluster tier deploys.
pub const KUBE_STATE_METRICS: &str = "2.20.0";

/// kubectl's release: the version of the node image.
pub const KUBECTL: &str = "1.37.0";

/// The Debian suite whose packages replace what cannot be downloaded.
pub const DEBIAN_SUITE: &str = "trixie";
