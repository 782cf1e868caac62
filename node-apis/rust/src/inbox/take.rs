//! Which event is next, and everything that is noted about it.

use dora_protocol::{policy::OnMiss, time::Tag};
use lockfree_ipc::{EdgeError, Header, Miss, Sample, clock::monotonic_ns};

use super::{
    Inbox, Incoming,
    feed::{Feed, Gate, Source},
    timers,
};
use crate::{control::Trash, sample::Received};

/// What became of an attempt to take something.
enum Taken {
    Event(Incoming),
    /// There was none after all, or nonsense.
    Nothing,
    /// It came too late for the node to get it.
    Skipped,
}

impl Inbox {
    /// The next event, if there is one. Reads the clock at most once, and only when something depends on it.
    #[inline]
    pub(super) fn step(&mut self, now: &mut Option<u64>) -> Option<Incoming> {
        self.absorb();
        // Each round gives something out, takes an input out of the running, or drops a message for being late.
        let mut rounds = self.feeds.len() + 1;
        while rounds > 0 {
            rounds -= 1;
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
            let time = *now.get_or_insert_with(monotonic_ns);
            if self.timed && !self.stopping {
                if let Some(input) = self.tripped(time) {
                    return Some(Incoming::InputTimedOut { input });
                }
                match self.take_tick(edge, time) {
                    Taken::Skipped => {
                        rounds += 1;
                        continue;
                    }
                    Taken::Event(tick) => return Some(tick),
                    Taken::Nothing => {}
                }
            }
            let input = edge?;
            match self.take_message(input, time, None) {
                Taken::Event(event) => return Some(event),
                Taken::Nothing => {}
                Taken::Skipped => {
                    // A sender may be as fast as we are: the daemon's word and the time still count.
                    rounds += 1;
                    *now = None;
                    self.absorb();
                }
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
            match self.take_message(input as usize, monotonic_ns(), Some(&mut next)) {
                Taken::Event(_) => (newest.sample, newest.latency_ns, found) = (next, self.latency_ns, true),
                Taken::Skipped => {}
                Taken::Nothing => break,
            }
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
    fn take_tick(&mut self, edge: Option<usize>, now: u64) -> Taken {
        let due = |(_, feed): &(usize, &Feed)| matches!(&feed.source, Source::Timer(t) if t.due_ns() <= now);
        let next = self.feeds.iter().enumerate().filter(due).min_by_key(|(_, f)| f.served).map(|(i, _)| i);
        let Some(next) = next.filter(|n| edge.is_none_or(|e| self.feeds[e].served >= self.feeds[*n].served))
        else {
            return Taken::Nothing;
        };
        let Source::Timer(timer) = &mut self.feeds[next].source else { return Taken::Nothing };
        let Some(tick) = timer.take(now) else { return Taken::Nothing };
        // From the first tick that was missed: a stall must show as long as it was.
        let (input, lateness) = (next as u32, now - tick.first_ns);
        let stats = self.link.status().input(input);
        stats.received_at(now, lateness);
        stats.queued(self.takes.take(tick.first_ns, now));
        stats.missed_ticks(tick.missed);
        let timers::Due { count, nominal_ns, missed, .. } = tick;
        let late = self.judge(next, now, lateness, (count, nominal_ns));
        self.served(next, now, Tag { time_ns: nominal_ns, microstep: 0 });
        if late { Taken::Skipped } else { Taken::Event(Incoming::Tick { input, count, nominal_ns, missed }) }
    }

    /// Takes the next message of an edge to `into`, or to where the node finds it.
    #[inline]
    fn take_message(&mut self, input: usize, now: u64, into: Option<&mut Sample>) -> Taken {
        let feed = &mut self.feeds[input];
        let Source::Edges(lanes) = &mut feed.source else { return Taken::Nothing };
        let elsewhere = into.is_some();
        let sample = into.unwrap_or(&mut self.sample);
        match lanes.take_into(sample) {
            Ok(true) => {}
            Ok(false) => return Taken::Nothing,
            Err((lane, error)) => return self.broken(input, lane, error),
        }
        let Header { send_ns, hlc, tag_time, microstep, seq, .. } = sample.header();
        let latency = now.saturating_sub(send_ns);
        self.latency_ns = latency;
        let stats = self.link.status().input(input as u32);
        stats.received_at(now, latency);
        stats.queued(self.takes.take(send_ns, now));
        feed.left = feed.left.saturating_sub(1);
        if feed.breaker.as_mut().is_some_and(|b| b.message(now)) {
            self.link.status().input(input as u32).recovered();
            self.pending.push_back(Incoming::InputRecovered { input: input as u32 });
        }
        self.link.hlc().update_at(now, hlc);
        let late = self.judge(input, now, latency, (seq, tag_time));
        self.served(input, now, Tag { time_ns: tag_time, microstep });
        if !late {
            return Taken::Event(Incoming::Message { input: input as u32 });
        }
        if !elsewhere {
            self.sample.clear();
        }
        Taken::Skipped
    }

    /// Is the event within its deadline and its chains? True when the node shall not get it. One compare for an input
    /// without either.
    #[inline]
    fn judge(&mut self, input: usize, now: u64, latency: u64, message: (u64, u64)) -> bool {
        let late = self.feeds[input].deadline_ns.is_some_and(|deadline| latency > deadline);
        if late {
            self.link.status().input(input as u32).deadline_missed();
        }
        self.watch.is_some() && self.account(input, (now, latency), message, late)
    }

    /// As `judge`, for a node that has deadlines at all.
    fn account(
        &mut self,
        input: usize,
        (now, latency): (u64, u64),
        (seq, tag_ns): (u64, u64),
        late: bool,
    ) -> bool {
        let (taken_ns, latest, waited_since_ns) = (self.taken_ns, self.latest, self.waited_since_ns);
        let Some(watch) = self.watch.as_deref_mut() else { return false };
        let feed = &self.feeds[input];
        let asked_ns = if waited_since_ns == 0 { now } else { waited_since_ns };
        let miss = Miss {
            taken_ns: now,
            input: input as u32,
            seq,
            latency_ns: latency,
            hop_ns: latency,
            waited_since_ns,
            handler_ns: asked_ns.saturating_sub(taken_ns),
            handler_input: latest,
            ..Miss::default()
        };
        let mut worst = None;
        if late {
            watch.missed(Miss { limit_ns: feed.deadline_ns.unwrap_or(0), ..miss }, feed.on_miss);
            worst = Some(feed.on_miss);
        }
        for number in 0..watch.chains.len() {
            let chain = &watch.chains[number];
            if chain.input as usize != input {
                continue;
            }
            let stats = self.link.status().chain(number as u32);
            let Some(sent_ns) = chain.origins.find(tag_ns) else {
                stats.untraced();
                continue;
            };
            let latency_ns = now.saturating_sub(sent_ns);
            stats.traced(latency_ns);
            let (limit_ns, on_miss) = (chain.within_ns, chain.on_miss);
            if latency_ns > limit_ns {
                stats.missed();
                watch.missed(Miss { chain: Some(number as u32), latency_ns, limit_ns, ..miss }, on_miss);
                worst = worst.max(Some(on_miss));
            }
        }
        if watch.is_stale(now) {
            watch.refresh(now);
        }
        // Who stops the dataflow does not act on a late message, either.
        let skip = worst.is_some_and(|on_miss| on_miss >= OnMiss::Skip);
        if skip {
            self.link.status().input(input as u32).skipped_late();
        }
        skip
    }

    #[inline]
    fn served(&mut self, input: usize, now: u64, tag: Tag) {
        self.turn += 1;
        self.latest = input as u32;
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

    /// An edge gave nonsense: it is taken out, and the input closed if it was the only one.
    #[cold]
    fn broken(&mut self, input: usize, lane: usize, error: EdgeError) -> Taken {
        let Source::Edges(lanes) = &mut self.feeds[input].source else { return Taken::Nothing };
        let lane = lanes.remove(lane);
        let more = !lanes.is_empty();
        self.closing -= usize::from(lane.closed);
        self.link.edge_broken(Some((input as u32, lane.number)), None, error.to_string());
        self.trash.push(Trash::Lane(lane));
        if more {
            // The others are looked at once more.
            return Taken::Skipped;
        }
        if self.feeds[input].gate == Gate::Closing {
            self.closing -= 1;
        }
        self.close(input);
        self.link.shared().discard(&mut self.trash);
        Taken::Nothing
    }
}
