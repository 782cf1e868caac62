//! The coordinator: which dataflows there are, what they were told, and who asks after them.
//!
//! ```text
//!  clients ──► ws_client ──┐                      ┌──► store/writer ──► redb
//!              (Outbox) ◄──┤   owner ◄─► state    │
//!  daemons ──► ws_daemon ──┘   (one task, pure) ──┘
//! ```
//!
//! It owns names and intentions; what runs is the daemons' to say (`docs/decisions/0009-control-plane.md`). A coordinator may be killed at any moment:
//! dataflows go on, and the next one has its knowledge from the store and from the reports of the daemons.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod admission;
mod auth;
mod descriptor;
mod error;
mod launch;
mod options;
mod outbox;
mod owner;
mod placement;
mod server;
mod state;
mod store;
mod version;
mod wire;
mod ws_client;
mod ws_daemon;

pub use auth::default_token_file;
pub use error::{CoordinatorError, StoreError};
pub use options::Options;
pub use server::{Server, serve};
pub use store::{StoreChoice, archive as archive_store, default_path as default_store_path};
