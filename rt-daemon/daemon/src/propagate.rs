//! Telling the others: what a closed output, a dead reader, a failure or a broken edge means for the nodes around.

use std::collections::BTreeMap;

use dora_protocol::{dataflow::Source, log::LogLevel, node_link::ToNode};
use tokio::time::Instant;

use crate::{
    node_state::{Due, NodeState, Phase},
    supervisor::Supervisor,
};

impl Supervisor {
    /// An output will send no more.
    pub(crate) fn close_output(&mut self, node: usize, output: usize) {
        if std::mem::replace(&mut self.nodes[node].outputs_closed[output], true) {
            return;
        }
        let readers: Vec<_> = self.wiring.edges_from(node, Some(output)).map(|e| e.to).collect();
        for (reader, input) in readers {
            self.close_input(reader, input);
        }
    }

    fn close_input(&mut self, node: usize, input: usize) {
        if !std::mem::replace(&mut self.nodes[node].inputs_closed[input], true) {
            self.tell(node, ToNode::InputClosed { input: input as u32 });
        }
    }

    pub(crate) fn close_all_outputs(&mut self, node: usize) {
        for output in 0..self.nodes[node].outputs_closed.len() {
            self.close_output(node, output);
        }
    }

    /// The node is gone: its readers learn how, its senders take back what it held.
    pub(crate) fn propagate_end(&mut self, node: usize) {
        self.tell_of_failure(node);
        self.close_all_outputs(node);
        // Outputs that carry the node's printed lines are sent by the daemon.
        for (reader, input) in self.inputs_fed_by(node) {
            self.close_input(reader, input);
        }
        self.close_log_inputs();
        let senders: Vec<_> =
            self.wiring.edges_to(node).filter_map(|e| e.from.map(|(n, o)| (n, o, e.number))).collect();
        for (sender, output, edge) in senders {
            if sender != node {
                self.tell(sender, ToNode::ReaderGone { output: output as u32, edge });
            }
        }
        self.feeds.reader_gone(node);
        for dropped in self.extensions.node_ended(node) {
            self.tell(dropped.reader, ToNode::ExtensionDropped { ns: dropped.ns, keys: dropped.keys });
        }
    }

    fn tell_of_failure(&mut self, node: usize) {
        let Some(error) = self.nodes[node].error.clone() else { return };
        let id = self.dataflow.nodes[node].id.clone();
        let root = self.nodes[node].caused_by.clone().unwrap_or_else(|| id.to_string());
        let mut affected: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (reader, input) in self.inputs_fed_by(node) {
            if reader != node && !self.nodes[reader].inputs_closed[input] {
                affected.entry(reader).or_default().push(input as u32);
            }
        }
        for (reader, inputs) in affected {
            self.nodes[reader].upstream.get_or_insert_with(|| root.clone());
            self.tell(reader, ToNode::NodeFailed { node: id.clone(), error: error.clone(), inputs });
        }
    }

    /// All inputs that name an output of `node` as their source, whoever really sends on it.
    fn inputs_fed_by(&self, node: usize) -> Vec<(usize, usize)> {
        let of = |source: &Source| matches!(source, Source::Output { node: n, .. } if *n as usize == node);
        let inputs = |(index, n): (usize, &dora_protocol::dataflow::Node)| {
            let fed: Vec<_> =
                n.inputs.iter().enumerate().filter(|(_, i)| of(&i.source)).map(|(i, _)| (index, i)).collect();
            fed
        };
        self.dataflow.nodes.iter().enumerate().flat_map(inputs).collect()
    }

    /// A log input ends when all nodes that it listens to have ended. Nodes that listen to all others do not keep
    /// each other alive.
    fn close_log_inputs(&mut self) {
        let listens_to_all = |n: &dora_protocol::dataflow::Node| {
            n.inputs.iter().any(|i| matches!(i.source, Source::Logs { node: None, .. }))
        };
        let flow = self.dataflow.clone();
        let ended = |s: &Self, index: usize| s.nodes[index].is_ended();
        let others_ended = (0..flow.nodes.len()).all(|i| ended(self, i) || listens_to_all(&flow.nodes[i]));
        for (reader, node) in flow.nodes.iter().enumerate() {
            for (position, input) in node.inputs.iter().enumerate() {
                let over = match &input.source {
                    Source::Logs { node: None, .. } => others_ended,
                    Source::Logs { node: Some(of), .. } => {
                        flow.nodes.iter().position(|n| n.id == *of).is_none_or(|i| ended(self, i))
                    }
                    _ => false,
                };
                if over {
                    self.close_input(reader, position);
                }
            }
        }
    }

