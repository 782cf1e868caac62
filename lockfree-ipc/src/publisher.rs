//! The sending side of one output: who holds which slot, and how a message reaches every reader.
//!
//! 1. A slot is free, loaned, or held by one or more edges. The truth is in this process only: a count per slot and
//!    a bit per slot and edge. Readers can ask to give back what they hold, never more.
//! 2. A message costs each further reader one ring entry and at most one wake-up, whatever its size.
//! 3. Slots are taken most recently freed first, so that a quiet edge reuses the same warm pages.
//!
//! If a reader dies, [`Publisher::remove_edge`] takes back everything it held, or [`Publisher::reader_restarted`] what its
//! process had taken when another one goes on. If this process dies, its readers keep what was pushed; memory goes when they
//! let go of it.

use std::{os::fd::OwnedFd, sync::Arc};

use crate::{
    Doorbell, EdgeError, Header, Interrupter, LoanError, MAX_HELD, OpenError, Policy, Reader, ReturnSet,
    arena::{Arena, Classes, meta_offset},
    header::INLINE,
    holding::{clear, set},
    layout::{arena as at, edge::INLINE as INLINE_BYTES},
    loan::{Loan, LoanHome},
    outlet::Out,
    segment::Access,
    slots::Slots,
    types::TypeTable,
};

/// Messages larger than this use slots of the declared size, which are pre-faulted; bytes.
const SMALL: u64 = 4096;
/// Slots of at least this size are taken back at every loan, so that few of them are ever touched; bytes.
const LARGE: u64 = 64 << 10;

/// What became of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendReport {
    /// Edges it entered.
    pub readers: u32,
    /// Older messages that made room for it, over all edges.
    pub overwritten: u32,
    /// An edge (by number) that was closed because its reader wrote nonsense. If there are more, they follow with
    /// the next sends.
    pub broken: Option<(u32, EdgeError)>,
    /// An edge was full and the wait was interrupted: that reader does not get this message.
    pub interrupted: bool,
    /// The sender waited for room.
    pub blocked: bool,
}

const OTHER_ARENA: &str = "it belongs to another arena";

/// The sending side of one output.
#[derive(Debug)]
pub struct Publisher {
    arena: Arena,
    slots: Slots,
    home: Arc<LoanHome>,
    /// Slots that are loaned.
    loaned: Box<[u64]>,
    outs: Vec<Out>,
    /// Readers that get nothing more and still hold slots.
    leaving: Vec<Out>,
    types: TypeTable,
    interrupter: Interrupter,
    max_bytes: Option<u64>,
    seq: u64,
}

impl Publisher {
    /// Maps the arena and commits the planned pages. `max_message_bytes` and `depth` are those of the descriptor;
    /// the arena knows them too, and the smaller limit counts.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is no arena or cannot be mapped.
    pub fn open(
        arena: OwnedFd,
        max_message_bytes: Option<u64>,
        depth: Option<u32>,
    ) -> Result<Self, OpenError> {
        let mut arena = Arena::open(&arena, Access::Write)?;
        let max_bytes = match (max_message_bytes, arena.max_bytes) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let (Some(class), Some(depth)) = (max_bytes.and_then(Classes::class_for), depth) {
            arena.commit(class, depth, max_bytes.unwrap_or(0));
        }
        let words = arena.classes.words();
        Ok(Self {
            slots: Slots::new(&arena),
            home: Arc::new(LoanHome { unsent: ReturnSet::on_heap(words), map: arena.map.clone() }),
            loaned: vec![0; words].into(),
            outs: Vec::with_capacity(16),
            leaving: Vec::with_capacity(16),
            types: TypeTable::new(arena.map.clone()),
            interrupter: Interrupter::default(),
            max_bytes,
            seq: 0,
            arena,
        })
    }

    /// Adds a reader.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is no edge, or was made for another arena.
    pub fn add_edge(&mut self, number: u32, edge: OwnedFd, bell: Doorbell) -> Result<(), OpenError> {
        let reader = Reader::open(number, edge, bell, &self.interrupter)?;
        self.attach(reader).map_err(|_| OpenError::Foreign { expected: "an edge", why: OTHER_ARENA })
    }

    /// Adds a reader that another thread has mapped, from the next message on.
    ///
    /// # Errors
    /// The reader, when its edge was made for another arena. Nothing has changed then.
    ///
    /// # Real time
    /// No allocation, no lock and no system call while there are no more readers than [`reserve`](Self::reserve) made room for.
    #[expect(clippy::result_large_err, reason = "gives the reader back; a box would allocate")]
    pub fn attach(&mut self, reader: Reader) -> Result<(), Reader> {
        if reader.out.words() != self.arena.classes.words() {
            return Err(reader);
        }
        self.outs.push(reader.out);
        Ok(())
    }

