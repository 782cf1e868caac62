//! `dora runtime`: the process of a node with `operators:`. Hidden, because a dataflow starts it.

use crate::error::{CliError, CliResult};

/// Hosts operators until the dataflow ends.
///
/// # Errors
/// An operator that cannot be loaded, or has failed.
pub(crate) fn run() -> CliResult<()> {
    dora_runtime::run_from_env().map_err(|error| CliError::new(error.to_string()))
}
