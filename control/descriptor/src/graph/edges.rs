//! The arrows: one per source of every input, those between operators of one process included.

use dora_protocol::{
    dataflow::{Chain, Dataflow, Input, Node, NodeKind, Source},
    operator::{Operator, OperatorInput},
    policy::QueuePolicy,
};

use super::{ChainPath, Edge, source_name};
use crate::{
    load::Loaded,
    timing::{nanos, time},
};

/// From a source to a port.
pub(super) struct Arrow<'d> {
    /// Index of the node.
    pub(super) reader: usize,
    port: Port<'d>,
    pub(super) source: Source,
}

enum Port<'d> {
    /// An input of the node, with its index.
    Input(usize, &'d Input),
    /// An operator of the node reads what another one of the same node sends; the node itself has no such input.
    Inside(&'d Operator, &'d OperatorInput),
}

impl Arrow<'_> {
    /// Index of the input of the node.
    pub(super) fn input(&self) -> Option<usize> {
        match self.port {
            Port::Input(index, _) => Some(index),
            Port::Inside(..) => None,
        }
    }

    fn sender(&self) -> Option<(usize, u32)> {
        match self.source {
            Source::Output { node, output } => Some((node as usize, output)),
            _ => None,
        }
    }
}

/// All of them, in the order of the readers, and of the inputs of each; what stays inside of a node comes last.
pub(super) fn arrows(dataflow: &Dataflow) -> Vec<Arrow<'_>> {
    let mut all = Vec::new();
    for (reader, node) in dataflow.nodes.iter().enumerate() {
        for (index, input) in node.inputs.iter().enumerate() {
            let arrow =
                |source: &Source| Arrow { reader, port: Port::Input(index, input), source: source.clone() };
            all.extend(input.sources().map(arrow));
        }
        let NodeKind::Runtime { operators } = &node.kind else { continue };
        for operator in operators {
            for input in &operator.inputs {
                let arrow = |output: &u32| Arrow {
                    reader,
                    port: Port::Inside(operator, input),
                    source: Source::Output { node: reader as u32, output: *output },
                };
                all.extend(input.inside.iter().map(arrow));
            }
        }
    }
    all
}

/// What is drawn of an arrow between these vertices.
pub(super) fn edge(
    loaded: &Loaded,
    arrow: &Arrow<'_>,
    (from, to): (usize, usize),
    every: Option<String>,
) -> Edge {
    let nodes = &loaded.dataflow.nodes;
    let node = &nodes[arrow.reader];
    let notes = |node: &Node| loaded.annotations.of(node.id.as_str());
    let sender = arrow.sender().and_then(|(sender, output)| {
        let sender = nodes.get(sender)?;
        Some((sender, sender.outputs.get(output as usize).map(|o| o.id.to_string()).unwrap_or_default()))
    });
    let (input_id, queue_size, policy) = match arrow.port {
        Port::Input(_, input) => (input.id.to_string(), input.queue_size, input.policy),
        Port::Inside(operator, input) => {
            let several = notes(node).source == Some("operators");
            let id = if several { format!("{}/{}", operator.id, input.id) } else { input.id.to_string() };
            (id, input.queue_size, input.policy)
        }
    };
    let type_name = sender
        .as_ref()
        .and_then(|(sender, output)| notes(sender).output_types.get(output).cloned())
        .or_else(|| notes(node).input_types.get(&input_id).cloned());
    let split = |port: &str| match port.split_once('/') {
        Some((operator, port)) => (Some(operator.to_owned()), port.to_owned()),
        None => (None, port.to_owned()),
    };
    let (to_operator, input) = split(&input_id);
    let source = sender
        .as_ref()
        .map_or_else(|| source_name(&arrow.source), |(sender, output)| format!("{}/{output}", sender.id));
    let (from_operator, output) = sender.as_ref().map_or((None, String::new()), |(_, output)| split(output));
    let mut details = vec![("from".to_owned(), source), ("to".to_owned(), format!("{}/{input_id}", node.id))];
    let mut more =
        |name: &str, text: Option<String>| details.extend(text.map(|text| (name.to_owned(), text)));
    more("type", type_name.clone());
    more("comes every", every.clone());
    let (deadline, timeout) = match arrow.port {
        Port::Input(_, input) => (input.deadline, input.input_timeout),
        Port::Inside(..) => (None, None),
    };
    let deadline = deadline.map(|deadline| time(nanos(deadline)));
    more("deadline", deadline.clone());
    more("falls silent after", timeout.map(|timeout| time(nanos(timeout))));
    if sender.is_some() {
        let full = match policy {
            QueuePolicy::Backpressure => "the sender waits",
            QueuePolicy::DropOldest => "drops the oldest",
        };
        more("queue", Some(format!("{queue_size}, then {full}")));
    }
    let size = sender.as_ref().and_then(|(sender, output)| {
        let output = sender.outputs.iter().find(|o| o.id.as_str() == output)?;
        output.max_message_bytes
    });
    more("largest message", size.map(|bytes| format!("{bytes} bytes")));
    Edge { from, to, output, from_operator, input, to_operator, type_name, every, deadline, details }
}

/// Edges on any way from the begin of a chain to its end; indices as in [`arrows`].
pub(super) fn path(dataflow: &Dataflow, chain: &Chain) -> ChainPath {
    let arrows = arrows(dataflow);
    let nodes = dataflow.nodes.len();
    let (begin, end) = ((chain.from.0 as usize, chain.from.1), (chain.to.0 as usize, chain.to.1 as usize));
    let is_end = |arrow: &Arrow<'_>| arrow.reader == end.0 && arrow.input() == Some(end.1);
    let (mut ahead, mut behind) = (vec![false; nodes], vec![false; nodes]);
    // Nodes that a message of the chain reaches, and those from which its end is reached.
    loop {
        let before = (ahead.clone(), behind.clone());
        for arrow in &arrows {
            if let Some(from) = arrow.sender() {
                ahead[arrow.reader] |= from == begin || ahead[from.0];
                behind[from.0] |= is_end(arrow) || behind[arrow.reader];
            }
        }
        if before == (ahead.clone(), behind.clone()) {
            break;
        }
    }
    let on_it = |arrow: &Arrow<'_>| {
        arrow.sender().is_some_and(|from| {
            let starts = from == begin || (ahead[from.0] && from.0 != begin.0);
            starts && (is_end(arrow) || (behind[arrow.reader] && arrow.reader != end.0))
        })
    };
    let edges = arrows.iter().enumerate().filter(|(_, arrow)| on_it(arrow)).map(|(index, _)| index).collect();
    ChainPath { name: chain.name.clone(), within: time(nanos(chain.within)), edges }
}
