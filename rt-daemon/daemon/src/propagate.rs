//! Telling the others: what a closed output, a dead reader, a failure or a broken edge means for the nodes around.

use std::collections::BTreeMap;

use dora_protocol::{dataflow::Source, log::LogLevel, node_link::ToNode};
use tokio::time::Instant;

use crate::{
    connect::carries_lines,
    edges::comes_from,
    node_state::{Due, Phase},
    supervisor::Supervisor,
};

impl Supervisor {
    /// An output will send no more. One that carries what the node prints goes on until all of that was read, whatever the node says.
    pub(crate) fn close_output(&mut self, node: usize, output: usize) {
        let prints = self.nodes[node].launch.is_some() && !self.nodes[node].is_ended();
        if prints && carries_lines(&self.dataflow.nodes[node], output) {
            return;
        }
        if std::mem::replace(&mut self.nodes[node].outputs_closed[output], true) {
            return;
        }
        let edges = self.wiring.edges_from(node, Some(output));
        let readers: Vec<_> = self.wiring.readers((node, output)).collect();
        for (reader, input) in readers {
            self.close_if_over(reader, input);
        }
        for id in edges {
            // Whoever reads from others as well is told of this edge alone; for all others the closed input says it.
            let Some(edge) = self.wiring.edges.get_mut(&id) else { continue };
            if self.nodes[edge.to.0].inputs_closed[edge.to.1] {
                edge.closed = true;
            } else {
                self.end_edge(id);
            }
        }
    }

    /// Closes an input when nothing that feeds it will send any more.
    pub(crate) fn close_if_over(&mut self, node: usize, input: usize) {
        if self.is_input_over(node, input) {
            self.close_input(node, input);
        }
    }

    fn close_input(&mut self, node: usize, input: usize) {
        if !std::mem::replace(&mut self.nodes[node].inputs_closed[input], true) {
            self.tell(node, ToNode::InputClosed { input: input as u32 });
        }
    }

    fn is_input_over(&self, node: usize, input: usize) -> bool {
        let plan = &self.wiring.nodes[node].inputs[input];
        plan.sources.iter().all(|source| self.is_source_over(source, (node, input)))
    }

    /// Which inputs of a node are closed, whether or not it was told.
    pub(crate) fn inputs_over(&self, node: usize) -> Vec<bool> {
        (0..self.wiring.nodes[node].inputs.len()).map(|input| self.is_input_over(node, input)).collect()
    }

    fn is_source_over(&self, source: &Source, to: (usize, usize)) -> bool {
        match source {
            Source::Timer { .. } => false,
            Source::Output { node, output } => {
                let (node, output) = (*node as usize, *output as usize);
                // One that wrote nonsense is not read any more.
                let edges = self.wiring.nodes[to.0].inputs[to.1].edges.iter();
                let latest = edges
                    .filter_map(|id| self.wiring.edges.get(id))
                    .rfind(|edge| edge.from == Some((node, output)));
                let broken = latest.is_some_and(|edge| edge.broken.is_some());
                broken || self.nodes[node].outputs_closed[output]
            }
            Source::Logs { node: Some(of), .. } => {
                let named = self.members().find(|node| self.dataflow.nodes[*node].id == *of);
                named.is_none_or(|node| self.nodes[node].is_ended())
            }
            // Nodes that listen to all others do not keep each other alive.
            Source::Logs { node: None, .. } => {
                self.members().all(|node| self.nodes[node].is_ended() || self.listens_to_all(node))
            }
        }
    }

    fn listens_to_all(&self, node: usize) -> bool {
        let inputs = &self.wiring.nodes[node].inputs;
        inputs.iter().flat_map(|i| &i.sources).any(|s| matches!(s, Source::Logs { node: None, .. }))
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
        self.close_log_inputs();
        self.forget_left_edges(node);
        for id in self.wiring.edges_to(node) {
            let from_itself = self.wiring.edges[&id].from.is_some_and(|(sender, _)| sender == node);
            if !from_itself && self.wiring.edges[&id].broken.is_none() {
                self.reader_gone(id);
            }
        }
        self.drop_extensions(node);
    }

    pub(crate) fn drop_extensions(&mut self, node: usize) {
        for dropped in self.extensions.node_ended(node) {
            self.tell(dropped.reader, ToNode::ExtensionDropped { ns: dropped.ns, keys: dropped.keys });
        }
    }

