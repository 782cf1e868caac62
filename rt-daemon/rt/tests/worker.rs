//! A worker against a clock that the test moves and a status page that the test writes.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

use std::os::fd::AsFd;

use dora_rt::{
    Command, Event, Events, Mailbox, Manual, Plan, PlanBuilder, PlanError, WatchKind, Worker, worker,
};
use lockfree_ipc::{StatusPage, StatusView, status};
use rustix::event::{PollFd, PollFlags, poll};

struct Bench {
    clock: Manual,
    worker: Worker<Manual>,
    mailbox: Mailbox,
    events: Events,
    page: StatusPage,
    view: StatusView,
}

fn bench(commands: usize, events: usize) -> Bench {
    let clock = Manual::default();
    let (worker, mailbox, events) = worker(clock.clone(), commands, events).unwrap();
    let fd = status::create(1, 1).unwrap();
    let view = StatusView::open(fd.as_fd()).unwrap();
    Bench { clock, worker, mailbox, events, page: StatusPage::open(fd).unwrap(), view }
}

impl Bench {
    fn plan(&self, id: u64, limits: &[u64]) -> Box<Plan> {
        let mut plan = PlanBuilder::new();
        let node = plan.node(self.view.clone());
        for &limit in limits {
            plan.watch(node, WatchKind::HandlerLimit, limit).unwrap();
        }
        plan.build(id)
    }

    fn send(&self, command: Command) {
        self.mailbox.send(command).unwrap();
    }

    fn cycle_at(&mut self, ns: u64) -> Option<u64> {
        self.clock.set(ns);
        self.worker.cycle()
    }

    fn readable(&self) -> bool {
        let mut fds = [PollFd::new(&self.events, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }
}

#[test]
fn nothing_armed_means_no_deadline() {
    let mut bench = bench(8, 8);
    assert_eq!(bench.cycle_at(10), None);
    bench.send(Command::Install(bench.plan(1, &[100, 200])));
    assert_eq!(bench.cycle_at(20), None);
    bench.send(Command::Arm { watch: 1, started_ns: 20 });
    assert_eq!(bench.cycle_at(30), Some(220));
    bench.send(Command::Disarm { watch: 1 });
    assert_eq!(bench.cycle_at(40), None);
}

#[test]
fn a_waiting_node_is_alive_and_an_overdue_handler_fires_once() {
    let mut bench = bench(8, 8);
    bench.send(Command::Install(bench.plan(7, &[100])));
    bench.send(Command::Arm { watch: 0, started_ns: 0 });
    bench.page.waiting(0);
    assert_eq!(bench.cycle_at(5_000), Some(5_100));
    assert!(bench.events.next().is_none() && !bench.readable());

    bench.page.handling(5_050);
    assert_eq!(bench.cycle_at(5_100), Some(5_150));
    assert_eq!(bench.cycle_at(5_150), Some(5_250));
    assert!(bench.readable());
    bench.events.acknowledge();
    assert!(!bench.readable());
    let kind = WatchKind::HandlerLimit;
    let fired = Event::WatchFired { plan: 7, watch: 0, kind, since_ns: 5_050, now_ns: 5_150 };
    assert_eq!(bench.events.next(), Some(fired));
    bench.cycle_at(5_250);
    assert_eq!(bench.events.next(), None);

    bench.page.done();
    assert_eq!(bench.cycle_at(5_350), None);
}

#[test]
fn the_earliest_of_several_watches_is_the_deadline() {
    let mut bench = bench(8, 8);
    bench.send(Command::Install(bench.plan(1, &[300, 100, 200])));
    (0..3).for_each(|watch| bench.send(Command::Arm { watch, started_ns: 0 }));
    bench.page.handling(0);
    assert_eq!(bench.cycle_at(0), Some(100));
    assert_eq!(bench.cycle_at(100), Some(200));
    assert_eq!(bench.cycle_at(250), Some(300));
}

#[test]
fn lost_events_and_commands_for_unknown_watches_are_counted() {
    let mut bench = bench(8, 1);
    bench.send(Command::Install(bench.plan(1, &[100, 100])));
    (0..3).for_each(|watch| bench.send(Command::Arm { watch, started_ns: 0 }));
    bench.page.handling(0);
    bench.cycle_at(100);
    let counts = bench.events.counters();
    assert_eq!((counts.commands, counts.refused, counts.fired, counts.lost), (4, 1, 2, 1));
}

#[test]
fn replaced_plans_come_back_up_and_are_never_freed_below() {
    let mut bench = bench(16, 8);
    for id in 0..8 {
        bench.send(Command::Install(bench.plan(id, &[100])));
    }
    bench.cycle_at(1);
    // Four plans fit on their way up; the rest of the commands waits in the mailbox.
    assert_eq!(bench.events.counters().commands, 5);
    let mut back = Vec::new();
    while let Some(plan) = bench.events.retired() {
        back.push(plan.id());
        bench.worker.cycle();
    }
    assert_eq!(back, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_full_mailbox_gives_the_command_back() {
    let bench = bench(1, 1);
    bench.send(Command::Disarm { watch: 0 });
    let full = bench.mailbox.send(Command::Install(bench.plan(9, &[]))).unwrap_err();
    assert!(matches!(full.0, Command::Install(plan) if plan.id() == 9));
}

#[test]
fn a_watch_of_an_unknown_node_is_refused() {
    let mut plan = PlanBuilder::new();
    let error = plan.watch(0, WatchKind::Stall, 1).unwrap_err();
    assert_eq!(error, PlanError::UnknownNode { node: 0, known: 0 });
}

#[test]
fn a_flood_of_commands_does_not_keep_watches_waiting() {
    let mut bench = bench(256, 8);
    bench.send(Command::Install(bench.plan(1, &[100])));
    bench.send(Command::Arm { watch: 0, started_ns: 0 });
    (0..200).for_each(|_| bench.send(Command::Disarm { watch: 99 }));
    bench.page.handling(0);
    assert_eq!(bench.cycle_at(100), Some(100), "comes back at once for the rest");
    assert!(bench.events.next().is_some());
    let rest = vec![bench.cycle_at(100), bench.cycle_at(100), bench.cycle_at(100)];
    assert_eq!(rest, [Some(100), Some(100), Some(200)]);
}
