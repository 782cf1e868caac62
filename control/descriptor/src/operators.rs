//! Operators of a runtime node: what each of them loads, and which of its edges stay inside the process.
//!
//! Until types and annotations are checked the node has the inputs of all its operators, as any node. Then
//! [`keep_inside`] takes those away that an operator of the same node feeds: the daemon never hears of them.

use std::collections::BTreeSet;

use dora_protocol::{
    DataId, OperatorId,
    dataflow::{Dataflow, Input, Node, NodeKind, Source},
    operator::{Operator, OperatorInput, OperatorOutput, OperatorSource},
};

use crate::{
    check::operators as check,
    error::{About, Pos, Report},
    raw::{self, RawNode, RawOperator},
    resolve::prefixed,
};

/// Name of a single `operator` without an id.
pub(crate) const SINGLE: &str = "op";

/// The kind of a node that hosts operators, still without their ports. `None` for other nodes, and for those whose
/// operators are malformed, which was reported.
pub(crate) fn kind(node: &RawNode<'_>, about: About<'_>, report: &mut Report) -> Option<NodeKind> {
    if node.operators.is_empty() {
        return None;
    }
    let operators: Vec<Operator> =
        node.operators.iter().filter_map(|operator| without_ports(operator, report)).collect();
    let python = |operator: &Operator| matches!(operator.source, OperatorSource::Python { .. });
    if operators.iter().any(python) && !operators.iter().all(python) {
        let hint =
            "put the Python operators into a runtime node of their own; an edge between the two is the same";
        let message = "Python and native operators cannot share a process";
        report.error(node.pos_of("operators"), about, message, &[hint.to_owned()]);
    }
    Some(NodeKind::Runtime { operators })
}

fn without_ports(operator: &RawOperator<'_>, report: &Report) -> Option<Operator> {
    let source = match check::python(operator) {
        Some(source) => OperatorSource::Python {
            source: source.value,
            conda_env: check::conda_env(operator).map(|name| name.value),
        },
        None => OperatorSource::SharedLibrary { path: check::library(operator)?.value },
    };
    let id = operator.id.as_ref().map_or(SINGLE, |id| &id.value);
    Some(Operator {
        id: id.parse().unwrap_or_else(|_| OperatorId::from("invalid".to_owned())),
        at: report.location(operator.yaml.pos),
        source,
        sha256: raw::text(operator.yaml, "path_sha256").map(|digest| digest.value.to_ascii_lowercase()),
        inputs: Vec::new(),
        outputs: Vec::new(),
        budget_ns: None,
    })
}

/// Gives the operators their ports, and takes from the nodes the inputs that only their own operators feed.
pub(crate) fn keep_inside(raw: &raw::RawDataflow<'_>, dataflow: &mut Dataflow, report: &mut Report) {
    for ((index, node), written) in (0u32..).zip(&mut dataflow.nodes).zip(&raw.nodes) {
        if !matches!(node.kind, NodeKind::Runtime { .. }) {
            continue;
        }
        let moved = split(index, node, written, report);
        for chain in dataflow.chains.iter_mut().filter(|chain| chain.to.0 == index) {
            match moved.get(chain.to.1 as usize) {
                Some(Some(position)) => chain.to.1 = *position,
                _ => {
                    let name = &chain.name;
                    let message =
                        format!("chain `{name}` ends at an edge inside the runtime node `{}`", node.id);
                    let hint = "let it end where the message leaves the runtime, or give that operator a runtime of its own";
                    let about = About { node: None, field: Some("chains") };
                    report.error(
                        raw.yaml.entry("chains").map_or(Pos::default(), |(key, _)| key.pos),
                        about,
                        message,
                        &[hint.to_owned()],
                    );
                }
            }
        }
    }
}

