//! Remembers for each input whether it is closed and what came last.

use std::collections::{BTreeMap, HashMap};

use dora_arrow_codec::DoraArray;
use dora_protocol::{DataId, NodeId};

use crate::Event;

/// State of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputState {
    /// It delivers.
    Healthy,
    /// It is closed.
    Closed,
}

/// Keeps the state and the last value of each input, so that a node can go on with old data when a sender fails.
///
/// The last value stays in the sender's memory: one slot per input.
#[derive(Debug, Default)]
pub struct InputTracker {
    states: BTreeMap<DataId, InputState>,
    values: BTreeMap<DataId, DoraArray>,
    sources: HashMap<DataId, NodeId>,
}

impl InputTracker {
    /// A tracker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tracker that knows which node feeds which input: then the restart of a node makes its inputs healthy
    /// again.
    pub fn with_source_map(source_map: HashMap<DataId, NodeId>) -> Self {
        Self { sources: source_map, ..Self::default() }
    }

    /// Takes note of an event. True when the state of an input changed.
    pub fn process_event(&mut self, event: &Event) -> bool {
        match event {
            Event::Input { id, data, .. } => {
                self.values.insert(id.clone(), data.clone());
                self.set(id, InputState::Healthy)
            }
            Event::InputRecovered { id } => self.set(id, InputState::Healthy),
            Event::InputClosed { id } => self.set(id, InputState::Closed),
            Event::NodeFailed { affected_input_ids, .. } => affected_input_ids
                .iter()
                .fold(false, |changed, id| self.set(id, InputState::Closed) | changed),
            Event::NodeRestarted { id } => {
                let fed = self.sources.iter().filter(|(_, source)| *source == id);
                let fed: Vec<_> = fed.map(|(input, _)| input.clone()).collect();
                fed.iter().fold(false, |changed, id| self.set(id, InputState::Healthy) | changed)
            }
            _ => false,
        }
    }

    fn set(&mut self, id: &DataId, state: InputState) -> bool {
        self.states.insert(id.clone(), state) != Some(state)
    }

    /// State of an input; `None` when nothing was heard of it.
    pub fn state(&self, id: &DataId) -> Option<InputState> {
        self.states.get(id).copied()
    }

    /// Is this input closed?
    pub fn is_closed(&self, id: &DataId) -> bool {
        self.state(id) == Some(InputState::Closed)
    }

    /// What came last at this input; kept when it closes.
    pub fn last_value(&self, id: &DataId) -> Option<&DoraArray> {
        self.values.get(id)
    }

    /// The closed inputs, sorted by name.
    pub fn closed_inputs(&self) -> Vec<&DataId> {
        self.states.iter().filter(|(_, state)| **state == InputState::Closed).map(|(id, _)| id).collect()
    }

    /// Is any input closed?
    pub fn any_closed(&self) -> bool {
        self.states.values().any(|state| *state == InputState::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IntoArrow, hlc_for_tests, metadata::Metadata};

    fn input(id: &str, value: i64) -> Event {
        Event::Input { id: id.into(), metadata: Metadata::new(hlc_for_tests()), data: value.into_arrow() }
    }

    #[test]
    fn the_last_value_outlives_the_input() {
        let (mut tracker, id) = (InputTracker::new(), DataId::from("a"));
        assert!(tracker.process_event(&input("a", 1)));
        assert!(!tracker.process_event(&input("a", 2)), "it was healthy before");
        assert!(tracker.process_event(&Event::InputClosed { id: id.clone() }));
        assert!(tracker.is_closed(&id) && tracker.any_closed());
        assert_eq!(tracker.closed_inputs(), [&id]);
        assert_eq!(i64::try_from(tracker.last_value(&id).unwrap()).unwrap(), 2);
        assert!(tracker.process_event(&Event::InputRecovered { id: id.clone() }));
        assert_eq!(tracker.state(&id), Some(InputState::Healthy));
    }

    #[test]
    fn inputs_nobody_heard_of_have_no_state() {
        let tracker = InputTracker::new();
        assert_eq!(tracker.state(&"x".into()), None);
        assert!(!tracker.is_closed(&"x".into()) && tracker.last_value(&"x".into()).is_none());
    }

    #[test]
    fn a_failed_node_closes_its_inputs_and_its_restart_opens_those_it_is_known_for() {
        let camera: NodeId = "camera".parse().unwrap();
        let sources = HashMap::from([(DataId::from("image"), camera.clone())]);
        let mut tracker = InputTracker::with_source_map(sources);
        let failed = Event::NodeFailed {
            affected_input_ids: vec!["image".into(), "depth".into()],
            error: "exit code 1".into(),
            source_node_id: camera.clone(),
        };
        assert!(tracker.process_event(&failed));
        assert!(tracker.process_event(&Event::NodeRestarted { id: camera }));
        assert_eq!(tracker.state(&"image".into()), Some(InputState::Healthy));
        assert_eq!(tracker.state(&"depth".into()), Some(InputState::Closed));
    }
}
