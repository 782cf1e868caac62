//! What differs between the dataflow that runs and the one that is wanted, by name. Pure.
//!
//! A node that goes on keeps its process: only what feeds its inputs may differ, and it may have further inputs, up to the
//! room in its status page. Anything else about it takes a new process.

use std::{collections::BTreeMap, time::Duration};

use dora_protocol::{
    NodeId,
    dataflow::{Dataflow, Input, Node, Source},
};
use serde::Serialize;

/// Indices of nodes: `old` in the running dataflow, `new` in the wanted one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// In the wanted one only.
    pub(crate) added: Vec<usize>,
    /// In the running one only.
    pub(crate) removed: Vec<usize>,
    /// In both, with another process: old and new.
    pub(crate) replaced: Vec<(usize, usize)>,
    /// In both: old and new.
    pub(crate) kept: Vec<(usize, usize)>,
}

/// Compares by name; `replace` are to have a new process in any case.
///
/// # Errors
/// A sentence when a name of `replace` is in one of them only, or the wanted dataflow has two nodes of one name.
pub(crate) fn difference(old: &Dataflow, new: &Dataflow, replace: &[NodeId]) -> Result<Difference, String> {
    let mut places = BTreeMap::new();
    for (index, node) in old.nodes.iter().enumerate() {
        places.insert(node.id.as_str(), index);
    }
    let mut wanted = BTreeMap::new();
    for (index, node) in new.nodes.iter().enumerate() {
        if wanted.insert(node.id.as_str(), index).is_some() {
            return Err(format!("there are two nodes `{}` in the new dataflow", node.id));
        }
        check_sources(new, node)?;
    }
    check_chains(new)?;
    for id in replace {
        if !(places.contains_key(id.as_str()) && wanted.contains_key(id.as_str())) {
            return Err(format!(
                "node `{id}` cannot be replaced, because it is not in the dataflow before and after"
            ));
        }
    }
    let mut difference = Difference::default();
    for (index, node) in new.nodes.iter().enumerate() {
        match places.get(node.id.as_str()) {
            None => difference.added.push(index),
            Some(place) if replace.contains(&node.id) || !same_process(&old.nodes[*place], node) => {
                difference.replaced.push((*place, index));
            }
            Some(place) => difference.kept.push((*place, index)),
        }
    }
    let gone = |(_, node): &(usize, &Node)| !wanted.contains_key(node.id.as_str());
    difference.removed = old.nodes.iter().enumerate().filter(gone).map(|(index, _)| index).collect();
    Ok(difference)
}

/// The indices come from outside.
fn check_sources(flow: &Dataflow, node: &Node) -> Result<(), String> {
    for input in &node.inputs {
        for source in input.sources() {
            let known = match source {
                Source::Output { node, output } => {
                    let from = flow.nodes.get(*node as usize);
                    from.is_some_and(|from| (*output as usize) < from.outputs.len())
                }
                Source::Timer { period_ns } => *period_ns > 0,
                Source::Logs { .. } => true,
            };
            if !known {
                return Err(format!(
                    "the source of `{}/{}` does not exist in the new dataflow",
                    node.id, input.id
                ));
            }
        }
    }
    Ok(())
}

/// As those of sources.
fn check_chains(flow: &Dataflow) -> Result<(), String> {
    for chain in &flow.chains {
        let begin = flow.nodes.get(chain.from.0 as usize);
        let end = flow.nodes.get(chain.to.0 as usize);
        let known = begin.is_some_and(|node| (chain.from.1 as usize) < node.outputs.len())
            && end.is_some_and(|node| (chain.to.1 as usize) < node.inputs.len());
        if !known {
            return Err(format!("an end of chain `{}` does not exist in the new dataflow", chain.name));
        }
    }
    Ok(())
}

/// Can the process of `old` be that of `new`?
fn same_process(old: &Node, new: &Node) -> bool {
    type Identity<'a> = (
        &'a dora_protocol::dataflow::NodeKind,
        &'a Option<std::path::PathBuf>,
        &'a BTreeMap<String, dora_protocol::dataflow::EnvValue>,
        Vec<(&'a str, Option<u64>, Option<u32>, bool)>,
        &'a Option<dora_protocol::rt::RtSettings>,
        &'a [u32],
        &'a dora_protocol::dataflow::NodeLog,
    );
    fn identity(node: &Node) -> Identity<'_> {
        let outputs = node.outputs.iter();
        (
            &node.kind,
            &node.working_dir,
            &node.env,
            outputs.map(|o| (o.id.as_str(), o.max_message_bytes, o.depth, o.arrow_ipc)).collect(),
            &node.rt,
            &node.cpu_affinity,
            &node.log,
        )
    }
    json(&identity(old)) == json(&identity(new)) && same_inputs(old, new)
}

