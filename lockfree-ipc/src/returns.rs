//! The set of slots that a reader has finished with: one bit per slot, set by the reader, swapped out by the sender.
//!
//! 1. A set bit means: this reader is done with that slot. The sender believes it only for slots that it knows
//!    the reader to hold (`Publisher` masks with its private truth), so a bit too many frees nothing of others.
//! 2. Any thread of the reader may set a bit: arrays can be dropped anywhere. It is one atomic OR; nothing can
//!    overflow, nothing is lost, and returning twice is returning once.
//!
//! The sender looks only when it runs out of free slots, so that for small messages the line stays with the reader.
//! If the reader dies, the sender drops the whole edge and takes back what its private truth says.

use crate::{
    segment::Shared,
    sync::{AtomicU64, Ordering},
};

/// One end of the set; both ends look the same.
#[derive(Clone, Debug)]
pub struct ReturnSet {
    words: Shared<AtomicU64>,
}

impl ReturnSet {
    pub(crate) fn new(words: Shared<AtomicU64>) -> Self {
        Self { words }
    }

    /// A set of this process only, for loans that were dropped unsent.
    pub fn on_heap(words: usize) -> Self {
        Self { words: Shared::heap((0..words).map(|_| AtomicU64::new(0)).collect()) }
    }

    /// Marks a slot as finished. Slots outside the set are ignored. Wait-free, any thread.
    #[inline]
    pub fn give_back(&self, slot: u32) {
        if let Some(word) = self.words.get(slot as usize / 64) {
            // (R) Release, pairs with (S) in `collect`: our reads of the payload are over when the sender sees this.
            word.fetch_or(1 << (slot % 64), Ordering::Release);
        }
    }

    /// Takes the finished slots of one word.
    #[inline]
    pub fn collect(&self, word: usize) -> u64 {
        let Some(word) = self.words.get(word) else { return 0 };
        if word.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        // (S) Acquire, pairs with (R).
        word.swap(0, Ordering::Acquire)
    }
}
