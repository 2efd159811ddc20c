//! What this program was built from: cargo knows the version, `build.rs` finds the rest.

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git commit, twelve digits, or what the build named instead, or `unknown`.
pub const REVISION: &str = env!("MNE_REVISION");
/// The compiler's version, e.g. `1.90.0`, or `unknown`.
pub const RUSTC: &str = env!("MNE_RUSTC");
/// The three in one line, as `--version` prints them.
pub const LONG_VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("MNE_REVISION"), ", rustc ", env!("MNE_RUSTC"), ")");
