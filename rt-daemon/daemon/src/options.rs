//! How a dataflow is to be run, and what it tells meanwhile.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use dora_protocol::{
    DataflowId, NodeId,
    log::{LogLevel, LogMessage},
    rt::RtRequest,
};
use tokio::sync::mpsc;

pub use crate::listener::Listener;

/// Real-time mode of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RtMode {
    /// Ordinary scheduling; `rt:` blocks are not applied.
    #[default]
    Off,
    /// What a node asked for, or the daemon needs for its real-time thread, and cannot be had stops the start.
    Strict,
    /// What cannot be had is reported, and the run goes on.
    BestEffort,
}

impl From<RtRequest> for RtMode {
    fn from(request: RtRequest) -> Self {
        match request {
            RtRequest::Strict => RtMode::Strict,
            RtRequest::BestEffort => RtMode::BestEffort,
        }
    }
}

/// Runtime parameters of every node, by name.
pub type Parameters = BTreeMap<NodeId, BTreeMap<String, serde_json::Value>>;

/// Options of one run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Who gave the dataflow its id already; `None` = a new one.
    pub id: Option<DataflowId>,
    /// Told to every process of a node when it starts.
    pub params: Parameters,
    /// Real-time mode.
    pub rt: RtMode,
    /// Stop gracefully after this long.
    pub stop_after: Option<Duration>,
    /// Start `path: shell` nodes.
    pub allow_shell_nodes: bool,
    /// Start Python nodes through `uv run`.
    pub uv: bool,
    /// From the Stop event to SIGTERM; half of it again to SIGKILL.
    pub grace: Duration,
    /// Where `out/<dataflow id>/log_<node>.jsonl` go; `None` = the dataflow's working directory.
    pub out_dir: Option<PathBuf>,
    /// Where dynamic nodes come in: that of the process, which runs several dataflows. `None` = one of its own, and only if the
    /// dataflow has such nodes.
    pub listener: Option<Listener>,
    /// Lines that nodes print are no events: they are in their files, and who reads them as data gets them. What dora itself has to
    /// say is an event all the same.
    pub quiet: bool,
    /// Told of each node as it is told to go.
    pub observer: Option<mpsc::UnboundedSender<crate::observe::RunningNode>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            id: None,
            params: Parameters::new(),
            rt: RtMode::Off,
            stop_after: None,
            allow_shell_nodes: false,
            uv: false,
            grace: Duration::from_secs(10),
            out_dir: None,
            listener: None,
            quiet: false,
            observer: None,
        }
    }
}

/// What a run tells while it goes on. Display only: nothing waits for it, and when the reader is slow the lines
/// are dropped and counted.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every event is a log line, so a box would cost each of them"
)]
pub enum RunEvent {
    /// A line that a node printed.
    Log {
        /// Parsed level, for filters.
        level: LogLevel,
        /// The line.
        message: LogMessage,
    },
    /// Something dora itself has to say (`[dora]` lines).
    System {
        /// Severity.
        level: LogLevel,
        /// Concerned node, when there is one.
        node: Option<String>,
        /// The sentence.
        text: String,
    },
    /// The read-back table, once every node is ready and before the first message flows (`--rt` only).
    RtTable(crate::report::RtTable),
    /// Every node is ready; messages flow from now on.
    Started {
        /// Milliseconds since the run was asked for.
        after_ms: f64,
    },
}
