//! Parameters: stored here, told to nodes by their daemon.
//!
//! Each change of a dataflow has a number. A daemon reports the last one it carried out; what it missed is the difference between its
//! parameters and ours, so no log of changes is kept that could overflow. A daemon that is ahead (the coordinator was killed before it
//! could write) is believed.

use std::collections::BTreeSet;

use dora_protocol::{
    DataflowId, NodeId,
    control::{ControlReply, ControlRequest, Delivery, MAX_PARAM_KEY, MAX_PARAM_VALUE},
    daemon_link::{DaemonCommand, ParamChange, Parameters},
};
use serde_json::Value;

use super::{Effect, LinkId, State, Waiter, answers::Then};
use crate::store::{StoredParameters, Write};

/// Parameters of one node.
const MAX_KEYS: usize = 1024;
/// Parameters of one dataflow, in bytes of their JSON.
const MAX_TOTAL: usize = 8 << 20;

impl State {
    pub(super) fn parameter(&mut self, waiter: Waiter, request: ControlRequest) {
        let result = match request {
            ControlRequest::GetParams { dataflow_id, node_id } => self
                .parameters_of(dataflow_id, &node_id)
                .map(|params| Some(ControlReply::ParamList { params })),
            ControlRequest::GetParam { dataflow_id, node_id, key } => {
                self.parameters_of(dataflow_id, &node_id).and_then(|mut params| {
                    let value = params.remove(&key).ok_or_else(|| not_found(&node_id, &key))?;
                    Ok(Some(ControlReply::ParamValue { key, value }))
                })
            }
            ControlRequest::SetParam { dataflow_id, node_id, key, value } => {
                self.change_parameter(waiter, dataflow_id, node_id, key, Some(value))
            }
            ControlRequest::DeleteParam { dataflow_id, node_id, key } => {
                self.change_parameter(waiter, dataflow_id, node_id, key, None)
            }
            _ => Err("this request is about no parameter".to_owned()),
        };
        match result {
            Ok(Some(reply)) => self.reply(waiter, Ok(reply)),
            Ok(None) => {}
            Err(error) => self.reply(waiter, Err(error)),
        }
    }

    fn parameters_of(
        &self,
        id: DataflowId,
        node: &NodeId,
    ) -> Result<std::collections::BTreeMap<String, Value>, String> {
        let flow = self.known(id)?;
        flow.has_node(node)?;
        Ok(flow.parameters.values.get(node).cloned().unwrap_or_default())
    }

    /// The answer when nobody has to be asked.
    fn change_parameter(
        &mut self,
        waiter: Waiter,
        id: DataflowId,
        node: NodeId,
        key: String,
        value: Option<Value>,
    ) -> Result<Option<ControlReply>, String> {
        let flow = self.known(id)?;
        flow.has_node(&node)?;
        may_be_set(&flow.parameters.values, &node, &key, value.as_ref())?;
        let link = if flow.status.has_ended() { None } else { self.link_of(flow).ok() };
        let deleted = value.is_none();
        let Some(flow) = self.flows.get_mut(&id) else { return Ok(None) };
        let parameters = &mut flow.parameters;
        parameters.sequence += 1;
        put(&mut parameters.values, &node, &key, value.clone());
        let entries = vec![ParamChange { sequence: parameters.sequence, node_id: node, key, value }];
        self.store_parameters(id);
        let Some(link) = link else {
            let stored = Delivery::Stored;
            let reply =
                if deleted { ControlReply::ParamDeleted(stored) } else { ControlReply::ParamSet(stored) };
            return Ok(Some(reply));
        };
        let command = DaemonCommand::StateCatchUp { dataflow_id: id, entries };
        self.command(link, command, Then::Parameter { waiter, deleted });
        Ok(None)
    }

    pub(super) fn store_parameters(&mut self, id: DataflowId) {
        if let Some(flow) = self.flows.get(&id) {
            self.effects.push_back(Effect::Store(Write::Parameters(id, flow.parameters.clone())));
        }
    }

