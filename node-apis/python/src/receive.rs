//! Receiving: every way to ask for the next event.
//!
//! A message that is there is taken at once. Whoever has to wait lets go of the GIL first. Python runs signal handlers
//! on the main thread only: a signal ends its wait, and it looks up from a long one now and then, should the signal have
//! come in just before it fell asleep. All others sleep until something comes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use dora_node_api::{Event, TryRecvError};
use futures::Stream;
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{bell::Bell, event, failed, node::Node};

/// How long the main thread sleeps before it looks whether a signal slipped by.
const SIGNAL_CHECK: Duration = Duration::from_secs(10);
/// Longer waits have no limit: 100 years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

thread_local! {
    static IS_MAIN: bool =
        rustix::thread::gettid().as_raw_nonzero() == rustix::process::getpid().as_raw_nonzero();
}

/// A number of seconds that can be waited for.
pub(crate) fn seconds(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Duration>> {
    let Some(timeout) = timeout else { return Ok(None) };
    let seconds: f64 = timeout.extract().map_err(|_| {
        let found = timeout.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("timeout must be a number of seconds, not {found}"))
    })?;
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "timeout must be a finite number of seconds, 0 or more, not {seconds}"
        )));
    }
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(FOREVER).min(FOREVER)))
}

impl Node {
    /// The next event if it is there, and if no other thread is at it.
    fn take(&self) -> Result<Event, TryRecvError> {
        self.receiving.try_lock().ok_or(TryRecvError::Empty)?.try_recv()
    }

    /// Waits for the next event. `None` at the end of the stream and when the time is over.
    pub(crate) fn wait(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<Option<Event>> {
        match self.take() {
            Ok(event) => return Ok(Some(event)),
            Err(TryRecvError::Closed) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        let deadline = Instant::now() + limit.unwrap_or(FOREVER);
        let longest = if IS_MAIN.with(|is_main| *is_main) { SIGNAL_CHECK } else { FOREVER };
        loop {
            let until = deadline.min(Instant::now() + longest);
            let found = py.detach(|| {
                let mut receiving = self.receiving.try_lock_until(until).ok_or(TryRecvError::Empty)?;
                receiving.recv_within(until.saturating_duration_since(Instant::now()))
            });
            if let Some(bell) = self.bell.get(py) {
                // A task that waits too has to arm its bell again.
                bell.ring();
            }
            match found {
                Ok(event) => return Ok(Some(event)),
                Err(TryRecvError::Closed) => return Ok(None),
                Err(TryRecvError::Empty) => py.check_signals()?,
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }
}

#[pymethods]
impl Node {
    /// Waits for the next event. `None` at the end of the stream, and when `timeout` (seconds) is over.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.wait(py, seconds(timeout)?)?.map(|event| event::to_dict(py, event)).transpose()
    }

    /// The next event if there is one now.
    fn try_recv<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.take().ok().map(|event| event::to_dict(py, event)).transpose()
    }

    /// All events that are there now.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = match self.receiving.try_lock() {
            Some(mut receiving) => receiving.drain().ok_or_else(|| failed(TryRecvError::Closed))?,
            None => Vec::new(),
        };
        let list = PyList::empty(py);
        events.into_iter().try_for_each(|event| list.append(event::to_dict(py, event)?))?;
        Ok(list)
    }

    /// Is there no event now?
    fn is_empty(&self) -> bool {
        self.receiving.try_lock().is_none_or(|receiving| receiving.is_empty())
    }

    /// Waits for the next event, in an asyncio loop. `None` as for `next`.
    #[pyo3(signature = (timeout=None))]
    fn recv_async<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let limit = seconds(timeout)?.map(|limit| limit.as_secs_f64());
        let waiters = slf.get().waiters.get_or_try_init(py, || {
            py.import("dora._aio")?.call_method1("Waiters", (slf.get().bell(py)?.fd(),)).map(Bound::unbind)
        })?;
        waiters.bind(py).call_method1("recv", (slf, limit))
    }

    /// For `dora._aio`: `(True, event)`, `(True, None)` at the end of the stream, or `(False, None)` when the bell will
    /// ring.
    fn _poll<'py>(&self, py: Python<'py>) -> PyResult<(bool, Option<Bound<'py, PyDict>>)> {
        let bell = self.bell(py)?;
        let Some(mut receiving) = self.receiving.try_lock() else {
            // The thread that is at it rings when it is done.
            return Ok((false, None));
        };
        let found = Pin::new(&mut *receiving).poll_next(&mut Context::from_waker(&bell.waker()));
        drop(receiving);
        Ok(match found {
            Poll::Ready(Some(event)) => (true, Some(event::to_dict(py, event)?)),
            Poll::Ready(None) => (true, None),
            Poll::Pending => (false, None),
        })
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.wait(py, None)?.map(|event| event::to_dict(py, event)).transpose()
    }
}

impl Node {
    fn bell(&self, py: Python<'_>) -> PyResult<&Bell> {
        self.bell.get_or_try_init(py, || Bell::new().map_err(failed))
    }
}
