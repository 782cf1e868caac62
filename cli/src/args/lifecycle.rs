//! Commands on whole dataflows under a coordinator: `start`, `stop`, `restart`, `list`, `clean`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum};

use super::{CoordArgs, LogShowArgs, RtArg, key_value};
use crate::duration;

/// How a command writes its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs, alone on stdout.
    Json,
}

/// `dora start`
#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Name by which other commands find it; unique among running dataflows
    #[arg(long, short, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Show what the nodes print and wait for the end; Ctrl-C stops the dataflow. Default on a terminal
    #[arg(long, conflicts_with = "detach")]
    pub(crate) attach: bool,
    /// Return when all nodes are up. Default without a terminal
    #[arg(long)]
    pub(crate) detach: bool,
    /// Let topics be inspected while the dataflow runs
    #[arg(long)]
    pub(crate) debug: bool,
    /// Watch the Python files of operators, and reload an operator when its file changes; stays attached
    #[arg(long, conflicts_with = "detach")]
    pub(crate) hot_reload: bool,
    /// Real-time scheduling for nodes with an `rt:` block. `strict` refuses to start when something is missing,
    /// `best-effort` reports it and goes on. Default: the mode of the daemon
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    pub(crate) rt: Option<RtArg>,
    /// Run Python nodes through `uv`
    #[arg(long)]
    pub(crate) uv: bool,
    /// End nodes when all their data inputs closed, though timers go on; overrides the descriptor
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) exit_when_nodes_finish: Option<bool>,
    /// Environment variable for all nodes; a node's own `env:` wins. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
    /// What an attached terminal shows.
    #[command(flatten)]
    pub(crate) logs: LogShowArgs,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// Which dataflow `stop` and `restart` mean, and how it ends.
#[derive(Args, Debug)]
pub(crate) struct EndArgs {
    /// The dataflow: UUID or name. Default: the only one that runs
    #[arg(value_name = "UUID_OR_NAME")]
    pub(crate) dataflow: Option<String>,
    /// The dataflow by name
    #[arg(long, short, value_name = "NAME", conflicts_with = "dataflow")]
    pub(crate) name: Option<String>,
    /// From the request to end to SIGTERM; half of it later SIGKILL. Default: 10s
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace_duration: Option<Duration>,
    /// End all processes at once
    #[arg(long, short)]
    pub(crate) force: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

impl EndArgs {
    /// What was typed to name a dataflow.
    pub(crate) fn selector(&self) -> Option<&str> {
        self.dataflow.as_deref().or(self.name.as_deref())
    }
}

/// `dora stop`
#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    /// Stop every dataflow that runs
    #[arg(long, conflicts_with_all = ["dataflow", "name"])]
    pub(crate) all: bool,
    /// Which, and how.
    #[command(flatten)]
    pub(crate) end: EndArgs,
}

/// `dora restart`
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {
    /// Start it as it was first started, without what was changed while it ran
    #[arg(long)]
    pub(crate) original: bool,
    /// Which, and how.
    #[command(flatten)]
    pub(crate) end: EndArgs,
}

/// `dora list --status`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFilter {
    /// Running, or about to
    Running,
    /// Ended in good order
    Finished,
    /// Ended with a failed node
    Failed,
}

/// `dora list --sort-by`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortBy {
    /// Most processor time first
    Cpu,
    /// Most memory first
    Memory,
}

/// `dora list`
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// A table, or one JSON object per line
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Only dataflows in this state
    #[arg(long, value_name = "STATUS", value_enum)]
    pub(crate) status: Option<StatusFilter>,
    /// Only dataflows with this in their name, in small or capital letters
    #[arg(long, value_name = "PATTERN")]
    pub(crate) name: Option<String>,
    /// Largest first
    #[arg(long, value_name = "FIELD", value_enum)]
    pub(crate) sort_by: Option<SortBy>,
    /// Print UUIDs and nothing else
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// `dora clean`
#[derive(Args, Debug)]
pub(crate) struct CleanArgs {
    /// A table, or one JSON object per line
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Print UUIDs and nothing else
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}
