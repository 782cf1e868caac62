//! Parameters of a message, from and to Python.
//!
//! 1. Keys are flat in the dictionary. What is under `parameters` counts too, if that is a dictionary; a flat key wins.
//! 2. `timestamp` and keys that start with `_` belong to dora: they are left out, so that the metadata of an event can be
//!    passed on as it is.
//! 3. Nothing is turned into text behind the user's back: what has no type among parameters is an error with its key.

use dora_node_api::{MetadataParameters, Parameter};
use pyo3::{
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};

use crate::time;

/// Adds the parameters to a metadata dictionary.
pub(crate) fn into_dict(params: MetadataParameters, dict: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = dict.py();
    for (key, value) in params {
        let key = PyString::intern(py, &key);
        match value {
            Parameter::Bool(truth) => dict.set_item(key, truth),
            Parameter::Integer(number) => dict.set_item(key, number),
            Parameter::Float(number) => dict.set_item(key, number),
            Parameter::String(text) => dict.set_item(key, text),
            Parameter::ListInt(list) => dict.set_item(key, list),
            Parameter::ListFloat(list) => dict.set_item(key, list),
            Parameter::ListString(list) => dict.set_item(key, list),
            Parameter::Timestamp(point) => dict.set_item(key, time::from_utc(py, point)?),
        }?;
    }
    Ok(())
}

/// The parameters that a metadata argument holds; none for `None`.
pub(crate) fn from_python(output: &str, metadata: Option<&Bound<'_, PyAny>>) -> PyResult<MetadataParameters> {
    let mut params = MetadataParameters::new();
    let Some(metadata) = metadata.filter(|given| !given.is_none()) else { return Ok(params) };
    let Ok(dict) = metadata.cast::<PyDict>() else {
        let found = metadata.get_type().name()?;
        return Err(PyTypeError::new_err(format!("output `{output}`: metadata must be a dict, not {found}")));
    };
    if dict.is_empty() {
        return Ok(params);
    }
    if let Some(nested) = dict.get_item(intern!(dict.py(), "parameters"))?
        && let Ok(nested) = nested.cast::<PyDict>()
    {
        insert_all(&mut params, nested, output)?;
    }
    insert_all(&mut params, dict, output)?;
    Ok(params)
}

fn insert_all(params: &mut MetadataParameters, dict: &Bound<'_, PyDict>, output: &str) -> PyResult<()> {
    for (key, value) in dict.iter() {
        let Ok(key) = key.cast::<PyString>() else {
            let key = key.repr()?;
            return Err(PyTypeError::new_err(format!("output `{output}`: metadata key {key} is not a str")));
        };
        let key = text(key, &format_args!("output `{output}`: a metadata key"))?;
        if key == "timestamp"
            || key.starts_with('_')
            || (key == "parameters" && value.is_instance_of::<PyDict>())
        {
            continue;
        }
        let value = parameter(&value, &Place { output, key: &key })?;
        params.insert(key, value);
    }
    Ok(())
}

/// Where a value stands, for errors.
struct Place<'a> {
    output: &'a str,
    key: &'a str,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "output `{}`: metadata key `{}`", self.output, self.key)
    }
}

/// A Python string may hold what is no text: half of a character, as file names can bring it in.
fn text(text: &Bound<'_, PyString>, place: &impl std::fmt::Display) -> PyResult<String> {
    text.extract().map_err(|error: PyErr| PyValueError::new_err(format!("{place} is no valid text: {error}")))
}

fn parameter(value: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Parameter> {
    // A bool is an int, so it comes first.
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Parameter::Bool(truth.is_true()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return self::text(text, place).map(Parameter::String);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return items(list.iter().collect(), place);
    }
    if let Ok(list) = value.cast::<PyTuple>() {
        return items(list.iter().collect(), place);
    }
    if time::is_datetime(value)? {
        return time::to_utc(value, || place.to_string()).map(Parameter::Timestamp);
    }
    match number(value, place)? {
        Some(Number::Whole(number)) => Ok(Parameter::Integer(number)),
        Some(Number::Float(number)) => Ok(Parameter::Float(number)),
        None => Err(unsupported(value, place)),
    }
}

fn unsupported(value: &Bound<'_, PyAny>, place: &Place<'_>) -> PyErr {
    let found = value.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!(
        "{place} has a value of type {found}; use bool, int, float, str, an aware datetime, or a list of int, float or \
         str"
    ))
}

enum Number {
    Whole(i64),
    Float(f64),
}

static REAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Python's numbers, and those of numpy.
fn number(value: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Option<Number>> {
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Some(Number::Float(number.value())));
    }
    let py = value.py();
    if value.is_instance_of::<PyInt>() || value.hasattr(intern!(py, "__index__"))? {
        return match value.extract::<i64>() {
            Ok(number) => Ok(Some(Number::Whole(number))),
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
                let text = format!("{place}: the integer does not fit in 64 bits with a sign");
                Err(PyOverflowError::new_err(text))
            }
            // An array has `__index__` too, and refuses unless it has one element.
            Err(_) => Ok(None),
        };
    }
    let real = REAL.import(py, "numbers", "Real")?;
    if value.is_instance(real)? {
        return Ok(Some(Number::Float(value.extract()?)));
    }
    Ok(None)
}

fn items(list: Vec<Bound<'_, PyAny>>, place: &Place<'_>) -> PyResult<Parameter> {
    let Some(first) = list.first().cloned() else { return Ok(Parameter::ListString(Vec::new())) };
    let mixed = |item: &Bound<'_, PyAny>| {
        let kind =
            |value: &Bound<'_, PyAny>| value.get_type().name().map(|n| n.to_string()).unwrap_or_default();
        let (found, expected) = (kind(item), kind(&first));
        PyTypeError::new_err(format!("{place}: the list mixes {expected} and {found}"))
    };
    if first.is_instance_of::<PyString>() {
        let text = |item: Bound<'_, PyAny>| match item.cast::<PyString>() {
            Ok(text) => self::text(text, place),
            Err(_) => Err(mixed(&item)),
        };
        return list.into_iter().map(text).collect::<PyResult<_>>().map(Parameter::ListString);
    }
    match number(&first, place)? {
        Some(Number::Whole(_)) => {
            let whole = |item: Bound<'_, PyAny>| match number(&item, place)? {
                Some(Number::Whole(number)) => Ok(number),
                _ => Err(mixed(&item)),
            };
            list.into_iter().map(whole).collect::<PyResult<_>>().map(Parameter::ListInt)
        }
        Some(Number::Float(_)) => {
            let float = |item: Bound<'_, PyAny>| match number(&item, place)? {
                Some(Number::Float(number)) => Ok(number),
                _ => Err(mixed(&item)),
            };
            list.into_iter().map(float).collect::<PyResult<_>>().map(Parameter::ListFloat)
        }
        None => Err(PyTypeError::new_err(format!(
            "{place} has a list of {}; lists hold int, float or str",
            first.get_type().name()?
        ))),
    }
}
