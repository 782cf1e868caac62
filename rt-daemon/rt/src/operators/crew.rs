//! Starts the further threads of a flow, gives them their operators, and ends them.

use std::{sync::mpsc, thread};

use lockfree_ipc::{Doorbell, doorbell};
use rt_tuning::{TuningError, alloc_guard};

use crate::executor::{STACK, StartError, ThreadSpec, set_up};

use super::{
    counts::{Cells, Shared},
    hand::{Desk, Hand, follow},
    lane::{Reader, Writer, lane},
    links::{Links, Waiting},
    outbox::Outbox,
    plan::Graph,
    slot::{Operator, OperatorCounts, Slot, Tag},
    sync::{Arc, AtomicBool},
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

impl Waits {
    /// # Errors
    /// What the system says when there are no descriptors left.
    #[expect(clippy::disallowed_methods, reason = "runs before the threads' loops")]
    pub(super) fn of(self, threads: u32) -> Result<Waiting, StartError> {
        let name = || String::from("operators");
        let bell = |_| {
            let segment = doorbell::create().map_err(|source| StartError::Os { name: name(), source })?;
            Doorbell::open(segment, None)
                .map_err(|error| StartError::Os { name: name(), source: std::io::Error::other(error) })
        };
        let (bells, spin_ns) = match self {
            Self::Park { spin_ns } => ((0..threads).map(bell).collect::<Result<_, _>>()?, spin_ns),
            Self::Spin => (Box::default(), 0),
        };
        Ok(Waiting { stop: AtomicBool::new(false), bells, spin_ns })
    }
}

/// The further threads.
#[derive(Debug)]
pub(super) struct Team {
    waiting: std::sync::Arc<Waiting>,
    /// Per operator: what it counts on another thread.
    away: Away,
    threads: Vec<thread::JoinHandle<()>>,
}

#[expect(clippy::disallowed_methods, reason = "runs before the threads' loops, or after them")]
impl Team {
    /// Starts them; the operators leave `hand` when all of them run.
    pub(super) fn start<M: Clone + Send + 'static>(
        hand: &mut Hand<M>,
        specs: &[ThreadSpec],
        waits: Waits,
    ) -> Result<(Self, Vec<TuningError>), StartError> {
        let wanted = hand.shared.graph.threads as usize - 1;
        let waiting = std::sync::Arc::new(waits.of(hand.shared.graph.threads)?);
        let mut team =
            Self { waiting: std::sync::Arc::clone(&waiting), away: Box::default(), threads: Vec::new() };
        let (mut refused, mut starts) = (Vec::new(), Vec::new());
        for number in 0..wanted {
            let unnamed =
                ThreadSpec { name: "operators".into(), cores: Vec::new(), scheduling: None, commands: 0 };
            let (start, its) = team.thread(specs.get(number).cloned().unwrap_or(unnamed))?;
            starts.push(start);
            refused.extend(its);
        }
        let (seats, away) = part(hand, &waiting);
        team.away = away;
        for (start, seat) in starts.into_iter().zip(seats) {
            // It waits for this and for nothing else; should it be gone, its part says so by what it drops.
            start.send(seat).ok();
        }
        Ok((team, refused))
    }

    fn thread<M: Clone + Send + 'static>(
        &mut self,
        spec: ThreadSpec,
    ) -> Result<(mpsc::Sender<Seat<M>>, Vec<TuningError>), StartError> {
        let name = spec.name.clone();
        let (ready, is_ready) = mpsc::channel();
        let (start, is_started) = mpsc::channel::<Seat<M>>();
        let waiting = std::sync::Arc::clone(&self.waiting);
        let thread = thread::Builder::new().name(name.clone()).stack_size(STACK).spawn(move || {
            let refused = set_up(&spec);
            drop(spec);
            // The starter waits for this.
            ready.send(refused).ok();
            drop(ready);
            // However it ends, nobody waits for it then.
            let _end = StopsAll(waiting);
            if let Ok(seat) = is_started.recv() {
                let mut hand = seat.take();
                alloc_guard::mark(true);
                follow(&mut hand);
                alloc_guard::mark(false);
            }
        });
        self.threads.push(thread.map_err(|source| StartError::Os { name: name.clone(), source })?);
        let refused = is_ready.recv().map_err(|_| StartError::Ended { name })?;
        Ok((start, refused))
    }

    /// What an operator counted on another thread.
    pub(super) fn counts(&self, operator: u32) -> Option<OperatorCounts> {
        self.away.get(operator as usize)?.as_ref().map(|cells| cells.read())
    }
}

