//! SHA-256 in hexadecimal.

use std::fmt::Write as _;

use ring::digest::{Digest, SHA256, digest};

/// The digest of some bytes, as 64 lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&digest(&SHA256, bytes))
}

pub(super) fn hexadecimal(digest: &Digest) -> String {
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
