//! Timing, checked before the start: how long does every node take to respond, and does every deadline hold?
//!
//! ```text
//!   Dataflow, wcet, triggers ─ model ─► streams of events per input
//!                              place ─► core, priority, handler time of every node, or why they are not known
//!                           holistic ─► response of every stream: `response` per core, jitter from core to core
//!                             checks ─► deadlines and chains: hold, fail by how much, or cannot be judged
//!                            suggest ─► priorities and cores
//! ```
//!
//! The method is holistic analysis (Tindell and Clark 1994): a message comes as late after its timer as its sender may take,
//! which is the release jitter of its reader; response times and jitters are computed in turn until nothing changes.
//! Everything is rounded towards "too long". Where a handler time, a rate, a priority or a core is not known, the answer is
//! [`Outcome::Unjudged`] with the reason, for the node and for all that it may delay.
//!
//! What is assumed beside the file is in [`Analysis::assumptions`] and in docs/realtime.md, "Checked before the start".

mod checks;
mod holistic;
mod model;
mod place;
mod profile;
pub mod response;
mod suggest;
mod text;

use std::time::Duration;

use dora_protocol::dataflow::{Dataflow, Location};

pub use profile::{NodeProfile, Profile};
pub use suggest::{Proposal, Suggestion, suggest};

pub use text::time;

use crate::annotations::Annotations;

/// What the file does not say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest time from a send, or from the nominal time of a tick, until the reader is ready to run.
    pub hop: Duration,
    /// Longest time that the kernel, or somebody of less priority, keeps a core from who should have it.
    pub blocking: Duration,
    /// Measured handler times and rates, for what is not declared.
    pub profile: Option<Profile>,
}

impl Default for Options {
    fn default() -> Self {
        Self { hop: Duration::from_micros(50), blocking: Duration::from_micros(100), profile: None }
    }
}

/// What is known about a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Never longer.
    Bounded(Duration),
    /// It may become longer than any number, and why.
    NoBound(String),
    /// It cannot be said, and why.
    Unjudged(String),
}

/// Where a handler time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// `wcet:`
    Declared,
    /// The profile: the longest that was seen.
    Measured,
}

/// One core of one machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Core {
    /// `deploy: machine`.
    pub machine: Option<String>,
    /// Its number.
    pub number: u32,
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodeTiming {
    /// Its id.
    pub node: String,
    /// The one core that it runs on.
    pub core: Option<Core>,
    /// 1 to 99, under `fifo` and `rr`.
    pub priority: Option<u8>,
    /// Longest handler time.
    pub cost: Option<(Duration, CostSource)>,
    /// Shortest time between two events of one of its inputs.
    pub period: Option<Duration>,
    /// Share of its core.
    pub utilisation: Option<f64>,
    /// From an event being there until it is handled.
    pub response: Outcome,
}

/// One core that real-time nodes are bound to.
#[derive(Clone, Debug)]
pub struct CoreLoad {
    /// Which.
    pub core: Core,
    /// Share that its real-time nodes need; `None` where one of them is not known.
    pub utilisation: Option<f64>,
}

/// A deadline or a chain, against its bound.
#[derive(Clone, Debug)]
pub struct Check {
    /// `deadline of controller/state`, `chain state -> force`.
    pub what: String,
    /// Where it stands.
    pub at: Location,
    /// Allowed.
    pub limit: Duration,
    /// Longest.
    pub bound: Outcome,
    /// Of a bounded chain: what its worst way is made of.
    pub parts: Vec<(String, Duration)>,
}

impl Check {
    /// How much too late it may be; `None` when it holds or is not known.
    pub fn over(&self) -> Option<Duration> {
        match self.bound {
            Outcome::Bounded(bound) => bound.checked_sub(self.limit).filter(|over| !over.is_zero()),
            _ => None,
        }
    }

    /// It cannot hold.
    pub fn fails(&self) -> bool {
        matches!(self.bound, Outcome::NoBound(_)) || self.over().is_some()
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// In the order of the file.
    pub nodes: Vec<NodeTiming>,
    /// By machine and number.
    pub cores: Vec<CoreLoad>,
    /// Deadlines of inputs in the order of the file, then chains.
    pub checks: Vec<Check>,
    /// What the answer relies on, beside the file.
    pub assumptions: Vec<String>,
    /// What a user should look at though no deadline is named.
    pub warnings: Vec<String>,
}

/// Computes response times and compares them with every deadline and chain.
pub fn analyse(dataflow: &Dataflow, notes: &Annotations, options: &Options) -> Analysis {
    let model = model::build(dataflow, notes, options.profile.as_ref());
    let places = place::places(dataflow, notes, options.profile.as_ref());
    let solved = holistic::solve(dataflow, &model, &places, options);
    let mut warnings = place::warnings(dataflow, notes, options.profile.as_ref());
    let nodes = checks::nodes(dataflow, &model, &places, &solved, &mut warnings);
    let cores = checks::cores(&places, &nodes, &mut warnings);
    let checks = checks::checks(dataflow, &model, &solved, options);
    let mut assumptions = vec![
        format!("a message or tick reaches its node within {}", time(nanos(options.hop))),
        format!("the kernel or lower priorities hold a core for at most {}", time(nanos(options.blocking))),
    ];
    if nodes.iter().any(|node| matches!(node.cost, Some((_, CostSource::Measured)))) {
        assumptions.push("handler times that were measured are never exceeded".to_owned());
    }
    assumptions.extend(model.assumptions);
    Analysis { nodes, cores, checks, assumptions, warnings }
}

/// How often something comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Periodically.
    Period(Duration),
    /// From several causes, the most frequent of which has this period.
    UpTo(Duration),
}

/// How often something comes into every input (per node, in the order of the file), where it follows from timers.
pub fn input_periods(dataflow: &Dataflow, notes: &Annotations) -> Vec<Vec<Option<Every>>> {
    // However long the network takes, it does not change how often.
    let mut here = notes.clone();
    here.0.values_mut().for_each(|notes| notes.machine = None);
    let model = model::build(dataflow, &here, None);
    let period = |flows: &Result<Vec<usize>, String>| {
        let flows: Vec<_> = flows.as_ref().ok()?.iter().map(|&flow| &model.flows[flow]).collect();
        let fastest = Duration::from_nanos(flows.iter().map(|flow| flow.period).min()?);
        let one = flows.iter().map(|flow| flow.count).fold(0u64, u64::saturating_add) == 1;
        Some(if one { Every::Period(fastest) } else { Every::UpTo(fastest) })
    };
    model.inputs.iter().map(|inputs| inputs.iter().map(period).collect()).collect()
}

/// Nanoseconds; 584 years is long enough.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
