//! Everything that comes to a node, in one order: messages, ticks, closed inputs, notices of the daemon.
//!
//! One thread asks; nothing is fetched behind its back. When there is nothing it sleeps on the node's doorbell until
//! a sender or the control thread rings, or until the next tick or timeout is due: timers need no sender.
//!
//! 1. Notices come first. Then the input that was served least recently, timers included; within an input, in order.
//! 2. An input is closed when the daemon said so and all its rings are empty; the stop for "all inputs closed" comes only after
//!    all of these. A further edge opens it again.
//! 3. After a stop the node gets what was queued at that moment and nothing else, then `Closed` for ever.
//! 4. An edge whose sender wrote nonsense is closed and reported; the others notice nothing.
//! 5. New edges and inputs were mapped by the control thread, and what is done with goes back to it: here they only change hands.
//!
//! Per event: one look at every ring, one clock read, no allocation, no lock, no system call but the one to sleep.

pub(crate) mod breaker;
pub(crate) mod feed;
pub(crate) mod lane;
mod mail;
mod take;
mod takes;
pub(crate) mod timers;
mod waker;
pub(crate) mod watch;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use dora_protocol::{NodeId, node_link::InputWiring, rt::WaitPolicy, time::Tag};
use lockfree_ipc::{Header, Sample, Woken, clock::monotonic_ns};

pub(crate) use feed::Feed;
use feed::Source;
pub(crate) use lane::Lane;
pub(crate) use mail::Rare;
use takes::Takes;
use waker::Waker;
use watch::Watch;

use crate::{
    control::{Mail, Trash},
    link::Link,
    sample::Received,
};

/// Further inputs for which there is room without an allocation.
const SPARE_INPUTS: usize = lockfree_ipc::status::SPARE_INPUTS as usize;
/// Mail and waste for which there is room without an allocation.
const SPARE_MAIL: usize = 16;

/// Something that came to the node. Small, and copied without a stall: what is large waits in the inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incoming {
    /// A message: [`Inbox::sample`].
    Message { input: u32 },
    /// Tick number `count` of a timer; `missed` earlier ones passed unseen.
    Tick { input: u32, count: u64, nominal_ns: u64, missed: u64 },
    /// Nothing more comes on this input. Not sent for one that has timed out: that was its end already.
    InputClosed { input: u32 },
    /// No message for `input_timeout`.
    InputTimedOut { input: u32 },
    /// The message just given out ended a timeout, or the input was closed and has an edge again.
    InputRecovered { input: u32 },
    /// Something that happens rarely: [`Inbox::take_rare`].
    Rare,
    /// End soon.
    Stop { all_inputs_closed: bool },
    /// Nothing ever comes again.
    Closed,
}

/// The receiving half of a node.
pub(crate) struct Inbox {
    link: Arc<Link>,
    feeds: Vec<Feed>,
    /// The message given out last, until somebody takes it; latency of its way here, nanoseconds.
    sample: Sample,
    latency_ns: u64,
    mail: Vec<Mail>,
    /// What is done with, on its way to the control thread.
    trash: Vec<Trash>,
    /// Inputs that were added while the node ran, behind those of the set-up.
    added: Vec<InputWiring>,
    /// Counts edges and inputs that were added.
    rewired: u64,
    pending: VecDeque<Incoming>,
    /// One for each [`Incoming::Rare`], in the same order.
    rare: VecDeque<Rare>,
    /// Counts turns, for rule 1.
    turn: u64,
    /// Inputs with edges that are not closed.
    open_inputs: usize,
    /// Edges and inputs that the daemon closed and that are not empty yet.
    closing: usize,
    /// The node was made with inputs from other nodes: it ends with them.
    ends_with_inputs: bool,
    epoch_ns: u64,
    /// Some timer or breaker needs to know the time.
    timed: bool,
    stopping: bool,
    progress: Tag,
    /// When the latest event was taken.
    taken_ns: u64,
    /// And those before it, for how long an event waited behind others.
    takes: Takes,
    /// When the node found nothing and began to wait; 0 when something was there.
    waited_since_ns: u64,
    /// Input of the event given out last.
    latest: u32,
    /// A signal ends the wait.
    heeds_signals: bool,
    /// Accounts for deadlines; `None` where the node has none.
    watch: Option<Box<Watch>>,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(link: Arc<Link>, mut feeds: Vec<Feed>, watch: Option<Watch>, epoch_ns: u64) -> Self {
        let now = monotonic_ns();
        feeds.iter_mut().for_each(|feed| feed.start(epoch_ns, now));
        let open_inputs = feeds.iter().filter(|f| !f.is_timer()).count();
        let timed = feeds.iter().any(|f| f.breaker.is_some()) || open_inputs < feeds.len();
        feeds.reserve(SPARE_INPUTS);
        link.status().handling(now);
        let watch = watch.map(|mut watch| {
            watch.open(now);
            Box::new(watch)
        });
        Self {
            link,
            timed,
            open_inputs,
            sample: Sample::default(),
            latency_ns: 0,
            mail: Vec::with_capacity(SPARE_MAIL),
            trash: Vec::with_capacity(SPARE_MAIL),
            added: Vec::with_capacity(SPARE_INPUTS),
            rewired: 0,
            ends_with_inputs: open_inputs > 0,
            epoch_ns,
            closing: feeds.iter().map(Feed::closed_lanes).sum(),
            rare: VecDeque::with_capacity(64),
            pending: VecDeque::with_capacity(64 + 2 * feeds.len()),
            feeds,
            turn: 0,
            stopping: false,
            progress: Tag::default(),
            taken_ns: now,
            takes: Takes::new(),
            waited_since_ns: 0,
            latest: 0,
            heeds_signals: false,
            watch,
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
        self.waited_since_ns = 0;
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
            self.waited_since_ns = asked;
            event = self.sleep(asked, deadline_ns, &mut now);
            self.waited_since_ns = 0;
        }
        self.link.status().handling(now.unwrap_or_else(monotonic_ns));
        event
    }

