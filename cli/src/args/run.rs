//! `dora run`: its flags.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum, builder::BoolishValueParser};
use dora_daemon::options::RtMode;
use dora_protocol::{log::LogLevel, rt::RtRequest};

use super::{SourceArgs, key_value};
use crate::{
    display::logs::{LogFormat, NodeLevels},
    duration,
};

/// `dora run`
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Stop gracefully after this long: 30, 30s, 500ms, 5m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) stop_after: Option<Duration>,
    /// Real-time scheduling for nodes with an `rt:` block. `strict` refuses to start when something is missing,
    /// `best-effort` reports it and goes on
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    pub(crate) rt: Option<RtArg>,
    /// Build first, as `dora build` does
    #[arg(long)]
    pub(crate) build: bool,
    /// Report at the end; `json` goes to stdout alone, and logs then go to stderr
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) report: ReportFormat,
    /// Write the longest handler time of each node to this file, for `dora validate --rt --profile`
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Run Python nodes through `uv`
    #[arg(long)]
    pub(crate) uv: bool,
    /// Let topics be inspected while the dataflow runs
    #[arg(long)]
    pub(crate) debug: bool,
    /// Start nodes with `path: shell`
    #[arg(long, env = "DORA_ALLOW_SHELL_NODES", value_parser = BoolishValueParser::new())]
    pub(crate) allow_shell_nodes: bool,
    /// Least severe level shown: error, warn, info, debug, trace, or stdout for everything
    #[arg(long, value_name = "LEVEL", env = "DORA_LOG_LEVEL", default_value = "stdout")]
    pub(crate) log_level: LogLevel,
    /// Keep what nodes print in their files, and do not show it; what dora itself has to say is shown
    #[arg(long, env = "DORA_QUIET", value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "DORA_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Level per node, overriding --log-level: node1=debug,node2=warn
    #[arg(long, value_name = "FILTER", env = "DORA_LOG_FILTER")]
    pub(crate) log_filter: Option<NodeLevels>,
    /// End nodes when all their data inputs closed, though timers go on; overrides the descriptor
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) exit_when_nodes_finish: Option<bool>,
    /// Environment variable for all nodes; a node's own `env:` wins. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
    /// Pinned sources.
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// `--rt` with or without a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RtArg {
    /// Refuse to start when something that was asked for cannot be had.
    Strict,
    /// Report it and go on.
    BestEffort,
}

impl From<RtArg> for RtRequest {
    fn from(arg: RtArg) -> Self {
        match arg {
            RtArg::Strict => RtRequest::Strict,
            RtArg::BestEffort => RtRequest::BestEffort,
        }
    }
}

impl From<RtArg> for RtMode {
    fn from(arg: RtArg) -> Self {
        RtRequest::from(arg).into()
    }
}

/// `--report`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Tables.
    #[default]
    Text,
    /// One JSON document, alone on stdout.
    Json,
    /// No report.
    None,
}
