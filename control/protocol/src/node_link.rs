//! What a node and its daemon say to each other, over a Unix stream socket.
//!
//! One frame is a header of 8 bytes (`u32` length of the JSON that follows, `u32` number of file descriptors that
//! ride on the header as SCM_RIGHTS; both little-endian) and the JSON of a [`ToDaemon`] or [`ToNode`]. A node inherits its end of a
//! socketpair; `DORA_NODE_CONFIG` holds a [`NodeEnv`] as JSON, which says its number.
//!
//! ```text
//! node                       daemon
//!  Hello        ─────────►
//!               ◄─────────   Setup (+ descriptors)
//!  Ready        ─────────►
//!               ◄─────────   Start (when every node is ready or gone)
//!  …            ◄────────►   Stop, InputClosed, EdgeAdded, ReaderAdded, ReaderGone, Extension…
//!  Done         ─────────►
//! ```
//!
//! No message of the data plane ever passes here.

use serde::{Deserialize, Serialize};

use crate::{
    DataId, DataflowId, NodeId, OperatorId,
    policy::{OnMiss, QueuePolicy},
    rt::{RtSettings, SetupStep},
};

/// Version of this protocol and of the shared-memory layouts it hands out.
pub const VERSION: u32 = 4;

/// Name of the environment variable that holds a [`NodeEnv`].
pub const ENV_NODE_CONFIG: &str = "DORA_NODE_CONFIG";

/// Largest accepted JSON of one frame, in bytes.
pub const MAX_FRAME: u32 = 16 << 20;

/// Largest number of descriptors on one frame (the kernel's SCM_MAX_FD is 253).
pub const MAX_FDS: u32 = 250;

/// Content of `DORA_NODE_CONFIG`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeEnv {
    /// [`VERSION`] of the daemon.
    pub version: u32,
    /// The dataflow.
    pub dataflow_id: DataflowId,
    /// This node.
    pub node_id: NodeId,
    /// Number of the inherited socket.
    pub socket_fd: i32,
}

/// Which of the descriptors of [`ToNode::Setup`] (counted over all its [`ToNode::Descriptors`] frames).
pub type FdIndex = u32;

/// Everything a node needs to know before it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Node, dataflow, environment: what `node_config()` shows.
    pub run: NodeRunConfig,
    /// Its doorbell.
    pub doorbell: FdIndex,
    /// Its eventfd, rung instead of the doorbell when the node asks for it.
    pub eventfd: FdIndex,
    /// Its status page.
    pub status: FdIndex,
    /// Inputs in the order of the file.
    pub inputs: Vec<InputWiring>,
    /// Outputs in the order of the file.
    pub outputs: Vec<OutputWiring>,
    /// Chains that end here, in the order of the status page.
    pub chains: Vec<ChainWiring>,
    /// An eventfd that the node writes when it missed a deadline that somebody should hear of; only where it has one.
    pub attention: Option<FdIndex>,
    /// Nodes end when all data inputs closed, timers notwithstanding.
    pub exit_when_nodes_finish: bool,
    /// Scheduling wishes, when they shall be applied (`--rt`).
    pub rt: Option<RtSettings>,
    /// Wait policy: valid with and without `--rt`.
    pub wait: crate::rt::WaitPolicy,
    /// The descriptor as JSON.
    pub descriptor: serde_json::Value,
}

/// What `node_config()` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeRunConfig {
    /// The dataflow.
    pub dataflow_id: DataflowId,
    /// The node.
    pub node_id: NodeId,
    /// Input names.
    pub inputs: Vec<DataId>,
    /// Output names.
    pub outputs: Vec<DataId>,
    /// How often it was restarted.
    pub restart_count: u32,
}

/// One input of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InputWiring {
    /// Its name.
    pub id: DataId,
    /// What feeds it.
    pub source: InputSource,
    /// As in the descriptor.
    pub queue_size: u32,
    /// As in the descriptor.
    pub policy: QueuePolicy,
    /// Circuit breaker, nanoseconds.
    pub input_timeout_ns: Option<u64>,
    /// From send to take, nanoseconds.
    pub deadline_ns: Option<u64>,
    /// What a later message does.
    pub on_miss: OnMiss,
}

