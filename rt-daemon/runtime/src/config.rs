//! From the configuration to a plan of numbers: ports, readers, and who feeds what.

use std::collections::BTreeMap;

use dora_protocol::{
    operator::{ENV_RUNTIME_CONFIG, Operator, RuntimeConfig},
    policy::QueuePolicy,
};
use dora_rt::operators::{Port, Reader};

use crate::error::RuntimeError;

/// Number of the input that closings and the stop come by.
pub(crate) const CONTROL: u32 = u32::MAX;

/// Reads what the daemon put into the environment.
pub(crate) fn from_env() -> Result<RuntimeConfig, RuntimeError> {
    let text = std::env::var(ENV_RUNTIME_CONFIG).map_err(|_| RuntimeError::NoConfig)?;
    serde_json::from_str(&text).map_err(RuntimeError::BadConfig)
}

/// Where a message from outside goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) operator: u32,
    pub(crate) input: u32,
    pub(crate) port: u32,
}

/// The wiring of a runtime in numbers.
#[derive(Debug, Default)]
pub(crate) struct Wiring {
    /// Per operator.
    pub(crate) ports: Vec<Vec<Port>>,
    /// Per output of the node: its operator, and its readers inside.
    pub(crate) outputs: Vec<(Option<u32>, Vec<Reader>)>,
    /// Per input of the node; `None` when no operator has it.
    pub(crate) entries: Vec<Option<Entry>>,
    /// Per operator and input: what feeds it and is still open.
    pub(crate) open: Vec<Vec<u32>>,
}

impl Wiring {
    pub(crate) fn new(config: &RuntimeConfig) -> Self {
        let mut wiring = Self {
            outputs: config.outputs.iter().map(|_| (None, Vec::new())).collect(),
            entries: vec![None; config.inputs.len()],
            ..Self::default()
        };
        for (number, operator) in (0u32..).zip(&config.operators) {
            for output in &operator.outputs {
                if let Some((owner, _)) = wiring.outputs.get_mut(output.output as usize) {
                    *owner = Some(number);
                }
            }
            wiring.operator(number, operator);
        }
        wiring
    }

    fn operator(&mut self, number: u32, operator: &Operator) {
        let (mut ports, mut open) = (Vec::new(), Vec::new());
        for (input, declared) in (0u32..).zip(&operator.inputs) {
            let keeps_all = declared.policy == QueuePolicy::Backpressure;
            let port = Port { input, limit: declared.policy.ring_limit(declared.queue_size), keeps_all };
            let mut feeds = 0;
            if let Some(outside) = declared.outside
                && let Some(entry) = self.entries.get_mut(outside as usize)
            {
                *entry = Some(Entry { operator: number, input, port: ports.len() as u32 });
                ports.push(port);
                feeds += 1;
            }
            for output in &declared.inside {
                if let Some((_, readers)) = self.outputs.get_mut(*output as usize) {
                    readers.push(Reader { operator: number, port: ports.len() as u32 });
                    ports.push(port);
                    feeds += 1;
                }
            }
            open.push(feeds);
        }
        let closings = 2 * operator.inputs.len() as u32 + 8;
        ports.push(Port { input: CONTROL, limit: closings, keeps_all: false });
        self.ports.push(ports);
        self.open.push(open);
    }

    /// The port that closings and the stop of an operator come by.
    pub(crate) fn control_port(&self, operator: u32) -> u32 {
        self.ports[operator as usize].len() as u32 - 1
    }

    /// Nothing will ever come at this operator again.
    pub(crate) fn is_cut_off(&self, operator: u32, declared: &Operator) -> bool {
        let open = &self.open[operator as usize];
        !open.is_empty()
            && open.iter().all(|open| *open == 0)
            && !declared.inputs.iter().any(|i| i.can_recover)
    }

    /// One source of an input ended. True when it was the last.
    pub(crate) fn closed(&mut self, operator: u32, input: u32) -> bool {
        let open = &mut self.open[operator as usize][input as usize];
        let was = std::mem::replace(open, open.saturating_sub(1));
        was == 1
    }

