//! Where a node runs, with which priority, and what one event costs; or why that is not known.

use dora_protocol::{
    dataflow::Dataflow,
    rt::{SchedPolicy, WaitPolicy},
};

use super::{Core, CostSource, nanos, profile::Profile, text::time};
use crate::annotations::Annotations;

/// One node as the analysis sees it. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) machine: Option<String>,
    /// Cores that it may run on; empty = all.
    pub(super) cores: Vec<u32>,
    /// Under `fifo` and `rr`.
    pub(super) priority: Option<u8>,
    /// Under `deadline`: budget, and within what time the kernel grants it.
    pub(super) budget: Option<(u64, u64)>,
    pub(super) cost: Option<(u64, CostSource)>,
    /// Spins for so long after each event. `u64::MAX`: never sleeps.
    pub(super) spins: u64,
    /// Why nothing can be said about it.
    pub(super) unknown: Option<String>,
}

impl Place {
    /// The one core that it is bound to.
    pub(super) fn core(&self) -> Option<Core> {
        match self.cores.as_slice() {
            &[number] => Some(Core { machine: self.machine.clone(), number }),
            _ => None,
        }
    }

    /// Can it take that core?
    pub(super) fn reaches(&self, core: &Core) -> bool {
        self.machine == core.machine && (self.cores.is_empty() || self.cores.contains(&core.number))
    }
}

pub(super) fn places(dataflow: &Dataflow, notes: &Annotations, profile: Option<&Profile>) -> Vec<Place> {
    let place = |node: &dora_protocol::dataflow::Node| {
        let notes = notes.of(node.id.as_str());
        let rt = node.rt.clone().unwrap_or_default();
        let declared = notes.wcet.map(|wcet| (nanos(wcet), CostSource::Declared));
        let measured = || Some((profile?.cost(node.id.as_str())?, CostSource::Measured));
        let cost = declared.or_else(measured);
        let mut cores = node.cpu_affinity.clone();
        cores.sort_unstable();
        cores.dedup();
        let real_time = matches!(rt.policy, SchedPolicy::Fifo | SchedPolicy::Rr);
        let unknown = match rt.policy {
            _ if !notes.operators.is_empty() => {
                Some("its operators share threads, which is not judged yet".to_owned())
            }
            SchedPolicy::Other => Some("it has no real-time policy: anything may run before it".to_owned()),
            SchedPolicy::Deadline => {
                Some("policy `deadline` is admitted by the kernel, not by fixed priorities".to_owned())
            }
            _ if cores.is_empty() => Some("it is bound to no core (`cpu_affinity`)".to_owned()),
            _ if cores.len() > 1 => {
                Some("it may run on several cores (`cpu_affinity` names more than one)".to_owned())
            }
            _ if cost.is_none() => Some(
                "its handler time is not known (`wcet:`, or `--profile` with a file of `dora run --profile`)"
                    .to_owned(),
            ),
            _ => None,
        };
        Place {
            machine: notes.machine,
            cores,
            priority: rt.priority.filter(|_| real_time),
            budget: rt.runtime_ns.zip(rt.deadline_ns).filter(|_| rt.policy == SchedPolicy::Deadline),
            cost,
            spins: match rt.wait {
                WaitPolicy::Park => 0,
                WaitPolicy::SpinThenPark { spin_ns } => spin_ns,
                WaitPolicy::Spin => u64::MAX,
            },
            unknown,
        }
    };
    dataflow.nodes.iter().map(place).collect()
}

/// Where the file and what was measured contradict each other.
pub(super) fn warnings(dataflow: &Dataflow, notes: &Annotations, profile: Option<&Profile>) -> Vec<String> {
    let Some(profile) = profile else { return Vec::new() };
    let mut all = Vec::new();
    if profile.dataflow != dataflow.name {
        all.push(format!(
            "the profile is of dataflow `{}`, and this is `{}`",
            profile.dataflow, dataflow.name
        ));
    }
    if profile.rt == "off" {
        all.push(
            "the profile was measured without `--rt`: its handler times are those of ordinary processes"
                .to_owned(),
        );
    }
    for (node, lost) in profile.losers() {
        all.push(format!(
            "node `{node}` lost {lost} ticks and messages while it was measured: rates of the profile are not used"
        ));
    }
    for node in &dataflow.nodes {
        let (declared, measured) =
            (notes.of(node.id.as_str()).wcet.map(nanos), profile.cost(node.id.as_str()));
        if let (Some(declared), Some(measured)) = (declared, measured)
            && measured > declared
        {
            all.push(format!(
                "node `{}` declares `wcet: {}`, but took {} while it was measured (time that others had its core included)",
                node.id,
                time(declared).replace(' ', ""),
                time(measured)
            ));
        }
    }
    for id in profile.nodes.keys().filter(|id| !dataflow.nodes.iter().any(|node| node.id == id.as_str())) {
        all.push(format!("the profile has a node `{id}`, which is not in the dataflow"));
    }
    all
}
