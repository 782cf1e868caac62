//! Bare shared memory for the floors: cache lines with one word each, and a bare futex.
#![expect(unsafe_code, reason = "maps shared memory and looks at it as atomics")]

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64},
};

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap},
    thread::futex,
};

/// One word of each width, alone in its pair of cache lines.
#[repr(C, align(128))]
pub struct Line {
    /// For hand-offs.
    pub flag: AtomicU64,
    /// For futexes.
    pub futex: AtomicU32,
    /// Travels with the flag.
    pub stamp: AtomicU64,
}

const LINES: usize = 4096 / size_of::<Line>();

/// A page of lines. Stays mapped for the life of the process.
pub struct Lines(NonNull<Line>);

/// Creates a page of zeroed lines.
///
/// # Errors
/// What `memfd_create` or `ftruncate` say.
pub fn create() -> io::Result<OwnedFd> {
    let fd = memfd_create("bench-lines", MemfdFlags::CLOEXEC)?;
    ftruncate(&fd, 4096)?;
    Ok(fd)
}

impl Lines {
    /// Maps a page of lines.
    ///
    /// # Errors
    /// What `mmap` says.
    pub fn map(fd: &OwnedFd) -> io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing of ours is replaced.
        let start = unsafe { mmap(std::ptr::null_mut(), 4096, prot, flags, fd.as_fd(), 0)? };
        NonNull::new(start.cast()).map(Self).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// The `i`th line of the page, counted round.
    pub fn line(&self, i: usize) -> &Line {
        // SAFETY: the index is below the number of lines in the mapped page, which is never unmapped; page
        // alignment is more than the line's; all fields are atomics, valid for any bits.
        unsafe { self.0.add(i % LINES).as_ref() }
    }
}

/// Sleeps while `*word == expected`.
#[inline]
pub fn futex_wait(word: &AtomicU32, expected: u32) {
    // Interrupted, or changed already: the caller looks again.
    futex::wait(word, futex::Flags::empty(), expected, None).ok();
}

/// Wakes one sleeper.
#[inline]
pub fn futex_wake(word: &AtomicU32) {
    // Cannot fail on a mapped, aligned word.
    futex::wake(word, futex::Flags::empty(), 1).ok();
}
