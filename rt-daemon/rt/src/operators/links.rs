//! The lanes of one thread, and how it waits for what comes through them.
//!
//! A thread spins on the next entry of the lane that it waits for; after a while, if it may, it sleeps on its bell. Whoever writes into
//! a lane rings the bell of its reader afterwards; where nobody ever sleeps there are no bells, and no fences.

use lockfree_ipc::Doorbell;

use crate::clock::{Clock, Monotonic};

use super::{
    lane::{Reader, Step, What, Word, Writer},
    plan::Graph,
    sync::{AtomicBool, Ordering, pause},
};

/// How far a thread has got, as another one sees it: all that waited has been fed.
const FED: u32 = 1;
/// Operator `n` is done at `OPERATORS + n`.
const OPERATORS: u32 = 2;
/// How far a thread is that said this.
fn so_far(what: What, last: u32) -> u32 {
    match what {
        What::Fed(_) | What::AllFed => last * FED,
        What::Done(operator) | What::Ended(operator, _) => OPERATORS + operator,
        What::AllDone => u32::MAX,
        // Its output has an owner.
        What::Sent(_) => 0,
    }
}

/// Looks between two looks at the clock and at the word to stop: they cost more than a look.
const LOOKS: u32 = 64;

/// How far a thread is when this operator is done.
#[inline]
pub(super) fn done(operator: usize) -> u32 {
    OPERATORS + operator as u32
}

/// What the waiting of all threads has in common.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Waiting {
    pub(super) stop: AtomicBool,
    /// Per thread; none where nobody sleeps.
    pub(super) bells: Box<[Doorbell]>,
    /// Nanoseconds before a thread sleeps.
    pub(super) spin_ns: u64,
}

impl Waiting {
    #[inline]
    fn ring(&self, thread: usize) {
        if let Some(bell) = self.bells.get(thread) {
            bell.ring();
        }
    }

    /// Ends all waiting.
    pub(super) fn stop(&self) {
        // Release, pairs with the Acquire in `Patience`.
        self.stop.store(true, Ordering::Release);
        self.bells.iter().for_each(Doorbell::ring);
    }
}

/// One wait, from the first look to the last.
#[derive(Default)]
struct Patience {
    give_up_ns: Option<u64>,
    /// The bell is told that we are about to sleep; after one more look we do.
    sleepy: bool,
}

impl Patience {
    /// How often to look before the next [`wait`](Self::wait).
    fn looks(&self) -> u32 {
        // A model has few.
        if self.sleepy || cfg!(loom) { 1 } else { LOOKS }
    }

    /// After looks that found nothing. False: nothing will come any more.
    #[cold]
    fn wait(&mut self, waiting: &Waiting, thread: u32) -> bool {
        // Acquire, pairs with the Release in `stop`.
        if waiting.stop.load(Ordering::Acquire) {
            self.end(waiting, thread);
            return false;
        }
        let Some(bell) = waiting.bells.get(thread as usize) else { return true };
        if std::mem::take(&mut self.sleepy) {
            bell.park(None);
            return true;
        }
        let now = Monotonic.now_ns();
        if now >= *self.give_up_ns.get_or_insert(now.saturating_add(waiting.spin_ns)) {
            bell.prepare();
            self.sleepy = true;
        }
        true
    }

    /// After a look that found something.
    #[inline]
    fn end(&self, waiting: &Waiting, thread: u32) {
        if self.sleepy
            && let Some(bell) = waiting.bells.get(thread as usize)
        {
            bell.cancel();
        }
    }
}

/// A lane from another thread.
#[derive(Debug)]
struct From<M> {
    reader: Reader<M>,
    /// How far that thread is in this step.
    done: u32,
}

/// Both ends that one thread has of all its lanes.
#[derive(Debug)]
pub(super) struct Links<M> {
    thread: u32,
    from: Box<[Option<From<M>>]>,
    to: Box<[Option<Writer<M>>]>,
    /// Threads that get something of the operator that runs or is being handed on, as bits.
    touched: u32,
    /// Messages of that operator that went into a lane at once.
    straight: usize,
    waiting: std::sync::Arc<Waiting>,
}

impl<M> Links<M> {
    /// `from` and `to`: per thread.
    #[expect(clippy::disallowed_methods, reason = "runs before the threads' loops")]
    pub(super) fn new(
        thread: u32,
        from: Vec<Option<Reader<M>>>,
        to: Vec<Option<Writer<M>>>,
        waiting: std::sync::Arc<Waiting>,
    ) -> Self {
        let from = from.into_iter().map(|reader| reader.map(|reader| From { reader, done: 0 })).collect();
        Self { thread, from, to: to.into(), touched: 0, straight: 0, waiting }
    }

    /// Goes on to another step.
    ///
    /// # Safety
    /// As [`Writer::begin`], for all lanes that lead from here.
    #[expect(unsafe_code, reason = "passes the contract of the lanes on")]
    pub(super) unsafe fn begin(&mut self, step: Step) {
        for writer in self.to.iter_mut().flatten() {
            // SAFETY: as the caller says.
            unsafe { writer.begin(step) };
        }
        for from in self.from.iter_mut().flatten() {
            from.reader.begin(step.number);
            from.done = 0;
        }
    }

