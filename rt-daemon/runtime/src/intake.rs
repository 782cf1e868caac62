//! Events of the node library to the flow, and back.

use dora_node_api::{DoraNode, Event, TryRecvError};
use dora_protocol::{
    DataId,
    metadata::MetadataParameters,
    operator::{RuntimeConfig, STOP_ALL},
};
use dora_rt::operators::Operator;

use crate::{
    config::{self, Wiring},
    error::RuntimeError,
    hosted::Faults,
    message::{Item, Message, Values},
    run::{Driver, NodeSide, Settled},
};

/// Tags between two looks at what comes in, when operators keep each other busy.
const TURNS: usize = 64;

/// The sending half.
struct Familiar {
    node: DoraNode,
    outputs: Vec<DataId>,
    none: MetadataParameters,
}

impl NodeSide for Familiar {
    fn send(&mut self, output: u32, message: &Item) -> Result<(), String> {
        let Some(id) = self.outputs.get(output as usize) else { return Ok(()) };
        if !self.node.has_readers(id) {
            return Ok(());
        }
        let sent = match message {
            Item::Message(message) => match &message.values {
                Values::Array(array) => self.node.send_array_data(id, &message.parameters, array),
                Values::Flat(flat) => {
                    self.node.send_values(id, &message.parameters, flat.type_id, flat.bytes())
                }
            },
            Item::Flat(flat) => self.node.send_values(id, &self.none, flat.type_id, flat.bytes()),
            // Operators send nothing else.
            _ => Ok(()),
        };
        sent.map_err(|error| error.to_string())
    }

    fn has_readers(&mut self, output: u32) -> bool {
        self.outputs.get(output as usize).is_some_and(|id| self.node.has_readers(id))
    }

    fn close(&mut self, outputs: &[u32]) {
        let ids = outputs.iter().filter_map(|output| self.outputs.get(*output as usize).cloned());
        if let Err(error) = self.node.close_outputs(ids.collect()) {
            self.node.log_warn(&error.to_string());
        }
    }

    fn stop_all(&mut self, operator: &str) -> Result<(), String> {
        let asked = self.node.extension_request(STOP_ALL, operator.as_bytes().to_vec());
        asked.map(drop).map_err(|error| format!("it asked for the end of the dataflow: {error}"))
    }
}

/// Hosts operators of which at least one has the familiar functions.
pub(crate) fn run(
    config: RuntimeConfig,
    wiring: Wiring,
    operators: Vec<(u32, Box<dyn Operator<Item>>)>,
    faults: Faults,
) -> Result<(), RuntimeError> {
    let numbers = config::input_numbers(&config);
    let (node, mut events) = DoraNode::init_from_env()?;
    let familiar = Familiar { node, outputs: config.outputs.clone(), none: MetadataParameters::new() };
    let mut driver = Driver::new(familiar, config, wiring, operators, faults)?;
    driver.start_threads()?;
    loop {
        let event = match driver.settle(TURNS)? {
            Settled::Done => break,
            Settled::Idle => events.recv(),
            Settled::Busy => match events.try_recv() {
                Err(TryRecvError::Empty) => continue,
                event => event.ok(),
            },
        };
        let Some(event) = event else { break };
        let number = |id: &DataId| numbers.get(id.as_str()).copied();
        match event {
            Event::Input { id, metadata, data } => {
                let values = Values::Array(dora_arrow_codec::internal::to_data(&data));
                if let Some(input) = number(&id) {
                    driver.take(input, Item::Message(Message::new(values, metadata.parameters)));
                }
            }
            Event::InputClosed { id } => number(&id).into_iter().for_each(|input| driver.closed(input)),
            Event::InputRecovered { id } => number(&id).into_iter().for_each(|input| driver.recovered(input)),
            Event::Error(why) => {
                let at = numbers.iter().find(|(id, _)| why.contains(&format!("input `{id}`")));
                match at {
                    Some((_, input)) => driver.unreadable(*input, &why),
                    None => driver.node.node.log_warn(&why),
                }
            }
            // What is queued still comes; the operators are told when it has been.
            Event::Stop(_) => {}
            other => driver.node.node.log_debug(&format!("{other:?}")),
        }
    }
    driver.finish()
}
