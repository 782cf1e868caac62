//! The status page of a node: what it is doing and what it has counted, for others to read while it runs.
//!
//! Written by the node alone, mapped read-only by the daemon. "In its handler since" and "waiting since" replace
//! heartbeats: a node that waits is alive, so an idle dataflow needs no wake-up to prove it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

mod ports;

pub use ports::{ChainSnapshot, ChainStats, InputSnapshot, InputStats, OutputSnapshot, OutputStats};

use crate::{
    OpenError,
    histogram::{Histogram, HistogramSnapshot},
    layout::{Kind, status as at},
    misses::{Miss, MissArea, MissLog},
    segment::{self, Access, Mapping, Shared},
    sync::{AtomicU64, Ordering},
};

/// Most inputs or outputs of a node.
pub const MAX_PORTS: u32 = 4096;

/// Inputs that a node may get while it runs, beside those that its descriptor declares.
pub const SPARE_INPUTS: u32 = 16;

/// Creates a status page with room for [`SPARE_INPUTS`] more inputs; those cost nothing until they are used.
///
/// # Errors
/// What `memfd_create` or `mmap` say; [`io::ErrorKind::InvalidInput`] for more than [`MAX_PORTS`] inputs or outputs.
pub fn create(inputs: u32, outputs: u32) -> io::Result<OwnedFd> {
    create_with_chains(inputs, outputs, 0)
}

/// As [`create`], for a node where `chains` chains end.
///
/// # Errors
/// As [`create`], with chains counted like inputs.
pub fn create_with_chains(inputs: u32, outputs: u32, chains: u32) -> io::Result<OwnedFd> {
    create_with_spare(inputs, outputs, chains, SPARE_INPUTS)
}