    /// Records an edge that was closed because one end wrote nonsense.
    pub(crate) fn edge_broken(
        &mut self,
        node: usize,
        input: Option<u32>,
        output: Option<(u32, u32)>,
        reason: String,
    ) {
        let found = match (input, output) {
            (Some(input), _) => self.wiring.nodes[node].inputs.get(input as usize).copied().flatten(),
            (None, Some((output, number))) => self
                .wiring
                .edges
                .iter()
                .position(|e| e.from == Some((node, output as usize)) && e.number == number),
            (None, None) => None,
        };
        let Some(edge) = found else {
            return self.disconnect(node, format!("reported a broken edge that does not exist ({reason})"));
        };
        let (reader, position) = self.wiring.edges[edge].to;
        let target = &self.dataflow.nodes[reader];
        let text = format!(
            "the edge from `{}` to `{}/{}` was closed: {reason}",
            self.wiring.edges[edge].from_name, target.id, target.inputs[position].id
        );
        if self.broken[edge].is_none() {
            self.display.system(LogLevel::Warn, Some(&self.dataflow.nodes[node].id), text.clone());
            self.warnings.push(text);
            self.broken[edge] = Some(reason);
        }
        self.close_input(reader, position);
        if let Some((sender, output)) = self.wiring.edges[edge].from.filter(|(sender, _)| *sender != node) {
            let edge = self.wiring.edges[edge].number;
            self.tell(sender, ToNode::ReaderGone { output: output as u32, edge });
        }
    }

    /// When one node is left whose last input has closed, it gets a limited time to finish.
    pub(crate) fn look_for_stragglers(&mut self) {
        let mut alive = self.nodes.iter().enumerate().filter(|(_, n)| !n.is_ended());
        let (Some((last, state)), None) = (alive.next(), alive.next()) else { return };
        let node = &self.dataflow.nodes[last];
        let timers_count = !self.dataflow.exit_when_nodes_finish;
        let waits = state.dues.iter().any(|(_, due)| *due == Due::Straggler);
        if waits || state.stopping.is_some() || !state.lost_all_inputs(node, timers_count) {
            return;
        }
        if let Some(grace) =
            finish_grace(node.finish_grace, std::env::var("DORA_FINISH_DRAIN_GRACE_SECS").ok())
        {
            self.nodes[last].set_due(Instant::now() + grace, Due::Straggler);
        }
    }

    /// The last point where the first is allowed to be wrong: a node that said `Done` and lingers.
    pub(crate) fn done_lingers(&mut self, node: usize) {
        if self.nodes[node].phase == Phase::Done {
            self.close_all_outputs(node);
            self.look_for_stragglers();
        }
    }

    /// Dynamic nodes are not started in a one-shot run and cannot join it.
    pub(crate) fn absent_nodes(&mut self) {
        let absent: Vec<usize> = (0..self.nodes.len())
            .filter(|i| self.dataflow.nodes[*i].kind == dora_protocol::dataflow::NodeKind::Dynamic)
            .filter(|i| !NodeState::is_ended(&self.nodes[*i]))
            .collect();
        for node in absent {
            let id = self.dataflow.nodes[node].id.clone();
            let text = format!(
                "node `{id}` is `path: dynamic`: it is not started and cannot join here, so its outputs are closed"
            );
            self.display.system(LogLevel::Warn, Some(&id), text.clone());
            self.warnings.push(text);
            self.never_started(node, None);
        }
    }
}

/// How long a straggler may take: the node's own wish, the machine's, or two minutes. `None`: for ever.
fn finish_grace(
    of_node: Option<std::time::Duration>,
    of_machine: Option<String>,
) -> Option<std::time::Duration> {
    use std::time::Duration;
    let default = Duration::from_secs(120);
    of_node.map(Some).unwrap_or_else(|| match of_machine.as_deref().map(str::trim) {
        None | Some("") => Some(default),
        Some("off" | "disabled") => None,
        Some(seconds) => {
            Some(seconds.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(default))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::finish_grace;

    #[test]
    fn the_nodes_own_finish_grace_wins_over_the_machines() {
        let s = Duration::from_secs;
        let table = [
            (Some(s(3)), Some("off"), Some(s(3))),
            (None, Some("off"), None),
            (None, Some("disabled"), None),
            (None, Some("7"), Some(s(7))),
            (None, Some("nonsense"), Some(s(120))),
            (None, Some("-1"), Some(s(120))),
            (None, None, Some(s(120))),
        ];
        for (node, machine, expected) in table {
            assert_eq!(finish_grace(node, machine.map(String::from)), expected, "{node:?} {machine:?}");
        }
    }
}
