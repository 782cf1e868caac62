//! The operators in their slots, and the threads that run them side by side.
//!
//! The stepping thread writes level and tag, then the turn of each thread that has work; a thread runs its operators of
//! that level and says so. Both sides spin for a while before they sleep.
//!
//! 1. A thread touches only the operators that the plan gives to it, and only between its turn and its word that it is done.
//! 2. The stepping thread touches a slot of another thread only outside that time.

use std::{
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
        mpsc,
    },
    thread,
};

use rt_tuning::{TuningError, alloc_guard};
use rustix::thread::futex::{self, Flags};

use crate::{
    clock::{Clock, Monotonic},
    executor::{STACK, StartError, ThreadSpec, set_up},
};

use super::{
    plan::Graph,
    slot::{Slot, Tag, add, take},
};

/// How threads wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Spin for this long, then sleep.
    Park {
        /// Nanoseconds.
        spin_ns: u64,
    },
    /// Never sleep: for isolated cores.
    Spin,
}

/// Everything that the threads share.
#[derive(Debug)]
pub(super) struct Crew<M> {
    pub(super) graph: Graph,
    slots: Box<[Mutex<Slot<M>>]>,
    /// Per edge: messages sent and not yet taken.
    waiting: Box<[AtomicU32]>,
    ended: Box<[AtomicBool]>,
}

impl<M> Crew<M> {
    #[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
    pub(super) fn new(graph: Graph, slots: Box<[Mutex<Slot<M>>]>, waiting: Box<[AtomicU32]>) -> Self {
        let ended = slots.iter().map(|_| AtomicBool::new(false)).collect();
        Self { graph, slots, waiting, ended }
    }

    /// The slot of an operator. By invariants 1 and 2 it is free; should it not be, this spins until it is.
    pub(super) fn slot(&self, number: usize) -> MutexGuard<'_, Slot<M>> {
        loop {
            match self.slots[number].try_lock() {
                Ok(slot) => return slot,
                // Panics of operators are caught inside; this is one of `Outside`, which leaves the slot whole.
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
    }

    /// Runs an operator for all that waits with this tag.
    pub(super) fn run(&self, number: usize, tag: Tag, clock: &impl Clock) {
        self.run_in(&mut self.slot(number), number, tag, clock);
    }

    /// As [`run`](Self::run), with its slot. An operator that panics has failed; the others go on.
    pub(super) fn run_in(&self, slot: &mut Slot<M>, number: usize, tag: Tag, clock: &impl Clock) {
        let run = AssertUnwindSafe(|| slot.run(number, tag, &self.graph, &self.waiting, clock));
        if catch_unwind(run).is_err() {
            slot.fail(number, &self.graph, &self.waiting);
        }
    }

    pub(super) fn note(&self, edge: usize) {
        add(&self.waiting[edge], 1);
    }

    pub(super) fn unnote(&self, edge: usize) {
        take(&self.waiting[edge], 1);
    }

    pub(super) fn first_time_ended(&self, number: usize) -> bool {
        !self.ended[number].swap(true, Relaxed)
    }
}

/// A word that one thread changes and another waits for.
#[derive(Debug, Default)]
struct Gate {
    word: AtomicU32,
    asleep: AtomicU32,
}

impl Gate {
    fn open(&self, value: u32) {
        // Release, pairs with the Acquire in `wait`: what was written before is seen by who sees the value. SeqCst, because
        // this store and the load below must not change places (the other side: `asleep`, then `word`).
        self.word.store(value, SeqCst);
        if self.asleep.load(SeqCst) != 0 {
            // Cannot fail on a live word; nobody asleep is no error.
            futex::wake(&self.word, Flags::PRIVATE, 1).ok();
        }
    }

