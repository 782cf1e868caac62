//! What `dora._runtime` needs of a node beside what everybody uses.

use dora_node_api::dora_core::config::DataId;
use dora_protocol::operator::STOP_ALL;
use pyo3::prelude::*;

use crate::{failed, node::Node};

#[pymethods]
impl Node {
    /// Sends no more on these outputs. One that is not declared is an error, and none is closed then.
    fn _close_outputs(&self, py: Python<'_>, outputs: Vec<String>) -> PyResult<()> {
        let outputs = outputs.into_iter().map(DataId::from).collect();
        py.detach(|| self.sending.lock().close_outputs(outputs)).map_err(failed)
    }

    /// Somebody outside of this process reads the output now.
    fn _has_readers(&self, py: Python<'_>, output: String) -> bool {
        py.detach(|| self.sending.lock().has_readers(&DataId::from(output)))
    }

    /// Asks for the end of the dataflow, in the name of an operator.
    fn _stop_dataflow(&self, py: Python<'_>, operator: String) -> PyResult<()> {
        let ask = || self.sending.lock().extension_request(STOP_ALL, operator.into_bytes());
        py.detach(ask).map(drop).map_err(failed)
    }
}
