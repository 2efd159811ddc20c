//! Every version that the harness pins, in one place; the manifests' image tags are compared with these by a test.

use super::version::Version;

/// Prometheus: its image's tag and its release.
pub const PROMETHEUS: &str = "3.15.0";

/// Grafana: its image's tag and its release.
pub const GRAFANA: &str = "13.0.2";

/// The build number that Grafana's tarballs carry in their names.
pub const GRAFANA_BUILD: &str = "26816849631";

/// kind: its release, which is also the oldest one that the pinned node image works with.
pub const KIND: Version = Version(0, 32, 0);

/// The node image that goes with that `kind`.
pub const KIND_NODE: &str =
    "kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5";

/// kubectl's release: the version of the node image.
pub const KUBECTL: &str = "1.36.1";

/// The Debian suite whose packages replace what cannot be downloaded.
pub const DEBIAN_SUITE: &str = "trixie";
