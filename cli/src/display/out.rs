//! Answers on stdout.
//!
//! Who reads them may go away early (`| head`); that is no error. Everything else that keeps an answer from arriving is.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::{CliError, CliResult};

/// Writes `text` as it is.
///
/// # Errors
/// When stdout cannot be written to, unless its reader has gone.
pub(crate) fn print(text: &str) -> CliResult {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new("failed to write to stdout").caused_by(&error))
        }
        _ => Ok(()),
    }
}

/// One JSON value per line.
///
/// # Errors
/// As [`print`].
pub(crate) fn json_lines<T: Serialize>(values: &[T]) -> CliResult {
    let lines: Result<Vec<String>, _> =
        values.iter().map(|value| serde_json::to_string(value).map(|text| text + "\n")).collect();
    print(&lines.map_err(|error| no_json(&error))?.concat())
}

/// One JSON value on as many lines as it takes to read it well.
///
/// # Errors
/// As [`print`].
pub(crate) fn json_document(value: &impl Serialize) -> CliResult {
    print(&(serde_json::to_string_pretty(value).map_err(|error| no_json(&error))? + "\n"))
}

fn no_json(error: &serde_json::Error) -> CliError {
    CliError::new("failed to write the answer as JSON").caused_by(error)
}
