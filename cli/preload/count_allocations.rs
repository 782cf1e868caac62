//! Counts the calls that each thread of a process makes to the C allocator, for `dora prove`.
//!
//! A shared object that the dynamic loader puts before the C library (`LD_PRELOAD`): its `malloc` and the others count and
//! go on to the next one. `build.rs` compiles it by itself, without Cargo, and it is embedded in `dora`.
//!
//! 1. A call costs a thread-local load and one store; the memory it writes was mapped before `main`.
//! 2. Counting allocates nothing, locks nothing and cannot fail; a thread that gets no slot goes uncounted, and the page
//!    shows that.
//! 3. While the next allocator is being looked up, which may itself allocate, memory comes from a static array.
//! 4. After `fork` the child's thread takes a slot of its own.

mod layout;

use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_long, c_void},
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn mmap(at: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
    fn getenv(name: *const c_char) -> *const c_char;
    fn getpid() -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
    fn __errno_location() -> *mut c_int;
}

const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
const RTLD_DEFAULT: *mut c_void = ptr::null_mut();
const O_RDWR_CLOEXEC: c_int = 0o2 | 0o2000000;
const PROT_READ_WRITE: c_int = 1 | 2;
const MAP_SHARED_POPULATE: c_int = 0x1 | 0x8000;
const ENOMEM: c_int = 12;
#[cfg(target_arch = "x86_64")]
const SYS_GETTID: c_long = 186;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const SYS_GETTID: c_long = 178;

/// The page; null until it is mapped, and for ever when it cannot be.
static PAGE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    // Constant and without a destructor: no allocation on first use, and still there while a thread ends.
    static SLOT: Cell<Slot> = const { Cell::new(Slot::Unclaimed) };
    static LOOKING_UP: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Copy)]
enum Slot {
    Unclaimed,
    /// The page was full.
    Without,
    At(*mut u8),
}

#[inline]
fn count(counter: usize) {
    match SLOT.get() {
        Slot::At(slot) => add(slot, counter),
        Slot::Without => {}
        Slot::Unclaimed => {
            if let Some(slot) = claim() {
                add(slot, counter);
            }
        }
    }
}

