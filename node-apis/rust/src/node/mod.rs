//! The node itself: what it sends, what it knows about itself, what it says in its log.

use std::collections::{BTreeMap, BTreeSet};

use dora_protocol::{
    DataId, DataflowId, NodeId,
    log::LogLevel,
    node_link::{self, ExtensionCall},
};

use crate::{
    NodeError, NodeResult,
    backend::Outputs,
    descriptor::{Descriptor, NodeRunConfig},
    type_check::SendCheck,
};

mod data_sample;
#[cfg(test)]
mod end_to_end;
mod init;
pub(crate) mod log;
mod patterns;
mod send;

pub(crate) use data_sample::{AlignedBytes, Place};
pub use data_sample::{ArrowTypeInfo, DataSample, EncodedSample, SampleAllocator};
pub use init::DoraNodeBuilder;
pub use log::LogOrigin;
pub use patterns::StreamSegment;

/// Payloads of at least this many bytes used to travel without a copy; here all do that are written in place. Kept
/// for code that asks.
pub const ZERO_COPY_THRESHOLD: usize = 4096;

/// Writes a log line that may say where in the source it comes from. For bindings: it needs no node, so it works while the
/// node waits in a send. Levels and fields as in [`DoraNode::log_with_fields`].
#[doc(hidden)]
pub fn log_from(
    node_id: &NodeId,
    level: &str,
    message: &str,
    target: Option<&str>,
    origin: LogOrigin<'_>,
    fields: Option<&BTreeMap<String, String>>,
) {
    log::print_from(node_id.as_str(), log::level(level), message, target, origin, fields);
}

/// A node of a dataflow: sends outputs, writes the log, knows its configuration.
///
/// Dropping it closes its outputs. One thread at a time may use it; it can be moved to another.
#[derive(Debug)]
pub struct DoraNode {
    outputs: Outputs,
    /// Who it is.
    run: node_link::NodeRunConfig,
    config: NodeRunConfig,
    descriptor: Option<Descriptor>,
    types: Option<SendCheck>,
    /// Undeclared outputs that a warning was printed for.
    warned: BTreeSet<DataId>,
}

impl DoraNode {
    /// A node of a dataflow.
    fn connected(outputs: Outputs, setup: &node_link::Setup) -> Self {
        let descriptor = Descriptor::read(setup.descriptor.clone());
        let config = NodeRunConfig::of(setup, descriptor.as_ref());
        let types = SendCheck::from_env(setup, descriptor.as_ref());
        Self { outputs, run: setup.run.clone(), config, descriptor, types, warned: BTreeSet::new() }
    }

    /// A node on its own.
    pub(crate) fn alone(outputs: Outputs, run: node_link::NodeRunConfig, config: NodeRunConfig) -> Self {
        Self { outputs, run, config, descriptor: None, types: None, warned: BTreeSet::new() }
    }

    /// Its name.
    pub fn id(&self) -> &NodeId {
        &self.run.node_id
    }

    /// The run of the dataflow that it belongs to.
    pub fn dataflow_id(&self) -> &DataflowId {
        &self.run.dataflow_id
    }

    /// Its inputs and outputs.
    pub fn node_config(&self) -> &NodeRunConfig {
        &self.config
    }

    /// Was it restarted after it failed?
    pub fn is_restart(&self) -> bool {
        self.run.restart_count > 0
    }

    /// How often it was restarted.
    pub fn restart_count(&self) -> u32 {
        self.run.restart_count
    }

    /// The descriptor of the dataflow.
    ///
    /// # Errors
    /// [`NodeError::Init`] when there is none, as in a test.
    pub fn dataflow_descriptor(&self) -> NodeResult<&Descriptor> {
        self.descriptor.as_ref().ok_or_else(|| {
            let node = self.id();
            NodeError::Init(format!("node `{node}` runs without a dataflow, so there is no descriptor"))
        })
    }

    /// A new point on the hybrid logical clock, later than all before.
    pub fn timestamp(&self) -> uhlc::Timestamp {
        self.outputs.timestamp()
    }

    /// [`ZERO_COPY_THRESHOLD`].
    pub fn zero_copy_threshold(&self) -> usize {
        ZERO_COPY_THRESHOLD
    }

    /// Writes a line to the log: `error`, `warn` (or `warning`), `info`, `debug`, `trace`; anything else counts as
    /// `info`.
    pub fn log(&self, level: &str, message: &str, target: Option<&str>) {
        self.log_with_fields(level, message, target, None);
    }

    /// As [`log`](Self::log), with fields beside the text. More than 60 KB of them are left out, and the line says
    /// so.
    pub fn log_with_fields(
        &self,
        level: &str,
        message: &str,
        target: Option<&str>,
        fields: Option<&BTreeMap<String, String>>,
    ) {
        log::print(self.id().as_str(), log::level(level), message, target, fields);
    }

    fn log_plain(&self, level: LogLevel, message: &str) {
        log::print::<()>(self.id().as_str(), level, message, None, None);
    }

    /// Something failed.
    pub fn log_error(&self, message: &str) {
        self.log_plain(LogLevel::Error, message);
    }

    /// Something is odd.
    pub fn log_warn(&self, message: &str) {
        self.log_plain(LogLevel::Warn, message);
    }

    /// What a user wants to see.
    pub fn log_info(&self, message: &str) {
        self.log_plain(LogLevel::Info, message);
    }

    /// What a developer wants to see.
    pub fn log_debug(&self, message: &str) {
        self.log_plain(LogLevel::Debug, message);
    }

    /// Everything a developer may want to see.
    pub fn log_trace(&self, message: &str) {
        self.log_plain(LogLevel::Trace, message);
    }

    /// Stores bytes under a key of the dataflow's extension table. They vanish with this node.
    ///
    /// # Errors
    /// When another node stored the key, or the table is full.
    pub fn extension_store(
        &mut self,
        namespace: impl Into<String>,
        key: impl Into<String>,
        value: Vec<u8>,
    ) -> Result<(), eyre::Error> {
        let call = ExtensionCall::Store { ns: namespace.into(), key: key.into(), value };
        self.outputs.extension(call)?;
        Ok(())
    }

    /// Reads a key of the extension table, and removes it when asked to. `None` when it is not there.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub fn extension_load(
        &mut self,
        namespace: impl Into<String>,
        key: impl Into<String>,
        remove: bool,
    ) -> Result<Option<Vec<u8>>, eyre::Error> {
        let call = ExtensionCall::Load { ns: namespace.into(), key: key.into(), remove };
        Ok(self.outputs.extension(call)?)
    }

    /// Removes a key of the extension table.
    ///
    /// # Errors
    /// When the daemon is gone or refuses.
    pub fn extension_drop(
        &mut self,
        namespace: impl Into<String>,
        key: impl Into<String>,
    ) -> Result<(), eyre::Error> {
        let call = ExtensionCall::Drop { ns: namespace.into(), key: key.into() };
        self.outputs.extension(call)?;
        Ok(())
    }

    /// Asks what the daemon has registered for the name space.
    ///
    /// # Errors
    /// When nothing is registered, or the daemon is gone.
    pub fn extension_request(
        &mut self,
        namespace: impl Into<String>,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, eyre::Error> {
        let call = ExtensionCall::Request { ns: namespace.into(), payload };
        Ok(self.outputs.extension(call)?.unwrap_or_default())
    }
}

impl Drop for DoraNode {
    fn drop(&mut self) {
        self.outputs.close_all();
    }
}
