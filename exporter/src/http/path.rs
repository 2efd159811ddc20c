//! The paths of the endpoints, and validation of `--web.telemetry-path`.

use std::str::FromStr;

pub(super) const LANDING: &str = "/";
pub(super) const HOSTNAME: &str = "/info/hostname";
pub(super) const UPTIME: &str = "/info/uptime";
pub(super) const LOAD: &str = "/info/load";
pub(super) const LIVE: &str = "/healthz/live";
pub(super) const READY: &str = "/healthz/ready";

const PATH_SHAPE: &str = "expected `/` and segments of letters, digits, `-`, `_` and `.`, such as `/metrics`";

const FIXED: [&str; 6] = [LANDING, HOSTNAME, UPTIME, LOAD, LIVE, READY];

/// Returns whether a path is about health alone.
pub(super) fn is_health(path: &str) -> bool {
    [LIVE, READY].contains(&path)
}

/// Where the exposition is: `/` and segments of letters, digits, `-`, `_`, `.`, and no other endpoint's path. The
/// router would panic on an overlap, and take other letters for a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPath(String);

impl TelemetryPath {
    /// The default path.
    pub const DEFAULT: &str = "/metrics";

    /// The path as it stands in a request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TelemetryPath {
    fn default() -> Self {
        Self(Self::DEFAULT.to_string())
    }
}

impl FromStr for TelemetryPath {
    type Err = &'static str;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        if FIXED.contains(&path) {
            return Err("another endpoint already has this path");
        }
        for segment in path.strip_prefix('/').ok_or(PATH_SHAPE)?.split('/') {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if segment.is_empty() || !segment.bytes().all(allowed) {
                return Err(PATH_SHAPE);
            }
            if matches!(segment, "." | "..") {
                // Clients resolve these themselves.
                return Err("path segments `.` and `..` are not allowed");
            }
        }
        Ok(Self(path.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_plain_letters_are_a_path() {
        for path in ["/metrics", "/m", "/node/v1.0/metrics_all-2", "/info", "/healthz", "/info/load/more", "/..."] {
            assert_eq!(path.parse().as_ref().map(TelemetryPath::as_str), Ok(path));
        }
    }

    #[test]
    fn patterns_empty_segments_and_other_endpoints_are_not() {
        for path in ["", "metrics", "//", "/metrics/", "/a//b", "/{x}", "/*rest", "/:x", "/a b", "/a?b", "/%41", "/ä"]
        {
            assert_eq!(path.parse::<TelemetryPath>(), Err(PATH_SHAPE), "{path:?}");
        }
        for path in FIXED {
            assert!(path.parse::<TelemetryPath>().is_err(), "{path:?}");
        }
        assert!("/a/../b".parse::<TelemetryPath>().is_err());
    }
}
