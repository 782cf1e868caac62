//! One output and one reader against a plain queue.

mod support;

use std::collections::VecDeque;

use lockfree_ipc::{Header, LoanError, MAX_HELD, Policy, Sample, flags};
use proptest::prelude::*;
use support::pair;

#[derive(Clone, Debug)]
enum Step {
    Send { len: usize, correlated: bool, flush: bool },
    LoanAndForget { len: usize },
    Take,
    LetGo { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0usize..20_000, prop::bool::weighted(0.15), prop::bool::weighted(0.05))
            .prop_map(|(len, correlated, flush)| Step::Send { len, correlated, flush }),
        1 => (0usize..20_000).prop_map(|len| Step::LoanAndForget { len }),
        4 => Just(Step::Take),
        3 => (0usize..64).prop_map(|which| Step::LetGo { which }),
    ]
}

/// What the queue should hold: (number, correlated).
struct Model {
    queue: VecDeque<(u64, bool)>,
    limit: usize,
    policy: Policy,
    dropped: u64,
    flushed: u64,
}

impl Model {
    fn room(&self) -> bool {
        self.policy == Policy::DropOldest || self.queue.len() < self.limit
    }

    fn send(&mut self, n: u64, correlated: bool, flush: bool) {
        if flush {
            let before = self.queue.len();
            self.queue.retain(|(_, c)| *c);
            self.flushed += (before - self.queue.len()) as u64;
        }
        self.queue.push_back((n, correlated));
    }

    /// The reader sees at most the newest `limit`; ordinary messages go first, and requests only when nothing else is left.
    fn take(&mut self) -> Option<u64> {
        self.queue.pop_front().map(|(n, _)| n)
    }
}

fn fill(bytes: &mut [u8], n: u64) {
    for (i, b) in bytes.iter_mut().enumerate() {
        *b = (n as usize + i) as u8;
    }
}

