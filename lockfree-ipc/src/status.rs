//! The status page of a node: what it is doing and what it has counted, for others to read while it runs.
//!
//! Written by the node alone, mapped read-only by the daemon. "In its handler since" and "waiting since" replace
//! heartbeats: a node that waits is alive, so an idle dataflow needs no wake-up to prove it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use crate::{
    OpenError,
    edge::add,
    histogram::{Histogram, HistogramSnapshot},
    layout::{Kind, status as at},
    segment::{self, Access, Mapping, Shared},
    sync::{AtomicU64, Ordering},
};

/// Most inputs or outputs of a node.
pub const MAX_PORTS: u32 = 4096;

/// Creates a status page.
///
/// # Errors
/// What `memfd_create` or `mmap` say; [`io::ErrorKind::InvalidInput`] for more than [`MAX_PORTS`] inputs or outputs.
pub fn create(inputs: u32, outputs: u32) -> io::Result<OwnedFd> {
    if inputs > MAX_PORTS || outputs > MAX_PORTS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 4096 inputs or outputs"));
    }
    segment::create("dora-status", Kind::Status, at::size(inputs.into(), outputs.into()), |map| {
        map.u32(at::INPUTS)?.store(inputs, Ordering::Relaxed);
        map.u32(at::OUTPUTS)?.store(outputs, Ordering::Relaxed);
        Ok(())
    })
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It has not asked for an event yet.
    Starting,
    /// It waits for an event.
    Waiting {
        /// CLOCK_MONOTONIC nanoseconds.
        since_ns: u64,
    },
    /// It works on an event.
    Handling {
        /// CLOCK_MONOTONIC nanoseconds: when it took the event, or of its last sign of life since.
        since_ns: u64,
    },
    /// It ended in good order.
    Done,
}

impl Activity {
    fn to_word(self) -> u64 {
        match self {
            Activity::Starting => 0,
            Activity::Waiting { since_ns } => since_ns << 2 | 1,
            Activity::Handling { since_ns } => since_ns << 2 | 2,
            Activity::Done => 3,
        }
    }

    fn from_word(word: u64) -> Self {
        match word & 3 {
            1 => Activity::Waiting { since_ns: word >> 2 },
            2 => Activity::Handling { since_ns: word >> 2 },
            3 => Activity::Done,
            _ => Activity::Starting,
        }
    }
}

/// Counters and histogram of one input. All methods: owning thread only, no allocation, no lock.
#[derive(Clone, Debug)]
pub struct InputStats {
    received: Shared<AtomicU64>,
    missed_ticks: Shared<AtomicU64>,
    deadline_missed: Shared<AtomicU64>,
    timeouts: Shared<AtomicU64>,
    first_ns: Shared<AtomicU64>,
    copied_out: Shared<AtomicU64>,
    latency: Histogram,
}

