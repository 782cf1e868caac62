//! Joining a dataflow, or a test of one.

use std::{env, io::IsTerminal, path::PathBuf};

use dora_protocol::{
    NodeId,
    node_link::{ENV_NODE_CONFIG, NodeEnv},
};

use super::{DoraNode, log};
use crate::{
    EventStream, NodeError, NodeResult,
    backend::{Inputs, Outputs},
    direct::{DirectInputs, DirectOutputs},
    event_stream::{Recorder, extensions},
    integration_testing::{self, TestingInput, TestingOptions, TestingOutput},
    link::{self, Connected},
};

/// A JSON file of events to run on, instead of a dataflow.
const ENV_TEST_INPUTS: &str = "DORA_TEST_WITH_INPUTS";
/// Where a test writes its outputs.
const ENV_TEST_OUTPUTS: &str = "DORA_TEST_WRITE_OUTPUTS_TO";
/// Set to leave the times out of a test's outputs.
const ENV_TEST_NO_OFFSET: &str = "DORA_TEST_NO_OUTPUT_TIME_OFFSET";

type Joined = (DoraNode, EventStream);

fn is_set(name: &str) -> bool {
    env::var(name).is_ok_and(|value| !matches!(value.trim(), "" | "0" | "false" | "off"))
}

impl DoraNode {
    /// Joins the dataflow that started this process, and waits until all of its nodes are ready.
    ///
    /// Looks, in this order, for a test that was set up on this thread, for `DORA_NODE_CONFIG`, for
    /// `DORA_TEST_WITH_INPUTS`, and at last for a terminal to ask the user.
    ///
    /// # Errors
    /// [`NodeError::Init`] when there is none of them, or the daemon refuses; [`NodeError::Connection`] when it is
    /// gone.
    pub fn init_from_env() -> NodeResult<Joined> {
        Self::from_env(true)
    }

    /// As [`init_from_env`](Self::init_from_env), but never asks the user.
    ///
    /// # Errors
    /// As [`init_from_env`](Self::init_from_env).
    pub fn init_from_env_force() -> NodeResult<Joined> {
        Self::from_env(false)
    }

    fn from_env(may_ask: bool) -> NodeResult<Joined> {
        if let Some(test) = integration_testing::armed() {
            return Self::init_testing(test.input, test.output, test.options);
        }
        if let Ok(config) = env::var(ENV_NODE_CONFIG) {
            return Self::join(&config);
        }
        if let Ok(inputs) = env::var(ENV_TEST_INPUTS) {
            let inputs = PathBuf::from(inputs);
            let outputs = env::var_os(ENV_TEST_OUTPUTS)
                .map_or_else(|| inputs.with_file_name("outputs.jsonl"), PathBuf::from);
            let options = TestingOptions { skip_output_time_offsets: is_set(ENV_TEST_NO_OFFSET) };
            return Self::init_testing(
                TestingInput::FromJsonFile(inputs),
                TestingOutput::ToFile(outputs),
                options,
            );
        }
        if may_ask && std::io::stdin().is_terminal() {
            return Self::init_interactive();
        }
        Err(NodeError::Init(format!(
            "this program was not started by a dataflow: `{ENV_NODE_CONFIG}` is not set. Run it with `dora run`, or \
             set `{ENV_TEST_INPUTS}` to a JSON file of events to run it alone"
        )))
    }

    pub(super) fn join(config: &str) -> NodeResult<Joined> {
        let env: NodeEnv = serde_json::from_str(config).map_err(|error| {
            NodeError::Init(format!(
                "`{ENV_NODE_CONFIG}` is not what this version understands ({error}); build the node with the version \
                 of `dora-node-api` that belongs to the daemon"
            ))
        })?;
        Self::joined(link::connect(env)?)
    }

    fn joined(connected: Connected) -> NodeResult<Joined> {
        let Connected { link, inbox, outbox } = connected;
        extensions::remember(&link);
        let recorder = Recorder::from_env(&link.setup().run)?;
        let outputs = Outputs::Direct(DirectOutputs::new(link.clone(), outbox));
        let node = Self::connected(outputs, link.setup());
        Ok((node, EventStream::new(Inputs::Direct(DirectInputs::new(link, inbox)), recorder)))
    }

