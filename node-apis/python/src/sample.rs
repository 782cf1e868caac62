//! `send_output_raw`: a message that is written in the memory of its output, so that sending copies nothing.

use std::sync::Arc;

use dora_node_api::{DataSample, MetadataParameters, dora_core::config::DataId};
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyBufferError, PyRuntimeError},
    intern,
    prelude::*,
    types::PyMemoryView,
};

use crate::{
    exporter::{self, Memory},
    failed,
    node::Node,
};

/// A message on its way: write into a view of it, then send it, once.
///
/// As a context manager it gives a `memoryview`, sends on a normal exit, and throws the message away on an exception.
#[pyclass(module = "dora", frozen)]
pub(crate) struct SampleHandler {
    node: Py<Node>,
    output: DataId,
    params: MetadataParameters,
    memory: Arc<Memory>,
    /// The view that `__enter__` gave out.
    entered: Mutex<Option<Py<PyAny>>>,
}

impl SampleHandler {
    pub(crate) fn new(
        node: &Bound<'_, Node>,
        output: DataId,
        len: usize,
        params: MetadataParameters,
    ) -> PyResult<Self> {
        let shared = node.get();
        let sample = node.py().detach(|| {
            let mut sending = shared.sending.lock();
            // What is sent to an undeclared output is ignored, with a warning; it can be written all the same.
            if sending.validate_output(&output) {
                sending.allocate_data_sample_for(&output, len)
            } else {
                sending.sample_allocator().allocate(len)
            }
        });
        let memory = Arc::new(Memory::new(sample.map_err(failed)?));
        Ok(Self { node: node.clone().unbind(), output, params, memory, entered: Mutex::new(None) })
    }

    fn give(&self, py: Python<'_>, sample: DataSample) -> PyResult<()> {
        let sample = Mutex::new(Some(sample));
        self.node.get().with_room(py, &self.output, |node| {
            node.send_output_sample(self.output.clone(), self.params.clone(), sample.lock().take())
        })
    }
}

#[pymethods]
impl SampleHandler {
    /// The message as an object with the buffer protocol.
    fn as_buffer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.memory.is_sent() {
            return Err(PyBufferError::new_err(format!("the message for output `{}` was sent", self.output)));
        }
        exporter::export(py, self.memory.clone())
    }

    /// The message as a writable `memoryview` of bytes.
    fn as_memoryview<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(&self.as_buffer(py)?)
    }

    /// Sends it. All views must have been released: what they wrote later would reach the readers.
    fn send(&self, py: Python<'_>) -> PyResult<()> {
        let output = &self.output;
        match self.memory.take() {
            Ok(sample) => self.give(py, sample),
            Err(0) => {
                Err(PyRuntimeError::new_err(format!("the message for output `{output}` was sent before")))
            }
            Err(views) => Err(PyBufferError::new_err(format!(
                "the message for output `{output}` is still in use by {views} view{}; release or delete {} before it is \
                 sent",
                if views == 1 { "" } else { "s" },
                if views == 1 { "it" } else { "them" },
            ))),
        }
    }

    fn __len__(&self) -> usize {
        self.memory.len()
    }

    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        let view = self.as_memoryview(py)?;
        *self.entered.lock() = Some(view.clone().into_any().unbind());
        Ok(view)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let entered = self.entered.lock().take();
        if let Some(view) = entered {
            // It refuses when something was made from it; `send` will say so with a number.
            view.call_method0(py, intern!(py, "release")).ok();
        }
        if exception.is_some() {
            self.memory.discard();
        } else {
            self.send(py)?;
        }
        Ok(false)
    }
}
