//! Which event is next, and everything that is noted about it.

use dora_protocol::time::Tag;
use lockfree_ipc::{EdgeError, Header, Sample, clock::monotonic_ns};

use super::{
    Inbox, Incoming,
    feed::{Feed, Gate, Source},
    timers,
};
use crate::sample::Received;

impl Inbox {
    /// The next event, if there is one. Reads the clock at most once, and only when something depends on it.
    #[inline]
    pub(super) fn step(&mut self, now: &mut Option<u64>) -> Option<Incoming> {
        self.absorb();
        // Each round either gives something out or takes an input out of the running.
        for _ in 0..=self.feeds.len() {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.closing > 0 && !self.stopping {
                self.close_drained();
                if !self.pending.is_empty() {
                    continue;
                }
            }
            let edge = self.next_edge();
            if self.stopping && edge.is_none() {
                return Some(Incoming::Closed);
            }
            if edge.is_none() && !self.timed {
                return None;
            }
            let now = *now.get_or_insert_with(monotonic_ns);
            if self.timed && !self.stopping {
                if let Some(input) = self.tripped(now) {
                    return Some(Incoming::InputTimedOut { input });
                }
                if let Some(tick) = self.take_tick(edge, now) {
                    return Some(tick);
                }
            }
            let input = edge?;
            if self.take_message(input, now, None) {
                return Some(Incoming::Message { input: input as u32 });
            }
        }
        None
    }

    /// Takes everything that is queued on one input and keeps the newest. Changes nothing else about the order, and leaves
    /// the message alone that waits to be read.
    pub(crate) fn take_newest(&mut self, input: u32) -> Option<Received> {
        let (mut newest, mut found) = (Received { input, ..Received::default() }, false);
        let waiting_ns = self.latency_ns;
        while let Some(feed) = self.feeds.get(input as usize)
            && feed.is_ready(self.stopping)
        {
            let mut next = Sample::default();
            if !self.take_message(input as usize, monotonic_ns(), Some(&mut next)) {
                break;
            }
            (newest.sample, newest.latency_ns, found) = (next, self.latency_ns, true);
        }
        self.latency_ns = waiting_ns;
        found.then_some(newest)
    }

    /// The edge with a message that was served least recently.
    #[inline]
    fn next_edge(&self) -> Option<usize> {
        let ready = |(_, feed): &(usize, &Feed)| feed.is_ready(self.stopping);
        self.feeds.iter().enumerate().filter(ready).min_by_key(|(_, f)| f.served).map(|(i, _)| i)
    }

    fn tripped(&mut self, now: u64) -> Option<u32> {
        let trips = |feed: &mut Feed| {
            feed.gate == Gate::Open
                && !feed.is_ready(false)
                && feed.breaker.as_mut().is_some_and(|b| b.trips(now))
        };
        let input = self.feeds.iter_mut().position(trips)? as u32;
        self.link.status().input(input).timed_out();
        Some(input)
    }

    /// The tick whose turn it is, unless the edge that has a message was served longer ago.
    fn take_tick(&mut self, edge: Option<usize>, now: u64) -> Option<Incoming> {
        let due = |(_, feed): &(usize, &Feed)| matches!(&feed.source, Source::Timer(t) if t.due_ns() <= now);
        let next = self.feeds.iter().enumerate().filter(due).min_by_key(|(_, f)| f.served).map(|(i, _)| i)?;
        if edge.is_some_and(|e| self.feeds[e].served < self.feeds[next].served) {
            return None;
        }
        let feed = &mut self.feeds[next];
        let Source::Timer(timer) = &mut feed.source else { return None };
        let tick = timer.take(now)?;
        // From the first tick that was missed: a stall must show as long as it was.
        let (input, lateness) = (next as u32, now - tick.first_ns);
        let stats = self.link.status().input(input);
        stats.received_at(now, lateness);
        stats.missed_ticks(tick.missed);
        if feed.deadline_ns.is_some_and(|d| lateness > d) {
            stats.deadline_missed();
        }
        self.served(next, now, Tag { time_ns: tick.nominal_ns, microstep: 0 });
        let timers::Due { count, nominal_ns, missed, .. } = tick;
        Some(Incoming::Tick { input, count, nominal_ns, missed })
    }

    /// Takes the next message of an edge to `into`, or to where the node finds it. False when there was none after all, or
    /// nonsense.
    #[inline]
    fn take_message(&mut self, input: usize, now: u64, into: Option<&mut Sample>) -> bool {
        let feed = &mut self.feeds[input];
        let Source::Edge(subscriber) = &mut feed.source else { return false };
        let sample = into.unwrap_or(&mut self.sample);
        match subscriber.take_into(sample) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                self.broken(input, error);
                return false;
            }
        }
        let Header { send_ns, hlc, tag_time, microstep, .. } = sample.header();
        let latency = now.saturating_sub(send_ns);
        self.latency_ns = latency;
        let stats = self.link.status().input(input as u32);
        stats.received_at(now, latency);
        if feed.deadline_ns.is_some_and(|d| latency > d) {
            stats.deadline_missed();
        }
        feed.left = feed.left.saturating_sub(1);
        if feed.breaker.as_mut().is_some_and(|b| b.message(now)) {
            self.pending.push_back(Incoming::InputRecovered { input: input as u32 });
        }
        self.link.hlc().update_at(now, hlc);
        self.served(input, now, Tag { time_ns: tag_time, microstep });
        true
    }

    #[inline]
    fn served(&mut self, input: usize, now: u64, tag: Tag) {
        self.turn += 1;
        self.feeds[input].served = self.turn;
        self.taken_ns = now;
        self.link.set_tag(tag);
        if tag > self.progress {
            self.progress = tag;
            for output in 0..self.link.setup().outputs.len() {
                self.link.status().output(output as u32).progress(tag.time_ns, tag.microstep);
            }
        }
    }

    #[cold]
    fn broken(&mut self, input: usize, error: EdgeError) {
        if self.feeds[input].gate == Gate::Closed {
            return;
        }
        if self.feeds[input].gate == Gate::Closing {
            self.closing -= 1;
        }
        self.link.edge_broken(Some(input as u32), None, error.to_string());
        self.close(input);
    }
}