#[inline]
fn add(slot: *mut u8, counter: usize) {
    // SAFETY: `claim` found the slot inside the mapping, which is never unmapped; offsets are below LINE and aligned.
    let counter = unsafe { &*slot.add(counter).cast::<AtomicU64>() };
    // Only this thread writes, so no read-modify-write is needed.
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// Takes a slot for this thread; `None` when there is no page (yet) or no slot left.
#[cold]
fn claim() -> Option<*mut u8> {
    let page = PAGE.load(Acquire);
    if page.is_null() {
        return None;
    }
    // SAFETY: the page is mapped with its whole SIZE.
    let given = unsafe { &*page.add(layout::GIVEN).cast::<AtomicU64>() };
    let index = given.fetch_add(1, AcqRel) as usize;
    if index >= layout::CAPACITY {
        SLOT.set(Slot::Without);
        return None;
    }
    // SAFETY: index < CAPACITY.
    let slot = unsafe { page.add(layout::LINE * (1 + index)) };
    SLOT.set(Slot::At(slot));
    // SAFETY: `dlsym` with a NUL-terminated name. The program itself comes before us in the search: if it has a
    // `malloc` of its own, its calls never get here.
    let found = unsafe { dlsym(RTLD_DEFAULT, c"malloc".as_ptr()) };
    let flags = if found == malloc as *mut c_void { layout::INTERPOSED } else { 0 };
    // SAFETY: the slot is ours alone, inside the page and aligned; both calls take no memory.
    unsafe {
        (*slot.add(layout::PID).cast::<AtomicU32>()).store(getpid() as u32, Relaxed);
        (*slot.add(layout::FLAGS).cast::<AtomicU64>()).store(flags, Relaxed);
        // Release: who sees the thread id sees the rest.
        (*slot.add(layout::TID).cast::<AtomicU32>()).store(syscall(SYS_GETTID) as u32, Release);
    }
    Some(slot)
}

/// Before `main`, on the main thread.
extern "C" fn start() {
    let mut name = [0u8; 32];
    name[..layout::ENV_PAGE.len()].copy_from_slice(layout::ENV_PAGE.as_bytes());
    // SAFETY: NUL-terminated names; the mapping is checked before use, and stays for the life of the process.
    unsafe {
        let path = getenv(name.as_ptr().cast());
        if path.is_null() {
            return;
        }
        let fd = open(path, O_RDWR_CLOEXEC);
        if fd < 0 {
            return;
        }
        let page = mmap(ptr::null_mut(), layout::SIZE, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, 0);
        close(fd);
        if page as isize == -1 || (*page.cast::<AtomicU64>()).load(Relaxed) != layout::MAGIC {
            return;
        }
        PAGE.store(page.cast(), Release);
        pthread_atfork(None, None, Some(after_fork));
    }
    // Unless the line above has allocated: then there is one already.
    if matches!(SLOT.get(), Slot::Unclaimed) {
        claim();
    }
}

extern "C" fn after_fork() {
    SLOT.set(Slot::Unclaimed);
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

/// Memory for whoever looks up the next allocator. Never given back.
#[repr(C, align(16))]
struct Spare([u8; SPARE]);
const SPARE: usize = 64 << 10;
static mut SPARE_MEMORY: Spare = Spare([0; SPARE]);
static SPARE_USED: AtomicUsize = AtomicUsize::new(0);

fn spare(size: usize) -> *mut c_void {
    let size = size.max(1).next_multiple_of(16);
    let at = SPARE_USED.fetch_add(size, Relaxed);
    if size > SPARE || at > SPARE - size {
        return ptr::null_mut();
    }
    // SAFETY: `at + size <= SPARE`, and the counter gives each byte out once.
    unsafe { (&raw mut SPARE_MEMORY).cast::<u8>().add(at).cast() }
}

fn is_spare(block: *mut c_void) -> bool {
    let start = &raw const SPARE_MEMORY as usize;
    (start..start + SPARE).contains(&(block as usize))
}

/// A function of the next allocator.
struct Next {
    name: &'static core::ffi::CStr,
    found: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static core::ffi::CStr) -> Self {
        Self { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Null when there is none, or while it is being looked up by this very thread.
    #[inline]
    fn get(&self) -> *mut c_void {
        let found = self.found.load(Relaxed);
        if found.is_null() { self.look_up() } else { found }
    }

    #[cold]
    fn look_up(&self) -> *mut c_void {
        if LOOKING_UP.replace(true) {
            return ptr::null_mut();
        }
        // SAFETY: a NUL-terminated name.
        let found = unsafe { dlsym(RTLD_NEXT, self.name.as_ptr()) };
        LOOKING_UP.set(false);
        self.found.store(found, Relaxed);
        found
    }
}

/// Calls the next function of that name and type; `$without` when there is none.
macro_rules! next {
    ($name:literal, fn($($kind:ty),*) -> $result:ty, ($($argument:expr),*), $without:expr) => {{
        static NEXT: Next = Next::new($name);
        let found = NEXT.get();
        if found.is_null() {
            $without
        } else {
            // SAFETY: the C library's function of that name has this type; our caller keeps its contract.
            unsafe { std::mem::transmute::<*mut c_void, extern "C" fn($($kind),*) -> $result>(found)($($argument),*) }
        }
    }};
}

/// See malloc(3), as all below.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    count(layout::ALLOCATIONS);
    next!(c"malloc", fn(usize) -> *mut c_void, (size), spare(size))
}

/// Spare memory is zeroed, for it is given out once.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    count(layout::ALLOCATIONS);
    next!(c"calloc", fn(usize, usize) -> *mut c_void, (number, size), {
        number.checked_mul(size).map_or(ptr::null_mut(), spare)
    })
}

/// A spare block moves to the real allocator; how long it was is unknown, but not beyond the end of the array.
#[unsafe(no_mangle)]
pub extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if is_spare(block) {
        let fresh = malloc(size);
        let left = &raw const SPARE_MEMORY as usize + SPARE - block as usize;
        if !fresh.is_null() {
            // SAFETY: both ranges are inside their blocks, and one is in the array while the other is not (or is newer).
            unsafe { ptr::copy(block.cast::<u8>(), fresh.cast::<u8>(), size.min(left)) };
        }
        return fresh;
    }
    count(layout::REALLOCATIONS);
    next!(c"realloc", fn(*mut c_void, usize) -> *mut c_void, (block, size), ptr::null_mut())
}

#[unsafe(no_mangle)]
pub extern "C" fn reallocarray(block: *mut c_void, number: usize, size: usize) -> *mut c_void {
    match number.checked_mul(size) {
        Some(size) => realloc(block, size),
        None => {
            // SAFETY: the address of this thread's `errno`.
            unsafe { *__errno_location() = ENOMEM };
            ptr::null_mut()
        }
    }
}

/// `free(NULL)` does nothing and is not counted.
#[unsafe(no_mangle)]
pub extern "C" fn free(block: *mut c_void) {
    if block.is_null() || is_spare(block) {
        return;
    }
    count(layout::FREES);
    next!(c"free", fn(*mut c_void) -> (), (block), ())
}

#[unsafe(no_mangle)]
pub extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
    count(layout::ALLOCATIONS);
    next!(c"posix_memalign", fn(*mut *mut c_void, usize, usize) -> c_int, (to, align, size), ENOMEM)
}

#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    count(layout::ALLOCATIONS);
    next!(c"aligned_alloc", fn(usize, usize) -> *mut c_void, (align, size), ptr::null_mut())
}

#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    count(layout::ALLOCATIONS);
    next!(c"memalign", fn(usize, usize) -> *mut c_void, (align, size), ptr::null_mut())
}

#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    count(layout::ALLOCATIONS);
    next!(c"valloc", fn(usize) -> *mut c_void, (size), ptr::null_mut())
}

#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    count(layout::ALLOCATIONS);
    next!(c"pvalloc", fn(usize) -> *mut c_void, (size), ptr::null_mut())
}
