//! Bytes between processes: lock-free rings and arenas in shared memory.
//!
//! One output of a node is an [`arena`]: slots of shared memory that only its node writes. Each reader of that
//! output has an [`edge`]: a [`ring`] of 64-byte message headers that name slots, a [set of returned slots]
//! (`returns`) and a bell for a sender that waits for room. A reader sleeps on one [`doorbell`] for all its
//! edges. A [`status`] page per node carries its counters and histograms. The byte tables are in
//! `docs/shm-layout.md`; `layout` holds the same numbers.
//!
//! ```text
//!   Publisher ──loan──► slot in the arena ──send──► header into the ring of every edge ──► doorbell
//!       ▲                                                                                      │
//!       └────────── returned bit ◄── drop(Sample) ◄── take ── Subscriber ◄─────────────────────┘
//! ```
//!
//! Nothing here allocates, locks or makes a system call per message, but for the wake-up of a sleeping reader
//! and the sleep of a sender whose `backpressure` reader is full. Whatever the other process can write is
//! checked before use; garbage ends in [`EdgeError::Corrupt`] on that edge.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(
    not(any(test, loom)),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

pub mod arena;
mod bits;
pub mod clock;
pub mod doorbell;
pub mod edge;
mod error;
pub mod fdpass;
mod futex;
pub mod header;
pub mod histogram;
mod holding;
pub mod layout;
mod loan;
mod misses;
pub mod origins;
mod outlet;
mod prefetch;
mod publisher;
mod reader;
mod returns;
pub mod ring;
mod segment;
mod slots;
pub mod status;
mod subscriber;
mod sync;
mod types;

#[cfg(all(test, loom))]
mod loom_tests;

pub use arena::{ArenaFds, ArenaSpec};
pub use doorbell::Doorbell;
pub use edge::{EdgeSpec, EdgeView, Ledger, Policy};
pub use error::{EdgeError, LoanError, OpenError};
pub use futex::Woken;
pub use header::{Header, flags};
pub use histogram::HistogramSnapshot;
pub use loan::Loan;
pub use misses::{Miss, MissLog};
pub use origins::{Origins, OriginsView};
pub use publisher::{Publisher, SendReport};
pub use reader::{Interrupter, Reader};
pub use returns::ReturnSet;
pub use status::{
    Activity, ChainSnapshot, ChainStats, InputSnapshot, InputStats, OutputSnapshot, OutputStats, StatusPage,
    StatusView,
};
pub use subscriber::{Sample, Subscriber};

/// Samples of one edge that a reader may hold beside those in the ring. A reader that wants more copies.
pub const MAX_HELD: u32 = 64;
