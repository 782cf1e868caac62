//! The thread that looks: every tenth of a second at every node, until there is enough.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use dora_daemon::observe::{Progress, RunningNode};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{mpsc, oneshot};

use super::{
    sample::{Counters, Process},
    window::{Look, Measured, Window},
};

/// From one look to the next.
const PERIOD: Duration = Duration::from_millis(100);
/// The daemon's real-time thread.
const RT_THREAD: &str = "dora-rt";

/// When there is enough.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) warm_up: Duration,
    /// At most this long after the warm-up.
    pub(super) at_most: Duration,
    /// Messages of each node that is to be judged.
    pub(super) messages: u64,
    /// Positions of these nodes in the dataflow.
    pub(super) judged: Vec<usize>,
}

/// One node, observed.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) main_tid: Option<u32>,
    pub(super) pid: u32,
    /// How often it was started; what is measured is its last life.
    pub(super) starts: u32,
    pub(super) measured: Option<Measured>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// By position; nodes that were never told to go are missing.
    pub(super) nodes: BTreeMap<usize, Node>,
    /// The daemon's real-time thread, when there is one.
    pub(super) real_time: Option<Measured>,
}

struct Observer {
    plan: Plan,
    counters: Counters,
    running: BTreeMap<usize, Watched>,
    own: Watched,
    first_at: Option<Instant>,
}

struct Watched {
    process: Process,
    window: Window,
    node: Option<RunningNode>,
    starts: u32,
}

impl Watched {
    fn look(&mut self, progress: Progress) {
        let look = Look { at: Instant::now(), progress, threads: self.process.sample() };
        if self.window.offer(look) {
            self.process.baseline_taken();
        }
    }
}

/// Looks until there is enough, which it says through `enough`, or the run has ended.
pub(super) fn observe(
    plan: Plan,
    counters: Counters,
    mut started: mpsc::UnboundedReceiver<RunningNode>,
    enough: oneshot::Sender<()>,
) -> Observed {
    let own = Watched {
        process: Process::own(RT_THREAD, &counters),
        window: Window::new(plan.warm_up),
        node: None,
        starts: 1,
    };
    let mut observer = Observer { plan, counters, running: BTreeMap::new(), own, first_at: None };
    loop {
        match started.try_recv() {
            Ok(node) => {
                observer.add(node);
                continue;
            }
            Err(mpsc::error::TryRecvError::Disconnected) => break,
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        observer.look();
        if observer.has_enough() {
            break;
        }
        thread::sleep(PERIOD);
    }
    // Refused only when the run has ended by itself.
    enough.send(()).unwrap_or_default();
    observer.finish()
}

impl Observer {
    fn add(&mut self, node: RunningNode) {
        if self.first_at.is_none() {
            self.first_at = Some(Instant::now());
            // Only now: the nodes that were started before keep the limit that the user set.
            more_descriptors();
        }
        let starts = self.running.get(&node.node).map_or(0, |before| before.starts) + 1;
        let watched = Watched {
            process: Process::new(node.pid, node.main_tid, &self.counters),
            window: Window::new(self.plan.warm_up),
            starts,
            node: Some(node.clone()),
        };
        self.running.insert(node.node, watched);
    }

    fn look(&mut self) {
        let mut all = Progress::default();
        for watched in self.running.values_mut() {
            let Some(node) = &watched.node else { continue };
            // Before the threads: what they did for a message that is not counted yet makes the ratio worse, never better.
            let progress = node.progress.read();
            all = Progress { taken: all.taken + progress.taken, sent: all.sent + progress.sent, misses: 0 };
            watched.look(progress);
        }
        self.own.look(all);
    }

    fn has_enough(&self) -> bool {
        let Some(first_at) = self.first_at else { return false };
        let full = |watched: Option<&Watched>| {
            watched.is_some_and(|watched| watched.window.messages() >= self.plan.messages)
        };
        let all_full = match self.plan.judged[..] {
            [] => self.running.values().all(|watched| full(Some(watched))),
            _ => self.plan.judged.iter().all(|node| full(self.running.get(node))),
        };
        all_full || first_at.elapsed() >= self.plan.warm_up + self.plan.at_most + PERIOD
    }

    fn finish(self) -> Observed {
        let of = |(position, watched): (usize, Watched)| {
            let node = watched.node?;
            let measured = watched.window.measured();
            Some((
                position,
                Node { main_tid: node.main_tid, pid: node.pid, starts: watched.starts, measured },
            ))
        };
        Observed {
            nodes: self.running.into_iter().filter_map(of).collect(),
            real_time: self.own.window.measured(),
        }
    }
}

/// A counter is a descriptor, and there are some forty of them for each main thread.
fn more_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused: then some threads go uncounted, and the report says so.
    setrlimit(Resource::Nofile, limit).unwrap_or_default();
}
