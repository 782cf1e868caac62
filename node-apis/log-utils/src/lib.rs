//! For nodes that read the logs of others: parse, merge, filter and format log messages.
//!
//! A node gets log messages at an input from `dora/logs…`, from an output named by `send_logs_as`, or from a log file:
//!
//! ```no_run
//! # fn handle(data: &dora_arrow_codec::DoraArray) -> Result<(), dora_log_utils::ParseError> {
//! use dora_log_utils::{LogLevel, format_compact, level_of, parse_log_from_arrow};
//!
//! let message = parse_log_from_arrow(data)?;
//! if LogLevel::Warn.passes(level_of(&message)) {
//!     println!("{}", format_compact(&message)); // 2026-01-02T03:04:05.678Z camera WARN: lens is hot
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`LogMessage`] is the type that the daemon sends. What is read may be anything; it never panics here.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod format;
mod order;
mod parse;

pub use dora_protocol::log::{LogLevel, LogMessage, UnknownLevel};
pub use format::{format_compact, format_json, format_pretty};
pub use order::{filter_by_level, level_of, merge_by_timestamp};
pub use parse::{ParseError, parse_log, parse_log_from_arrow, plain_log};