    fn tell_of_failure(&mut self, node: usize) {
        let Some(error) = self.nodes[node].error.clone() else { return };
        let id = self.dataflow.nodes[node].id.clone();
        let root = self.nodes[node].caused_by.clone().unwrap_or_else(|| id.to_string());
        let mut affected: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for reader in self.members().filter(|reader| *reader != node) {
            for (input, plan) in self.wiring.nodes[reader].inputs.iter().enumerate() {
                let fed = plan.sources.iter().any(|source| comes_from(source, node));
                if fed && !self.nodes[reader].inputs_closed[input] {
                    affected.entry(reader).or_default().push(input as u32);
                }
            }
        }
        for (reader, inputs) in affected {
            self.nodes[reader].upstream.get_or_insert_with(|| root.clone());
            self.tell(reader, ToNode::NodeFailed { node: id.clone(), error: error.clone(), inputs });
        }
    }

    /// A log input ends when all nodes that it listens to have ended.
    fn close_log_inputs(&mut self) {
        let mut over = Vec::new();
        for reader in self.members() {
            for (input, plan) in self.wiring.nodes[reader].inputs.iter().enumerate() {
                if plan.sources.iter().any(|s| matches!(s, Source::Logs { .. })) {
                    over.push((reader, input));
                }
            }
        }
        for (reader, input) in over {
            self.close_if_over(reader, input);
        }
    }

    /// Records an edge that was closed because one end wrote nonsense.
    pub(crate) fn edge_broken(
        &mut self,
        node: usize,
        input: Option<(u32, u32)>,
        output: Option<(u32, u32)>,
        reason: String,
    ) {
        let found = match (input, output) {
            (Some((input, number)), _) => {
                let edges = self.wiring.nodes[node].inputs.get(input as usize).map(|plan| plan.edges.clone());
                edges.into_iter().flatten().find(|id| self.wiring.edges[id].to_number == number)
            }
            (None, Some((output, number))) => {
                let edges = self.wiring.edges_from(node, Some(output as usize));
                edges.into_iter().find(|id| self.wiring.edges[id].number == number)
            }
            (None, None) => None,
        };
        let Some(id) = found else {
            // An edge that was folded meanwhile is no lie.
            let known = input.is_some_and(|(i, n)| self.had_edge(node, i, n)) || output.is_some();
            if !known {
                self.disconnect(node, format!("reported a broken edge that does not exist ({reason})"));
            }
            return;
        };
        let (reader, position) = self.wiring.edges[&id].to;
        let target = &self.dataflow.nodes[reader];
        let text = format!(
            "the edge from `{}` to `{}/{}` was closed: {reason}",
            self.wiring.edges[&id].from_name, target.id, target.inputs[position].id
        );
        if self.wiring.edges[&id].broken.is_none() {
            self.display.system(LogLevel::Warn, Some(&self.dataflow.nodes[node].id), text.clone());
            self.warnings.push(text);
        }
        self.wiring.edges.get_mut(&id).into_iter().for_each(|edge| edge.broken = Some(reason.clone()));
        self.close_if_over(reader, position);
        if self.wiring.edges[&id].from.is_some_and(|(sender, _)| sender != node) {
            self.reader_gone(id);
        }
    }

    fn had_edge(&self, node: usize, input: u32, number: u32) -> bool {
        self.wiring.nodes[node].inputs.get(input as usize).is_some_and(|plan| number < plan.next_number)
    }

    /// When one node is left whose last input has closed, it gets a limited time to finish.
    pub(crate) fn look_for_stragglers(&mut self) {
        let alive: Vec<_> = self.members().filter(|node| !self.nodes[*node].is_ended()).collect();
        let [last] = alive[..] else { return };
        let (node, state) = (&self.dataflow.nodes[last], &self.nodes[last]);
        let timers_count = !self.dataflow.exit_when_nodes_finish;
        let waits = state.dues.iter().any(|(_, due)| *due == Due::Straggler);
        let inputs = &self.wiring.nodes[last].inputs;
        if waits || state.stopping.is_some() || !state.lost_all_inputs(inputs, timers_count) {
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
        if self.nodes[node].phase == Phase::Done && !self.may_come_back(node) {
            self.close_all_outputs(node);
            self.look_for_stragglers();
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
