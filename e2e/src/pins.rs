//! Every version that the harness pins, in one place; the manifests' image tags are compared with these by a test.

/// Prometheus: its image's tag and its release tarball.
pub const PROMETHEUS: &str = "3.15.0";

/// Grafana: its image's tag and its release tarball.
pub const GRAFANA: &str = "13.0.2";

/// The build number that Grafana's tarballs carry in their names.
pub const GRAFANA_BUILD: &str = "26816849631";

/// The Debian suite whose packages stand in for what cannot be downloaded.
pub const DEBIAN_SUITE: &str = "trixie";
