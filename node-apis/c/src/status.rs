//! What a call says about how it went: a number for the program, a sentence for a person.
//!
//! 1. A failed call leaves its number and its sentence with the thread that called; a call that succeeds leaves both
//!    alone.
//! 2. No panic leaves this library: it becomes [`Status::Panic`].
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    any::Any,
    cell::RefCell,
    ffi::{c_char, c_int, c_void},
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

/// How a call went. The numbers are those of `enum DoraStatus` in `node_api.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    /// Done.
    Ok = 0,
    /// Not done, for the reason in the text.
    Failed = -1,
    /// An argument cannot be what it is: null, no UTF-8, too long, or no name.
    InvalidArgument = -2,
    /// Not a handle of this kind, or one that was freed.
    InvalidHandle = -3,
    /// Another thread is using this half of the context.
    Busy = -4,
    /// There, but of another type.
    WrongType = -5,
    /// Not there.
    NotFound = -6,
    /// The time is over.
    Timeout = -7,
    /// The event stream has ended.
    Closed = -8,
    /// A defect of this library.
    Panic = -9,
    /// No event is there now.
    Empty = -10,
    /// The server was restarted and has forgotten the request.
    ServerRestarted = -11,
    /// The server is gone for good.
    ServerGone = -12,
    /// The stream reported an error while a reply was awaited.
    StreamError = -13,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For the program.
    pub(crate) status: Status,
    /// For a person.
    pub(crate) text: String,
}

/// Result inside this library.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: Status, text: impl Display) -> Self {
        Self { status, text: text.to_string() }
    }

    /// What the node library refused.
    pub(crate) fn of(error: impl Display) -> Self {
        Self::new(Status::Failed, error)
    }

    /// An argument that cannot be.
    pub(crate) fn argument(text: impl Display) -> Self {
        Self::new(Status::InvalidArgument, text)
    }
}

/// Number of the last failure of a thread, and its text with a zero at the end.
struct Last {
    status: Status,
    text: Vec<u8>,
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { status: Status::Ok, text: Vec::new() }) };
}

/// Notes a failure for [`dora_last_error`].
fn note(failure: Failure) -> Status {
    let status = failure.status;
    // A text in C ends at its first zero.
    let mut text = failure.text.into_bytes();
    text.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    text.push(0);
    // Gone when the thread is ending; then nobody can ask any more.
    LAST.try_with(|last| *last.borrow_mut() = Last { status, text }).unwrap_or_default();
    status
}

fn described(panic: &(dyn Any + Send)) -> Failure {
    let what = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure::new(Status::Panic, format!("a defect of the dora library ended the call: {what}"))
}

/// Calls `body`; a failure and a panic are noted.
#[inline]
fn caught<T>(body: impl FnOnce() -> Outcome<T>) -> Result<T, Status> {
    // What a panic left half done is behind the `Exclusive` of a context, and is only closed after that.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(note(failure)),
        Err(panic) => Err(note(described(&*panic))),
    }
}

/// An entry point that returns a number of `enum DoraStatus`.
#[inline]
pub(crate) fn status(body: impl FnOnce() -> Outcome<()>) -> c_int {
    match caught(body) {
        Ok(()) => Status::Ok as c_int,
        Err(status) => status as c_int,
    }
}

/// An entry point that returns 0 or -1.
#[inline]
pub(crate) fn zero_or_minus_one(body: impl FnOnce() -> Outcome<()>) -> c_int {
    if caught(body).is_ok() { 0 } else { -1 }
}

/// An entry point that returns a handle, or null.
#[inline]
pub(crate) fn handle(body: impl FnOnce() -> Outcome<*mut c_void>) -> *mut c_void {
    caught(body).unwrap_or(ptr::null_mut())
}

/// An entry point that returns a number, and another when it fails.
#[inline]
pub(crate) fn number<T>(failed: T, body: impl FnOnce() -> Outcome<T>) -> T {
    caught(body).unwrap_or(failed)
}

/// The number of the last call on this thread that failed; 0 when none did.
#[unsafe(no_mangle)]
pub extern "C" fn dora_last_error_code() -> c_int {
    LAST.try_with(|last| last.borrow().status as c_int).unwrap_or(Status::Ok as c_int)
}

/// What the last call on this thread that failed had to say; empty when none did. Valid until the next one fails.
#[unsafe(no_mangle)]
pub extern "C" fn dora_last_error() -> *const c_char {
    let empty = c"".as_ptr();
    let text = LAST.try_with(|last| {
        let last = last.borrow();
        if last.text.is_empty() { empty } else { last.text.as_ptr().cast() }
    });
    text.unwrap_or(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_a_number_and_a_sentence() {
        assert_eq!(status(|| panic!("the {} is out", "cat")), Status::Panic as c_int);
        assert_eq!(dora_last_error_code(), Status::Panic as c_int);
        LAST.with_borrow(|last| {
            let text = String::from_utf8_lossy(&last.text);
            assert!(text.contains("the cat is out") && text.ends_with('\0'), "{text}");
        });
    }

    #[test]
    fn zero_inside_a_text_does_not_cut_it() {
        note(Failure::argument("a\0b"));
        LAST.with_borrow(|last| assert_eq!(last.text, b"a b\0"));
    }

    #[test]
    fn success_leaves_the_last_failure_alone() {
        assert_eq!(status(|| Err(Failure::argument("x"))), Status::InvalidArgument as c_int);
        assert_eq!(status(|| Ok(())), 0);
        assert_eq!(dora_last_error_code(), Status::InvalidArgument as c_int);
    }
}
