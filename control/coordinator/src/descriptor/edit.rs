//! Changes of a descriptor, as JSON. Pure.
//!
//! The result is resolved afterwards: what an edit leaves wrong (an unknown output, a timer beside another source) is found
//! there, by the rules that hold for files.

use dora_protocol::{NodeId, control::Mapping};
use serde_json::{Map, Value, json};

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edit {
    /// A further node: an entry of `nodes:`.
    Add(Map<String, Value>),
    /// A node goes, with its edges.
    Remove(NodeId),
    /// Another entry in the place of one.
    Replace(NodeId, Map<String, Value>),
    /// An edge comes.
    Connect(Mapping),
    /// An edge goes.
    Disconnect(Mapping),
}

/// Carries out one change and says what was done; `None` when it was like that already.
///
/// # Errors
/// A sentence that names what does not fit. `descriptor` may be half changed then: throw it away.
pub(crate) fn edit(descriptor: &mut Value, change: &Edit) -> Result<Option<String>, String> {
    let nodes = descriptor
        .get_mut("nodes")
        .and_then(Value::as_array_mut)
        .ok_or("the live descriptor has no list of nodes")?;
    match change {
        Edit::Add(entry) => add(nodes, entry).map(Some),
        Edit::Remove(id) => {
            let at = position(nodes, id)?;
            nodes.remove(at);
            nodes.iter_mut().for_each(|node| forget_sender(node, id));
            forget_chains(descriptor, id);
            Ok(Some(format!("node `{id}` removed")))
        }
        Edit::Replace(id, entry) => {
            let at = position(nodes, id)?;
            let new = id_in(entry)?;
            if new != id.as_str() {
                return Err(format!(
                    "the new entry is called `{new}`; to replace `{id}` it must have the same id"
                ));
            }
            nodes[at] = Value::Object(entry.clone());
            Ok(Some(format!("node `{id}` replaced")))
        }
        Edit::Connect(mapping) => connect(nodes, mapping),
        Edit::Disconnect(mapping) => disconnect(nodes, mapping).map(Some),
    }
}

fn id_in(entry: &Map<String, Value>) -> Result<&str, String> {
    entry.get("id").and_then(Value::as_str).ok_or_else(|| "the node entry has no `id`".to_owned())
}

fn position(nodes: &[Value], id: &NodeId) -> Result<usize, String> {
    nodes.iter().position(|node| node.get("id").and_then(Value::as_str) == Some(id.as_str())).ok_or_else(
        || {
            let known: Vec<&str> = nodes.iter().filter_map(|node| node.get("id")?.as_str()).collect();
            format!("the dataflow has no node `{id}`; it has {}", known.join(", "))
        },
    )
}

fn add(nodes: &mut Vec<Value>, entry: &Map<String, Value>) -> Result<String, String> {
    let id = id_in(entry)?;
    if nodes.iter().any(|node| node.get("id").and_then(Value::as_str) == Some(id)) {
        return Err(format!("the dataflow has a node `{id}` already; choose another id, or replace it"));
    }
    nodes.push(Value::Object(entry.clone()));
    Ok(format!("node `{id}` added"))
}