fn is_filled(bytes: &[u8], n: u64) -> bool {
    bytes.iter().enumerate().all(|(i, b)| *b == (n as usize + i) as u8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn backpressure_edge_behaves_like_a_queue(limit in 1u32..40, steps in prop::collection::vec(step(), 1..200)) {
        let (mut publisher, mut subscriber, _bell) = pair(limit, Policy::Backpressure);
        let mut model = Model {
            queue: VecDeque::new(), limit: limit as usize, policy: Policy::Backpressure, dropped: 0, flushed: 0,
        };
        let mut held: Vec<(u64, Sample)> = Vec::new();
        let mut n = 0;
        for step in steps {
            match step {
                Step::Send { len, correlated, flush } => {
                    prop_assert_eq!(publisher.would_block(), !model.room());
                    if flush || model.room() {
                        let mut loan = publisher.loan(len, 9).unwrap();
                        fill(loan.payload_mut(), n);
                        fill(loan.meta_mut(), n + 1);
                        if !model.room() { continue; } // a flush does not jump a full queue: the sender would wait
                        let flags = if correlated { flags::CORRELATED } else { 0 } | if flush { flags::FLUSH } else { 0 };
                        let report = publisher.send(loan, &Header { tag_time: n, flags, ..Header::default() });
                        prop_assert_eq!((report.readers, report.overwritten, report.broken), (1, 0, None));
                        model.send(n, correlated, flush);
                        n += 1;
                    }
                }
                Step::LoanAndForget { len } => drop(publisher.loan(len, 0).unwrap()),
                Step::Take if held.len() < MAX_HELD as usize => {
                    let got = subscriber.take().unwrap();
                    prop_assert_eq!(got.as_ref().map(|s| s.header().tag_time), model.take());
                    if let Some(sample) = got {
                        held.push((sample.header().tag_time, sample));
                    }
                }
                Step::Take => {}
                Step::LetGo { which } => if !held.is_empty() {
                    let (n, sample) = held.swap_remove(which % held.len());
                    prop_assert!(is_filled(sample.payload(), n) && is_filled(sample.meta(), n + 1), "message {} changed", n);
                },
            }
            prop_assert_eq!(subscriber.queued() as usize, model.queue.len());
            let in_slots = held.iter().filter(|(_, s)| s.payload().len().next_multiple_of(8) + 9 > 64).count();
            prop_assert_eq!(subscriber.held() as usize, in_slots);
        }
        for (n, sample) in held.drain(..) {
            prop_assert!(is_filled(sample.payload(), n), "message {} changed", n);
        }
        while let Some(sample) = subscriber.take().unwrap() {
            prop_assert_eq!(Some(sample.header().tag_time), model.take());
        }
        prop_assert_eq!(model.take(), None);
        prop_assert_eq!(publisher.slots_in_use(), 0, "a slot was lost");
        prop_assert_eq!(subscriber.drain_drop_count(), model.flushed + model.dropped);
    }

    #[test]
    fn overwriting_edge_delivers_the_newest_in_order_and_no_request_before_its_time(
        limit in 1u32..40, steps in prop::collection::vec(step(), 1..300),
    ) {
        let (mut publisher, mut subscriber, _bell) = pair(limit, Policy::DropOldest);
        let mut sent: Vec<(bool, bool)> = Vec::new(); // (correlated, flush)
        let mut taken: Vec<u64> = Vec::new();
        let mut held: VecDeque<Sample> = VecDeque::new();
        for step in steps {
            match step {
                Step::Send { len, correlated, flush } => {
                    let n = sent.len() as u64;
                    let mut loan = publisher.loan(len, 0).unwrap();
                    fill(loan.payload_mut(), n);
                    let flags = if correlated { flags::CORRELATED } else { 0 } | if flush { flags::FLUSH } else { 0 };
                    publisher.send(loan, &Header { tag_time: n, flags, ..Header::default() });
                    sent.push((correlated, flush));
                }
                Step::LoanAndForget { len } => drop(publisher.loan(len, 0).unwrap()),
                Step::Take => {
                    let newest: Vec<u64> = sent.iter().enumerate().skip(sent.len().saturating_sub(limit as usize))
                        .map(|(n, _)| n as u64).collect();
                    if let Some(sample) = subscriber.take().unwrap() {
                        let n = sample.header().tag_time;
                        prop_assert!(is_filled(sample.payload(), n), "message {} changed", n);
                        prop_assert!(taken.last().is_none_or(|last| *last < n), "{} came after {:?}", n, taken.last());
                        prop_assert!(newest.contains(&n) || sent[n as usize].0 || sent[taken.len()..].iter().any(|s| s.0),
                            "{} is older than the newest {}", n, limit);
                        taken.push(n);
                        held.push_back(sample);
                        if held.len() > 16 { held.pop_front(); }
                    } else {
                        // Nothing to take: then the newest was taken already.
                        prop_assert_eq!(taken.last().copied(), (sent.len() as u64).checked_sub(1));
                    }
                }
                Step::LetGo { .. } => drop(held.pop_front()),
            }
        }
        while let Some(sample) = subscriber.take().unwrap() {
            taken.push(sample.header().tag_time);
        }
        // A request may only be lost when more than `limit` requests were queued at once.
        if sent.iter().filter(|(c, _)| *c).count() <= limit as usize {
            for (n, (correlated, _)) in sent.iter().enumerate() {
                prop_assert!(!correlated || taken.contains(&(n as u64)), "request {} was dropped", n);
            }
        }
        drop(held);
        prop_assert_eq!(publisher.slots_in_use(), 0, "a slot was lost");
        prop_assert_eq!(subscriber.drain_drop_count() + taken.len() as u64, sent.len() as u64, "the ledger is off");
    }
}

#[test]
fn burst_into_a_short_queue_leaves_exactly_the_newest() {
    let (mut publisher, mut subscriber, _bell) = pair(5, Policy::DropOldest);
    for n in 0..400u64 {
        let loan = publisher.loan(8, 0).unwrap();
        publisher.send(loan, &Header { tag_time: n, ..Header::default() });
    }
    let mut got = Vec::new();
    while let Some(sample) = subscriber.take().unwrap() {
        got.push(sample.header().tag_time);
    }
    assert_eq!(got, [395, 396, 397, 398, 399]);
    assert_eq!(subscriber.drain_drop_count(), 395);
}

#[test]
fn message_larger_than_any_slot_is_refused_and_nothing_changes() {
    let (mut publisher, mut subscriber, _bell) = pair(5, Policy::DropOldest);
    assert!(matches!(publisher.loan(usize::MAX, 0), Err(LoanError::TooLarge { .. })));
    assert!(matches!(publisher.loan(usize::MAX / 2, usize::MAX / 2 + 10), Err(LoanError::TooLarge { .. })));
    assert!(matches!(publisher.loan(1 << 31, 0), Err(LoanError::TooLarge { .. })));
    let loan = publisher.loan(1, 0).unwrap();
    publisher.send(loan, &Header::default());
    assert!(subscriber.take().unwrap().is_some());
}

#[test]
fn reader_that_holds_everything_makes_the_sender_say_so_and_recovers() {
    let (mut publisher, mut subscriber, _bell) = pair(1, Policy::DropOldest);
    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..1_000_000 {
        // The largest class has the fewest slots, and there is no larger one to fall back on.
        match publisher.loan(1 << 30, 0) {
            Ok(loan) => {
                publisher.send(loan, &Header::default());
                held.extend(subscriber.take().unwrap());
            }
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert_eq!(refused, Some(LoanError::NoSlot));
    held.clear();
    assert!(publisher.loan(1 << 30, 0).is_ok(), "slots did not come back");
}

#[test]
fn a_reader_that_is_gone_does_not_cost_another_one_a_message() {
    use support::Fds;
    let fds = Fds::new(700);
    let edges = [0, 1].map(|_| fds.edge(4, Policy::Backpressure));
    let mut publisher = fds.publisher();
    for (number, edge) in (0..).zip(&edges) {
        publisher.add_edge(number, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    }
    let mut healthy = fds.subscriber(&edges[1]);
    let interrupter = publisher.interrupter();
    let sender = std::thread::spawn(move || {
        for _ in 0..100 {
            let loan = publisher.loan(100, 0).unwrap();
            publisher.send(loan, &Header::default());
        }
    });
    // Both are full by now, and the sender waits for the first, who never comes.
    std::thread::sleep(std::time::Duration::from_millis(50));
    interrupter.reader_gone(0);
    for n in 0..100 {
        let sample = loop {
            if let Some(sample) = healthy.take().unwrap() {
                break sample;
            }
            std::thread::yield_now();
        };
        assert_eq!(sample.header().seq, n, "a message was lost");
    }
    sender.join().unwrap();
}
