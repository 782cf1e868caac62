//! The real-time tier: a fixed pool of pinned threads that runs a frozen plan.
//!
//! The async tier builds a [`Plan`] of indices and arrays and sends it down through a [`Mailbox`]; a [`Worker`] runs
//! it; what happens comes up through [`Events`] and [`Counters`], and so does the memory of a plan that is done with.
//!
//! ```text
//!   async tier                                real-time tier
//!   Mailbox::send ──ring of commands──► bell ──► Worker: commands, due watches, sleep until the next
//!   Events::next  ◄──ring of events── eventfd ◄──┘
//! ```
//!
//! 1. After its start a worker does not allocate, free, lock or log. Its system calls are the sleep, and one write to
//!    the eventfd when something happened that nobody has been told of.
//! 2. Nothing due means no deadline, and no deadline means no wake-up.
//! 3. A full ring never stops a worker: a lost event is counted, and a plan that cannot go up keeps the next command
//!    waiting, not the watches.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod clock;
mod executor;
mod mailbox;
pub mod operators;
mod plan;
mod telemetry;
mod watch;
mod worker;

pub use clock::{Clock, Manual, Monotonic};
pub use executor::{Executor, Handle, StartError, ThreadSpec};
pub use mailbox::{Command, Mailbox, MailboxFull};
pub use plan::{Plan, PlanBuilder, PlanError};
pub use telemetry::{Counters, CountersSnapshot, Event, Events};
pub use watch::{Look, WatchKind, look};
pub use worker::{Worker, worker};
