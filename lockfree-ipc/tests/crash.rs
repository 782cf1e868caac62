//! Real processes, killed with SIGKILL at random moments.
//!
//! The children are this same test binary, started for one test that plays the child's part when `DORA_CRASH_ROLE`
//! is set. Each gets its segments as inherited descriptors. `DORA_CRASH_KILLS` sets the number of kills per test.

mod support;

use std::{
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lockfree_ipc::{
    Doorbell, EdgeView, Header, MAX_HELD, Policy, Publisher, Sample, Subscriber, clock::monotonic_ns, edge,
};
use rustix::io::{FdFlags, fcntl_setfd};
use support::{Fds, Random};

const ROLE: &str = "DORA_CRASH_ROLE";

fn kills() -> u64 {
    std::env::var("DORA_CRASH_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

/// Starts this binary again to play `role` with these descriptors, and waits until it says that it has begun.
fn start(role: &str, fds: &[&OwnedFd]) -> Child {
    let copies: Vec<OwnedFd> = fds.iter().map(|fd| fd.try_clone().unwrap()).collect();
    for fd in &copies {
        fcntl_setfd(fd, FdFlags::empty()).unwrap();
    }
    let numbers: Vec<String> = copies.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{role} {}", numbers.join(" ")))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(copies);
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Plays the child's part; no test of its own.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words = role.split(' ');
    let role = words.next().unwrap().to_owned();
    let mut fds = words.map(|n| {
        #[expect(unsafe_code, reason = "the parent passed this number for us to own")]
        // SAFETY: an inherited descriptor that nothing else in this process uses.
        unsafe {
            OwnedFd::from_raw_fd(n.parse().unwrap())
        }
    });
    let (arena, edge, bell) = (fds.next().unwrap(), fds.next().unwrap(), fds.next().unwrap());
    let bell = Doorbell::open(bell, None).unwrap();
    match role.as_str() {
        "witness" => witness(Subscriber::open(edge, arena).unwrap(), &bell, &fds.next().unwrap()),
        "reader" => read_for_ever(Subscriber::open(edge, arena).unwrap(), &bell),
        "sender" => {
            let mut publisher = Publisher::open(arena, None, None).unwrap();
            publisher.add_edge(0, edge, bell).unwrap();
            send_for_ever(&mut publisher);
        }
        other => panic!("no role {other}"),
    }
}

fn read_for_ever(mut subscriber: Subscriber, bell: &Doorbell) {
    let mut random = Random(u64::from(std::process::id()) << 20 | 1);
    let mut held: Vec<Sample> = Vec::new();
    loop {
        match subscriber.take().unwrap() {
            Some(sample) if held.len() < MAX_HELD as usize - 1 && random.below(3) > 0 => held.push(sample),
            Some(_) => drop(held.pop()),
            None => {
                bell.prepare();
                if subscriber.is_ready() {
                    bell.cancel();
                } else {
                    bell.park(None);
                }
            }
        }
    }
}

fn send_for_ever(publisher: &mut Publisher) {
    let mut random = Random(u64::from(std::process::id()) << 20 | 1);
    loop {
        send_one(publisher, &mut random);
    }
}

/// A message whose every byte follows from its first, so that half a message shows.
fn send_one(publisher: &mut Publisher, random: &mut Random) -> lockfree_ipc::SendReport {
    let len = 8 + random.below(5000) as usize;
    let mut loan = publisher.loan(len, 0).expect("slots come back");
    let seed = random.next();
    let payload = loan.payload_mut();
    payload.fill(seed as u8);
    payload[..8].copy_from_slice(&seed.to_le_bytes());
    publisher.send(loan, &Header { tag_time: seed, ..Header::default() })
}

fn check_whole(sample: &Sample) {
    let payload = sample.payload();
    let seed = sample.header().tag_time;
    assert_eq!(payload[..8], seed.to_le_bytes(), "half a message: header and payload differ");
    assert!(payload[8..].iter().all(|b| *b == seed as u8), "half a message");
}

fn readers_die(policy: Policy) {
    let fds = Fds::new(700);
    let mut publisher = fds.publisher();
    let mut random = Random(42);
    let mut taken = 0;
    for n in 0..kills() {
        let number = n as u32;
        let edge = fds.edge(10, policy);
        let bell = lockfree_ipc::doorbell::create().unwrap();
        let view = EdgeView::open(edge.as_fd()).unwrap();
        let reader = start("reader", &[&fds.arena_read, &edge, &bell]);
        publisher.add_edge(number, edge, Doorbell::open(bell, None).unwrap()).unwrap();
        // Killed from another thread, so that the sender may well be blocked on it at that moment.
        let (interrupter, lifetime) = (publisher.interrupter(), random.below(6000));
        let dead = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(lifetime));
                kill(reader);
                dead.store(true, Ordering::SeqCst);
                interrupter.interrupt();
            });
            while !dead.load(Ordering::SeqCst) {
                let report = send_one(&mut publisher, &mut random);
                assert_eq!(report.broken, None, "a reader that died looks like one that lies");
            }
        });
        interrupter.clear();
        publisher.remove_edge(number);
        assert_eq!(publisher.slots_in_use(), 0, "slots of dead reader {n} did not come back");
        taken += view.ledger().taken;
    }
    assert!(taken > kills(), "the readers hardly took anything: {taken}");
}