    /// Operators and inputs that outputs of `operator` lead to inside, once per edge.
    pub(crate) fn fed_by(&self, operator: u32) -> Vec<(u32, u32)> {
        let own = self.outputs.iter().filter(|(owner, _)| *owner == Some(operator));
        let readers = own.flat_map(|(_, readers)| readers);
        readers
            .map(|reader| (reader.operator, self.ports[reader.operator as usize][reader.port as usize].input))
            .collect()
    }
}

/// Names to numbers of the inputs of the node.
pub(crate) fn input_numbers(config: &RuntimeConfig) -> BTreeMap<String, u32> {
    config.inputs.iter().zip(0..).map(|(id, number)| (id.to_string(), number)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use dora_protocol::operator::{OperatorInput, OperatorOutput, OperatorSource};

    use super::*;

    pub(crate) fn operator(id: &str, inputs: Vec<(Option<u32>, Vec<u32>)>, outputs: &[u32]) -> Operator {
        let input = |(number, (outside, inside)): (usize, (Option<u32>, Vec<u32>))| OperatorInput {
            id: format!("i{number}").as_str().into(),
            outside,
            inside,
            can_recover: false,
            queue_size: 2,
            policy: QueuePolicy::DropOldest,
        };
        Operator {
            id: id.parse().unwrap(),
            at: Default::default(),
            source: OperatorSource::SharedLibrary { path: id.into() },
            sha256: None,
            inputs: inputs.into_iter().enumerate().map(input).collect(),
            outputs: outputs
                .iter()
                .map(|output| OperatorOutput {
                    id: format!("o{output}").as_str().into(),
                    output: *output,
                    max_message_bytes: None,
                })
                .collect(),
            budget_ns: None,
        }
    }

    pub(crate) fn config(operators: Vec<Operator>, inputs: usize, outputs: usize) -> RuntimeConfig {
        RuntimeConfig {
            node_id: "rt".parse().unwrap(),
            operators,
            inputs: (0..inputs).map(|n| format!("in{n}").as_str().into()).collect(),
            outputs: (0..outputs).map(|n| format!("out{n}").as_str().into()).collect(),
            cores: Vec::new(),
            wait: Default::default(),
        }
    }

    #[test]
    fn every_edge_has_a_port_and_every_operator_one_for_control() {
        let first = operator("a", vec![(Some(0), vec![])], &[0]);
        let second = operator("b", vec![(None, vec![0]), (Some(1), vec![0])], &[]);
        let wiring = Wiring::new(&config(vec![first, second], 2, 1));
        assert_eq!(wiring.ports[1].iter().map(|port| port.input).collect::<Vec<_>>(), [0, 1, 1, CONTROL]);
        assert_eq!(wiring.entries[1], Some(Entry { operator: 1, input: 1, port: 1 }));
        let readers = [Reader { operator: 1, port: 0 }, Reader { operator: 1, port: 2 }];
        assert_eq!(wiring.outputs[0], (Some(0), readers.to_vec()));
        assert_eq!(wiring.control_port(1), 3);
        assert_eq!(wiring.fed_by(0), [(1, 0), (1, 1)]);
    }

    #[test]
    fn an_input_is_closed_when_all_that_feeds_it_is() {
        let first = operator("a", vec![], &[0]);
        let second = operator("b", vec![(Some(0), vec![0])], &[]);
        let mut wiring = Wiring::new(&config(vec![first, second], 1, 1));
        assert!(!wiring.closed(1, 0));
        assert!(wiring.closed(1, 0));
        assert!(!wiring.closed(1, 0), "said once");
    }

    #[test]
    fn numbers_that_no_node_has_are_left_out() {
        let wiring = Wiring::new(&config(vec![operator("a", vec![(Some(9), vec![7])], &[5])], 0, 0));
        assert_eq!(wiring.ports[0].len(), 1);
    }
}
