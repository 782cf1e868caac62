//! The page where the counting library writes and `dora prove` reads. One slot per thread, never used twice.
//!
//! ```text
//!   0  magic        8  slots given out (may pass CAPACITY: then threads went without)
//!  64  slot 0     128  slot 1  …     written by its thread alone, but read by anybody
//!      0 thread id (0 = not yet filled)   4 process id   8 flags
//!     16 allocations   24 reallocations   32 frees
//! ```
//!
//! Compiled twice: into the library and into `dora`.

/// At offset 0; another number is another layout.
pub(crate) const MAGIC: u64 = 0x0001_544e_554f_4344;
/// Threads that can be counted, over all processes of a run.
pub(crate) const CAPACITY: usize = 4096;
/// Bytes of the header and of each slot: a cache line.
pub(crate) const LINE: usize = 64;
/// Bytes of the page.
pub(crate) const SIZE: usize = LINE + CAPACITY * LINE;

/// Offset of the number of slots given out.
pub(crate) const GIVEN: usize = 8;
/// Offsets within a slot.
pub(crate) const TID: usize = 0;
pub(crate) const PID: usize = 4;
pub(crate) const FLAGS: usize = 8;
pub(crate) const ALLOCATIONS: usize = 16;
pub(crate) const REALLOCATIONS: usize = 24;
pub(crate) const FREES: usize = 32;

/// In the flags: the program's calls of `malloc` arrive in the library.
pub(crate) const INTERPOSED: u64 = 1;

/// The variable that names the page.
pub(crate) const ENV_PAGE: &str = "DORA_COUNT_PAGE";
