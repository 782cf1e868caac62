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

use dora_node_api::rt::Event;
use dora_protocol::rt::WaitPolicy;
use rt_tuning::alloc_guard::{self, AllocGuard};
use support::{Edge, Node, wire};

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
