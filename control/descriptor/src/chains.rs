//! `chains`: bounds on the way from an output, through any number of nodes, to an input.
//!
//! ```yaml
//! chains:
//!   - { from: imu/sample, to: motor/torque, within: 2ms }
//! ```
//!
//! Both ends must exist, and there must be a way from the one to the other: otherwise the bound would hold for ever, because
//! nothing would ever be measured.

use std::collections::BTreeSet;

use dora_protocol::{
    dataflow::{Chain, Node, Source},
    policy::OnMiss,
};

use crate::{
    error::{About, At, Report},
    limits,
    raw::{RawChain, RawDataflow},
    suggest::{did_you_mean, listed, shown},
};

/// Per node: which of its outputs is read by which input of which node.
type Readers = Vec<Vec<(u32, (u32, u32))>>;

/// `warn` unless something else is written.
pub(crate) fn on_miss(written: Option<&At<String>>) -> OnMiss {
    match written.map(|at| at.value.as_str()) {
        Some("skip") => OnMiss::Skip,
        Some("stop") => OnMiss::Stop,
        _ => OnMiss::Warn,
    }
}

/// Binds both ends of every chain. What cannot be bound is reported and left out.
pub(crate) fn resolve(raw: &RawDataflow<'_>, nodes: &[Node], report: &mut Report) -> Vec<Chain> {
    if let Some(chain) = raw.chains.get(limits::CHAINS) {
        let about = About { node: None, field: Some("chains") };
        let message = format!("{} chains; a dataflow may have at most {}", raw.chains.len(), limits::CHAINS);
        report.error(chain.pos, about, message, &[]);
        return Vec::new();
    }
    if raw.chains.is_empty() {
        return Vec::new();
    }
    let readers = readers(nodes);
    raw.chains.iter().filter_map(|chain| resolved(chain, nodes, &readers, report)).collect()
}

fn readers(nodes: &[Node]) -> Readers {
    let mut readers = vec![Vec::new(); nodes.len()];
    for (reader, at) in nodes.iter().zip(0u32..) {
        for (input, position) in reader.inputs.iter().zip(0u32..) {
            for source in input.sources() {
                if let Source::Output { node, output } = *source
                    && let Some(of_node) = readers.get_mut(node as usize)
                {
                    of_node.push((output, (at, position)));
                }
            }
        }
    }
    readers
}

fn resolved(chain: &RawChain, nodes: &[Node], readers: &Readers, report: &mut Report) -> Option<Chain> {
    // What is missing or no duration was reported with the form of the file.
    let (from, to, within) = (chain.from.as_ref()?, chain.to.as_ref()?, chain.within.as_ref()?);
    let begin = end_of(from, "from", "output", nodes, report, |node| {
        node.outputs.iter().map(|output| output.id.as_str()).collect()
    });
    let end = end_of(to, "to", "input", nodes, report, |node| {
        node.inputs.iter().map(|input| input.id.as_str()).collect()
    });
    let (begin, end) = (begin?, end?);
    if !leads_to(readers, begin, end) {
        let about = About { node: None, field: Some("chains") };
        let message =
            format!("no way leads from output `{}` to input `{}`", shown(&from.value), shown(&to.value));
        let hint = "a chain follows the inputs of the nodes between its ends".to_owned();
        report.error(chain.pos, about, message, &[hint]);
        return None;
    }
    let name =
        chain.name.as_ref().map_or_else(|| format!("{} -> {}", from.value, to.value), |at| at.value.clone());
    Some(Chain { name, from: begin, to: end, within: within.value, on_miss: on_miss(chain.on_miss.as_ref()) })
}

/// `node/port` as indices of the node and of the port among `ports(node)`.
fn end_of<'n>(
    end: &At<String>,
    field: &str,
    noun: &str,
    nodes: &'n [Node],
    report: &mut Report,
    ports: impl Fn(&'n Node) -> Vec<&'n str>,
) -> Option<(u32, u32)> {
    let about = About { node: None, field: Some("chains") };
    let Some((name, port)) = end.value.split_once('/') else {
        let message = format!("`{field}: {}` is no `<node>/<{noun}>`", shown(&end.value));
        report.error(end.pos, about, message, &[]);
        return None;
    };
    let Some(index) = nodes.iter().position(|node| node.id == *name) else {
        let known: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let message = format!("node `{}` of the chain does not exist", shown(name));
        report.error(
            end.pos,
            about,
            message,
            &[
                did_you_mean(name, known.iter().copied()),
                format!("nodes: {}", listed(known.iter().copied().take(20))),
            ],
        );
        return None;
    };
    let ports = ports(&nodes[index]);
    let Some(position) = ports.iter().position(|known| *known == port) else {
        let known: BTreeSet<&str> = ports.into_iter().collect();
        let message = format!("{noun} `{}` does not exist on node `{name}`", shown(port));
        let all = format!("{noun}s of `{name}`: {}", listed(known.iter().copied().take(20)));
        report.error(end.pos, about, message, &[did_you_mean(port, known.iter().copied()), all]);
        return None;
    };
    Some((u32::try_from(index).ok()?, u32::try_from(position).ok()?))
}

/// Can what leaves this output end up at that input?
fn leads_to(readers: &Readers, (node, output): (u32, u32), end: (u32, u32)) -> bool {
    let fed_by = |node: u32, output: Option<u32>| {
        let all = readers.get(node as usize).into_iter().flatten();
        all.filter(move |(from, _)| output.is_none_or(|out| out == *from)).map(|&(_, input)| input)
    };
    let mut open: Vec<(u32, u32)> = fed_by(node, Some(output)).collect();
    let mut seen = vec![false; readers.len()];
    while let Some(input) = open.pop() {
        if input == end {
            return true;
        }
        if !std::mem::replace(&mut seen[input.0 as usize], true) {
            open.extend(fed_by(input.0, None));
        }
    }
    false
}
