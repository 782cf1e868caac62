//! All cores together: who can be judged at all, and the response of every stream of those.
//!
//! A message becomes ready up to `hop` after its send, and its send is as late as its sender's response from the nominal time of
//! the timer at the beginning. That is its release jitter. Jitters start at their least and only grow, and bounds grow with
//! them, so computing both in turn ends at the least fixed point, or grows without end, which is cut off.

use dora_protocol::{
    dataflow::{Dataflow, Source},
    policy::QueuePolicy,
};

use super::{
    Options,
    model::Model,
    nanos,
    place::Place,
    response::{Bounds, Stream, bounds},
};

/// Rounds after which jitters that still grow count as endless.
const MAX_ROUNDS: usize = 2_000;

/// Of one node.
#[derive(Clone, Debug)]
pub(super) enum State {
    Judged,
    /// Nothing ever gets through, and why.
    Starved(String),
    Unjudged(String),
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Solved {
    pub(super) states: Vec<State>,
    /// Per flow of a judged node; `None`: no bound.
    pub(super) bounds: Vec<Option<Bounds>>,
    /// Per node: share of its core that its priority and above ask for.
    pub(super) demand: Vec<f64>,
}

impl Solved {
    /// Why a judged node has no bound.
    pub(super) fn why_endless(&self, node: usize) -> String {
        if self.demand[node] > 1.0 {
            let share = self.demand[node] * 100.0;
            return format!("at its priority and above its core is asked for {share:.1} % of its time");
        }
        "what it, or who runs before it, waits for has no bound itself, or they delay each other without end"
            .to_owned()
    }
}

pub(super) fn solve(dataflow: &Dataflow, model: &Model, places: &[Place], options: &Options) -> Solved {
    let mut places = places.to_vec();
    // Each turn finds at least one more sender that may have to wait, so this ends.
    loop {
        let states = states(dataflow, model, &places);
        let bounds = settle(model, &places, &states, options);
        let demand = demands(model, &places, &states, &bounds);
        let solved = Solved { states, bounds, demand };
        let waiting = waiting(dataflow, model, &solved);
        if waiting.is_empty() {
            return solved;
        }
        for (sender, why) in waiting {
            places[sender].unknown = Some(why);
            // Not that it needs more, but nobody knows when.
            places[sender].cost = None;
        }
    }
}

/// Strikes out what cannot be judged until nothing more follows from it.
fn states(dataflow: &Dataflow, model: &Model, places: &[Place]) -> Vec<State> {
    let id = |node: usize| dataflow.nodes[node].id.to_string();
    // Why its response is not known, and whether what it takes from its core is not known either.
    let mut response: Vec<Option<String>> = places.iter().map(|place| place.unknown.clone()).collect();
    let mut demand: Vec<bool> = places.iter().map(|place| place.cost.is_none()).collect();
    for (node, inputs) in model.inputs.iter().enumerate() {
        let unknown = inputs.iter().find_map(|flows| flows.as_ref().err().cloned());
        let none =
            inputs.is_empty().then(|| "it has no inputs, so how often it runs is not known".to_owned());
        if let Some(why) = unknown.or(none) {
            demand[node] = true;
            response[node].get_or_insert(why);
        }
    }
    loop {
        let mut changed = false;
        for node in 0..places.len() {
            let late = (!demand[node]).then(|| unknown_sender(model, &response, node)).flatten();
            if let Some(sender) = late {
                demand[node] = true;
                let why = format!("its messages come from `{}`, which cannot be judged", id(sender));
                response[node].get_or_insert(why);
                changed = true;
            }
            if response[node].is_none()
                && let Some(why) = rival(places, &demand, node, &id)
            {
                response[node] = Some(why);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let state = |node: usize| match &response[node] {
        Some(why) => State::Unjudged(why.clone()),
        None => starved(places, node, &id).map_or(State::Judged, State::Starved),
    };
    (0..places.len()).map(state).collect()
}

fn unknown_sender(model: &Model, response: &[Option<String>], node: usize) -> Option<usize> {
    let flows = model.inputs[node].iter().flatten().flatten();
    let mut senders = flows.flat_map(|&flow| &model.flows[flow].from).map(|&from| model.flows[from].node);
    senders.find(|&sender| response[sender].is_some())
}

/// Somebody who may take its core for nobody knows how long.
fn rival(places: &[Place], demand: &[bool], node: usize, id: &dyn Fn(usize) -> String) -> Option<String> {
    let core = places[node].core()?;
    let mine = places[node].priority?;
    for (other, place) in places.iter().enumerate().filter(|(other, _)| *other != node) {
        let Some(priority) = place.priority.filter(|&priority| priority >= mine) else { continue };
        if !place.reaches(&core) {
            continue;
        }
        if place.core().is_none() {
            return Some(format!(
                "`{}` (priority {priority}) may run on core {}, too: bind it to one core",
                id(other),
                core.number
            ));
        }
        if demand[other] {
            return Some(format!(
                "`{}` (priority {priority}) takes core {} for a time that is not known",
                id(other),
                core.number
            ));
        }
    }
    None
}

/// Somebody of at least its priority who never lets go of its core.
fn starved(places: &[Place], node: usize, id: &dyn Fn(usize) -> String) -> Option<String> {
    let core = places[node].core()?;
    let spinner = places.iter().enumerate().find(|(other, place)| {
        *other != node
            && place.spins == u64::MAX
            && place.reaches(&core)
            && place.priority >= places[node].priority
    });
    spinner.map(|(other, _)| {
        format!("`{}` has `wait: spin` on core {} and never lets go of it", id(other), core.number)
    })
}

fn settle(model: &Model, places: &[Place], states: &[State], options: &Options) -> Vec<Option<Bounds>> {
    let (hop, blocking) = (nanos(options.hop), nanos(options.blocking));
    let mut flows_of: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
    for (index, flow) in model.flows.iter().enumerate() {
        flows_of[flow.node].push(index);
    }
    let judged: Vec<usize> =
        (0..places.len()).filter(|&node| matches!(states[node], State::Judged)).collect();
    let rivals: Vec<Vec<usize>> = (0..places.len())
        .map(|node| if judged.contains(&node) { rivals(places, node) } else { Vec::new() })
        .collect();
    let mut jitters = vec![Some(hop); model.flows.len()];
    let mut all: Vec<Option<Bounds>> = vec![None; model.flows.len()];
    for round in 0.. {
        for &node in &judged {
            for &index in &flows_of[node] {
                all[index] = (|| {
                    let mut others = budgets(places, node);
                    for &other in flows_of[node].iter().filter(|&&other| other != index) {
                        others.push(stream(model, places, other, &jitters, false)?);
                    }
                    for &other in rivals[node].iter().flat_map(|&rival| &flows_of[rival]) {
                        others.push(stream(model, places, other, &jitters, true)?);
                    }
                    bounds(&stream(model, places, index, &jitters, false)?, &others, blocking)
                })();
            }
        }
        let mut changed = false;
        for (index, flow) in model.flows.iter().enumerate().filter(|(_, flow)| !flow.from.is_empty()) {
            if jitters[index].is_none() {
                continue;
            }
            let late = flow.from.iter().try_fold(0, |worst, &from| Some(all[from]?.from_nominal.max(worst)));
            let next = late.and_then(|late| late.checked_add(hop));
            if next != jitters[index] {
                // Still growing after so long: without end.
                jitters[index] = next.filter(|_| round < MAX_ROUNDS);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    all
}

/// What one flow takes from the core; for others also the time that its node spins afterwards.
fn stream(
    model: &Model,
    places: &[Place],
    index: usize,
    jitters: &[Option<u64>],
    spins: bool,
) -> Option<Stream> {
    let flow = &model.flows[index];
    let place = &places[flow.node];
    let cost = place.cost?.0.saturating_add(if spins { place.spins } else { 0 });
    Some(Stream { cost, period: flow.period, count: flow.count, jitter: jitters[index]? })
}

/// Nodes of at least its priority on its core.
fn rivals(places: &[Place], node: usize) -> Vec<usize> {
    let Some(core) = places[node].core() else { return Vec::new() };
    let rival = |other: &usize| {
        let place = &places[*other];
        *other != node
            && place.priority.is_some()
            && place.priority >= places[node].priority
            && place.reaches(&core)
    };
    (0..places.len()).filter(rival).collect()
}

/// Of the judged nodes without a bound: the share of their core that they and those before them ask for.
fn demands(model: &Model, places: &[Place], states: &[State], bounds: &[Option<Bounds>]) -> Vec<f64> {
    let jitters = vec![Some(0); model.flows.len()];
    let mut demands = vec![0.0; places.len()];
    for flow in model.flows.iter().zip(bounds).filter(|(_, bounds)| bounds.is_none()).map(|(flow, _)| flow) {
        let node = flow.node;
        if !matches!(states[node], State::Judged) || demands[node] > 0.0 {
            continue;
        }
        let mut before = vec![false; places.len()];
        rivals(places, node).into_iter().for_each(|rival| before[rival] = true);
        let flows = model.flows.iter().enumerate().filter(|(_, flow)| flow.node == node || before[flow.node]);
        let streams =
            flows.filter_map(|(index, flow)| stream(model, places, index, &jitters, flow.node != node));
        demands[node] = streams.chain(budgets(places, node)).map(|stream| stream.utilisation()).sum();
    }
    demands
}

/// Nodes under policy `deadline` go before every priority, on any core. The kernel holds each to its budget: within a
/// time `w` it gets at most `w / D + 2` of it.
fn budgets(places: &[Place], node: usize) -> Vec<Stream> {
    let core = places[node].core();
    let of = |place: &Place| {
        let (runtime, deadline) = place.budget?;
        let here = core.as_ref().is_some_and(|core| place.reaches(core));
        here.then_some(Stream { cost: runtime, period: deadline.max(1), count: 1, jitter: deadline })
    };
    places.iter().filter_map(of).collect()
}

/// Judged senders that may have to wait for a `backpressure` reader whose queue is full, and why. A reader whose queue cannot
/// fill up makes nobody wait.
fn waiting(dataflow: &Dataflow, model: &Model, solved: &Solved) -> Vec<(usize, String)> {
    let judged = |node: usize| matches!(solved.states[node], State::Judged);
    let mut found = Vec::new();
    for (reader, node) in dataflow.nodes.iter().enumerate() {
        for (index, input) in node.inputs.iter().enumerate() {
            let sender = |source: &Source| match *source {
                Source::Output { node: sender, .. } => Some(sender as usize),
                _ => None,
            };
            let senders: Vec<usize> =
                input.sources().filter_map(sender).filter(|&sender| judged(sender)).collect();
            if input.policy != QueuePolicy::Backpressure || senders.is_empty() {
                continue;
            }
            // Of a fan-in each sender has a queue of its own; that all of the messages wait in one is the worst case.
            let room = u64::from(input.queue_size).saturating_mul(10).max(100);
            let queued: Option<u64> =
                model.inputs[reader][index].iter().flatten().try_fold(0u64, |sum, &flow| {
                    let (flow, bounds) = (&model.flows[flow], solved.bounds[flow]?);
                    let open = bounds
                        .from_nominal
                        .div_ceil(flow.period)
                        .saturating_add(1)
                        .saturating_mul(flow.count);
                    sum.checked_add(open)
                });
            if !judged(reader) || queued.is_none_or(|queued| queued > room) {
                let why =
                    format!("it may have to wait until `{}/{}` has room (`backpressure`)", node.id, input.id);
                found.extend(senders.into_iter().map(|sender| (sender, why.clone())));
            }
        }
    }
    found
}