fn senders_die(policy: Policy) {
    let mut random = Random(43);
    let mut received = 0u64;
    for _ in 0..kills() {
        let fds = Fds::new(700);
        let edge = fds.edge(10, policy);
        let mut subscriber = fds.subscriber(&edge);
        let bell = fds.doorbell();
        let sender = start("sender", &[&fds.arena_write, &edge, &fds.bell]);
        let lifetime = 4_000 + random.below(6000);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(lifetime));
            kill(sender);
        });
        let (mut last, mut held) = (None, Vec::new());
        loop {
            match subscriber.take().expect("a sender that died looks like one that lies") {
                Some(sample) => {
                    check_whole(&sample);
                    let seq = sample.header().seq;
                    let expected = last.map_or(0, |l: u64| l + 1);
                    assert!(
                        seq == expected || policy == Policy::DropOldest && seq > expected,
                        "message {seq} came where {expected} should"
                    );
                    last = Some(seq);
                    received += 1;
                    held.push(sample);
                    held.truncate(random.below(8) as usize);
                }
                None if killer.is_finished() => break,
                None => {
                    bell.prepare();
                    if subscriber.is_ready() {
                        bell.cancel();
                    } else {
                        bell.park(Some(monotonic_ns() + 1_000_000));
                    }
                }
            }
        }
        killer.join().unwrap();
        // What was pushed before the death may still have been under way when we looked.
        while let Some(sample) = subscriber.take().expect("a sender that died looks like one that lies") {
            check_whole(&sample);
        }
    }
    assert!(received > kills(), "the senders hardly sent anything: {received}");
}

/// What a reader that may be killed at any moment has taken: number of its first message, and of its last plus one. Zeros: nothing.
fn record(file: &OwnedFd) -> (u64, u64) {
    let mut bytes = [0; 16];
    assert_eq!(rustix::io::pread(file, &mut bytes, 0).unwrap(), 16);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    (word(0), word(8))
}

/// Reads for ever, holds some, looks at everything twice, and writes down what it has taken.
fn witness(mut subscriber: Subscriber, bell: &Doorbell, file: &OwnedFd) {
    let mut random = Random(u64::from(std::process::id()) << 20 | 1);
    let mut held: Vec<Sample> = Vec::new();
    let mut first = None;
    loop {
        let Some(sample) = subscriber.take().expect("a sender that is alive looks like one that lies") else {
            bell.prepare();
            if subscriber.is_ready() {
                bell.cancel();
            } else {
                bell.park(None);
            }
            continue;
        };
        check_whole(&sample);
        let seq = sample.header().seq;
        let (_, next) = record(file);
        assert!(seq >= next, "message {seq} came although {next} was the next");
        let first = *first.get_or_insert(seq);
        let bytes = [first.to_le_bytes(), (seq + 1).to_le_bytes()].concat();
        assert_eq!(rustix::io::pwrite(file, &bytes, 0).unwrap(), 16);
        held.push(sample);
        while held.len() as u64 > random.below(40) {
            check_whole(&held.swap_remove(random.below(held.len() as u64) as usize));
        }
    }
}

/// How often a process is replaced.
const RESTARTS: u64 = 100;

