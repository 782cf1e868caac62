//! The real-time thread of a run: it watches the status pages of the nodes, so that one that hangs is noticed on
//! time, however busy the async tier is.
//!
//! ```text
//!   health     limits of the nodes, what it means to exceed one
//!     │ start, arm, disarm            ▲ excesses
//!   pool ── plan, commands ──► dora-rt ── eventfd
//! ```
//!
//! 1. Commands that find no room wait here and go down in order; see [`Pool::flush`].
//! 2. With `--rt` the thread is always there; without, only if something is to be watched. With nothing armed it
//!    sleeps for ever.
//!
//! It shares no core with a node that asked for one, as long as there is another, and its priority is below that of
//! every node: it must never hold up a controller. Dropping the pool stops and joins the thread.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use dora_protocol::{
    dataflow::Dataflow,
    rt::{RtSettings, SchedPolicy, SetupStep},
};
use dora_rt::{Command, Event, Executor, Handle, MailboxFull, PlanBuilder, ThreadSpec};
use rt_tuning::sched::Policy;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Instant,
};

use crate::{
    compile::Wiring,
    cores,
    error::DaemonError,
    health::{Limit, limits},
    options::RtMode,
    spawn,
};

/// Its name in `/proc` and in the real-time table.
const NAME: &str = "dora-rt";
/// Commands that find room before the thread has taken the first.
const COMMANDS: usize = 256;
/// Commands that found none try again this often.
const RETRY: Duration = Duration::from_millis(5);
/// Its priority, unless a node has this or a lower one.
const PRIORITY: u8 = 10;

/// What was asked for the thread, and what was refused.
#[derive(Debug)]
pub(crate) struct Placing {
    /// `None` = ordinary scheduling.
    pub(crate) rt: Option<RtSettings>,
    /// Empty = those of the daemon.
    pub(crate) cores: Vec<usize>,
    /// `None` on systems that do not tell.
    pub(crate) tid: Option<u32>,
    pub(crate) setup: Vec<SetupStep>,
}

/// The running thread.
pub(crate) struct Pool {
    executor: Executor,
    told: AsyncFd<OwnedFd>,
    /// In the order of their numbers in the plan.
    limits: Vec<Limit>,
    /// Since when (CLOCK_MONOTONIC nanoseconds) a node is watched.
    armed: BTreeMap<usize, u64>,
    /// Number of the plan.
    plan: u64,
    backlog: VecDeque<Command>,
    pub(crate) placing: Placing,
}

/// A node was in one handler for longer than its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) limit: Limit,
    /// How long, when it was noticed; whole milliseconds.
    pub(crate) silent: Duration,
    /// When that handler began, CLOCK_MONOTONIC nanoseconds.
    pub(crate) since_ns: u64,
}

impl Pool {
    /// Starts the thread with all limits of the dataflow, none armed; `None` when there is nothing for it to do.
    /// `allowed`: the cores of this process.
    ///
    /// # Errors
    /// [`DaemonError::Machinery`] without a thread or descriptors. A refused setting is no error here.
    pub(crate) fn start(
        dataflow: &Dataflow,
        wiring: &Wiring,
        rt: RtMode,
        allowed: &[usize],
    ) -> Result<Option<Self>, DaemonError> {
        let limits = limits(dataflow);
        if rt == RtMode::Off && limits.is_empty() {
            return Ok(None);
        }
        let placing = wish(dataflow, rt, allowed);
        let start = || Self::started(wiring, limits, placing).map(Some);
        start().map_err(|source| DaemonError::Machinery { what: "the real-time thread", source })
    }

