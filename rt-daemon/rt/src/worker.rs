//! The loop of one real-time thread: commands, due watches, sleep.
//!
//! A cycle takes what is in the mailbox (at most [`BATCH`] commands), looks at the watches that are due and sleeps
//! until the next one. It costs one step per watch of the plan.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use crossbeam_queue::ArrayQueue;

use crate::{
    clock::Clock,
    mailbox::{Bell, Command, Mailbox, Shared},
    plan::Plan,
    telemetry::{self, Event, Events, Outlet, bump},
};

/// Commands per cycle, so that a flood of them cannot keep watches waiting.
const BATCH: usize = 64;

/// What a thread runs. Owns the installed plan.
#[derive(Debug)]
pub struct Worker<C> {
    clock: C,
    below: Arc<Shared>,
    outlet: Outlet,
    plan: Option<Box<Plan>>,
}

/// Makes a worker with its two upper ends: room for `commands` and `events`.
///
/// # Errors
/// What `eventfd` says: out of descriptors.
#[expect(clippy::disallowed_methods, reason = "runs before the worker")]
pub fn worker<C: Clock>(
    clock: C,
    commands: usize,
    events: usize,
) -> io::Result<(Worker<C>, Mailbox, Events)> {
    let below = Arc::new(Shared {
        commands: ArrayQueue::new(commands.max(1)),
        stop: AtomicBool::new(false),
        bell: Bell::default(),
    });
    let (outlet, events) = telemetry::channel(Arc::clone(&below), events)?;
    let mailbox = Mailbox { shared: Arc::clone(&below) };
    Ok((Worker { clock, below, outlet, plan: None }, mailbox, events))
}

impl<C: Clock> Worker<C> {
    /// Runs until [`Mailbox::stop`]. The plan stays inside, so that whoever drops the worker frees it.
    ///
    /// # Real time
    /// No allocation, no free, no lock; sleeps for ever when nothing is armed.
    pub fn run(&mut self) {
        loop {
            let ticket = self.below.bell.ticket();
            if self.below.stop.load(SeqCst) {
                return;
            }
            let next_ns = self.cycle();
            self.below.bell.sleep(ticket, next_ns);
        }
    }

    /// One time round without the sleep: when to come back, `None` = when rung.
    pub fn cycle(&mut self) -> Option<u64> {
        bump(&self.outlet.counters().cycles);
        let more = self.take_commands();
        let now_ns = self.clock.now_ns();
        let next_ns = self.run_watches(now_ns);
        if more { Some(now_ns) } else { next_ns }
    }

    /// True when a whole batch was taken, so there may be more.
    fn take_commands(&mut self) -> bool {
        for _ in 0..BATCH {
            // Each command may send a plan up. Without room it stays in the mailbox; taking a plan above rings.
            if !self.outlet.has_room() {
                return false;
            }
            let Some(command) = self.below.commands.pop() else { return false };
            bump(&self.outlet.counters().commands);
            if !self.obey(command) {
                bump(&self.outlet.counters().refused);
            }
        }
        true
    }

    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Install(plan) => {
                if let Some(old) = self.plan.replace(plan) {
                    // There is room: `take_commands` looked, and nobody else fills that ring. Should it fail all the
                    // same, leaking the plan is better than freeing it here.
                    return self.outlet.retire(old).map_err(Box::leak).is_ok();
                }
                true
            }
            Command::Arm { watch, started_ns } => {
                self.plan.as_mut().is_some_and(|plan| plan.arm(watch, started_ns))
            }
            Command::Disarm { watch } => self.plan.as_mut().is_some_and(|plan| plan.disarm(watch)),
        }
    }

    fn run_watches(&mut self, now_ns: u64) -> Option<u64> {
        let (plan, outlet) = (self.plan.as_mut()?, &self.outlet);
        let id = plan.id();
        plan.run(now_ns, |fired| {
            bump(&outlet.counters().fired);
            outlet.event(Event::WatchFired {
                plan: id,
                watch: fired.watch,
                kind: fired.kind,
                since_ns: fired.since_ns,
                now_ns,
            });
        })
    }
}
