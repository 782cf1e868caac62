//! Shared memory without a name: create, map, look at it through atomics.
//!
//! A segment is a memfd whose size is sealed, so that no other process can shrink it under our feet (SIGBUS). It
//! travels as a descriptor over a Unix socket and vanishes with the last process that has it, however that process
//! ends. Every look goes through [`Shared`], which holds the mapping alive and only ever yields atomics, or
//! through the byte pointers of [`Mapping::bytes`].
#![expect(unsafe_code, reason = "maps memory that other processes share")]

use std::{
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::NonNull,
    sync::Arc,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create},
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap},
};

use crate::{
    error::OpenError,
    layout::{self, Kind},
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// Creates a memfd of `len` bytes with prefix, sealed against resizing.
///
/// # Errors
/// What `memfd_create`, `ftruncate` or `mmap` say: out of descriptors, out of memory, an address-space limit.
pub(crate) fn create(
    name: &str,
    kind: Kind,
    len: u64,
    init: impl FnOnce(&Mapping) -> Result<(), OpenError>,
) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, len)?;
    let map = Mapping::new(fd.as_fd(), Access::Write).map_err(io::Error::other)?;
    init(&map).map_err(io::Error::other)?;
    let word = |at| map.u32(at).map_err(io::Error::other);
    word(layout::PREFIX_KIND)?.store(kind as u32, Ordering::Relaxed);
    word(layout::PREFIX_VERSION)?.store(layout::VERSION, Ordering::Relaxed);
    map.u64(layout::PREFIX_MAGIC).map_err(io::Error::other)?.store(layout::MAGIC, Ordering::Release);
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

/// How a segment is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Loads only; a store would fault.
    Read,
    /// Loads and stores.
    Write,
}

/// A mapped segment. Unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    access: Access,
}

// SAFETY: the mapping is plain memory at a fixed address until drop; all access goes through atomics or through
// slots whose single owner the protocols of this crate establish.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, access: Access) -> Result<Arc<Self>, OpenError> {
        let len = rustix::fs::fstat(fd).map_err(OpenError::os("fstat of a segment"))?.st_size;
        let len = usize::try_from(len).map_err(|_| OpenError::Foreign {
            expected: "a segment",
            why: "it is larger than this machine's addresses",
        })?;
        if len < 64 {
            return Err(OpenError::Foreign { expected: "a segment", why: "it is smaller than its header" });
        }
        let prot = match access {
            Access::Read => ProtFlags::READ,
            Access::Write => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: a fresh mapping at an address of the kernel's choice; it aliases nothing of this process.
        let base =
            unsafe { mmap(core::ptr::null_mut(), len, prot, MapFlags::SHARED | MapFlags::NORESERVE, fd, 0) }
                .map_err(OpenError::os("mmap of a segment"))?;
        let base = NonNull::new(base.cast::<u8>())
            .ok_or(OpenError::Foreign { expected: "a segment", why: "the kernel mapped it at address 0" })?;
        // SAFETY: exactly the range just mapped. Failure is harmless: arenas would be part of a core dump.
        unsafe { madvise(base.as_ptr().cast(), len, Advice::LinuxDontDump) }.ok();
        Ok(Arc::new(Self { base, len, access }))
    }

    /// Maps a segment that somebody else made; believes nothing about it.
    ///
    /// # Errors
    /// [`OpenError::Foreign`] when it is not sealed against shrinking or is no segment of `kind`,
    /// [`OpenError::Version`] when it was made by another version.
    pub(crate) fn open(fd: BorrowedFd<'_>, kind: Kind, access: Access) -> Result<Arc<Self>, OpenError> {
        let seals = fcntl_get_seals(fd)
            .map_err(|_| OpenError::Foreign { expected: kind.noun(), why: "it is not a memfd" })?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(OpenError::Foreign { expected: kind.noun(), why: "its size is not sealed" });
        }
        let map = Self::new(fd, access)?;
        if map.u64(layout::PREFIX_MAGIC)?.load(Ordering::Acquire) != layout::MAGIC {
            return Err(OpenError::Foreign { expected: kind.noun(), why: "the magic number is missing" });
        }
        if map.u32(layout::PREFIX_KIND)?.load(Ordering::Relaxed) != kind as u32 {
            return Err(OpenError::Foreign { expected: kind.noun(), why: "it is another kind of segment" });
        }
        let theirs = map.u32(layout::PREFIX_VERSION)?.load(Ordering::Relaxed);
        if theirs != layout::VERSION {
            return Err(OpenError::Version { theirs, ours: layout::VERSION });
        }
        Ok(map)
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A range as `T`s, checked against bounds and alignment.
    fn range<T: SharedWord>(&self, offset: u64, count: u64) -> Result<NonNull<T>, OpenError> {
        const BOUNDS: OpenError = OpenError::Foreign {
            expected: "a whole segment",
            why: "a part of it would lie outside its bounds",
        };
        let size = count.checked_mul(size_of::<T>() as u64).ok_or(BOUNDS)?;
        let end = offset.checked_add(size).ok_or(BOUNDS)?;
        if end > self.len as u64 || !offset.is_multiple_of(align_of::<T>() as u64) {
            return Err(BOUNDS);
        }
        // SAFETY: `offset <= len`, so the result stays inside the mapping.
        Ok(unsafe { self.base.add(offset as usize) }.cast())
    }

    /// One u64 of the segment.
    pub(crate) fn u64(&self, offset: u64) -> Result<&AtomicU64, OpenError> {
        let at = self.range::<AtomicU64>(offset, 1)?;
        // SAFETY: in bounds and aligned (`range`), mapped as long as `self` lives, valid for any bits.
        Ok(unsafe { at.as_ref() })
    }

    /// One u32 of the segment.
    pub(crate) fn u32(&self, offset: u64) -> Result<&AtomicU32, OpenError> {
        let at = self.range::<AtomicU32>(offset, 1)?;
        // SAFETY: in bounds and aligned (`range`), mapped as long as `self` lives, valid for any bits.
        Ok(unsafe { at.as_ref() })
    }

    /// Address of a byte range, `None` when it is not wholly inside.
    #[inline]
    pub(crate) fn bytes(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len as u64 {
            return None;
        }
        // SAFETY: `offset <= len` of the mapping.
        Some(unsafe { self.base.add(offset as usize) })
    }

    /// Commits the pages of a range now (`MADV_POPULATE_*`, Linux 5.14). Best effort: without it the first touch
    /// commits them, which is counted where it matters.
    pub(crate) fn populate(&self, offset: u64, len: u64) {
        let page = rustix::param::page_size() as u64;
        let start = offset / page * page;
        let Some(end) = offset.checked_add(len) else { return };
        let end = end.next_multiple_of(page).min((self.len as u64).next_multiple_of(page));
        if start >= end {
            return;
        }
        let advice = match self.access {
            Access::Read => Advice::LinuxPopulateRead,
            Access::Write => Advice::LinuxPopulateWrite,
        };
        // SAFETY: page-aligned range inside the mapping; populating changes no content.
        unsafe { madvise(self.base.as_ptr().add(start as usize).cast(), (end - start) as usize, advice) }
            .ok();
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped; every `Shared` holds an `Arc` of us, so nobody looks at it.
        unsafe { munmap(self.base.as_ptr().cast(), self.len) }.ok();
    }
}

