//! What each node is told of the wiring that `compile` made, and who is connected to whom.
//!
//! Every mention of a descriptor in a set-up has a number of its own, even where two name the same object: a node
//! can take each of them exactly once.

use std::{os::fd::OwnedFd, sync::Arc};

use dora_protocol::{
    DataflowId,
    dataflow::{self, Dataflow, Input, Source},
    node_link::{
        ChainWiring, FdIndex, InputSource, InputWiring, NodeRunConfig, OutputEdge, OutputWiring, Setup,
    },
};

use crate::compile::{EdgeWiring, Wiring};

impl Wiring {
    /// What node `index` is told, and the descriptors it is given. `rt`: are its scheduling wishes to be applied?
    pub(crate) fn setup(
        &self,
        dataflow: &Dataflow,
        index: usize,
        id: DataflowId,
        rt: bool,
    ) -> (Setup, Vec<Arc<OwnedFd>>) {
        let node = &dataflow.nodes[index];
        let own = &self.nodes[index];
        let mut fds = Vec::new();
        let mut give = |fd: &Arc<OwnedFd>| -> FdIndex {
            fds.push(fd.clone());
            fds.len() as FdIndex - 1
        };
        let (doorbell, eventfd, status) = (give(&own.doorbell), give(&own.eventfd), give(&own.status));
        let inputs = node
            .inputs
            .iter()
            .zip(&own.inputs)
            .map(|(input, edge)| InputWiring {
                id: input.id.clone(),
                source: self.input_source(dataflow, input, *edge, &mut give),
                queue_size: input.queue_size,
                policy: input.policy,
                input_timeout_ns: input.input_timeout.map(|t| t.as_nanos() as u64),
                deadline_ns: input.deadline.map(|t| t.as_nanos() as u64),
                on_miss: input.on_miss,
            })
            .collect();
        let outputs = node
            .outputs
            .iter()
            .zip(&own.outputs)
            .map(|(output, plan)| OutputWiring {
                id: output.id.clone(),
                arena: give(&plan.write),
                max_message_bytes: output.max_message_bytes,
                depth: output.depth,
                edges: plan.edges.iter().map(|e| self.output_edge(dataflow, *e, &mut give)).collect(),
                origins: plan.origins.as_ref().map(&mut give),
            })
            .collect();
        let chains = own.chains.iter().filter_map(|chain| {
            let dataflow::Chain { from, to, within, on_miss, .. } = dataflow.chains.get(*chain)?;
            let begin = &self.nodes[from.0 as usize].outputs[from.1 as usize];
            let origins = give(begin.origins.as_ref()?);
            let within_ns = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
            Some(ChainWiring { input: to.1, origins, within_ns, on_miss: *on_miss })
        });
        let chains = chains.collect();
        let attention = own.attention.as_ref().map(&mut give);
        let setup = Setup {
            run: NodeRunConfig {
                dataflow_id: id,
                node_id: node.id.clone(),
                inputs: node.inputs.iter().map(|i| i.id.clone()).collect(),
                outputs: node.outputs.iter().map(|o| o.id.clone()).collect(),
                restart_count: 0,
            },
            doorbell,
            eventfd,
            status,
            inputs,
            outputs,
            chains,
            attention,
            exit_when_nodes_finish: dataflow.exit_when_nodes_finish,
            rt: node.rt.clone().filter(|_| rt),
            wait: node.rt.as_ref().map(|rt| rt.wait).unwrap_or_default(),
            descriptor: dataflow.descriptor.clone(),
        };
        (setup, fds)
    }

