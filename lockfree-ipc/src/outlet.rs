//! One reader, as its sender sees it: the queue policy, the wait for room, the bell.
//!
//! A message enters the ring or it does not; what made room for it is given up here, so that `Publisher` finds its
//! slots free again. An edge whose reader wrote nonsense is closed and takes nothing more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    Doorbell, EdgeError, Interrupter, Policy, Woken, clock,
    edge::{Counters, Edge, Left, SpaceBell, add},
    header::{INLINE, Line, Words, flags},
    holding::Holding,
    ring::Producer,
    segment::Shared,
    slots::Slots,
    sync::AtomicU64,
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
    /// Words of the return set: the edge was made for an arena with as many.
    words: u32,
    /// Slots that this edge holds.
    holding: Holding,
    space: SpaceBell,
    done: Shared<AtomicU64>,
    left: Left,
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
            words: edge.return_words,
            holding: Holding::new(edge.returns, edge.return_words as usize),
            space: edge.space,
            done: edge.done,
            left: edge.left,
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
            self.holding.enter(slot, self.ring.tail());
            slots.hold(slot);
        }
        self.ring.push(words, line);
        Ok(Some(overwritten))
    }

    /// Cuts the queue back so that with the coming message `limit` are in it. Ordinary messages go first.
    fn make_room(&mut self, slots: &mut Slots) -> Result<u64, EdgeError> {
        let target = self.ring.tail() + 1 - self.limit;
        if !self.ring.correlated_before(target) {
            return self.overwrite_until(target, slots);
        }
        let mut excess = self.ring.queued()?.saturating_sub(self.limit - 1);
        let (kept, mut dropped) = self.sift(slots, |f| {
            let drop = excess > 0 && f & flags::CORRELATED == 0;
            excess -= u64::from(drop);
            !drop
        })?;
        add(&self.counters.requeued, kept);
        if self.is_full()? {
            // Nothing but requests: the oldest goes.
            let target = self.ring.tail() + 1 - self.limit;
            dropped += self.overwrite_until(target, slots)?;
        }
        Ok(dropped)
    }

    /// Empties the queue but for requests.
    fn flush(&mut self, slots: &mut Slots) -> Result<(), EdgeError> {
        self.ring.queued()?;
        let (kept, dropped) = self.sift(slots, |f| f & flags::CORRELATED != 0)?;
        add(&self.counters.requeued, kept);
        add(&self.counters.flushed, dropped);
        Ok(())
    }

    /// Takes back what lies before `target`; how many that were.
    fn overwrite_until(&mut self, target: u64, slots: &mut Slots) -> Result<u64, EdgeError> {
        let holding = &mut self.holding;
        self.ring.take_back_until(target, |slot| give_up(holding, slots, slot))
    }

    /// Moves what is to be kept behind, in the same order; how many were kept, and how many not.
    fn sift(&mut self, slots: &mut Slots, keep: impl FnMut(u32) -> bool) -> Result<(u64, u64), EdgeError> {
        let holding = &mut self.holding;
        self.ring.sift(keep, |slot, place| match place {
            Some(position) => holding.moved(slot, position),
            None => give_up(holding, slots, slot),
        })
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
        self.holding.let_go(|slot| slots.release(slot));
    }

    /// Says that nothing comes after what was sent.
    pub(crate) fn say_left(&self) {
        self.left.say();
    }

    /// Takes back what waits in the ring of a reader that left and reads no more: sent before we knew, and counted as
    /// flushed. Nobody was promised that it arrives.
    pub(crate) fn recall(&mut self, slots: &mut Slots) {
        // Acquire, pairs with the Release in the drop of `Subscriber`.
        let done = self.done.one().load(crate::sync::Ordering::Acquire) != 0;
        if done && self.ring.queued().is_ok_and(|queued| queued > 0) {
            // A position that cannot be true: the reader goes the way of the dead one day.
            let dropped = self.overwrite_until(self.ring.tail(), slots).unwrap_or(0);
            add(&self.counters.flushed, dropped);
        }
    }

    /// Holds no slot.
    pub(crate) fn is_idle(&self) -> bool {
        self.holding.is_empty()
    }

    /// Words of the return set.
    pub(crate) fn words(&self) -> usize {
        self.words as usize
    }

    /// Takes back what the reader has finished with of one word of slots.
    #[inline]
    pub(crate) fn collect(&mut self, word: usize, slots: &mut Slots) {
        let (ring, mut refused) = (&self.ring, 0);
        let back = self.holding.collect(word, || ring.head(), &mut refused);
        for bit in crate::bits::ones(back) {
            slots.release(word as u32 * 64 + bit);
        }
        self.refuse(refused);
    }

    /// Another process reads on from `head`, or from where the ring was read since: takes back what the one before had.
    ///
    /// # Errors
    /// [`EdgeError::Corrupt`] when no process can have read that far. Nothing was taken back then.
    pub(crate) fn reader_restarted(&mut self, head: u64, slots: &mut Slots) -> Result<u32, EdgeError> {
        if head > self.ring.tail() {
            return Err(EdgeError::Corrupt { what: "read position" });
        }
        let (ring, mut refused, mut freed) = (&self.ring, 0, 0);
        self.holding.reader_restarted(
            head,
            || ring.head(),
            &mut refused,
            |slot| {
                slots.release(slot);
                freed += 1;
            },
        );
        self.refuse(refused);
        Ok(freed)
    }

    /// Counts returns that cannot be true.
    #[inline]
    fn refuse(&self, n: u64) {
        if n > 0 && !self.closed {
            add(&self.counters.refused, n);
        }
    }
}

/// The edge gives up the slot of a message that its reader never got.
fn give_up(holding: &mut Holding, slots: &mut Slots, slot: u32) {
    if slot != INLINE && holding.take_back(slot) {
        slots.release(slot);
    }
}
