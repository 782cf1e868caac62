//! Arrays from and to pyarrow, over the Arrow C data interface: pointers change hands, values are not copied.
//!
//! 1. pyarrow's own functions are looked up once; a type is made once and found again by comparison.
//! 2. What comes in is released with the GIL in hand, and after the message was sent.
#![expect(unsafe_code, reason = "the Arrow C data interface is made of pointers")]

use std::ffi::CStr;

use arrow_array::{Array, ArrayRef, ffi::FFI_ArrowSchema, ffi::from_ffi};
use arrow_data::{ArrayData, ffi::FFI_ArrowArray};
use arrow_schema::DataType;
use parking_lot::Mutex;
use pyo3::{
    exceptions::PyRuntimeError,
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyCapsule, PyTuple, PyType},
};

use crate::failed;

/// Types that are remembered. A node that makes up types without end gets slower, not bigger.
const KEPT: usize = 64;

/// What is needed of pyarrow.
struct PyArrow {
    array: Py<PyType>,
    import_array: Py<PyAny>,
    export_array: Py<PyAny>,
    import_type: Py<PyAny>,
}

static PYARROW: PyOnceLock<PyArrow> = PyOnceLock::new();
static TYPES: Mutex<Vec<(DataType, Py<PyAny>)>> = Mutex::new(Vec::new());

fn pyarrow(py: Python<'_>) -> PyResult<&'static PyArrow> {
    PYARROW.get_or_try_init(py, || {
        let module = py.import("pyarrow")?;
        let array = module.getattr("Array")?.cast_into::<PyType>()?;
        Ok(PyArrow {
            import_array: array.getattr("_import_from_c")?.unbind(),
            export_array: array.getattr("_export_to_c")?.unbind(),
            import_type: module.getattr("DataType")?.getattr("_import_from_c")?.unbind(),
            array: array.unbind(),
        })
    })
}

/// Loads pyarrow now, so that the first message does not wait for it.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    pyarrow(py).map(drop)
}

/// A pyarrow array over the same memory.
pub(crate) fn to_python<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    let arrow = pyarrow(py)?;
    let data_type = type_of(py, array.data_type(), arrow)?;
    let mut exported = FFI_ArrowArray::new(&array.to_data());
    // pyarrow empties the struct, also when it fails; then there is nothing left to drop here.
    arrow.import_array.bind(py).call1((&raw mut exported as usize, data_type))
}

fn type_of<'py>(py: Python<'py>, wanted: &DataType, arrow: &PyArrow) -> PyResult<Bound<'py, PyAny>> {
    if let Some((_, known)) = TYPES.lock().iter().find(|(known, _)| known == wanted) {
        return Ok(known.bind(py).clone());
    }
    let mut schema = FFI_ArrowSchema::try_from(wanted).map_err(failed)?;
    let made = arrow.import_type.bind(py).call1((&raw mut schema as usize,))?;
    let mut types = TYPES.lock();
    if types.len() < KEPT {
        types.push((wanted.clone(), made.clone().unbind()));
    }
    Ok(made)
}

/// What is to be sent.
pub(crate) enum Outgoing<'py> {
    /// Bytes, which become an array of `u8`.
    Bytes(Bound<'py, PyBytes>),
    /// An array.
    Array(ArrayData),
}

/// Takes what a node wants to send: `bytes`, a pyarrow array, or what knows the Arrow protocol.
pub(crate) fn outgoing<'py>(output: &str, data: &Bound<'py, PyAny>) -> PyResult<Outgoing<'py>> {
    let py = data.py();
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Outgoing::Bytes(bytes.clone()));
    }
    let arrow = pyarrow(py)?;
    if data.is_instance(arrow.array.bind(py))? {
        let (mut array, mut schema) = (FFI_ArrowArray::empty(), FFI_ArrowSchema::empty());
        let pointers = (data, &raw mut array as usize, &raw mut schema as usize);
        arrow.export_array.bind(py).call1(pointers)?;
        return import(output, array, &schema);
    }
    if data.hasattr(intern!(py, "__arrow_c_array__"))? {
        let capsules = data.call_method0(intern!(py, "__arrow_c_array__"))?.cast_into::<PyTuple>()?;
        let (schema, array) = (capsules.get_item(0)?, capsules.get_item(1)?);
        let schema: *mut FFI_ArrowSchema = pointer(&schema, c"arrow_schema")?;
        let array: *mut FFI_ArrowArray = pointer(&array, c"arrow_array")?;
        // SAFETY: the names of the capsules say what they point to, and the capsules, which own it, are alive. What is
        // taken out is replaced by an empty struct, so it is released once.
        let (array, schema) = unsafe { (FFI_ArrowArray::from_raw(array), FFI_ArrowSchema::from_raw(schema)) };
        return import(output, array, &schema);
    }
    let found = data.get_type().name()?;
    Err(PyRuntimeError::new_err(format!(
        "output `{output}`: cannot send a value of type {found}; send `bytes` or a `pyarrow.Array`, for example \
         `pyarrow.array(…)`"
    )))
}

fn import<'py>(output: &str, array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> PyResult<Outgoing<'py>> {
    // SAFETY: the structs were filled by an implementation of the Arrow C data interface, which promises what this
    // needs. Lengths and offsets are checked again before the values are copied.
    let data = unsafe { from_ffi(array, schema) };
    data.map(Outgoing::Array).map_err(|error| failed(format!("output `{output}`: {error}")))
}

fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    let capsule = capsule.cast::<PyCapsule>()?;
    Ok(capsule.pointer_checked(Some(name))?.as_ptr().cast())
}
