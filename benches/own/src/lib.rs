//! Our figures, each beside the floor of the machine in the same run.
//!
//! [`floors`] is what the machine can do with nothing of ours in between; [`edge`] is the same work through
//! `lockfree-ipc`, `nodes` through the node library, with `launcher` in the place of a daemon. Each has *roles*, played by pinned processes of their own, and *runs*, which start the
//! roles over fresh segments and return what they measured. `operators` has no roles: its runs are threads of one process. Comparisons with others (`benches/versus`) use the same
//! runs.

pub mod command;
pub mod edge;
pub mod floors;
#[cfg(feature = "nodes")]
pub mod launcher;
#[cfg(feature = "nodes")]
pub mod nodes;
#[cfg(feature = "nodes")]
pub mod operators;
#[cfg(feature = "nodes")]
pub mod usage;
pub mod yardstick;

use bench_support::{Called, Job, Wait, Work, place::Class};

/// Plays a role of this crate. False when it is not one of ours.
///
/// # Errors
/// What the role met: missing descriptors, a refused real-time set-up, a closed edge, a lost message.
pub fn play(called: &mut Called) -> eyre::Result<bool> {
    #[cfg(feature = "nodes")]
    if nodes::play(called)? {
        return Ok(true);
    }
    Ok(floors::play(called)? || edge::play(called)?)
}

/// A job of the figures: one message per millisecond, spinning round trips timed in batches, a stream as a whole.
pub fn job(work: Work, wait: Wait, class: Class, count: u64, size: u64) -> Job {
    let batch = match work {
        Work::RoundTrip if wait == Wait::Spin => BATCH,
        Work::Stream => count,
        // A sleeping round trip is long enough to read the clock for each.
        _ => 1,
    };
    Job { work, wait, class, size, count, period_ns: PERIOD_NS, batch }
}

/// Messages per run, by kind of work.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Round trips of spinning peers.
    pub spin: u64,
    /// Round trips of sleeping peers.
    pub park: u64,
    /// Messages at one per millisecond, and timer ticks.
    pub paced: u64,
    /// Messages back to back.
    pub stream: u64,
}

impl Counts {
    /// Enough for a stable p99; about two seconds for a paced run.
    pub const FULL: Self = Self { spin: 1_200_000, park: 50_000, paced: 2_000, stream: 3_000_000 };
    /// Enough to see that everything works.
    pub const QUICK: Self = Self { spin: 100_000, park: 5_000, paced: 300, stream: 200_000 };
}

/// Round trips that one spinning measurement covers: reading the clock costs a quarter of a hand-off.
pub const BATCH: u64 = 100;
/// Messages before the first one counts.
pub const WARM_UP: u64 = 100;
/// One message per millisecond.
pub const PERIOD_NS: u64 = 1_000_000;
