//! What may be asked of a dataflow while it runs.
//!
//! The caller sends a [`Control`] into the queue that it gave to [`run`](crate::run()); what has an answer carries the place for it.
//! What takes its time ([`RestartNode`](Control::RestartNode), [`StopNode`](Control::StopNode), [`Apply`](Control::Apply)) is carried
//! out one after the other; the rest at once. A request whose caller has gone is carried out all the same. Stopping the
//! dataflow answers everything that is under way with an error.

use std::time::Duration;

use dora_protocol::{NodeId, OperatorId, control::FtStats, dataflow::Dataflow};
use tokio::sync::oneshot;

/// Where an answer goes; the error is a sentence for the user.
pub type Reply<T> = oneshot::Sender<Result<T, String>>;

/// A request to a running dataflow.
#[derive(Debug)]
pub enum Control {
    /// Stop event, grace, SIGTERM, SIGKILL for every node.
    Stop {
        /// Instead of the grace of the run's options.
        grace: Option<Duration>,
    },
    /// SIGKILL now. A node that ends by it has not failed.
    Kill,
    /// Stop a node and start it again, whatever its restart policy; answered when the new process is ready or has failed. One that
    /// has ended is started again, too.
    RestartNode {
        /// Which.
        node: NodeId,
        /// From the Stop event to SIGTERM.
        grace: Option<Duration>,
        /// Nothing, or why not.
        reply: Reply<()>,
    },
    /// Stop a node for good; answered when it is gone.
    StopNode {
        /// Which.
        node: NodeId,
        /// From the Stop event to SIGTERM.
        grace: Option<Duration>,
        /// Did it end by itself, without being killed?
        reply: Reply<bool>,
    },
    /// Make the running dataflow this one: nodes and edges come and go by name. All of it or nothing. Answered when new
    /// processes run and those that were removed or replaced are gone.
    Apply {
        /// The whole new dataflow.
        dataflow: Box<Dataflow>,
        /// Nodes of the same name that are to be replaced by a new process although they may look alike.
        replace: Vec<NodeId>,
        /// Grace for nodes that go.
        grace: Option<Duration>,
        /// What was changed: sentences about nodes, `a/x -> b/in` and `a/x -x- b/in` for edges.
        reply: Reply<Vec<String>>,
    },
    /// Tell a node a parameter.
    SetParam {
        /// Which.
        node: NodeId,
        /// Name.
        key: String,
        /// Value.
        value: serde_json::Value,
        /// Nothing, or why not.
        reply: Reply<()>,
    },
    /// Tell a node that a parameter is gone.
    DeleteParam {
        /// Which.
        node: NodeId,
        /// Name.
        key: String,
        /// Nothing, or why not.
        reply: Reply<()>,
    },
    /// Reload an operator, or all of a runtime node.
    Reload {
        /// Which node.
        node: NodeId,
        /// Which operator; `None` = all.
        operator: Option<OperatorId>,
        /// Nothing, or why not.
        reply: Reply<()>,
    },
    /// How is it?
    Snapshot {
        /// Every node, in the order of the file; removed ones are left out.
        reply: oneshot::Sender<Snapshot>,
    },
}

/// A dataflow at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What runs, with all changes since its start.
    pub dataflow: Dataflow,
    /// Every node is ready; messages flow.
    pub started: bool,
    /// It is being stopped.
    pub stopping: bool,
    /// In the order of [`Dataflow::nodes`].
    pub nodes: Vec<NodeSnapshot>,
    /// Counted since its start, over all its nodes, removed ones included.
    pub faults: FtStats,
}

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// Which.
    pub node: NodeId,
    /// What it is doing.
    pub status: NodeStatus,
    /// Its process; all processes of its group count as the node.
    pub pid: Option<u32>,
    /// How often it was restarted.
    pub restart_count: u32,
    /// Inputs whose `input_timeout` has passed.
    pub broken_inputs: Vec<String>,
    /// Messages that wait in its queues.
    pub pending_messages: u64,
    /// Messages and ticks it has taken.
    pub taken: u64,
    /// Messages it has sent.
    pub sent: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// The words of `dora top` and `dora node list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Started, not ready yet.
    Starting,
    /// Runs.
    Running,
    /// Its process is gone, the next one is on its way.
    Restarting,
    /// Runs, but an input has timed out.
    Degraded,
    /// Ended with an error.
    Failed,
    /// Ended in good order, or was stopped.
    Stopped,
    /// A dynamic node that nobody has attached yet, or again.
    Detached,
}
