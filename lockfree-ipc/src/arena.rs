//! Payload slots of one output: one large sparse segment that only its sender writes.
//!
//! ```text
//!   0      prefix, plan, clock identity
//!   128    type table: 256 records at most, 64 KiB in all
//!   64 KiB class 0: slots of 64 bytes   class 1: 128 bytes   …   class 24: 1 GiB
//! ```
//!
//! 1. A slot is 64-byte aligned and a power of two long. Slots are numbered through all classes; the number alone
//!    gives class, offset and size on both sides, computed from [`ArenaSpec`] and never read from a message.
//! 2. Address space is reserved once; pages are committed when first touched, so growing needs no agreement. What
//!    the descriptor plans (`max_message_bytes`, `depth`) is committed at the start on both sides.
//! 3. Readers have a descriptor that was opened read-only: a stray store in a reader faults there.
//!
//! Who owns a slot is the sender's private knowledge (`publisher`); nothing here can be corrupted into freeing one.
#![expect(unsafe_code, reason = "gives out slots of shared memory as byte slices")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};

use rustix::fs::{Mode, OFlags};

use crate::{
    OpenError,
    layout::{self, Kind, arena as at},
    segment::{self, Access, Mapping},
    sync::Ordering,
};

/// What an arena must hold. The same numbers on all sides give the same slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaSpec {
    /// Slots of one size that may be in use at once: over all edges, ring storage and held samples, plus loans.
    pub outstanding: u32,
    /// Declared largest message (payload and metadata), in bytes.
    pub max_message_bytes: Option<u64>,
    /// Slots of that size to commit at the start; without it, as many as are cheap.
    pub depth: Option<u32>,
}

/// The two descriptors of a new arena.
#[derive(Debug)]
pub struct ArenaFds {
    /// For the sender.
    pub write: OwnedFd,
    /// For readers; cannot be mapped writable.
    pub read: OwnedFd,
}

/// Messages up to this size are always pre-faulted for, bytes.
const SMALL: u64 = 4096;
/// Slots of each small class that are pre-faulted.
const SMALL_SLOTS: u32 = 32;
/// Without a declared depth, no more than this is pre-faulted for the declared size, bytes.
const PLAN_BUDGET: u64 = 64 << 20;

/// Creates an arena.
///
/// # Errors
/// What `memfd_create`, `ftruncate`, `mmap` or opening `/proc/self/fd` say.
pub fn create(spec: &ArenaSpec, hlc_id: [u8; 16]) -> io::Result<ArenaFds> {
    let classes = Classes::new(spec.outstanding);
    let write = segment::create("dora-arena", Kind::Arena, classes.end, |map| {
        map.u32(at::OUTSTANDING)?.store(spec.outstanding, Ordering::Relaxed);
        map.u64(at::PLANNED_BYTES)?.store(spec.max_message_bytes.unwrap_or(0), Ordering::Relaxed);
        map.u32(at::PLANNED_SLOTS)?.store(spec.planned_slots(&classes), Ordering::Relaxed);
        let id = u128::from_le_bytes(hlc_id);
        map.u64(at::HLC_ID)?.store(id as u64, Ordering::Relaxed);
        map.u64(at::HLC_ID + 8)?.store((id >> 64) as u64, Ordering::Relaxed);
        Ok(())
    })?;
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    let read = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(ArenaFds { write, read })
}

impl ArenaSpec {
    fn planned_slots(&self, classes: &Classes) -> u32 {
        let Some(max) = self.max_message_bytes else { return 0 };
        let Some(class) = Classes::class_for(max) else { return 0 };
        let affordable = (PLAN_BUDGET / max.max(64)).max(2).min(u64::from(self.outstanding)) as u32;
        self.depth.unwrap_or(affordable).min(classes.count[class])
    }
}

/// The slots of every size.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    /// Slots per class.
    pub(crate) count: [u32; at::CLASSES],
    /// Number of the first slot of each class.
    first: [u32; at::CLASSES],
    /// Offset of the first slot of each class.
    offset: [u64; at::CLASSES],
    /// Slots in all.
    pub(crate) slots: u32,
    /// Bytes of the segment.
    end: u64,
}

