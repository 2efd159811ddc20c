//! `lab images build`: what a cluster needs, made here.

use anyhow::Result;
use e2e::backend::kind::{airgap, images};
use e2e::docker::Docker;
use e2e::terminal::exit::Exit;
use e2e::terminal::out;
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::workspace;

pub fn build(airgapped: bool, progress: &Progress) -> Result<Exit> {
    workspace::expect_checkout("an image of the exporter")?;
    interrupt::listen()?;
    let docker = Docker::find("docker")?;
    // First, for it knows at once whether this engine will do.
    if airgapped {
        for (image, reference) in airgap::ensure(&docker, &airgap::BUILT, progress)? {
            out::line(&format!("{:<12} {reference}", image.name()))?;
        }
    }
    out::line(&format!("exporter     {}", images::build_exporter(&docker, progress)?))?;
    Ok(Exit::Ok)
}
