//! `dora logs`: its flags, and those about the look of log lines that `start` shares.

use std::time::Duration;

use clap::Args;
use dora_protocol::log::LogLevel;

use super::CoordArgs;
use crate::{
    display::logs::{LogFormat, NodeLevels},
    duration,
};

/// Which log lines are shown, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogShowArgs {
    /// Least severe level shown: error, warn, info, debug, trace, or stdout for everything
    #[arg(long, value_name = "LEVEL", env = "DORA_LOG_LEVEL", default_value = "stdout")]
    pub(crate) log_level: LogLevel,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "DORA_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Level per node, overriding the level for all: node1=debug,node2=warn
    #[arg(long, value_name = "FILTER", env = "DORA_LOG_FILTER")]
    pub(crate) log_filter: Option<NodeLevels>,
}

/// `dora logs`
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// The dataflow: UUID or name. Default: the only one that runs; with --local the newest
    #[arg(value_name = "UUID_OR_NAME")]
    pub(crate) dataflow: Option<String>,
    /// The node. With --local one word is enough: a node, unless it names a dataflow
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// The node by name
    #[arg(long = "node", short, value_name = "NAME", conflicts_with = "node")]
    pub(crate) node_flag: Option<String>,
    /// All nodes, merged by time
    #[arg(long, conflicts_with_all = ["node", "node_flag"])]
    pub(crate) all_nodes: bool,
    /// Only the last so many lines
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<usize>,
    /// Go on with what comes
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Read the files in `out/` of the working directory; needs no coordinator
    #[arg(long)]
    pub(crate) local: bool,
    /// Only lines that are younger than this: 30, 30s, 5m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) since: Option<Duration>,
    /// Only lines that are older than this
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "follow")]
    pub(crate) until: Option<Duration>,
    /// Only lines with this in their message, node or logger, in small or capital letters
    #[arg(long, value_name = "PATTERN")]
    pub(crate) grep: Option<String>,
    /// Least severe level shown: error, warn, info, debug, trace, or stdout for everything
    #[arg(long, value_name = "LEVEL", env = "DORA_LOG_LEVEL", default_value = "stdout")]
    pub(crate) level: LogLevel,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "DORA_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Level per node, overriding --level: node1=debug,node2=warn
    #[arg(long, value_name = "FILTER", env = "DORA_LOG_FILTER")]
    pub(crate) log_filter: Option<NodeLevels>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

impl LogsArgs {
    /// What was typed to name a node, by position or by flag.
    pub(crate) fn node(&self) -> Option<&str> {
        self.node.as_deref().or(self.node_flag.as_deref())
    }
}
