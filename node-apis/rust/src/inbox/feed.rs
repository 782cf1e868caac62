//! One input: where its events come from, and what is known about it.

use dora_protocol::{node_link::InputWiring, policy::OnMiss};

use super::{
    breaker::Breaker,
    lane::{Lane, Lanes},
    timers::Timer,
};

/// What feeds an input.
#[derive(Debug)]
pub(crate) enum Source {
    /// The node's own clock.
    Timer(Timer),
    /// Rings in shared memory.
    Edges(Lanes),
}

/// May messages come?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Yes.
    Open,
    /// Those in the ring, no others.
    Closing,
    /// No.
    Closed,
}

/// One input.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) source: Source,
    pub(crate) gate: Gate,
    pub(crate) breaker: Option<Breaker>,
    timeout_ns: Option<u64>,
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) on_miss: OnMiss,
    /// Turn in which it was served last.
    pub(crate) served: u64,
    /// Messages that may still be given out after a stop.
    pub(crate) left: u32,
    period_ns: u64,
}

impl Feed {
    /// A timer; [`start`](Self::start) sets it going.
    pub(crate) fn timer(period_ns: u64, wiring: &InputWiring) -> Self {
        let mut feed = Self::new(Source::Timer(Timer::new(0, period_ns, 0)), wiring);
        (feed.period_ns, feed.breaker, feed.timeout_ns) = (period_ns, None, None);
        feed
    }

    /// Edges.
    pub(crate) fn edges(lanes: Vec<Lane>, wiring: &InputWiring) -> Self {
        Self::new(Source::Edges(Lanes::new(lanes)), wiring)
    }

    fn new(source: Source, wiring: &InputWiring) -> Self {
        Self {
            source,
            gate: Gate::Open,
            breaker: wiring.input_timeout_ns.map(Breaker::new),
            timeout_ns: wiring.input_timeout_ns,
            deadline_ns: wiring.deadline_ns,
            on_miss: wiring.on_miss,
            served: 0,
            left: 0,
            period_ns: 0,
        }
    }

    /// The dataflow starts: timers count from its epoch.
    pub(crate) fn start(&mut self, epoch_ns: u64, now_ns: u64) {
        if let Source::Timer(timer) = &mut self.source {
            *timer = Timer::new(epoch_ns, self.period_ns, now_ns);
        }
    }

    /// Messages may come again; the timeout counts from the first of them.
    pub(crate) fn reopen(&mut self) {
        (self.gate, self.breaker) = (Gate::Open, self.timeout_ns.map(Breaker::new));
    }

    /// The edges; `None` for a timer.
    #[inline]
    pub(crate) fn lanes(&self) -> Option<&Lanes> {
        match &self.source {
            Source::Edges(lanes) => Some(lanes),
            Source::Timer(_) => None,
        }
    }

    pub(crate) fn lanes_mut(&mut self) -> Option<&mut Lanes> {
        match &mut self.source {
            Source::Edges(lanes) => Some(lanes),
            Source::Timer(_) => None,
        }
    }

    /// The node ends, although what it got may live on.
    pub(crate) fn abandon(&mut self) {
        while let Some(lane) = self.lanes_mut().and_then(|lanes| lanes.retire()) {
            lane.subscriber.abandon();
        }
    }

    /// Edges that are closed and not yet retired.
    pub(crate) fn closed_lanes(&self) -> usize {
        self.lanes().map_or(0, |lanes| lanes.iter().filter(|lane| lane.closed).count())
    }

    pub(crate) fn is_timer(&self) -> bool {
        matches!(self.source, Source::Timer(_))
    }

    /// Has a message that may be given out. A timer never has.
    #[inline]
    pub(crate) fn is_ready(&self, stopping: bool) -> bool {
        match &self.source {
            Source::Edges(lanes) => {
                self.gate != Gate::Closed && (!stopping || self.left > 0) && lanes.is_ready()
            }
            Source::Timer(_) => false,
        }
    }

    /// When something happens here without a message.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        match &self.source {
            Source::Timer(timer) => Some(timer.due_ns()),
            Source::Edges(_) if self.gate == Gate::Open => self.breaker.as_ref().and_then(Breaker::due_ns),
            Source::Edges(_) => None,
        }
    }
}