struct StopsAll(std::sync::Arc<Waiting>);

impl Drop for StopsAll {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.waiting.stop();
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            drop(thread.join());
        }
    }
}

/// What another thread gets to begin with.
pub(super) struct Seat<M> {
    thread: u32,
    shared: Shared,
    links: Links<M>,
    operators: Vec<Mover<M>>,
}

/// An operator that goes to another thread.
struct Mover<M> {
    number: usize,
    operator: Box<dyn Operator<M>>,
    /// The first thread looks at them, too.
    counts: Arc<Cells>,
}

#[expect(clippy::disallowed_methods, reason = "runs before the thread's loop")]
impl<M> Seat<M> {
    /// Makes everything that this thread alone uses, on this thread: so its allocator does not put it beside what others write.
    pub(super) fn take(self) -> Hand<M> {
        let Self { thread, shared, links, operators } = self;
        let graph = &shared.graph;
        let mut slots: Box<[Option<Slot<M>>]> = graph.operators.iter().map(|_| None).collect();
        for Mover { number, operator, counts } in operators {
            let plan = &graph.operators[number];
            let limits: Vec<u32> = graph.edges[plan.edges()].iter().map(|edge| edge.limit).collect();
            slots[number] = Some(Slot::new(Some(operator), &limits, plan.room as usize, counts));
        }
        let earliest = slots.iter().map(|_| Tag::NEVER).collect();
        Hand {
            shared: shared.clone(),
            thread,
            desk: Desk { slots, earliest },
            links: Some(links),
            outbox: None,
        }
    }
}

/// What each operator counts on another thread.
type Away = Box<[Option<Arc<Cells>>]>;

/// Takes the operators of the other threads out of the first one, and lays the lanes between all of them.
#[expect(clippy::disallowed_methods, reason = "runs before the threads' loops")]
pub(super) fn part<M>(first: &mut Hand<M>, waiting: &std::sync::Arc<Waiting>) -> (Vec<Seat<M>>, Away) {
    let Hand { shared, desk, links: own, outbox, .. } = first;
    let graph = &shared.graph;
    let mut links = lanes(graph, waiting).into_iter();
    (*own, *outbox) = (links.next(), Some(Outbox::new(graph)));
    let mut away: Away = graph.operators.iter().map(|_| None).collect();
    let seats = (1..graph.threads).zip(links).map(|(thread, links)| {
        let numbers = graph.routes.own[thread as usize].iter().map(|number| *number as usize);
        let operators = numbers.filter_map(|number| {
            let counts = Arc::clone(away[number].insert(Arc::default()));
            Some(Mover { number, operator: desk.slot(number)?.leave()?, counts })
        });
        Seat { thread, shared: shared.clone(), links, operators: operators.collect() }
    });
    (seats.collect(), away)
}

/// Per thread: its ends of the lanes.
#[expect(clippy::disallowed_methods, reason = "runs before the threads' loops")]
fn lanes<M>(graph: &Graph, waiting: &std::sync::Arc<Waiting>) -> Vec<Links<M>> {
    let threads = graph.threads;
    let none = || -> Vec<_> { (0..threads).map(|_| (0..threads).map(|_| None).collect()).collect() };
    let mut from: Vec<Vec<Option<Reader<M>>>> = none();
    let mut to: Vec<Vec<Option<Writer<M>>>> =
        (0..threads).map(|_| (0..threads).map(|_| None).collect()).collect();
    for (writes, reads) in (0..threads).flat_map(|writes| (0..threads).map(move |reads| (writes, reads))) {
        let room = if writes == reads { 0 } else { graph.routes.room(graph, writes, reads) };
        if room > 0 {
            let (writer, reader) = lane(room);
            to[writes as usize][reads as usize] = Some(writer);
            from[reads as usize][writes as usize] = Some(reader);
        }
    }
    let ends = (0..threads).zip(from.into_iter().zip(to));
    ends.map(|(thread, (from, to))| Links::new(thread, from, to, std::sync::Arc::clone(waiting))).collect()
}
