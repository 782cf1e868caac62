//! Chains of a running dataflow: at which node each of them is watched, and what a change of the dataflow means for that.
//!
//! ```text
//!   node where it begins ── notes each send ──► origins ◄── looks up ── node where it ends ──► a block of its status page
//!        (any process of it)                    segment                 (any process of it)            │ page goes
//!                                                                                            ChainRows ◄┘
//! ```
//!
//! 1. Origins belong to an output by its name: every process of that node notes in the same segment, also one that
//!    replaces another. So whoever looks there need not be told of it.
//! 2. The blocks of a page are those of `NodeWiring::chains`, in this order. Both are made together, for a new process, and
//!    never changed but for the mark that a chain has ended.
//! 3. What a page has counted is in the rows of the report before the page goes.
//!
//! What a process was not told when it started it cannot learn: a chain that comes later is watched if both its nodes come, or
//! are replaced, with it. What is in between may be anything at any time.

use std::{collections::BTreeMap, os::fd::OwnedFd, sync::Arc, time::Duration};

use dora_protocol::{
    DataId, NodeId,
    dataflow::{Chain, Dataflow},
    log::LogLevel,
    policy::OnMiss,
};
use lockfree_ipc::{clock, origins};

use crate::{
    change::Difference,
    compile::failed,
    error::DaemonError,
    report::{ChainEnded, ChainReport},
    supervisor::Supervisor,
};

/// A chain as the descriptor says it. With another bound it is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChainKey {
    pub(crate) name: String,
    /// Node and output where it begins.
    pub(crate) from: (NodeId, DataId),
    /// Node and input where it ends.
    pub(crate) to: (NodeId, DataId),
    pub(crate) within: Duration,
    pub(crate) on_miss: OnMiss,
}

impl ChainKey {
    /// A chain of `flow`; `None` when it names what is not there.
    fn of(flow: &Dataflow, chain: &Chain) -> Option<Self> {
        let (begin, end) = (flow.nodes.get(chain.from.0 as usize)?, flow.nodes.get(chain.to.0 as usize)?);
        Some(Self {
            name: chain.name.clone(),
            from: (begin.id.clone(), begin.outputs.get(chain.from.1 as usize)?.id.clone()),
            to: (end.id.clone(), end.inputs.get(chain.to.1 as usize)?.id.clone()),
            within: chain.within,
            on_miss: chain.on_miss,
        })
    }
}

/// A chain at the node where it ends: a block of its status page.
#[derive(Clone, Debug)]
pub(crate) struct ChainPlan {
    pub(crate) key: ChainKey,
    /// The number of the input where it ends.
    pub(crate) input: u32,
    pub(crate) origins: Arc<OwnedFd>,
    /// It is not in the dataflow any more. The process goes on counting in its block; nobody looks there.
    pub(crate) ended: bool,
}

/// What new processes are given to watch chains.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// By node and output where they begin.
    origins: BTreeMap<(u32, u32), Arc<OwnedFd>>,
    /// By the node where they end.
    ends: BTreeMap<u32, Vec<ChainPlan>>,
    /// All of the dataflow.
    all: Vec<ChainKey>,
    /// Sentences about those that nobody watches.
    unwatched: Vec<String>,
}

impl Bound {
    /// Those of a dataflow that has no process yet.
    ///
    /// # Errors
    /// When the kernel gives no memory or descriptors.
    pub(crate) fn at_start(flow: &Dataflow) -> Result<Self, DaemonError> {
        let mut bound = Self::default();
        for chain in &flow.chains {
            let Some(key) = ChainKey::of(flow, chain) else { continue };
            let origins = bound.origins(chain, None)?;
            bound.watch(chain, key, origins);
        }
        Ok(bound)
    }

    /// Where the beginning of a chain notes what it sends: in what was `known` of it, or in a new segment.
    fn origins(&mut self, chain: &Chain, known: Option<Arc<OwnedFd>>) -> Result<Arc<OwnedFd>, DaemonError> {
        if let Some(origins) = known.or_else(|| self.origins.get(&chain.from).cloned()) {
            self.origins.insert(chain.from, origins.clone());
            return Ok(origins);
        }
        let made = origins::create().map_err(failed(format!("the origins of chain `{}`", chain.name)));
        let origins = Arc::new(made?);
        self.origins.insert(chain.from, origins.clone());
        Ok(origins)
    }

    /// The node where it ends, which is new, watches a chain: once, though the file may have it twice.
    fn watch(&mut self, chain: &Chain, key: ChainKey, origins: Arc<OwnedFd>) {
        let (node, input) = chain.to;
        let ends = self.ends.entry(node).or_default();
        if !ends.iter().any(|known| known.key == key) {
            ends.push(ChainPlan { key, input, origins, ended: false });
        }
    }

    /// What ends at a node.
    pub(crate) fn ends(&self, node: usize) -> Vec<ChainPlan> {
        u32::try_from(node).ok().and_then(|node| self.ends.get(&node)).cloned().unwrap_or_default()
    }

    /// For each of so many outputs of a node, where it notes what it sends.
    pub(crate) fn begins(&self, node: usize, outputs: usize) -> Vec<Option<Arc<OwnedFd>>> {
        let of =
            |output| u32::try_from(node).ok().and_then(|node| self.origins.get(&(node, output)).cloned());
        (0u32..).take(outputs).map(of).collect()
    }
}

