//! Everything that comes to a node, in one order: messages, ticks, closed inputs, notices of the daemon.
//!
//! One thread asks; nothing is fetched behind its back. When there is nothing it sleeps on the node's doorbell until
//! a sender or the control thread rings, or until the next tick or timeout is due: timers need no sender.
//!
//! 1. Notices come first. Then the input that was served least recently, timers included; within an input, in order.
//! 2. An input is closed only after its ring is empty; the stop for "all inputs closed" only after all of these.
//! 3. After a stop the node gets what was queued at that moment and nothing else, then `Closed` for ever.
//! 4. An edge whose sender wrote nonsense is closed and reported; the others notice nothing.
//!
//! Per event: one look at every ring, one clock read, no allocation, no lock, no system call but the one to sleep.

pub(crate) mod breaker;
pub(crate) mod feed;
pub(crate) mod timers;
mod waker;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use dora_protocol::{NodeId, OperatorId, node_link::ToNode, rt::WaitPolicy, time::Tag};
use lockfree_ipc::{EdgeError, Header, Sample, clock::monotonic_ns};

pub(crate) use feed::Feed;
use feed::{Gate, Source};
use waker::Waker;

use crate::{link::Link, sample::Received};

/// Something that came to the node.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message { input: u32, sample: Sample },
    /// Tick number `count` of a timer; `missed` earlier ones passed unseen.
    Tick { input: u32, count: u64, nominal_ns: u64, missed: u64 },
    /// Nothing more comes on this input. Not sent for one that has timed out: that was its end already.
    InputClosed { input: u32 },
    /// No message for `input_timeout`.
    InputTimedOut { input: u32 },
    /// The message just given out ended a timeout.
    InputRecovered { input: u32 },
    /// The node behind these inputs failed for good.
    NodeFailed { node: NodeId, error: String, inputs: Vec<u32> },
    /// A node behind some input was restarted.
    NodeRestarted { node: NodeId },
    /// A parameter changed.
    ParamUpdate { key: String, value: serde_json::Value },
    /// A parameter was deleted.
    ParamDeleted { key: String },
    /// Reload an operator, or all.
    Reload { operator_id: Option<OperatorId> },
    /// End soon.
    Stop { all_inputs_closed: bool },
    /// Nothing ever comes again.
    Closed,
}

