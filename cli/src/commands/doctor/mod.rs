//! `dora doctor`: is this machine as dora needs it?
//!
//! ```text
//!   without --rt   local: what `dora run` needs         PASS | WARN | FAIL  check: detail
//!                  control: coordinator and daemons
//!   with --rt      rt: checks and a measurement ─► text or json, or a script with the fixes
//! ```
//!
//! Nothing is changed, whatever the flags. Exit code 1 when something is bad, also beside a complete answer on stdout.

mod control;
mod json;
mod local;
mod rt;
mod text;

use std::io::{self, Write};

use crate::{
    args::DoctorArgs,
    error::{CliError, CliResult},
};

/// `dora doctor`
pub(crate) fn run(args: &DoctorArgs) -> CliResult {
    if args.rt { rt::run(args) } else { local::run(args) }
}

/// The answer, alone on stdout.
fn answer(text: &str) -> CliResult {
    let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    written.map_err(|error| CliError::new("failed to write to stdout").caused_by(&error))
}
