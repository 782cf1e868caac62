//! The process of a reader is replaced, again and again, against plain queues. Its death is played: it gives nothing back.

mod support;

use std::{collections::VecDeque, os::fd::AsFd};

use lockfree_ipc::{
    EdgeError, EdgeView, Header, MAX_HELD, Policy, Publisher, Sample, Subscriber, edge, flags,
};
use proptest::prelude::*;
use support::{Fds, pair};

#[derive(Clone, Debug)]
enum Step {
    Send {
        len: usize,
        correlated: bool,
        flush: bool,
    },
    Take {
        reader: usize,
    },
    LetGo {
        reader: usize,
        which: usize,
    },
    /// The process of a reader dies, another one goes on.
    Replace {
        reader: usize,
    },
    /// The sender hears of the oldest death that it has not heard of.
    Tell,
}

fn step() -> impl Strategy<Value = Step> {
    let reader = 0usize..2;
    prop_oneof![
        5 => (0usize..3000, prop::bool::weighted(0.15), prop::bool::weighted(0.05))
            .prop_map(|(len, correlated, flush)| Step::Send { len, correlated, flush }),
        4 => reader.clone().prop_map(|reader| Step::Take { reader }),
        3 => (reader.clone(), 0usize..64).prop_map(|(reader, which)| Step::LetGo { reader, which }),
        1 => reader.prop_map(|reader| Step::Replace { reader }),
        2 => Just(Step::Tell),
    ]
}

fn fill(bytes: &mut [u8], n: u64) {
    bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (n as usize + i) as u8);
}

fn is_filled(bytes: &[u8], n: u64) -> bool {
    bytes.iter().enumerate().all(|(i, b)| *b == (n as usize + i) as u8)
}

/// One reader, as it is and as it should be.
struct Reader {
    edge: std::os::fd::OwnedFd,
    subscriber: Subscriber,
    held: Vec<(u64, Sample)>,
    /// Numbers that wait, and whether they belong to a request.
    queue: VecDeque<(u64, bool)>,
    taken: u64,
    flushed: u64,
}

impl Reader {
    fn new(fds: &Fds, limit: u32) -> Self {
        let edge = fds.edge(limit, Policy::Backpressure);
        let subscriber = fds.subscriber(&edge);
        Self { edge, subscriber, held: Vec::new(), queue: VecDeque::new(), taken: 0, flushed: 0 }
    }

    fn take(&mut self) -> Result<(), TestCaseError> {
        let got = self.subscriber.take().unwrap();
        let expected = self.queue.pop_front().map(|(n, _)| n);
        prop_assert_eq!(got.as_ref().map(|s| s.header().tag_time), expected);
        if let Some(sample) = got {
            self.taken += 1;
            prop_assert!(is_filled(sample.payload(), sample.header().tag_time), "half a message");
            self.held.push((sample.header().tag_time, sample));
        }
        Ok(())
    }

    /// Returns where the next process goes on.
    fn replace(&mut self, fds: &Fds) -> u64 {
        let head = edge::reader_died(self.edge.as_fd()).unwrap();
        std::mem::replace(&mut self.subscriber, fds.subscriber(&self.edge)).abandon();
        self.held.clear();
        head
    }
}

