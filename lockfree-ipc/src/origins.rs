//! When the messages of an output that starts a chain were sent, for those who see their consequences.
//!
//! Outputs inherit the logical time of what caused them, so the end of a chain knows which sample it is looking at, but not
//! when that was sent: it looks the logical time up here. One process writes, any number read; nobody waits.
//!
//! ```text
//!   count     messages noted; entry `n % CAPACITY` belongs to message n
//!   entry     logical time, 0 while it is being written · CLOCK_MONOTONIC of the send
//! ```
//!
//! 1. An entry whose logical time is the same before and after its other word was read, is whole: logical times are not
//!    reused within a lap, and 0 is none.
//!
//! If the writer dies, at most the newest entry is missing. Garbage gives a wrong latency for that chain, nothing else.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use crate::{
    OpenError,
    layout::{Kind, origins as at},
    segment::{self, Access, Mapping, Shared},
    sync::{AtomicU64, Ordering, fence},
};

/// Entries that a search looks at, newest first: consequences that come later than this many samples are not traced.
const DEPTH: u64 = if cfg!(loom) { 2 } else { 128 };

/// Creates the segment.
///
/// # Errors
/// What `memfd_create` or `mmap` say.
pub fn create() -> io::Result<OwnedFd> {
    segment::create("dora-origins", Kind::Origins, at::SIZE, |_| Ok(()))
}

#[derive(Debug)]
struct Table {
    count: Shared<AtomicU64>,
    entries: Shared<AtomicU64>,
}

impl Table {
    fn open(fd: BorrowedFd<'_>, access: Access) -> Result<Self, OpenError> {
        let map = Mapping::open(fd, Kind::Origins, access)?;
        map.populate(0, at::SIZE);
        Ok(Self {
            count: Shared::map(&map, at::COUNT, 1)?,
            entries: Shared::map(&map, at::ENTRIES, at::CAPACITY * 2)?,
        })
    }

    #[inline]
    fn entry(&self, n: u64) -> (&AtomicU64, &AtomicU64) {
        let first = (n & (at::CAPACITY - 1)) as usize * 2;
        (&self.entries[first], &self.entries[first + 1])
    }
}

/// The end of the node that sends.
#[derive(Debug)]
pub struct Origins {
    table: Table,
    /// Ours: nobody else's value is believed.
    count: u64,
}

impl Origins {
    /// Maps the segment to write to it.
    ///
    /// # Errors
    /// [`OpenError`] when it is none.
    pub fn open(fd: BorrowedFd<'_>) -> Result<Self, OpenError> {
        Ok(Self { table: Table::open(fd, Access::Write)?, count: 0 })
    }

    /// Notes a message of this logical time.
    ///
    /// # Real time
    /// Four stores to lines that only readers of the chain look at.
    #[inline]
    pub fn note(&mut self, tag_ns: u64, send_ns: u64) {
        let (tag, send) = self.table.entry(self.count);
        tag.store(0, Ordering::Relaxed);
        // (O1) Release, pairs with (O3): who reads the new `send` also sees that `tag` is no longer the old one.
        fence(Ordering::Release);
        send.store(send_ns, Ordering::Relaxed);
        // (O2) Release, pairs with the Acquire in `find`: who sees the tag sees the send time.
        tag.store(tag_ns, Ordering::Release);
        self.count += 1;
        self.table.count.one().store(self.count, Ordering::Release);
    }
}

/// The end of a node where a chain ends.
#[derive(Debug)]
pub struct OriginsView {
    table: Table,
}

impl OriginsView {
    /// Maps the segment to look things up.
    ///
    /// # Errors
    /// [`OpenError`] when it is none.
    pub fn open(fd: BorrowedFd<'_>) -> Result<Self, OpenError> {
        Ok(Self { table: Table::open(fd, Access::Read)? })
    }

    /// When the message of this logical time was sent, CLOCK_MONOTONIC; `None` when it was not, or long ago.
    ///
    /// # Real time
    /// Two loads per sample that was sent since, at most 128 samples.
    #[inline]
    pub fn find(&self, tag_ns: u64) -> Option<u64> {
        let count = self.table.count.one().load(Ordering::Acquire);
        for n in (count.saturating_sub(DEPTH)..count).rev() {
            let (tag, send) = self.table.entry(n);
            if tag_ns == 0 || tag.load(Ordering::Acquire) != tag_ns {
                continue;
            }
            let sent = send.load(Ordering::Relaxed);
            // (O3) Acquire, pairs with (O1).
            fence(Ordering::Acquire);
            return (tag.load(Ordering::Relaxed) == tag_ns).then_some(sent);
        }
        None
    }
}

#[cfg(all(test, loom))]
pub(crate) fn on_heap() -> (Origins, OriginsView) {
    let words = |n: u64| Shared::heap((0..n).map(|_| AtomicU64::new(0)).collect());
    let (count, entries) = (words(1), words(at::CAPACITY * 2));
    let table = || Table { count: count.clone(), entries: entries.clone() };
    (Origins { table: table(), count: 0 }, OriginsView { table: table() })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_send_time_of_a_logical_time_is_found_until_it_is_long_ago() {
        let fd = create().unwrap();
        let (mut origins, view) =
            (Origins::open(fd.as_fd()).unwrap(), OriginsView::open(fd.as_fd()).unwrap());
        assert_eq!(view.find(5), None, "nothing was sent");
        for n in 1..=1000u64 {
            origins.note(n * 7, n);
            assert_eq!(view.find(n * 7), Some(n));
            assert_eq!(view.find(n * 7 + 1), None, "no message has this logical time");
        }
        assert_eq!(view.find(1000 * 7 - 100 * 7), Some(900));
        assert_eq!(view.find(7), None, "that is a thousand messages ago");
        assert_eq!(view.find(0), None, "0 is no logical time");
    }
}