/// A chain that ends at an input of this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainWiring {
    /// Index of the input.
    pub input: u32,
    /// Where its beginning notes what it sends, read-only in effect.
    pub origins: FdIndex,
    /// From the send at its beginning to the take here, nanoseconds.
    pub within_ns: u64,
    /// What a message does that took longer.
    pub on_miss: OnMiss,
}

/// What feeds an input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSource {
    /// The node's own clock: tick `n` is due at `epoch + n * period`.
    Timer {
        /// Nanoseconds.
        period_ns: u64,
    },
    /// Edges from other nodes (or from itself): read in turn, a closed one until it is empty.
    Edges {
        /// May be empty: what fed the input is gone, or not there yet.
        edges: Vec<InputEdge>,
    },
}

/// One edge that leads to an input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InputEdge {
    /// Number of this edge within the input; never reused.
    pub number: u32,
    /// Who sends; `None` for the daemon (logs).
    pub sender: Option<NodeId>,
    /// The edge segment, read-write.
    pub edge: FdIndex,
    /// The sender's arena, read-only.
    pub arena: FdIndex,
    /// Its sender's process is gone: nothing will come after what is in the ring.
    pub closed: bool,
}

/// One output of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputWiring {
    /// Its name.
    pub id: DataId,
    /// Its arena, read-write.
    pub arena: FdIndex,
    /// Larger payloads (metadata included) are refused.
    pub max_message_bytes: Option<u64>,
    /// Slots of that size to pre-fault.
    pub depth: Option<u32>,
    /// Its readers.
    pub edges: Vec<OutputEdge>,
    /// Where it notes what it sends, when a chain begins here.
    pub origins: Option<FdIndex>,
}

/// One reader of an output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputEdge {
    /// Number of this edge within the output; never reused.
    pub number: u32,
    /// Who reads.
    pub receiver: NodeId,
    /// At which input.
    pub input: DataId,
    /// The edge segment, read-write.
    pub edge: FdIndex,
    /// The reader's doorbell, read-write.
    pub doorbell: FdIndex,
    /// The reader's eventfd.
    pub eventfd: FdIndex,
}

/// From a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToDaemon {
    /// First word of a node that the daemon did not start (`path: dynamic`), on the daemon's listening socket; `Hello` follows.
    Attach {
        /// The place it takes.
        node_id: NodeId,
        /// Where; `None` when only one running dataflow has such a place.
        dataflow_id: Option<DataflowId>,
    },
    /// First word.
    Hello {
        /// [`VERSION`] of the node's library.
        version: u32,
        /// `dora-node-api 0.1.0 (rust)`
        api: String,
        /// Process id.
        pid: u32,
    },
    /// Mapped, locked, scheduled: may be started.
    Ready {
        /// What of the real-time set-up worked. Empty without one.
        setup: Vec<SetupStep>,
        /// Kernel thread id of the thread that initialised the node.
        main_tid: u32,
    },
    /// These outputs (by index) will send no more.
    OutputsClosed {
        /// Indices.
        outputs: Vec<u32>,
    },
    /// The other end of an edge wrote nonsense; the edge is closed.
    EdgeBroken {
        /// Input index and edge number, when this node is the reader.
        input: Option<(u32, u32)>,
        /// Output index and edge number, when this node is the sender.
        output: Option<(u32, u32)>,
        /// What was wrong.
        reason: String,
    },
    /// The node ends in good order; nothing more comes.
    Done,
    /// Store, load or drop an entry of the dataflow's extension table.
    Extension {
        /// Echoed in the reply.
        request: u64,
        /// What to do.
        call: ExtensionCall,
    },
}