    fn input_source(
        &self,
        dataflow: &Dataflow,
        input: &Input,
        edge: Option<usize>,
        give: &mut impl FnMut(&Arc<OwnedFd>) -> FdIndex,
    ) -> InputSource {
        match (edge.map(|e| &self.edges[e]), &input.source) {
            (Some(edge), source) => {
                let sender = match source {
                    Source::Output { node, .. } => Some(dataflow.nodes[*node as usize].id.clone()),
                    _ => None,
                };
                InputSource::Edge { sender, edge: give(&edge.fd), arena: give(&edge.arena) }
            }
            (None, Source::Timer { period_ns }) => InputSource::Timer { period_ns: *period_ns },
            (None, _) => unreachable!("`compile` gives an edge to everything that is no timer"),
        }
    }

    fn output_edge(
        &self,
        dataflow: &Dataflow,
        edge: usize,
        give: &mut impl FnMut(&Arc<OwnedFd>) -> FdIndex,
    ) -> OutputEdge {
        let edge = &self.edges[edge];
        let reader = &dataflow.nodes[edge.to.0];
        OutputEdge {
            number: edge.number,
            receiver: reader.id.clone(),
            input: reader.inputs[edge.to.1].id.clone(),
            edge: give(&edge.fd),
            doorbell: give(&self.nodes[edge.to.0].doorbell),
            eventfd: give(&self.nodes[edge.to.0].eventfd),
        }
    }

    /// Edges that leave outputs of `node`, all of them or one.
    pub(crate) fn edges_from(&self, node: usize, output: Option<usize>) -> impl Iterator<Item = &EdgeWiring> {
        self.edges.iter().filter(move |e| {
            e.from.is_some_and(|(n, o)| n == node && output.is_none_or(|wanted| wanted == o))
        })
    }

    /// Edges that lead to inputs of `node`.
    pub(crate) fn edges_to(&self, node: usize) -> impl Iterator<Item = &EdgeWiring> {
        self.edges.iter().filter(move |e| e.to.0 == node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compile::compile, testing::camera_and_two_readers};

    #[test]
    fn every_mention_of_a_descriptor_has_its_own_number() {
        let flow = camera_and_two_readers();
        let id = DataflowId::new_v4();
        let wiring = compile(&flow, id).unwrap();
        let (setup, fds) = wiring.setup(&flow, 0, id, false);
        let mut mentioned = vec![setup.doorbell, setup.eventfd, setup.status];
        for output in &setup.outputs {
            mentioned.push(output.arena);
            mentioned.extend(output.edges.iter().flat_map(|e| [e.edge, e.doorbell, e.eventfd]));
        }
        mentioned.sort();
        assert_eq!(mentioned, (0..fds.len() as u32).collect::<Vec<_>>());
        let readers: Vec<_> = setup.outputs[0]
            .edges
            .iter()
            .map(|e| (e.number, e.receiver.as_str(), e.input.as_str()))
            .collect();
        assert_eq!(readers, [(0, "a", "image"), (1, "b", "image")]);
        assert!(setup.outputs[1].edges.is_empty());
    }

    #[test]
    fn inputs_keep_their_order_and_know_their_source() {
        let flow = camera_and_two_readers();
        let id = DataflowId::new_v4();
        let (setup, _) = compile(&flow, id).unwrap().setup(&flow, 1, id, false);
        assert!(matches!(setup.inputs[0].source, InputSource::Timer { period_ns: 7 }));
        match &setup.inputs[1].source {
            InputSource::Edge { sender, .. } => assert_eq!(sender.as_ref().unwrap(), "camera"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scheduling_wishes_are_told_only_when_they_shall_be_applied() {
        let mut flow = camera_and_two_readers();
        let wait = dora_protocol::rt::WaitPolicy::Spin;
        flow.nodes[0].rt = Some(dora_protocol::rt::RtSettings { wait, ..Default::default() });
        let id = DataflowId::new_v4();
        let wiring = compile(&flow, id).unwrap();
        let (off, _) = wiring.setup(&flow, 0, id, false);
        let (on, _) = wiring.setup(&flow, 0, id, true);
        assert_eq!((off.rt.is_some(), on.rt.is_some()), (false, true));
        assert_eq!((off.wait, on.wait), (wait, wait));
    }
}
