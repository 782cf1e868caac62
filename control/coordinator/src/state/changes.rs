//! Changes of a running dataflow: one after the other, all of each or nothing.
//!
//! The live descriptor is edited as a value and resolved as a whole, so that what comes out obeys the rules for files; the
//! daemon gets the whole new dataflow and finds what differs. It is kept here only after the daemon has confirmed it.

use std::{collections::BTreeMap, time::Duration};

use dora_protocol::{
    DataflowId, NodeId,
    control::{ControlReply, DataflowStatus, TopologyChange},
    daemon_link::{DaemonCommand, DaemonReply, DataflowRecord},
    dataflow::{Dataflow, Source},
};

use super::{LinkId, State, Waiter, answers::Then};
use crate::descriptor::{self, Edit, Resolved};

/// Changes of one dataflow that may wait for their turn.
const MAX_WAITING: usize = 64;

/// A change that somebody asked for.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Restart { node: NodeId, grace: Option<Duration> },
    Stop { node: NodeId, grace: Option<Duration> },
    Edits { kind: EditKind, edits: Vec<Edit>, grace: Option<Duration> },
}

/// How edits are answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum EditKind {
    Added,
    Removed,
    Replaced,
    Connected,
    Disconnected,
    Patched,
}

impl EditKind {
    fn reply(self, change: TopologyChange) -> ControlReply {
        match self {
            EditKind::Added => ControlReply::NodeAdded(change),
            EditKind::Removed => ControlReply::NodeRemoved(change),
            EditKind::Replaced => ControlReply::NodeReplaced(change),
            EditKind::Connected => ControlReply::MappingAdded(change),
            EditKind::Disconnected => ControlReply::MappingRemoved(change),
            EditKind::Patched => ControlReply::PatchApplied(change),
        }
    }
}

/// A change that the daemon is carrying out.
#[derive(Debug)]
pub(super) struct Applying {
    id: DataflowId,
    /// `None` once told that it takes too long.
    pub(super) waiter: Option<Waiter>,
    goal: Goal,
}

#[derive(Debug)]
enum Goal {
    Restarted(NodeId),
    Stopped(NodeId),
    Edited(Box<Edited>),
}

/// What is to be kept when the daemon has confirmed it.
#[derive(Debug)]
struct Edited {
    kind: EditKind,
    record: DataflowRecord,
    node_ids: Vec<NodeId>,
    change: TopologyChange,
}

/// What an edit comes to.
enum Plan {
    NothingToDo(ControlReply),
    Apply { command: DaemonCommand, edited: Box<Edited> },
}

impl State {
    pub(super) fn change(&mut self, waiter: Waiter, id: DataflowId, change: Change) {
        if let Err(error) = self.may_change(id) {
            return self.reply(waiter, Err(error));
        }
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.changes.len() >= MAX_WAITING {
            let error = format!("{MAX_WAITING} changes of {} wait already; try again later", flow.shown());
            return self.reply(waiter, Err(error));
        }
        flow.changes.push_back((waiter, change));
        self.next_change(id);
    }

    fn may_change(&self, id: DataflowId) -> Result<LinkId, String> {
        let flow = self.running(id)?;
        match flow.status {
            DataflowStatus::Running => self.link_of(flow),
            DataflowStatus::Pending => {
                Err(format!("{} is still starting; try again when its nodes are ready", flow.shown()))
            }
            DataflowStatus::Stopping => Err(format!("{} is being stopped", flow.shown())),
            _ => Err(format!(
                "{} has not been reported by its daemon yet; try again in a moment",
                flow.shown()
            )),
        }
    }

    /// The next one, unless one is under way.
    fn next_change(&mut self, id: DataflowId) {
        loop {
            let Some(flow) = self.flows.get_mut(&id).filter(|flow| !flow.changing) else { return };
            let Some((waiter, change)) = flow.changes.pop_front() else { return };
            match self.begin(id, waiter, change) {
                Ok(None) => {
                    if let Some(flow) = self.flows.get_mut(&id) {
                        flow.changing = true;
                    }
                    return;
                }
                Ok(Some(reply)) => self.reply(waiter, Ok(reply)),
                Err(error) => self.reply(waiter, Err(error)),
            }
        }
    }

