//! The edges that lead to one input: those that earlier processes of its senders left, and those that are open.
//!
//! 1. Of several that have a message, the one whose message was sent first comes next. So what a dead process left comes before
//!    what its successor sends, and several senders are interleaved as they sent. The order within an edge always holds.
//! 2. An edge that was closed is retired when its ring is empty and its sender, if it lives, has heard of it; what it dropped
//!    stays counted.
//!
//! Retired edges are handed on and never dropped here: unmapping takes a system call.

use dora_protocol::NodeId;
use lockfree_ipc::{EdgeError, Sample, Subscriber};

/// One edge.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    /// Who sends; `None` for the daemon.
    pub(crate) sender: Option<NodeId>,
    pub(crate) subscriber: Subscriber,
    /// Nothing comes after what is in the ring, or what its sender sends until it hears that we leave.
    pub(crate) closed: bool,
    /// That sender lives. It is not waited for any longer than until then (CLOCK_MONOTONIC, ns).
    pub(crate) sender_until: Option<u64>,
}

impl Lane {
    fn is_drained(&self, now_ns: u64) -> bool {
        // In this order: what was sent before the sender left is seen after that.
        let is_last = self.sender_until.is_none_or(|until| now_ns >= until || self.subscriber.sender_left());
        self.closed && is_last && !self.subscriber.is_ready()
    }
}

/// All edges of an input.
#[derive(Debug)]
pub(crate) struct Lanes {
    list: Vec<Lane>,
    /// Which of them gave the message that came last.
    last: usize,
    /// Messages that retired ones dropped, and that were not told yet.
    dropped: u64,
}

/// Edges for which there is room without an allocation, beside those of the start.
const SPARE: usize = 8;

impl Lanes {
    pub(crate) fn new(mut list: Vec<Lane>) -> Self {
        list.reserve(SPARE);
        Self { list, last: 0, dropped: 0 }
    }

    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.list.iter().any(|lane| lane.subscriber.is_ready())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.list.iter()
    }

    /// The edge that gave the latest message, until the inbox is asked for the next event.
    #[inline]
    pub(crate) fn last(&self) -> Option<&Lane> {
        self.list.get(self.last)
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// The edge wrote nonsense: its place in the list, for [`remove`](Self::remove).
    #[inline]
    pub(crate) fn take_into(&mut self, sample: &mut Sample) -> Result<bool, (usize, EdgeError)> {
        self.last = if self.list.len() == 1 { 0 } else { self.first_sent() };
        let Some(lane) = self.list.get_mut(self.last) else {
            sample.clear();
            return Ok(false);
        };
        lane.subscriber.take_into(sample).map_err(|error| (self.last, error))
    }

    fn first_sent(&self) -> usize {
        let ready = self.list.iter().enumerate().filter(|(_, lane)| lane.subscriber.is_ready());
        // One that is ready and says nothing was overwritten just now, or is broken: taking it finds out.
        let first = ready.min_by_key(|(_, lane)| lane.subscriber.peek_send_ns().unwrap_or(0));
        first.map_or(0, |(at, _)| at)
    }

    pub(crate) fn add(&mut self, lane: Lane) {
        self.list.push(lane);
    }

    /// This edge comes to its end, see [`Lane`]. True when it was open.
    pub(crate) fn close(&mut self, number: u32, sender_until: Option<u64>) -> bool {
        let found = self.list.iter_mut().find(|lane| lane.number == number && !lane.closed);
        found.is_some_and(|lane| {
            (lane.closed, lane.sender_until) = (true, sender_until);
            true
        })
    }

    /// Hands on one edge that is closed and empty.
    pub(crate) fn retire_drained(&mut self, now_ns: u64) -> Option<Lane> {
        let at = self.list.iter().position(|lane| lane.is_drained(now_ns))?;
        Some(self.remove(at))
    }

    /// Hands on one edge, whatever its state.
    pub(crate) fn retire(&mut self) -> Option<Lane> {
        (!self.list.is_empty()).then(|| self.remove(0))
    }

    /// Takes an edge out.
    pub(crate) fn remove(&mut self, at: usize) -> Lane {
        let mut lane = self.list.remove(at);
        self.dropped += lane.subscriber.drain_drop_count();
        self.last = 0;
        lane
    }

    /// Messages in all rings.
    pub(crate) fn queued(&self) -> u32 {
        self.list.iter().fold(0, |n, lane| n.saturating_add(lane.subscriber.queued()))
    }

    /// Messages dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        let all = self.list.iter_mut().map(|lane| lane.subscriber.drain_drop_count());
        all.fold(std::mem::take(&mut self.dropped), u64::wrapping_add)
    }
}
