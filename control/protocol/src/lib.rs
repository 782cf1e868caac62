//! What travels between the processes of dora: plain data, no behaviour.
//!
//! Three readers share these types: the descriptor (which produces a [`dataflow::Dataflow`]), the daemon (which
//! runs one) and the nodes (which are told their part of it over a Unix socket). Nothing here knows of shared
//! memory, Arrow, tokio or YAML.

pub mod dataflow;
pub mod env;
mod id;
pub mod log;
pub mod metadata;
pub mod node_link;
pub mod policy;
pub mod rt;
pub mod time;
pub mod wire_type;

pub use id::{DataId, DataflowId, IdError, NodeId, OperatorId};
