//! The page in which the counting library of every process of the run writes, read while they do.

#![expect(
    unsafe_code,
    reason = "maps a page that other processes write, and borrows a descriptor by its number"
)]

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, RawFd},
    ptr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed},
};

use rustix::mm::{MapFlags, ProtFlags, mmap};

#[path = "../../../preload/layout.rs"]
mod layout;

pub(super) use layout::{ENV_PAGE, SIZE};

/// Calls of one thread to the C allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// `malloc`, `calloc`, and those with an alignment.
    pub(crate) allocations: u64,
    /// `realloc`
    pub(crate) reallocations: u64,
    /// `free`
    pub(crate) frees: u64,
}

impl Calls {
    /// All together.
    pub(crate) fn all(&self) -> u64 {
        self.allocations + self.reallocations + self.frees
    }

    /// What was added since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            allocations: self.allocations.saturating_sub(before.allocations),
            reallocations: self.reallocations.saturating_sub(before.reallocations),
            frees: self.frees.saturating_sub(before.frees),
        }
    }
}

/// One thread that was ever counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// The program's calls arrive in the library.
    pub(super) interposed: bool,
    pub(super) calls: Calls,
}

/// The mapped page. It stays mapped for as long as this process lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    start: ptr::NonNull<u8>,
}

// SAFETY: the mapping is never removed, and everything in it is read and written by atomics.
unsafe impl Send for Page {}

impl Page {
    /// Maps the page behind `file`.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        Self::of(file.as_fd())
    }

    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        if rustix::fs::fstat(fd)?.st_size != SIZE as i64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the page of counters has another size"));
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let start = unsafe { mmap(ptr::null_mut(), SIZE, protection, MapFlags::SHARED, fd, 0) }?;
        let start = ptr::NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start })
    }

    fn u64(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset + 8 <= SIZE && offset.is_multiple_of(8));
        // SAFETY: the mapping has SIZE bytes and stays; the offset is aligned and inside.
        unsafe { self.start.add(offset).cast().as_ref() }
    }

    fn u32(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset + 4 <= SIZE && offset.is_multiple_of(4));
        // SAFETY: as above.
        unsafe { self.start.add(offset).cast().as_ref() }
    }

    /// Every thread that has a slot, the newest last.
    pub(super) fn read(&self) -> Vec<Counted> {
        let given = self.u64(layout::GIVEN).load(Acquire).min(layout::CAPACITY as u64) as usize;
        let slot = |index: usize| {
            let at = layout::LINE * (1 + index);
            // Acquire, pairs with the Release of the library: who sees the thread sees its process.
            let tid = self.u32(at + layout::TID).load(Acquire);
            let count = |offset| self.u64(at + offset).load(Relaxed);
            (tid != 0).then(|| Counted {
                tid,
                pid: self.u32(at + layout::PID).load(Relaxed),
                interposed: count(layout::FLAGS) & layout::INTERPOSED != 0,
                calls: Calls {
                    allocations: count(layout::ALLOCATIONS),
                    reallocations: count(layout::REALLOCATIONS),
                    frees: count(layout::FREES),
                },
            })
        };
        (0..given).filter_map(slot).collect()
    }

    /// Threads that found no room.
    pub(super) fn without_room(&self) -> u64 {
        self.u64(layout::GIVEN).load(Relaxed).saturating_sub(layout::CAPACITY as u64)
    }
}

/// Writes the header of an empty page.
pub(super) fn initialise(fd: &impl AsFd) -> io::Result<()> {
    Page::of(fd.as_fd())?.u64(0).store(layout::MAGIC, Relaxed);
    Ok(())
}

/// Does something with a descriptor that is known by its number.
pub(super) fn with_fd(
    number: RawFd,
    work: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<()>,
) -> io::Result<()> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: not -1; a descriptor that is not open makes the call fail, and nothing else.
    Ok(work(unsafe { BorrowedFd::borrow_raw(number) })?)
}