    /// Waits until the word is not `old`.
    fn wait(&self, old: u32, waits: Waits) -> u32 {
        let mut give_up = None;
        let mut turns = 0u32;
        loop {
            let value = self.word.load(Acquire);
            if value != old {
                return value;
            }
            std::hint::spin_loop();
            turns = turns.wrapping_add(1);
            let Waits::Park { spin_ns } = waits else { continue };
            // The clock is looked at now and then: it costs more than the word.
            if !turns.is_multiple_of(64) {
                continue;
            }
            let now = Monotonic.now_ns();
            if now >= *give_up.get_or_insert(now.saturating_add(spin_ns)) {
                self.asleep.store(1, SeqCst);
                if self.word.load(SeqCst) == old {
                    // Changed meanwhile, interrupted: in each case the loop looks again.
                    futex::wait_bitset(&self.word, Flags::PRIVATE, old, None, NonZeroU32::MAX).ok();
                }
                self.asleep.store(0, SeqCst);
            }
        }
    }
}

/// What all threads of a team look at.
#[derive(Debug)]
struct Board {
    level: AtomicU32,
    time_ns: AtomicU64,
    microstep: AtomicU32,
    stop: AtomicBool,
    /// Per further thread: its turn, and its word that it is done.
    gates: Box<[(Gate, Gate)]>,
}

/// The further threads.
#[derive(Debug)]
pub(super) struct Team {
    board: Arc<Board>,
    waits: Waits,
    /// Per thread: number of its last turn, and whether it is at it.
    turns: Box<[(u32, bool)]>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[expect(clippy::disallowed_methods, reason = "runs before the threads' loops, or after them")]
impl Team {
    pub(super) fn start<M: Send + 'static>(
        crew: &Arc<Crew<M>>,
        specs: &[ThreadSpec],
        waits: Waits,
    ) -> Result<(Self, Vec<TuningError>), StartError> {
        let wanted = crew.graph.threads as usize - 1;
        let board = Arc::new(Board {
            level: AtomicU32::new(0),
            time_ns: AtomicU64::new(0),
            microstep: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            gates: (0..wanted).map(|_| Default::default()).collect(),
        });
        let turns = (0..wanted).map(|_| (0, false)).collect();
        let mut team = Self { board, waits, turns, threads: Vec::with_capacity(wanted) };
        let mut refused = Vec::new();
        for number in 0..wanted {
            let unnamed =
                ThreadSpec { name: "operators".into(), cores: Vec::new(), scheduling: None, commands: 0 };
            let spec = specs.get(number).cloned().unwrap_or(unnamed);
            refused.extend(team.thread(Arc::clone(crew), spec, number)?);
        }
        Ok((team, refused))
    }

    fn thread<M: Send + 'static>(
        &mut self,
        crew: Arc<Crew<M>>,
        spec: ThreadSpec,
        number: usize,
    ) -> Result<Vec<TuningError>, StartError> {
        let name = spec.name.clone();
        let (ready, is_ready) = mpsc::channel();
        let (board, waits) = (Arc::clone(&self.board), self.waits);
        let thread = thread::Builder::new().name(name.clone()).stack_size(STACK).spawn(move || {
            let refused = set_up(&spec);
            drop(spec);
            // The starter waits for this.
            ready.send(refused).ok();
            drop(ready);
            alloc_guard::mark(true);
            work(&crew, &board, number, waits);
            alloc_guard::mark(false);
        });
        self.threads.push(thread.map_err(|source| StartError::Os { name: name.clone(), source })?);
        is_ready.recv().map_err(|_| StartError::Ended { name })
    }
}

impl Team {
    /// Gives their turn to the threads that have an operator in `due`.
    pub(super) fn go<M>(&mut self, crew: &Crew<M>, level: u32, tag: Tag, due: impl Fn(usize) -> bool) {
        let board = &*self.board;
        board.level.store(level, Relaxed);
        board.time_ns.store(tag.time_ns, Relaxed);
        board.microstep.store(tag.microstep, Relaxed);
        for (thread, (turn, busy)) in self.turns.iter_mut().enumerate() {
            let mut operators = crew.graph.operators.iter().enumerate();
            *busy = operators.any(|(number, plan)| plan.thread as usize == thread + 1 && due(number));
            if *busy {
                *turn = turn.wrapping_add(1);
                board.gates[thread].0.open(*turn);
            }
        }
    }

    /// Waits until all of them are done.
    pub(super) fn wait(&mut self) {
        for ((turn, busy), (_, done)) in self.turns.iter_mut().zip(&self.board.gates) {
            if std::mem::take(busy) {
                // The word still is that of the turn before until the thread is done.
                done.wait(turn.wrapping_sub(1), self.waits);
            }
        }
    }
}

fn work<M>(crew: &Crew<M>, board: &Board, number: usize, waits: Waits) {
    let (turns, done) = &board.gates[number];
    let mut turn = 0;
    loop {
        turn = turns.wait(turn, waits);
        if board.stop.load(Acquire) {
            return;
        }
        let level = board.level.load(Relaxed);
        let tag = Tag { time_ns: board.time_ns.load(Relaxed), microstep: board.microstep.load(Relaxed) };
        for (operator, plan) in crew.graph.operators.iter().enumerate() {
            if plan.thread as usize == number + 1 && plan.level == level {
                crew.run(operator, tag, &Monotonic);
            }
        }
        done.open(turn);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.board.stop.store(true, Release);
        for ((turn, _), (gate, _)) in self.turns.iter().zip(&self.board.gates) {
            gate.open(turn.wrapping_add(1));
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has failed its operator already.
            drop(thread.join());
        }
    }
}