    /// Waits for the next step in which this thread takes part. `None`: there will be none.
    pub(super) fn next_step(&self) -> Option<Step> {
        let mut patience = Patience::default();
        loop {
            for _ in 0..patience.looks() {
                if let Some(step) = self.from.iter().flatten().find_map(|from| from.reader.peek()) {
                    patience.end(&self.waiting, self.thread);
                    return Some(step);
                }
                pause();
            }
            if !patience.wait(&self.waiting, self.thread) {
                return None;
            }
        }
    }

    /// Adds an entry to the lane to this thread.
    #[inline]
    pub(super) fn push(&mut self, to: u32, what: What, message: Option<M>) {
        if let Some(Some(writer)) = self.to.get_mut(to as usize) {
            writer.push(what, message);
            self.touched |= 1 << to;
        }
    }

    /// Adds a message that the operator sends while it runs.
    #[inline]
    pub(super) fn push_straight(&mut self, to: u32, output: u32, message: M) {
        self.straight += 1;
        self.push(to, What::Sent(output), Some(message));
    }

    /// How many of the operator that runs there were.
    #[inline]
    pub(super) fn straight(&self) -> usize {
        self.straight
    }

    /// Adds a clone of a message to the lanes to all these threads.
    #[inline]
    pub(super) fn push_to(&mut self, mut threads: u32, what: What, message: &M)
    where
        M: Clone,
    {
        while threads != 0 {
            self.push(threads.trailing_zeros(), what, Some(message.clone()));
            threads &= threads - 1;
        }
    }

    /// As [`push_to`](Self::push_to); the last of them gets the message itself.
    #[inline]
    pub(super) fn give_to(&mut self, threads: u32, what: What, message: M)
    where
        M: Clone,
    {
        if threads == 0 {
            return;
        }
        let last = u32::BITS - 1 - threads.leading_zeros();
        self.push_to(threads & !(1 << last), what, &message);
        self.push(last, what, Some(message));
    }

    /// The operator is done: says so to all that got something of it, and to those in `awaited` with a word.
    #[inline]
    pub(super) fn end(&mut self, awaited: u32, word: What) {
        self.straight = 0;
        let mut threads = std::mem::take(&mut self.touched) | awaited;
        while threads != 0 {
            let to = threads.trailing_zeros() as usize;
            threads &= threads - 1;
            let Some(Some(writer)) = self.to.get_mut(to) else { continue };
            if !writer.end() {
                writer.push(word, None);
                writer.end();
            }
            self.waiting.ring(to);
        }
    }

    /// What came next from this thread, if it is there.
    #[inline]
    pub(super) fn take(&mut self, from: u32, graph: &Graph) -> Option<(Word, Option<M>)> {
        let from = self.from.get_mut(from as usize)?.as_mut()?;
        let (word, message) = from.reader.take()?;
        let last = u32::from(word.is_last());
        from.done = match word.sent() {
            Some(output) => OPERATORS + graph.owners[output as usize] + last - 1,
            None => so_far(word.what(), last),
        };
        Some((word, message))
    }

    /// Has this thread got so far?
    #[inline]
    pub(super) fn is_done(&self, from: u32, done: u32) -> bool {
        // There is a lane wherever somebody waits.
        self.from.get(from as usize).and_then(Option::as_ref).is_none_or(|from| from.done >= done)
    }

    /// Takes what comes from a thread until it has got so far. False: it never will.
    #[inline]
    pub(super) fn until(
        &mut self,
        from: u32,
        done: u32,
        graph: &Graph,
        mut accept: impl FnMut(Word, Option<M>),
    ) -> bool {
        while !self.is_done(from, done) {
            if self.await_next(from).is_none() {
                return false;
            }
            if let Some((word, message)) = self.take(from, graph) {
                accept(word, message);
            }
        }
        true
    }

    /// Waits for what comes next from this thread, and says what it is. `None`: nothing will.
    #[inline]
    pub(super) fn await_next(&self, from: u32) -> Option<Word> {
        let reader = &self.from.get(from as usize)?.as_ref()?.reader;
        let mut patience = Patience::default();
        loop {
            if let Some(word) = reader.spin(patience.looks()) {
                patience.end(&self.waiting, self.thread);
                return Some(word);
            }
            if !patience.wait(&self.waiting, self.thread) {
                return None;
            }
        }
    }

    /// Takes the message that comes next from this thread, with which it has got so far.
    #[inline]
    pub(super) fn take_last(&mut self, from: u32, done: u32) -> Option<M> {
        let from = self.from.get_mut(from as usize)?.as_mut()?;
        let (_, message) = from.reader.take()?;
        from.done = done;
        message
    }

    /// Takes what waited on the first thread.
    #[inline]
    pub(super) fn until_fed(&mut self, graph: &Graph, accept: impl FnMut(Word, Option<M>)) -> bool {
        self.until(0, FED, graph, accept)
    }

    /// Takes all that comes from a thread in this step.
    pub(super) fn until_all(
        &mut self,
        from: u32,
        graph: &Graph,
        accept: impl FnMut(Word, Option<M>),
    ) -> bool {
        self.until(from, u32::MAX, graph, accept)
    }
}
