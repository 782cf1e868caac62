//! Every word that another process can write, filled with garbage while both ends work.

mod support;

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use lockfree_ipc::{
    Doorbell, EdgeError, EdgeView, Header, Policy, Publisher, StatusPage, StatusView, Subscriber, status,
};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use support::{Fds, Random};

/// All words of a segment, as a hostile process sees them. Left mapped.
fn words(fd: &OwnedFd) -> &'static [AtomicU64] {
    let len = rustix::fs::fstat(fd).unwrap().st_size as usize;
    #[expect(unsafe_code, reason = "plays a process that scribbles over shared memory")]
    // SAFETY: a fresh shared mapping, seen as atomics only and never unmapped.
    unsafe {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let base = mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd.as_fd(), 0).unwrap();
        std::slice::from_raw_parts(base.cast(), len / 8)
    }
}

fn garbage(random: &mut Random, old: u64) -> u64 {
    match random.below(6) {
        0 => random.next(),
        1 => 0,
        2 => u64::MAX,
        3 => old.wrapping_add(random.below(5)).wrapping_sub(2),
        4 => old ^ 1 << random.below(64),
        _ => random.below(1 << 20),
    }
}

/// Two readers of one output; the edge of the first is scribbled over. The second must not notice.
struct Bench {
    publisher: Publisher,
    victim: Subscriber,
    witness: Subscriber,
    edge: OwnedFd,
    bell: Doorbell,
}

fn bench(policy: Policy) -> Bench {
    let fds = Fds::new(700);
    let (edge, other) = (fds.edge(8, policy), fds.edge(8, Policy::DropOldest));
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    publisher.add_edge(1, other.try_clone().unwrap(), fds.doorbell()).unwrap();
    let (victim, witness) = (fds.subscriber(&edge), fds.subscriber(&other));
    Bench { publisher, victim, witness, edge, bell: fds.doorbell() }
}

/// One message through both edges. Says whether either end of the first edge found it corrupt.
fn exchange(bench: &mut Bench, n: u64) -> bool {
    let mut corrupt = false;
    if let Ok(mut loan) = bench.publisher.loan(64, 0) {
        loan.payload_mut().fill(n as u8);
        if !bench.publisher.would_block() {
            let report = bench.publisher.send(loan, &Header { tag_time: n, ..Header::default() });
            if let Some((number, error)) = report.broken {
                assert_eq!(number, 0, "the edge that nobody touched was closed");
                assert!(matches!(error, EdgeError::Corrupt { .. }));
                corrupt = true;
            }
        }
    }
    for _ in 0..3 {
        match bench.victim.take() {
            Ok(Some(sample)) => {
                // Lengths may be wrong, but they lie inside the arena.
                std::hint::black_box(sample.payload().iter().fold(0u8, |a, b| a ^ b));
                std::hint::black_box(sample.meta().iter().fold(0u8, |a, b| a ^ b));
            }
            Ok(None) => break,
            Err(EdgeError::Corrupt { .. }) => corrupt = true,
            Err(EdgeError::Closed) => break,
        }
    }
    while let Some(sample) = bench.witness.take().expect("the edge that nobody touched is closed") {
        let n = sample.header().tag_time;
        assert!(sample.payload().iter().all(|b| *b == n as u8), "the witness got another message");
    }
    corrupt
}

#[test]
fn garbage_in_any_word_of_an_edge_closes_that_edge_at_most() {
    let mut random = Random(7);
    let mut found = 0;
    for round in 0..400u64 {
        let policy = if round % 2 == 0 { Policy::DropOldest } else { Policy::Backpressure };
        let mut bench = bench(policy);
        let words = words(&bench.edge);
        for n in 0..40 {
            exchange(&mut bench, n);
        }
        let mut corrupt = false;
        for n in 40..200 {
            // Words in use more often than the tail of the segment, behind the prefix in any case.
            let range = if random.below(2) == 0 { 94 } else { words.len() as u64 - 2 };
            let at = 2 + random.below(range) as usize;
            let old = words[at].load(Ordering::Relaxed);
            words[at].store(garbage(&mut random, old), Ordering::Relaxed);
            corrupt |= exchange(&mut bench, n);
        }
        found += u64::from(corrupt);
        EdgeView::open(bench.edge.as_fd()).map(|v| v.ledger()).ok();
        drop(bench.victim);
        bench.publisher.remove_edge(0);
        drop(bench.witness);
        assert_eq!(bench.publisher.slots_in_use(), 0, "garbage in one edge cost a slot");
    }
    assert!(found > 300, "garbage was noticed in {found} of 400 rounds only");
}

