//! Every interleaving of the protocols between two processes, as far as a model with small numbers goes.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p lockfree-ipc --lib --release loom_tests`

mod restart;

use loom::{sync::Arc, thread};

use crate::{
    Doorbell, ReturnSet,
    edge::{Left, SpaceBell},
    header::{Header, INLINE, LINE_WORDS, Line, Words, flags},
    ring::{Consumer, Producer, RingMem},
    sync::{AtomicU64, Ordering},
};

fn message(slot: u32) -> Words {
    // Every word depends on the slot, so that a torn entry shows.
    let n = u64::from(slot);
    Header { seq: n, send_ns: n, hlc: n, tag_time: n, type_id: slot, payload_len: slot, ..Header::default() }
        .to_words(slot)
}

fn check_whole(words: &Words, line: &Line) -> u32 {
    let (header, slot) = Header::from_words(words);
    assert_eq!(*words, message(slot), "entry is torn: {header:?}");
    assert_eq!(*line, [0; LINE_WORDS], "a message in a slot has no line");
    slot
}

fn pop(consumer: &mut Consumer, skipped: impl FnMut(u32)) -> Option<(Words, Line)> {
    let (mut words, mut line) = (Words::default(), Line::default());
    consumer.pop(&mut words, &mut line, skipped).unwrap().then_some((words, line))
}

/// Runs `body` with a bound on context switches: all bugs seen in such protocols need two or three.
fn model(body: impl Fn() + Sync + Send + 'static) {
    model_within(3, body);
}

fn model_within(switches: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 20_000;
    builder.check(body);
}

#[test]
fn backpressure_ring_delivers_everything_once_whole_and_in_order() {
    model(|| {
        let mem = RingMem::on_heap(2);
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 2, 0));
        let sender = thread::spawn(move || {
            for slot in 1..=3 {
                while producer.queued_at_most() == 2 && producer.queued().unwrap() == 2 {
                    thread::yield_now();
                }
                producer.push(&message(slot), &[slot.into(); LINE_WORDS]);
            }
        });
        let mut expected = 1;
        while expected <= 3 {
            match pop(&mut consumer, |_| panic!("backpressure skips nothing")) {
                Some((words, line)) => {
                    assert_eq!(check_whole(&words, &line), expected, "out of order");
                    expected += 1;
                }
                None => thread::yield_now(),
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn reader_that_waits_for_the_word_of_its_sender_misses_nothing() {
    model(|| {
        let (mem, left) = (RingMem::on_heap(2), Left::on_heap());
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 2, 0));
        let said = left.clone();
        let sender = thread::spawn(move || {
            (1..=2).for_each(|slot| producer.push(&message(slot), &[0; LINE_WORDS]));
            said.say();
        });
        let mut taken = 0;
        loop {
            // In this order, as the reader of an edge that was closed does.
            let is_last = left.is_said();
            match pop(&mut consumer, |_| panic!("there is room for both")) {
                Some(_) => taken += 1,
                None if is_last => break,
                None => thread::yield_now(),
            }
        }
        assert_eq!(taken, 2, "what was sent before the word was given up");
        sender.join().unwrap();
    });
}

#[test]
fn overwriting_ring_frees_every_slot_exactly_once_and_tears_nothing() {
    model(|| {
        let mem = RingMem::on_heap(2);
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 1, 1));
        let sender = thread::spawn(move || {
            let mut back = Vec::new();
            for slot in 1..=3 {
                if producer.queued().unwrap() >= 2 {
                    let target = producer.tail();
                    producer.take_back_until(target, |s| back.push(s)).unwrap();
                }
                producer.push(&message(slot), &[slot.into(); LINE_WORDS]);
            }
            (producer, back)
        });
        let (mut taken, mut last) = (Vec::new(), 0);
        for _ in 0..2 {
            if let Some((words, line)) = pop(&mut consumer, |s| taken.push(s)) {
                let slot = check_whole(&words, &line);
                assert!(slot > last, "{slot} came after {last}");
                last = slot;
                taken.push(slot);
            }
        }
        let (mut producer, mut back) = sender.join().unwrap();
        producer.queued().unwrap();
        let end = producer.tail();
        producer.take_back_until(end, |s| back.push(s)).unwrap();
        back.extend(taken);
        back.sort_unstable();
        assert_eq!(back, [1, 2, 3], "a slot was lost or freed twice");
    });
}

