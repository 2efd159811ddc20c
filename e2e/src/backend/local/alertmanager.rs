//! The local Alertmanager, which delivers to the lab's sink.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use fs_err as fs;
use serde_json::Value;

use super::on_a_free_port;
use crate::backend::Ports;
use crate::backend::sink::{Sink, delivering_to};
use crate::client::alertmanager::{Alertmanager, Delivery};
use crate::process::child::Process;
use crate::run::Run;
use crate::terminal::progress::Progress;

/// Its configuration in the run's directory.
pub const CONFIG: &str = "alertmanager.yml";

/// The Alertmanager's process, and the sink that it delivers to.
pub(super) struct Running {
    pub process: Process,
    _sink: Sink,
}

/// Starts Alertmanager and the sink, and waits until it is ready.
pub(super) fn start(
    program: &Path,
    config: &Value,
    ports: Ports,
    progress: &Progress,
    run: &Run,
) -> Result<(Running, Alertmanager)> {
    progress.step("start Alertmanager", |_| {
        let sink = Sink::start(Ipv4Addr::LOCALHOST.into(), run.dir().join("pages.log"))?;
        let config = delivering_to(Some(&format!("http://{}/", sink.address)), config);
        fs::write(run.dir().join(CONFIG), serde_json::to_vec_pretty(&config)?)?;
        let (process, address) = on_a_free_port(ports, 9093, progress, |port| {
            let args = [
                format!("--config.file={CONFIG}").into(),
                "--storage.path=alertmanager".into(),
                format!("--web.listen-address=127.0.0.1:{port}").into(),
                // No cluster: it would listen on every address.
                "--cluster.listen-address=".into(),
            ];
            let log = run.dir().join("alertmanager.log");
            Ok((Process::start("alertmanager", program, &args, &[], log)?, "Listening on"))
        })?;
        let alertmanager = Alertmanager::new(format!("http://{address}"), Delivery::Lab(sink.pages.clone()));
        process.wait_until("ready", Duration::from_secs(30), || alertmanager.ready().map(drop))?;
        Ok((Running { process, _sink: sink }, alertmanager))
    })
}