/// The receiving half of a node.
pub(crate) struct Inbox {
    link: Arc<Link>,
    feeds: Vec<Feed>,
    mail: Vec<ToNode>,
    pending: VecDeque<Incoming>,
    /// Counts turns, for rule 1.
    turn: u64,
    /// Edges that are not closed.
    open_edges: usize,
    /// Edges that the daemon closed and whose rings are not empty yet.
    closing: usize,
    /// Some timer or breaker needs to know the time.
    timed: bool,
    stopping: bool,
    progress: Tag,
    /// When the latest event was taken.
    taken_ns: u64,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(link: Arc<Link>, mut feeds: Vec<Feed>, epoch_ns: u64) -> Self {
        let now = monotonic_ns();
        feeds.iter_mut().for_each(|feed| feed.start(epoch_ns, now));
        let open_edges = feeds.iter().filter(|f| matches!(f.source, Source::Edge(_))).count();
        let timed = feeds.iter().any(|f| f.breaker.is_some()) || open_edges < feeds.len();
        link.status().handling(now);
        Self {
            link,
            timed,
            open_edges,
            mail: Vec::with_capacity(64),
            pending: VecDeque::with_capacity(64 + 2 * feeds.len()),
            feeds,
            turn: 0,
            closing: 0,
            stopping: false,
            progress: Tag::default(),
            taken_ns: now,
            waker: None,
        }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The next event if there is one. Never blocks.
    pub(crate) fn poll(&mut self) -> Option<Incoming> {
        let mut now = None;
        let event = self.step(&mut now);
        let asked = now.unwrap_or_else(monotonic_ns);
        self.link.status().waiting(asked);
        self.link.status().handling(asked);
        event
    }

    /// The next event. `None` when `deadline_ns` (CLOCK_MONOTONIC) passed without one.
    ///
    /// # Real time
    /// One clock read and no system call when an event is there; otherwise sleeps by the node's wait policy.
    pub(crate) fn wait(&mut self, deadline_ns: Option<u64>) -> Option<Incoming> {
        if let Some(waker) = &self.waker {
            waker.disarm(self.link.shared().bell());
        }
        let mut now = None;
        let mut event = self.step(&mut now);
        let asked = now.unwrap_or_else(monotonic_ns);
        self.link.status().waiting(asked);
        if event.is_none() {
            event = self.sleep(asked, deadline_ns, &mut now);
        }
        self.link.status().handling(now.unwrap_or_else(monotonic_ns));
        event
    }

    /// Spins or parks until something comes. `now` is left at the time of the last look, if that read the clock.
    fn sleep(&mut self, asked: u64, deadline: Option<u64>, now: &mut Option<u64>) -> Option<Incoming> {
        let spin_until = match self.link.setup().wait {
            WaitPolicy::Park => asked,
            WaitPolicy::Spin => u64::MAX,
            WaitPolicy::SpinThenPark { spin_ns } => asked.saturating_add(spin_ns),
        };
        // Who spins for ever without a deadline has no use for the time, except for timers, and `step` reads it then.
        let watch = deadline.is_some() || spin_until != u64::MAX;
        loop {
            let time = if watch { now.unwrap_or_else(monotonic_ns) } else { 0 };
            if deadline.is_some_and(|d| time >= d) {
                return None;
            }
            if time < spin_until {
                core::hint::spin_loop();
            } else {
                let link = self.link.clone();
                let bell = link.shared().bell();
                bell.prepare();
                *now = None;
                if let Some(event) = self.step(now) {
                    bell.cancel();
                    return Some(event);
                }
                bell.park(earlier(deadline, self.next_due()));
            }
            *now = None;
            if let Some(event) = self.step(now) {
                return Some(event);
            }
        }
    }

    /// As [`wait`](Self::wait), for an executor: a thread, made at the first call, sleeps on the doorbell instead.
    pub(crate) fn poll_async(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if let Some(event) = self.poll() {
            return Poll::Ready(event);
        }
        let waker = self.waker.get_or_insert_with(|| Waker::start(self.link.shared().bell().clone()));
        waker.disarm(self.link.shared().bell());
        let link = self.link.clone();
        let bell = link.shared().bell();
        bell.prepare();
        let mut now = None;
        if let Some(event) = self.step(&mut now) {
            bell.cancel();
            return Poll::Ready(event);
        }
        link.status().waiting(now.unwrap_or_else(monotonic_ns));
        let due = self.next_due();
        if let Some(waker) = &self.waker {
            waker.arm(cx.waker().clone(), due);
        }
        Poll::Pending
    }

    /// Is there nothing to give out now?
    pub(crate) fn is_empty(&self) -> bool {
        let now = if self.timed { monotonic_ns() } else { 0 };
        let ready = |feed: &Feed| match &feed.source {
            Source::Edge(subscriber) => subscriber.is_ready() && (!self.stopping || feed.left > 0),
            Source::Timer(timer) => !self.stopping && timer.due_ns() <= now,
        };
        self.pending.is_empty() && !self.link.shared().has_mail() && !self.feeds.iter().any(ready)
    }

    /// Messages dropped per input since the last call, where there are any.
    pub(crate) fn take_drop_counts(&mut self) -> Vec<(u32, u64)> {
        let count = |(input, feed): (usize, &mut Feed)| match &mut feed.source {
            Source::Edge(subscriber) => Some((input as u32, subscriber.drain_drop_count())),
            Source::Timer(_) => None,
        };
        self.feeds.iter_mut().enumerate().filter_map(count).filter(|(_, n)| *n > 0).collect()
    }

    /// The type record that a message of this input refers to. Believe nothing it says.
    pub(crate) fn type_record(&self, input: u32, id: u32) -> Option<&[u8]> {
        self.feeds.get(input as usize)?.subscriber()?.type_record(id)
    }

    /// Samples of this input that the node holds.
    pub(crate) fn held(&self, input: u32) -> u32 {
        self.feeds.get(input as usize).and_then(Feed::subscriber).map_or(0, |s| s.held())
    }

    /// Logical time of the event given out last.
    pub(crate) fn current_tag(&self) -> Tag {
        self.link.tag()
    }

    /// When the event given out last was taken, CLOCK_MONOTONIC.
    pub(crate) fn taken_ns(&self) -> u64 {
        self.taken_ns
    }

    /// The causal timestamp of a message of this input.
    pub(crate) fn timestamp(&self, input: u32, header: &Header) -> uhlc::Timestamp {
        let sender = self.feeds.get(input as usize).and_then(Feed::subscriber).map(|s| s.hlc_id());
        let id = sender.and_then(|id| uhlc::ID::try_from(id).ok());
        uhlc::Timestamp::new(uhlc::NTP64(header.hlc), id.unwrap_or_else(|| self.link.hlc().id()))
    }

    /// Takes everything that is queued on one input and keeps the newest. Changes nothing else about the order.
    pub(crate) fn take_newest(&mut self, input: u32) -> Option<Received> {
        let mut newest = None;
        while let Some(feed) = self.feeds.get_mut(input as usize)
            && feed.is_ready(self.stopping)
        {
            let now = monotonic_ns();
            match self.take_message(input as usize, now) {
                Some(sample) => {
                    let latency_ns = now.saturating_sub(sample.header().send_ns);
                    newest = Some(Received { input, sample, latency_ns });
                }
                None => break,
            }
        }
        newest
    }

    /// The next event, if there is one. Reads the clock at most once, and only when something depends on it.
    fn step(&mut self, now: &mut Option<u64>) -> Option<Incoming> {
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
            if let Some(sample) = self.take_message(input, now) {
                return Some(Incoming::Message { input: input as u32, sample });
            }
        }
        None
    }

