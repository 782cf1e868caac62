//! The native part of the Python module `dora`: nodes, events, values.
//!
//! | file | what |
//! |---|---|
//! | `node` | the class `Node`: its state, and what it knows about itself |
//! | `receive` | waiting for events, with the GIL released |
//! | `send` | outputs, requests, responses |
//! | `runtime` | what a process of operators needs beside that |
//! | `sample` | a message that is written in place: `send_output_raw` |
//! | `exporter` | its memory as a Python buffer |
//! | `event` | an event becomes a dictionary |
//! | `metadata` | parameters from and to Python values |
//! | `values` | arrays from and to pyarrow, without a copy |
//! | `time` | points in time as `datetime` |
//! | `bell` | wakes an asyncio loop |
//!
//! 1. Receiving and sending have a lock each. Nobody waits for one of them, or for anything else, with the GIL in hand,
//!    and nobody waits for the GIL with a lock in hand: so one thread can receive while another sends.
//! 2. Nothing is imported and no attribute is looked up by name per message.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod bell;
mod event;
mod exporter;
mod metadata;
mod node;
mod receive;
mod runtime;
mod sample;
mod send;
mod time;
mod values;

use pyo3::{exceptions::PyRuntimeError, prelude::*};

/// An error of the node library as Python sees it: its sentence, nothing else.
fn failed(error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<node::Node>()?;
    module.add_class::<sample::SampleHandler>()?;
    let exiting = wrap_pyfunction!(node::exiting, module)?;
    module.py().import("atexit")?.call_method1("register", (exiting,))?;
    module.add_function(wrap_pyfunction!(node::log_record, module)?)?;
    module.add_function(wrap_pyfunction!(node::new_request_id, module)?)
}
