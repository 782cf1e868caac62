//! Records of deadline misses in a status page: the newest and the worst, written by the node, read while it runs.
//!
//! A record is sealed: its first word is odd while it is being written. A reader that meets an odd or a changed seal takes the
//! record as absent. One writer, nobody waits, no allocation.

use crate::{
    layout::status as at,
    segment::Shared,
    sync::{AtomicU64, Ordering, fence},
};

const FIELDS: usize = at::MISS_WORDS as usize - 1;
type Words = [u64; FIELDS];

/// One miss. Times in nanoseconds, instants CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Miss {
    /// When the message was taken.
    pub taken_ns: u64,
    /// Input it came by.
    pub input: u32,
    /// Chain that was too long, counted among those that end at this node; `None`: the deadline of the input.
    pub chain: Option<u32>,
    /// Number of the message on its output, or of the tick.
    pub seq: u64,
    /// From the send (of the chain: its first send; of a tick: its nominal time) to the take.
    pub latency_ns: u64,
    /// What was allowed.
    pub limit_ns: u64,
    /// From the send of this very message to the take; the same as `latency_ns` but for chains.
    pub hop_ns: u64,
    /// When the node asked for an event and there was none, so that it waited; 0 when the message was there already.
    pub waited_since_ns: u64,
    /// How long the handler before took.
    pub handler_ns: u64,
    /// Input of the event that this handler worked on.
    pub handler_input: u32,
    /// Page faults without disk, of this thread, within `window_ns`.
    pub minor_faults: u64,
    /// Page faults with disk.
    pub major_faults: u64,
    /// Times it went to sleep.
    pub voluntary: u64,
    /// Times it was pushed off its core.
    pub involuntary: u64,
    /// Time it was ready to run and did not.
    pub run_delay_ns: u64,
    /// How long before the take these counters were read last.
    pub window_ns: u64,
    /// Core it ran on at the take, and when the counters were read before.
    pub cores: (u32, u32),
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn split(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

impl Miss {
    fn to_words(self) -> Words {
        let all = [
            self.taken_ns,
            pair(self.input, self.chain.map_or(0, |c| c.saturating_add(1))),
            self.seq,
            self.latency_ns,
            self.limit_ns,
            self.hop_ns,
            self.waited_since_ns,
            self.handler_ns,
            u64::from(self.handler_input),
            self.minor_faults,
            self.major_faults,
            self.voluntary,
            self.involuntary,
            self.run_delay_ns,
            self.window_ns,
            pair(self.cores.0, self.cores.1),
        ];
        std::array::from_fn(|i| all.get(i).copied().unwrap_or(0))
    }

    /// Any bits give some record: who reads it checks the numbers that it uses as indices.
    fn from_words(words: &Words) -> Self {
        let word = |i: usize| words.get(i).copied().unwrap_or(0);
        let (input, chain) = split(word(1));
        Self {
            taken_ns: word(0),
            input,
            chain: chain.checked_sub(1),
            seq: word(2),
            latency_ns: word(3),
            limit_ns: word(4),
            hop_ns: word(5),
            waited_since_ns: word(6),
            handler_ns: word(7),
            handler_input: word(8) as u32,
            minor_faults: word(9),
            major_faults: word(10),
            voluntary: word(11),
            involuntary: word(12),
            run_delay_ns: word(13),
            window_ns: word(14),
            cores: split(word(15)),
        }
    }

    /// How far past the limit.
    pub fn excess_ns(&self) -> u64 {
        self.latency_ns.saturating_sub(self.limit_ns)
    }
}

/// Where the records of a node lie.
#[derive(Clone, Debug)]
pub(crate) struct MissArea {
    pub(crate) count: Shared<AtomicU64>,
    pub(crate) records: Shared<AtomicU64>,
}

impl MissArea {
    fn record(&self, n: u64) -> &[AtomicU64] {
        let first = (n * at::MISS_WORDS) as usize;
        &self.records[first..first + at::MISS_WORDS as usize]
    }

    fn write(&self, n: u64, miss: &Miss) {
        let [seal, fields @ ..] = self.record(n) else { return };
        let before = seal.load(Ordering::Relaxed);
        seal.store(before | 1, Ordering::Relaxed);
        // (M1) Release, pairs with (M3): who reads a new field also sees the odd seal.
        fence(Ordering::Release);
        for (to, from) in fields.iter().zip(miss.to_words()) {
            to.store(from, Ordering::Relaxed);
        }
        // (M2) Release, pairs with the Acquire in `read`: who sees the new seal sees the fields.
        seal.store((before | 1).wrapping_add(1), Ordering::Release);
    }

    fn read(&self, n: u64) -> Option<Miss> {
        let [seal, fields @ ..] = self.record(n) else { return None };
        let before = seal.load(Ordering::Acquire);
        if before == 0 || before & 1 == 1 {
            return None;
        }
        let words: Words = std::array::from_fn(|i| fields[i].load(Ordering::Relaxed));
        // (M3) Acquire, pairs with (M1).
        fence(Ordering::Acquire);
        (seal.load(Ordering::Relaxed) == before).then(|| Miss::from_words(&words))
    }

    /// Misses so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.one().load(Ordering::Acquire)
    }

    /// Those of the newest that came after the first `seen`, oldest first.
    pub(crate) fn newest(&self, seen: u64) -> Vec<Miss> {
        let count = self.count();
        let first = seen.max(count.saturating_sub(at::MISS_NEWEST));
        (first..count).filter_map(|n| self.read(n % at::MISS_NEWEST)).collect()
    }

    /// The worst so far, worst first.
    pub(crate) fn worst(&self) -> Vec<Miss> {
        let mut worst: Vec<Miss> =
            (0..at::MISS_WORST).filter_map(|n| self.read(at::MISS_NEWEST + n)).collect();
        worst.sort_by_key(|miss| std::cmp::Reverse(miss.excess_ns()));
        worst
    }
}

