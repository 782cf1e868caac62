//! What one thread tells another during a step: messages and words, in order.
//!
//! A lane has one writer and one reader. Each step fills it from its first entry, so a lane is as hot as a single line: what
//! the reader polls is what it gets, message, tag and all, in one move of that line (for messages of up to 32 bytes).
//!
//! ```text
//!   entry  0  stamp     number of the step that wrote it, goes last
//!          8  time, microstep, threads, fed: the step itself, in the first entry only
//!         28  what      kind, number, and whether it is the last of its sender
//!         32  message   not with a word
//! ```
//!
//! A message is written into its entry when it is sent. Word and stamp follow with the next entry of its sender, or when that is done: only
//! then is it known whether this one was the last.
//!
//! The reader writes nothing here: its store would have to get the line for itself, and what it sends next would wait behind that.
//!
//! 1. Steps are numbered upwards from 1. An entry whose stamp is the number of the step belongs to the reader until that step
//!    is over; any other one to the writer.
//! 2. The last entry of each sender says that it is the last, so a reader never has to look anywhere else.
//! 3. There is room for everything that a step can send: nobody ever waits for room.
//!
//! That a step is over before the next begins is the contract of [`Writer::begin`]. A message that nobody took is dropped with
//! the lane, for which the reader leaves behind how far it was.
#![expect(unsafe_code, reason = "hands values over between two threads without a lock")]

use std::mem::MaybeUninit;

use super::{
    slot::{Tag, Verdict},
    sync::{Arc, AtomicU64, Ordering, UnsafeCell, pause},
};

/// Threads of one flow: each is a bit of a `u32`.
pub(super) const MOST_THREADS: usize = 32;

/// A step as all its threads see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// From 1 upwards.
    pub(super) number: u64,
    pub(super) tag: Tag,
    /// Threads that take part, as bits.
    pub(super) threads: u32,
    /// Those that get a word, and the events that waited, from the first thread before anything else.
    pub(super) fed: u32,
}

impl Step {
    #[inline]
    pub(super) fn has(&self, thread: u32) -> bool {
        self.threads & (1 << thread) != 0
    }

    #[inline]
    pub(super) fn feeds(&self, thread: u32) -> bool {
        self.fed & (1 << thread) != 0
    }
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A message for this edge, which waited on the first thread.
    Fed(u32),
    /// Nothing more waited there.
    AllFed,
    /// A message that was sent on this output.
    Sent(u32),
    /// This operator is done.
    Done(u32),
    /// This operator is done and will not run again.
    Ended(u32, Verdict),
    /// All operators of the writer are done.
    AllDone,
}

const LAST: u32 = 1 << 31;
const NUMBER: u32 = (1 << 28) - 1;
/// Kinds that come with a message.
const SENT: u32 = 0;
const FED: u32 = 1;

/// [`What`] in one word: kind in three bits, number in the others, and whether it is the last of its sender. Most are messages that were
/// sent: those are told apart by one comparison, because after a wait no jump is foreseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u32);

impl Word {
    #[inline]
    fn new(what: What, last: bool) -> Self {
        let (kind, number) = match what {
            What::Sent(output) => (SENT, output),
            What::Fed(edge) => (FED, edge),
            What::Done(operator) => (2, operator),
            What::Ended(operator, Verdict::Finish) => (3, operator),
            What::Ended(operator, Verdict::StopAll) => (4, operator),
            What::Ended(operator, Verdict::Fail | Verdict::Continue) => (5, operator),
            What::AllDone => (6, 0),
            What::AllFed => (7, 0),
        };
        Self((kind << 28) | (number & NUMBER) | if last { LAST } else { 0 })
    }

    #[inline]
    fn kind(self) -> u32 {
        (self.0 >> 28) & 7
    }

    /// The last message of a sender, sent on this output.
    pub(super) fn last_sent(output: u32) -> Self {
        Self::new(What::Sent(output), true)
    }

    /// The output, when this is a message that was sent on one.
    #[inline]
    pub(super) fn sent(self) -> Option<u32> {
        (self.kind() == SENT).then_some(self.0 & NUMBER)
    }

    /// Nothing more comes of its sender.
    #[inline]
    pub(super) fn is_last(self) -> bool {
        self.0 & LAST != 0
    }

    #[inline]
    fn as_last(self) -> Self {
        Self(self.0 | LAST)
    }

