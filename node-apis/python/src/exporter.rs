//! The memory of a message as a Python buffer: writable, and counted.
//!
//! The stable ABI lets classes export buffers from Python 3.11 on; interpreters from 3.9 on take the same slots in a type
//! that is made at run time, which is what happens here. 3.8 does not, and gets an error.
//!
//! 1. While a buffer is exported the message is neither moved, sent nor given back.
//! 2. After it was sent no buffer is exported any more.
#![expect(unsafe_code, reason = "the buffer protocol is a C interface")]

use std::{
    ffi::{c_int, c_void},
    mem, ptr,
    sync::Arc,
};

use dora_node_api::DataSample;
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyBufferError, PyNotImplementedError},
    ffi,
    prelude::*,
    sync::PyOnceLock,
    types::PyType,
};

/// Slot numbers, the same since Python 3.9.
const BF_GETBUFFER: c_int = 1;
const BF_RELEASEBUFFER: c_int = 2;

/// `Py_buffer`, unchanged since Python 3.3.
#[repr(C)]
struct PyBuffer {
    buf: *mut c_void,
    obj: *mut ffi::PyObject,
    len: ffi::Py_ssize_t,
    itemsize: ffi::Py_ssize_t,
    readonly: c_int,
    ndim: c_int,
    format: *mut std::ffi::c_char,
    shape: *mut ffi::Py_ssize_t,
    strides: *mut ffi::Py_ssize_t,
    suboffsets: *mut ffi::Py_ssize_t,
    internal: *mut c_void,
}

unsafe extern "C" {
    fn PyBuffer_FillInfo(
        view: *mut PyBuffer,
        obj: *mut ffi::PyObject,
        buf: *mut c_void,
        len: ffi::Py_ssize_t,
        readonly: c_int,
        flags: c_int,
    ) -> c_int;
}

/// A message that is being written.
pub(crate) struct Memory {
    state: Mutex<State>,
    len: usize,
}

struct State {
    /// In a box, because short messages lie in the sample itself and must not move while they are exported.
    sample: Option<Box<DataSample>>,
    views: usize,
    /// Give it back when the last view is gone.
    discarded: bool,
}

impl Memory {
    pub(crate) fn new(sample: DataSample) -> Self {
        let len = sample.len();
        Self { state: Mutex::new(State { sample: Some(Box::new(sample)), views: 0, discarded: false }), len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Nothing is there to be written any more.
    pub(crate) fn is_sent(&self) -> bool {
        let state = self.state.lock();
        state.sample.is_none() || state.discarded
    }

    /// The message. The error is the number of views that are in the way, 0 when it was taken before.
    pub(crate) fn take(&self) -> Result<DataSample, usize> {
        let mut state = self.state.lock();
        if state.discarded {
            return Err(0);
        }
        match state.views {
            0 => state.sample.take().map(|sample| *sample).ok_or(0),
            views => Err(views),
        }
    }

    /// Gives the message back, now or with the last view.
    pub(crate) fn discard(&self) {
        let mut state = self.state.lock();
        state.discarded = true;
        if state.views == 0 {
            state.sample = None;
        }
    }

    /// Where the bytes are, with one more view to count.
    fn open(&self) -> Option<*mut u8> {
        let mut state = self.state.lock();
        if state.discarded {
            return None;
        }
        let start = state.sample.as_mut()?.as_mut_ptr();
        state.views += 1;
        Some(start)
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.views = state.views.saturating_sub(1);
        if state.discarded && state.views == 0 {
            state.sample = None;
        }
    }
}

/// An object of the type below.
#[repr(C)]
struct Exporter {
    base: ffi::PyObject,
    /// From `Arc::into_raw`; null until `export` has set it.
    memory: *const Memory,
}

static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// A Python object that exports the bytes of the message, and keeps them.
pub(crate) fn export(py: Python<'_>, memory: Arc<Memory>) -> PyResult<Bound<'_, PyAny>> {
    let class = TYPE.get_or_try_init(py, || make_type(py))?.bind(py);
    let class: *mut ffi::PyTypeObject = class.as_ptr().cast();
    // SAFETY: the type was made below, with room for an `Exporter`; the default allocator fills the object with zeros.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(class, 0))? };
    // SAFETY: see above. Nobody else knows the object yet.
    unsafe { (*object.as_ptr().cast::<Exporter>()).memory = Arc::into_raw(memory) };
    Ok(object)
}

fn make_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    if py.version_info() < (3, 9) {
        return Err(PyNotImplementedError::new_err(
            "send_output_raw needs Python 3.9 or newer; use send_output, which copies the bytes once",
        ));
    }
    let mut slots = [
        ffi::PyType_Slot { slot: BF_GETBUFFER, pfunc: get_buffer as *mut c_void },
        ffi::PyType_Slot { slot: BF_RELEASEBUFFER, pfunc: release_buffer as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: dealloc as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"dora.SampleBuffer".as_ptr(),
        basicsize: mem::size_of::<Exporter>() as c_int,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the slots have the types that their numbers say and end with a zero; the name lives for ever.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&mut spec))? };
    Ok(class.cast_into::<PyType>()?.unbind())
}

/// # Safety
/// `object` is an `Exporter`.
unsafe fn memory_of<'a>(object: *mut ffi::PyObject) -> Option<&'a Memory> {
    // SAFETY: `export` stored a pointer from `Arc::into_raw`, which `dealloc` alone takes back.
    unsafe { (*object.cast::<Exporter>()).memory.as_ref() }
}

unsafe extern "C" fn get_buffer(object: *mut ffi::PyObject, view: *mut PyBuffer, flags: c_int) -> c_int {
    // SAFETY: Python calls this with an object of our type.
    let memory = unsafe { memory_of(object) };
    let Some((memory, start)) = memory.and_then(|memory| memory.open().map(|start| (memory, start))) else {
        // SAFETY: `view` is to be filled; an error leaves no object in it.
        unsafe { (*view).obj = ptr::null_mut() };
        // SAFETY: Python calls this with the GIL in hand.
        let py = unsafe { Python::assume_attached() };
        PyBufferError::new_err("the message was sent or thrown away").restore(py);
        return -1;
    };
    // SAFETY: `start` and `len` are one message, which stays where it is until `release_buffer`, because `open` counted.
    let filled =
        unsafe { PyBuffer_FillInfo(view, object, start.cast(), memory.len() as ffi::Py_ssize_t, 0, flags) };
    if filled != 0 {
        memory.close();
    }
    filled
}

unsafe extern "C" fn release_buffer(object: *mut ffi::PyObject, _view: *mut PyBuffer) {
    // SAFETY: Python calls this with an object of our type, once per buffer that `get_buffer` filled.
    if let Some(memory) = unsafe { memory_of(object) } {
        memory.close();
    }
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the last reference is gone, so nobody uses the object; the pointer is from `Arc::into_raw` or null.
    unsafe {
        let memory = (*object.cast::<Exporter>()).memory;
        if !memory.is_null() {
            drop(Arc::from_raw(memory));
        }
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_Free(object.cast());
        // Objects hold a reference to a type made at run time.
        ffi::Py_DECREF(class.cast());
    }
}
