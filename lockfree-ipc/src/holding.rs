//! What one edge holds of its sender's slots: in its ring, or with its reader. Private to the sender.
//!
//! 1. A slot is held from the moment it enters the ring until the sender takes it back, the reader gives it back, or the
//!    reader is gone.
//! 2. A returned bit counts for a slot that is held and that the read position has passed, and for no other: whatever a
//!    reader wrote, what waits in the ring stays there. Other bits are counted and change nothing.
//! 3. For each slot the position is known at which it entered the ring last. So when the reader's process was replaced, what
//!    the old one had (from before the read position at its death) can be told from what waits or is with the new one.
//!
//! Cost on the way of a message: one bit and one word for a message in a slot, nothing for one in the ring entry.

use crate::ReturnSet;

/// The slots of one edge.
#[derive(Debug)]
pub(crate) struct Holding {
    returns: ReturnSet,
    /// One bit per slot.
    held: Box<[u64]>,
    /// One position per slot; means something only while the slot is held.
    sent_at: Box<[u64]>,
}

impl Holding {
    /// Nothing is held. `words` is the length of the return set.
    pub(crate) fn new(returns: ReturnSet, words: usize) -> Self {
        // Written and not only reserved, so that no send touches a fresh page.
        Self { returns, held: vec![0; words].into(), sent_at: vec![u64::MAX; words * 64].into() }
    }

    /// The slot enters the ring at this position.
    #[inline]
    pub(crate) fn enter(&mut self, slot: u32, position: u64) {
        set(&mut self.held, slot);
        self.sent_at[slot as usize] = position;
    }

    /// The slot was moved to this position of the ring.
    pub(crate) fn moved(&mut self, slot: u32, position: u64) {
        if let Some(at) = self.sent_at.get_mut(slot as usize) {
            *at = position;
        }
    }

    /// The sender takes the slot back. True when it was held.
    #[inline]
    pub(crate) fn take_back(&mut self, slot: u32) -> bool {
        clear(&mut self.held, slot)
    }

    /// Collects what the reader gave back of one word of slots; `head` reads the ring's read position. Bits that cannot be
    /// true are added to `refused`.
    #[inline]
    pub(crate) fn collect(&mut self, word: usize, head: impl FnOnce() -> u64, refused: &mut u64) -> u64 {
        let bits = self.returns.collect(word);
        if bits == 0 { 0 } else { self.believe(word, bits, head(), refused) }
    }

    fn believe(&mut self, word: usize, bits: u64, head: u64, refused: &mut u64) -> u64 {
        // The position was read after the bits: a reader moves it before it can give anything back.
        let passed = |bit: u32| self.sent_at[word * 64 + bit as usize] < head;
        let back = crate::bits::ones(bits & self.held[word]).filter(|bit| passed(*bit));
        let back = back.fold(0, |all, bit| all | 1 << bit);
        *refused += u64::from((bits & !back).count_ones());
        self.held[word] &= !back;
        back
    }

    /// The process that read until `head` is gone, another one goes on: calls `free` for what the old one had, and for what
    /// the new one gave back meanwhile. `now` reads the read position.
    pub(crate) fn reader_restarted(
        &mut self,
        head: u64,
        now: impl Fn() -> u64,
        refused: &mut u64,
        mut free: impl FnMut(u32),
    ) {
        for word in 0..self.held.len() {
            // First the bits, all of them: one that stays behind would free the slot when it is sent here again.
            let mut back = self.collect(word, &now, refused);
            for bit in crate::bits::ones(self.held[word]) {
                if self.sent_at[word * 64 + bit as usize] < head {
                    back |= 1 << bit;
                }
            }
            self.held[word] &= !back;
            crate::bits::ones(back).for_each(|bit| free(word as u32 * 64 + bit));
        }
    }

    /// No slot is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.iter().all(|word| *word == 0)
    }

    /// Nobody reads any more: calls `free` for everything.
    pub(crate) fn let_go(&mut self, mut free: impl FnMut(u32)) {
        for (word, bits) in self.held.iter_mut().enumerate() {
            crate::bits::ones(std::mem::take(bits)).for_each(|bit| free(word as u32 * 64 + bit));
        }
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
