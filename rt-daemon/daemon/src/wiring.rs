//! What each node is told of the wiring that `compile` made: all of it when it connects, and changes while it runs.
//!
//! Every mention of a descriptor in a frame has a number of its own, even where two name the same object: a node
//! can take each of them exactly once.

use std::{os::fd::OwnedFd, sync::Arc};

use dora_protocol::{
    dataflow::{Dataflow, Source},
    node_link::{
        ChainWiring, FdIndex, InputEdge, InputSource, InputWiring, NodeRunConfig, OutputEdge, OutputWiring,
        Setup, ToNode,
    },
};

use crate::compile::{EdgeId, EdgeWiring, Wiring};

/// Descriptors that ride on a frame.
#[derive(Default)]
pub(crate) struct Riders(pub(crate) Vec<Arc<OwnedFd>>);

impl Riders {
    fn give(&mut self, fd: &Arc<OwnedFd>) -> FdIndex {
        self.0.push(fd.clone());
        self.0.len() as FdIndex - 1
    }
}

/// A frame about the wiring, with its descriptors.
pub(crate) type Wired = (ToNode, Vec<Arc<OwnedFd>>);

impl Wiring {
    /// What node `index` is told when it connects, and the descriptors it is given. `rt`: are its scheduling wishes to be
    /// applied?
    pub(crate) fn setup(
        &self,
        dataflow: &Dataflow,
        index: usize,
        rt: bool,
        restart_count: u32,
    ) -> (Setup, Vec<Arc<OwnedFd>>) {
        let node = &dataflow.nodes[index];
        let own = &self.nodes[index];
        let mut riders = Riders::default();
        let (doorbell, eventfd) = (riders.give(&own.doorbell), riders.give(&own.eventfd));
        let status = riders.give(&own.status);
        let inputs = (0..own.inputs.len()).map(|i| self.input(dataflow, (index, i), &mut riders)).collect();
        let outputs =
            (0..own.outputs.len()).map(|o| self.output(dataflow, (index, o), &mut riders)).collect();
        let chains = own.chains.iter().map(|chain| ChainWiring {
            input: chain.input,
            origins: riders.give(&chain.origins),
            within_ns: u64::try_from(chain.key.within.as_nanos()).unwrap_or(u64::MAX),
            on_miss: chain.key.on_miss,
        });
        let chains = chains.collect();
        let attention = own.attention.as_ref().map(|fd| riders.give(fd));
        let setup = Setup {
            run: NodeRunConfig {
                dataflow_id: self.id(),
                node_id: node.id.clone(),
                inputs: node.inputs.iter().map(|i| i.id.clone()).collect(),
                outputs: node.outputs.iter().map(|o| o.id.clone()).collect(),
                restart_count,
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
        (setup, riders.0)
    }

    fn input(
        &self,
        dataflow: &Dataflow,
        (node, position): (usize, usize),
        riders: &mut Riders,
    ) -> InputWiring {
        let input = &dataflow.nodes[node].inputs[position];
        let plan = &self.nodes[node].inputs[position];
        let source = match plan.sources[..] {
            [Source::Timer { period_ns }] => InputSource::Timer { period_ns },
            _ => {
                let readable = plan.edges.iter().map(|e| &self.edges[e]).filter(|e| e.broken.is_none());
                let edges = readable.map(|edge| self.input_edge(dataflow, edge, riders)).collect();
                InputSource::Edges { edges }
            }
        };
        InputWiring {
            id: input.id.clone(),
            source,
            queue_size: input.queue_size,
            policy: input.policy,
            input_timeout_ns: input.input_timeout.map(|t| t.as_nanos() as u64),
            deadline_ns: input.deadline.map(|t| t.as_nanos() as u64),
            on_miss: input.on_miss,
        }
    }

    fn input_edge(&self, dataflow: &Dataflow, edge: &EdgeWiring, riders: &mut Riders) -> InputEdge {
        InputEdge {
            number: edge.to_number,
            sender: edge.from.map(|(node, _)| dataflow.nodes[node].id.clone()),
            edge: riders.give(&edge.fd),
            arena: riders.give(&edge.arena),
            closed: edge.closed,
        }
    }

    fn output(
        &self,
        dataflow: &Dataflow,
        (node, position): (usize, usize),
        riders: &mut Riders,
    ) -> OutputWiring {
        let output = &dataflow.nodes[node].outputs[position];
        let plan = &self.nodes[node].outputs[position];
        let arena = riders.give(&plan.write);
        let read = plan.edges.iter().map(|e| &self.edges[e]).filter(|e| e.is_open());
        OutputWiring {
            id: output.id.clone(),
            arena,
            max_message_bytes: output.max_message_bytes,
            depth: output.depth,
            edges: read.map(|edge| self.output_edge(dataflow, edge, riders)).collect(),
            origins: plan.origins.as_ref().map(|fd| riders.give(fd)),
        }
    }

    fn output_edge(&self, dataflow: &Dataflow, edge: &EdgeWiring, riders: &mut Riders) -> OutputEdge {
        let reader = &dataflow.nodes[edge.to.0];
        OutputEdge {
            number: edge.number,
            receiver: reader.id.clone(),
            input: reader.inputs[edge.to.1].id.clone(),
            edge: riders.give(&edge.fd),
            doorbell: riders.give(&self.nodes[edge.to.0].doorbell),
            eventfd: riders.give(&self.nodes[edge.to.0].eventfd),
        }
    }

    /// Tells a reader of a further edge.
    pub(crate) fn edge_added(&self, dataflow: &Dataflow, edge: EdgeId) -> Wired {
        let edge = &self.edges[&edge];
        let mut riders = Riders::default();
        let told = self.input_edge(dataflow, edge, &mut riders);
        (ToNode::EdgeAdded { input: edge.to.1 as u32, edge: told }, riders.0)
    }

    /// Tells a reader of a further input.
    pub(crate) fn input_added(&self, dataflow: &Dataflow, to: (usize, usize)) -> Wired {
        let mut riders = Riders::default();
        (ToNode::InputAdded { input: self.input(dataflow, to, &mut riders) }, riders.0)
    }

    /// Tells a sender of a further reader.
    pub(crate) fn reader_added(&self, dataflow: &Dataflow, edge: EdgeId) -> Option<Wired> {
        let edge = &self.edges[&edge];
        let (_, output) = edge.from?;
        let mut riders = Riders::default();
        let told = self.output_edge(dataflow, edge, &mut riders);
        Some((ToNode::ReaderAdded { output: output as u32, edge: told }, riders.0))
    }

    /// Edges that leave outputs of `node`, all of them or one.
    pub(crate) fn edges_from(&self, node: usize, output: Option<usize>) -> Vec<EdgeId> {
        let outputs = self.nodes[node].outputs.iter().enumerate();
        let wanted = outputs.filter(|(o, _)| output.is_none_or(|wanted| wanted == *o));
        wanted.flat_map(|(_, plan)| plan.edges.iter().copied()).collect()
    }

    /// Edges that lead to inputs of `node`.
    pub(crate) fn edges_to(&self, node: usize) -> Vec<EdgeId> {
        self.nodes[node].inputs.iter().flat_map(|plan| plan.edges.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use dora_protocol::DataflowId;

    use super::*;
    use crate::{compile::compile, testing::camera_and_two_readers};

    #[test]
    fn every_mention_of_a_descriptor_has_its_own_number() {
        let flow = camera_and_two_readers();
        let id = DataflowId::new_v4();
        let wiring = compile(&flow, id).unwrap();
        let (setup, fds) = wiring.setup(&flow, 0, false, 0);
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
        let (setup, _) = compile(&flow, id).unwrap().setup(&flow, 1, false, 0);
        assert!(matches!(setup.inputs[0].source, InputSource::Timer { period_ns: 7 }));
        match &setup.inputs[1].source {
            InputSource::Edges { edges } => assert_eq!(edges[0].sender.as_ref().unwrap(), "camera"),
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
        let (off, _) = wiring.setup(&flow, 0, false, 0);
        let (on, _) = wiring.setup(&flow, 0, true, 0);
        assert_eq!((off.rt.is_some(), on.rt.is_some()), (false, true));
        assert_eq!((off.wait, on.wait), (wait, wait));
    }
}
