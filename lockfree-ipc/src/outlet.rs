//! One reader, as its sender sees it: the queue policy, the wait for room, the bell.
//!
//! A message enters the ring or it does not; what made room for it is given up here, so that `Publisher` finds its
//! slots free again. An edge whose reader wrote nonsense is closed and takes nothing more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    Doorbell, EdgeError, Interrupter, Policy, ReturnSet, Woken, clock,
    edge::{Counters, Edge, SpaceBell, add},
    header::{INLINE, Line, Words, flags},
    ring::Producer,
    slots::Slots,
};

/// A blocked sender looks by itself this often, should the reader's wake-up go astray; nanoseconds.
const RECHECK_NS: u64 = 50_000_000;
/// A reader whose edge is full is woken unasked this often, should its doorbell be out of order; nanoseconds.
const REWAKE_NS: u64 = 10_000_000;
/// Looks at the read position before a blocked sender goes to sleep: about 2 µs.
const SPINS: u32 = 64;

/// One reader.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) number: u32,
    ring: Producer,
    limit: u64,
    slack: u64,
    pub(crate) policy: Policy,
    pub(crate) returns: ReturnSet,
    /// Slots that this edge holds: in its ring or with its reader.
    pub(crate) held: Box<[u64]>,
    space: SpaceBell,
    counters: Counters,
    bell: Doorbell,
    rewoken_ns: u64,
    pub(crate) closed: bool,
    /// Set from another thread: do not wait for this reader.
    gone: Arc<AtomicBool>,
}

impl Out {
    /// The sending end of an edge that was just mapped. `gone` is set from another thread when its reader died.
    pub(crate) fn new(number: u32, edge: Edge, bell: Doorbell, gone: Arc<AtomicBool>) -> Self {
        Self {
            number,
            ring: Producer::new(edge.ring),
            limit: edge.limit,
            slack: edge.slack,
            policy: edge.policy,
            returns: edge.returns,
            held: vec![0; edge.return_words as usize].into(),
            space: edge.space,
            counters: edge.counters,
            bell,
            rewoken_ns: 0,
            closed: false,
            gone,
        }
    }

    /// A message is about to come: see [`Producer::announce`].
    #[inline]
    pub(crate) fn announce(&self) {
        self.ring.announce();
    }

    pub(crate) fn is_full(&mut self) -> Result<bool, EdgeError> {
        let full = self.limit + self.slack;
        Ok(self.ring.queued_at_most() >= full && self.ring.queued()? >= full)
    }

    /// Waits until the ring has room. False when interrupted; with `until_ns` (CLOCK_MONOTONIC) also when that has passed or a
    /// signal handler has run.
    pub(crate) fn wait_for_room(
        &mut self,
        interrupter: &Interrupter,
        until_ns: Option<u64>,
        blocked: &mut bool,
    ) -> bool {
        let mut spins = 0;
        // A corrupt position ends the wait; `enqueue` meets it again and closes the edge.
        while self.is_full().unwrap_or(false) {
            if spins < SPINS {
                spins += 1;
                core::hint::spin_loop();
                continue;
            }
            *blocked = true;
            if self.gives_up(interrupter) {
                return false;
            }
            let now = clock::monotonic_ns();
            let until = until_ns.unwrap_or(u64::MAX);
            if now >= until {
                return false;
            }
            let ticket = self.space.ask(self.ring.tail() - self.limit / 2);
            let give_up = self.gives_up(interrupter);
            let mut woken = Woken::Rung;
            if self.is_full().unwrap_or(false) && !give_up {
                self.bell.wake();
                woken = self.space.sleep(ticket, Some(until.min(now + RECHECK_NS)));
            }
            self.space.done();
            if woken == Woken::Signal && until_ns.is_some() {
                return false;
            }
        }
        true
    }

    /// Nobody waits for this reader any more.
    pub(crate) fn gives_up(&self, interrupter: &Interrupter) -> bool {
        interrupter.is_set() || self.gone.load(Ordering::SeqCst)
    }

