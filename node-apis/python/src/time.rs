//! Points in time as aware `datetime` objects, and back.
//!
//! The stable ABI has no C API for `datetime`, so the class is called; it is looked up once. It is called with the ten bytes
//! that pickles hold, a form that every Python reads: each message has a time, and eight arguments cost three times as much.

use chrono::{DateTime, Datelike, Timelike, Utc};
use dora_node_api::uhlc;
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyInt, PyType},
};

/// What is needed of the module `datetime`.
struct Classes {
    datetime: Py<PyType>,
    utc: Py<PyAny>,
    epoch: Py<PyAny>,
    microsecond: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    CLASSES.get_or_try_init(py, || {
        let module = py.import("datetime")?;
        let datetime = module.getattr("datetime")?.cast_into::<PyType>()?;
        let utc = module.getattr("timezone")?.getattr("utc")?;
        let epoch = datetime.call1((1970, 1, 1, 0, 0, 0, 0, &utc))?;
        let microsecond = module.getattr("timedelta")?.call1((0, 0, 1))?;
        Ok(Classes {
            datetime: datetime.unbind(),
            utc: utc.unbind(),
            epoch: epoch.unbind(),
            microsecond: microsecond.unbind(),
        })
    })
}

/// The physical part of a stamp, as an aware `datetime` to the microsecond.
pub(crate) fn from_stamp<'py>(py: Python<'py>, stamp: &uhlc::Timestamp) -> PyResult<Bound<'py, PyAny>> {
    let time = stamp.get_time();
    let point = DateTime::from_timestamp(i64::from(time.as_secs()), time.subsec_nanos());
    // 32 bits of seconds are always a date.
    from_utc(py, point.unwrap_or_default())
}

/// An aware `datetime`, cut to the microsecond.
pub(crate) fn from_utc(py: Python<'_>, point: DateTime<Utc>) -> PyResult<Bound<'_, PyAny>> {
    let classes = classes(py)?;
    let (date, time) = (point.date_naive(), point.time());
    let year = date.year();
    let Some([year_high, year_low]) =
        u16::try_from(year).ok().filter(|y| (1..=9999).contains(y)).map(u16::to_be_bytes)
    else {
        return Err(PyValueError::new_err(format!("{point} is no `datetime`: its years go from 1 to 9999")));
    };
    // 1_000_000 and more is a leap second, which Python does not know.
    let [_, high, middle, low] = (time.nanosecond() / 1000).min(999_999).to_be_bytes();
    let [month, day] = [date.month(), date.day()].map(|n| n as u8);
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()].map(|n| n as u8);
    let bytes = [year_high, year_low, month, day, hour, minute, second, high, middle, low];
    classes.datetime.bind(py).call1((PyBytes::new(py, &bytes), &classes.utc))
}

/// Whether this is a `datetime`.
pub(crate) fn is_datetime(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_instance(classes(value.py())?.datetime.bind(value.py()))
}

/// A `datetime` with a time zone, to the microsecond. `what` names it in the error.
pub(crate) fn to_utc(value: &Bound<'_, PyAny>, what: impl Fn() -> String) -> PyResult<DateTime<Utc>> {
    let py = value.py();
    let classes = classes(py)?;
    if value.call_method0(intern!(py, "utcoffset"))?.is_none() {
        return Err(PyTypeError::new_err(format!(
            "{}: the datetime has no time zone; use for example `datetime.now(timezone.utc)`",
            what()
        )));
    }
    let since = value.sub(&classes.epoch)?.floor_div(&classes.microsecond)?.cast_into::<PyInt>()?;
    // Years 1 to 9999 fit.
    Ok(DateTime::from_timestamp_micros(since.extract()?).unwrap_or_default())
}
