//! Single-producer single-consumer ring of message headers, from which the producer may take entries back.
//!
//! One thread of one process pushes, one thread of another pops. Neither waits for the other. The consumer polls
//! the stamp of the entry it expects, so one cache line brings both the news and the header, and has the next
//! line, where small messages ride, fetched beside it.
//!
//! ```text
//!   head   next position to read, moved forward by compare-exchange from either side
//!   tail   next position to write, for onlookers only: the stamp publishes an entry
//!   entry  stamp = position + 1, seven words of header, eight words for a message of up to 64 bytes;
//!          index = position & (capacity - 1)
//! ```
//!
//! 1. `head <= tail <= head + capacity`; both only grow. Every position is pushed exactly once.
//! 2. Who moves `head` over a position owns that message: the consumer took it, or the producer took it back.
//! 3. The producer writes an entry only after it saw `head` pass the position that lay there before, so an entry
//!    that the consumer copied without disturbance is whole: otherwise its compare-exchange fails.
//! 4. When more than `limit` are queued the producer cuts back to `limit` once `slack` more have come. It moves
//!    `head` every `slack` messages at most, so that a consumer under a flood gets its chance; the consumer
//!    itself skips what lies beyond `limit`, so it never sees more than the newest `limit`.
//!
//! If the producer dies, what it pushed stays readable and nothing else appears (the stamp comes last). If the
//! consumer dies, the ring fills and the policy acts; another consumer goes on at `head`. Slots are given back by
//! `returns`; waking is done by `doorbell`.

use crate::{
    EdgeError,
    header::{INLINE, LINE_WORDS, Line, SEND_NS_WORD, Words, flags, flags_of, slot_of},
    segment::Shared,
    sync::{AtomicU64, Ordering, fence},
};

/// Most entries that a ring lets pile up beyond its limit.
pub const MAX_SLACK: u64 = 32;

/// Entries beyond `limit` before a `drop_oldest` producer cuts back.
pub const fn slack(limit: u64) -> u64 {
    let half = limit / 2;
    if half < 4 {
        4
    } else if half > MAX_SLACK {
        MAX_SLACK
    } else {
        half
    }
}

/// Two lines of the ring.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Entry {
    stamp: AtomicU64,
    words: [AtomicU64; 7],
    line: [AtomicU64; LINE_WORDS],
}

impl Entry {
    /// Copies the header out, and the small message if this is one; `line` is left alone otherwise.
    #[inline]
    fn load(&self, words: &mut Words, line: &mut Line) {
        for (to, from) in words.iter_mut().zip(&self.words) {
            *to = from.load(Ordering::Relaxed);
        }
        if slot_of(words) == INLINE {
            for (to, from) in line.iter_mut().zip(&self.line) {
                *to = from.load(Ordering::Relaxed);
            }
        }
    }
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Entry>() as u64 == crate::layout::edge::ENTRY);

/// The shared part, as either side sees it.
#[derive(Clone, Debug)]
pub(crate) struct RingMem {
    pub(crate) head: Shared<AtomicU64>,
    pub(crate) tail: Shared<AtomicU64>,
    pub(crate) entries: Shared<Entry>,
}

impl RingMem {
    /// A ring on the heap, for model tests.
    #[cfg(all(test, loom))]
    pub(crate) fn on_heap(capacity: usize) -> Self {
        let word = |_| AtomicU64::new(0);
        let entry =
            || Entry { stamp: word(0), words: std::array::from_fn(word), line: std::array::from_fn(word) };
        Self {
            head: Shared::heap(vec![AtomicU64::new(0)]),
            tail: Shared::heap(vec![AtomicU64::new(0)]),
            entries: Shared::heap((0..capacity).map(|_| entry()).collect()),
        }
    }

    /// Where the written entries end, for onlookers: at `tail` or behind it, should the producer have died between the entry
    /// and the note.
    pub(crate) fn written(&self, tail: u64) -> u64 {
        let is_written = |p: &u64| self.entry(*p).stamp.load(Ordering::Acquire) == p.wrapping_add(1);
        (tail..tail.saturating_add(self.entries.len() as u64))
            .take_while(is_written)
            .last()
            .map_or(tail, |p| p + 1)
    }