    /// As [`wait`](Self::wait), until a deadline; also `None` when a signal handler has run on this thread while it slept.
    pub(crate) fn wait_or_signal(&mut self, deadline_ns: u64) -> Option<Incoming> {
        self.heeds_signals = true;
        let event = self.wait(Some(deadline_ns));
        self.heeds_signals = false;
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
                let woken = bell.park(earlier(deadline, self.next_due()));
                if woken == Woken::Signal && self.heeds_signals {
                    return None;
                }
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
        self.waited_since_ns = now.unwrap_or_else(monotonic_ns);
        link.status().waiting(self.waited_since_ns);
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
            Source::Edges(_) => feed.is_ready(self.stopping),
            Source::Timer(timer) => !self.stopping && timer.due_ns() <= now,
        };
        self.pending.is_empty() && !self.link.shared().has_mail() && !self.feeds.iter().any(ready)
    }

    /// Messages dropped per input since the last call, where there are any.
    pub(crate) fn take_drop_counts(&mut self) -> Vec<(u32, u64)> {
        let count = |(input, feed): (usize, &mut Feed)| match &mut feed.source {
            Source::Edges(lanes) => Some((input as u32, lanes.take_dropped())),
            Source::Timer(_) => None,
        };
        self.feeds.iter_mut().enumerate().filter_map(count).filter(|(_, n)| *n > 0).collect()
    }

    /// The edge that gave the latest message of this input, until the next event is asked for.
    fn last_lane(&self, input: u32) -> Option<&Lane> {
        self.feeds.get(input as usize)?.lanes()?.last()
    }

    /// Number of that edge. What an edge's sender says about its types holds for that edge alone.
    pub(crate) fn last_edge(&self, input: u32) -> u32 {
        self.last_lane(input).map_or(u32::MAX, |lane| lane.number)
    }

    /// The type record that the latest message of this input refers to. Believe nothing it says.
    pub(crate) fn type_record(&self, input: u32, id: u32) -> Option<&[u8]> {
        self.last_lane(input)?.subscriber.type_record(id)
    }

    /// Samples that the node holds of the edge that gave the latest message of this input.
    pub(crate) fn held(&self, input: u32) -> u32 {
        self.last_lane(input).map_or(0, |lane| lane.subscriber.held())
    }

    /// Who sends to this input now.
    pub(crate) fn senders(&self, input: u32) -> impl Iterator<Item = &NodeId> {
        let lanes = self.feeds.get(input as usize).and_then(Feed::lanes);
        lanes.into_iter().flat_map(|lanes| lanes.iter()).filter_map(|lane| lane.sender.as_ref())
    }

    /// Raised with every edge and every input that is added.
    pub(crate) fn rewired(&self) -> u64 {
        self.rewired
    }

    /// All inputs: those of the set-up, then those added.
    pub(crate) fn wirings(&self) -> impl Iterator<Item = &InputWiring> {
        self.link.setup().inputs.iter().chain(&self.added)
    }

    /// Logical time of the event given out last.
    pub(crate) fn current_tag(&self) -> Tag {
        self.link.tag()
    }

    /// When the event given out last was taken, CLOCK_MONOTONIC.
    pub(crate) fn taken_ns(&self) -> u64 {
        self.taken_ns
    }

    /// The message that the latest [`Incoming::Message`] announced; empty after it was taken.
    #[inline]
    pub(crate) fn sample(&self) -> &Sample {
        &self.sample
    }

    /// Takes that message, with the input that the caller knows it came by.
    #[inline]
    pub(crate) fn take_received(&mut self, input: u32) -> Received {
        Received { input, latency_ns: self.latency_ns, sample: std::mem::take(&mut self.sample) }
    }

    /// Gives that message back to its sender.
    #[inline]
    pub(crate) fn drop_sample(&mut self) {
        self.sample.clear();
    }

    /// What the latest [`Incoming::Rare`] was about.
    pub(crate) fn take_rare(&mut self) -> Option<Rare> {
        self.rare.pop_front()
    }

    /// The causal timestamp of a message of this input.
    pub(crate) fn timestamp(&self, input: u32, header: &Header) -> uhlc::Timestamp {
        let sender = self.last_lane(input).map(|lane| lane.subscriber.hlc_id());
        let id = sender.and_then(|id| uhlc::ID::try_from(id).ok());
        uhlc::Timestamp::new(uhlc::NTP64(header.hlc), id.unwrap_or_else(|| self.link.hlc().id()))
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
        self.feeds.iter_mut().for_each(Feed::abandon);
        if let Some(waker) = self.waker.take() {
            waker.finish(self.link.shared().bell());
        }
    }
}
