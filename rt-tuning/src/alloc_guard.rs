//! Counts the calls that marked threads make to the allocator, to prove that a path makes none.
//!
//! ```
//! use rt_tuning::alloc_guard::{self, AllocGuard};
//!
//! #[global_allocator]
//! static GUARD: AllocGuard = AllocGuard;
//!
//! let (boxed, counts) = alloc_guard::count(|| Box::new(1));
//! assert_eq!((counts.allocations, counts.frees), (1, 0));
//! drop(boxed);
//! ```
//!
//! 1. Calls are counted, not live bytes: allocate-and-free stalls as well.
//! 2. A thread that is not marked costs one thread-local load per call.
//! 3. Marking without the guard as global allocator is allowed and counts nothing; [`is_installed`] tells.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The allocator of the system, with counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocGuard;

/// Calls to the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks asked for, zeroed or not.
    pub allocations: u64,
    /// Blocks whose size was changed.
    pub reallocations: u64,
    /// Blocks given back.
    pub frees: u64,
}

impl Counts {
    /// All calls together.
    pub fn calls(&self) -> u64 {
        self.allocations + self.reallocations + self.frees
    }

    fn since(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            reallocations: self.reallocations - before.reallocations,
            frees: self.frees - before.frees,
        }
    }
}

thread_local! {
    // Constant and without a destructor: using them allocates nothing and works while a thread ends.
    static MARKED: Cell<bool> = const { Cell::new(false) };
    static OWN: Cell<Counts> = const { Cell::new(Counts { allocations: 0, reallocations: 0, frees: 0 }) };
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static REALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

/// From now on the calls of this thread are counted, or no longer. Returns how it was before.
pub fn mark(counted: bool) -> bool {
    MARKED.replace(counted)
}

/// Calls of the calling thread while it was marked.
pub fn of_this_thread() -> Counts {
    OWN.get()
}

/// Calls of all threads while they were marked, since the process began.
pub fn of_all_threads() -> Counts {
    Counts {
        allocations: ALLOCATIONS.load(Relaxed),
        reallocations: REALLOCATIONS.load(Relaxed),
        frees: FREES.load(Relaxed),
    }
}

/// Runs `work` marked and tells what it asked of the allocator. After a panic the thread stays marked.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let before = of_this_thread();
    let marked = mark(true);
    let result = work();
    mark(marked);
    (result, of_this_thread().since(before))
}

/// Is the guard the global allocator of this program? A proof with another allocator proves nothing.
pub fn is_installed() -> bool {
    count(|| drop(std::hint::black_box(Box::new(0u8)))).1.calls() > 0
}

#[inline]
fn counted(add: impl FnOnce(&mut Counts), total: &AtomicU64) {
    if MARKED.get() {
        let mut own = OWN.get();
        add(&mut own);
        OWN.set(own);
        total.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call goes to `System` with unchanged arguments, so its guarantees are ours; counting touches only
// thread-locals and atomics and cannot unwind or allocate.
unsafe impl GlobalAlloc for AllocGuard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted(|own| own.allocations += 1, &ALLOCATIONS);
        // SAFETY: our caller fulfils the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        counted(|own| own.allocations += 1, &ALLOCATIONS);
        // SAFETY: our caller fulfils the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted(|own| own.reallocations += 1, &REALLOCATIONS);
        // SAFETY: our caller fulfils the same contract; `block` came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        counted(|own| own.frees += 1, &FREES);
        // SAFETY: our caller fulfils the same contract; `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}
