//! From a dataflow to what the analysis counts with: per input, how often something comes, and because of what.
//!
//! A timer is a stream of its period. A message is sent because of an event of its sender, so it has the period of that event;
//! and since nothing says which input makes a node send, every input does, once per output, unless
//!
//! - it says `triggers: false`, or
//! - it closes a loop: what comes back to a node is taken as state that is looked at with the next event. Loops are entered
//!   at the fastest timer. This is an assumption, and is said; `triggers: true` takes it back (and then nobody can tell
//!   how often the loop runs).
//!
//! A profile corrects the rates of outputs.

use std::collections::{BTreeMap, BTreeSet};

use dora_protocol::dataflow::{Dataflow, Input, Source};

use super::profile::Profile;
use crate::annotations::Annotations;

/// One stream of events into one input.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) node: usize,
    /// Nanoseconds.
    pub(super) period: u64,
    pub(super) count: u64,
    /// Flows whose handling sends it; none for a timer.
    pub(super) from: Vec<usize>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) flows: Vec<Flow>,
    /// Per node and input: its flows, or why they are not known.
    pub(super) inputs: Vec<Vec<Result<Vec<usize>, String>>>,
    /// Per node and input: may the node send because of it?
    pub(super) triggers: Vec<Vec<bool>>,
    /// Nodes so that triggering inputs come from earlier ones. Nodes in a loop of explicit triggers are not in it.
    pub(super) order: Vec<usize>,
    pub(super) assumptions: Vec<String>,
}

/// Per period: how many at once, and the flows that cause them.
type Rates = BTreeMap<u64, (u64, BTreeSet<usize>)>;

/// Share by which a measured mean period is taken shorter.
const MARGIN: f64 = 0.95;

pub(super) fn build(dataflow: &Dataflow, notes: &Annotations, profile: Option<&Profile>) -> Model {
    let mut model = Model::default();
    triggers(dataflow, notes, &mut model);
    let machines: Vec<Option<String>> =
        dataflow.nodes.iter().map(|node| notes.of(node.id.as_str()).machine).collect();
    let mut builder = Builder { dataflow, profile, machines, sent: Vec::new(), model };
    builder.run();
    builder.model
}

/// Which inputs trigger, and the order that follows from it.
fn triggers(dataflow: &Dataflow, notes: &Annotations, model: &mut Model) {
    let explicit: Vec<BTreeMap<String, bool>> =
        dataflow.nodes.iter().map(|node| notes.of(node.id.as_str()).triggers).collect();
    let written = |node: usize, input: usize| {
        explicit[node].get(dataflow.nodes[node].inputs[input].id.as_str()).copied()
    };
    let inputs = || dataflow.nodes.iter().enumerate();
    model.triggers = inputs()
        .map(|(n, node)| (0..node.inputs.len()).map(|i| written(n, i).unwrap_or(true)).collect())
        .collect();
    // Who reads a node, over inputs that may trigger.
    let mut readers: Vec<Vec<(usize, usize)>> = vec![Vec::new(); dataflow.nodes.len()];
    for (n, node) in inputs() {
        for (i, input) in node.inputs.iter().enumerate() {
            for source in input.sources().filter(|_| model.triggers[n][i]) {
                if let Source::Output { node: from, .. } = source {
                    readers[*from as usize].push((n, i));
                }
            }
        }
    }
    for (n, i) in closing(dataflow, &readers) {
        // Of a fan-in only one of the sources closes the loop; the others may trigger.
        if written(n, i).is_none() && dataflow.nodes[n].inputs[i].more_sources.is_empty() {
            model.triggers[n][i] = false;
            let (node, input) = (&dataflow.nodes[n].id, &dataflow.nodes[n].inputs[i].id);
            model.assumptions.push(format!(
                "`{node}/{input}` closes a loop: `{node}` handles it, but sends nothing because of it (`triggers: true` says otherwise)"
            ));
        }
    }
    model.order = order(&readers, &model.triggers);
}

/// Inputs that lead back into a walk that starts at the fastest timers.
fn closing(dataflow: &Dataflow, readers: &[Vec<(usize, usize)>]) -> Vec<(usize, usize)> {
    let fastest = |n: usize| {
        let periods = dataflow.nodes[n].inputs.iter().filter_map(|input| match input.source {
            Source::Timer { period_ns } => Some(period_ns),
            _ => None,
        });
        periods.min().unwrap_or(u64::MAX)
    };
    let mut roots: Vec<usize> = (0..readers.len()).collect();
    roots.sort_by_key(|&n| (fastest(n), n));
    let (mut done, mut open) = (vec![false; readers.len()], vec![false; readers.len()]);
    let mut found = Vec::new();
    for root in roots {
        if done[root] {
            continue;
        }
        let mut stack = vec![(root, 0)];
        open[root] = true;
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            if let Some(&(reader, input)) = readers[node].get(*next) {
                *next += 1;
                if open[reader] {
                    found.push((reader, input));
                } else if !done[reader] {
                    open[reader] = true;
                    stack.push((reader, 0));
                }
            } else {
                open[node] = false;
                done[node] = true;
                stack.pop();
            }
        }
    }
    found.sort_unstable();
    found
}

