//! What a worker watches: arrays and indices, made once above the wall and not resized after.
//!
//! Names end above: who builds the plan knows which index is which node.

use lockfree_ipc::StatusView;

use crate::watch::{self, WatchKind};

/// One limit of one node, and what the worker remembers of it.
#[derive(Debug)]
struct Watch {
    node: u32,
    kind: WatchKind,
    limit_ns: u64,
    started_ns: u64,
    told: Option<u64>,
    /// When to look; `None` = not armed.
    next_ns: Option<u64>,
}

/// A frozen schedule. Made by [`PlanBuilder`]; freed above the wall, never by a worker.
#[derive(Debug)]
pub struct Plan {
    id: u64,
    nodes: Box<[StatusView]>,
    watches: Box<[Watch]>,
}

/// Why a watch was not added. The builder is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The node was not added before.
    #[error("the plan has {known} nodes and no number {node}")]
    UnknownNode {
        /// Number that was given.
        node: u32,
        /// Nodes in the plan.
        known: u32,
    },
}

/// A watch that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) watch: u32,
    pub(crate) kind: WatchKind,
    pub(crate) since_ns: u64,
}

impl Plan {
    /// The number that its builder got.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Number of watches.
    pub fn watches(&self) -> u32 {
        self.watches.len() as u32
    }

    /// False when there is no such watch.
    pub(crate) fn arm(&mut self, watch: u32, started_ns: u64) -> bool {
        let Some(watch) = self.watches.get_mut(watch as usize) else { return false };
        watch.started_ns = started_ns;
        watch.told = None;
        watch.next_ns = Some(started_ns.saturating_add(watch.limit_ns));
        true
    }

    /// False when there is no such watch.
    pub(crate) fn disarm(&mut self, watch: u32) -> bool {
        self.watches.get_mut(watch as usize).map(|watch| watch.next_ns = None).is_some()
    }

    /// Runs what is due and returns when the next is; `None` = nothing is armed. One step per watch, one load per
    /// due watch.
    pub(crate) fn run(&mut self, now_ns: u64, mut fired: impl FnMut(Fired)) -> Option<u64> {
        let mut earliest = None;
        for (index, watch) in self.watches.iter_mut().enumerate() {
            let Some(mut due) = watch.next_ns else { continue };
            if due <= now_ns {
                let activity = self.nodes[watch.node as usize].activity();
                let look = watch::look(activity, watch.started_ns, watch.limit_ns, watch.told, now_ns);
                if let Some(since_ns) = look.fired {
                    watch.told = Some(since_ns);
                    fired(Fired { watch: index as u32, kind: watch.kind, since_ns });
                }
                watch.next_ns = look.next_ns;
                let Some(next) = look.next_ns else { continue };
                due = next;
            }
            earliest = Some(earliest.map_or(due, |before: u64| before.min(due)));
        }
        earliest
    }
}

/// Collects nodes and watches. Allocates: above the wall only.
#[derive(Debug, Default)]
pub struct PlanBuilder {
    nodes: Vec<StatusView>,
    watches: Vec<Watch>,
}

#[expect(clippy::disallowed_methods, reason = "runs above the wall, before a worker sees the plan")]
impl PlanBuilder {
    /// An empty plan: no watches, no wake-ups.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node by its status page and returns its number.
    pub fn node(&mut self, view: StatusView) -> u32 {
        self.nodes.push(view);
        self.nodes.len() as u32 - 1
    }

    /// Watches a node and returns the number of the watch, which is not armed yet. Limits below 1 ns are 1 ns.
    ///
    /// # Errors
    /// [`PlanError::UnknownNode`].
    pub fn watch(&mut self, node: u32, kind: WatchKind, limit_ns: u64) -> Result<u32, PlanError> {
        let known = self.nodes.len() as u32;
        if node >= known {
            return Err(PlanError::UnknownNode { node, known });
        }
        self.watches.push(Watch {
            node,
            kind,
            limit_ns: limit_ns.max(1),
            started_ns: 0,
            told: None,
            next_ns: None,
        });
        Ok(self.watches.len() as u32 - 1)
    }

    /// Freezes it. `id` comes back with its events.
    pub fn build(self, id: u64) -> Box<Plan> {
        Box::new(Plan { id, nodes: self.nodes.into(), watches: self.watches.into() })
    }
}
