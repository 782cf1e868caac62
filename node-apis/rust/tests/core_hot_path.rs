//! The budget of the real-time API, counted: many messages, and neither an allocation nor a page fault.
//!
//! The counters are those of the two threads that run the loops. It is a million round trips in a release build, and a
//! fifth of that in a debug build, where each takes several times as long; `HOT_PATH_ROUND_TRIPS` sets the number:
//!
//! ```text
//! HOT_PATH_ROUND_TRIPS=1000000 cargo test -p dora-node-api --test core_hot_path
//! ```
#![expect(unsafe_code, reason = "asks for the page faults of a thread")]

mod support;

use std::{
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use dora_node_api::rt::Event;
use dora_protocol::{node_link::ToNode, rt::WaitPolicy};
use rt_tuning::alloc_guard::{self, AllocGuard};
use support::{Edge, Memory, Node, wire};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

/// Calls into the allocator and page faults (with and without disk) of this thread.
fn cost() -> (u64, i64) {
    // SAFETY: plain data, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: writes one `rusage` to a place that is one.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    (alloc_guard::of_this_thread().calls(), usage.ru_minflt + usage.ru_majflt)
}

const WARM_UP: u64 = 10_000;

fn round_trips() -> u64 {
    match std::env::var("HOT_PATH_ROUND_TRIPS") {
        Ok(number) => number.parse().expect("`HOT_PATH_ROUND_TRIPS` is a whole number"),
        Err(_) if cfg!(debug_assertions) => 200_000,
        Err(_) => 1_000_000,
    }
}

/// Two nodes on two threads, one message back and forth at a time, small (in the ring) and larger (in a slot): every call
/// of the hot path on both sides.
#[test]
fn messages_there_and_back_allocate_nothing_and_fault_nothing_on_either_side() {
    let all = WARM_UP + round_trips();
    let wait = WaitPolicy::SpinThenPark { spin_ns: 20_000 };
    let (mut ping, mut pong) = (Node::new("ping").wait(wait), Node::new("pong").wait(wait));
    wire(&mut ping, "there", &mut pong, "there", Edge { deadline_ns: Some(1), ..Edge::default() });
    wire(&mut pong, "back", &mut ping, "back", Edge { timeout_ns: Some(60_000_000_000), ..Edge::default() });
    let (pong, _pong) = pong.join(0);
    let (mut ping, _ping) = ping.join(0);
    let echo = std::thread::spawn(move || {
        let mut node = pong;
        let there = node.input::<u64>("there").unwrap();
        let back = node.output::<u64>("back", 16).unwrap();
        alloc_guard::mark(true);
        let mut before = cost();
        for n in 0..all {
            if n == WARM_UP {
                before = cost();
            }
            assert!(matches!(node.wait(), Event::Input(i) if i == there));
            let view = node.read(&there).unwrap();
            node.send_with(&back, 16, |to| to.fill(view[3])).unwrap();
        }
        (before, cost())
    });
    let there = ping.output::<u64>("there", 4).unwrap();
    let back = ping.input::<u64>("back").unwrap();
    alloc_guard::mark(true);
    assert!(alloc_guard::is_installed());
    let mut before = cost();
    for n in 0..all {
        if n == WARM_UP {
            before = cost();
        }
        ping.send(&there, &[n; 4]).unwrap();
        assert!(matches!(ping.wait(), Event::Input(i) if i == back));
        assert_eq!(ping.latest(&back).unwrap().unwrap()[..], [n; 16]);
    }
    let after = cost();
    assert_eq!(after, before, "(allocator calls, page faults) of the first node");
    let (before, after) = echo.join().unwrap();
    assert_eq!(after, before, "(allocator calls, page faults) of the second node");
}

/// Mappings of shared memory in this process.
fn mapped() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:dora")).count()
}