fn send(publisher: &mut Publisher, n: u64, len: usize, correlated: bool, flush: bool) -> u32 {
    let mut loan = publisher.loan(len, 0).unwrap();
    fill(loan.payload_mut(), n);
    let flags = if correlated { flags::CORRELATED } else { 0 } | if flush { flags::FLUSH } else { 0 };
    let report = publisher.send(loan, &Header { tag_time: n, flags, ..Header::default() });
    assert_eq!(report.broken, None);
    report.readers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_changed_but_what_a_dead_reader_had(
        limit in 1u32..20, steps in prop::collection::vec(step(), 1..250),
    ) {
        // Deaths that the sender has not heard of keep their slots, so there are some more than a plan counts.
        let fds = Fds::new(8000);
        let mut publisher = fds.publisher();
        let mut readers = [0, 1].map(|_| Reader::new(&fds, limit));
        for (number, reader) in (0..).zip(&readers) {
            publisher.add_edge(number, reader.edge.try_clone().unwrap(), fds.doorbell()).unwrap();
        }
        let (mut n, mut untold) = (0, VecDeque::new());
        for step in steps {
            match step {
                Step::Send { len, correlated, flush } => {
                    if readers.iter().any(|reader| reader.queue.len() >= limit as usize) {
                        prop_assert!(publisher.would_block());
                        continue;
                    }
                    prop_assert_eq!(send(&mut publisher, n, len, correlated, flush), 2);
                    for reader in &mut readers {
                        if flush {
                            let before = reader.queue.len();
                            reader.queue.retain(|(_, correlated)| *correlated);
                            reader.flushed += (before - reader.queue.len()) as u64;
                        }
                        reader.queue.push_back((n, correlated));
                    }
                    n += 1;
                }
                Step::Take { reader } if readers[reader].held.len() < MAX_HELD as usize => readers[reader].take()?,
                Step::Take { .. } => {}
                Step::LetGo { reader, which } => {
                    let held = &mut readers[reader].held;
                    if !held.is_empty() {
                        let (n, sample) = held.swap_remove(which % held.len());
                        prop_assert!(is_filled(sample.payload(), n), "message {} changed", n);
                    }
                }
                Step::Replace { reader } => untold.push_back((reader as u32, readers[reader].replace(&fds))),
                Step::Tell => if let Some((number, head)) = untold.pop_front() {
                    prop_assert!(publisher.reader_restarted(number, head).is_ok());
                },
            }
        }
        for (number, head) in untold {
            prop_assert!(publisher.reader_restarted(number, head).is_ok());
        }
        for reader in &mut readers {
            while !reader.queue.is_empty() {
                reader.take()?;
            }
            for (n, sample) in reader.held.drain(..) {
                prop_assert!(is_filled(sample.payload(), n), "message {} changed", n);
            }
            let view = EdgeView::open(reader.edge.as_fd()).unwrap();
            let ledger = view.ledger();
            prop_assert_eq!((ledger.sent, ledger.taken, ledger.flushed, ledger.queued), (n, reader.taken, reader.flushed, 0));
            prop_assert_eq!((view.counted(), view.refused()), (reader.taken, 0));
        }
        prop_assert_eq!(publisher.slots_in_use(), 0, "a slot was lost");
    }

    #[test]
    fn an_overwriting_edge_survives_its_readers_with_exact_books(
        limit in 1u32..20, steps in prop::collection::vec(step(), 1..250),
    ) {
        let fds = Fds::new(8000);
        let edge = fds.edge(limit, Policy::DropOldest);
        let mut publisher = fds.publisher();
        publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
        let mut subscriber = fds.subscriber(&edge);
        let (mut n, mut taken, mut held, mut untold) = (0, Vec::new(), Vec::new(), VecDeque::new());
        for step in steps {
            match step {
                Step::Send { len, correlated, flush } => {
                    send(&mut publisher, n, len, correlated, flush);
                    n += 1;
                }
                Step::Take { .. } => held.extend(subscriber.take().unwrap().inspect(|s| taken.push(s.header().tag_time))),
                Step::LetGo { which, .. } => if !held.is_empty() {
                    let sample: Sample = held.swap_remove(which % held.len());
                    prop_assert!(is_filled(sample.payload(), sample.header().tag_time), "a message changed");
                },
                Step::Replace { .. } => {
                    untold.push_back(edge::reader_died(edge.as_fd()).unwrap());
                    std::mem::replace(&mut subscriber, fds.subscriber(&edge)).abandon();
                    held.clear();
                }
                Step::Tell => if let Some(head) = untold.pop_front() {
                    prop_assert!(publisher.reader_restarted(0, head).is_ok());
                },
            }
        }
        for head in untold {
            prop_assert!(publisher.reader_restarted(0, head).is_ok());
        }
        while let Some(sample) = subscriber.take().unwrap() {
            taken.push(sample.header().tag_time);
        }
        prop_assert!(taken.is_sorted_by(|a, b| a < b), "doubled or out of order: {:?}", taken);
        for sample in held.drain(..) {
            prop_assert!(is_filled(sample.payload(), sample.header().tag_time), "a message changed");
        }
        let view = EdgeView::open(edge.as_fd()).unwrap();
        let ledger = view.ledger();
        prop_assert_eq!((ledger.sent, ledger.taken, ledger.queued), (n, taken.len() as u64, 0));
        prop_assert_eq!(ledger.taken + ledger.overwritten + ledger.flushed, n, "the books are off");
        prop_assert_eq!((view.counted(), view.refused()), (ledger.taken, 0));
        prop_assert_eq!(publisher.slots_in_use(), 0, "a slot was lost");
    }
}