/// Where each input of the node went; `None`: it stays inside.
fn split(index: u32, node: &mut Node, written: &RawNode<'_>, report: &mut Report) -> Vec<Option<u32>> {
    let several = written.has("operators");
    let mut all: Vec<Option<Input>> = std::mem::take(&mut node.inputs).into_iter().map(Some).collect();
    let mut moved = vec![None; all.len()];
    let Node { kind: NodeKind::Runtime { operators }, inputs, outputs, log, .. } = node else { return moved };
    let printed = [log.stdout_as.as_ref(), log.logs_as.as_ref()];
    let printed: Vec<bool> = outputs.iter().map(|output| printed.contains(&Some(&output.id))).collect();
    let numbered = |id: &str| (0u32..).zip(outputs.iter()).find(|(_, output)| output.id.as_str() == id);
    let mut seen = BTreeSet::new();
    for (operator, raw) in operators.iter_mut().zip(&written.operators) {
        let prefix = raw.id.as_ref().map(|id| id.value.as_str()).filter(|_| several);
        for name in raw.ports.outputs.iter().filter(|name| seen.insert(prefixed(prefix, &name.value))) {
            let Some((output, resolved)) = numbered(&prefixed(prefix, &name.value)) else { continue };
            let max_message_bytes = resolved.max_message_bytes;
            operator.outputs.push(OperatorOutput {
                id: DataId::from(name.value.as_str()),
                output,
                max_message_bytes,
            });
        }
        for port in &raw.ports.inputs {
            let name = prefixed(prefix, &port.name.value);
            let found =
                all.iter().position(|input| input.as_ref().is_some_and(|input| input.id == *name.as_str()));
            let Some((position, input)) = found.and_then(|at| Some((at, all[at].take()?))) else { continue };
            let limits = [input.deadline.map(nanos), period(&input)].into_iter().flatten();
            operator.budget_ns = limits.chain(operator.budget_ns).min();
            let id = DataId::from(port.name.value.as_str());
            let (queue_size, policy) = (input.queue_size, input.policy);
            let can_recover = input.input_timeout.is_some();
            let (inside, outside) = divide(index, input, port.name.pos, written, report);
            if inside.iter().any(|output| printed[*output as usize]) {
                own_lines(&name, port.name.pos, written, report);
            }
            let outside = outside.map(|input| {
                inputs.push(input);
                inputs.len() as u32 - 1
            });
            moved[position] = outside;
            operator.inputs.push(OperatorInput { id, outside, inside, can_recover, queue_size, policy });
        }
    }
    moved
}

/// The outputs of the same node that feed an input, and the input without them.
fn divide(
    index: u32,
    mut input: Input,
    pos: Pos,
    node: &RawNode<'_>,
    report: &mut Report,
) -> (Vec<u32>, Option<Input>) {
    let own = |source: &Source| match *source {
        Source::Output { node, output } if node == index => Some(output),
        _ => None,
    };
    let inside: Vec<u32> = input.sources().filter_map(own).collect();
    let mut outside =
        input.sources().filter(|source| own(source).is_none()).cloned().collect::<Vec<_>>().into_iter();
    let Some(first) = outside.next() else {
        if input.deadline.is_some() || input.input_timeout.is_some() {
            let about = About { node: Some(node.name()), field: Some(input.id.as_str()) };
            let message =
                "`deadline` and `input_timeout` have no effect on an edge between operators of one process";
            report.warn(pos, about, message, &[]);
        }
        return (inside, None);
    };
    (input.source, input.more_sources) = (first, outside.collect());
    (inside, Some(input))
}

/// What a process prints would come back to it, and what it prints about that, too.
fn own_lines(input: &str, pos: Pos, node: &RawNode<'_>, report: &mut Report) {
    let about = About { node: Some(node.name()), field: Some(input) };
    let message = "reads what its own process prints (`send_stdout_as`, `send_logs_as`)";
    let hint = "read it in another node: operators of one node share what they print".to_owned();
    report.error(pos, about, message, &[hint]);
}

fn period(input: &Input) -> Option<u64> {
    match input.source {
        Source::Timer { period_ns } => Some(period_ns),
        _ => None,
    }
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
