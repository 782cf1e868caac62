//! Writes down what a node receives, in the format of [`crate::integration_testing`].
//!
//! The file is whole JSON after every event: each one overwrites the end of the list, which is then written anew.
//! So nothing is kept in memory, and a node that is killed leaves a recording that can be replayed.

use std::{
    env, fs,
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
    time::Instant,
};

use dora_arrow_codec::internal;
use dora_protocol::node_link::NodeRunConfig;

use crate::{
    Event, NodeError, NodeResult, StopCause,
    integration_testing::{
        integration_testing_format::{IncomingEvent, InputData, RecordingStatus, TimedIncomingEvent},
        json,
    },
    node::log,
};

/// A folder; every node writes what it receives to a file there.
const ENV_EVENTS_TO: &str = "DORA_WRITE_EVENTS_TO";

#[derive(Debug)]
pub(crate) struct Recorder {
    node_id: String,
    file: fs::File,
    /// Where the list of events ends, in bytes.
    end: u64,
    events: usize,
    start: Instant,
    status: RecordingStatus,
}

impl Recorder {
    /// A recorder, when the environment asks for one.
    pub(crate) fn from_env(config: &NodeRunConfig) -> NodeResult<Option<Self>> {
        let Some(folder) = env::var_os(ENV_EVENTS_TO).filter(|folder| !folder.is_empty()) else {
            return Ok(None);
        };
        let path = PathBuf::from(folder).join(format!("inputs-{}.json", config.node_id));
        let file = fs::File::create(&path);
        let recorder = file.and_then(|file| Self::new(file, config));
        recorder.map(Some).map_err(|error| {
            NodeError::Init(format!("cannot record events (`{ENV_EVENTS_TO}`): {}: {error}", path.display()))
        })
    }

    fn new(mut file: fs::File, config: &NodeRunConfig) -> std::io::Result<Self> {
        let id = serde_json::to_string(&config.node_id)?;
        let outputs = serde_json::to_string(&config.outputs)?;
        let head = format!("{{\"id\": {id},\n\"outputs\": {outputs},\n\"events\": [");
        file.write_all(head.as_bytes())?;
        let mut recorder = Self {
            node_id: config.node_id.to_string(),
            end: head.len() as u64,
            events: 0,
            file,
            start: Instant::now(),
            status: RecordingStatus::Clean,
        };
        recorder.close_list()?;
        Ok(recorder)
    }

    fn close_list(&mut self) -> std::io::Result<()> {
        let status = serde_json::to_string(&self.status)?;
        self.file.write_all(format!("\n],\n\"recording_status\": {status}}}\n").as_bytes())?;
        let len = self.file.stream_position()?;
        self.file.set_len(len)
    }

    /// Writes an event down. What cannot be written is counted in the recording.
    pub(crate) fn event(&mut self, event: &Event) {
        let Some(event) = describe(event) else { return };
        let at = self.start.elapsed().as_secs_f64();
        let line = event.and_then(|event| {
            let timed = TimedIncomingEvent { time_offset_secs: at, event };
            serde_json::to_string(&timed).map_err(|error| error.to_string())
        });
        let written = line.and_then(|line| self.append(&line).map_err(|error| error.to_string()));
        if let Err(error) = written {
            self.poison(at, error);
        }
    }

    fn append(&mut self, line: &str) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        let separator = if self.events == 0 { "\n" } else { ",\n" };
        self.file.write_all(separator.as_bytes())?;
        self.file.write_all(line.as_bytes())?;
        self.end += (separator.len() + line.len()) as u64;
        self.events += 1;
        self.close_list()
    }

    fn poison(&mut self, at: f64, error: String) {
        if let RecordingStatus::Poisoned { additional_failures, .. } = &mut self.status {
            *additional_failures += 1;
        } else {
            log::warn(&self.node_id, &format!("the recording misses an event: {error}"));
            self.status = RecordingStatus::Poisoned {
                first_failure_event_index: self.events,
                first_failure_time_offset_secs: at,
                first_failure_error: error,
                additional_failures: 0,
            };
        }
        let rewritten = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.close_list());
        if let Err(error) = rewritten {
            log::warn(&self.node_id, &format!("the recording could not be marked as incomplete: {error}"));
        }
    }
}

/// What the format can say about an event; `None` for kinds that it does not know.
fn describe(event: &Event) -> Option<Result<IncomingEvent, String>> {
    Some(Ok(match event {
        Event::Stop(StopCause::Manual) => IncomingEvent::Stop,
        Event::Stop(StopCause::AllInputsClosed) => IncomingEvent::AllInputsClosed,
        Event::InputClosed { id } => IncomingEvent::InputClosed { id: id.clone() },
        Event::Input { id, metadata, data } => {
            let array = internal::array_ref(data);
            let values = json::from_array(array).and_then(|data| {
                let data_type = Some(json::from_type(arrow_array::Array::data_type(array))?);
                Ok(InputData::JsonObject { data, data_type })
            });
            match values {
                Err(what) => return Some(Err(format!("input `{id}`: {what}"))),
                Ok(data) => IncomingEvent::Input {
                    id: id.clone(),
                    metadata: (!metadata.parameters.is_empty()).then(|| metadata.parameters.clone()),
                    data: Some(Box::new(data)),
                },
            }
        }
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IntoArrow, hlc_for_tests, integration_testing::IntegrationTestInput, metadata::Metadata};

    #[test]
    fn a_recording_is_whole_after_every_event() {
        let path = env::temp_dir().join(format!("recording-{}.json", uuid::Uuid::new_v4()));
        let read =
            || -> IntegrationTestInput { serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
        let config = NodeRunConfig {
            dataflow_id: uuid::Uuid::nil(),
            node_id: "n".parse().unwrap(),
            inputs: vec![],
            outputs: vec!["o".into()],
            restart_count: 0,
        };
        let mut recorder = Recorder::new(fs::File::create(&path).unwrap(), &config).unwrap();
        assert!(read().events.is_empty());
        let metadata = Metadata::new(hlc_for_tests());
        recorder.event(&Event::Input { id: "i".into(), metadata, data: vec![1u8, 2].into_arrow() });
        assert_eq!(read().events.len(), 1);
        recorder.event(&Event::ParamDeleted { key: "k".into() });
        recorder.event(&Event::Stop(StopCause::Manual));
        let recorded = read();
        assert_eq!(recorded.events.len(), 2, "a replay has no parameters to delete");
        assert_eq!(recorded.recording_status.as_deref(), Some(&RecordingStatus::Clean));
        assert!(recorded.outputs.contains("o"));
        recorder.poison(0.5, "lost".into());
        recorder.poison(0.6, "lost".into());
        let poisoned = read().recording_status;
        assert!(matches!(
            poisoned.as_deref(),
            Some(RecordingStatus::Poisoned { additional_failures: 1, .. })
        ));
        fs::remove_file(&path).unwrap();
    }
}