    /// Joins a running dataflow as its node of this name, which has `path: dynamic` there, through the daemon of this machine, and
    /// waits until the dataflow has started. Dropping node and events leaves it; the place is free for the next one then. Copy what
    /// shall live on: arrays that were received lie in the memory of their senders, which use it again when the reader has left.
    ///
    /// The daemon is found by the number in `DORA_DAEMON_LOCAL_LISTEN_PORT`, by default 53291.
    ///
    /// # Errors
    /// [`NodeError::Connection`] when no daemon listens, [`NodeError::Init`] when it has no free place of that name.
    pub fn init_from_node_id(node_id: NodeId) -> NodeResult<Joined> {
        Self::joined(link::attach(&node_id, None)?)
    }

    /// As [`init_from_env`](Self::init_from_env) when a dataflow started this process, otherwise as
    /// [`init_from_node_id`](Self::init_from_node_id).
    ///
    /// # Errors
    /// Those of the one it chose.
    pub fn init_flexible(node_id: NodeId) -> NodeResult<Joined> {
        match env::var(ENV_NODE_CONFIG) {
            Ok(config) => {
                let joined = Self::join(&config)?;
                if *joined.0.id() != node_id {
                    let actual = joined.0.id().as_str();
                    log::warn(
                        actual,
                        &format!("the program calls itself `{node_id}`, the dataflow `{actual}`"),
                    );
                }
                Ok(joined)
            }
            Err(_) => Self::init_from_node_id(node_id),
        }
    }

    /// A node without a dataflow, whose inputs are typed in at the terminal and whose outputs are printed there.
    ///
    /// # Errors
    /// None at present.
    pub fn init_interactive() -> NodeResult<Joined> {
        Ok(integration_testing::interactive())
    }

    /// A node without a dataflow: events come from the test, outputs go to it.
    ///
    /// # Errors
    /// [`NodeError::Init`] when the input cannot be read or the output not be written.
    pub fn init_testing(
        input: TestingInput,
        output: TestingOutput,
        options: TestingOptions,
    ) -> NodeResult<Joined> {
        integration_testing::start(input, output, options)
    }

    /// Chooses how to join.
    pub fn builder() -> DoraNodeBuilder {
        DoraNodeBuilder::default()
    }
}

/// Chooses how to join a dataflow.
#[derive(Clone, Debug, Default)]
pub struct DoraNodeBuilder {
    node_id: Option<NodeId>,
    daemon_port: Option<u16>,
}

impl DoraNodeBuilder {
    /// Join a running dataflow as this node, rather than the one that started the process.
    pub fn node_id(mut self, node_id: NodeId) -> Self {
        self.node_id = Some(node_id);
        self
    }

    /// Says what [`node_id`](Self::node_id) implies.
    pub fn dynamic(self) -> Self {
        self
    }

    /// Where the daemon listens, for nodes that join by name.
    pub fn daemon_port(mut self, port: u16) -> Self {
        self.daemon_port = Some(port);
        self
    }

    /// Joins.
    ///
    /// # Errors
    /// As [`DoraNode::init_from_node_id`] with a node id, otherwise as [`DoraNode::init_from_env`].
    pub fn build(self) -> NodeResult<Joined> {
        match self.node_id {
            Some(node_id) => DoraNode::joined(link::attach(&node_id, self.daemon_port)?),
            None => DoraNode::init_from_env(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_by_name_without_a_daemon_says_where_none_listens_and_what_to_do() {
        let by_name = DoraNode::builder().node_id("late".parse().unwrap()).dynamic().daemon_port(1).build();
        let error = by_name.map(|_| ()).unwrap_err().to_string();
        let named = ["`late`", "daemon-1.sock", "path: dynamic", "DORA_DAEMON_LOCAL_LISTEN_PORT"];
        assert!(named.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn a_configuration_of_another_version_is_named_as_such() {
        let error = DoraNode::join("{\"node_config\": {}}").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("DORA_NODE_CONFIG") && error.contains("dora-node-api"), "{error}");
    }
}