#[test]
fn sifting_keeps_requests_in_order_while_the_reader_reads() {
    model(|| {
        let mem = RingMem::on_heap(4);
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 4, 0));
        let sender = thread::spawn(move || {
            let mut request = message(1);
            request[2] |= u64::from(flags::CORRELATED);
            producer.push(&request, &[1; LINE_WORDS]);
            producer.push(&message(2), &[2; LINE_WORDS]);
            let mut back = Vec::new();
            producer.queued().unwrap();
            producer
                .sift(
                    |f| f & flags::CORRELATED != 0,
                    |s, place| {
                        if place.is_none() {
                            back.push(s);
                        }
                    },
                )
                .unwrap();
            (producer, back)
        });
        let mut seen = Vec::new();
        for _ in 0..2 {
            if let Some((words, _)) = pop(&mut consumer, |_| panic!("nothing to skip")) {
                seen.push(words[0] as u32);
            }
        }
        let (_producer, mut seen_or_back) = sender.join().unwrap();
        while let Some((words, _)) = pop(&mut consumer, |_| panic!("nothing to skip")) {
            seen.push(words[0] as u32);
        }
        assert!(seen.contains(&1), "the request was lost");
        seen_or_back.extend(seen);
        seen_or_back.sort_unstable();
        assert_eq!(seen_or_back, [1, 2], "a slot was lost or came twice");
    });
}

#[test]
fn returned_slot_is_collected_once_and_its_reads_are_over() {
    model(|| {
        let set = ReturnSet::on_heap(1);
        let payload = Arc::new(AtomicU64::new(7));
        let readers: Vec<_> = (0..2)
            .map(|slot| {
                let (set, payload) = (set.clone(), payload.clone());
                thread::spawn(move || {
                    assert_eq!(payload.load(Ordering::Relaxed), 7, "slot reused while it was read");
                    set.give_back(slot);
                    set.give_back(slot + 64); // no such slot: ignored
                })
            })
            .collect();
        let mut free = 0u64;
        for _ in 0..3 {
            let back = set.collect(0);
            assert_eq!(free & back, 0, "a slot was freed twice");
            free |= back;
            if free == 0b11 {
                payload.store(8, Ordering::Relaxed); // the sender reuses the memory
            }
            thread::yield_now();
        }
        readers.into_iter().for_each(|r| r.join().unwrap());
        free |= set.collect(0);
        assert_eq!(free, 0b11, "a slot was lost");
    });
}

