//! How the exporter ends. As process 1 of its container it gets no default action from the kernel: a signal that it
//! does not handle is ignored, and the engine kills it after its grace.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use e2e::docker::docker;
use e2e::wait::poll::{self, Attempt};
use testcontainers::ImageExt as _;
use testcontainers::core::WaitFor;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::runners::SyncRunner as _;

use crate::running::{PORT, Running};
use crate::site::Site;

/// How long the exporter may take when no request is being answered.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The engine's grace period: longer than the exporter's own limit, so that a late exit is seen as late.
const GRACE: i32 = 5;

/// What `docker stop` and the kubelet do: SIGTERM, and SIGKILL after a while.
pub fn within_1_s_of_a_stop_with_0(site: &mut Site) -> Result<()> {
    ends("SIGTERM", site, |running| Ok(running.container().stop_with_timeout(Some(GRACE))?))
}

/// What Ctrl-C at a `docker run` does.
pub fn within_1_s_of_an_interrupt_with_0(site: &mut Site) -> Result<()> {
    ends("SIGINT", site, |running| {
        docker(["kill", "--signal", "INT", running.id()]).run()?;
        Ok(())
    })
}

fn ends(signal: &str, site: &Site, send: impl FnOnce(&Running) -> Result<()>) -> Result<()> {
    let running = Running::start(site.exporter())?;
    let idle = TcpStream::connect(running.socket(PORT))?;
    let mut half_sent = TcpStream::connect(running.socket(PORT))?;
    half_sent.write_all(b"GET /metrics HTTP/1.1\r\nHost: te")?;
    let asked = SystemTime::now();
    send(&running)?;
    let limit = Duration::from_secs(10);
    let state = poll::until("the container's end", limit, Duration::from_millis(50), || match running.inspect() {
        Ok(inspected) if inspected["State"]["Running"] == false => Attempt::Ready(inspected["State"].clone()),
        Ok(inspected) => Attempt::NotYet(format!("it is {}", inspected["State"]["Status"])),
        Err(error) => Attempt::Failed(error),
    })?;
    drop((idle, half_sent));
    // The engine's own timestamp: the tools around it take time too.
    let finished = state["FinishedAt"].as_str().context("the engine does not say when it ended")?;
    let took = humantime::parse_rfc3339(finished)
        .with_context(|| format!("FinishedAt is `{finished}`"))?
        .duration_since(asked)
        .context("it ended before it was asked to")?;
    ensure!(state["ExitCode"] == 0, "after {signal} it ended with {}, not 0, after {took:?}", state["ExitCode"]);
    ensure!(took <= AT_ONCE, "after {signal} it took {took:?}, with an idle and a half-sent connection");
    eprintln!("ok   ended {} ms after {signal} was sent", took.as_millis());
    Ok(())
}

pub fn with_2_on_a_bad_command_line(site: &mut Site) -> Result<()> {
    for (flag, named) in [
        ("--no-such-flag", vec!["--no-such-flag"]),
        ("--web.max-requests=many", vec!["--web.max-requests", "many"]),
        ("--web.listen-address=exporter.example:23333", vec!["--web.listen-address", "exporter.example:23333"]),
    ] {
        let request = site.exporter().with_cmd([flag]);
        let container =
            request.with_ready_conditions(vec![WaitFor::exit(ExitWaitStrategy::new())]).start().context("no end")?;
        let stderr = String::from_utf8_lossy(&container.stderr_to_vec()?).into_owned();
        let code = container.exit_code()?;
        ensure!(code == Some(2), "`{flag}` ends it with {code:?}, not 2: {stderr}");
        let first = stderr.lines().next().unwrap_or_default();
        ensure!(named.iter().all(|word| first.contains(word)), "`{flag}`: the first line does not name it: {stderr}");
    }
    Ok(())
}
