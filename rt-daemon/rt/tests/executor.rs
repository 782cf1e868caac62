//! Real threads: set up, read back, woken, stopped. They neither allocate nor free.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

use std::os::fd::AsFd;

use dora_rt::{Command, Event, Executor, PlanBuilder, ThreadSpec, WatchKind};
use lockfree_ipc::{StatusPage, StatusView, clock::monotonic_ns, status};
use rt_tuning::{
    alloc_guard::{self, AllocGuard},
    sched::{self, Policy},
};
use rustix::event::{PollFd, PollFlags, poll};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

const MS: u64 = 1_000_000;

fn spec(name: &str, scheduling: Option<(Policy, u8)>) -> ThreadSpec {
    ThreadSpec {
        name: name.into(),
        cores: sched::allowed_current().last().copied().into_iter().collect(),
        scheduling,
        commands: 256,
    }
}

#[test]
fn a_hung_node_is_told_by_a_thread_that_never_allocates() {
    assert!(alloc_guard::is_installed());
    let executor = Executor::start(&[spec("rt-alloc", None)]).unwrap();
    let thread = &executor.threads()[0];
    let fd = status::create(0, 0).unwrap();
    let view = StatusView::open(fd.as_fd()).unwrap();
    let page = StatusPage::open(fd).unwrap();
    let before = alloc_guard::of_all_threads();

    for id in 0..20 {
        let mut plan = PlanBuilder::new();
        let node = plan.node(view.clone());
        let watch = plan.watch(node, WatchKind::HandlerLimit, 2 * MS).unwrap();
        let begin = monotonic_ns();
        page.handling(begin);
        thread.mailbox.send(Command::Install(plan.build(id))).unwrap();
        thread.mailbox.send(Command::Arm { watch, started_ns: begin }).unwrap();
        let (since, now) = loop {
            poll(&mut [PollFd::new(&thread.events, PollFlags::IN)], None).unwrap();
            thread.events.acknowledge();
            while let Some(plan) = thread.events.retired() {
                assert!(plan.id() < id);
            }
            if let Some(Event::WatchFired { plan, since_ns, now_ns, .. }) = thread.events.next() {
                assert_eq!(plan, id);
                break (since_ns, now_ns);
            }
        };
        assert!(since >> 2 == begin >> 2 || since == begin, "{since} {begin}");
        assert!(now >= since + 2 * MS);
    }
    assert_eq!(thread.events.counters().lost, 0);
    assert_eq!(thread.events.counters().fired, 20);
    executor.stop();
    let after = alloc_guard::of_all_threads();
    assert_eq!(after, before, "calls to the allocator by the real-time thread");
}

#[test]
fn an_idle_thread_is_not_woken() {
    let executor = Executor::start(&[spec("rt-idle", None)]).unwrap();
    let thread = &executor.threads()[0];
    // One command, then one more: whatever ran in between would show as a cycle of its own.
    let send = || thread.mailbox.send(Command::Disarm { watch: 0 }).unwrap();
    let until = |commands| {
        while thread.events.counters().commands < commands {
            std::thread::yield_now();
        }
    };
    send();
    until(1);
    rt_tuning::clock::sleep_until(monotonic_ns() + 300 * MS);
    send();
    until(2);
    let counts = thread.events.counters();
    // The first round, one per ring, and one more for a ring that came before its sleep.
    assert!(counts.cycles <= 5, "{counts:?}");
}

#[test]
fn scheduling_and_core_are_read_back() {
    let specs = [spec("rt-fifo", Some((Policy::Fifo, 42))), spec("rt-plain", None)];
    let executor = Executor::start(&specs).unwrap();
    let [fifo, plain] = executor.threads() else { panic!("two threads") };
    let facts = plain.facts.as_ref().unwrap();
    assert_eq!((facts.name.as_str(), facts.policy.as_str()), ("rt-plain", "OTHER"));
    assert_eq!(rt_tuning::readback::core_list(&facts.cpus), specs[1].cores);
    if let Some(error) = fifo.refused.first() {
        println!("skipped: needs CAP_SYS_NICE ({error})");
        return;
    }
    let facts = fifo.facts.as_ref().unwrap();
    assert_eq!((facts.policy.as_str(), facts.priority), ("FIFO", 42));
}

#[test]
fn a_refused_core_is_told_and_the_thread_runs_all_the_same() {
    let executor =
        Executor::start(&[ThreadSpec { cores: vec![100_000], ..spec("rt-nocore", None) }]).unwrap();
    let thread = &executor.threads()[0];
    assert_eq!(thread.refused.len(), 1);
    assert!(thread.facts.is_some());
}

#[test]
fn stop_ends_a_thread_whose_mailbox_is_full_of_work() {
    let executor = Executor::start(&[spec("rt-full", None)]).unwrap();
    let thread = &executor.threads()[0];
    // Nobody takes the plans, so after four the worker leaves the rest.
    let mut refused = false;
    for id in 0..1000 {
        refused |= thread.mailbox.send(Command::Install(PlanBuilder::new().build(id))).is_err();
    }
    assert!(refused);
    executor.stop();
}