    /// `None`: the daemon is at it. An answer: there was nothing to do.
    fn begin(
        &mut self,
        id: DataflowId,
        waiter: Waiter,
        change: Change,
    ) -> Result<Option<ControlReply>, String> {
        let link = self.may_change(id)?;
        let flow = self.running(id)?;
        let (command, goal) = match change {
            Change::Restart { node, grace } => {
                flow.has_node(&node)?;
                let command = DaemonCommand::RestartNode {
                    dataflow_id: id,
                    node_id: node.clone(),
                    grace_duration: grace,
                };
                (command, Goal::Restarted(node))
            }
            Change::Stop { node, grace } => {
                flow.has_node(&node)?;
                let command =
                    DaemonCommand::StopNode { dataflow_id: id, node_id: node.clone(), grace_duration: grace };
                (command, Goal::Stopped(node))
            }
            Change::Edits { kind, edits, grace } => match self.plan(link, id, kind, &edits, grace)? {
                Plan::NothingToDo(reply) => return Ok(Some(reply)),
                Plan::Apply { command, edited } => (command, Goal::Edited(edited)),
            },
        };
        // Set before the command: its failure may be known at once.
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.changing = true;
        }
        self.command(link, command, Then::Changed(Box::new(Applying { id, waiter: Some(waiter), goal })));
        Ok(None)
    }

    fn plan(
        &self,
        link: LinkId,
        id: DataflowId,
        kind: EditKind,
        edits: &[Edit],
        grace: Option<Duration>,
    ) -> Result<Plan, String> {
        let flow = self.running(id)?;
        let before = descriptor::resolve(&flow.record)?;
        let mut value = before.value.clone();
        let mut changes = Vec::new();
        for edit in edits {
            changes.extend(descriptor::edit(&mut value, edit)?);
        }
        if changes.is_empty() {
            return Ok(Plan::NothingToDo(kind.reply(TopologyChange::default())));
        }
        let mut record = flow.record.clone();
        record.live = serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?;
        record.generation += 1;
        record.changes.extend(changes.iter().cloned());
        let after = descriptor::resolve(&record)?;
        self.stays_on(link, &after)?;
        let mut replace = Vec::new();
        for edit in edits {
            if let Edit::Replace(node, _) = edit {
                // In a patch, the wiring may change with the node.
                if matches!(kind, EditKind::Replaced) {
                    same_inputs(&before.dataflow, &after.dataflow, node)?;
                }
                replace.push(node.clone());
            }
        }
        let warnings = new_warnings(&before, &after);
        let command = DaemonCommand::Apply {
            dataflow_id: id,
            dataflow: Box::new(after.dataflow.clone()),
            record: Box::new(record.clone()),
            replace,
            grace_duration: grace,
        };
        let change = TopologyChange { changes, warnings };
        let edited = Box::new(Edited { kind, record, node_ids: after.node_ids(), change });
        Ok(Plan::Apply { command, edited })
    }

    /// The daemon's word on a change.
    pub(super) fn changed(&mut self, applying: Applying, outcome: Result<DaemonReply, String>) {
        let Applying { id, waiter, goal } = applying;
        let result = outcome.and_then(|reply| self.take_in(id, goal, reply));
        match (waiter, result) {
            (Some(waiter), result) => self.reply(waiter, result),
            (None, Ok(_)) => tracing::info!("a change of dataflow {id} was confirmed late"),
            (None, Err(error)) => tracing::warn!("a change of dataflow {id} failed late: {error}"),
        }
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.changing = false;
        }
        self.next_change(id);
    }

    fn take_in(&mut self, id: DataflowId, goal: Goal, reply: DaemonReply) -> Result<ControlReply, String> {
        match (goal, reply) {
            (Goal::Restarted(node_id), DaemonReply::Done) => Ok(ControlReply::NodeRestarted { node_id }),
            (Goal::Stopped(node_id), DaemonReply::NodeStopped { clean_stop }) => {
                Ok(ControlReply::NodeStopped { node_id, clean_stop })
            }
            // What the daemon says it did is what was asked, in other words.
            (Goal::Edited(edited), DaemonReply::Applied { .. }) => {
                let Edited { kind, record, node_ids, change } = *edited;
                let flow = self.flows.get_mut(&id).ok_or("the dataflow is not there any more")?;
                let gone: Vec<NodeId> =
                    flow.node_ids.iter().filter(|node| !node_ids.contains(node)).cloned().collect();
                flow.record = record;
                flow.node_ids = node_ids;
                let with_parameters =
                    gone.iter().filter(|node| flow.parameters.values.remove(*node).is_some()).count();
                if with_parameters > 0 {
                    self.store_parameters(id);
                }
                self.store(id);
                Ok(kind.reply(change))
            }
            _ => Err("the daemon answered something that was not asked".to_owned()),
        }
    }
}

/// What an input of a node reads, by names.
fn inputs_of(dataflow: &Dataflow, node: &NodeId) -> BTreeMap<String, Vec<String>> {
    let named = |source: &Source| match source {
        Source::Output { node, output } => {
            let from = dataflow.nodes.get(*node as usize);
            let data = from.and_then(|from| from.outputs.get(*output as usize));
            from.zip(data).map_or_else(String::new, |(from, data)| format!("{}/{}", from.id, data.id))
        }
        Source::Timer { period_ns } => format!("dora/timer/nanos/{period_ns}"),
        Source::Logs { level, node } => {
            format!("dora/logs/{level}{}", node.as_ref().map(|node| format!("/{node}")).unwrap_or_default())
        }
    };
    let node = dataflow.nodes.iter().find(|of| of.id == *node);
    let inputs = node.into_iter().flat_map(|node| &node.inputs);
    inputs
        .map(|input| {
            let mut sources: Vec<String> = input.sources().map(named).collect();
            sources.sort();
            (input.id.to_string(), sources)
        })
        .collect()
}

/// A node is replaced in its place: what it reads must be what is wired to it.
fn same_inputs(before: &Dataflow, after: &Dataflow, node: &NodeId) -> Result<(), String> {
    let (old, new) = (inputs_of(before, node), inputs_of(after, node));
    if old == new {
        return Ok(());
    }
    let shown = |inputs: &BTreeMap<String, Vec<String>>| {
        let all: Vec<String> =
            inputs.iter().map(|(id, sources)| format!("{id}: {}", sources.join(", "))).collect();
        if all.is_empty() { "none".to_owned() } else { all.join("; ") }
    };
    Err(format!(
        "the inputs of the new `{node}` ({}) must be those that are wired now ({}); to change both at once use a patch (`dora node apply`)",
        shown(&new),
        shown(&old)
    ))
}

/// Sentences that the descriptor did not cause before. Places differ, because the text does.
fn new_warnings(before: &Resolved, after: &Resolved) -> Vec<String> {
    let without_place =
        |warning: &String| warning.split_once(": ").map_or(warning.clone(), |(_, rest)| rest.to_owned());
    let known: Vec<String> = before.warnings.iter().map(without_place).collect();
    after.warnings.iter().filter(|warning| !known.contains(&without_place(warning))).cloned().collect()
}