/// Are the inputs of `old` in `new`, or at least such that a living process can do without?
fn same_inputs(old: &Node, new: &Node) -> bool {
    old.inputs.iter().all(|before| match new.inputs.iter().find(|after| after.id == before.id) {
        Some(after) => same_input(before, after),
        None => is_fed_by_nodes(before),
    })
}

pub(crate) fn same_input(old: &Input, new: &Input) -> bool {
    type Identity = (u32, String, Option<Duration>, Option<Duration>, String);
    let identity = |input: &Input| -> Identity {
        let (policy, on_miss) = (json(&input.policy), json(&input.on_miss));
        (input.queue_size, policy, input.input_timeout, input.deadline, on_miss)
    };
    let same_kind = match (is_fed_by_nodes(old), is_fed_by_nodes(new)) {
        (true, true) => true,
        (false, false) => old.source == new.source,
        _ => false,
    };
    same_kind && identity(old) == identity(new)
}

/// Can a ring of `old` go on as one of `new`?
pub(crate) fn same_queue(old: &Input, new: &Input) -> bool {
    let fed = (is_fed_by_nodes(old), is_fed_by_nodes(new));
    let same_kind = fed == (true, true) || (fed == (false, false) && old.source == new.source);
    same_kind && old.queue_size == new.queue_size && old.policy == new.policy
}

fn is_fed_by_nodes(input: &Input) -> bool {
    matches!(input.source, Source::Output { .. })
}

/// Plain data always is JSON.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{camera_and_two_readers, dataflow, input, node, output};

    fn names(flow: &Dataflow, of: impl IntoIterator<Item = usize>) -> Vec<String> {
        of.into_iter().map(|index| flow.nodes[index].id.to_string()).collect()
    }

    /// Added, removed, replaced, kept.
    fn found(old: &Dataflow, new: &Dataflow) -> [Vec<String>; 4] {
        let d = difference(old, new, &[]).unwrap();
        [
            names(new, d.added),
            names(old, d.removed),
            names(new, d.replaced.iter().map(|(_, new)| *new)),
            names(new, d.kept.iter().map(|(_, new)| *new)),
        ]
    }

    #[test]
    fn nodes_are_found_by_name_whatever_their_order() {
        let old = camera_and_two_readers();
        let mut new = dataflow(vec![node("new", "x"), old.nodes[0].clone(), old.nodes[1].clone()]);
        for input in new.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
            if let Source::Output { node, .. } = &mut input.source {
                *node = 1;
            }
        }
        let [added, removed, replaced, kept] = found(&old, &new);
        assert_eq!((added, removed), (vec!["new".to_owned()], vec!["b".to_owned()]));
        assert_eq!((replaced, kept), (vec![], vec!["camera".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn what_a_living_process_cannot_take_is_a_replacement() {
        type Edit = fn(&mut Node);
        // what changes about node `a`, needs a new process
        let table: [(&str, Edit, bool); 14] = [
            ("nothing", |_| {}, false),
            ("restart policy", |n| n.restart.max_restarts = 3, false),
            ("health check", |n| n.health_check_timeout = Some(Duration::from_secs(1)), false),
            ("place in the file", |n| n.at.line = 99, false),
            ("program", |n| n.kind = node("a", "y").kind, true),
            ("cores", |n| n.cpu_affinity = vec![1], true),
            ("outputs", |n| n.outputs.push(output("more")), true),
            ("log settings", |n| n.log.max_size = Some(5), true),
            ("another source", |n| n.inputs[1].source = Source::Output { node: 0, output: 1 }, false),
            ("fan-in", |n| n.inputs[1].more_sources = vec![Source::Output { node: 0, output: 1 }], false),
            ("a further input", |n| n.inputs.push(input("t2", Source::Timer { period_ns: 3 })), false),
            ("an input less", |n| drop(n.inputs.remove(1)), false),
            ("a timer less", |n| drop(n.inputs.remove(0)), true),
            ("queue", |n| n.inputs[1].queue_size = 77, true),
        ];
        let old = camera_and_two_readers();
        for (what, edit, needed) in table {
            let mut new = old.clone();
            edit(&mut new.nodes[1]);
            let [.., replaced, _] = found(&old, &new);
            assert_eq!(replaced.len(), usize::from(needed), "{what}");
        }
    }

    #[test]
    fn a_wanted_dataflow_that_makes_no_sense_is_refused_with_its_culprit() {
        let old = camera_and_two_readers();
        let mut twice = old.clone();
        twice.nodes.push(node("a", "x"));
        let mut dangling = old.clone();
        dangling.nodes[2].inputs[0].source = Source::Output { node: 7, output: 0 };
        let table =
            [(&twice, vec![], "two nodes `a`"), (&dangling, vec![], "`b/image`"), (&old, vec!["z"], "`z`")];
        for (new, replace, part) in table {
            let replace: Vec<_> = replace.into_iter().map(|id: &str| id.parse().unwrap()).collect();
            let error = difference(&old, new, &replace).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
