//! Sending: outputs, requests, responses.

use std::time::Duration;

use dora_node_api::{
    DoraNode, LogOrigin, MetadataParameters, NodeResult, Parameter, REQUEST_ID, dora_core::config::DataId,
    log_from,
};
use dora_protocol::wire_type;
use parking_lot::MutexGuard;
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytesMethods, PyString},
};

use crate::{
    failed, metadata,
    node::{self, Node},
    sample::SampleHandler,
    values::{self, Outgoing},
};

/// How long one thread waits for room before others get their turn.
const PATIENCE: Duration = Duration::from_millis(20);
/// Names of outputs that are remembered.
const KEPT: usize = 64;

impl Node {
    /// The name of an output. A string that was seen before is not read again: programs name outputs by constants.
    pub(crate) fn output_id(&self, output_id: &Bound<'_, PyString>) -> PyResult<DataId> {
        let mut outputs = self.outputs.lock();
        if let Some((_, known)) = outputs.iter().find(|(text, _)| text.is(output_id)) {
            return Ok(known.clone());
        }
        let name = DataId::from(output_id.extract::<String>()?);
        if outputs.len() < KEPT {
            outputs.push((output_id.clone().into_any().unbind(), name.clone()));
        }
        Ok(name)
    }

    fn send(&self, output: &DataId, data: &Bound<'_, PyAny>, params: &MetadataParameters) -> PyResult<()> {
        let py = data.py();
        match values::outgoing(output.as_str(), data)? {
            Outgoing::Bytes(bytes) => {
                let values = bytes.as_bytes();
                self.with_room(py, output, |node| node.send_values(output, params, wire_type::UINT8, values))
            }
            Outgoing::Array(array) => {
                self.with_room(py, output, |node| node.send_array_data(output, params, &array))
            }
        }
    }

    /// Calls `send` when a `backpressure` reader has room. Until then Ctrl-C is heeded, and now and then other threads get to
    /// send on other outputs.
    pub(crate) fn with_room(
        &self,
        py: Python<'_>,
        output: &DataId,
        send: impl Fn(&mut DoraNode) -> NodeResult<()> + Sync,
    ) -> PyResult<()> {
        loop {
            let sent = py.detach(|| {
                let mut node = self.sending.lock();
                let sent = node.wait_for_room(output, PATIENCE).then(|| send(&mut node));
                if sent.is_none() {
                    MutexGuard::unlock_fair(node);
                }
                sent
            });
            match sent {
                Some(sent) => return sent.map_err(failed),
                None => py.check_signals()?,
            }
        }
    }
}

#[pymethods]
impl Node {
    /// Sends `bytes`, a pyarrow array, or what has `__arrow_c_array__`. To an undeclared output nothing is sent, with one
    /// warning.
    #[pyo3(signature = (output_id, data, metadata=None))]
    fn send_output(
        &self,
        output_id: &Bound<'_, PyString>,
        data: &Bound<'_, PyAny>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let output = self.output_id(output_id)?;
        let params = metadata::from_python(output.as_str(), metadata)?;
        self.send(&output, data, &params)
    }

    /// A buffer of `data_length` bytes in the memory of the output, to be written in place and sent.
    #[pyo3(signature = (output_id, data_length, metadata=None))]
    fn send_output_raw(
        slf: &Bound<'_, Self>,
        output_id: &Bound<'_, PyString>,
        data_length: usize,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<SampleHandler> {
        let output = slf.get().output_id(output_id)?;
        let params = metadata::from_python(output.as_str(), metadata)?;
        SampleHandler::new(slf, output, data_length, params)
    }

    /// Sends a request and returns its new `request_id`, which the response will carry.
    #[pyo3(signature = (output_id, data, metadata=None))]
    fn send_service_request(
        &self,
        output_id: &Bound<'_, PyString>,
        data: &Bound<'_, PyAny>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<String> {
        let output = self.output_id(output_id)?;
        let mut params = metadata::from_python(output.as_str(), metadata)?;
        let request_id = node::new_request_id();
        let replaced = params.insert(REQUEST_ID.to_owned(), Parameter::String(request_id.clone()));
        self.send(&output, data, &params)?;
        if replaced.is_some() {
            let what =
                format!("the `{REQUEST_ID}` given for output `{output}` was replaced by `{request_id}`");
            data.py().detach(|| {
                log_from(&self.node_id, "warn", &what, Some("dora"), LogOrigin::default(), None);
            });
        }
        Ok(request_id)
    }

    /// Sends the response to a request. Pass on the metadata of the request, which names it.
    fn send_service_response(
        &self,
        output_id: &Bound<'_, PyString>,
        data: &Bound<'_, PyAny>,
        metadata: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let output = self.output_id(output_id)?;
        let params = metadata::from_python(output.as_str(), Some(metadata))?;
        if !matches!(params.get(REQUEST_ID), Some(Parameter::String(_))) {
            return Err(PyValueError::new_err(format!(
                "output `{output}`: the response has no `{REQUEST_ID}` in its metadata, so nobody would know it; pass on \
                 `event[\"metadata\"]` of the request"
            )));
        }
        self.send(&output, data, &params)
    }
}