/// What a node asks of the extension table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum ExtensionCall {
    /// Store bytes under a key. Only the node that stored a key may overwrite it.
    Store {
        /// Name space.
        ns: String,
        /// Key.
        key: String,
        /// Content.
        value: Vec<u8>,
    },
    /// Read a key, and perhaps remove it.
    Load {
        /// Name space.
        ns: String,
        /// Key.
        key: String,
        /// Remove it, too.
        remove: bool,
    },
    /// Remove a key.
    Drop {
        /// Name space.
        ns: String,
        /// Key.
        key: String,
    },
    /// Ask the daemon's handler of a name space.
    Request {
        /// Name space.
        ns: String,
        /// Opaque.
        payload: Vec<u8>,
    },
}

/// From the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToNode {
    /// Descriptors that come ahead of the [`ToNode::Setup`] they belong to, when they are too many for one frame.
    Descriptors,
    /// Wiring. Descriptors ride on this frame, after those of preceding [`ToNode::Descriptors`] frames.
    Setup(Box<Setup>),
    /// The node cannot take part.
    Refused {
        /// Why, in a sentence.
        reason: String,
    },
    /// Go. Timers count from here.
    Start {
        /// CLOCK_MONOTONIC nanoseconds.
        epoch_ns: u64,
    },
    /// End soon.
    Stop,
    /// No more messages will come on this input (index) than are in its ring now.
    InputClosed {
        /// Index.
        input: u32,
    },
    /// The node behind some inputs failed for good. Sent before their [`ToNode::InputClosed`].
    NodeFailed {
        /// Who.
        node: NodeId,
        /// How.
        error: String,
        /// Indices of the inputs it fed.
        inputs: Vec<u32>,
    },
    /// The node behind some inputs was restarted.
    NodeRestarted {
        /// Who.
        node: NodeId,
    },
    /// A further edge leads to this input from now on. Descriptors ride on the frame. Reopens an input that was closed.
    EdgeAdded {
        /// Index of the input.
        input: u32,
        /// The edge.
        edge: InputEdge,
    },
    /// This edge comes to its end. Says nothing about the input.
    EdgeClosed {
        /// Index of the input.
        input: u32,
        /// Number of the edge within the input.
        edge: u32,
        /// The sender goes on until it hears of it, and says so in the edge. Otherwise no more comes than is in the ring now.
        sender_lives: bool,
    },
    /// The node has a further input, with the next index. Descriptors ride on the frame.
    InputAdded {
        /// The input.
        input: InputWiring,
    },
    /// A further reader of an output, from the next message on. Descriptors ride on the frame.
    ReaderAdded {
        /// Output index.
        output: u32,
        /// The edge.
        edge: OutputEdge,
    },
    /// The process that read an edge is gone and another one goes on: take back what it held of messages that entered the
    /// ring before position `head`.
    ReaderRestarted {
        /// Output index.
        output: u32,
        /// Edge number.
        edge: u32,
        /// Read position of the ring when the old process was gone and the new one not started.
        head: u64,
    },
    /// The reader of an edge was disconnected and lives: send no more there. What waits in the ring and what it holds comes back
    /// as it lets go of it; should it die, `ReaderGone` follows.
    ReaderLeft {
        /// Output index.
        output: u32,
        /// Edge number.
        edge: u32,
    },
    /// The reader of an edge is gone: take back what it held. Not for one that lives: what it reads would change under its
    /// hands.
    ReaderGone {
        /// Output index.
        output: u32,
        /// Edge number.
        edge: u32,
    },
    /// A runtime parameter changed.
    ParamUpdate {
        /// Name.
        key: String,
        /// New value.
        value: serde_json::Value,
    },
    /// A runtime parameter was deleted.
    ParamDeleted {
        /// Name.
        key: String,
    },
    /// Reload an operator.
    Reload {
        /// Which, or all.
        operator_id: Option<OperatorId>,
    },
    /// Answer to [`ToDaemon::Extension`].
    ExtensionReply {
        /// As in the request.
        request: u64,
        /// Bytes, nothing, or why not.
        result: Result<Option<Vec<u8>>, String>,
    },
    /// Entries that vanished because the node that stored them ended.
    ExtensionDropped {
        /// Name space.
        ns: String,
        /// Keys.
        keys: Vec<String>,
    },
}