    /// A daemon is back: it is told what it missed, or we take what we lost.
    pub(super) fn catch_up(&mut self, link: LinkId, id: DataflowId, theirs: StoredParameters) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if theirs.sequence >= flow.parameters.sequence {
            if theirs != flow.parameters {
                flow.parameters = theirs;
                self.store_parameters(id);
            }
            return;
        }
        let entries = missed(&mut flow.parameters, &theirs);
        if entries.is_empty() {
            return;
        }
        self.store_parameters(id);
        let command = DaemonCommand::StateCatchUp { dataflow_id: id, entries };
        self.command(link, command, Then::Nothing("tell a daemon the parameters it missed"));
    }
}

fn not_found(node: &NodeId, key: &str) -> String {
    format!("param not found: node `{node}` has no parameter `{key}`")
}

fn put(values: &mut Parameters, node: &NodeId, key: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(values.entry(node.clone()).or_default().insert(key.to_owned(), value)),
        None => {
            if let Some(of_node) = values.get_mut(node) {
                of_node.remove(key);
                if of_node.is_empty() {
                    values.remove(node);
                }
            }
        }
    }
}

fn may_be_set(values: &Parameters, node: &NodeId, key: &str, value: Option<&Value>) -> Result<(), String> {
    let of_node = values.get(node);
    let Some(value) = value else {
        let there = of_node.is_some_and(|of_node| of_node.contains_key(key));
        return if there { Ok(()) } else { Err(not_found(node, key)) };
    };
    if key.is_empty() {
        return Err("the key of a parameter must not be empty".to_owned());
    }
    if key.len() > MAX_PARAM_KEY {
        return Err(format!("the key has {} bytes; {MAX_PARAM_KEY} are allowed", key.len()));
    }
    let length = value.to_string().len();
    if length > MAX_PARAM_VALUE {
        return Err(format!("the value has {length} bytes as JSON; {MAX_PARAM_VALUE} are allowed"));
    }
    if of_node.is_some_and(|of_node| of_node.len() >= MAX_KEYS && !of_node.contains_key(key)) {
        return Err(format!("node `{node}` has {MAX_KEYS} parameters already, which is the limit"));
    }
    let others = values.values().flatten().map(|(key, value)| key.len() + rough_size(value));
    if others.sum::<usize>() + length > MAX_TOTAL {
        return Err(format!("the parameters of the dataflow would have more than {MAX_TOTAL} bytes"));
    }
    Ok(())
}

/// Bytes of the JSON, about; without writing it.
fn rough_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| rough_size(item) + 1).sum::<usize>() + 2,
        Value::Object(map) => {
            map.iter().map(|(key, value)| key.len() + rough_size(value) + 4).sum::<usize>() + 2
        }
        Value::Number(_) => 8,
        Value::Bool(_) | Value::Null => 5,
    }
}

/// What turns their parameters into ours, numbered so that the last number is ours.
pub(super) fn missed(ours: &mut StoredParameters, theirs: &StoredParameters) -> Vec<ParamChange> {
    let places = |values: &Parameters| -> BTreeSet<(NodeId, String)> {
        let of_node = |(node, keys): (&NodeId, &std::collections::BTreeMap<String, Value>)| {
            keys.keys().map(|key| (node.clone(), key.clone())).collect::<Vec<_>>()
        };
        values.iter().flat_map(of_node).collect()
    };
    let value = |values: &Parameters, node: &NodeId, key: &String| {
        values.get(node).and_then(|of| of.get(key)).cloned()
    };
    let mut all = places(&ours.values);
    all.extend(places(&theirs.values));
    let mut entries: Vec<ParamChange> = all
        .into_iter()
        .filter_map(|(node_id, key)| {
            let wanted = value(&ours.values, &node_id, &key);
            let differs = wanted != value(&theirs.values, &node_id, &key);
            differs.then_some(ParamChange { sequence: 0, node_id, key, value: wanted })
        })
        .collect();
    let count = entries.len() as u64;
    // Every difference is at least one change, so there are enough numbers; unless one of the two is mistaken.
    ours.sequence = ours.sequence.max(theirs.sequence.saturating_add(count));
    for (entry, back) in entries.iter_mut().zip((0..count).rev()) {
        entry.sequence = ours.sequence - back;
    }
    entries
}