impl Classes {
    pub(crate) fn new(outstanding: u32) -> Self {
        // An absurd number in a segment must not overflow anything below.
        let wanted = u64::from(outstanding.clamp(1, 1 << 20)).next_multiple_of(64);
        let mut all = Self {
            count: [0; at::CLASSES],
            first: [0; at::CLASSES],
            offset: [0; at::CLASSES],
            slots: 0,
            end: 0,
        };
        let mut offset = at::SLOTS;
        for class in 0..at::CLASSES {
            let size = Self::size(class);
            let count = wanted.min(at::CLASS_BUDGET / size) as u32;
            offset = offset.next_multiple_of(size.min(4096));
            (all.count[class], all.first[class], all.offset[class]) = (count, all.slots, offset);
            all.slots += count;
            offset += u64::from(count) * size;
        }
        all.end = offset;
        all
    }

    /// Bytes of a slot of this class.
    #[inline]
    pub(crate) const fn size(class: usize) -> u64 {
        1 << (at::MIN_SHIFT + class as u32)
    }

    /// Smallest class that holds `bytes`; `None` when none does.
    #[inline]
    pub(crate) fn class_for(bytes: u64) -> Option<usize> {
        let shift = bytes.max(1).checked_next_power_of_two()?.trailing_zeros().max(at::MIN_SHIFT);
        (shift <= at::MAX_SHIFT).then_some((shift - at::MIN_SHIFT) as usize)
    }

    /// Number of the `n`th slot of a class.
    #[inline]
    pub(crate) fn slot(&self, class: usize, n: u32) -> u32 {
        self.first[class] + n
    }

    /// Class of a slot number; `None` when there is no such slot.
    #[inline]
    pub(crate) fn class_of(&self, slot: u32) -> Option<usize> {
        (slot < self.slots).then(|| self.first.partition_point(|f| *f <= slot) - 1)
    }

    /// Offset and size of a slot; `None` when there is no such slot.
    #[inline]
    pub(crate) fn locate(&self, slot: u32) -> Option<(u64, u64)> {
        let class = self.class_of(slot)?;
        let size = Self::size(class);
        Some((self.offset[class] + u64::from(slot - self.first[class]) * size, size))
    }

    /// Words of a bit set over all slots.
    pub(crate) fn words(&self) -> usize {
        (self.slots as usize).div_ceil(64)
    }
}

/// A mapped arena, from either side.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) map: Arc<Mapping>,
    pub(crate) classes: Classes,
    /// Slots committed at the start, per class.
    pub(crate) planned: [u32; at::CLASSES],
    /// Declared largest message.
    pub(crate) max_bytes: Option<u64>,
    pub(crate) hlc_id: [u8; 16],
}

impl Arena {
    pub(crate) fn open(fd: &OwnedFd, access: Access) -> Result<Self, OpenError> {
        let map = Mapping::open(fd.as_fd(), Kind::Arena, access)?;
        let outstanding = map.u32(at::OUTSTANDING)?.load(Ordering::Relaxed);
        let classes = Classes::new(outstanding);
        if map.len() as u64 != classes.end {
            return Err(OpenError::Foreign {
                expected: Kind::Arena.noun(),
                why: "its size does not match its header",
            });
        }
        let max = map.u64(at::PLANNED_BYTES)?.load(Ordering::Relaxed);
        let slots = map.u32(at::PLANNED_SLOTS)?.load(Ordering::Relaxed);
        let id = [map.u64(at::HLC_ID)?, map.u64(at::HLC_ID + 8)?].map(|w| w.load(Ordering::Relaxed));
        let id = u128::from(id[0]) | u128::from(id[1]) << 64;
        let mut arena = Self {
            map,
            classes,
            planned: [0; at::CLASSES],
            max_bytes: (max != 0).then_some(max),
            hlc_id: id.to_le_bytes(),
        };
        arena.commit_plan(slots);
        Ok(arena)
    }

