//! The async tier: spawns nodes, wires them, watches them, stops them.
//!
//! Runs on the housekeeping cores under the ordinary scheduler and may be as slow as it likes: nothing in the
//! real-time tier or between two local nodes ever waits for it.
//!
//! ```text
//!   run ── program, environment ──► compile ──► spawn ──► supervisor ──► assemble
//!                                                            ▲
//!           node_link (sockets) · logs (pipes) · pidfds · pool (status pages, by a real-time thread)
//! ```

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod apply;
mod assemble;
mod chain_rows;
mod chains;
mod change;
mod comeback;
mod compile;
mod conda;
mod connect;
pub mod control;
mod conversation;
mod cores;
mod edges;
pub mod environment;
mod error;
mod exit;
mod extension;
mod feeds;
mod former;
mod guard;
mod guests;
mod health;
pub mod host;
mod launch;
mod listener;
mod log_file;
mod log_lifecycle;
mod log_line;
mod log_thread;
mod logs;
mod misses;
mod node_link;
mod node_state;
pub mod observe;
pub mod options;
mod own_rt;
mod pool;
mod proc_usage;
mod program;
mod propagate;
pub mod report;
mod requests;
mod restart;
mod rewire;
mod rt_check;
mod run;
mod snapshot;
mod spawn;
mod stop;
mod stopping;
mod supervisor;
#[cfg(test)]
mod testing;
mod understudy;
mod wiring;

pub use error::{DaemonError, ProgramError};
pub use run::run;