    fn started(wiring: &Wiring, limits: Vec<Limit>, mut placing: Placing) -> io::Result<Self> {
        let executor = Executor::start(&[ThreadSpec {
            name: NAME.to_owned(),
            cores: placing.cores.clone(),
            scheduling: placing.rt.as_ref().and_then(|rt| Some((Policy::Fifo, rt.priority?))),
            commands: COMMANDS,
        }])
        .map_err(io::Error::other)?;
        let thread = &executor.threads()[0];
        placing.tid = thread.facts.as_ref().map(|facts| facts.tid);
        let step = |e: &rt_tuning::TuningError| SetupStep {
            what: e.what.clone(),
            failed: Some(e.reason.clone()),
            fix: e.fix.clone(),
        };
        placing.setup = thread.refused.iter().map(step).collect();
        let told = spawn::register(thread.events.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        let mut pool = Self {
            executor,
            told,
            limits: Vec::new(),
            armed: BTreeMap::new(),
            plan: 0,
            backlog: VecDeque::new(),
            placing,
        };
        pool.install(wiring, limits)?;
        Ok(pool)
    }

    /// The limits are these from now on; who is watched stays so.
    pub(crate) fn change(&mut self, dataflow: &Dataflow, wiring: &Wiring) -> io::Result<()> {
        self.install(wiring, limits(dataflow))
    }

    fn install(&mut self, wiring: &Wiring, limits: Vec<Limit>) -> io::Result<()> {
        let mut plan = PlanBuilder::new();
        for node in &wiring.nodes {
            plan.node(node.view.as_ref().clone());
        }
        for limit in &limits {
            let limit_ns = u64::try_from(limit.limit.as_nanos()).unwrap_or(u64::MAX);
            plan.watch(limit.node as u32, limit.kind, limit_ns).map_err(io::Error::other)?;
        }
        self.plan += 1;
        self.limits = limits;
        self.send(Command::Install(plan.build(self.plan)));
        for (node, started_ns) in self.armed.clone() {
            self.switch(node, |watch| Command::Arm { watch, started_ns });
        }
        Ok(())
    }

    /// Watches a node from `started_ns` (CLOCK_MONOTONIC) on.
    pub(crate) fn arm(&mut self, node: usize, started_ns: u64) {
        if self.armed.insert(node, started_ns) != Some(started_ns) {
            self.switch(node, |watch| Command::Arm { watch, started_ns });
        }
    }

    /// Watches a node no more. What was noticed before may still come up.
    pub(crate) fn disarm(&mut self, node: usize) {
        if self.armed.remove(&node).is_some() {
            self.switch(node, |watch| Command::Disarm { watch });
        }
    }

    fn switch(&mut self, node: usize, command: impl Fn(u32) -> Command) {
        for watch in 0..self.limits.len() {
            if self.limits[watch].node == node {
                self.send(command(watch as u32));
            }
        }
    }

    fn send(&mut self, command: Command) {
        self.backlog.push_back(command);
        self.flush();
    }

    /// Hands down what found no room before, and frees plans that have come up.
    pub(crate) fn flush(&mut self) {
        while self.thread().events.retired().is_some() {}
        while let Some(command) = self.backlog.pop_front() {
            if let Err(MailboxFull(command)) = self.thread().mailbox.send(command) {
                self.backlog.push_front(command);
                return;
            }
        }
    }

    /// When to flush again; `None` when nothing waits.
    pub(crate) fn flush_at(&self) -> Option<Instant> {
        (!self.backlog.is_empty()).then(|| Instant::now() + RETRY)
    }

    fn thread(&self) -> &Handle {
        &self.executor.threads()[0]
    }

    /// What was noticed since the last call.
    pub(crate) fn excesses(&self) -> Vec<Excess> {
        let events = &self.thread().events;
        events.acknowledge();
        let mut found = Vec::new();
        while let Some(Event::WatchFired { plan, watch, since_ns, now_ns, .. }) = events.next() {
            let silent = Duration::from_millis(now_ns.saturating_sub(since_ns) / 1_000_000);
            // Of a former plan: the node is watched anew, so it will be told again.
            let limit = self.limits.get(watch as usize).filter(|_| plan == self.plan).cloned();
            found.extend(limit.map(|limit| Excess { limit, silent, since_ns }));
        }
        found
    }

    /// Excesses that were noticed and found no room on their way up.
    pub(crate) fn lost(&self) -> u64 {
        self.thread().events.counters().lost
    }
}

/// Returns when there is something to take from [`Pool::excesses`]. May be dropped half-way.
pub(crate) async fn has_told(pool: Option<&Pool>) {
    match pool {
        Some(pool) => match pool.told.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            // The runtime is going away, and the run with it.
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

/// What to ask of the system for the thread.
fn wish(dataflow: &Dataflow, rt: RtMode, allowed: &[usize]) -> Placing {
    let on = rt != RtMode::Off;
    let settings =
        RtSettings { policy: SchedPolicy::Fifo, priority: Some(priority(dataflow)), ..RtSettings::default() };
    Placing {
        rt: on.then_some(settings),
        cores: cores::of_the_watch(allowed, dataflow).filter(|_| on).into_iter().collect(),
        tid: None,
        setup: Vec::new(),
    }
}

/// Below every node, where there is room below.
fn priority(dataflow: &Dataflow) -> u8 {
    let of_nodes = dataflow.nodes.iter().filter_map(|n| n.rt.as_ref()?.priority);
    of_nodes.min().map_or(PRIORITY, |lowest| PRIORITY.min(lowest.saturating_sub(1).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::compile,
        testing::{dataflow, node},
    };

    fn controller(priority: u8, cores: &[u32]) -> dora_protocol::dataflow::Node {
        let mut controller = node("controller", "x");
        controller.cpu_affinity = cores.to_vec();
        controller.rt = Some(RtSettings { priority: Some(priority), ..RtSettings::default() });
        controller
    }

    #[test]
    fn the_thread_is_below_every_node_and_on_a_core_of_none() {
        let asked = |priorities: &[u8], rt| {
            let nodes = priorities.iter().map(|p| controller(*p, &[1])).collect();
            let placing = wish(&dataflow(nodes), rt, &[0, 1]);
            (placing.rt.and_then(|rt| rt.priority), placing.cores)
        };
        assert_eq!(asked(&[80, 11], RtMode::Strict), (Some(10), vec![0]));
        assert_eq!(asked(&[80, 5], RtMode::BestEffort), (Some(4), vec![0]));
        assert_eq!(asked(&[1], RtMode::Strict), (Some(1), vec![0]));
        assert_eq!(asked(&[], RtMode::Strict), (Some(10), vec![1]));
        assert_eq!(asked(&[80], RtMode::Off), (None, vec![]));
    }

    #[tokio::test]
    async fn without_anything_to_watch_there_is_a_thread_only_under_rt() {
        let flow = dataflow(vec![node("a", "x")]);
        let wiring = compile(&flow, dora_protocol::DataflowId::new_v4()).unwrap();
        let allowed = rt_tuning::sched::allowed_current();
        assert!(Pool::start(&flow, &wiring, RtMode::Off, &allowed).unwrap().is_none());
        let pool = Pool::start(&flow, &wiring, RtMode::BestEffort, &allowed).unwrap().unwrap();
        assert!(pool.placing.tid.is_some() && pool.excesses().is_empty());
    }

    #[tokio::test]
    async fn a_node_that_is_overdue_is_told_once_and_only_between_arming_and_disarming() {
        let mut flow = dataflow(vec![node("a", "x"), node("b", "x")]);
        flow.nodes[1].health_check_timeout = Some(Duration::from_millis(3));
        let wiring = compile(&flow, dora_protocol::DataflowId::new_v4()).unwrap();
        let mut pool = Pool::start(&flow, &wiring, RtMode::Off, &[]).unwrap().unwrap();
        // Nobody wrote to the status page, so from its start the node counts as in a handler.
        let started_ns = lockfree_ipc::clock::monotonic_ns();
        pool.arm(0, started_ns);
        pool.arm(1, started_ns);
        has_told(Some(&pool)).await;
        let [Excess { limit, silent, .. }] = &pool.excesses()[..] else { panic!("one excess") };
        assert_eq!(limit.node, 1);
        assert!(*silent >= Duration::from_millis(3), "{silent:?}");
        pool.disarm(1);
        pool.disarm(1);
        assert!(pool.excesses().is_empty());
        assert_eq!(pool.lost(), 0);
    }

    #[tokio::test]
    async fn who_is_watched_stays_so_under_other_limits() {
        let mut flow = dataflow(vec![node("a", "x"), node("b", "x")]);
        flow.nodes[1].health_check_timeout = Some(Duration::from_millis(200));
        let wiring = compile(&flow, dora_protocol::DataflowId::new_v4()).unwrap();
        let mut pool = Pool::start(&flow, &wiring, RtMode::Off, &[]).unwrap().unwrap();
        pool.arm(1, lockfree_ipc::clock::monotonic_ns());
        flow.nodes[1].health_check_timeout = Some(Duration::from_millis(3));
        pool.change(&flow, &wiring).unwrap();
        // The former plan comes up, too.
        let mut found = Vec::new();
        while found.is_empty() {
            has_told(Some(&pool)).await;
            found = pool.excesses();
        }
        let [Excess { limit, .. }] = &found[..] else { panic!("one excess") };
        assert_eq!((limit.node, limit.limit), (1, Duration::from_millis(3)));
        for _ in 0..1000 {
            pool.change(&flow, &wiring).unwrap();
        }
        assert_eq!(pool.lost(), 0);
    }
}
