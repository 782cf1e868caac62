//! The node API for C: `include/node_api.h`, on the Rust library.
//!
//! | file | what |
//! |---|---|
//! | `context` | joining, leaving, what a node knows about itself |
//! | `receive` | waiting for events, in every way |
//! | `event` | what is in an event |
//! | `send` | outputs: bytes, numbers, closing |
//! | `loan` | a message that is written in place |
//! | `arrow` | arrays of any type, over the Arrow C data interface |
//! | `metadata`, `metadata_set` | parameters |
//! | `pattern` | requests and goals |
//! | `log` | log lines |
//! | `status` | numbers and sentences for what went wrong |
//! | `table`, `exclusive` | handles, and who is using what |
//! | `text` | pointers and lengths become slices |
//!
//! 1. No panic leaves: every entry point goes through `status`.
//! 2. No handle is followed: it is looked up, and a wrong one is an error.
//! 3. Lengths, alignment and UTF-8 are checked; what a pointer points to, nobody can check.
//! 4. Sending and receiving are two halves of a context, each for one thread at a time. A second thread in the same half gets
//!    an error at once.
//!
//! The functions are called from C and say in `node_api.h` what they do; here their comments say what is not seen from
//! there.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod arrow;
mod context;
mod event;
mod exclusive;
mod loan;
mod log;
mod metadata;
mod metadata_set;
mod pattern;
mod receive;
mod send;
mod status;
mod table;
mod text;

pub use arrow::{dora_export_input, dora_send_arrow};
pub use context::*;
pub use event::*;
pub use loan::*;
pub use log::*;
pub use metadata::*;
pub use metadata_set::*;
pub use pattern::*;
pub use receive::*;
pub use send::*;
pub use status::{dora_last_error, dora_last_error_code};
