//! Handles: numbers that look like pointers, and what they stand for.
//!
//! A program in C can pass anything as a handle: one that it freed, one of another kind, a pointer of its own. So a handle is
//! never followed. It is looked up, and only a handle that was given out, is of this kind and was not freed since is found.
//!
//! ```text
//! handle   generation | index | kind
//! slot     generation << 2 | state      free, taken (being filled or emptied), in use
//! ```
//!
//! 1. Slots never move and their memory is never given back, so a stale handle reads a generation, not garbage.
//! 2. A generation begins when a slot is filled. A slot whose generations are used up is not used again: no handle is ever
//!    given out twice.
//! 3. Of several threads that remove one handle at the same time, one succeeds.
//! 4. Who reads through a handle while another thread removes it breaks the contract of `node_api.h`; this is the one wrong
//!    use that is not found. Contexts, which one thread may free while another waits, are never deallocated.
//!
//! Cost: a lookup is three loads; keeping and removing a value is one exchange each, as long as the slot that was freed last is
//! still free. Otherwise keeping one looks through the slots, and makes more when none is free.
#![expect(unsafe_code, reason = "slots are shared between threads under the rule of their generation")]

use std::{
    cell::UnsafeCell,
    ffi::c_void,
    mem::MaybeUninit,
    ptr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use crate::status::{Failure, Outcome, Status};

const KIND_BITS: u32 = 3;
const INDEX_BITS: u32 = if usize::BITS == 64 { 24 } else { 13 };
const LAST_GENERATION: usize = usize::MAX >> (KIND_BITS + INDEX_BITS);
/// Slots of the first page; each further one has twice as many.
const FIRST_PAGE: usize = 64;
const PAGES: usize = (INDEX_BITS - FIRST_PAGE.ilog2()) as usize;

/// States of a slot.
const FREE: usize = 0;
const TAKEN: usize = 1;
const IN_USE: usize = 2;
const STATE_BITS: u32 = 2;
/// One generation more.
const NEXT: usize = 1 << STATE_BITS;

/// What a handle stands for. Never 0, so that no handle is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Context = 1,
    Event = 2,
    Metadata = 3,
    Loan = 4,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Context => "a context",
            Kind::Event => "an event",
            Kind::Metadata => "metadata",
            Kind::Loan => "a loan",
        }
    }

    fn of(handle: usize) -> Option<Self> {
        let kinds = [Kind::Context, Kind::Event, Kind::Metadata, Kind::Loan];
        kinds.into_iter().find(|kind| *kind as usize == handle & ((1 << KIND_BITS) - 1))
    }

    /// Is this a handle of this kind, by its looks?
    pub(crate) fn is(self, handle: *const c_void) -> bool {
        Self::of(handle.addr()) == Some(self)
    }
}