/// The writing end. Owning thread only.
#[derive(Debug)]
pub struct MissLog {
    area: MissArea,
    /// Ours: nobody else's value is believed.
    count: u64,
    /// How far past its limit each of the worst was, and when it was taken.
    worst: [(u64, u64); at::MISS_WORST as usize],
}

impl MissLog {
    pub(crate) fn new(area: MissArea) -> Self {
        Self { area, count: 0, worst: [(0, 0); at::MISS_WORST as usize] }
    }

    /// Keeps a miss. No allocation, no system call.
    pub fn record(&mut self, miss: &Miss) {
        self.area.write(self.count % at::MISS_NEWEST, miss);
        self.count += 1;
        self.area.count.one().store(self.count, Ordering::Release);
        // What was on its way already when another miss was taken, is late for the same reason: one stall, one record.
        let sent_ns = miss.taken_ns.saturating_sub(miss.latency_ns);
        let same = self.worst.iter().position(|(excess, taken_ns)| *excess > 0 && sent_ns <= *taken_ns);
        let least = || (0..self.worst.len()).min_by_key(|i| self.worst[*i].0);
        let excess = miss.excess_ns().max(1);
        if let Some(i) = same.or_else(least).filter(|i| self.worst[*i].0 < excess) {
            self.worst[i] = (excess, miss.taken_ns);
            self.area.write(at::MISS_NEWEST + i as u64, miss);
        }
    }
}

#[cfg(all(test, loom))]
pub(crate) fn on_heap() -> MissArea {
    let words = |n: u64| Shared::heap((0..n).map(|_| AtomicU64::new(0)).collect());
    MissArea { count: words(1), records: words((at::MISS_NEWEST + at::MISS_WORST) * at::MISS_WORDS) }
}

#[cfg(all(test, loom))]
impl MissArea {
    pub(crate) fn write_first(&self, miss: &Miss) {
        self.write(0, miss);
    }

    pub(crate) fn read_first(&self) -> Option<Miss> {
        self.read(0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::{StatusPage, StatusView, status};

    #[test]
    fn the_newest_and_the_worst_misses_are_kept_whole_one_per_stall() {
        let fd = status::create(1, 0).unwrap();
        let view = StatusView::open(fd.as_fd()).unwrap();
        let mut log = StatusPage::open(fd.try_clone().unwrap()).unwrap().miss_log();
        assert!(view.misses(0).is_empty() && view.worst_misses().is_empty());
        let miss = |n: u64| Miss {
            taken_ns: n * 10_000,
            input: 3,
            chain: n.is_multiple_of(2).then_some(7),
            seq: n,
            latency_ns: 1_000 + (n * 37) % 101,
            limit_ns: 1_000,
            cores: (1, 2),
            window_ns: u64::MAX,
            ..Miss::default()
        };
        for n in 0..100 {
            log.record(&miss(n));
        }
        assert_eq!(view.miss_count(), 100);
        assert_eq!(view.misses(0), (68..100).map(miss).collect::<Vec<_>>(), "the newest 32");
        assert_eq!(view.misses(98), [miss(98), miss(99)]);
        let mut all: Vec<Miss> = (0..100).map(miss).collect();
        all.sort_by_key(|m| std::cmp::Reverse(m.excess_ns()));
        assert_eq!(view.worst_misses(), all[..8]);
        // Ten more, all sent before the first of them was taken.
        let stalled = |n: u64| Miss { taken_ns: 2_000_000 + n, latency_ns: 5_000 - n, ..miss(n) };
        (0..10).for_each(|n| log.record(&stalled(n)));
        assert_eq!(view.worst_misses()[..2], [stalled(0), all[0]]);
    }
}