    #[inline]
    fn entry(&self, position: u64) -> &Entry {
        let entries: &[Entry] = &self.entries;
        // The length is a power of two (checked when the ring was opened), so the mask keeps us inside.
        &entries[position as usize & (entries.len() - 1)]
    }
}

/// The producer's end.
#[derive(Debug)]
pub struct Producer {
    mem: RingMem,
    /// Ours: nobody else's value is believed.
    tail: u64,
    /// Largest head seen.
    seen_head: u64,
    capacity: u64,
    /// Slot and flags of each entry as we pushed it: the ring itself can be written by the reader.
    pushed: Box<[(u32, u32)]>,
}

const CORRUPT_HEAD: EdgeError = EdgeError::Corrupt { what: "read position" };

impl Producer {
    pub(crate) fn new(mem: RingMem) -> Self {
        let capacity = mem.entries.len();
        Self { mem, tail: 0, seen_head: 0, capacity: capacity as u64, pushed: vec![(0, 0); capacity].into() }
    }

    /// Next position to be written.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Position that the consumer reads next, or the last one that could be believed.
    pub fn head(&self) -> u64 {
        // Acquire, as (H).
        let head = self.mem.head.one().load(Ordering::Acquire);
        if head < self.seen_head || head > self.tail { self.seen_head } else { head }
    }

    /// Messages queued, at most: the consumer may have taken some since the last look.
    #[inline]
    pub fn queued_at_most(&self) -> u64 {
        self.tail - self.seen_head
    }

    /// Messages queued now.
    ///
    /// # Errors
    /// [`EdgeError::Corrupt`] when the read position is impossible.
    #[inline]
    pub fn queued(&mut self) -> Result<u64, EdgeError> {
        // (H) Acquire, pairs with the compare-exchange of the consumer: it is done with the entries behind.
        let head = self.mem.head.one().load(Ordering::Acquire);
        // Another process wrote this number: believe it only if it can be true.
        if head < self.seen_head || head > self.tail {
            return Err(CORRUPT_HEAD);
        }
        self.seen_head = head;
        Ok(self.tail - head)
    }

    /// The next entry will be written soon: its lines start on their way to this core while the caller fills the message,
    /// instead of when it is pushed.
    #[inline]
    pub fn announce(&self) {
        let entry = self.mem.entry(self.tail);
        crate::prefetch::write(&entry.line);
        crate::prefetch::write(&entry.stamp);
    }

    /// Writes the next entry; `line` only counts when the slot is [`INLINE`]. The caller made sure that there is
    /// room: `queued < capacity`.
    #[inline]
    pub fn push(&mut self, words: &Words, line: &Line) {
        debug_assert!(self.queued_at_most() < self.capacity);
        let index = (self.tail & (self.capacity - 1)) as usize;
        self.pushed[index] = (slot_of(words), flags_of(words));
        let entry = self.mem.entry(self.tail);
        if slot_of(words) == INLINE {
            for (to, from) in entry.line.iter().zip(line) {
                to.store(*from, Ordering::Relaxed);
            }
        }
        for (to, from) in entry.words.iter().zip(words) {
            to.store(*from, Ordering::Relaxed);
        }
        // (A) Release, pairs with the Acquire of the stamp in `pop`: who sees it sees the words and the slot.
        entry.stamp.store(self.tail + 1, Ordering::Release);
        self.tail += 1;
        // For onlookers; no order needed.
        self.mem.tail.one().store(self.tail, Ordering::Relaxed);
    }