    #[inline]
    fn has_message(self) -> bool {
        self.kind() <= FED
    }

    pub(super) fn what(self) -> What {
        let number = self.0 & NUMBER;
        match self.kind() {
            SENT => What::Sent(number),
            FED => What::Fed(number),
            2 => What::Done(number),
            3 => What::Ended(number, Verdict::Finish),
            4 => What::Ended(number, Verdict::StopAll),
            5 => What::Ended(number, Verdict::Fail),
            6 => What::AllDone,
            _ => What::AllFed,
        }
    }
}

#[derive(Debug)]
struct Body<M> {
    time_ns: u64,
    microstep: u32,
    threads: u32,
    fed: u32,
    word: Word,
    /// There when the word says so.
    message: MaybeUninit<M>,
}

#[derive(Debug)]
#[repr(align(64))]
struct Entry<M> {
    stamp: AtomicU64,
    body: UnsafeCell<Body<M>>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Lane<M> {
    entries: Box<[Entry<M>]>,
    /// Last step of the reader, and entries that it took of that; known when it is gone.
    taken: (AtomicU64, AtomicU64),
}

// SAFETY: a body is touched by one thread at a time (invariant 1), and what goes from one to the other is `Send`.
unsafe impl<M: Send> Sync for Lane<M> {}
// SAFETY: as above.
unsafe impl<M: Send> Send for Lane<M> {}

/// Makes a lane with room for this many entries per step. Allocates.
#[expect(clippy::disallowed_methods, reason = "runs before the threads' loops")]
pub(super) fn lane<M>(room: usize) -> (Writer<M>, Reader<M>) {
    let body = || Body {
        time_ns: 0,
        microstep: 0,
        threads: 0,
        fed: 0,
        word: Word(0),
        message: MaybeUninit::uninit(),
    };
    let entry = |_| Entry { stamp: AtomicU64::new(0), body: UnsafeCell::new(body()) };
    let entries = (0..room.max(1)).map(entry).collect();
    let lane = Arc::new(Lane { entries, taken: (AtomicU64::new(0), AtomicU64::new(0)) });
    let writer = Writer { lane: Arc::clone(&lane), step: Step::default(), next: 0, open: None };
    (writer, Reader { lane, step: 0, next: 0 })
}

/// The writing end. Each end has its lines for itself: what one thread notes must not take a line away from another.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Writer<M> {
    lane: Arc<Lane<M>>,
    step: Step,
    next: usize,
    /// The next entry is filled, all but its word and its stamp: nobody knows yet whether it is the last of its sender.
    open: Option<Word>,
}

impl<M> Writer<M> {
    /// Goes back to the first entry for another step.
    ///
    /// # Safety
    /// The number of the step is larger than any before, and the reader has taken all that was written in those, in a way that
    /// this thread has seen (a chain of Release and Acquire leads from its last `take` to here).
    pub(super) unsafe fn begin(&mut self, step: Step) {
        debug_assert!(self.open.is_none(), "a sender was not ended");
        self.step = step;
        self.next = 0;
    }

    /// Adds an entry: a message with [`What::Fed`] and [`What::Sent`], a word with all others. The reader sees it with the next one,
    /// or with [`end`](Self::end).
    #[inline]
    pub(super) fn push(&mut self, what: What, message: Option<M>) {
        let word = Word::new(what, false);
        if word.has_message() != message.is_some() {
            return;
        }
        if let Some(open) = self.open.take() {
            self.close(open);
        }
        // Always there (invariant 3).
        let Some(entry) = self.lane.entries.get(self.next) else { return };
        let (step, is_first) = (&self.step, self.next == 0);
        // SAFETY: the stamp is not that of this step, so the body is ours (invariant 1, `begin`). Its message was taken: there is nothing
        // to drop. Only stores: a load would wait until the line has come over.
        entry.body.with_mut(|body| unsafe {
            if is_first {
                ((*body).time_ns, (*body).microstep) = (step.tag.time_ns, step.tag.microstep);
                ((*body).threads, (*body).fed) = (step.threads, step.fed);
            }
            if let Some(message) = message {
                (*body).message = MaybeUninit::new(message);
            }
        });
        self.open = Some(word);
    }

    /// No more of this sender comes. False when there was nothing to say it with.
    #[inline]
    pub(super) fn end(&mut self) -> bool {
        let Some(open) = self.open.take() else { return false };
        self.close(open.as_last());
        true
    }

