//! Running a node alone: recorded events go in, its outputs come out as JSON, no daemon and no other node.
//!
//! ```
//! use dora_node_api::integration_testing::{
//!     IntegrationTestInput, TestingInput, TestingOptions, TestingOutput, drain_outputs, output_channel,
//!     setup_integration_testing,
//! };
//! use dora_node_api::{DoraNode, Event};
//!
//! // The node as it is: nothing in it knows of the test.
//! fn double() -> dora_node_api::NodeResult<()> {
//!     let (mut node, mut events) = DoraNode::init_from_env()?;
//!     while let Some(event) = events.recv() {
//!         if let Event::Input { data, metadata, .. } = event {
//!             let number = i64::try_from(&data).unwrap();
//!             node.send_output("doubled".into(), metadata.parameters, 2 * number)?;
//!         }
//!     }
//!     Ok(())
//! }
//!
//! let events = r#"{"id": "double", "events": [
//!     {"type": "Input", "time_offset_secs": 0.0, "id": "number", "data": 21},
//!     {"type": "Stop", "time_offset_secs": 0.0}]}"#;
//! let input: IntegrationTestInput = serde_json::from_str(events).unwrap();
//! let (tx, mut rx) = output_channel();
//! let options = TestingOptions { skip_output_time_offsets: true };
//! setup_integration_testing(TestingInput::Input(input), TestingOutput::ToChannel(tx), options);
//! double().unwrap();
//!
//! let outputs = drain_outputs(&mut rx);
//! assert_eq!(outputs[0]["data"], serde_json::json!([42]));
//! ```

use std::{cell::RefCell, fs, path::PathBuf, sync::mpsc};

use dora_protocol::{DataId, node_link};
use uuid::Uuid;

use crate::{
    DoraNode, EventStream, NodeError, NodeResult,
    backend::{Inputs, Outputs},
    descriptor::{Input, NodeRunConfig},
    event_stream::Recorder,
};

mod inputs;
pub mod integration_testing_format;
pub(crate) mod json;
mod outputs;
mod terminal;

pub(crate) use inputs::TestInputs;
pub use integration_testing_format::IntegrationTestInput;
pub(crate) use outputs::TestOutputs;

/// One output, as JSON.
pub type OutputJson = serde_json::Map<String, serde_json::Value>;

/// Takes the outputs of a node under test. See [`output_channel`].
#[derive(Clone, Debug)]
pub struct OutputSender(pub(crate) mpsc::Sender<OutputJson>);

/// Gives the outputs of a node under test. See [`drain_outputs`].
#[derive(Debug)]
pub struct OutputReceiver(mpsc::Receiver<OutputJson>);

impl OutputReceiver {
    /// The next output; `None` when the node is gone and there are no more.
    pub fn recv(&mut self) -> Option<OutputJson> {
        self.0.recv().ok()
    }
}

/// A channel for [`TestingOutput::ToChannel`].
pub fn output_channel() -> (OutputSender, OutputReceiver) {
    let (sender, receiver) = mpsc::channel();
    (OutputSender(sender), OutputReceiver(receiver))
}

/// All outputs so far.
pub fn drain_outputs(rx: &mut OutputReceiver) -> Vec<OutputJson> {
    rx.0.try_iter().collect()
}

/// Where the events of a test come from.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one per test, and matching on it is part of the interface")]
pub enum TestingInput {
    /// A JSON file of an [`IntegrationTestInput`]. Paths in it are relative to its folder.
    FromJsonFile(PathBuf),
    /// As it is. Paths in it are relative to the working directory.
    Input(IntegrationTestInput),
}

/// Where the outputs of a test go.
pub enum TestingOutput {
    /// A file, one JSON object per line. What was in it is lost.
    ToFile(PathBuf),
    /// A writer, one JSON object per line.
    ToWriter(Box<dyn std::io::Write + Send>),
    /// A channel.
    ToChannel(OutputSender),
}

/// How a test is run.
#[derive(Clone, Debug, Default)]
pub struct TestingOptions {
    /// Leave the time out of the outputs, so that those of two runs are equal.
    pub skip_output_time_offsets: bool,
}

pub(crate) struct Armed {
    pub(crate) input: TestingInput,
    pub(crate) output: TestingOutput,
    pub(crate) options: TestingOptions,
}

thread_local! {
    static ARMED: RefCell<Option<Armed>> = const { RefCell::new(None) };
}

/// The next [`DoraNode::init_from_env`] on this thread runs this test.
pub fn setup_integration_testing(input: TestingInput, output: TestingOutput, options: TestingOptions) {
    ARMED.with_borrow_mut(|armed| *armed = Some(Armed { input, output, options }));
}

/// The test that was set up on this thread; it is used once.
pub(crate) fn armed() -> Option<Armed> {
    ARMED.with_borrow_mut(Option::take)
}

pub(crate) fn start(
    input: TestingInput,
    output: TestingOutput,
    options: TestingOptions,
) -> NodeResult<(DoraNode, EventStream)> {
    let (input, folder) = match input {
        TestingInput::Input(input) => (input, PathBuf::new()),
        TestingInput::FromJsonFile(path) => {
            let failed =
                |what: &dyn std::fmt::Display| NodeError::Init(format!("{}: {what}", path.display()));
            let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
            let input = serde_json::from_str(&text).map_err(|error| failed(&error))?;
            (input, path.parent().map(PathBuf::from).unwrap_or_default())
        }
    };
    let run = node_link::NodeRunConfig {
        dataflow_id: Uuid::nil(),
        node_id: input.id.clone(),
        inputs: input.inputs.keys().cloned().collect(),
        outputs: input.outputs.iter().cloned().collect(),
        restart_count: 0,
    };
    let written = |(id, json): (&DataId, _)| Some((id.clone(), Input::read(json)?));
    let config = NodeRunConfig {
        inputs: input.inputs.iter().filter_map(written).collect(),
        outputs: input.outputs.clone(),
    };
    let inputs = TestInputs::recorded(&input, &folder)?;
    let outputs = TestOutputs::new(output, options, run.outputs.clone())?;
    let recorder = Recorder::from_env(&run)?;
    let node = DoraNode::alone(Outputs::Test(outputs), run, config);
    Ok((node, EventStream::new(Inputs::Test(inputs), recorder)))
}

pub(crate) fn interactive() -> (DoraNode, EventStream) {
    #[cfg_attr(not(test), expect(clippy::unreachable, reason = "a constant that follows the rule for names"))]
    let node_id = "interactive".parse().unwrap_or_else(|error| unreachable!("{error}"));
    let run = node_link::NodeRunConfig {
        dataflow_id: Uuid::nil(),
        node_id,
        inputs: Vec::new(),
        outputs: Vec::new(),
        restart_count: 0,
    };
    let node = DoraNode::alone(Outputs::Test(TestOutputs::terminal()), run, NodeRunConfig::default());
    (node, EventStream::new(Inputs::Test(TestInputs::terminal()), None))
}
