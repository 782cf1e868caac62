//! What the operating system does for real-time threads: scheduling, memory, clocks, and the read-back of all of it.
//!
//! Asking and getting are two things, so there are two halves. [`sched`], [`memory`], [`clock`] and [`latency`] ask
//! for the calling thread or process; [`readback`] reads from `/proc` what any process really has. [`doctor`] says what
//! this machine cannot do and how late its timers are, and [`throttle`] measures how long the kernel stops a thread that
//! never sleeps. [`alloc_guard`] counts the allocations of marked threads.
//!
//! A refusal is a [`TuningError`] that names what was asked, why it was refused and the command that mends it. Nothing
//! here retries, logs or changes anything of another process. On systems other than Linux there is no doctor, and
//! everything else but the clock and the allocator answers "not available on this system".

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod alloc_guard;
mod error;
mod types;

#[cfg(target_os = "linux")]
pub mod clock;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
pub mod latency;
#[cfg(target_os = "linux")]
pub mod memory;
#[cfg(target_os = "linux")]
pub mod readback;
#[cfg(target_os = "linux")]
mod rights;
#[cfg(target_os = "linux")]
pub mod sched;
#[cfg(target_os = "linux")]
pub mod thread_cost;
#[cfg(target_os = "linux")]
pub mod throttle;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub use other::{clock, latency, memory, readback, sched, throttle};

pub use error::TuningError;