#[test]
fn garbage_while_both_ends_run_never_crashes_or_hangs_them() {
    for policy in [Policy::DropOldest, Policy::Backpressure] {
        let mut random = Random(11);
        for _ in 0..20 {
            let mut bench = bench(policy);
            let words = words(&bench.edge);
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let (stop, bell) = (&stop, bench.bell.clone());
                let interrupter = bench.publisher.interrupter();
                let (mut publisher, mut victim) = (bench.publisher, bench.victim);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if let Ok(loan) = publisher.loan(64, 0) {
                            publisher.send(loan, &Header::default());
                        }
                    }
                    drop(publisher);
                });
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        match victim.take() {
                            Ok(Some(sample)) => drop(std::hint::black_box(sample.payload().last().copied())),
                            Ok(None) => {
                                bell.prepare();
                                if victim.is_ready() {
                                    bell.cancel();
                                } else {
                                    bell.park(Some(lockfree_ipc::clock::monotonic_ns() + 1_000_000));
                                }
                            }
                            Err(_) => std::thread::yield_now(),
                        }
                    }
                });
                let until = Instant::now() + Duration::from_millis(40);
                while Instant::now() < until {
                    let at = 2 + random.below(words.len() as u64 - 2) as usize;
                    words[at].store(random.next(), Ordering::Relaxed);
                    std::hint::spin_loop();
                }
                stop.store(true, Ordering::Relaxed);
                interrupter.interrupt();
            });
            while bench.witness.take().expect("the edge that nobody touched is closed").is_some() {}
        }
    }
}

#[test]
fn garbage_in_the_doorbell_delays_a_reader_until_its_queue_is_full_at_most() {
    let fds = Fds::new(700);
    let edge = fds.edge(4, Policy::DropOldest);
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    let (mut subscriber, bell) = (fds.subscriber(&edge), fds.doorbell());
    let word = &words(&fds.bell)[16];
    let reader = std::thread::spawn(move || {
        bell.prepare();
        // No deadline: only a wake-up ends this.
        while !subscriber.is_ready() {
            bell.park(None);
        }
        subscriber.take().unwrap().is_some()
    });
    std::thread::sleep(Duration::from_millis(50));
    word.store(0, Ordering::SeqCst); // "awake", says somebody who is not the reader
    for n in 1..20u64 {
        let loan = publisher.loan(8, 0).unwrap();
        publisher.send(loan, &Header { send_ns: n * 20_000_000, ..Header::default() });
    }
    assert!(reader.join().unwrap());
}

#[test]
fn segments_with_a_garbage_header_are_refused() {
    let mut random = Random(3);
    for _ in 0..2000 {
        let fds = Fds::new(8);
        let edge = fds.edge(4, Policy::DropOldest);
        let page = status::create(2, 2).unwrap();
        for fd in [&edge, &fds.arena_write, &page, &fds.bell] {
            let head = &words(fd)[..4];
            let at = random.below(4) as usize;
            let old = head[at].load(Ordering::Relaxed);
            head[at].store(garbage(&mut random, old), Ordering::Relaxed);
        }
        // Opens or refuses; never crashes, never maps out of bounds.
        Subscriber::open(edge.try_clone().unwrap(), fds.arena_read.try_clone().unwrap()).map(drop).ok();
        Publisher::open(fds.arena_write.try_clone().unwrap(), None, None).map(drop).ok();
        Doorbell::open(fds.bell.try_clone().unwrap(), None).map(drop).ok();
        StatusPage::open(page.try_clone().unwrap()).map(drop).ok();
    }
    let fds = Fds::new(8);
    assert!(Publisher::open(fds.bell.try_clone().unwrap(), None, None).is_err(), "a doorbell is no arena");
    let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 4096).unwrap();
    let error = Doorbell::open(file, None).unwrap_err().to_string();
    assert!(error.contains("sealed"), "{error}");
}

#[test]
fn status_page_full_of_garbage_is_only_numbers() {
    let page = status::create(2, 2).unwrap();
    let view = StatusView::open(page.as_fd()).unwrap();
    let mut random = Random(5);
    for word in &words(&page)[4..] {
        word.store(random.next(), Ordering::Relaxed);
    }
    view.activity();
    for i in 0..4 {
        let input = view.input(i);
        std::hint::black_box((input.latency.percentile(99.9), input.latency.count(), view.output(i)));
    }
    std::hint::black_box(view.handler().percentile(50.0));
}
