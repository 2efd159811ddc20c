//! A program of somebody else that the lab starts, and the wait until it answers.

use std::ffi::OsString;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::process::child::Process;
use crate::run::Run;
use crate::workspace::description::{CommandLine, Endpoint};

/// How long it may take until it answers.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts a program, and waits until it accepts connections at its target's address. Its log gets this name.
pub(super) fn start(command: &CommandLine, target: &Endpoint, run: &Run, log: &str) -> Result<Process> {
    let address = &target.address;
    ensure!(
        connect(address).is_err(),
        "another program answers at {address} already: stop it, or scrape it without `--command`"
    );
    let args: Vec<OsString> = command.args.iter().map(Into::into).collect();
    let log = run.dir().join(log);
    let process = Process::start_in(&command.dir, "command", &command.program, &args, &[], log)?;
    process.wait_until(&format!("answering at {address}"), LIMIT, || connect(address))?;
    Ok(process)
}

fn connect(address: &str) -> Result<()> {
    let mut last = anyhow!("{address}: it has no address");
    for socket in address.to_socket_addrs().with_context(|| address.to_owned())? {
        match TcpStream::connect_timeout(&socket, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(error) => last = anyhow!("{socket}: {error}"),
        }
    }
    Err(last)
}
