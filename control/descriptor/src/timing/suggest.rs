//! Priorities and cores, proposed: shorter deadline, higher priority; cores filled one after the other.
//!
//! Deadline-monotonic order is the best that fixed priorities can do on one core, when all come together (Leung and Whitehead
//! 1982). Cores: first fit in the order of falling utilisation, up to 69 %, which any number of nodes whose deadlines are
//! their periods can use of a core (Liu and Layland 1973). Where more would hold, nodes are spread over all cores instead. Core 0
//! is left to the rest of the system where there are several.
//!
//! A proposal is analysed like a file: [`Suggestion::after`] says what would hold.

use std::{collections::BTreeMap, time::Duration};

use dora_protocol::{
    dataflow::{Dataflow, NodeKind, Source},
    rt::{RtSettings, SchedPolicy, WaitPolicy},
};

use super::{Analysis, Options, analyse, nanos, text::time};
use crate::annotations::Annotations;

const HIGHEST: u8 = 80;
/// Above dora's own watching thread.
const LOWEST: u8 = 11;
const WIDEST_STEP: u8 = 10;
const FULL: f64 = 0.69;

/// What one node should get.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its id.
    pub node: String,
    /// The core to bind it to.
    pub core: u32,
    /// 1 to 99.
    pub priority: u8,
    /// What decided its priority, nanoseconds; `None` when nothing did.
    pub deadline_ns: Option<u64>,
    rt: RtSettings,
}

/// What all nodes should get.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// In the order of the file: the nodes that have an `rt:` block, a deadline or a part in a chain.
    pub proposals: Vec<Proposal>,
    /// What a user should know about them.
    pub remarks: Vec<String>,
    /// The analysis with the proposals in place.
    pub after: Analysis,
}

/// Proposes priorities and cores on machines with `cores` cores.
pub fn suggest(dataflow: &Dataflow, notes: &Annotations, options: &Options, cores: u32) -> Suggestion {
    let before = analyse(dataflow, notes, options);
    let mut remarks = Vec::new();
    let deadlines = deadlines(dataflow);
    let mut ranked: Vec<(u64, u64, usize)> = Vec::new();
    for (index, node) in dataflow.nodes.iter().enumerate() {
        let policy = node.rt.as_ref().map(|rt| rt.policy).unwrap_or_default();
        let real_time = matches!(policy, SchedPolicy::Fifo | SchedPolicy::Rr);
        if policy == SchedPolicy::Deadline || matches!(node.kind, NodeKind::Shell { .. }) {
            continue;
        }
        if real_time || deadlines.contains_key(&index) {
            let period = before.nodes[index].period.map(nanos);
            let cost = before.nodes[index].cost.map_or(u64::MAX, |(cost, _)| nanos(cost));
            ranked.push((deadlines.get(&index).copied().or(period).unwrap_or(u64::MAX), cost, index));
        }
    }
    // Of equal deadlines who needs less goes first: it costs the other less.
    ranked.sort_unstable();
    let span = HIGHEST - LOWEST;
    let gaps = u8::try_from(ranked.len().saturating_sub(1)).unwrap_or(u8::MAX).max(1);
    if ranked.len() > usize::from(span) + 1 {
        remarks.push(format!("there are more nodes than priorities: the last ones share priority {LOWEST}"));
    }
    let step = (span / gaps).clamp(1, WIDEST_STEP);
    let ways = [Fit::First, Fit::Spread].map(|fit| {
        let (placed, mut said) = place(dataflow, notes, &before, &ranked, cores, fit);
        said.splice(0..0, remarks.iter().cloned());
        let proposals = proposals(dataflow, &ranked, &placed, step);
        let mut changed = dataflow.clone();
        for (index, proposal) in &proposals {
            changed.nodes[*index].cpu_affinity = vec![proposal.core];
            changed.nodes[*index].rt = Some(proposal.rt.clone());
        }
        let after = analyse(&changed, notes, options);
        let proposals = proposals.into_iter().map(|(_, proposal)| proposal).collect();
        Suggestion { proposals, remarks: said, after }
    });
    let [first, mut spread] = ways;
    if first.lacks() <= spread.lacks() {
        return first;
    }
    spread.remarks.push("spread over all cores, because more would fail on as few as possible".to_owned());
    spread
}

fn proposals(
    dataflow: &Dataflow,
    ranked: &[(u64, u64, usize)],
    placed: &BTreeMap<usize, u32>,
    step: u8,
) -> Vec<(usize, Proposal)> {
    let span = HIGHEST - LOWEST;
    let mut proposals: Vec<(usize, Proposal)> = Vec::new();
    for (rank, &(deadline, _, index)) in ranked.iter().enumerate() {
        let below = usize::from(step).saturating_mul(rank).min(usize::from(span));
        let priority = HIGHEST - u8::try_from(below).unwrap_or(span);
        let node = &dataflow.nodes[index];
        let old = node.rt.clone().unwrap_or(RtSettings { lock_memory: true, ..RtSettings::default() });
        let policy = if old.policy == SchedPolicy::Rr { SchedPolicy::Rr } else { SchedPolicy::Fifo };
        let rt = RtSettings { policy, priority: Some(priority), ..old };
        let core = placed.get(&index).copied().unwrap_or_default();
        let deadline_ns = Some(deadline).filter(|&deadline| deadline < u64::MAX);
        proposals.push((index, Proposal { node: node.id.to_string(), core, priority, deadline_ns, rt }));
    }
    proposals.sort_by_key(|(index, _)| *index);
    proposals
}

