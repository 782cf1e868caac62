//! Policies a descriptor can choose: queues, restarts, waiting.

use serde::{Deserialize, Serialize};

/// What happens when an input's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuePolicy {
    /// The oldest ordinary message makes room: the newest `queue_size` survive.
    #[default]
    DropOldest,
    /// Nothing is lost: the sender waits once ten times `queue_size` (at least 100) are queued.
    Backpressure,
}

impl QueuePolicy {
    /// How many messages one edge holds before the policy acts.
    pub fn ring_limit(self, queue_size: u32) -> u32 {
        match self {
            QueuePolicy::DropOldest => queue_size.max(1),
            QueuePolicy::Backpressure => queue_size.max(1).saturating_mul(10).max(100),
        }
    }
}

/// When a node that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    Never,
    /// After a non-zero exit code or a signal.
    OnFailure,
    /// After any exit, unless the user stopped it or all its inputs closed and it succeeded.
    Always,
}

/// What a message that comes too late does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMiss {
    /// The user is told.
    #[default]
    Warn,
    /// The user is told, and the node does not get it.
    Skip,
    /// The dataflow stops, and fails.
    Stop,
}