/// Replaces the reader while the sender, which hears of it late, sends on.
fn reader_is_replaced(policy: Policy) {
    let fds = Fds::new(1500);
    let edge = fds.edge(10, policy);
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    let (tell, told) = std::sync::mpsc::channel::<u64>();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut random, mut sent) = (Random(44), 0u64);
            while !stop.load(Ordering::SeqCst) {
                if random.below(8) == 0
                    && let Ok(head) = told.try_recv()
                {
                    publisher.reader_restarted(0, head).unwrap();
                }
                assert_eq!(
                    send_one(&mut publisher, &mut random).broken,
                    None,
                    "a dead reader looks like a liar"
                );
                sent += 1;
            }
            (publisher, told, sent)
        });
        let (mut random, mut next, mut busy) = (Random(45), 0, 0);
        for n in 0..RESTARTS {
            let file = rustix::fs::memfd_create("record", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            rustix::fs::ftruncate(&file, 16).unwrap();
            let mut reader = start("witness", &[&fds.arena_read, &edge, &fds.bell, &file]);
            // Some die while they start, most in the middle of their work.
            while random.below(8) > 0 && record(&file).1 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(random.below(3000)));
            assert_eq!(
                reader.try_wait().unwrap(),
                None,
                "reader {n} saw something wrong and ended by itself"
            );
            kill(reader);
            let head = edge::reader_died(edge.as_fd()).unwrap();
            tell.send(head).unwrap();
            let (first, last) = record(&file);
            if last > 0 {
                busy += 1;
                assert!(first >= next, "reader {n} got message {first}, which the one before had");
                // Those before it died between a take and its note of it.
                let most = if policy == Policy::DropOldest { u64::MAX } else { next + n };
                assert!(first <= most, "reader {n} got {first} first, the one before {next} last");
                next = last;
            }
        }
        assert!(busy > RESTARTS / 4, "hardly any reader came to read: {busy}");
        stop.store(true, Ordering::SeqCst);
        let mut last = fds.subscriber(&edge);
        while !sender.is_finished() {
            drop(last.take().unwrap());
        }
        let (mut publisher, told, sent) = sender.join().unwrap();
        told.try_iter().for_each(|head| {
            publisher.reader_restarted(0, head).unwrap();
        });
        while last.take().unwrap().is_some() {}
        assert_eq!(publisher.slots_in_use(), 0, "slots were lost");
        let view = EdgeView::open(edge.as_fd()).unwrap();
        let ledger = view.ledger();
        assert_eq!((ledger.sent, ledger.queued, view.refused()), (sent, 0, 0));
        assert_eq!(ledger.taken + ledger.overwritten, sent, "the books are off");
        assert!(policy == Policy::DropOldest || ledger.overwritten == 0);
        // Each death may have left one message, and what was skipped with it, uncounted.
        assert!(ledger.taken - view.counted() <= RESTARTS * 6, "{ledger:?} {}", view.counted());
    });
}

/// Replaces the sender; each process of it has memory of its own, and the reader drains what the one before left.
fn sender_is_replaced(policy: Policy) {
    let (mut random, mut received) = (Random(46), 0);
    let bell = lockfree_ipc::doorbell::create().unwrap();
    let mapped = leftovers().1;
    for _ in 0..RESTARTS {
        let fds = Fds { bell: bell.try_clone().unwrap(), ..Fds::new(700) };
        let edge = fds.edge(10, policy);
        let mut subscriber = fds.subscriber(&edge);
        let mut sender = Some(start("sender", &[&fds.arena_write, &edge, &fds.bell]));
        let (lifetime, begun) = (Duration::from_micros(random.below(3000)), std::time::Instant::now());
        let (mut count, mut next) = (0, 0);
        loop {
            if count > 0
                && begun.elapsed() > lifetime
                && let Some(child) = sender.take()
            {
                kill(child);
            }
            let alive = sender.is_some();
            let Some(sample) = subscriber.take().expect("a sender that died looks like one that lies") else {
                if !alive {
                    break;
                }
                std::thread::yield_now();
                continue;
            };
            check_whole(&sample);
            let seq = sample.header().seq;
            assert!(
                seq == next || policy == Policy::DropOldest && seq > next,
                "{seq} came where {next} should"
            );
            (count, next) = (count + 1, seq + 1);
        }
        let ledger = EdgeView::open(edge.as_fd()).unwrap().ledger();
        assert_eq!((ledger.queued, ledger.taken + ledger.overwritten), (0, ledger.sent), "the books are off");
        // Killed while it made room, it leaves some uncounted.
        let uncounted = if policy == Policy::DropOldest { 6 } else { 0 };
        assert!((count..=count + uncounted).contains(&ledger.taken), "{count} received: {ledger:?}");
        received += count;
    }
    assert!(received >= RESTARTS, "the senders hardly sent anything: {received}");
    // Other tests of this process map something at the same time, but not that much.
    assert!(leftovers().1 < mapped + RESTARTS as usize, "memory of dead senders is still mapped");
}

/// What a test must not leave behind.
fn leftovers() -> (Vec<std::ffi::OsString>, usize) {
    let shm = std::fs::read_dir("/dev/shm").map(|d| d.flatten().map(|e| e.file_name()).collect());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (shm.unwrap_or_default(), maps.lines().filter(|l| l.contains("memfd:dora")).count())
}

#[test]
fn slots_of_killed_readers_come_back_and_the_sender_is_never_stuck() {
    let before = leftovers().0;
    readers_die(Policy::DropOldest);
    readers_die(Policy::Backpressure);
    assert_eq!(leftovers().0, before, "something was left in /dev/shm");
}

#[test]
fn killed_senders_show_no_half_message_and_the_reader_is_never_stuck() {
    let before = leftovers().0;
    senders_die(Policy::DropOldest);
    senders_die(Policy::Backpressure);
    assert_eq!(leftovers().0, before, "something was left in /dev/shm");
}

#[test]
fn a_reader_that_is_killed_and_replaced_a_hundred_times_loses_only_what_it_had_and_no_slot() {
    reader_is_replaced(Policy::Backpressure);
    reader_is_replaced(Policy::DropOldest);
}

#[test]
fn a_sender_that_is_killed_and_replaced_a_hundred_times_leaves_whole_messages_and_exact_books() {
    sender_is_replaced(Policy::Backpressure);
    sender_is_replaced(Policy::DropOldest);
}
