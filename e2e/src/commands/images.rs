//! `lab images build`: makes the images that a cluster needs.

use anyhow::Result;

use crate::kind::docker::Docker;
use crate::kind::{airgap, images};
use crate::progress::Progress;
use crate::{interrupt, out};

pub(super) fn build(airgapped: bool) -> Result<u8> {
    interrupt::listen()?;
    let progress = Progress::default();
    let docker = Docker::find()?;
    out::line(&format!("exporter    {}", images::build_exporter(&docker, &progress)?))?;
    if airgapped {
        for (image, reference) in airgap::ensure(&docker, &airgap::HERE, &progress)? {
            out::line(&format!("{:<11} {reference}", image.name()))?;
        }
    }
    Ok(0)
}
