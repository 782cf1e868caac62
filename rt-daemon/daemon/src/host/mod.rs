//! The daemon as a process: many dataflows, one connection to a coordinator.
//!
//! ```text
//!   coordinator ◄── WebSocket ──► link ──► core ──► commands ──► Control queue ──► flow (a thread: supervisor)
//!                                  ▲         ▲                                       │
//!                                  │         └────────── started, ended ─────────────┤
//!                                  └── log_queue ◄────────── lines ──────────────────┘
//! ```
//!
//! The daemon owns what is: processes, memory, wiring, logs. The coordinator may be killed, restarted with an empty store,
//! or unreachable for days; the dataflows go on, and a status report then tells it everything it needs to know again.

mod backoff;
mod commands;
mod connection;
mod core;
mod counters;
mod events;
mod flow;
mod link;
mod log_files;
mod log_queue;
mod looks;
mod options;
mod usage;

pub use self::{
    core::serve,
    options::{EndRequest, HostError, HostOptions, Saying},
};
