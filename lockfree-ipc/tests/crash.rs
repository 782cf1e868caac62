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
    Doorbell, EdgeView, Header, MAX_HELD, Policy, Publisher, Sample, Subscriber, clock::monotonic_ns,
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