    /// Takes back the oldest entries up to `position` (exclusive) and gives each one's slot to `back`. Zero when
    /// the consumer was faster; then there is more room than before. Wait-free: one compare-exchange.
    ///
    /// # Errors
    /// [`EdgeError::Corrupt`] when the read position is impossible.
    pub fn take_back_until(&mut self, position: u64, mut back: impl FnMut(u32)) -> Result<u64, EdgeError> {
        debug_assert!(position <= self.tail);
        let from = self.seen_head;
        if from >= position {
            return Ok(0);
        }
        // AcqRel: Acquire so that our coming writes to these entries stay behind it (invariant 3); Release is
        // for the consumer, which reads the new head before a new stamp.
        match self.mem.head.one().compare_exchange(from, position, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                for p in from..position {
                    back(self.pushed[(p & (self.capacity - 1)) as usize].0);
                }
                self.seen_head = position;
                Ok(position - from)
            }
            Err(now) if now < from || now > self.tail => Err(CORRUPT_HEAD),
            Err(now) => {
                self.seen_head = now;
                Ok(0)
            }
        }
    }

    /// Is one of the entries in `seen_head..position` part of a request or goal?
    pub fn correlated_before(&self, position: u64) -> bool {
        (self.seen_head..position)
            .any(|p| self.pushed[(p & (self.capacity - 1)) as usize].1 & flags::CORRELATED != 0)
    }

    /// Takes everything back and pushes again, in the same order, what `keep(flags)` says. `went` is told each slot with its
    /// new position, or with none. Returns how many were kept and how many not. For rare cases: costs a pass over the queue.
    ///
    /// # Errors
    /// [`EdgeError::Corrupt`] when the read position is impossible.
    pub fn sift(
        &mut self,
        mut keep: impl FnMut(u32) -> bool,
        mut went: impl FnMut(u32, Option<u64>),
    ) -> Result<(u64, u64), EdgeError> {
        let end = self.tail;
        let mut from = self.seen_head;
        // The consumer can take an entry between our look and our exchange, at most as often as there are entries.
        while from < end && self.take_back_until(end, |_| {})? == 0 {
            from = self.seen_head;
        }
        let (mut kept, mut dropped) = (0, 0);
        for p in from..end {
            let (slot, flags) = self.pushed[(p & (self.capacity - 1)) as usize];
            if keep(flags) {
                let entry = self.mem.entry(p);
                let (mut words, mut line) = (Words::default(), Line::default());
                entry.load(&mut words, &mut line);
                // The reader can write here: the slot is as we remember it.
                words[0] = words[0] & !0xffff_ffff | u64::from(slot);
                words[2] = words[2] & !0xffff_ffff | u64::from(flags);
                went(slot, Some(self.tail));
                self.push(&words, &line);
                kept += 1;
            } else {
                went(slot, None);
                dropped += 1;
            }
        }
        Ok((kept, dropped))
    }
}

/// The consumer's end.
#[derive(Debug)]
pub struct Consumer {
    mem: RingMem,
    /// Largest head seen or written.
    last_head: u64,
    capacity: u64,
    limit: u64,
    slack: u64,
}

/// Times `pop` tries again while the producer takes entries back under its hands. Each try means that the producer
/// pushed `slack` messages meanwhile; more than this is no producer.
const TRIES: u32 = 10_000;

impl Consumer {
    /// `slack` is 0 for a ring whose producer never takes back.
    pub(crate) fn new(mem: RingMem, limit: u64, slack: u64) -> Self {
        let capacity = mem.entries.len() as u64;
        Self { mem, last_head: 0, capacity, limit, slack }
    }

    /// Is there something to pop? One load of the entry's stamp, which stays in our cache until it is written.
    #[inline]
    pub fn is_ready(&self) -> bool {
        let head = self.mem.head.one().load(Ordering::Relaxed);
        let entry = self.mem.entry(head);
        let stamp = entry.stamp.load(Ordering::Acquire);
        // Measured: with the second line under way beside the first, a spinning reader has 64 bytes a cache miss earlier.
        crate::prefetch::read(&entry.line);
        // Anything but the stamp of the lap before: ready, overwritten, or nonsense. `pop` finds out.
        stamp != head.wrapping_add(1).wrapping_sub(self.capacity) && stamp != 0
    }

