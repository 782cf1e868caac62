//! What the daemon says while the node runs, and how inputs end.

use dora_protocol::{NodeId, OperatorId, node_link::ToNode};

use super::{
    Inbox, Incoming,
    feed::{Gate, Source},
};

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
        }
    }

    fn sort(&mut self, message: ToNode) {
        let rare = match message {
            ToNode::Stop if self.stopping => return,
            ToNode::Stop => {
                self.begin_stop();
                return self.pending.push_back(Incoming::Stop { all_inputs_closed: false });
            }
            ToNode::InputClosed { input } => return self.begin_close(input),
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
    pub(super) fn close_drained(&mut self) {
        for input in 0..self.feeds.len() {
            let feed = &self.feeds[input];
            if feed.gate == Gate::Closing && !feed.is_ready(false) {
                self.closing -= 1;
                self.close(input);
            }
        }
    }

    /// Closes an edge for good; the stop follows when it was the last.
    pub(super) fn close(&mut self, input: usize) {
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
}