impl InputStats {
    fn map(map: &Arc<Mapping>, index: u64) -> Result<Self, OpenError> {
        let start = at::FIRST + index * at::INPUT;
        let word = |n: u64| Shared::<AtomicU64>::map(map, start + n * 8, 1);
        Ok(Self {
            received: word(0)?,
            missed_ticks: word(1)?,
            deadline_missed: word(2)?,
            timeouts: word(3)?,
            first_ns: word(4)?,
            copied_out: word(5)?,
            latency: Histogram::map(map, start + at::INPUT_COUNTERS)?,
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
    }

    /// A message was copied out because the node holds too many.
    pub fn copied_out(&self) {
        add(&self.copied_out, 1);
    }

    fn snapshot(&self) -> InputSnapshot {
        let get = |c: &Shared<AtomicU64>| c.one().load(Ordering::Relaxed);
        InputSnapshot {
            received: get(&self.received),
            missed_ticks: get(&self.missed_ticks),
            deadline_missed: get(&self.deadline_missed),
            timeouts: get(&self.timeouts),
            first_ns: get(&self.first_ns),
            copied_out: get(&self.copied_out),
            latency: self.latency.snapshot(),
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
    /// From send to take; of a timer, from nominal time to take.
    pub latency: HistogramSnapshot,
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
    fn map(map: &Arc<Mapping>, inputs: u64, index: u64) -> Result<Self, OpenError> {
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

    fn snapshot(&self) -> OutputSnapshot {
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

#[derive(Debug)]
struct Page {
    activity: Shared<AtomicU64>,
    alive: Shared<AtomicU64>,
    handler: Histogram,
    inputs: Box<[InputStats]>,
    outputs: Box<[OutputStats]>,
}

impl Page {
    fn open(fd: BorrowedFd<'_>, access: Access) -> Result<Self, OpenError> {
        let map = Mapping::open(fd, Kind::Status, access)?;
        let inputs = map.u32(at::INPUTS)?.load(Ordering::Relaxed);
        let outputs = map.u32(at::OUTPUTS)?.load(Ordering::Relaxed);
        if inputs > MAX_PORTS
            || outputs > MAX_PORTS
            || at::size(inputs.into(), outputs.into()) != map.len() as u64
        {
            return Err(OpenError::Foreign {
                expected: Kind::Status.noun(),
                why: "its size does not match its header",
            });
        }
        map.populate(0, map.len() as u64);
        Ok(Self {
            activity: Shared::map(&map, at::ACTIVITY, 1)?,
            alive: Shared::map(&map, at::ALIVE, 1)?,
            handler: Histogram::map(&map, at::HANDLER)?,
            inputs: (0..u64::from(inputs)).map(|i| InputStats::map(&map, i)).collect::<Result<_, _>>()?,
            outputs: (0..u64::from(outputs))
                .map(|i| OutputStats::map(&map, inputs.into(), i))
                .collect::<Result<_, _>>()?,
        })
    }

    fn activity(&self) -> Activity {
        Activity::from_word(self.activity.one().load(Ordering::Relaxed))
    }
}

/// The node's own end. Cheap to clone; one thread writes each counter.
#[derive(Clone, Debug)]
pub struct StatusPage {
    page: Arc<Page>,
}

impl StatusPage {
    /// Maps the page that the daemon made for this node.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is none.
    pub fn open(fd: OwnedFd) -> Result<Self, OpenError> {
        Ok(Self { page: Arc::new(Page::open(fd.as_fd(), Access::Write)?) })
    }

    /// The node waits for an event from now on; the time since the last [`handling`](Self::handling) is recorded.
    #[inline]
    pub fn waiting(&self, now_ns: u64) {
        if let Activity::Handling { since_ns } = self.page.activity() {
            self.page.handler.record(now_ns.saturating_sub(since_ns));
        }
        self.set(Activity::Waiting { since_ns: now_ns });
    }

    /// The node works on an event from now on.
    #[inline]
    pub fn handling(&self, now_ns: u64) {
        self.set(Activity::Handling { since_ns: now_ns });
    }

    /// The node shows life in the middle of its handler: it sends. One store.
    #[inline]
    pub fn alive(&self, now_ns: u64) {
        self.page.alive.one().store(now_ns, Ordering::Relaxed);
    }

    /// The node ended in good order.
    pub fn done(&self) {
        self.set(Activity::Done);
    }

    #[inline]
    fn set(&self, activity: Activity) {
        self.page.activity.one().store(activity.to_word(), Ordering::Relaxed);
    }

    /// Counters of input `index`.
    ///
    /// # Panics
    /// When the node has no such input: the page was made for its descriptor, and indices come from there.
    #[inline]
    pub fn input(&self, index: u32) -> &InputStats {
        &self.page.inputs[index as usize]
    }

    /// Counters of output `index`.
    ///
    /// # Panics
    /// As [`input`](Self::input).
    #[inline]
    pub fn output(&self, index: u32) -> &OutputStats {
        &self.page.outputs[index as usize]
    }

    /// How many inputs and outputs the page has.
    pub fn ports(&self) -> (u32, u32) {
        (self.page.inputs.len() as u32, self.page.outputs.len() as u32)
    }
}

/// The daemon's end: reads only.
#[derive(Clone, Debug)]
pub struct StatusView {
    page: Arc<Page>,
}

impl StatusView {
    /// Maps a status page to look at it.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is none.
    pub fn open(fd: BorrowedFd<'_>) -> Result<Self, OpenError> {
        Ok(Self { page: Arc::new(Page::open(fd, Access::Read)?) })
    }

    /// What the node is doing. Two loads.
    #[inline]
    pub fn activity(&self) -> Activity {
        match self.page.activity() {
            Activity::Handling { since_ns } => {
                let alive_ns = self.page.alive.one().load(Ordering::Relaxed);
                Activity::Handling { since_ns: since_ns.max(alive_ns) }
            }
            other => other,
        }
    }

    /// Counters of an input; zeros when there is none with this number.
    pub fn input(&self, index: u32) -> InputSnapshot {
        self.page.inputs.get(index as usize).map(InputStats::snapshot).unwrap_or_default()
    }

    /// Counters of an output; zeros when there is none with this number.
    pub fn output(&self, index: u32) -> OutputSnapshot {
        self.page.outputs.get(index as usize).map(OutputStats::snapshot).unwrap_or_default()
    }

    /// Time from one event to asking for the next.
    pub fn handler(&self) -> HistogramSnapshot {
        self.page.handler.snapshot()
    }
}
