//! What the responses mean: nodes, cores, deadlines and chains.

use std::{collections::BTreeMap, time::Duration};

use dora_protocol::dataflow::{Chain, Dataflow, Source};

use super::{
    Analysis, Check, Core, CoreLoad, NodeTiming, Options, Outcome,
    holistic::{Solved, State},
    model::Model,
    nanos,
    place::Place,
    response::Bounds,
    text::time,
};

/// Share of a core above which the kernel stops real-time threads (`sched_rt_runtime_us`).
const THROTTLED_ABOVE: f64 = 0.95;

pub(super) fn nodes(
    dataflow: &Dataflow,
    model: &Model,
    places: &[Place],
    solved: &Solved,
    warnings: &mut Vec<String>,
) -> Vec<NodeTiming> {
    let mut all = Vec::new();
    for (index, (node, place)) in dataflow.nodes.iter().zip(places).enumerate() {
        let flows: Option<Vec<usize>> = model.inputs[index]
            .iter()
            .map(|flows| flows.as_ref().ok())
            .try_fold(Vec::new(), |all, flows| Some([all, flows?.clone()].concat()));
        let flows = flows.filter(|flows| !flows.is_empty());
        let share = |flow: &usize| {
            let flow = &model.flows[*flow];
            Some(place.cost?.0 as f64 * flow.count as f64 / flow.period as f64)
        };
        let response = outcome(solved, index, flows.as_deref().unwrap_or_default(), |bounds| bounds.finish);
        if let (State::Judged, Some(flows)) = (&solved.states[index], &flows) {
            overruns(node.id.as_str(), model, solved, flows, warnings);
        }
        all.push(NodeTiming {
            node: node.id.to_string(),
            core: place.core(),
            priority: place.priority,
            cost: place.cost.map(|(cost, source)| (Duration::from_nanos(cost), source)),
            period: flows
                .as_ref()
                .and_then(|flows| flows.iter().map(|&flow| model.flows[flow].period).min())
                .map(Duration::from_nanos),
            utilisation: flows.as_ref().and_then(|flows| flows.iter().map(share).sum()),
            response,
        });
    }
    all
}

/// Ticks that pass while the node is still busy with the one before.
fn overruns(node: &str, model: &Model, solved: &Solved, flows: &[usize], warnings: &mut Vec<String>) {
    for &index in flows {
        let flow = &model.flows[index];
        let timer = flow.from.is_empty();
        if let Some(bounds) = solved.bounds[index].filter(|bounds| timer && bounds.finish > flow.period) {
            warnings.push(format!(
                "node `{node}` may take {} for a tick that comes every {}: ticks can be missed",
                time(bounds.finish),
                time(flow.period)
            ));
        }
    }
}

fn outcome(solved: &Solved, node: usize, flows: &[usize], bound: impl Fn(Bounds) -> u64) -> Outcome {
    match &solved.states[node] {
        State::Unjudged(why) => Outcome::Unjudged(why.clone()),
        State::Starved(why) => Outcome::NoBound(why.clone()),
        State::Judged => {
            let worst = flows.iter().try_fold(0, |worst, &flow| Some(bound(solved.bounds[flow]?).max(worst)));
            match worst {
                Some(worst) => Outcome::Bounded(Duration::from_nanos(worst)),
                None => Outcome::NoBound(solved.why_endless(node)),
            }
        }
    }
}

pub(super) fn cores(places: &[Place], nodes: &[NodeTiming], warnings: &mut Vec<String>) -> Vec<CoreLoad> {
    let mut shares: BTreeMap<Core, Option<f64>> = BTreeMap::new();
    for (place, node) in places.iter().zip(nodes).filter(|(place, _)| place.priority.is_some()) {
        if let Some(core) = place.core() {
            let share = shares.entry(core).or_insert(Some(0.0));
            *share = share.zip(node.utilisation).map(|(sum, more)| sum + more);
        }
    }
    for (core, share) in &shares {
        if let Some(share) = share.filter(|&share| share > THROTTLED_ABOVE) {
            warnings.push(format!(
                "core {}: its real-time nodes need {:.0} % of it, and from 95 % on the kernel stops them for a while in every second",
                core.number,
                share * 100.0
            ));
        }
    }
    shares.into_iter().map(|(core, utilisation)| CoreLoad { core, utilisation }).collect()
}

pub(super) fn checks(dataflow: &Dataflow, model: &Model, solved: &Solved, options: &Options) -> Vec<Check> {
    let hop = nanos(options.hop);
    let mut all = Vec::new();
    for (index, node) in dataflow.nodes.iter().enumerate() {
        for (position, input) in node.inputs.iter().enumerate() {
            let Some(limit) = input.deadline else { continue };
            all.push(Check {
                what: format!("deadline of `{}/{}`", node.id, input.id),
                at: input.at.clone(),
                limit,
                bound: taken(model, solved, (index, position), hop),
                parts: Vec::new(),
            });
        }
    }
    all.extend(dataflow.chains.iter().map(|chain| check_chain(dataflow, model, solved, chain, hop)));
    all
}