    /// Takes the oldest entry that counts: at most `limit` from the newest. `skipped` gets the slots of those
    /// before it. True when there was one: then `words` has its header, and `line` the small message when the slot
    /// says [`INLINE`]; otherwise they hold anything.
    ///
    /// # Errors
    /// [`EdgeError::Corrupt`] when stamp or position are impossible.
    #[inline]
    pub fn pop(
        &mut self,
        words: &mut Words,
        line: &mut Line,
        mut skipped: impl FnMut(u32),
    ) -> Result<bool, EdgeError> {
        for _ in 0..TRIES {
            let head = self.mem.head.one().load(Ordering::Acquire);
            if head < self.last_head || head.checked_add(self.capacity).is_none() {
                return Err(CORRUPT_HEAD);
            }
            let entry = self.mem.entry(head);
            // (B) Acquire, pairs with (A) in `push`.
            let stamp = entry.stamp.load(Ordering::Acquire);
            if stamp != head + 1 {
                if stamp == 0 && head < self.capacity || stamp.wrapping_add(self.capacity) == head + 1 {
                    crate::prefetch::read(&entry.line);
                    self.last_head = head;
                    return Ok(false);
                }
                // Overwritten: then the producer moved head before it wrote here, and (B) lets us see that.
                if self.mem.head.one().load(Ordering::Acquire) == head {
                    return Err(EdgeError::Corrupt { what: "entry stamp" });
                }
                continue;
            }
            let mut slots = [0u32; MAX_SLACK as usize];
            let skip = self.beyond_limit(head, &mut slots);
            let chosen = self.mem.entry(head + skip);
            if skip != 0 && chosen.stamp.load(Ordering::Acquire) != head + skip + 1 {
                continue; // overwritten under our hands
            }
            chosen.load(words, line);
            // Release: our loads of the words stay before it (invariant 3). SeqCst, because the check for a
            // sender that waits for room (`edge`) follows and must not overtake it.
            let next = head + skip + 1;
            if self.mem.head.one().compare_exchange(head, next, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                self.last_head = next;
                slots[..skip as usize].iter().for_each(|s| skipped(*s));
                return Ok(true);
            }
        }
        Err(EdgeError::Corrupt { what: "read position, which runs away" })
    }

    /// How many entries from `head` on lie beyond the newest `limit` and are no part of a request; their slots.
    #[inline]
    fn beyond_limit(&self, head: u64, slots: &mut [u32; MAX_SLACK as usize]) -> u64 {
        let mut skip = 0;
        while skip < self.slack
            && self.mem.entry(head + skip + self.limit).stamp.load(Ordering::Acquire)
                == head + skip + self.limit + 1
        {
            let old = self.mem.entry(head + skip);
            if old.words[2].load(Ordering::Relaxed) as u32 & flags::CORRELATED != 0 {
                break;
            }
            slots[skip as usize] = old.words[0].load(Ordering::Relaxed) as u32;
            skip += 1;
        }
        skip
    }

    /// When the entry was sent that `pop` would take next, if there is one: to choose between rings. It may be overwritten
    /// meanwhile, so this is a hint and no more.
    pub fn peek_send_ns(&self) -> Option<u64> {
        let head = self.mem.head.one().load(Ordering::Relaxed);
        let entry = self.mem.entry(head);
        let ready = entry.stamp.load(Ordering::Acquire) == head.wrapping_add(1);
        ready.then(|| entry.words[SEND_NS_WORD].load(Ordering::Relaxed))
    }

    /// Position that the next `pop` looks at.
    pub fn head(&self) -> u64 {
        self.last_head
    }

    /// Messages queued, as far as the producer's word can be believed.
    pub fn queued(&self) -> u64 {
        let head = self.mem.head.one().load(Ordering::Relaxed);
        self.mem.tail.one().load(Ordering::Relaxed).saturating_sub(head).min(self.capacity)
    }
}

/// Orders everything before it with everything after, on both sides of a "did the other one see it" question.
#[inline]
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}
