//! A reader is killed at any step, another one goes on, and the sender hears of it whenever it looks.

use loom::{sync::Arc, thread};

use super::{model_within, pop};
use crate::{
    ReturnSet,
    header::{Header, LINE_WORDS},
    holding::Holding,
    ring::{Consumer, Producer, RingMem},
    sync::{AtomicU64, Ordering},
};

/// What a reader does before it is killed. It can only die between two of these: inside of one, it has changed nothing yet.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Take,
    /// Gives back what it took last.
    GiveBack,
    /// Marks every slot as given back.
    Scribble,
}

/// Sends messages `1..=SENT` in two slots, and what a slot holds can be looked at. A message's number is its `seq`.
struct Sender {
    producer: Producer,
    holding: Holding,
    free: Vec<u32>,
    overwritten: Vec<u64>,
    refused: u64,
    sent: u64,
    slots: Arc<[AtomicU64; 2]>,
    /// The read position at the death of the reader, plus one; 0 before.
    notice: Arc<AtomicU64>,
    told: bool,
    limit: u64,
    overwrites: bool,
}

const SENT: u64 = 3;

impl Sender {
    fn heed(&mut self) {
        let notice = self.notice.load(Ordering::Acquire);
        if notice > 0 && !self.told {
            let Self { producer, holding, free, refused, .. } = self;
            holding.reader_restarted(notice - 1, || producer.head(), refused, |slot| free.push(slot));
            self.told = true;
        }
    }

    fn collect(&mut self) {
        let Self { producer, holding, free, refused, .. } = self;
        free.extend(crate::bits::ones(holding.collect(0, || producer.head(), refused)));
    }

    fn send(&mut self) -> bool {
        if self.producer.queued().unwrap() > self.limit {
            if !self.overwrites {
                return false;
            }
            let (holding, free, gone) = (&mut self.holding, &mut self.free, &mut self.overwritten);
            let from = self.producer.head();
            let n = self.producer.take_back_until(self.producer.tail(), |slot| {
                assert!(holding.take_back(slot), "slot {slot} was in the ring and not held");
                free.push(slot);
            });
            gone.extend((from..from + n.unwrap()).map(|position| position + 1));
        }
        if self.free.is_empty() {
            self.collect();
        }
        let Some(slot) = self.free.pop() else { return false };
        self.sent += 1;
        self.slots[slot as usize].store(self.sent, Ordering::Relaxed);
        self.holding.enter(slot, self.producer.tail());
        let header = Header { seq: self.sent, send_ns: self.sent, ..Header::default() };
        self.producer.push(&header.to_words(slot), &[0; LINE_WORDS]);
        true
    }

    fn run(mut self) -> Self {
        while self.sent < SENT || !self.told {
            self.heed();
            if self.sent == SENT || !self.send() {
                thread::yield_now();
            }
        }
        self
    }
}

/// Takes a message if there is one, and looks at its slot: number and slot.
fn take(consumer: &mut Consumer, slots: &[AtomicU64; 2]) -> Option<(u64, u32)> {
    let (header, slot) = Header::from_words(&pop(consumer, |_| panic!("nothing is skipped"))?.0);
    assert_eq!(slots[slot as usize].load(Ordering::Relaxed), header.seq, "the slot was reused");
    Some((header.seq, slot))
}

fn let_go((number, slot): (u64, u32), slots: &[AtomicU64; 2], returns: &ReturnSet) {
    assert_eq!(slots[slot as usize].load(Ordering::Relaxed), number, "the slot was reused while it was held");
    returns.give_back(slot);
}

fn reader_is_replaced(steps: &'static [Last], overwrites: bool) {
    model_within(2, move || {
        let (mem, returns) = (RingMem::on_heap(2), ReturnSet::on_heap(1));
        let slots = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let notice = Arc::new(AtomicU64::new(0));
        let sender = Sender {
            producer: Producer::new(mem.clone()),
            holding: Holding::new(returns.clone(), 1),
            free: vec![0, 1],
            overwritten: Vec::new(),
            refused: 0,
            sent: 0,
            slots: slots.clone(),
            notice: notice.clone(),
            told: false,
            limit: u64::from(!overwrites),
            overwrites,
        };
        let sender = thread::spawn(move || sender.run());
        let mut dead = Consumer::new(mem.clone(), 2, 0);
        let (mut taken, mut held) = (Vec::new(), None);
        for step in steps {
            match step {
                Last::Take => {
                    held = take(&mut dead, &slots);
                    taken.extend(held.map(|(number, _)| number));
                }
                Last::GiveBack => {
                    if let Some(held) = held.take() {
                        let_go(held, &slots, &returns);
                    }
                }
                Last::Scribble => (0..2).for_each(|slot| returns.give_back(slot)),
            }
        }
        // The process is gone: as `edge::reader_died`. The sender hears of it whenever it looks.
        returns.collect(0);
        let head = mem.head.one().load(Ordering::Acquire);
        notice.store(head + 1, Ordering::Release);
        let mut reader = Consumer::new(mem, 2, 0);
        let mut last = None;
        for _ in 0..2 {
            if let Some(got) = take(&mut reader, &slots) {
                taken.push(got.0);
                if let Some(before) = last.replace(got) {
                    let_go(before, &slots, &returns);
                }
            }
        }
        if let Some(before) = last.take() {
            let_go(before, &slots, &returns);
        }
        while taken.last() != Some(&SENT) {
            match take(&mut reader, &slots) {
                Some(got) => {
                    taken.push(got.0);
                    let_go(got, &slots, &returns);
                }
                None => thread::yield_now(),
            }
        }
        let mut sender = sender.join().unwrap();
        sender.collect();
        assert!(taken.is_sorted(), "out of order: {taken:?}");
        taken.extend(&sender.overwritten);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3], "a message was lost or came twice");
        sender.free.sort_unstable();
        assert_eq!(sender.free, [0, 1], "a slot was lost or freed twice");
        assert!(sender.refused == 0 || steps.contains(&Last::Scribble), "an honest return was refused");
    });
}

#[test]
fn a_reader_that_is_killed_at_any_step_and_replaced_costs_what_it_had_taken_and_nothing_else() {
    use Last::{GiveBack, Take};
    for steps in [&[][..], &[Take], &[Take, GiveBack], &[Take, GiveBack, Take], &[Take, Take]] {
        reader_is_replaced(steps, false);
    }
}

#[test]
fn a_reader_that_is_killed_while_its_sender_overwrites_leaves_no_slot_behind() {
    use Last::{GiveBack, Take};
    for steps in [&[][..], &[Take], &[Take, GiveBack]] {
        reader_is_replaced(steps, true);
    }
}

#[test]
fn what_a_reader_scribbles_before_it_dies_frees_no_slot_that_its_successor_needs() {
    use Last::{Scribble, Take};
    reader_is_replaced(&[Scribble], false);
    reader_is_replaced(&[Take, Scribble], false);
}
