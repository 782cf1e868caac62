//! Counters of inputs, outputs and chains in a status page. One thread of the node writes, anybody reads.

use std::sync::Arc;

use crate::{
    OpenError,
    edge::add,
    histogram::{Histogram, HistogramSnapshot},
    layout::status as at,
    segment::{Mapping, Shared},
    sync::{AtomicU64, Ordering},
};

/// Counters and histogram of one input. All methods: owning thread only, no allocation, no lock.
#[derive(Clone, Debug)]
pub struct InputStats {
    received: Shared<AtomicU64>,
    missed_ticks: Shared<AtomicU64>,
    deadline_missed: Shared<AtomicU64>,
    timeouts: Shared<AtomicU64>,
    first_ns: Shared<AtomicU64>,
    copied_out: Shared<AtomicU64>,
    skipped_late: Shared<AtomicU64>,
    recoveries: Shared<AtomicU64>,
    tripped: Shared<AtomicU64>,
    latency: Histogram,
    queue_wait: Histogram,
}

impl InputStats {
    /// The block at `start`.
    pub(super) fn map(map: &Arc<Mapping>, start: u64) -> Result<Self, OpenError> {
        let word = |n: u64| Shared::<AtomicU64>::map(map, start + n * 8, 1);
        Ok(Self {
            received: word(0)?,
            missed_ticks: word(1)?,
            deadline_missed: word(2)?,
            timeouts: word(3)?,
            first_ns: word(4)?,
            copied_out: word(5)?,
            skipped_late: word(6)?,
            recoveries: word(7)?,
            tripped: word(8)?,
            latency: Histogram::map(map, start + at::INPUT_COUNTERS)?,
            queue_wait: Histogram::map(map, start + at::INPUT_QUEUE)?,
        })
    }

    /// A message was taken at `now_ns`, `latency_ns` after it was sent (a tick: after its nominal time).
    #[inline]
    pub fn received_at(&self, now_ns: u64, latency_ns: u64) {
        if self.received.one().load(Ordering::Relaxed) == 0 {
            self.first_ns.one().store(now_ns, Ordering::Relaxed);
        }
        self.received(latency_ns);
    }

    /// As [`received_at`](Self::received_at), without noting when the first one came.
    #[inline]
    pub fn received(&self, latency_ns: u64) {
        add(&self.received, 1);
        self.latency.record(latency_ns);
    }

    /// What was taken had waited this long while others went before it.
    #[inline]
    pub fn queued(&self, wait_ns: u64) {
        self.queue_wait.record(wait_ns);
    }

    /// Ticks passed while the node was busy.
    #[inline]
    pub fn missed_ticks(&self, n: u64) {
        if n > 0 {
            add(&self.missed_ticks, n);
        }
    }

    /// A message was taken later than its deadline.
    #[inline]
    pub fn deadline_missed(&self) {
        add(&self.deadline_missed, 1);
    }

    /// The input timed out.
    pub fn timed_out(&self) {
        add(&self.timeouts, 1);
        self.tripped.one().store(1, Ordering::Relaxed);
    }

    /// A message came after a timeout.
    pub fn recovered(&self) {
        add(&self.recoveries, 1);
        self.no_timeout();
    }

    /// The input is not timed out, be it that it was closed.
    pub fn no_timeout(&self) {
        self.tripped.one().store(0, Ordering::Relaxed);
    }

    /// A message was copied out because the node holds too many.
    pub fn copied_out(&self) {
        add(&self.copied_out, 1);
    }

    /// A message was not given to the node, because it came too late.
    pub fn skipped_late(&self) {
        add(&self.skipped_late, 1);
    }

    pub(super) fn snapshot(&self) -> InputSnapshot {
        let get = |c: &Shared<AtomicU64>| c.one().load(Ordering::Relaxed);
        InputSnapshot {
            received: get(&self.received),
            missed_ticks: get(&self.missed_ticks),
            deadline_missed: get(&self.deadline_missed),
            timeouts: get(&self.timeouts),
            first_ns: get(&self.first_ns),
            copied_out: get(&self.copied_out),
            skipped_late: get(&self.skipped_late),
            recoveries: get(&self.recoveries),
            tripped: get(&self.tripped) != 0,
            latency: self.latency.snapshot(),
            queue_wait: self.queue_wait.snapshot(),
        }
    }
}

/// Counters of one input at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputSnapshot {
    /// Messages or ticks taken.
    pub received: u64,
    /// Ticks that passed while the node was busy.
    pub missed_ticks: u64,
    /// Taken later than the deadline.
    pub deadline_missed: u64,
    /// Times the input timed out.
    pub timeouts: u64,
    /// CLOCK_MONOTONIC of the first one taken, 0 when none was.
    pub first_ns: u64,
    /// Messages copied out because the node held too many.
    pub copied_out: u64,
    /// Messages not given to the node, because they came too late.
    pub skipped_late: u64,
    /// Times a message came after a timeout.
    pub recoveries: u64,
    /// It is timed out now.
    pub tripped: bool,
    /// From send to take; of a timer, from nominal time to take.
    pub latency: HistogramSnapshot,
    /// Of that: from the first event that the node took after the send, to this one. 0 when this one was it.
    pub queue_wait: HistogramSnapshot,
}