struct Slot<T> {
    /// Generation and state.
    word: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// The objects of one kind.
pub(crate) struct Table<T> {
    kind: Kind,
    pages: [OnceLock<Box<[Slot<T>]>>; PAGES],
    /// Number of slots.
    size: AtomicUsize,
    /// Where to look first: most programs free one event before they take the next.
    hint: AtomicUsize,
    growing: Mutex<()>,
}

// SAFETY: a value is written by the thread that took the slot, before it publishes the generation (A), and taken out by the one
// thread that ends that generation (B). Between the two it is only read, by any thread that saw the generation (C): so it has
// to be Send and Sync.
unsafe impl<T: Send + Sync> Sync for Table<T> {}

impl<T> Table<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            pages: [const { OnceLock::new() }; PAGES],
            size: AtomicUsize::new(0),
            hint: AtomicUsize::new(0),
            growing: Mutex::new(()),
        }
    }

    /// Page, and place in it.
    fn place(index: usize) -> (usize, usize) {
        let from_one = index + FIRST_PAGE;
        let page = (from_one.ilog2() - FIRST_PAGE.ilog2()) as usize;
        (page, from_one - (FIRST_PAGE << page))
    }

    fn slot(&self, index: usize) -> Option<&Slot<T>> {
        let (page, at) = Self::place(index);
        self.pages.get(page)?.get()?.get(at)
    }

    /// Takes this slot if it is free; its generation.
    fn take(&self, index: usize) -> Option<(&Slot<T>, usize)> {
        let slot = self.slot(index)?;
        let word = slot.word.load(Relaxed);
        let is_free = word & (NEXT - 1) == FREE && word >> STATE_BITS < LAST_GENERATION;
        // Acquire, pairs with (D): who emptied the slot is done with it.
        let taken =
            is_free && slot.word.compare_exchange(word, word + NEXT + TAKEN, Acquire, Relaxed).is_ok();
        taken.then_some((slot, (word >> STATE_BITS) + 1))
    }

    /// Looks through all slots, and makes more.
    #[cold]
    fn find(&self) -> Outcome<(usize, &Slot<T>, usize)> {
        loop {
            let (size, hint) = (self.size.load(Acquire), self.hint.load(Relaxed));
            let found = (0..size).find_map(|step| {
                let index = (hint + step) % size;
                self.take(index).map(|(slot, generation)| (index, slot, generation))
            });
            if let Some(found) = found {
                return Ok(found);
            }
            self.grow(size)?;
        }
    }

    /// One page more than for `size` slots, unless another thread was faster.
    fn grow(&self, size: usize) -> Outcome<()> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.size.load(Relaxed) != size {
            return Ok(());
        }
        let Some(page) = self.pages.get(Self::place(size).0) else {
            let kind = self.kind.name();
            return Err(Failure::of(format!("{size} of {kind} are in use: are they never freed?")));
        };
        let empty = || Slot { word: AtomicUsize::new(0), value: UnsafeCell::new(MaybeUninit::uninit()) };
        let slots = page.get_or_init(|| std::iter::repeat_with(empty).take(size + FIRST_PAGE).collect());
        self.hint.store(size, Relaxed);
        // Release, pairs with the load in `find`: who sees the size finds the page.
        self.size.store(size + slots.len(), Release);
        Ok(())
    }

    /// Keeps a value; its handle.
    #[inline]
    pub(crate) fn insert(&self, value: T) -> Outcome<*mut c_void> {
        let hint = self.hint.load(Relaxed);
        let (index, slot, generation) = match self.take(hint) {
            Some((slot, generation)) => (hint, slot, generation),
            None => self.find()?,
        };
        // SAFETY: `take` made the slot ours alone: nobody reads one that is taken.
        unsafe { (*slot.value.get()).write(value) };
        // (A) Release, pairs with (B) and (C): who sees the generation in use sees the value.
        slot.word.store(generation << STATE_BITS | IN_USE, Release);
        let number = (generation << INDEX_BITS | index) << KIND_BITS | self.kind as usize;
        Ok(ptr::without_provenance_mut(number))
    }

    /// The slot of a handle, its index, and the word that it must have.
    #[inline]
    fn look_up(&self, handle: *const c_void) -> Outcome<(&Slot<T>, usize, usize)> {
        let number = handle.addr();
        if number & ((1 << KIND_BITS) - 1) == self.kind as usize {
            let index = number >> KIND_BITS & ((1 << INDEX_BITS) - 1);
            let word = number >> (KIND_BITS + INDEX_BITS) << STATE_BITS | IN_USE;
            if let Some(slot) = self.slot(index)
                // (C) Acquire, pairs with (A).
                && slot.word.load(Acquire) == word
            {
                return Ok((slot, index, word));
            }
        }
        Err(self.not_found(handle))
    }

    #[cold]
    fn not_found(&self, handle: *const c_void) -> Failure {
        let kind = self.kind.name();
        if handle.is_null() {
            return Failure::argument(format!("null was passed where {kind} is needed"));
        }
        let what = match Kind::of(handle.addr()) {
            Some(other) if other == self.kind => format!("{kind} that was freed before, or no handle at all"),
            Some(other) => format!("{} (or no handle at all) where {kind} is needed", other.name()),
            None => format!("something that is no handle where {kind} is needed"),
        };
        Failure::new(Status::InvalidHandle, format!("{handle:p} was passed: {what}"))
    }

    /// What a handle stands for. The borrow ends when the handle is removed; see rule 4.
    pub(crate) fn get(&self, handle: *const c_void) -> Outcome<&T> {
        let (slot, ..) = self.look_up(handle)?;
        // SAFETY: the slot is in use, so the value is there since (A).
        Ok(unsafe { (*slot.value.get()).assume_init_ref() })
    }

    /// As [`get`](Self::get), to change it.
    ///
    /// # Safety
    /// No other thread uses the handle at the same time, and no other borrow of it is alive.
    #[expect(clippy::mut_from_ref, reason = "one thread at a time, by contract")]
    pub(crate) unsafe fn get_mut(&self, handle: *const c_void) -> Outcome<&mut T> {
        let (slot, ..) = self.look_up(handle)?;
        // SAFETY: the slot is in use, so the value is there since (A); the caller says that nobody else uses it.
        Ok(unsafe { (*slot.value.get()).assume_init_mut() })
    }

    /// Ends a handle; `last` gets the place of what it stood for, and has to move it out or drop it there.
    #[inline]
    fn end<R>(&self, handle: *const c_void, last: impl FnOnce(*mut T) -> R) -> Outcome<R> {
        let (slot, index, word) = self.look_up(handle)?;
        let taken = word - IN_USE + TAKEN;
        // (B) Acquire, pairs with (A).
        if slot.word.compare_exchange(word, taken, Acquire, Relaxed).is_err() {
            return Err(self.not_found(handle));
        }
        // Should dropping panic, the slot stays taken, for ever.
        let result = last(slot.value.get().cast());
        // (D) Release, pairs with `take`: who fills the slot again comes after us.
        slot.word.store(taken - TAKEN + FREE, Release);
        self.hint.store(index, Relaxed);
        Ok(result)
    }

    /// Ends a handle and returns what it stood for.
    pub(crate) fn remove(&self, handle: *const c_void) -> Outcome<T> {
        // SAFETY: the exchange in `end` made us the one thread that ends this generation, in which the value was there.
        self.end(handle, |place| unsafe { place.read() })
    }

    /// Ends a handle and drops what it stood for, where it lies.
    pub(crate) fn free(&self, handle: *const c_void) -> Outcome<()> {
        // SAFETY: as in `remove`.
        self.end(handle, |place| unsafe { place.drop_in_place() })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc, thread};

    use super::*;

    #[test]
    fn handle_is_found_until_it_is_removed_and_never_again() {
        let table = Table::new(Kind::Event);
        let first = table.insert("first".to_owned()).unwrap();
        assert_eq!(table.get(first).unwrap(), "first");
        assert_eq!(table.remove(first).unwrap(), "first");
        let second = table.insert("second".to_owned()).unwrap();
        for (what, outcome) in [
            ("get", table.get(first).map(drop)),
            ("remove", table.remove(first).map(drop)),
            ("free", table.free(first)),
        ] {
            let failure = outcome.unwrap_err();
            assert_eq!(failure.status, Status::InvalidHandle, "{what}");
            assert!(failure.text.contains("freed before"), "{}", failure.text);
        }
        assert_eq!(table.get(second).unwrap(), "second", "the slot was used again");
        // A table lives as long as the process and drops nothing by itself.
        assert!(table.free(second).is_ok());
    }

    #[test]
    fn freeing_drops_the_value_once() {
        let table = Table::new(Kind::Event);
        let value = Arc::new(());
        let handle = table.insert(value.clone()).unwrap();
        assert!(table.free(handle).is_ok() && table.free(handle).is_err());
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn null_and_foreign_pointers_and_other_kinds_are_refused() {
        let table = Table::<u8>::new(Kind::Context);
        let event = Table::new(Kind::Event).insert(1u8).unwrap();
        let on_stack = 0u64;
        let status = |handle: *const c_void| table.get(handle).unwrap_err().status;
        assert_eq!(status(ptr::null()), Status::InvalidArgument);
        assert_eq!(status(event), Status::InvalidHandle);
        assert_eq!(status((&raw const on_stack).cast()), Status::InvalidHandle);
        for number in [1, 2, 3, 9, usize::MAX, usize::MAX - 6, 1 << 40 | 1] {
            assert_eq!(status(ptr::without_provenance(number)), Status::InvalidHandle, "{number:#x}");
        }
        assert!(table.get(event).unwrap_err().text.contains("an event"), "the kind is named");
    }

    #[test]
    fn many_objects_live_at_once_and_have_handles_of_their_own() {
        let table = Table::new(Kind::Metadata);
        let handles: Vec<_> = (0..1000usize).map(|n| table.insert(n).unwrap()).collect();
        assert_eq!(handles.iter().collect::<HashSet<_>>().len(), 1000);
        for (n, handle) in handles.iter().enumerate() {
            assert_eq!(*table.get(*handle).unwrap(), n);
        }
        // Slots in the middle are found again.
        let middle = handles[500];
        assert_eq!(table.remove(middle).unwrap(), 500);
        let again = table.insert(500).unwrap();
        assert!(again != middle && table.get(middle).is_err());
        let handles: Vec<_> =
            handles.iter().map(|handle| if *handle == middle { again } else { *handle }).collect();
        let removed: usize = handles.iter().map(|handle| table.remove(*handle).unwrap()).sum();
        assert_eq!(removed, 499_500);
    }

    #[test]
    fn of_two_threads_that_free_one_handle_one_succeeds() {
        let table = Arc::new(Table::new(Kind::Event));
        for _ in 0..200 {
            let handle = table.insert(7u8).unwrap().expose_provenance();
            let free = |table: Arc<Table<u8>>| {
                move || table.remove(ptr::with_exposed_provenance::<c_void>(handle)).is_ok()
            };
            let (a, b) = (thread::spawn(free(table.clone())), thread::spawn(free(table.clone())));
            assert!(a.join().unwrap() ^ b.join().unwrap(), "freed twice or not at all");
        }
    }
}
