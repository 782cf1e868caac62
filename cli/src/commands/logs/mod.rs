//! `dora logs`: what nodes printed, from the files here or through a coordinator.
//!
//! ```text
//!   out/<uuid>/log_*.jsonl ──┐
//!                            ├─► merge ─► time ─► level, grep ─► tail ─► display
//!   coordinator ─────────────┘     then, with --follow, what comes
//! ```
//!
//! Logs go to stdout, remarks to stderr. Who reads stdout may go away (`| head`): that ends the command, not with an error.

mod entry;
mod files;
mod local;
mod pick;
mod remote;

use std::io::{self, BufWriter, Write};

use chrono::{Local, Utc};
use dora_protocol::log::LogLevel;

pub(crate) use self::entry::Entry;
use self::pick::Filter;
use crate::{
    args::LogsArgs,
    display::{
        colors_allowed,
        logs::{LogFilter, LogFormat, LogPrinter, NodeLevels},
    },
    error::{CliError, CliResult},
};

/// `dora logs`
pub(crate) fn run(args: &LogsArgs) -> CliResult {
    let filter = Filter::new(args, Utc::now());
    if args.local { local::run(args, &filter) } else { remote::run(args, &filter) }
}

/// Where lines are shown.
pub(crate) struct Screen {
    out: BufWriter<io::Stdout>,
    printer: LogPrinter<Local>,
}

impl Screen {
    /// Everything that is shown passes: what was asked for was picked before.
    pub(crate) fn new(format: LogFormat) -> Self {
        let filter = LogFilter { default: LogLevel::Stdout, nodes: NodeLevels::default() };
        let colors = colors_allowed(&io::stdout());
        Self {
            out: BufWriter::new(io::stdout()),
            printer: LogPrinter { format, filter, colors, zone: Local },
        }
    }

    /// Shows one line.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    pub(crate) fn show(&mut self, entry: &Entry) -> Result<(), Gone> {
        let text = self.printer.message(entry.level, &entry.message).unwrap_or_default();
        self.out.write_all(text.as_bytes()).map_err(Gone)
    }

    /// Brings what was shown to the eye.
    ///
    /// # Errors
    /// As [`Screen::show`].
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        self.out.flush().map_err(Gone)
    }

    fn show_all(&mut self, entries: impl Iterator<Item = Entry>) -> Result<(), Gone> {
        for entry in entries {
            self.show(&entry)?;
        }
        self.flush()
    }
}

/// stdout cannot be written to.
#[derive(Debug)]
pub(crate) struct Gone(io::Error);

impl Gone {
    /// A reader who has seen enough is no error.
    pub(crate) fn into_result(self) -> CliResult {
        match self.0.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(CliError::new("failed to write to stdout").caused_by(&self.0)),
        }
    }
}