#[test]
fn push_while_falling_asleep_still_wakes() {
    model(|| {
        let (bell, mem) = (Doorbell::on_heap(), RingMem::on_heap(2));
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 2, 0));
        let senders_bell = bell.clone();
        let sender = thread::spawn(move || {
            producer.push(&message(1), &[1; LINE_WORDS]);
            senders_bell.ring();
        });
        // Sleeps without a deadline: a lost wake-up is a deadlock, which the model reports.
        while pop(&mut consumer, |_| ()).is_none() {
            bell.prepare();
            if consumer.is_ready() {
                bell.cancel();
            } else {
                bell.park(None);
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn two_senders_ringing_at_once_lose_no_wake_up() {
    model(|| {
        let bell = Doorbell::on_heap();
        let rings: [_; 2] = std::array::from_fn(|_| RingMem::on_heap(2));
        let senders: Vec<_> = rings
            .iter()
            .map(|mem| {
                let (mut producer, bell) = (Producer::new(mem.clone()), bell.clone());
                thread::spawn(move || {
                    producer.push(&message(1), &[1; LINE_WORDS]);
                    bell.ring();
                })
            })
            .collect();
        let mut consumers: Vec<_> = rings.into_iter().map(|mem| Consumer::new(mem, 2, 0)).collect();
        let mut taken = 0;
        while taken < 2 {
            let got = consumers.iter_mut().filter_map(|c| pop(c, |_| ())).count();
            taken += got;
            if got == 0 {
                bell.prepare();
                if consumers.iter().any(Consumer::is_ready) {
                    bell.cancel();
                } else {
                    bell.park(None);
                }
            }
        }
        senders.into_iter().for_each(|s| s.join().unwrap());
    });
}

#[test]
fn sender_that_waits_for_room_is_woken_by_the_reader() {
    model(|| {
        let (space, mem) = (SpaceBell::on_heap(), RingMem::on_heap(1));
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 1, 0));
        let senders_space = space.clone();
        let sender = thread::spawn(move || {
            for slot in 1..=2 {
                // Sleeps without a deadline: a lost wake-up is a deadlock.
                while producer.queued().unwrap() == 1 {
                    let ticket = senders_space.ask(producer.tail());
                    if producer.queued().unwrap() == 1 {
                        senders_space.sleep(ticket, None);
                    }
                    senders_space.done();
                }
                producer.push(&message(slot), &[slot.into(); LINE_WORDS]);
            }
        });
        let mut taken = 0;
        while taken < 2 {
            if pop(&mut consumer, |_| ()).is_some() {
                space.moved(consumer.head());
                taken += 1;
            } else {
                thread::yield_now();
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn small_message_in_the_entry_is_never_torn() {
    model(|| {
        let mem = RingMem::on_heap(2);
        let (mut producer, mut consumer) = (Producer::new(mem.clone()), Consumer::new(mem, 1, 1));
        let sender = thread::spawn(move || {
            for n in 1..=3u64 {
                if producer.queued().unwrap() >= 2 {
                    producer.take_back_until(producer.tail(), |_| ()).unwrap();
                }
                let header = Header { seq: n, send_ns: n, ..Header::default() };
                producer.push(&header.to_words(INLINE), &[n; LINE_WORDS]);
            }
        });
        for _ in 0..2 {
            if let Some((words, line)) = pop(&mut consumer, |_| ()) {
                let (header, slot) = Header::from_words(&words);
                assert_eq!((slot, header.send_ns), (INLINE, header.seq), "header is torn");
                assert_eq!(line, [header.seq; LINE_WORDS], "message is torn");
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn the_record_of_a_miss_is_read_whole_or_not_at_all() {
    model(|| {
        let area = crate::misses::on_heap();
        // Of the fields, the model has the first two.
        let miss = |n: u32| crate::Miss { taken_ns: n.into(), input: n, ..Default::default() };
        area.write_first(&miss(1));
        let writer = area.clone();
        let thread = thread::spawn(move || writer.write_first(&miss(2)));
        if let Some(found) = area.read_first() {
            assert!(found == miss(1) || found == miss(2), "torn: {found:?}");
        }
        thread.join().unwrap();
        assert_eq!(area.read_first(), Some(miss(2)));
    });
}

#[test]
fn the_origin_of_a_chain_is_that_of_its_logical_time_or_none() {
    model(|| {
        let (mut origins, view) = crate::origins::on_heap();
        origins.note(10, 1);
        let thread = thread::spawn(move || {
            origins.note(20, 2);
            origins.note(30, 3);
        });
        let found = view.find(10);
        assert!(matches!(found, Some(1) | None), "{found:?}");
        let found = view.find(20);
        assert!(matches!(found, Some(2) | None), "{found:?}");
        thread.join().unwrap();
        assert_eq!((view.find(30), view.find(20), view.find(10)), (Some(3), Some(2), None));
    });
}