/// As [`create_with_chains`], with room for `spare` more inputs.
///
/// # Errors
/// As [`create`], with spare inputs counted like inputs.
pub fn create_with_spare(inputs: u32, outputs: u32, chains: u32, spare: u32) -> io::Result<OwnedFd> {
    if [inputs, outputs, chains, spare].iter().any(|n| *n > MAX_PORTS) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 4096 inputs, outputs or chains"));
    }
    let size = at::size(inputs.into(), outputs.into(), chains.into(), spare.into());
    segment::create("dora-status", Kind::Status, size, |map| {
        map.u32(at::INPUTS)?.store(inputs, Ordering::Relaxed);
        map.u32(at::OUTPUTS)?.store(outputs, Ordering::Relaxed);
        map.u32(at::CHAINS)?.store(chains, Ordering::Relaxed);
        map.u32(at::SPARE)?.store(spare, Ordering::Relaxed);
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

#[derive(Debug)]
struct Page {
    activity: Shared<AtomicU64>,
    alive: Shared<AtomicU64>,
    handler: Histogram,
    misses: MissArea,
    /// Those declared, then the spare ones.
    inputs: Box<[InputStats]>,
    spare: u32,
    map: Arc<Mapping>,
    outputs: Box<[OutputStats]>,
    chains: Box<[ChainStats]>,
}

impl Page {
    fn open(fd: BorrowedFd<'_>, access: Access) -> Result<Self, OpenError> {
        let map = Mapping::open(fd, Kind::Status, access)?;
        let inputs = map.u32(at::INPUTS)?.load(Ordering::Relaxed);
        let outputs = map.u32(at::OUTPUTS)?.load(Ordering::Relaxed);
        let chains = map.u32(at::CHAINS)?.load(Ordering::Relaxed);
        let spare = map.u32(at::SPARE)?.load(Ordering::Relaxed);
        if [inputs, outputs, chains, spare].iter().any(|n| *n > MAX_PORTS)
            || at::size(inputs.into(), outputs.into(), chains.into(), spare.into()) != map.len() as u64
        {
            return Err(OpenError::Foreign {
                expected: Kind::Status.noun(),
                why: "its size does not match its header",
            });
        }
        let end = at::declared(inputs.into(), outputs.into(), chains.into());
        // The spare inputs stay untouched until they are used.
        map.populate(0, end);
        let declared = (0..u64::from(inputs)).map(|i| at::FIRST + i * at::INPUT);
        let blocks = declared.chain((0..u64::from(spare)).map(|i| end + i * at::INPUT));
        Ok(Self {
            activity: Shared::map(&map, at::ACTIVITY, 1)?,
            alive: Shared::map(&map, at::ALIVE, 1)?,
            handler: Histogram::map(&map, at::HANDLER)?,
            inputs: blocks.map(|start| InputStats::map(&map, start)).collect::<Result<_, _>>()?,
            spare,
            outputs: (0..u64::from(outputs))
                .map(|i| OutputStats::map(&map, inputs.into(), i))
                .collect::<Result<_, _>>()?,
            chains: (0..u64::from(chains))
                .map(|i| ChainStats::map(&map, (inputs.into(), outputs.into()), i))
                .collect::<Result<_, _>>()?,
            misses: MissArea {
                count: Shared::map(&map, at::MISSES, 1)?,
                records: Shared::map(
                    &map,
                    at::MISS_RECORDS,
                    (at::MISS_NEWEST + at::MISS_WORST) * at::MISS_WORDS,
                )?,
            },
            map,
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
    /// When the page has no [room](Self::room) for it: the page was made for the node's descriptor, and indices come from there.
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

    /// Counters of chain `index` of those that end here.
    ///
    /// # Panics
    /// As [`input`](Self::input).
    #[inline]
    pub fn chain(&self, index: u32) -> &ChainStats {
        &self.page.chains[index as usize]
    }

    /// How many chains the page has.
    pub fn chains(&self) -> u32 {
        self.page.chains.len() as u32
    }

    /// Where deadline misses are kept. At most one is used at a time.
    pub fn miss_log(&self) -> MissLog {
        MissLog::new(self.page.misses.clone())
    }

    /// How many inputs and outputs the descriptor declared.
    pub fn ports(&self) -> (u32, u32) {
        (self.page.inputs.len() as u32 - self.page.spare, self.page.outputs.len() as u32)
    }

    /// How many inputs the page has room for, spare ones included.
    pub fn room(&self) -> u32 {
        self.page.inputs.len() as u32
    }

    /// Commits the memory of input `index`, declared or spare, so that counting there causes no page fault. False when the
    /// page has no room for it.
    pub fn prepare_input(&self, index: u32) -> bool {
        let declared = u64::from(self.room() - self.page.spare);
        let end = self.page.map.len() as u64 - u64::from(self.page.spare) * at::INPUT;
        let start = match u64::from(index) {
            i if i < declared => at::FIRST + i * at::INPUT,
            i => end + (i - declared) * at::INPUT,
        };
        if index < self.room() {
            self.page.map.populate(start, at::INPUT);
        }
        index < self.room()
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

    /// How many inputs the page has room for, spare ones included.
    pub fn room(&self) -> u32 {
        self.page.inputs.len() as u32
    }

    /// Counters of an input; zeros when there is none with this number.
    pub fn input(&self, index: u32) -> InputSnapshot {
        self.page.inputs.get(index as usize).map(InputStats::snapshot).unwrap_or_default()
    }

    /// Counters of an output; zeros when there is none with this number.
    pub fn output(&self, index: u32) -> OutputSnapshot {
        self.page.outputs.get(index as usize).map(OutputStats::snapshot).unwrap_or_default()
    }

    /// Counters of a chain; zeros when there is none with this number.
    pub fn chain(&self, index: u32) -> ChainSnapshot {
        self.page.chains.get(index as usize).map(ChainStats::snapshot).unwrap_or_default()
    }

    /// Deadline misses so far. One load.
    pub fn miss_count(&self) -> u64 {
        self.page.misses.count()
    }

    /// The misses after the first `seen`, oldest first, as far as they are still there. Believe nothing they say.
    pub fn misses(&self, seen: u64) -> Vec<Miss> {
        self.page.misses.newest(seen)
    }

    /// The worst misses, worst first. Believe nothing they say.
    pub fn worst_misses(&self) -> Vec<Miss> {
        self.page.misses.worst()
    }

    /// Time from one event to asking for the next.
    pub fn handler(&self) -> HistogramSnapshot {
        self.page.handler.snapshot()
    }
}