/// Types that may be looked at in memory which another process writes: atomics and structs of them.
///
/// # Safety
/// Every bit pattern is valid, and all access is atomic.
pub(crate) unsafe trait SharedWord: Sync {}
// SAFETY: atomics.
unsafe impl SharedWord for AtomicU32 {}
// SAFETY: atomics.
unsafe impl SharedWord for AtomicU64 {}
// SAFETY: eight atomics.
unsafe impl SharedWord for crate::ring::Entry {}

/// A slice of shared words, with whatever keeps it alive.
pub(crate) struct Shared<T> {
    ptr: NonNull<T>,
    len: usize,
    _owner: Owner<T>,
}

enum Owner<T> {
    Mapping(/* keeps it alive */ Arc<Mapping>),
    Heap(/* keeps them alive */ Arc<[T]>),
}

// SAFETY: a `Shared` is a counted reference to `Sync` words.
unsafe impl<T: SharedWord> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: SharedWord> Sync for Shared<T> {}

impl<T: SharedWord> Shared<T> {
    /// A range of a mapping.
    pub(crate) fn map(map: &Arc<Mapping>, offset: u64, count: u64) -> Result<Self, OpenError> {
        Ok(Self { ptr: map.range(offset, count)?, len: count as usize, _owner: Owner::Mapping(map.clone()) })
    }

    /// Words of this process only: model tests, and the return set of loans.
    pub(crate) fn heap(words: Vec<T>) -> Self {
        let words: Arc<[T]> = words.into();
        Self { ptr: NonNull::from(&words[..]).cast(), len: words.len(), _owner: Owner::Heap(words) }
    }

    /// The first word, for ranges of one.
    #[inline]
    pub(crate) fn one(&self) -> &T {
        debug_assert!(self.len >= 1);
        // SAFETY: every constructor call site of a single word asks for one word, and `map` checked the bounds.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        let _owner = match &self._owner {
            Owner::Mapping(m) => Owner::Mapping(m.clone()),
            Owner::Heap(h) => Owner::Heap(h.clone()),
        };
        Self { ptr: self.ptr, len: self.len, _owner }
    }
}

impl<T: SharedWord> Deref for Shared<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `ptr..ptr+len` was checked by `map` (or is the heap slice) and lives as long as `_owner`.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared[{}]", self.len)
    }
}