/// What a reader wrote where it should not, frees nothing and is counted; a read position that is none closes the edge.
#[test]
fn what_a_dead_reader_scribbled_harms_neither_its_successor_nor_the_sender() {
    use lockfree_ipc::layout::edge as at;
    let fds = Fds::new(200);
    let edge = fds.edge(10, Policy::DropOldest);
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    (0..5).for_each(|n| {
        send(&mut publisher, n, 1000, false, false);
    });
    let mut dead = fds.subscriber(&edge);
    std::mem::forget(dead.take().unwrap().unwrap());
    std::mem::forget(dead);
    let view = EdgeView::open(edge.as_fd()).unwrap();
    let scribble = || {
        for word in 0..40 {
            rustix::io::pwrite(&edge, &u64::MAX.to_le_bytes(), at::RETURNS + word * 8).unwrap();
        }
    };
    // The sender meets the bits by itself: only the slot that was with the reader comes back.
    scribble();
    assert_eq!(publisher.slots_in_use(), 4);
    assert!(view.refused() > 0);
    // Or the daemon takes them away before the next one starts.
    scribble();
    let head = edge::reader_died(edge.as_fd()).unwrap();
    assert_eq!((head, publisher.reader_restarted(0, head)), (1, Ok(0)));
    let mut reader = fds.subscriber(&edge);
    let held: Vec<Sample> = std::iter::from_fn(|| reader.take().unwrap()).collect();
    assert_eq!(held.len(), 4);
    (5..500).for_each(|n| {
        send(&mut publisher, n, 1000, false, false);
    });
    for (sample, n) in held.iter().zip(1..) {
        assert!(is_filled(sample.payload(), n), "message {n} was overwritten while it was looked at");
    }
    // A position that nobody can have reached.
    rustix::io::pwrite(&edge, &u64::MAX.to_le_bytes(), at::HEAD).unwrap();
    let head = edge::reader_died(edge.as_fd()).unwrap();
    assert!(matches!(publisher.reader_restarted(0, head), Err(EdgeError::Corrupt { .. })));
    assert_eq!(publisher.slots_in_use(), 0, "the edge is closed and holds nothing");
    assert!(publisher.reader_restarted(7, 0).is_ok(), "no such edge");
    let ledger = view.ledger();
    assert_eq!(ledger.queued, 0, "{ledger:?}");
}

#[test]
fn what_a_dead_reader_gave_back_and_the_sender_had_not_collected_is_not_given_back_twice() {
    let fds = Fds::new(100);
    let edge = fds.edge(4, Policy::DropOldest);
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    send(&mut publisher, 0, 1000, false, false);
    let mut dead = fds.subscriber(&edge);
    drop(dead.take().unwrap().unwrap());
    dead.abandon();
    // The bit is still there when the sender hears of the death.
    let head = EdgeView::open(edge.as_fd()).unwrap().head();
    assert_eq!(publisher.reader_restarted(0, head), Ok(1));
    send(&mut publisher, 1, 1000, false, false);
    let mut new = fds.subscriber(&edge);
    let sample = new.take().unwrap().unwrap();
    assert_eq!(publisher.slots_in_use(), 1, "the slot was freed while it is looked at");
    drop(sample);
    assert_eq!(publisher.slots_in_use(), 0);
}