/// Senders of a reader and readers of a sender come, are replaced and go, a hundred times, while both run their loops: the control
/// threads map and unmap, the loops do not even allocate.
#[test]
fn while_processes_come_and_go_the_loops_neither_allocate_nor_free_and_nothing_stays_mapped() {
    const CHANGES: u32 = 100;
    let (memory, how) = (Memory::new(Edge::default()), Edge::default());
    let edge = memory.edge();
    let (mut sender, mut reader) = (Node::new("sender"), Node::new("reader"));
    sender.output("out", &memory);
    sender.read_by(0, &reader, "in", &edge);
    reader.reads("in", &[(0, "sender", &edge, &memory)], how);
    let place = reader.fds.clone();
    let other_place = Node::new("other").fds;
    let bell = lockfree_ipc::Doorbell::open(place[0].try_clone().unwrap(), None).unwrap();
    let ((mut sender, sender_daemon), (mut reader, reader_daemon)) = (sender.join(0), reader.join(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (sends_on, received) = (stop.clone(), Arc::new(AtomicU64::new(0)));
    let sending = std::thread::spawn(move || {
        let out = sender.output::<u64>("out", 16).unwrap();
        alloc_guard::mark(true);
        sender.send(&out, &[0; 16]).unwrap();
        let before = cost().0;
        while !sends_on.load(Relaxed) {
            sender.send(&out, &[1; 16]).unwrap();
            std::thread::yield_now();
        }
        let after = cost().0;
        alloc_guard::mark(false);
        (sender, after - before)
    });
    let (count, warm) = (received.clone(), Arc::new(AtomicBool::new(false)));
    let is_warm = warm.clone();
    let receiving = std::thread::spawn(move || {
        let input = reader.input::<u64>("in").unwrap();
        alloc_guard::mark(true);
        reader.wait();
        is_warm.store(true, Relaxed);
        let before = cost().0;
        loop {
            match reader.wait() {
                Event::Input(i) if i == input => {
                    // What the main thread sends is told from what the sender sends.
                    count.fetch_add(u64::from(reader.read(&input).unwrap()[0] == 7), Relaxed);
                }
                Event::Stop(_) => break,
                other => panic!("{other:?}"),
            }
        }
        let after = cost().0;
        alloc_guard::mark(false);
        (reader, after - before)
    });
    // Its first message is the sender's, and not one of those that are counted.
    while !warm.load(Relaxed) {
        std::thread::yield_now();
    }
    let start = mapped();
    for n in 1..=CHANGES {
        let new = Memory::new(how);
        let edge_in = new.edge();
        reader_daemon.add_edge(0, n, "sender", &edge_in, &new);
        let mut publisher =
            lockfree_ipc::Publisher::open(new.write.try_clone().unwrap(), None, None).unwrap();
        publisher.add_edge(0, edge_in.try_clone().unwrap(), bell.clone()).unwrap();
        let mut loan = publisher.loan(128, 0).unwrap();
        loan.payload_mut().fill(0);
        loan.payload_mut()[0] = 7;
        let header = lockfree_ipc::Header { type_id: dora_protocol::wire_type::UINT64, ..Default::default() };
        publisher.send(loan, &header);
        reader_daemon.say(&ToNode::EdgeClosed { input: 0, edge: n, sender_lives: false });
        let edge_out = memory.edge();
        sender_daemon.add_reader(0, n, &edge_out, &other_place);
        let head = lockfree_ipc::EdgeView::open(edge_out.as_fd()).unwrap().head();
        sender_daemon.say(&ToNode::ReaderRestarted { output: 0, edge: n, head });
        if n % 2 == 0 {
            sender_daemon.say(&ToNode::ReaderLeft { output: 0, edge: n });
        }
        sender_daemon.say(&ToNode::ReaderGone { output: 0, edge: n });
        while received.load(Relaxed) < n.into() {
            std::thread::yield_now();
        }
    }
    stop.store(true, Relaxed);
    let (sender, of_sender) = sending.join().unwrap();
    // A hundred senders and readers that stayed would be hundreds of mappings; the control threads need a moment.
    let most = start + CHANGES as usize / 2;
    let unmapped = (0..12_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        mapped() <= most
    });
    assert!(unmapped, "{} segments are mapped, {start} were before", mapped());
    reader_daemon.say(&ToNode::Stop);
    let (reader, of_reader) = receiving.join().unwrap();
    assert_eq!((of_sender, of_reader), (0, 0), "calls into the allocator of sender and reader");
    drop((sender, reader));
}
