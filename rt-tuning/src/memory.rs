//! Memory that is there before it is needed, and stays.
//!
//! A page fault in a 1 kHz loop costs from half a microsecond to a disk access. Three things cause them: pages that
//! were never touched, pages that the kernel took back, and huge pages that it is just assembling. Locking with
//! MCL_ONFAULT keeps what was touched without committing what is only reserved, so arenas can reserve address space
//! in gigabytes; what must be present is then touched by whoever maps it.

#![expect(unsafe_code, reason = "mallopt and the bounds of a stack have no wrapper")]

use rustix::{io::Errno, mm::MlockAllFlags};

use crate::{TuningError, rights};

const PAGE: usize = 4096;
/// Stack that stays untouched below the pre-faulted part, for the guard page and signal handlers.
const SPARE: usize = 64 * 1024;

/// Keeps every page of the process in memory once it has been touched, now and in future.
///
/// # Errors
/// Without CAP_IPC_LOCK and with a finite limit (`ulimit -l`), whatever its size: a later mapping would exceed the
/// limit and fail, in code that cannot know why. Nothing is locked then.
///
/// # Real time
/// One system call that walks all mappings: milliseconds. Before the loop.
pub fn lock_all() -> Result<(), TuningError> {
    let refuse = |reason: String| Err(TuningError::new("memory lock", reason).fixed_by(rights::memory_fix()));
    if let Some(limit) = rights::memory_limit()
        && !rights::has(rights::CAP_IPC_LOCK)
    {
        return refuse(format!(
            "not permitted without CAP_IPC_LOCK: the limit of locked memory (`ulimit -l`) is {} KiB, and every later \
             mapping would count against it",
            limit / 1024
        ));
    }
    match rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL) => {
            Err(TuningError::new("memory lock", "this kernel is older than 4.4 and has no MCL_ONFAULT"))
        }
        Err(error) => refuse(error.to_string()),
    }
}

/// Touches `bytes` of stack below the caller, but never the last 64 KiB. Returns how many were touched.
///
/// # Real time
/// Up to one page fault per 4 KiB. Before the loop; a second call finds the pages present.
#[inline(never)]
pub fn prefault_stack(bytes: usize) -> usize {
    let here = 0u8;
    let top = &raw const here as usize;
    let lowest = top.saturating_sub(bytes).max(stack_bottom().saturating_add(SPARE));
    if lowest < top {
        touch(lowest);
    }
    top.saturating_sub(lowest)
}

/// Writes one page per level of recursion, down to the address `lowest`. The arrays of two levels follow each other
/// with less than a page between them, so no page is stepped over.
#[inline(never)]
fn touch(lowest: usize) {
    let mut page = [0u8; PAGE];
    std::hint::black_box(&mut page);
    if page.as_ptr() as usize > lowest {
        touch(lowest);
    }
    // Used after the call as well, so that the recursion cannot be turned into a loop over one frame.
    std::hint::black_box(&mut page);
}

/// Lowest address of the calling thread's stack; `usize::MAX` (nothing may be touched) when unknown.
fn stack_bottom() -> usize {
    // SAFETY: all zeros is a valid pthread_attr_t to be overwritten; it is read only after pthread_getattr_np
    // succeeded, which initialised it, and destroyed exactly once.
    unsafe {
        let mut attr: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attr) != 0 {
            return usize::MAX;
        }
        let (mut bottom, mut size) = (std::ptr::null_mut(), 0);
        let known = libc::pthread_attr_getstack(&raw const attr, &raw mut bottom, &raw mut size) == 0;
        libc::pthread_attr_destroy(&raw mut attr);
        if known { bottom as usize } else { usize::MAX }
    }
}

/// Turns transparent huge pages off for this process; children inherit it.
///
/// # Errors
/// What `prctl` says; no right is needed.
pub fn disable_thp() -> Result<(), TuningError> {
    rustix::thread::disable_transparent_huge_pages(true)
        .map_err(|error| TuningError::new("transparent huge pages off", error.to_string()))
}

/// Makes malloc keep what it got: freed memory is not given back to the kernel and large blocks are not mapped one
/// by one, so neither faults twice. True when the allocator took it; musl and others have no such switch.
pub fn tune_malloc() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt takes two integers and locks its arena by itself.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, -1) == 1 && libc::mallopt(libc::M_MMAP_MAX, 0) == 1 }
    }
    #[cfg(not(target_env = "gnu"))]
    {
        false
    }
}

/// Touches `bytes` of the calling thread's heap and gives them back to its allocator. After [`tune_malloc`] that keeps them, so
/// blocks that are allocated later lie in pages that are there: a node that cannot do without allocating does not fault too.
///
/// # Real time
/// Up to one page fault per 4 KiB. Before the loop.
pub fn prefault_heap(bytes: usize) {
    let mut block = vec![0u8; bytes];
    block.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(&mut block);
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;
    use crate::thread_cost::ThreadCounters;

    #[test]
    fn what_is_allocated_after_the_heap_was_touched_does_not_fault() {
        let faults = |touch: fn()| {
            std::thread::spawn(move || {
                let counters = ThreadCounters::open();
                touch();
                let before = counters.read();
                let blocks: Vec<Box<[u8]>> = (1..=100u8).map(|n| vec![n; 5000].into()).collect();
                std::hint::black_box(&blocks);
                counters.read().since(&before).minor_faults
            })
            .join()
            .unwrap()
        };
        assert!(tune_malloc());
        let (cold, warm) = (faults(|| ()), faults(|| prefault_heap(1 << 20)));
        // 500 KB are 122 pages; a few may be moved under our hands.
        assert!(cold >= 50 && warm <= cold / 10, "{cold} faults without, {warm} with");
    }
}
