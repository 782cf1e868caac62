//! The JSON of a recording: what a node received, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use dora_protocol::{DataId, NodeId, metadata::MetadataParameters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a node receives in a test. Most fields are those of the node in a descriptor, so that one can be copied here;
/// only `id`, `outputs` and `events` have an effect.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegrationTestInput {
    /// Name of the node.
    pub id: NodeId,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the node is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// Environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, Value>>,
    /// Outputs. When there are some, others are undeclared; when there are none, anything may be sent.
    #[serde(default)]
    pub outputs: BTreeSet<DataId>,
    /// Inputs and where they come from.
    #[serde(default)]
    pub inputs: BTreeMap<DataId, Value>,
    /// Output for printed lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_stdout_as: Option<String>,
    /// What happens, in this order.
    pub events: Vec<TimedIncomingEvent>,
    /// Whether the recording is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_status: Option<Box<RecordingStatus>>,
}

impl IntegrationTestInput {
    /// A test of nothing but events.
    pub fn new(id: NodeId, events: Vec<TimedIncomingEvent>) -> Self {
        Self {
            id,
            name: None,
            description: None,
            args: None,
            env: None,
            outputs: BTreeSet::new(),
            inputs: BTreeMap::new(),
            send_stdout_as: None,
            events,
            recording_status: None,
        }
    }
}

/// Whether a recording holds everything that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RecordingStatus {
    /// It does.
    Clean,
    /// Some events are missing.
    Poisoned {
        /// Position in the run of the first that is missing.
        first_failure_event_index: usize,
        /// When that was, in seconds since the start.
        first_failure_time_offset_secs: f64,
        /// Why it is missing.
        first_failure_error: String,
        /// How many more are missing.
        additional_failures: u64,
    },
}

/// An event and its time.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedIncomingEvent {
    /// Seconds since the node started. An event never comes before this time.
    pub time_offset_secs: f64,
    /// What happens.
    #[serde(flatten)]
    pub event: IncomingEvent,
}

/// What can happen in a test.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum IncomingEvent {
    /// The user stops the dataflow.
    Stop,
    /// A message comes.
    Input {
        /// At which input.
        id: DataId,
        /// Its parameters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<MetadataParameters>,
        /// Its payload; an empty null array without one.
        #[serde(flatten)]
        data: Option<Box<InputData>>,
    },
    /// An input closes.
    InputClosed {
        /// Which.
        id: DataId,
    },
    /// The last input closed, so the node shall stop.
    AllInputsClosed,
}

/// The payload of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum InputData {
    /// Values as JSON: a list, or a single value that becomes a list of one.
    JsonObject {
        /// The values.
        data: Value,
        /// The Arrow type, as arrow writes it in JSON; guessed from the values when missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_type: Option<Value>,
    },
    /// A column of an Arrow IPC file.
    ArrowFile {
        /// The file.
        path: PathBuf,
        /// Which of its batches.
        #[serde(default)]
        batch_index: usize,
        /// Name of the column; needed when there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_survives_being_written_and_read() {
        let text = r#"{"id": "n", "outputs": ["o"], "inputs": {"i": "a/b"},
            "events": [
              {"type": "Input", "time_offset_secs": 0.5, "id": "i", "data": [1, 2], "data_type": "UInt8",
               "metadata": {"k": {"Integer": 3}}},
              {"type": "Input", "time_offset_secs": 0.5, "id": "tick"},
              {"type": "Input", "time_offset_secs": 0.6, "id": "f", "path": "a.arrow", "column": "x"},
              {"type": "InputClosed", "time_offset_secs": 1, "id": "i"},
              {"type": "AllInputsClosed", "time_offset_secs": 2}],
            "recording_status": {"state": "poisoned", "first_failure_event_index": 1,
              "first_failure_time_offset_secs": 0.1, "first_failure_error": "e", "additional_failures": 0}}"#;
        let read: IntegrationTestInput = serde_json::from_str(text).unwrap();
        let IncomingEvent::Input { data: Some(data), metadata: Some(_), .. } = &read.events[0].event else {
            panic!("{:?}", read.events[0]);
        };
        assert!(matches!(&**data, InputData::JsonObject { data_type: Some(_), .. }));
        assert!(matches!(&read.events[1].event, IncomingEvent::Input { data: None, .. }));
        let again: IntegrationTestInput =
            serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(read, again);
    }
}