fn order(readers: &[Vec<(usize, usize)>], triggers: &[Vec<bool>]) -> Vec<usize> {
    let edges = |node: usize| readers[node].iter().filter(|&&(n, i)| triggers[n][i]);
    let mut waits = vec![0usize; readers.len()];
    for node in 0..readers.len() {
        edges(node).for_each(|&(reader, _)| waits[reader] += 1);
    }
    let mut ready: Vec<usize> = (0..readers.len()).rev().filter(|&n| waits[n] == 0).collect();
    let mut order = Vec::new();
    while let Some(node) = ready.pop() {
        order.push(node);
        for &(reader, _) in edges(node) {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    order
}

struct Builder<'a> {
    dataflow: &'a Dataflow,
    profile: Option<&'a Profile>,
    machines: Vec<Option<String>>,
    /// Per node: what it sends because of its inputs, or why that is not known. Index as in the dataflow.
    sent: Vec<Result<Rates, String>>,
    model: Model,
}

impl Builder<'_> {
    fn run(&mut self) {
        let nodes = self.dataflow.nodes.len();
        let loops = "messages go round in a loop that no input with `triggers: false` ends".to_owned();
        self.sent = vec![Err(loops); nodes];
        self.model.inputs =
            self.dataflow.nodes.iter().map(|n| vec![Err(String::new()); n.inputs.len()]).collect();
        // First what makes others send, from the timers on; then the rest, which only costs time.
        for node in self.model.order.clone() {
            self.inputs(node, true);
            self.sent[node] = self.rates(node);
        }
        let in_order: BTreeSet<usize> = self.model.order.iter().copied().collect();
        for node in 0..nodes {
            if !in_order.contains(&node) {
                self.inputs(node, true);
            }
            self.inputs(node, false);
        }
    }

    fn inputs(&mut self, node: usize, triggering: bool) {
        for index in 0..self.dataflow.nodes[node].inputs.len() {
            if self.model.triggers[node][index] == triggering {
                let input = &self.dataflow.nodes[node].inputs[index];
                let rates = self.arrivals(node, input);
                self.model.inputs[node][index] = rates.map(|rates| self.add(node, rates));
            }
        }
    }

    fn add(&mut self, node: usize, rates: Rates) -> Vec<usize> {
        let flows = rates.into_iter().map(|(period, (count, from))| {
            self.model.flows.push(Flow { node, period, count, from: from.into_iter().collect() });
            self.model.flows.len() - 1
        });
        flows.collect()
    }

    /// What comes from all of its sources.
    fn arrivals(&mut self, node: usize, input: &Input) -> Result<Rates, String> {
        let mut all = Rates::new();
        for source in input.sources() {
            for (period, (count, from)) in self.arrivals_from(node, input, source)? {
                let entry = all.entry(period).or_default();
                entry.0 = entry.0.saturating_add(count);
                entry.1.extend(from);
            }
        }
        Ok(all)
    }

    fn arrivals_from(&mut self, node: usize, input: &Input, source: &Source) -> Result<Rates, String> {
        match source {
            Source::Timer { period_ns } => Ok(Rates::from([((*period_ns).max(1), (1, BTreeSet::new()))])),
            Source::Logs { .. } => Err(format!("`{}` reads log lines, which come at any time", input.id)),
            Source::Output { node: from, output } => {
                let (from, output) = (*from as usize, *output as usize);
                let sender = &self.dataflow.nodes[from];
                if self.machines[from] != self.machines[node] {
                    return Err(format!(
                        "`{}` comes over the network from `{}`, and how long that takes is not known",
                        input.id, sender.id
                    ));
                }
                let name = sender.outputs.get(output).map_or("?", |output| output.id.as_str());
                let derived = self.sent[from].clone();
                self.corrected(from, name, derived).map_err(|why| format!("`{}/{name}`: {why}", sender.id))
            }
        }
    }

    /// What a node sends per output.
    fn rates(&self, node: usize) -> Result<Rates, String> {
        let mut rates = Rates::new();
        let inputs = self.model.inputs[node].iter().zip(&self.model.triggers[node]);
        for flows in inputs.filter(|(_, triggers)| **triggers).map(|(flows, _)| flows) {
            for &index in flows.as_ref().map_err(Clone::clone)? {
                let flow = &self.model.flows[index];
                let entry = rates.entry(flow.period).or_default();
                entry.0 = entry.0.saturating_add(flow.count);
                entry.1.insert(index);
            }
        }
        if rates.is_empty() {
            return Err(
                "nothing tells when it is sent, because its node has no input that it waits for".to_owned()
            );
        }
        Ok(rates)
    }

    /// The rate of one output, after what was measured.
    fn corrected(
        &mut self,
        node: usize,
        output: &str,
        derived: Result<Rates, String>,
    ) -> Result<Rates, String> {
        let id = self.dataflow.nodes[node].id.as_str();
        let Some(profile) = self.profile.filter(|profile| profile.losers().next().is_none()) else {
            return derived;
        };
        let measured = match profile.mean_period(id, output) {
            Some(measured) => measured,
            // Once, at the start: as rare as the run was long.
            None if profile.nearly_silent(id, output) && derived.is_ok() => {
                (profile.seconds * 1e9) as u64 / 20
            }
            None => return derived,
        };
        let from: BTreeSet<usize> =
            derived.iter().flatten().flat_map(|(_, (_, from))| from).copied().collect();
        let expected: f64 =
            derived.iter().flatten().map(|(period, (count, _))| *count as f64 / *period as f64).sum();
        let share = 1.0 / measured as f64 / expected;
        if derived.is_ok() && (MARGIN..=1.0 / MARGIN).contains(&share) {
            return derived;
        }
        let period = ((measured as f64 * MARGIN) as u64).max(1);
        let note = format!("`{id}/{output}` comes every {} as in the profile", super::text::time(period));
        if !self.model.assumptions.contains(&note) {
            self.model.assumptions.push(note);
        }
        Ok(Rates::from([(period, (1, from))]))
    }
}
