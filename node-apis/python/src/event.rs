//! An event becomes the dictionary that Python nodes know.

use dora_arrow_codec::internal;
use dora_node_api::{Event, Metadata, StopCause, dora_core::config::DataId};
use parking_lot::Mutex;
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyList, PyNone, PyString},
};
use serde_json::Value;

use crate::{metadata, time, values};

/// Names of inputs that are remembered.
const KEPT: usize = 64;

static NAMES: Mutex<Vec<(DataId, Py<PyString>)>> = Mutex::new(Vec::new());

/// The event as a dictionary with the keys `type`, `kind`, and what belongs to the type.
pub(crate) fn to_dict(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let begin = |kind: &Bound<'_, PyString>| {
        dict.set_item(intern!(py, "type"), kind)?;
        dict.set_item(intern!(py, "kind"), intern!(py, "dora"))
    };
    let id = |id: &str| dict.set_item(intern!(py, "id"), PyString::intern(py, id));
    let value = |value: Bound<'_, PyAny>| dict.set_item(intern!(py, "value"), value);
    match event {
        Event::Input { id: input, metadata: about, data } => {
            begin(intern!(py, "INPUT"))?;
            dict.set_item(intern!(py, "id"), input_name(py, &input))?;
            value(values::to_python(py, internal::array_ref(&data))?)?;
            dict.set_item(intern!(py, "metadata"), metadata_dict(py, about)?)?;
        }
        Event::InputClosed { id: input } => {
            begin(intern!(py, "INPUT_CLOSED"))?;
            id(input.as_str())?;
        }
        Event::InputRecovered { id: input } => {
            begin(intern!(py, "INPUT_RECOVERED"))?;
            id(input.as_str())?;
        }
        Event::NodeRestarted { id: node } => {
            begin(intern!(py, "NODE_RESTARTED"))?;
            id(node.as_str())?;
        }
        Event::NodeFailed { affected_input_ids, error, source_node_id } => {
            begin(intern!(py, "NODE_FAILED"))?;
            id(source_node_id.as_str())?;
            let about = PyDict::new(py);
            about.set_item(intern!(py, "source_node_id"), source_node_id.as_str())?;
            about.set_item(intern!(py, "error"), error)?;
            let inputs: Vec<&str> = affected_input_ids.iter().map(|id| id.as_str()).collect();
            about.set_item(intern!(py, "affected_input_ids"), inputs)?;
            value(about.into_any())?;
        }
        Event::ParamUpdate { key, value: new } => {
            begin(intern!(py, "PARAM_UPDATE"))?;
            id(&key)?;
            value(json(py, &new)?)?;
        }
        Event::ParamDeleted { key } => {
            begin(intern!(py, "PARAM_DELETED"))?;
            id(&key)?;
        }
        Event::Reload { operator_id } => {
            begin(intern!(py, "RELOAD"))?;
            if let Some(operator) = operator_id {
                id(operator.as_str())?;
            }
        }
        Event::Stop(cause) => {
            begin(intern!(py, "STOP"))?;
            id(match cause {
                StopCause::AllInputsClosed => "ALL_INPUTS_CLOSED",
                // Causes that may come are some kind of order from outside.
                _ => "MANUAL",
            })?;
        }
        Event::Error(text) => {
            begin(intern!(py, "ERROR"))?;
            dict.set_item(intern!(py, "error"), text)?;
        }
        _ => begin(intern!(py, "UNKNOWN"))?,
    }
    Ok(dict)
}

/// The name of an input as a Python string, made once.
fn input_name(py: Python<'_>, input: &DataId) -> Py<PyString> {
    let mut names = NAMES.lock();
    if let Some((_, name)) = names.iter().find(|(known, _)| known == input) {
        return name.clone_ref(py);
    }
    let name = PyString::intern(py, input.as_str()).unbind();
    if names.len() < KEPT {
        names.push((input.clone(), name.clone_ref(py)));
    }
    name
}

fn metadata_dict(py: Python<'_>, about: Metadata) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let stamp = about.timestamp();
    metadata::into_dict(about.parameters, &dict)?;
    dict.set_item(intern!(py, "timestamp"), time::from_stamp(py, &stamp)?)?;
    Ok(dict)
}

/// JSON as Python values.
pub(crate) fn json<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => PyNone::get(py).to_owned().into_any(),
        Value::Bool(truth) => truth.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => whole.into_pyobject(py)?.into_any(),
            (None, Some(whole)) => whole.into_pyobject(py)?.into_any(),
            // Every number of this crate's configuration is one of the three.
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into_pyobject(py)?.into_any(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            items.iter().try_for_each(|item| list.append(json(py, item)?))?;
            list.into_any()
        }
        Value::Object(entries) => {
            let dict = PyDict::new(py);
            entries.iter().try_for_each(|(key, entry)| dict.set_item(key, json(py, entry)?))?;
            dict.into_any()
        }
    })
}
