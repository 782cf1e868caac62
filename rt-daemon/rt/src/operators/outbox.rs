//! What operators sent and said, kept on the first thread until it is their turn to be told outside: the order of declaration.

use std::collections::VecDeque;

use super::{plan::Graph, slot::Verdict};

/// Per operator: outputs with their messages, and its last word.
#[derive(Debug)]
pub(super) struct Outbox<M> {
    sent: Box<[VecDeque<(u32, M)>]>,
    ended: Box<[Option<Verdict>]>,
}

impl<M> Outbox<M> {
    #[expect(clippy::disallowed_methods, reason = "runs before the threads' loops")]
    pub(super) fn new(graph: &Graph) -> Self {
        let sent = graph.operators.iter().map(|plan| VecDeque::with_capacity(plan.room as usize)).collect();
        Self { sent, ended: graph.operators.iter().map(|_| None).collect() }
    }

    pub(super) fn sent(&mut self, operator: usize, output: u32, message: M) {
        self.sent[operator].push_back((output, message));
    }

    pub(super) fn ended(&mut self, operator: usize, verdict: Verdict) {
        self.ended[operator] = Some(verdict);
    }

    pub(super) fn next(&mut self, operator: usize) -> Option<(u32, M)> {
        self.sent[operator].pop_front()
    }

    pub(super) fn end(&mut self, operator: usize) -> Option<Verdict> {
        self.ended[operator].take()
    }
}
