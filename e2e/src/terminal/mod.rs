//! What is written, and where: results to standard output, everything else to standard error.

pub mod exit;
pub mod live;
pub mod out;
pub mod progress;
pub mod report;
