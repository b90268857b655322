//! `tokenward local`.

use super::Failure;
use crate::settings::{CommonArgs, LocalArgs};

pub(super) fn run(_common: &CommonArgs, _args: &LocalArgs) -> Result<(), Failure> {
    Err(Failure::Failed("not yet".to_owned()))
}
