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
//! If the writer dies, at most the newest entry is missing, and its next process goes on behind the others: what is on its way is
//! still traced. While two processes of a node overlap, they may take each other's entry. Garbage gives a wrong latency for
//! that chain, nothing else.

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

/// Entries that a search looks at in any case, newest first. Further back it goes only while the entries are younger than what it
/// looks for: logical times of an output rise, but for a node that acts upon several others.
const NEAR: u64 = if cfg!(loom) { 1 } else { 128 };
/// Entries that a search looks at at most: later consequences are not traced. The oldest of all may be being overwritten.
const FAR: u64 = if cfg!(loom) { 2 } else { at::CAPACITY - 1 };

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
}

impl Origins {
    /// Maps the segment to write to it.
    ///
    /// # Errors
    /// [`OpenError`] when it is none.
    pub fn open(fd: BorrowedFd<'_>) -> Result<Self, OpenError> {
        Ok(Self { table: Table::open(fd, Access::Write)? })
    }

    /// Notes a message of this logical time, behind those of the processes that had this place before.
    ///
    /// # Real time
    /// A load and four stores; only readers of the chain look at these lines.
    #[inline]
    pub fn note(&mut self, tag_ns: u64, send_ns: u64) {
        let count = self.table.count.one().load(Ordering::Relaxed);
        let (tag, send) = self.table.entry(count);
        tag.store(0, Ordering::Relaxed);
        // (O1) Release, pairs with (O3): who reads the new `send` also sees that `tag` is no longer the old one.
        fence(Ordering::Release);
        send.store(send_ns, Ordering::Relaxed);
        // (O2) Release, pairs with the Acquire in `find`: who sees the tag sees the send time.
        tag.store(tag_ns, Ordering::Release);
        self.table.count.one().store(count.wrapping_add(1), Ordering::Release);
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
    /// Two loads per sample that was sent since, at most 4095 samples; at most 128 for what goes back to none of them, unless that is
    /// older than they are.
    #[inline]
    pub fn find(&self, tag_ns: u64) -> Option<u64> {
        if tag_ns == 0 {
            return None;
        }
        let count = self.table.count.one().load(Ordering::Acquire);
        let (near, far) = (count.saturating_sub(NEAR), count.saturating_sub(FAR));
        for n in (near..count).rev() {
            if self.tag(n) == tag_ns {
                return self.sent(n, tag_ns);
            }
        }
        for n in (far..near).rev() {
            match self.tag(n) {
                known if known == tag_ns => return self.sent(n, tag_ns),
                known if known < tag_ns => return None,
                _ => {}
            }
        }
        None
    }

    #[inline]
    fn tag(&self, n: u64) -> u64 {
        self.table.entry(n).0.load(Ordering::Acquire)
    }

    /// What entry `n` says beside this logical time, unless it was overwritten meanwhile.
    #[inline]
    fn sent(&self, n: u64, tag_ns: u64) -> Option<u64> {
        let (tag, send) = self.table.entry(n);
        let sent = send.load(Ordering::Relaxed);
        // (O3) Acquire, pairs with (O1).
        fence(Ordering::Acquire);
        (tag.load(Ordering::Relaxed) == tag_ns).then_some(sent)
    }
}

#[cfg(all(test, loom))]
pub(crate) fn on_heap() -> (Origins, OriginsView) {
    let words = |n: u64| Shared::heap((0..n).map(|_| AtomicU64::new(0)).collect());
    let (count, entries) = (words(1), words(at::CAPACITY * 2));
    let table = || Table { count: count.clone(), entries: entries.clone() };
    (Origins { table: table() }, OriginsView { table: table() })
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
        for n in 1..=10_000u64 {
            origins.note(n * 7, n);
            assert_eq!(view.find(n * 7), Some(n));
            assert_eq!(view.find(n * 7 + 1), None, "no message has this logical time");
        }
        assert_eq!(view.find(9900 * 7), Some(9900));
        assert_eq!(view.find(7000 * 7), Some(7000), "far behind the newest ones");
        assert_eq!(view.find(7000 * 7 + 1), None, "no message has this logical time");
        assert_eq!(view.find(7), None, "that is ten thousand messages ago");
        assert_eq!(view.find(0), None, "0 is no logical time");
    }

    #[test]
    fn logical_times_out_of_order_are_found_among_the_newest() {
        let fd = create().unwrap();
        let (mut origins, view) =
            (Origins::open(fd.as_fd()).unwrap(), OriginsView::open(fd.as_fd()).unwrap());
        (2..=1000u64).for_each(|n| origins.note(n * 10 - n % 2 * 15, n));
        assert!((900..=1000).all(|n| view.find(n * 10 - n % 2 * 15) == Some(n)));
    }

    #[test]
    fn what_a_former_process_sent_is_found_when_its_next_one_sends() {
        let fd = create().unwrap();
        let view = OriginsView::open(fd.as_fd()).unwrap();
        for process in 0..3u64 {
            let mut origins = Origins::open(fd.as_fd()).unwrap();
            for n in 1..=30 {
                origins.note(process * 100 + n, n);
            }
        }
        assert!((1..=30).all(|n| (0..3).all(|process| view.find(process * 100 + n) == Some(n))));
    }

    #[test]
    fn a_count_of_garbage_is_an_entry_like_any_other() {
        let fd = create().unwrap();
        let (mut origins, view) =
            (Origins::open(fd.as_fd()).unwrap(), OriginsView::open(fd.as_fd()).unwrap());
        origins.table.count.one().store(u64::MAX, Ordering::Relaxed);
        (1..=3).for_each(|n| origins.note(n, n));
        assert_eq!(view.find(3), Some(3));
    }
}
