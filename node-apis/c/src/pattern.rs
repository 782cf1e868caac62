//! Requests and goals.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    ffi::{c_char, c_int, c_void},
    time::Duration,
};

use dora_node_api::{
    DoraNode, Event, EventStream, PatternError, dora_core::config::NodeId, futures::executor::block_on,
};

use crate::{
    context::context,
    event,
    receive::limit,
    status::{Failure, Outcome, Status, status},
    text,
};

/// Length of a name made by [`dora_new_request_id`], with the zero at its end.
const ID_SIZE: usize = 37;

/// Writes the name of a request or a goal: a UUID of version 7, with a zero at its end.
///
/// # Safety
/// `out` is null or has room for 37 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_new_request_id(out: *mut c_char) -> c_int {
    status(|| {
        let mut text = [0u8; ID_SIZE];
        let id = DoraNode::new_request_id();
        let room = text.iter_mut().zip(id.bytes().take(ID_SIZE - 1));
        room.for_each(|(place, byte)| *place = byte);
        // SAFETY: passed on.
        unsafe { text::put(out.cast(), text, "`out`") }
    })
}

fn ended(error: &PatternError) -> Status {
    match error {
        PatternError::Timeout => Status::Timeout,
        PatternError::ServerRestarted(_) => Status::ServerRestarted,
        PatternError::ServerGone(_) => Status::ServerGone,
        PatternError::StreamEnded => Status::Closed,
        PatternError::StreamError(_) => Status::StreamError,
        _ => Status::Failed,
    }
}

/// What is waited for.
struct Wanted<'a> {
    id: &'a str,
    server: NodeId,
    limit: Duration,
}

/// # Safety
/// `id` and `server` point to as many bytes as their lengths say; `out` is a place for a handle, or null.
unsafe fn wait(
    ctx: *mut c_void,
    (id, id_len): (*const c_char, usize),
    (server, server_len): (*const c_char, usize),
    timeout_ns: i64,
    out: *mut *mut c_void,
    wait: impl FnOnce(&mut EventStream, &Wanted<'_>) -> Result<Event, PatternError>,
) -> c_int {
    status(|| {
        text::can_take(out)?;
        // SAFETY: passed on.
        let (id, server) =
            unsafe { (text::given(id, id_len, "the name")?, text::node_id(server, server_len, "`server`")?) };
        let wanted = Wanted { id, server, limit: limit(timeout_ns).unwrap_or(Duration::MAX) };
        let context = context(ctx)?;
        let found: Outcome<Event> = wait(&mut context.receiving()?.events, &wanted)
            .map_err(|error| Failure::new(ended(&error), &error));
        // SAFETY: checked above; the caller answers for the rest.
        unsafe { text::put(out, event::keep(found?, context)?, "`out`") }
    })
}

/// Waits for the response to a request.
///
/// # Safety
/// `request_id` and `server` point to as many bytes as their lengths say; `out` is a place for a handle, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_recv_service_response(
    ctx: *mut c_void,
    request_id: *const c_char,
    request_id_len: usize,
    server: *const c_char,
    server_len: usize,
    timeout_ns: i64,
    out: *mut *mut c_void,
) -> c_int {
    let (id, server) = ((request_id, request_id_len), (server, server_len));
    // SAFETY: passed on.
    unsafe {
        wait(ctx, id, server, timeout_ns, out, |events, wanted| {
            block_on(events.recv_service_response(wanted.id, &wanted.server, wanted.limit))
        })
    }
}

/// Waits for the result of a goal.
///
/// # Safety
/// `goal_id` and `server` point to as many bytes as their lengths say; `out` is a place for a handle, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_recv_action_result(
    ctx: *mut c_void,
    goal_id: *const c_char,
    goal_id_len: usize,
    server: *const c_char,
    server_len: usize,
    timeout_ns: i64,
    out: *mut *mut c_void,
) -> c_int {
    let (id, server) = ((goal_id, goal_id_len), (server, server_len));
    // SAFETY: passed on.
    unsafe {
        wait(ctx, id, server, timeout_ns, out, |events, wanted| {
            block_on(events.recv_action_result(wanted.id, &wanted.server, wanted.limit))
        })
    }
}