#[test]
fn a_reader_that_left_keeps_its_messages_and_is_taken_out_when_it_has_let_go() {
    let (mut publisher, mut subscriber, _bell) = pair(4, Policy::DropOldest);
    (0..3).for_each(|n| {
        send(&mut publisher, n, 1000, false, false);
    });
    let first = subscriber.take().unwrap().unwrap();
    assert!(!subscriber.sender_left());
    assert!(publisher.leave(0) && !publisher.leave(0));
    assert!(subscriber.sender_left());
    (3..300).for_each(|n| {
        assert_eq!(send(&mut publisher, n, 1000, false, false), 0);
    });
    assert!(publisher.take_left().is_none(), "it still has something");
    let rest: Vec<Sample> = std::iter::from_fn(|| subscriber.take().unwrap()).collect();
    for (sample, n) in std::iter::once(&first).chain(&rest).zip(0..) {
        assert!(is_filled(sample.payload(), n), "message {n} changed");
    }
    assert_eq!(rest.len(), 2);
    drop((first, rest));
    assert_eq!(publisher.take_left().map(|reader| reader.number()), Some(0));
    assert_eq!(publisher.slots_in_use(), 0);
    // One that does not read what waits.
    let fds = Fds::new(100);
    let edge = fds.edge(4, Policy::DropOldest);
    let (mut publisher, mut subscriber) = (fds.publisher(), fds.subscriber(&edge));
    publisher.add_edge(1, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    (0..3).for_each(|n| {
        send(&mut publisher, n, 1000, false, false);
    });
    let held = subscriber.take().unwrap().unwrap();
    publisher.leave(1);
    assert_eq!(publisher.slots_in_use(), 3);
    drop(subscriber);
    assert_eq!(publisher.slots_in_use(), 1, "what nobody will read comes back, what it holds does not");
    drop(held);
    assert!(publisher.take_left().is_some() && publisher.slots_in_use() == 0);
    let ledger = EdgeView::open(edge.as_fd()).unwrap().ledger();
    assert_eq!((ledger.sent, ledger.taken, ledger.overwritten, ledger.flushed), (3, 1, 0, 2));
    // One that dies after it left.
    let fds = Fds::new(100);
    let edge = fds.edge(4, Policy::DropOldest);
    let mut publisher = fds.publisher();
    publisher.add_edge(3, edge, fds.doorbell()).unwrap();
    send(&mut publisher, 0, 1000, false, false);
    publisher.leave(3);
    publisher.remove_edge(3);
    assert_eq!(publisher.slots_in_use(), 0);
}

#[test]
fn what_outlives_its_reader_in_the_same_process_gives_nothing_back_any_more() {
    let fds = Fds::new(100);
    let edge = fds.edge(4, Policy::DropOldest);
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    send(&mut publisher, 0, 1000, false, false);
    let mut old = fds.subscriber(&edge);
    let kept = old.take().unwrap().unwrap();
    old.abandon();
    let head = edge::reader_died(edge.as_fd()).unwrap();
    assert_eq!(publisher.reader_restarted(0, head), Ok(1));
    // The slot is sent again and is with the next one, when the old sample is dropped.
    send(&mut publisher, 1, 1000, false, false);
    let mut new = fds.subscriber(&edge);
    let sample = new.take().unwrap().unwrap();
    drop(kept);
    (2..50).for_each(|n| {
        send(&mut publisher, n, 1000, false, false);
    });
    assert!(is_filled(sample.payload(), 1), "it was overwritten while it was looked at");
}