    /// Commits the header, some slots of every small class, and what the descriptor plans.
    fn commit_plan(&mut self, slots: u32) {
        self.map.populate(0, at::TYPE_DATA);
        for class in 0..at::CLASSES {
            if Classes::size(class) <= SMALL {
                self.commit(class, SMALL_SLOTS, Classes::size(class));
            }
        }
        if let Some(max) = self.max_bytes
            && let Some(class) = Classes::class_for(max)
        {
            self.commit(class, slots, max);
        }
    }

    /// Commits the first `bytes` of the first `count` slots of a class.
    pub(crate) fn commit(&mut self, class: usize, count: u32, bytes: u64) {
        let count = count.min(self.classes.count[class]);
        let size = Classes::size(class);
        let page = rustix::param::page_size() as u64;
        let from = self.planned[class];
        if count <= from {
            return;
        }
        if bytes.next_multiple_of(page) >= size {
            let first = self.classes.offset[class] + u64::from(from) * size;
            self.map.populate(first, u64::from(count - from) * size);
        } else {
            for n in from..count {
                self.map.populate(self.classes.offset[class] + u64::from(n) * size, bytes);
            }
        }
        self.planned[class] = count;
    }

    /// The type record with this number, as far as the sender has written it.
    ///
    /// The bytes lie in memory that the sender can write; check what they say.
    pub(crate) fn type_record(&self, id: u32) -> Option<&[u8]> {
        let index = u64::from(id.checked_sub(crate::types::FIRST_DYNAMIC)?);
        // Acquire, pairs with the Release in `types::TypeTable::intern`: the record is written.
        let count = u64::from(self.map.u32(at::TYPE_COUNT).ok()?.load(Ordering::Acquire));
        if index >= count.min(at::TYPE_MAX) {
            return None;
        }
        let entry = self.map.u64(at::TYPE_DIR + index * 8).ok()?.load(Ordering::Relaxed);
        let (offset, len) = (entry & 0xffff_ffff, entry >> 32);
        if offset < at::TYPE_DATA || offset + len > at::TYPE_END {
            return None;
        }
        let start = self.map.bytes(offset, len)?;
        // SAFETY: inside the mapping, which lives as long as `self`; initialised (a memfd starts as zeros).
        Some(unsafe { core::slice::from_raw_parts(start.as_ptr(), len as usize) })
    }
}

/// Where the metadata of a message starts, counted from its slot.
#[inline]
pub(crate) fn meta_offset(payload_len: u64) -> u64 {
    payload_len.next_multiple_of(8)
}

const _: () = assert!(layout::arena::MAX_SHIFT < 32, "lengths are u32");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_number_leads_to_its_own_aligned_bytes() {
        for outstanding in [1, 64, 100, 11_000] {
            let classes = Classes::new(outstanding);
            let mut end = at::SLOTS;
            for slot in 0..classes.slots {
                let (offset, size) = classes.locate(slot).unwrap();
                assert!(offset >= end, "slot {slot} overlaps its predecessor");
                assert!(offset.is_multiple_of(64));
                end = offset + size;
            }
            assert_eq!(end, classes.end);
            assert_eq!(classes.locate(classes.slots), None);
        }
    }

    #[test]
    fn a_message_gets_the_smallest_slot_that_holds_it() {
        assert_eq!(Classes::class_for(0), Some(0));
        assert_eq!(Classes::class_for(64), Some(0));
        assert_eq!(Classes::class_for(65), Some(1));
        assert_eq!(Classes::class_for(1 << at::MAX_SHIFT), Some(at::CLASSES - 1));
        assert_eq!(Classes::class_for((1 << at::MAX_SHIFT) + 1), None);
        assert_eq!(Classes::class_for(u64::MAX), None);
    }

    #[test]
    fn readers_cannot_map_an_arena_writable() {
        let fds = create(&ArenaSpec { outstanding: 8, ..Default::default() }, [7; 16]).unwrap();
        assert!(Arena::open(&fds.read, Access::Write).is_err());
        let arena = Arena::open(&fds.read, Access::Read).unwrap();
        assert_eq!(arena.hlc_id, [7; 16]);
    }
}
