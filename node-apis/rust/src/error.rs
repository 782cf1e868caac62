//! What can go wrong for a node, in sentences that name the culprit and the fix.

/// Result of node calls.
pub type NodeResult<T> = std::result::Result<T, NodeError>;

/// Why a call of the node API failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The node could not join its dataflow.
    #[error("initialization failed: {0}")]
    Init(String),
    /// The daemon is gone, or said something that this version does not understand.
    #[error("connection error: {0}")]
    Connection(String),
    /// A message was not sent. Nothing of it reached a reader.
    #[error("output error: {0}")]
    Output(String),
    /// A payload is not what it should be.
    #[error("data error: {0}")]
    Data(String),
    /// Something below this API failed.
    #[error("internal error: {0:#}")]
    Internal(#[from] eyre::Report),
}

/// Why waiting for the reply to a request or a goal ended without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// No reply in time. One that comes later is an ordinary input.
    #[error("no reply came in time")]
    Timeout,
    /// The server was restarted and has forgotten the request. [`Event::NodeRestarted`](crate::Event) stays readable.
    #[error("server `{0}` restarted while its reply was awaited")]
    ServerRestarted(String),
    /// The server failed for good, or closed the outputs that this node reads. The event stays readable.
    #[error("server `{0}` is gone, its reply will not come")]
    ServerGone(String),
    /// The dataflow stops. The stop event stays readable.
    #[error("the event stream ended before the reply came")]
    StreamEnded,
    /// The stream reported an error.
    #[error("waiting for the reply failed: {0}")]
    StreamError(String),
}
