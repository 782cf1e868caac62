//! The resolved dataflow: what the descriptor means, with every name bound and every default filled in.
//!
//! Produced by `dora-descriptor`, run by `dora-daemon`. Nodes and outputs are referred to by index from here on.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    DataId, NodeId,
    log::LogLevel,
    policy::{OnMiss, QueuePolicy, RestartPolicy},
    rt::RtSettings,
};

/// Position of a node in [`Dataflow::nodes`].
pub type NodeIndex = u32;

/// A place in the file the user wrote: `dataflow.yml:12:7`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Path as the user gave it.
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// 1-based.
    pub column: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A dataflow, ready to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dataflow {
    /// File stem of the descriptor, for messages.
    pub name: String,
    /// Directory of the descriptor: relative paths and `out/` are under it.
    pub working_dir: PathBuf,
    /// All nodes in the order of the file.
    pub nodes: Vec<Node>,
    /// Bounds on ways through several nodes.
    pub chains: Vec<Chain>,
    /// Nodes end when all their data inputs closed, timers notwithstanding.
    pub exit_when_nodes_finish: bool,
    /// Topic inspection was asked for.
    pub debug_inspection: bool,
    /// The descriptor as JSON, handed to nodes that ask for it.
    pub descriptor: serde_json::Value,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Where it stands in the file.
    pub at: Location,
    /// What to start.
    pub kind: NodeKind,
    /// The repository that it comes from.
    pub git: Option<GitSource>,
    /// `path_sha256`: what the program behind a URL must be, as hexadecimal digits.
    pub path_sha256: Option<String>,
    /// Absolute folder that it is built and run in, such as the clone of its repository; `None` = that of the dataflow.
    pub working_dir: Option<PathBuf>,
    /// `build:` lines, in order.
    pub build: Vec<String>,
    /// Environment of build and run, dataflow-level and `--env` values merged in.
    pub env: BTreeMap<String, EnvValue>,
    /// Inputs in the order of the file: that order is also the order of delivery on equal tags.
    pub inputs: Vec<Input>,
    /// Outputs in the order of the file.
    pub outputs: Vec<Output>,
    /// Scheduling wishes, `None` without an `rt:` block.
    pub rt: Option<RtSettings>,
    /// Cores for all threads of the node; empty = anywhere.
    pub cpu_affinity: Vec<u32>,
    /// Restart policy and its numbers.
    pub restart: Restart,
    /// Kill the node when it has been silent for this long.
    pub health_check_timeout: Option<Duration>,
    /// Kill the node when it has not connected in time.
    pub startup_timeout: Option<Duration>,
    /// How long it may linger after its last input closed.
    pub finish_grace: Option<Duration>,
    /// Log settings.
    pub log: NodeLog,
}

/// A repository and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GitSource {
    /// As written: a URL, or a path under the working directory of the dataflow.
    pub url: String,
    /// Which commit.
    pub want: GitRef,
}

/// A commit, named in one of the ways that git has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitRef {
    /// The branch that the repository shows first.
    Default,
    /// The end of this branch; moves.
    Branch(String),
    /// The commit of this tag.
    Tag(String),
    /// This commit, in full or abbreviated.
    Rev(String),
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A program or script; `path` as written, resolved by the daemon against the working directory and `PATH`.
    Executable {
        /// Executable, or a script with a known extension.
        path: String,
        /// Arguments after word splitting.
        args: Vec<String>,
    },
    /// `sh -c` of this line.
    Shell {
        /// The command line.
        command: String,
    },
    /// Started by hand; joins by node id.
    Dynamic,
    /// A process that hosts operators.
    Runtime {
        /// In the order of the file, which is the order in which they run. All Python, or none.
        operators: Vec<crate::operator::Operator>,
    },
}

impl NodeKind {
    /// Is it a process that connects as a node, unlike a shell command?
    pub fn is_started_node(&self) -> bool {
        matches!(self, NodeKind::Executable { .. } | NodeKind::Runtime { .. })
    }
}

/// A value of `env:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvValue {
    /// Text; `$VAR` and `${VAR}` are expanded on the machine that runs the node.
    Text(String),
    /// The value of this variable on the machine that runs the node (`__dora_env`).
    FromHost(String),
}

/// One input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub id: DataId,
    /// Where it stands in the file.
    pub at: Location,
    /// Where its messages come from.
    pub source: Source,
    /// Fan-in: further outputs that it reads, in the order of the file. Empty unless `source:` is a list, and then all of
    /// them, [`source`](Self::source) included, are [`Source::Output`]. Each has a queue of its own, of `queue_size`.
    #[serde(default)]
    pub more_sources: Vec<Source>,
    /// Messages buffered, at least 1.
    pub queue_size: u32,
    /// What happens when they are more.
    pub policy: QueuePolicy,
    /// Circuit breaker: the input counts as closed after this long without a message.
    pub input_timeout: Option<Duration>,
    /// From send to the node taking it; late ones are counted.
    pub deadline: Option<Duration>,
    /// And what they do.
    pub on_miss: OnMiss,
}

impl Input {
    /// Everything that it reads, in the order of the file: [`source`](Self::source), then [`more_sources`](Self::more_sources).
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.source).chain(&self.more_sources)
    }
}

/// A bound on the way from one output, through any number of nodes, to one input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chain {
    /// For messages: `name`, or `from -> to`.
    pub name: String,
    /// Node and output where it begins.
    pub from: (NodeIndex, u32),
    /// Node and input where it ends.
    pub to: (NodeIndex, u32),
    /// From the send at its beginning to the take at its end.
    pub within: Duration,
    /// What a message does that took longer.
    pub on_miss: OnMiss,
}

/// Where an input's messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `dora/timer/…`
    Timer {
        /// Nanoseconds between ticks, > 0.
        period_ns: u64,
    },
    /// Another node's (or its own) output.
    Output {
        /// Index into [`Dataflow::nodes`].
        node: NodeIndex,
        /// Index into that node's `outputs`.
        output: u32,
    },
    /// `dora/logs…`
    Logs {
        /// Least severe level delivered.
        level: LogLevel,
        /// One node, or all.
        node: Option<NodeId>,
    },
}

/// One output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub id: DataId,
    /// Where it stands in the file.
    pub at: Location,
    /// `output_layout`: largest payload, metadata included; larger sends are refused.
    pub max_message_bytes: Option<u64>,
    /// `output_layout`: messages of that size that are pre-faulted and locked at start.
    pub depth: Option<u32>,
    /// `output_framing: arrow-ipc`
    pub arrow_ipc: bool,
}

/// Restart policy of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// When.
    pub policy: RestartPolicy,
    /// 0 = without limit.
    pub max_restarts: u32,
    /// Before the first restart; doubles with each.
    pub delay: Option<Duration>,
    /// Upper bound of the delay.
    pub max_delay: Option<Duration>,
    /// After this long the count starts again.
    pub window: Option<Duration>,
}

/// Log settings of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLog {
    /// Output that carries every captured line.
    pub stdout_as: Option<DataId>,
    /// Output that carries structured lines.
    pub logs_as: Option<DataId>,
    /// Less severe lines are not kept.
    pub min_level: Option<LogLevel>,
    /// Rotate the log file at this size, in bytes.
    pub max_size: Option<u64>,
    /// Rotated files kept.
    pub max_rotated: u32,
}