/// From the send (or tick) to the node taking it.
fn taken(model: &Model, solved: &Solved, (node, input): (usize, usize), hop: u64) -> Outcome {
    match &model.inputs[node][input] {
        Ok(flows) => outcome(solved, node, flows, |bounds| bounds.start.saturating_add(hop)),
        Err(why) => Outcome::Unjudged(why.clone()),
    }
}

/// From the send to all of it being handled.
fn handled(model: &Model, solved: &Solved, (node, input): (usize, usize), hop: u64) -> Outcome {
    match &model.inputs[node][input] {
        Ok(flows) => outcome(solved, node, flows, |bounds| bounds.finish.saturating_add(hop)),
        Err(why) => Outcome::Unjudged(why.clone()),
    }
}

/// The worst way to the end of a chain from here.
#[derive(Clone)]
struct Way {
    bound: Outcome,
    parts: Vec<(String, Duration)>,
}

fn check_chain(dataflow: &Dataflow, model: &Model, solved: &Solved, chain: &Chain, hop: u64) -> Check {
    let end = (chain.to.0 as usize, chain.to.1 as usize);
    // Per input: the worst way from a send to it, through its node, to the end. Later nodes first.
    let mut ways: BTreeMap<(usize, usize), Way> = BTreeMap::new();
    let part = |(node, input): (usize, usize), what: &str| {
        format!("{what} `{}/{}`", dataflow.nodes[node].id, dataflow.nodes[node].inputs[input].id)
    };
    let last = taken(model, solved, end, hop);
    let parts = match last {
        Outcome::Bounded(bound) => vec![(part(end, "taken at"), bound)],
        _ => Vec::new(),
    };
    ways.insert(end, Way { bound: said_of(last, dataflow, end.0), parts });
    for &node in model.order.iter().rev() {
        let onward = worst_from(dataflow, &ways, node, None);
        let Some(onward) = onward else { continue };
        for input in 0..dataflow.nodes[node].inputs.len() {
            if model.triggers[node][input] && (node, input) != end {
                let here = handled(model, solved, (node, input), hop);
                let label = part((node, input), "handled at");
                ways.insert((node, input), after(said_of(here, dataflow, node), label, &onward));
            }
        }
    }
    let begin = (chain.from.0 as usize, chain.from.1);
    let way = worst_from(dataflow, &ways, begin.0, Some(begin.1)).unwrap_or_else(|| Way {
        bound: Outcome::Unjudged(
            "every way leads through an input that its node sends nothing because of, so when it sends is not tied to the chain".to_owned(),
        ),
        parts: Vec::new(),
    });
    Check {
        what: format!("chain `{}`", chain.name),
        at: dataflow.nodes[end.0].inputs[end.1].at.clone(),
        limit: chain.within,
        bound: way.bound,
        parts: way.parts,
    }
}

/// Names the node that the reason is about.
fn said_of(outcome: Outcome, dataflow: &Dataflow, node: usize) -> Outcome {
    let id = &dataflow.nodes[node].id;
    match outcome {
        Outcome::Unjudged(why) => Outcome::Unjudged(format!("`{id}`: {why}")),
        Outcome::NoBound(why) => Outcome::NoBound(format!("`{id}`: {why}")),
        bounded => bounded,
    }
}

fn after(here: Outcome, label: String, onward: &Way) -> Way {
    match (here, &onward.bound) {
        (Outcome::Bounded(here), Outcome::Bounded(rest)) => {
            let parts = std::iter::once((label, here)).chain(onward.parts.iter().cloned()).collect();
            Way { bound: Outcome::Bounded(here.saturating_add(*rest)), parts }
        }
        // What has no bound has none, whatever else is not known.
        (Outcome::NoBound(why), _) => Way { bound: Outcome::NoBound(why), parts: Vec::new() },
        (_, Outcome::NoBound(_)) => onward.clone(),
        (Outcome::Unjudged(why), _) => Way { bound: Outcome::Unjudged(why), parts: Vec::new() },
        (_, Outcome::Unjudged(_)) => onward.clone(),
    }
}

/// The worst of the ways from the outputs of a node (or one of them).
fn worst_from(
    dataflow: &Dataflow,
    ways: &BTreeMap<(usize, usize), Way>,
    node: usize,
    output: Option<u32>,
) -> Option<Way> {
    let rank = |way: &Way| match way.bound {
        Outcome::Bounded(bound) => (0, bound),
        Outcome::Unjudged(_) => (1, Duration::ZERO),
        Outcome::NoBound(_) => (2, Duration::ZERO),
    };
    let read = ways.iter().filter(|&(&(reader, input), _)| {
        dataflow.nodes[reader].inputs[input].sources().any(|source| match *source {
            Source::Output { node: from, output: out } => {
                from as usize == node && output.is_none_or(|o| o == out)
            }
            _ => false,
        })
    });
    read.map(|(_, way)| way).max_by_key(|way| rank(way)).cloned()
}

impl Analysis {
    /// Deadlines and chains that cannot hold.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.fails())
    }

    /// Deadlines and chains that cannot be judged.
    pub fn unjudged(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.bound, Outcome::Unjudged(_)))
    }
}
