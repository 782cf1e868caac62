//! Log levels and the one-line JSON form of a log message.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Verbosity order: `stdout` > `trace` > `debug` > `info` > `warn` > `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// What a user wants to see.
    Info,
    /// What a developer wants to see.
    Debug,
    /// Everything a developer may want to see.
    Trace,
    /// A line that a node just printed.
    Stdout,
}

impl LogLevel {
    /// Does a filter set to `self` let a message of `level` through?
    pub fn passes(self, level: LogLevel) -> bool {
        level <= self
    }

    /// Lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
            LogLevel::Stdout => "stdout",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a log level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a log level; use one of error, warn, info, debug, trace, stdout")]
pub struct UnknownLevel(pub String);

impl FromStr for LogLevel {
    type Err = UnknownLevel;
    fn from_str(s: &str) -> Result<Self, UnknownLevel> {
        Ok(match s.to_ascii_lowercase().as_str() {
            "error" => LogLevel::Error,
            "warn" | "warning" => LogLevel::Warn,
            "info" => LogLevel::Info,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            "stdout" => LogLevel::Stdout,
            _ => return Err(UnknownLevel(s.to_owned())),
        })
    }
}

/// Logger of the lines that dora itself writes into the log of a node.
pub const DORA_TARGET: &str = "dora";
/// Field of such a line that says what happened to the node, for programs.
pub const LIFECYCLE: &str = "lifecycle";

/// One log line, as shown by `--log-format json` and carried by log inputs. Absent values are null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogMessage {
    /// Build that printed it.
    pub build_id: Option<String>,
    /// Dataflow that printed it.
    pub dataflow_id: Option<String>,
    /// Node that printed it; `None` for dora itself.
    pub node_id: Option<String>,
    /// Daemon that captured it.
    pub daemon_id: Option<String>,
    /// `stdout`, or `ERROR` … `TRACE`.
    pub level: String,
    /// Logger name.
    pub target: Option<String>,
    /// Rust module or Python module.
    pub module_path: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
    /// The text.
    pub message: String,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// Structured fields.
    pub fields: Option<BTreeMap<String, serde_json::Value>>,
}

impl LogMessage {
    /// Is it a line of dora's own about what happened to the node, such as a restart?
    pub fn is_lifecycle(&self) -> bool {
        let named = self.fields.as_ref().is_some_and(|fields| fields.contains_key(LIFECYCLE));
        named && self.target.as_deref() == Some(DORA_TARGET)
    }
}