/// Per node: the shortest deadline of its inputs, and its equal share of every chain that it takes part in.
fn deadlines(dataflow: &Dataflow) -> BTreeMap<usize, u64> {
    let mut all: BTreeMap<usize, u64> = BTreeMap::new();
    let mut lower = |node: usize, deadline: u64| {
        let entry = all.entry(node).or_insert(u64::MAX);
        *entry = deadline.min(*entry);
    };
    for (index, node) in dataflow.nodes.iter().enumerate() {
        node.inputs.iter().filter_map(|input| input.deadline).for_each(|limit| lower(index, nanos(limit)));
    }
    for chain in &dataflow.chains {
        let members = shortest_way(dataflow, chain.from, chain.to);
        let share = nanos(chain.within) / members.len().max(1) as u64;
        members.into_iter().for_each(|node| lower(node, share));
    }
    all
}

/// The nodes that read on the shortest way from an output to an input.
fn shortest_way(dataflow: &Dataflow, from: (u32, u32), to: (u32, u32)) -> Vec<usize> {
    let mut came: BTreeMap<usize, usize> = BTreeMap::new();
    let mut edge: Vec<(usize, Option<u32>)> = vec![(from.0 as usize, Some(from.1))];
    while !edge.is_empty() {
        let mut next = Vec::new();
        for &(sender, output) in &edge {
            for (reader, node) in dataflow.nodes.iter().enumerate() {
                for (position, input) in node.inputs.iter().enumerate() {
                    let read = input.sources().any(|source| {
                        matches!(*source, Source::Output { node, output: out }
                            if node as usize == sender && output.is_none_or(|o| o == out))
                    });
                    if !read {
                        continue;
                    }
                    if (reader, position) == (to.0 as usize, to.1 as usize) {
                        let mut way = vec![reader];
                        let mut at = sender;
                        // The first sender only sends: what it does before is not part of the chain.
                        while let Some(&before) = came.get(&at) {
                            way.push(at);
                            at = before;
                        }
                        return way;
                    }
                    if reader != from.0 as usize && !came.contains_key(&reader) {
                        came.insert(reader, sender);
                        next.push((reader, None));
                    }
                }
            }
        }
        edge = next;
    }
    vec![to.0 as usize]
}

/// How cores are filled.
#[derive(Clone, Copy)]
enum Fit {
    /// The first that has room.
    First,
    /// The one with the least load.
    Spread,
}

/// Node to core.
fn place(
    dataflow: &Dataflow,
    notes: &Annotations,
    before: &Analysis,
    ranked: &[(u64, u64, usize)],
    cores: u32,
    fit: Fit,
) -> (BTreeMap<usize, u32>, Vec<String>) {
    let mut remarks = Vec::new();
    let usable: Vec<u32> = if cores > 1 { (1..cores).collect() } else { vec![0] };
    let mut shares: Vec<(f64, usize)> = Vec::new();
    for &(.., index) in ranked {
        let share = before.nodes[index].utilisation;
        if share.is_none() {
            remarks.push(format!(
                "`{}` counts nothing on its core, because its share is not known",
                dataflow.nodes[index].id
            ));
        }
        shares.push((share.unwrap_or(0.0), index));
    }
    shares.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut loads: BTreeMap<Option<String>, Vec<f64>> = BTreeMap::new();
    let mut placed = BTreeMap::new();
    for (share, index) in shares {
        let id = dataflow.nodes[index].id.as_str();
        let loads = loads.entry(notes.of(id).machine).or_insert_with(|| vec![0.0; usable.len()]);
        let least = loads.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(core, _)| core);
        let fits = match fit {
            Fit::First => loads.iter().position(|load| load + share <= FULL),
            Fit::Spread => Some(least).filter(|&core| loads[core] + share <= FULL),
        };
        let core = fits.unwrap_or(least);
        if fits.is_none() {
            remarks.push(format!(
                "no core has room for `{id}` ({:.0} %): it shares core {}",
                share * 100.0,
                usable[core]
            ));
        }
        loads[core] += share;
        placed.insert(index, usable[core]);
    }
    (placed, remarks)
}

impl Suggestion {
    /// What does not hold with it: how many fail, how many cannot be judged, and by how much the bounded ones fail.
    fn lacks(&self) -> (usize, usize, Duration) {
        let over = self.after.checks.iter().filter_map(super::Check::over);
        (
            self.after.failed().count(),
            self.after.unjudged().count(),
            over.fold(Duration::ZERO, Duration::saturating_add),
        )
    }

    /// The keys to paste into the nodes of the descriptor.
    pub fn yaml(&self) -> String {
        let mut text = String::from("nodes:\n");
        for proposal in &self.proposals {
            let why = proposal.deadline_ns.map_or_else(|| "no deadline and no period".to_owned(), time);
            let rt = &proposal.rt;
            let policy = if rt.policy == SchedPolicy::Rr { "rr" } else { "fifo" };
            let mut keys = format!("policy: {policy}, priority: {}", proposal.priority);
            match rt.wait {
                WaitPolicy::Park => {}
                WaitPolicy::Spin => keys += ", wait: spin",
                WaitPolicy::SpinThenPark { spin_ns } => keys += &format!(", wait: spin {spin_ns}ns"),
            }
            if !rt.lock_memory {
                keys += ", lock_memory: false";
            }
            text += &format!(
                "  - id: {}  # {why}\n    cpu_affinity: [{}]\n    rt: {{ {keys} }}\n",
                proposal.node, proposal.core
            );
        }
        text
    }
}
