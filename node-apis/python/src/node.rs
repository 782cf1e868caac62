//! The class `Node`: what it holds, and what it knows about itself.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use dora_node_api::{
    DoraNode, EventStream, LogOrigin,
    dora_core::config::{DataId, NodeId},
    event_stream::extensions,
    log_from,
};
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyRuntimeError, PyTypeError},
    prelude::*,
    sync::PyOnceLock,
    types::PyBytes,
};
use serde_json::Value;

use crate::{bell::Bell, event, failed, time, values};

/// A node of a dataflow.
///
/// Joins the dataflow that started this process and waits until all of its nodes are ready. Several threads may use it:
/// one can receive while others send.
#[pyclass(module = "dora", frozen)]
pub(crate) struct Node {
    pub(crate) sending: Arc<Mutex<DoraNode>>,
    pub(crate) receiving: Arc<Mutex<EventStream>>,
    /// Names of outputs by the identity of the string that named them.
    pub(crate) outputs: Mutex<Vec<(Py<PyAny>, DataId)>>,
    pub(crate) bell: PyOnceLock<Bell>,
    /// What `dora._aio` keeps for this node.
    pub(crate) waiters: PyOnceLock<Py<PyAny>>,
    pub(crate) node_id: NodeId,
    dataflow_id: String,
    restart_count: u32,
    config: Value,
    descriptor: Option<Value>,
}

/// The interpreter is on its way out.
static EXITING: AtomicBool = AtomicBool::new(false);

impl Drop for Node {
    /// A node that lives until the end of the process does not say goodbye: how the process ends says more. After an
    /// exception its readers then learn that it failed, rather than that it had nothing more to send.
    fn drop(&mut self) {
        if EXITING.load(Relaxed) {
            mem::forget((self.sending.clone(), self.receiving.clone()));
        }
    }
}

fn join(node_id: Option<String>, daemon_port: Option<u16>) -> PyResult<(DoraNode, EventStream)> {
    let Some(node_id) = node_id else {
        return match daemon_port {
            None => DoraNode::init_from_env_force().map_err(failed),
            Some(_) => Err(PyRuntimeError::new_err("`daemon_port` needs a `node_id`: who shall join?")),
        };
    };
    let node_id: NodeId = node_id.parse().map_err(failed)?;
    match daemon_port {
        None => DoraNode::init_flexible(node_id),
        Some(port) => DoraNode::builder().node_id(node_id).daemon_port(port).build(),
    }
    .map_err(failed)
}

