//! `dora prove`: its flags.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, builder::BoolishValueParser};
use dora_protocol::log::LogLevel;

use super::{RtArg, key_value};
use crate::{display::logs::LogFormat, duration};

/// `dora prove`
#[derive(Args, Debug)]
pub(crate) struct ProveArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Stop when every node that is judged has handled this many messages (taken and sent) after its warm-up
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(crate) messages: std::num::NonZeroU64,
    /// Stop this long after the warm-up, whatever the number of messages
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "10s")]
    pub(crate) at_most: Duration,
    /// From a node's first message to where counting begins
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2s")]
    pub(crate) warm_up: Duration,
    /// Judge this node, too, though it has no `rt:` block. May be repeated
    #[arg(long, value_name = "ID", action = ArgAction::Append)]
    pub(crate) node: Vec<String>,
    /// Fail also when something that was to be judged could not be counted
    #[arg(long)]
    pub(crate) strict: bool,
    /// One JSON document on stdout, nothing else there
    #[arg(long)]
    pub(crate) json: bool,
    /// What happens when an `rt:` block cannot be applied, as for `dora run`
    #[arg(long, value_name = "MODE", require_equals = true, default_value = "best-effort")]
    pub(crate) rt: RtArg,
    /// Run Python nodes through `uv`
    #[arg(long)]
    pub(crate) uv: bool,
    /// Start nodes with `path: shell`
    #[arg(long, env = "DORA_ALLOW_SHELL_NODES", value_parser = BoolishValueParser::new())]
    pub(crate) allow_shell_nodes: bool,
    /// Least severe level shown: error, warn, info, debug, trace, or stdout for everything
    #[arg(long, value_name = "LEVEL", env = "DORA_LOG_LEVEL", default_value = "stdout")]
    pub(crate) log_level: LogLevel,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "DORA_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Environment variable for all nodes; a node's own `env:` wins. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
}