/// Counters of one output. All methods: owning thread only, no allocation, no lock.
#[derive(Clone, Debug)]
pub struct OutputStats {
    sent: Shared<AtomicU64>,
    bytes: Shared<AtomicU64>,
    copied: Shared<AtomicU64>,
    too_large: Shared<AtomicU64>,
    no_slot: Shared<AtomicU64>,
    unplanned: Shared<AtomicU64>,
    blocked: Shared<AtomicU64>,
    progress_time: Shared<AtomicU64>,
    progress_microstep: Shared<AtomicU64>,
}

impl OutputStats {
    pub(super) fn map(map: &Arc<Mapping>, inputs: u64, index: u64) -> Result<Self, OpenError> {
        let start = at::FIRST + inputs * at::INPUT + index * at::OUTPUT;
        let word = |n: u64| Shared::<AtomicU64>::map(map, start + n * 8, 1);
        Ok(Self {
            sent: word(0)?,
            bytes: word(1)?,
            copied: word(2)?,
            too_large: word(3)?,
            no_slot: word(4)?,
            unplanned: word(5)?,
            blocked: word(6)?,
            progress_time: word(7)?,
            progress_microstep: word(8)?,
        })
    }

    /// A message of `bytes` went out; `copied` when its payload was copied into the slot.
    #[inline]
    pub fn sent(&self, bytes: u64, copied: bool) {
        add(&self.sent, 1);
        add(&self.bytes, bytes);
        if copied {
            add(&self.copied, 1);
        }
    }

    /// A send was refused: larger than the output allows.
    pub fn too_large(&self) {
        add(&self.too_large, 1);
    }

    /// A send was refused: the readers held every slot.
    pub fn no_slot(&self) {
        add(&self.no_slot, 1);
    }

    /// The sender waited for room.
    #[inline]
    pub fn blocked(&self) {
        add(&self.blocked, 1);
    }

    /// Slots first used that were not pre-faulted, so far.
    #[inline]
    pub fn set_unplanned(&self, n: u64) {
        self.unplanned.one().store(n, Ordering::Relaxed);
    }

    /// This output has said everything up to this tag.
    #[inline]
    pub fn progress(&self, time: u64, microstep: u32) {
        self.progress_microstep.one().store(microstep.into(), Ordering::Relaxed);
        self.progress_time.one().store(time, Ordering::Release);
    }

    pub(super) fn snapshot(&self) -> OutputSnapshot {
        let get = |c: &Shared<AtomicU64>| c.one().load(Ordering::Relaxed);
        OutputSnapshot {
            sent: get(&self.sent),
            bytes: get(&self.bytes),
            copied: get(&self.copied),
            too_large: get(&self.too_large),
            no_slot: get(&self.no_slot),
            unplanned_slots: get(&self.unplanned),
            blocked: get(&self.blocked),
            progress_time: get(&self.progress_time),
            progress_microstep: get(&self.progress_microstep) as u32,
        }
    }
}

/// Counters of one output at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSnapshot {
    /// Messages sent, once each, whatever the number of readers.
    pub sent: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Payloads copied into the slot.
    pub copied: u64,
    /// Sends refused: too large.
    pub too_large: u64,
    /// Sends refused: the readers held every slot.
    pub no_slot: u64,
    /// Slots first used that were not pre-faulted.
    pub unplanned_slots: u64,
    /// Times the sender waited for room.
    pub blocked: u64,
    /// Logical time up to which everything was said.
    pub progress_time: u64,
    /// And its microstep.
    pub progress_microstep: u32,
}

/// Counters of a chain, at the node where it ends. All methods: owning thread only, no allocation, no lock.
#[derive(Clone, Debug)]
pub struct ChainStats {
    traced: Shared<AtomicU64>,
    untraced: Shared<AtomicU64>,
    missed: Shared<AtomicU64>,
    latency: Histogram,
}

impl ChainStats {
    pub(super) fn map(
        map: &Arc<Mapping>,
        (inputs, outputs): (u64, u64),
        index: u64,
    ) -> Result<Self, OpenError> {
        let start = at::FIRST + inputs * at::INPUT + outputs * at::OUTPUT + index * at::CHAIN;
        let word = |n: u64| Shared::<AtomicU64>::map(map, start + n * 8, 1);
        Ok(Self {
            traced: word(0)?,
            untraced: word(1)?,
            missed: word(2)?,
            latency: Histogram::map(map, start + at::INPUT_COUNTERS)?,
        })
    }

    /// A message was taken `latency_ns` after the first send of the chain.
    #[inline]
    pub fn traced(&self, latency_ns: u64) {
        add(&self.traced, 1);
        self.latency.record(latency_ns);
    }

    /// A message was taken that goes back to no message of the chain's start, or to one of long ago.
    #[inline]
    pub fn untraced(&self) {
        add(&self.untraced, 1);
    }

    /// One came later than allowed.
    pub fn missed(&self) {
        add(&self.missed, 1);
    }

    pub(super) fn snapshot(&self) -> ChainSnapshot {
        let get = |c: &Shared<AtomicU64>| c.one().load(Ordering::Relaxed);
        ChainSnapshot {
            traced: get(&self.traced),
            untraced: get(&self.untraced),
            missed: get(&self.missed),
            latency: self.latency.snapshot(),
        }
    }
}

/// Counters of one chain at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainSnapshot {
    /// Messages whose beginning was found.
    pub traced: u64,
    /// Messages without one.
    pub untraced: u64,
    /// Later than allowed.
    pub missed: u64,
    /// From the first send to the last take.
    pub latency: HistogramSnapshot,
}