    /// Makes room for this many readers more than there are now.
    pub fn reserve(&mut self, readers: usize) {
        self.outs.reserve(readers);
        self.leaving.reserve(readers);
    }

    /// Takes a reader out and takes back everything it held. Dropping what is returned unmaps its memory; that need not happen on
    /// the thread that sends.
    ///
    /// # Real time
    /// No allocation, no lock, no system call: one pass over the slots.
    pub fn detach(&mut self, number: u32) -> Option<Reader> {
        let mut out = match self.outs.iter().position(|out| out.number == number) {
            // In order, so that the others are served as before.
            Some(at) => self.outs.remove(at),
            None => self.leaving.swap_remove(self.leaving.iter().position(|out| out.number == number)?),
        };
        out.let_go_of_everything(&mut self.slots);
        Some(Reader { out })
    }

    /// Sends no more to a reader that lives: what it has, and what waits for it, comes back as it lets go of it, or of its end of
    /// the edge. True when there is such a reader.
    ///
    /// # Real time
    /// As [`attach`](Self::attach).
    pub fn leave(&mut self, number: u32) -> bool {
        let Some(at) = self.outs.iter().position(|out| out.number == number) else { return false };
        let out = self.outs.remove(at);
        out.say_left();
        self.leaving.push(out);
        true
    }

    /// One of those that [left](Self::leave) and have given everything back, to be dropped where that does no harm.
    pub fn take_left(&mut self) -> Option<Reader> {
        self.collect();
        let at = self.leaving.iter().position(Out::is_idle)?;
        Some(Reader { out: self.leaving.swap_remove(at) })
    }

    /// Forgets a reader and takes back everything it held.
    pub fn remove_edge(&mut self, number: u32) {
        self.interrupter.forget(number);
        self.detach(number);
    }

    /// The process that read an edge is gone and another one goes on: takes back the slots that the old one had, which entered
    /// the ring before position `head`. What waits in the ring, and what the new process has taken since, is not touched.
    /// `head` is what [`edge::reader_died`](crate::edge::reader_died) said. How many slots came back; zero for an edge that is none.
    ///
    /// # Errors
    /// [`EdgeError::Corrupt`] when nobody can have read as far as `head`: the edge is closed then.
    ///
    /// # Real time
    /// No allocation, no lock, no system call: one pass over the slots.
    pub fn reader_restarted(&mut self, number: u32, head: u64) -> Result<u32, EdgeError> {
        let Some(out) = self.outs.iter_mut().find(|out| out.number == number) else { return Ok(0) };
        let freed = out.reader_restarted(head, &mut self.slots);
        if freed.is_err() {
            out.let_go_of_everything(&mut self.slots);
        }
        freed
    }