impl Supervisor {
    /// The chains of the wanted dataflow, for the processes that a change starts.
    ///
    /// # Errors
    /// When the kernel gives no memory or descriptors.
    pub(crate) fn bind_chains(
        &self,
        wanted: &Dataflow,
        difference: &Difference,
    ) -> Result<Bound, DaemonError> {
        let mut bound = Bound::default();
        let is_new = |new: u32| {
            let new = new as usize;
            difference.added.contains(&new) || difference.replaced.iter().any(|(_, at)| *at == new)
        };
        let place = |new: u32| {
            let mut places = difference.kept.iter().chain(&difference.replaced);
            places.find(|(_, at)| *at == new as usize).map(|(place, _)| *place)
        };
        let live: Vec<_> =
            self.live.chains.iter().filter_map(|chain| ChainKey::of(&self.live, chain)).collect();
        for chain in &wanted.chains {
            let Some(key) = ChainKey::of(wanted, chain) else { continue };
            let end = place(chain.to.0).map(|place| &self.wiring.nodes[place].chains);
            let is_watched =
                end.is_some_and(|chains| chains.iter().any(|known| !known.ended && known.key == key));
            let known = place(chain.from.0).and_then(|place| self.origins_of(place, &key.from.1));
            let has_origins = known.is_some() || is_new(chain.from.0);
            bound.all.push(key.clone());
            if has_origins && (is_new(chain.from.0) || is_new(chain.to.0)) {
                let origins = bound.origins(chain, known)?;
                if is_new(chain.to.0) {
                    bound.watch(chain, key.clone(), origins);
                }
            }
            let goes_unwatched = if is_new(chain.to.0) { !has_origins } else { !is_watched };
            if goes_unwatched && (is_new(chain.to.0) || !live.contains(&key)) {
                let node = if has_origins { &key.to.0 } else { &key.from.0 };
                bound.unwatched.push(format!(
                    "chain `{}` is not watched: node `{node}` was started before there was this chain; replace \
                     `{node}` in the same change",
                    key.name
                ));
            }
        }
        Ok(bound)
    }

    /// Where an output of a node notes what it sends, if it does.
    fn origins_of(&self, place: usize, output: &DataId) -> Option<Arc<OwnedFd>> {
        let position = self.dataflow.nodes[place].outputs.iter().position(|known| known.id == *output)?;
        self.wiring.nodes[place].outputs.get(position)?.origins.clone()
    }

    /// A change was carried out: chains that it brought have rows from now on, those that it took away have ended.
    pub(crate) fn settle_chains(&mut self, bound: &Bound, removed: &[usize]) {
        let leaves: Vec<NodeId> =
            removed.iter().map(|place| self.dataflow.nodes[*place].id.clone()).collect();
        self.end_chains(|plan| {
            // Those of removed nodes end with these: what is on its way counts.
            let ends = [&plan.key.from.0, &plan.key.to.0];
            let stays = bound.all.contains(&plan.key) || ends.iter().any(|end| leaves.contains(end));
            (!stays).then(|| "it is not in the dataflow any more".to_owned())
        });
        for node in self.members().collect::<Vec<_>>() {
            for plan in self.wiring.nodes[node].chains.iter().filter(|plan| !plan.ended) {
                self.former.chains.expect(&plan.key);
            }
        }
        for text in &bound.unwatched {
            self.display.system(LogLevel::Warn, None, text.clone());
            self.warnings.push(text.clone());
        }
    }

    /// Ends the chains for which `why` has a reason.
    pub(crate) fn end_chains(&mut self, why: impl Fn(&ChainPlan) -> Option<String>) {
        for node in self.members().collect::<Vec<_>>() {
            for number in 0..self.wiring.nodes[node].chains.len() {
                let wiring = &mut self.wiring.nodes[node];
                let plan = &mut wiring.chains[number];
                let Some(reason) = why(plan).filter(|_| !plan.ended) else { continue };
                plan.ended = true;
                let key = plan.key.clone();
                self.former.chains.add(&key, &wiring.view.chain(number as u32));
                self.chain_ended(&key, reason);
            }
        }
    }

    /// The node where chains end is replaced: those that its new process does not watch have ended. What was counted is kept.
    pub(crate) fn hand_chains_over(&mut self, place: usize, understudy: usize) {
        let new: Vec<_> = self.wiring.nodes[understudy].chains.iter().map(|plan| &plan.key).collect();
        let over = |plan: &&ChainPlan| !plan.ended && !new.contains(&&plan.key);
        let over = self.wiring.nodes[place].chains.iter().filter(over).map(|plan| plan.key.clone());
        for key in over.collect::<Vec<_>>() {
            self.chain_ended(&key, "it is not in the dataflow any more".to_owned());
        }
    }

    /// Its numbers are in its row already.
    fn chain_ended(&mut self, key: &ChainKey, reason: String) {
        let at_s =
            clock::monotonic_ns().saturating_sub(self.epoch_ns.unwrap_or(self.called_ns)) as f64 * 1e-9;
        let text = format!("chain `{}` ended after {at_s:.3} s: {reason}", key.name);
        let counted = self.former.chains.end(key, ChainEnded { at_s, reason });
        let text = format!("{text}; until then {counted}");
        self.display.system(LogLevel::Info, None, text.clone());
        self.warnings.push(text);
    }

    /// What the present page of a node has counted of chains goes into their rows; another page follows, or none.
    pub(crate) fn keep_chains(&mut self, node: usize) {
        let wiring = &self.wiring.nodes[node];
        for (number, plan) in (0u32..).zip(&wiring.chains).filter(|(_, plan)| !plan.ended) {
            self.former.chains.add(&plan.key, &wiring.view.chain(number));
        }
    }

    /// One row per chain, in the order in which they came.
    pub(crate) fn chain_reports(&self) -> Vec<ChainReport> {
        let mut rows = self.former.chains.clone();
        for node in self.members() {
            let wiring = &self.wiring.nodes[node];
            for (number, plan) in (0u32..).zip(&wiring.chains).filter(|(_, plan)| !plan.ended) {
                rows.add(&plan.key, &wiring.view.chain(number));
            }
        }
        rows.reports()
    }
}
