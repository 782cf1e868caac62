//! Who runs: for a program that counts from outside while the dataflow runs (`dora prove`).
//!
//! Nothing here is asked of the node, and nobody waits for the observer: what is handed out is a process id and a read-only
//! view of the status page that the node writes anyway.

use std::sync::Arc;

use lockfree_ipc::StatusView;

use crate::supervisor::Supervisor;

/// A node that was just told to go. Told again when it is restarted.
#[derive(Clone, Debug)]
pub struct RunningNode {
    /// Its position in the dataflow.
    pub node: usize,
    /// The process that speaks to the daemon: not the wrapper, under one such as `uv run`.
    pub pid: u32,
    /// The thread that initialised the node.
    pub main_tid: Option<u32>,
    /// What it has handled.
    pub progress: ProgressView,
}

/// What a node has handled so far, readable while it runs and afterwards.
#[derive(Clone, Debug)]
pub struct ProgressView {
    view: Arc<StatusView>,
    inputs: u32,
    outputs: u32,
}

/// Counters of a node at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages and ticks taken.
    pub taken: u64,
    /// Messages sent, once each, whatever the number of readers.
    pub sent: u64,
    /// Deadlines missed.
    pub misses: u64,
}

impl Progress {
    /// Taken and sent.
    pub fn messages(&self) -> u64 {
        self.taken + self.sent
    }
}

impl ProgressView {
    /// Loads of shared memory; copies the histograms of the inputs on the way.
    pub fn read(&self) -> Progress {
        Progress {
            taken: (0..self.inputs).map(|input| self.view.input(input).received).sum(),
            sent: (0..self.outputs).map(|output| self.view.output(output).sent).sum(),
            misses: self.view.miss_count(),
        }
    }
}

impl Supervisor {
    /// Tells the observer, if there is one.
    pub(crate) fn tell_observer(&self, node: usize) {
        let (Some(observer), state) = (&self.options.observer, &self.nodes[node]) else { return };
        let Some(pid) = state.speaker.or(state.pid) else { return };
        let description = &self.dataflow.nodes[node];
        let progress = ProgressView {
            view: self.wiring.nodes[node].view.clone(),
            inputs: description.inputs.len() as u32,
            outputs: description.outputs.len() as u32,
        };
        // An observer that has gone wants to know no more.
        observer.send(RunningNode { node, pid, main_tid: state.main_tid, progress }).unwrap_or_default();
    }
}