    /// Numbers of the readers.
    pub fn edge_numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.outs.iter().map(|o| o.number)
    }

    /// Identity of this output's hybrid logical clock.
    pub fn hlc_id(&self) -> [u8; 16] {
        self.arena.hlc_id
    }

    /// A handle that makes a blocked send return.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Number of a type record, written to the type table if it is new; `None` when it is longer than 4 KiB or the
    /// table is full.
    pub fn intern_type(&mut self, record: &[u8]) -> Option<u32> {
        self.types.intern(record)
    }

    /// Slots first used after the start that were not pre-faulted.
    pub fn unplanned_slots(&self) -> u64 {
        self.slots.unplanned
    }

    /// Commits `count` slots for messages of `bytes` now.
    pub fn prefault(&mut self, bytes: u64, count: u32) {
        if let Some(class) = self.class_for(bytes) {
            self.arena.commit(class, count, bytes);
            self.slots.planned = self.arena.planned;
        }
    }

    /// Slots that are in use: loaned, queued, or with a reader.
    pub fn slots_in_use(&mut self) -> u32 {
        self.collect();
        self.slots.in_use()
    }

    fn class_for(&self, bytes: u64) -> Option<usize> {
        let own = Classes::class_for(bytes)?;
        match self.max_bytes {
            Some(max) if bytes > SMALL => Classes::class_for(max).map(|c| c.max(own)),
            _ => Some(own),
        }
    }

    /// Room to write a message into: a slot, or for up to 64 bytes the loan itself, which rides in the ring entry.
    ///
    /// # Errors
    /// [`LoanError::TooLarge`], [`LoanError::NoSlot`].
    ///
    /// # Real time
    /// No allocation, no system call. Takes back finished slots when none is free: one pass over the return sets.
    #[inline]
    pub fn loan(&mut self, payload_len: usize, meta_len: usize) -> Result<Loan, LoanError> {
        let largest = 1u64 << at::MAX_SHIFT;
        let max = self.max_bytes.unwrap_or(largest).min(largest);
        let declared = (payload_len as u64).saturating_add(meta_len as u64);
        if declared > max {
            return Err(LoanError::TooLarge { max });
        }
        let bytes = meta_offset(payload_len as u64) + meta_len as u64;
        if bytes <= INLINE_BYTES {
            // Such a message is written in no time: fetching the ring entries now hides most of their way here.
            self.outs.iter().for_each(Out::announce);
            return Ok(Loan::inline(payload_len, meta_len));
        }
        self.loan_slot(payload_len, meta_len, bytes, max)
    }

    fn loan_slot(&mut self, payload: usize, meta: usize, bytes: u64, max: u64) -> Result<Loan, LoanError> {
        let class = self.class_for(bytes).ok_or(LoanError::TooLarge { max })?;
        if !self.slots.has_free(class) || Classes::size(class) >= LARGE {
            self.collect();
        }
        let slot = self.slots.take(class).ok_or(LoanError::NoSlot)?;
        let place = self.arena.classes.locate(slot).ok_or(LoanError::NoSlot)?;
        let Some(loan) = Loan::new(self.home.clone(), slot, place, payload, meta) else {
            self.slots.free(slot);
            return Err(LoanError::NoSlot);
        };
        set(&mut self.loaned, slot);
        Ok(loan)
    }

    /// Takes back what readers have finished with and what was loaned and dropped.
    fn collect(&mut self) {
        self.leaving.iter_mut().for_each(|out| out.recall(&mut self.slots));
        for i in 0..self.slots.used_words.len() {
            let word = self.slots.used_words[i] as usize;
            let unsent = self.home.unsent.collect(word) & self.loaned[word];
            self.loaned[word] &= !unsent;
            for bit in crate::bits::ones(unsent) {
                self.slots.free(word as u32 * 64 + bit);
            }
            for out in self.outs.iter_mut().chain(&mut self.leaving) {
                out.collect(word, &mut self.slots);
            }
        }
    }

    /// Is some `backpressure` reader's edge full now?
    pub fn would_block(&mut self) -> bool {
        self.outs.iter_mut().any(|out| out.policy == Policy::Backpressure && out.is_full().unwrap_or(false))
    }

    /// Waits until a send would not wait: true then, and when it would give up waiting. False when `until_ns` (CLOCK_MONOTONIC) has
    /// passed or a signal handler has run; `blocked` says whether it waited at all.
    pub fn wait_for_room(&mut self, until_ns: u64, blocked: &mut bool) -> bool {
        self.outs.iter_mut().filter(|out| out.policy == Policy::Backpressure && !out.closed).all(|out| {
            let room = out.wait_for_room(&self.interrupter, Some(until_ns), blocked);
            room || out.gives_up(&self.interrupter)
        })
    }

    /// Sends a message to every reader. Waits for room on `backpressure` edges.
    ///
    /// # Real time
    /// No allocation. Per reader one ring entry, one fence, and one system call when it sleeps; the payload is not
    /// touched. Blocks only when a `backpressure` reader is full.
    pub fn send(&mut self, mut loan: Loan, header: &Header) -> SendReport {
        self.send_in_place(&mut loan, header)
    }

    /// As [`send`](Self::send), without moving the loan: it is an empty message afterwards.
    pub fn send_in_place(&mut self, loan: &mut Loan, header: &Header) -> SendReport {
        let mut report = SendReport::default();
        let lens = loan.lens();
        let slot = loan.hand_over();
        if slot != INLINE {
            clear(&mut self.loaned, slot);
            // Ours while we hand it round.
            self.slots.hold(slot);
        }
        let words = header.words_with(slot, lens, self.seq);
        self.seq += 1;
        for out in &mut self.outs {
            if out.policy == Policy::Backpressure && !out.closed {
                report.interrupted |= !out.wait_for_room(&self.interrupter, None, &mut report.blocked);
            }
            match out.enqueue(&words, loan.line(), header.flags, &mut self.slots) {
                Ok(Some(overwritten)) => {
                    report.readers += 1;
                    report.overwritten += overwritten as u32;
                }
                Ok(None) => {}
                Err(error) => {
                    out.let_go_of_everything(&mut self.slots);
                    report.broken = Some((out.number, error));
                }
            }
        }
        for out in &mut self.outs {
            out.ring_bell(header.send_ns);
        }
        if slot != INLINE {
            self.slots.release(slot);
        }
        report
    }
}

const _: () = assert!(MAX_HELD >= 1);
