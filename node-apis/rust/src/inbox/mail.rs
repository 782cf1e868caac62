//! What the daemon says while the node runs, and how inputs end.

use dora_protocol::{NodeId, OperatorId, node_link::ToNode};
use lockfree_ipc::clock::monotonic_ns;

use super::{
    Inbox, Incoming,
    feed::{Feed, Gate},
    lane::Lane,
};
use crate::control::{AddedInput, Mail, Trash};

/// A sender that was told to leave an edge has heard of it when this has passed, or is not sending.
const SENDER_HEARS_NS: u64 = 10_000_000_000;

/// A notice of the daemon. It was allocated by the control thread; whoever drops it frees it.
#[derive(Debug)]
pub(crate) enum Rare {
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
}

impl Inbox {
    /// Takes in what the control thread left.
    #[inline]
    pub(super) fn absorb(&mut self) {
        self.link.shared().collect_mail(&mut self.mail);
        if !self.mail.is_empty() {
            let mut mail = std::mem::take(&mut self.mail);
            mail.drain(..).for_each(|message| self.sort(message));
            self.mail = mail;
            self.link.shared().discard(&mut self.trash);
        }
    }

    fn sort(&mut self, mail: Mail) {
        let message = match mail {
            Mail::Word(message) => message,
            Mail::Edge { input, lane } => return self.add_lane(input, lane),
            Mail::Input(added) => return self.add_input(added),
        };
        let rare = match message {
            ToNode::Stop if self.stopping => return,
            ToNode::Stop => {
                self.begin_stop();
                return self.pending.push_back(Incoming::Stop { all_inputs_closed: false });
            }
            ToNode::InputClosed { input } => return self.begin_close(input),
            ToNode::EdgeClosed { input, edge, sender_lives } => {
                return self.close_lane(input, edge, sender_lives);
            }
            ToNode::NodeFailed { node, error, mut inputs } => {
                inputs.retain(|i| (*i as usize) < self.feeds.len());
                Rare::NodeFailed { node, error, inputs }
            }
            ToNode::NodeRestarted { node } => Rare::NodeRestarted { node },
            ToNode::ParamUpdate { key, value } => Rare::ParamUpdate { key, value },
            ToNode::ParamDeleted { key } => Rare::ParamDeleted { key },
            ToNode::Reload { operator_id } => Rare::Reload { operator_id },
            // The control thread keeps all others.
            _ => return,
        };
        self.rare.push_back(rare);
        self.pending.push_back(Incoming::Rare);
    }

    /// The daemon may name an input that is none, or a timer: nothing happens then.
    fn begin_close(&mut self, input: u32) {
        if let Some(feed) = self.feeds.get_mut(input as usize)
            && !feed.is_timer()
            && feed.gate == Gate::Open
        {
            feed.gate = Gate::Closing;
            self.closing += 1;
        }
    }

    fn close_lane(&mut self, input: u32, edge: u32, sender_lives: bool) {
        let sender_until = sender_lives.then(|| monotonic_ns() + SENDER_HEARS_NS);
        let lanes = self.feeds.get_mut(input as usize).and_then(Feed::lanes_mut);
        self.closing += usize::from(lanes.is_some_and(|lanes| lanes.close(edge, sender_until)));
    }

    /// A further edge leads to an input, which opens it again if it was closed.
    fn add_lane(&mut self, input: u32, lane: Lane) {
        let feed = self.feeds.get_mut(input as usize).filter(|feed| !feed.is_timer());
        let Some(feed) = feed.filter(|_| !self.stopping) else {
            return self.trash.push(Trash::Lane(lane));
        };
        match feed.gate {
            Gate::Open => {}
            Gate::Closing => {
                feed.gate = Gate::Open;
                self.closing -= 1;
            }
            Gate::Closed => {
                feed.reopen();
                self.open_inputs += 1;
                self.pending.push_back(Incoming::InputRecovered { input });
            }
        }
        self.closing += usize::from(lane.closed);
        if let Some(lanes) = feed.lanes_mut() {
            lanes.add(lane);
        }
        self.rewired += 1;
    }

    /// The node has a further input.
    fn add_input(&mut self, added: AddedInput) {
        let AddedInput { wiring, mut feed } = added;
        feed.start(self.epoch_ns, monotonic_ns());
        self.timed |= feed.is_timer() || feed.breaker.is_some();
        self.open_inputs += usize::from(!feed.is_timer());
        self.closing += feed.closed_lanes();
        self.feeds.push(feed);
        self.added.push(wiring);
        self.rewired += 1;
    }

    /// From now on only what is queued is given out.
    fn begin_stop(&mut self) {
        self.stopping = true;
        for feed in &mut self.feeds {
            feed.left = feed.lanes().map_or(0, |lanes| lanes.queued());
        }
    }

    /// Retires edges, and ends inputs, that were closed and are empty now.
    #[cold]
    pub(super) fn close_drained(&mut self) {
        let now_ns = monotonic_ns();
        for input in 0..self.feeds.len() {
            let feed = &mut self.feeds[input];
            while let Some(lane) = feed.lanes_mut().and_then(|lanes| lanes.retire_drained(now_ns)) {
                self.closing -= 1;
                self.trash.push(Trash::Lane(lane));
            }
            if feed.gate == Gate::Closing && !feed.is_ready(false) {
                self.closing -= 1;
                self.close(input);
            }
        }
        self.link.shared().discard(&mut self.trash);
    }

    /// Closes an input until an edge is added; the stop follows when it was the last.
    pub(super) fn close(&mut self, input: usize) {
        let feed = &mut self.feeds[input];
        let told = feed.breaker.take().is_some_and(|b| b.is_tripped());
        if told {
            self.link.status().input(input as u32).no_timeout();
        }
        feed.gate = Gate::Closed;
        while let Some(lane) = feed.lanes_mut().and_then(|lanes| lanes.retire()) {
            self.closing -= usize::from(lane.closed);
            self.trash.push(Trash::Lane(lane));
        }
        self.open_inputs -= 1;
        if !told {
            self.pending.push_back(Incoming::InputClosed { input: input as u32 });
        }
        let timers = self.feeds.iter().any(Feed::is_timer);
        let ends = self.open_inputs == 0 && self.ends_with_inputs && !self.stopping;
        if ends && (!timers || self.link.setup().exit_when_nodes_finish) {
            self.begin_stop();
            self.pending.push_back(Incoming::Stop { all_inputs_closed: true });
        }
    }
}
