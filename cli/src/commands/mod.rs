//! One file per command, and what they share: reading the descriptor and saying what is not there yet.

pub(crate) mod build;
pub(crate) mod clean;
pub(crate) mod completion;
pub(crate) mod coordinator;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod expand;
pub(crate) mod graph;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod new;
pub(crate) mod node;
pub(crate) mod oneself;
pub(crate) mod param;
pub(crate) mod prove;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod runtime;
mod select;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
mod timing;
pub(crate) mod top;
pub(crate) mod up;
pub(crate) mod validate;

use std::path::Path;

use dora_descriptor::Loaded;

use crate::error::{CliError, CliResult};

/// Reads, checks and resolves the descriptor at `path`. `env` are the `--env` values: between the dataflow's
/// `env:` and that of a node.
///
/// # Errors
/// Everything that is wrong with the file, each with its position.
fn load(path: &Path, env: &[(String, String)]) -> CliResult<Loaded> {
    dora_descriptor::load(path, env).map_err(|errors| CliError::from_error(&errors))
}

/// Like [`load`], for commands that do something with the dataflow: shows its warnings on stderr.
///
/// # Errors
/// As [`load`], and when the dataflow needs something that this version cannot do.
fn load_to_use(path: &Path, env: &[(String, String)]) -> CliResult<Loaded> {
    usable(load(path, env)?)
}

/// Shows the warnings of a descriptor on stderr.
///
/// # Errors
/// When the dataflow needs something that this version cannot do.
fn usable(loaded: Loaded) -> CliResult<Loaded> {
    for warning in loaded.warnings.iter().chain(&loaded.type_warnings) {
        eprintln!("warning: {warning}");
    }
    let (fatal, other): (Vec<_>, Vec<_>) = loaded.not_yet.iter().partition(|entry| entry.fatal);
    for entry in other {
        eprintln!("warning: not yet supported: {entry}");
    }
    if fatal.is_empty() {
        return Ok(loaded);
    }
    let lines: Vec<String> = fatal.iter().map(|entry| format!("\n  {entry}")).collect();
    Err(CliError::new(format!("the dataflow needs what is not yet supported:{}", lines.concat())))
}

/// One line for all flags that were given and do nothing yet: accepted, never ignored in silence.
fn warn_not_yet(flags: &[&str]) {
    if !flags.is_empty() {
        eprintln!("warning: not yet supported, and without effect: {}", flags.join(", "));
    }
}