/// Every block of inputs of a node: its own, that of its operator, of a version-0 `custom`, or of each of its operators.
fn input_blocks(node: &mut Value) -> Vec<(String, &mut Map<String, Value>)> {
    let mut found = Vec::new();
    let Some(node) = node.as_object_mut() else { return found };
    for (key, value) in node.iter_mut() {
        match (key.as_str(), value) {
            ("inputs", Value::Object(inputs)) => found.push((String::new(), inputs)),
            ("operator" | "custom", Value::Object(block)) => {
                if let Some(Value::Object(inputs)) = block.get_mut("inputs") {
                    found.push((String::new(), inputs));
                }
            }
            ("operators", Value::Array(list)) => {
                for operator in list.iter_mut().filter_map(Value::as_object_mut) {
                    let prefix = operator.get("id").and_then(Value::as_str).unwrap_or("op").to_owned() + "/";
                    if let Some(Value::Object(inputs)) = operator.get_mut("inputs") {
                        found.push((prefix, inputs));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The block that an input of this name belongs to, made where it is missing, and its name there.
fn block_for<'a>(node: &'a mut Value, input: &str) -> Result<(&'a mut Map<String, Value>, String), String> {
    let id = node.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let node = node.as_object_mut().ok_or("a node of the live descriptor is no map")?;
    if node.get("operators").is_some_and(Value::is_array) {
        let (operator, name) = input.split_once('/').ok_or_else(|| {
            format!("`{id}` has several operators: name the input `{id}/<operator>/{input}`")
        })?;
        let operators = node.get_mut("operators").and_then(Value::as_array_mut);
        let block = operators
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
            .find(|block| block.get("id").and_then(Value::as_str) == Some(operator))
            .ok_or_else(|| format!("`{id}` has no operator `{operator}`"))?;
        return Ok((inputs_in(block)?, name.to_owned()));
    }
    let inner = ["operator", "custom"].into_iter().find(|key| node.get(*key).is_some_and(Value::is_object));
    let block = match inner {
        Some(key) => node.get_mut(key).and_then(Value::as_object_mut).ok_or("a node has no block")?,
        None => node,
    };
    Ok((inputs_in(block)?, input.to_owned()))
}

fn inputs_in(block: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, String> {
    let inputs = block.entry("inputs").or_insert_with(|| json!({}));
    if inputs.is_null() {
        *inputs = json!({});
    }
    inputs.as_object_mut().ok_or_else(|| "`inputs` is no map".to_owned())
}

/// What an input reads, as written.
fn sources(input: &Value) -> Vec<String> {
    match input {
        Value::String(source) => vec![source.clone()],
        Value::Array(list) => list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::Object(map) => map.get("source").map(sources).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The input with these sources instead; all else stays.
fn with_sources(input: &Value, mut new: Vec<String>) -> Value {
    let source = if new.len() == 1 { Value::String(new.remove(0)) } else { json!(new) };
    match input {
        Value::Object(map) => {
            let mut map = map.clone();
            map.insert("source".to_owned(), source);
            Value::Object(map)
        }
        _ if source.is_string() => source,
        _ => json!({ "source": source }),
    }
}

fn connect(nodes: &mut [Value], mapping: &Mapping) -> Result<Option<String>, String> {
    position(nodes, &mapping.source_node)?;
    let at = position(nodes, &mapping.target_node)?;
    let (inputs, name) = block_for(&mut nodes[at], mapping.target_input.as_str())?;
    let source = format!("{}/{}", mapping.source_node, mapping.source_output);
    match inputs.get_mut(&name) {
        None => {
            inputs.insert(name, Value::String(source));
        }
        Some(input) => {
            let mut now = sources(input);
            if now.contains(&source) {
                return Ok(None);
            }
            now.push(source);
            *input = with_sources(input, now);
        }
    }
    Ok(Some(shown(mapping, "->")))
}

fn disconnect(nodes: &mut [Value], mapping: &Mapping) -> Result<String, String> {
    let at = position(nodes, &mapping.target_node)?;
    let (inputs, name) = block_for(&mut nodes[at], mapping.target_input.as_str())?;
    let source = format!("{}/{}", mapping.source_node, mapping.source_output);
    let input = inputs.get_mut(&name);
    let Some((input, now)) =
        input.map(|i| (sources(i), i)).filter(|(now, _)| now.contains(&source)).map(|(n, i)| (i, n))
    else {
        return Err(format!("there is no edge {} to take out", shown(mapping, "->")));
    };
    let left: Vec<String> = now.into_iter().filter(|one| *one != source).collect();
    if left.is_empty() {
        inputs.shift_remove(&name);
    } else {
        *input = with_sources(input, left);
    }
    Ok(shown(mapping, "-x-"))
}

fn shown(mapping: &Mapping, arrow: &str) -> String {
    let Mapping { source_node, source_output, target_node, target_input } = mapping;
    format!("{source_node}/{source_output} {arrow} {target_node}/{target_input}")
}

/// Takes out what a node reads from `gone`: edges, and its log lines.
fn forget_sender(node: &mut Value, gone: &NodeId) {
    let from = format!("{gone}/");
    let its_logs = |source: &str| {
        let parts: Vec<&str> = source.split('/').collect();
        parts.len() == 4 && parts[..2] == ["dora", "logs"] && parts[3] == gone.as_str()
    };
    for (_, inputs) in input_blocks(node) {
        inputs.retain(|_, input| {
            let now = sources(input);
            let left: Vec<String> = now
                .iter()
                .filter(|source| !source.starts_with(&from) && !its_logs(source))
                .cloned()
                .collect();
            if left.len() < now.len() && !left.is_empty() {
                *input = with_sources(input, left.clone());
            }
            now.is_empty() || !left.is_empty()
        });
    }
}

/// Chains that begin or end at `gone` go with it.
fn forget_chains(descriptor: &mut Value, gone: &NodeId) {
    let from = format!("{gone}/");
    if let Some(chains) = descriptor.get_mut("chains").and_then(Value::as_array_mut) {
        chains.retain(|chain| {
            !["from", "to"].iter().any(|end| {
                chain.get(end).and_then(Value::as_str).is_some_and(|place| place.starts_with(&from))
            })
        });
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
