//! What travels between the processes of dora: plain data, no behaviour.
//!
//! Everybody shares these types: the descriptor (which produces a [`dataflow::Dataflow`]), the daemon (which runs one), the nodes
//! (which are told their part of it over a Unix socket, [`node_link`]), the coordinator and its clients ([`control`]) and the coordinator
//! and its daemons ([`daemon_link`]). Nothing here knows of shared memory, Arrow, tokio or YAML.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod control;
pub mod daemon_link;
pub mod dataflow;
pub mod env;
mod id;
pub mod local_socket;
pub mod log;
pub mod metadata;
pub mod node_link;
pub mod operator;
pub mod policy;
pub mod rt;
pub mod time;
pub mod wire_type;

pub use id::{DataId, DataflowId, IdError, NodeId, OperatorId};