    /// Gives the open entry to the reader.
    #[inline]
    fn close(&mut self, word: Word) {
        let Some(entry) = self.lane.entries.get(self.next) else { return };
        // SAFETY: as in `push`; it is filled now, and no message is in it but that of which the word tells.
        entry.body.with_mut(|body| unsafe { (*body).word = word });
        // (L) Release, pairs with the Acquire in `Reader`: who sees the stamp sees the body.
        entry.stamp.store(self.step.number, Ordering::Release);
        self.next += 1;
    }
}

impl<M> Drop for Writer<M> {
    fn drop(&mut self) {
        if let (Some(open), Some(entry)) = (self.open, self.lane.entries.get(self.next))
            && open.has_message()
        {
            // SAFETY: an entry without the stamp of the step is ours (invariant 1), and `open` says that there is a message in it.
            entry.body.with_mut(|body| unsafe { (*body).message.assume_init_drop() });
        }
    }
}

/// The reading end.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Reader<M> {
    lane: Arc<Lane<M>>,
    step: u64,
    next: usize,
}

impl<M> Reader<M> {
    /// The step that has begun here, if it is not the one of [`begin`](Self::begin) any more.
    #[inline]
    pub(super) fn peek(&self) -> Option<Step> {
        let entry = self.lane.entries.first()?;
        // Acquire, pairs with (L).
        let number = entry.stamp.load(Ordering::Acquire);
        (number > self.step).then(|| {
            // SAFETY: the stamp says that the body is ours (invariant 1) until we have taken it.
            let (tag, threads, fed) = entry.body.with(|body| unsafe {
                let tag = Tag { time_ns: (*body).time_ns, microstep: (*body).microstep };
                (tag, (*body).threads, (*body).fed)
            });
            Step { number, tag, threads, fed }
        })
    }

    /// Goes back to the first entry for another step; there is no way back to an earlier one.
    pub(super) fn begin(&mut self, step: u64) {
        if step > self.step {
            (self.step, self.next) = (step, 0);
        }
    }

    /// Looks so many times whether the next entry of the step is there, and says what it is about.
    #[inline]
    pub(super) fn spin(&self, looks: u32) -> Option<Word> {
        let entry = self.lane.entries.get(self.next)?;
        for _ in 0..looks {
            // Acquire, pairs with (L).
            if entry.stamp.load(Ordering::Acquire) == self.step {
                // SAFETY: the stamp says that the body is ours (invariant 1).
                return Some(entry.body.with(|body| unsafe { (*body).word }));
            }
            pause();
        }
        None
    }

    /// The next entry of the step, if it is there.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(Word, Option<M>)> {
        let entry = self.lane.entries.get(self.next)?;
        // Acquire, pairs with (L).
        if entry.stamp.load(Ordering::Acquire) != self.step {
            return None;
        }
        self.next += 1;
        // SAFETY: the stamp says that the body is ours (invariant 1), and `next` that its message was not taken before. There is one when
        // the word says so: `push` and `finish` see to that.
        Some(entry.body.with(|body| unsafe {
            let word = (*body).word;
            (word, word.has_message().then(|| (*body).message.assume_init_read()))
        }))
    }
}

impl<M> Drop for Reader<M> {
    fn drop(&mut self) {
        // Release, pairs with the last reference to the lane going, which is AcqRel.
        self.lane.taken.0.store(self.step, Ordering::Release);
        self.lane.taken.1.store(self.next as u64, Ordering::Release);
    }
}

impl<M> Drop for Lane<M> {
    fn drop(&mut self) {
        let [step, next] = [&self.taken.0, &self.taken.1].map(|word| word.load(Ordering::Acquire));
        // What was written before the last step that is here was taken, or that step would not have begun.
        let last = self.entries.first().map_or(0, |entry| entry.stamp.load(Ordering::Acquire));
        // Zero: never written.
        let written = |entry: &Entry<M>| last != 0 && entry.stamp.load(Ordering::Acquire) == last;
        let ours = (0..).zip(&self.entries).filter(|(_, entry)| written(entry));
        for (_, entry) in ours.filter(|(at, _)| last > step || *at >= next) {
            entry.body.with_mut(|body| {
                // SAFETY: nobody else has the lane any more; the entry was written, and not taken.
                unsafe {
                    if (*body).word.has_message() {
                        (*body).message.assume_init_drop();
                    }
                }
            });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