    /// Takes in what the control thread left.
    #[inline]
    fn absorb(&mut self) {
        self.link.shared().collect_mail(&mut self.mail);
        if !self.mail.is_empty() {
            let mut mail = std::mem::take(&mut self.mail);
            mail.drain(..).for_each(|message| self.sort(message));
            self.mail = mail;
        }
    }

    fn sort(&mut self, message: ToNode) {
        let event = match message {
            ToNode::Stop if self.stopping => return,
            ToNode::Stop => {
                self.begin_stop();
                Incoming::Stop { all_inputs_closed: false }
            }
            ToNode::InputClosed { input } => return self.begin_close(input),
            ToNode::NodeFailed { node, error, mut inputs } => {
                inputs.retain(|i| (*i as usize) < self.feeds.len());
                Incoming::NodeFailed { node, error, inputs }
            }
            ToNode::NodeRestarted { node } => Incoming::NodeRestarted { node },
            ToNode::ParamUpdate { key, value } => Incoming::ParamUpdate { key, value },
            ToNode::ParamDeleted { key } => Incoming::ParamDeleted { key },
            ToNode::Reload { operator_id } => Incoming::Reload { operator_id },
            // The control thread keeps all others.
            _ => return,
        };
        self.pending.push_back(event);
    }

    /// The daemon may name an input that is none, or a timer: nothing happens then.
    fn begin_close(&mut self, input: u32) {
        if let Some(feed) = self.feeds.get_mut(input as usize)
            && feed.subscriber().is_some()
            && feed.gate == Gate::Open
        {
            feed.gate = Gate::Closing;
            self.closing += 1;
        }
    }

    /// From now on only what is queued is given out.
    fn begin_stop(&mut self) {
        self.stopping = true;
        for feed in &mut self.feeds {
            feed.left = feed.subscriber().map_or(0, |s| s.queued());
        }
    }

    #[cold]
    fn close_drained(&mut self) {
        for input in 0..self.feeds.len() {
            let feed = &self.feeds[input];
            if feed.gate == Gate::Closing && !feed.is_ready(false) {
                self.closing -= 1;
                self.close(input);
            }
        }
    }

    /// Closes an edge for good; the stop follows when it was the last.
    fn close(&mut self, input: usize) {
        let feed = &mut self.feeds[input];
        let told = feed.breaker.take().is_some_and(|b| b.is_tripped());
        feed.gate = Gate::Closed;
        self.open_edges -= 1;
        if !told {
            self.pending.push_back(Incoming::InputClosed { input: input as u32 });
        }
        let timers = self.feeds.iter().any(|f| matches!(f.source, Source::Timer(_)));
        if self.open_edges == 0 && !self.stopping && (!timers || self.link.setup().exit_when_nodes_finish) {
            self.begin_stop();
            self.pending.push_back(Incoming::Stop { all_inputs_closed: true });
        }
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

    /// Takes the next message of an edge. `None` when there was none after all, or nonsense.
    #[inline]
    fn take_message(&mut self, input: usize, now: u64) -> Option<Sample> {
        let feed = &mut self.feeds[input];
        let Source::Edge(subscriber) = &mut feed.source else { return None };
        let sample = match subscriber.take() {
            Ok(sample) => sample?,
            Err(error) => {
                self.broken(input, error);
                return None;
            }
        };
        let header = sample.header();
        let latency = now.saturating_sub(header.send_ns);
        let stats = self.link.status().input(input as u32);
        stats.received_at(now, latency);
        if feed.deadline_ns.is_some_and(|d| latency > d) {
            stats.deadline_missed();
        }
        feed.left = feed.left.saturating_sub(1);
        if feed.breaker.as_mut().is_some_and(|b| b.message(now)) {
            self.pending.push_back(Incoming::InputRecovered { input: input as u32 });
        }
        self.link.hlc().update_at(now, header.hlc);
        self.served(input, now, Tag { time_ns: header.tag_time, microstep: header.microstep });
        Some(sample)
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

    /// When the next tick or timeout is due.
    fn next_due(&self) -> Option<u64> {
        if !self.timed || self.stopping {
            return None;
        }
        self.feeds.iter().filter_map(Feed::due_ns).min()
    }
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.finish(self.link.shared().bell());
        }
    }
}