/// What the descriptor says that the node's log shall hold.
fn min_log_level<'d>(descriptor: &'d Value, id: &NodeId) -> Option<&'d str> {
    let nodes = descriptor.get("nodes")?.as_array()?;
    let own = nodes.iter().find(|node| node.get("id").and_then(Value::as_str) == Some(id.as_str()))?;
    own.get("min_log_level")?.as_str()
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (node_id=None, daemon_port=None))]
    fn new(py: Python<'_>, node_id: Option<String>, daemon_port: Option<u16>) -> PyResult<Self> {
        values::prepare(py)?;
        let (node, events) = py.detach(|| join(node_id, daemon_port))?;
        let descriptor = node.dataflow_descriptor().ok().map(|descriptor| Value::clone(descriptor));
        let level = descriptor.as_ref().and_then(|whole| min_log_level(whole, node.id()));
        py.import("dora._logging")?.call_method1("install", (node.id().as_str(), level))?;
        Ok(Self {
            node_id: node.id().clone(),
            dataflow_id: node.dataflow_id().to_string(),
            restart_count: node.restart_count(),
            config: serde_json::to_value(node.node_config()).map_err(failed)?,
            descriptor,
            sending: Arc::new(Mutex::new(node)),
            receiving: Arc::new(Mutex::new(events)),
            outputs: Mutex::new(Vec::new()),
            bell: PyOnceLock::new(),
            waiters: PyOnceLock::new(),
        })
    }

    /// The descriptor of the dataflow.
    fn dataflow_descriptor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let descriptor = self.descriptor.as_ref().ok_or_else(|| {
            let node = &self.node_id;
            failed(format!("node `{node}` runs without a dataflow, so there is no descriptor"))
        })?;
        event::json(py, descriptor)
    }

    /// Inputs and outputs of this node.
    fn node_config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        event::json(py, &self.config)
    }

    /// Name of this run of the dataflow.
    fn dataflow_id(&self) -> &str {
        &self.dataflow_id
    }

    /// Was this node restarted after it failed?
    fn is_restart(&self) -> bool {
        self.restart_count > 0
    }

    /// How often it was restarted.
    fn restart_count(&self) -> u32 {
        self.restart_count
    }

    /// A new point on the hybrid logical clock, later than all before.
    fn timestamp<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stamp = py.detach(|| match self.sending.try_lock() {
            Some(node) => node.timestamp(),
            // Another thread is in a send, which may take as long as its slowest reader.
            None => extensions::timestamp().unwrap_or_else(|| self.sending.lock().timestamp()),
        });
        time::from_stamp(py, &stamp)
    }

    /// Writes a line to the log of this node.
    #[pyo3(signature = (level, message, target=None, fields=None))]
    fn log(
        &self,
        py: Python<'_>,
        level: &str,
        message: &str,
        target: Option<&str>,
        fields: Option<BTreeMap<String, String>>,
    ) {
        // Not through the node, which another thread may be using for a send that takes long.
        py.detach(|| log_from(&self.node_id, level, message, target, LogOrigin::default(), fields.as_ref()));
    }

    /// Something failed.
    fn log_error(&self, py: Python<'_>, message: &str) {
        self.log(py, "error", message, None, None);
    }

    /// Something is odd.
    fn log_warn(&self, py: Python<'_>, message: &str) {
        self.log(py, "warn", message, None, None);
    }

    /// What a user wants to see.
    fn log_info(&self, py: Python<'_>, message: &str) {
        self.log(py, "info", message, None, None);
    }

    /// What a developer wants to see.
    fn log_debug(&self, py: Python<'_>, message: &str) {
        self.log(py, "debug", message, None, None);
    }

    /// Everything a developer may want to see.
    fn log_trace(&self, py: Python<'_>, message: &str) {
        self.log(py, "trace", message, None, None);
    }

    /// Stores bytes under a key of the dataflow's extension table.
    fn extension_store(
        &self,
        py: Python<'_>,
        namespace: String,
        key: String,
        value: Vec<u8>,
    ) -> PyResult<()> {
        py.detach(|| self.sending.lock().extension_store(namespace, key, value)).map_err(failed)
    }

    /// Reads a key of the extension table, and removes it when asked to.
    #[pyo3(signature = (namespace, key, remove=false))]
    fn extension_load<'py>(
        &self,
        py: Python<'py>,
        namespace: String,
        key: String,
        remove: bool,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found =
            py.detach(|| self.sending.lock().extension_load(namespace, key, remove)).map_err(failed)?;
        Ok(found.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Removes a key of the extension table.
    fn extension_drop(&self, py: Python<'_>, namespace: String, key: String) -> PyResult<()> {
        py.detach(|| self.sending.lock().extension_drop(namespace, key)).map_err(failed)
    }

    /// Keys of the name space that vanished since the last call because the node that stored them ended.
    fn drain_dropped_extension_keys(&self, namespace: &str) -> Vec<String> {
        extensions::drain_dropped_keys(namespace)
    }

    /// Would let ROS 2 messages arrive among the events.
    fn merge_external_events(&self, subscription: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "merge_external_events takes a Ros2Subscription, not {}; this package is built without the ROS 2 bridge",
            subscription.get_type().name()?
        )))
    }

    fn __repr__(&self) -> String {
        format!("<dora.Node '{}' of dataflow {}>", self.node_id, self.dataflow_id)
    }
}

/// Writes a record of Python's `logging` to the log of the node.
#[pyfunction]
pub(crate) fn log_record(
    py: Python<'_>,
    node_id: &str,
    level: &str,
    message: &str,
    target: &str,
    file: Option<&str>,
    line: Option<u32>,
) -> PyResult<()> {
    let node_id: NodeId = node_id.parse().map_err(failed)?;
    py.detach(|| log_from(&node_id, level, message, Some(target), LogOrigin { file, line }, None));
    Ok(())
}

/// A name for a request or a goal: a UUID of version 7.
#[pyfunction]
pub(crate) fn new_request_id() -> String {
    DoraNode::new_request_id()
}

/// Notes that the interpreter ends. Called by `atexit`.
#[pyfunction]
pub(crate) fn exiting() {
    EXITING.store(true, Relaxed);
}