    /// Puts the entry into the ring, by the edge's policy. `None` when the edge does not take it: closed, or full
    /// after an interrupted wait. Otherwise the number of older messages that made room.
    pub(crate) fn enqueue(
        &mut self,
        words: &Words,
        line: &Line,
        flags: u32,
        slots: &mut Slots,
    ) -> Result<Option<u64>, EdgeError> {
        if self.closed {
            return Ok(None);
        }
        if flags & flags::FLUSH != 0 {
            self.flush(slots)?;
        }
        let mut overwritten = 0;
        if self.is_full()? {
            if self.policy == Policy::Backpressure {
                return Ok(None);
            }
            overwritten = self.make_room(slots)?;
            add(&self.counters.overwritten, overwritten);
        }
        let slot = words[0] as u32;
        if slot != INLINE {
            set(&mut self.held, slot);
            slots.hold(slot);
        }
        self.ring.push(words, line);
        Ok(Some(overwritten))
    }

    /// Cuts the queue back so that with the coming message `limit` are in it. Ordinary messages go first.
    fn make_room(&mut self, slots: &mut Slots) -> Result<u64, EdgeError> {
        let target = self.ring.tail() + 1 - self.limit;
        let held = &mut self.held;
        if !self.ring.correlated_before(target) {
            return self.ring.take_back_until(target, |slot| give_up(held, slots, slot));
        }
        let mut excess = self.ring.queued()?.saturating_sub(self.limit - 1);
        let (kept, mut dropped) = self.ring.sift(
            |f| {
                let drop = excess > 0 && f & flags::CORRELATED == 0;
                excess -= u64::from(drop);
                !drop
            },
            |slot| give_up(held, slots, slot),
        )?;
        add(&self.counters.requeued, kept);
        if self.is_full()? {
            // Nothing but requests: the oldest goes.
            let target = self.ring.tail() + 1 - self.limit;
            let held = &mut self.held;
            dropped += self.ring.take_back_until(target, |slot| give_up(held, slots, slot))?;
        }
        Ok(dropped)
    }

    /// Empties the queue but for requests.
    fn flush(&mut self, slots: &mut Slots) -> Result<(), EdgeError> {
        self.ring.queued()?;
        let held = &mut self.held;
        let (kept, dropped) =
            self.ring.sift(|f| f & flags::CORRELATED != 0, |slot| give_up(held, slots, slot))?;
        add(&self.counters.requeued, kept);
        add(&self.counters.flushed, dropped);
        Ok(())
    }

    #[inline]
    pub(crate) fn ring_bell(&mut self, now_ns: u64) {
        if self.closed {
            return;
        }
        self.bell.ring();
        // A reader that lets its queue fill up is busy, or its doorbell was scribbled over: now and then, make sure.
        if self.ring.queued_at_most() >= self.limit && now_ns.wrapping_sub(self.rewoken_ns) > REWAKE_NS {
            self.rewoken_ns = now_ns;
            if self.ring.queued().is_ok_and(|q| q >= self.limit) {
                self.bell.wake();
            }
        }
    }

    pub(crate) fn let_go_of_everything(&mut self, slots: &mut Slots) {
        self.closed = true;
        for (word, bits) in self.held.iter_mut().enumerate() {
            for bit in crate::bits::ones(std::mem::take(bits)) {
                slots.release(word as u32 * 64 + bit);
            }
        }
    }
}

/// The edge gives up the slot of a message that its reader never got.
fn give_up(held: &mut [u64], slots: &mut Slots, slot: u32) {
    if slot != INLINE && clear(held, slot) {
        slots.release(slot);
    }
}

#[inline]
pub(crate) fn set(bits: &mut [u64], slot: u32) {
    bits[slot as usize / 64] |= 1 << (slot % 64);
}

/// True when it was set.
#[inline]
pub(crate) fn clear(bits: &mut [u64], slot: u32) -> bool {
    let (word, bit) = (&mut bits[slot as usize / 64], 1 << (slot % 64));
    let was = *word & bit != 0;
    *word &= !bit;
    was
}
