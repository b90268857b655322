//! `tokenward crds`.

use super::{Failure, print};
use crate::api::crds;

pub(super) fn run() -> Result<(), Failure> {
    for crd in crds() {
        let text =
            serde_yaml::to_string(&crd).map_err(|error| Failure::Failed(error.to_string()))?;
        print(&format!("---\n{text}"))?;
    }
    Ok(())
}
