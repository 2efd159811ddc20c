//! Reading a procfs tree: paths, bounded reads, parsers.
//!
//! [`ProcRoot`] joins every path to the node's tree. Each file is a type that implements [`ProcFile`]: its path from the
//! root (sysfs is at `../sys`), and a pure function of its text. The formats are those of the kernel's document
//! `Documentation/filesystems/proc.rst` and of the manual page proc(5).

mod cpus;
mod error;
mod file;
mod hostname;
mod kernel_procfs;
mod loadavg;
mod number;
mod open_files;
mod process;
mod read;
mod root;
mod uptime;

pub use cpus::OnlineCpus;
pub use error::{ReadError, ReadErrorKind};
pub use file::ProcFile;
pub use hostname::Hostname;
pub use loadavg::LoadAverage;
pub use process::{ProcessStat, ignores_interrupts, open_fds};
pub use read::MAX_FILE_SIZE;
pub(crate) use read::{errno, read_file};
pub use root::ProcRoot;
pub use uptime::Uptime;

/// The files that the endpoints read, whatever collectors are enabled.
pub const NODE_FILES: [&str; 3] = [Hostname::PATH, LoadAverage::PATH, Uptime::PATH];
