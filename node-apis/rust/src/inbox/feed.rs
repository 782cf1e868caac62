//! One input: where its events come from, and what is known about it.

use dora_protocol::{node_link::InputWiring, policy::OnMiss};
use lockfree_ipc::Subscriber;

use super::{breaker::Breaker, timers::Timer};

/// What feeds an input.
#[expect(clippy::large_enum_variant, reason = "made once per input, and most inputs are edges")]
#[derive(Debug)]
pub(crate) enum Source {
    /// The node's own clock.
    Timer(Timer),
    /// A ring in shared memory.
    Edge(Subscriber),
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
        (feed.period_ns, feed.breaker) = (period_ns, None);
        feed
    }

    /// An edge.
    pub(crate) fn edge(subscriber: Subscriber, wiring: &InputWiring) -> Self {
        Self::new(Source::Edge(subscriber), wiring)
    }

    fn new(source: Source, wiring: &InputWiring) -> Self {
        Self {
            source,
            gate: Gate::Open,
            breaker: wiring.input_timeout_ns.map(Breaker::new),
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

    pub(crate) fn subscriber(&self) -> Option<&Subscriber> {
        match &self.source {
            Source::Edge(subscriber) => Some(subscriber),
            Source::Timer(_) => None,
        }
    }

    /// Has a message that may be given out. A timer never has.
    #[inline]
    pub(crate) fn is_ready(&self, stopping: bool) -> bool {
        match &self.source {
            Source::Edge(subscriber) => {
                self.gate != Gate::Closed && (!stopping || self.left > 0) && subscriber.is_ready()
            }
            Source::Timer(_) => false,
        }
    }

    /// When something happens here without a message.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        match &self.source {
            Source::Timer(timer) => Some(timer.due_ns()),
            Source::Edge(_) if self.gate == Gate::Open => self.breaker.as_ref().and_then(Breaker::due_ns),
            Source::Edge(_) => None,
        }
    }
}
