//! Contexts: joining a dataflow, leaving it, and what a node knows about itself.
//!
//! A context is a shell that is never deallocated: freeing it takes the node out of it. So a thread that still waits in it, or
//! comes too late, finds an empty shell and gets an error.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    collections::BTreeSet,
    ffi::{c_char, c_int, c_ulonglong, c_void},
    sync::{Mutex, PoisonError},
};

use dora_node_api::{
    DoraNode, EventStream, LogOrigin, NodeResult,
    descriptor::InputMapping,
    dora_core::config::{DataId, NodeId},
    log_from,
};

use crate::{
    exclusive::{Exclusive, Turn},
    receive::Bell,
    status::{Failure, Outcome, Status, handle, number, status},
    table::{Kind, Table},
    text::{self, Name},
};

/// Names of outputs that are remembered.
const KEPT: usize = 64;

/// The half that sends.
pub(crate) struct Sending {
    pub(crate) node: DoraNode,
    /// Names of outputs that were used: a name is checked and allocated once.
    outputs: Vec<DataId>,
}

/// The half that receives.
pub(crate) struct Receiving {
    pub(crate) events: EventStream,
    /// Rung when there may be an event; there once somebody asked for its file descriptor.
    pub(crate) bell: Option<Bell>,
}

/// What stays the same.
struct Facts {
    node_id: NodeId,
    dataflow_id: String,
    restart_count: u32,
    /// JSON.
    config: String,
    descriptor: Option<String>,
    /// Inputs that have no data of their own.
    timers: BTreeSet<DataId>,
}

/// What a context handle stands for.
pub(crate) struct Context {
    sending: Exclusive<Option<Sending>>,
    receiving: Exclusive<Option<Receiving>>,
    facts: Facts,
    /// Inputs whose data could not be given out as bytes, and that was logged.
    reported: Mutex<BTreeSet<DataId>>,
}

static CONTEXTS: Table<&'static Context> = Table::new(Kind::Context);

impl Sending {
    /// The node, and the name of one of its outputs. A name that was used before is found by its bytes.
    #[inline]
    pub(crate) fn output(&mut self, name: Name<'_>) -> Outcome<(&mut DoraNode, &DataId)> {
        let known = self.outputs.iter().position(|known| known.as_str().as_bytes() == name.0);
        let at = match known {
            Some(at) => at,
            None => self.remember(name)?,
        };
        Ok((&mut self.node, &self.outputs[at]))
    }

    #[cold]
    fn remember(&mut self, name: Name<'_>) -> Outcome<usize> {
        let id = name.checked()?;
        if self.outputs.len() == KEPT {
            self.outputs.pop();
        }
        self.outputs.push(id);
        Ok(self.outputs.len() - 1)
    }
}

impl Context {
    fn new(node: DoraNode, events: EventStream) -> Self {
        let inputs = node.node_config().inputs.iter();
        let timers = inputs.filter(|(_, input)| matches!(input.mapping, InputMapping::Timer { .. }));
        let facts = Facts {
            node_id: node.id().clone(),
            dataflow_id: node.dataflow_id().to_string(),
            restart_count: node.restart_count(),
            // Plain data: there is nothing that JSON could refuse.
            config: serde_json::to_string(node.node_config()).unwrap_or_default(),
            descriptor: node.dataflow_descriptor().ok().map(|descriptor| descriptor.to_string()),
            timers: timers.map(|(id, _)| id.clone()).collect(),
        };
        Self {
            sending: Exclusive::new(Some(Sending { node, outputs: Vec::new() })),
            receiving: Exclusive::new(Some(Receiving { events, bell: None })),
            facts,
            reported: Mutex::new(BTreeSet::new()),
        }
    }

    fn busy(&self, verb: &str) -> Failure {
        let node = &self.facts.node_id;
        let text =
            format!("another thread is {verb} with the context of node `{node}`: one thread at a time");
        Failure::new(Status::Busy, text)
    }

    fn freed(&self) -> Failure {
        Failure::new(Status::InvalidHandle, format!("the context of node `{}` was freed", self.facts.node_id))
    }

    /// The half that sends.
    #[inline]
    pub(crate) fn sending(&self) -> Outcome<impl std::ops::DerefMut<Target = Sending> + '_> {
        Half::of(&self.sending).ok_or_else(|| self.busy("sending"))?.check(|| self.freed())
    }

    /// The half that receives.
    #[inline]
    pub(crate) fn receiving(&self) -> Outcome<impl std::ops::DerefMut<Target = Receiving> + '_> {
        Half::of(&self.receiving).ok_or_else(|| self.busy("receiving"))?.check(|| self.freed())
    }

    /// Writes a log line, without a turn.
    pub(crate) fn log(&self, level: &str, message: &str, target: Option<&str>) {
        log_from(&self.facts.node_id, level, message, target, LogOrigin::default(), None);
    }

    pub(crate) fn node_id(&self) -> &NodeId {
        &self.facts.node_id
    }

    /// Is this input a timer? Its ticks have no bytes.
    pub(crate) fn is_timer(&self, input: &DataId) -> bool {
        self.facts.timers.contains(input)
    }

    /// Says once per input that it holds something else than bytes.
    pub(crate) fn report_type(&self, input: &DataId, what: &str) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.insert(input.clone()) {
            let text = format!("{what}; use dora_input_values or dora_export_input. This is said once");
            self.log("error", &text, Some("dora"));
        }
    }

    /// Ends both halves: outputs are closed, the daemon is told.
    fn leave(&self) -> Outcome<()> {
        let mut receiving = self.receiving.enter().ok_or_else(|| self.busy("receiving"))?;
        let mut sending = self.sending.enter().ok_or_else(|| self.busy("sending"))?;
        *receiving = None;
        *sending = None;
        Ok(())
    }
}

/// A turn with a half that is there.
struct Half<'a, T>(Turn<'a, Option<T>>);

impl<'a, T> Half<'a, T> {
    fn of(half: &'a Exclusive<Option<T>>) -> Option<Self> {
        half.enter().map(Self)
    }

    fn check(self, freed: impl FnOnce() -> Failure) -> Outcome<Self> {
        if self.0.is_some() { Ok(self) } else { Err(freed()) }
    }
}

impl<T> std::ops::Deref for Half<'_, T> {
    type Target = T;
    #[cfg_attr(not(test), expect(clippy::unreachable, reason = "checked when the turn began"))]
    fn deref(&self) -> &T {
        self.0.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl<T> std::ops::DerefMut for Half<'_, T> {
    #[cfg_attr(not(test), expect(clippy::unreachable, reason = "checked when the turn began"))]
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap_or_else(|| unreachable!())
    }
}

/// The context of a handle.
#[inline]
pub(crate) fn context(handle: *const c_void) -> Outcome<&'static Context> {
    CONTEXTS.get(handle).copied()
}

fn joined(outcome: NodeResult<(DoraNode, EventStream)>) -> Outcome<*mut c_void> {
    let (node, events) = outcome.map_err(Failure::of)?;
    CONTEXTS.insert(Box::leak(Box::new(Context::new(node, events))))
}

/// Joins the dataflow that started this process.
#[unsafe(no_mangle)]
pub extern "C" fn init_dora_context_from_env() -> *mut c_void {
    handle(|| {
        let outcome = joined(DoraNode::init_from_env());
        // The reference says nothing, and a node that prints nothing when it cannot start is a riddle.
        outcome.inspect_err(|failure| eprintln!("init_dora_context_from_env: {}", failure.text))
    })
}

/// Joins as the node of that name.
///
/// # Safety
/// `id` points to `id_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_dora_context_from_node_id(id: *const c_char, id_len: usize) -> *mut c_void {
    // SAFETY: passed on.
    handle(|| joined(DoraNode::init_flexible(unsafe { text::node_id(id, id_len, "`id`")? })))
}

/// Leaves the dataflow.
#[unsafe(no_mangle)]
pub extern "C" fn free_dora_context(context: *mut c_void) {
    dora_leave(context);
}

/// As [`free_dora_context`], and says whether it did.
#[unsafe(no_mangle)]
pub extern "C" fn dora_leave(context: *mut c_void) -> c_int {
    status(|| {
        CONTEXTS.get(context)?.leave()?;
        CONTEXTS.free(context)
    })
}

/// Name of the node.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_node_id(ctx: *mut c_void, out: *mut *const c_char, len: *mut usize) -> c_int {
    // SAFETY: passed on.
    status(|| unsafe { text::put_text(out, len, context(ctx)?.facts.node_id.as_str()) })
}

/// Name of this run of the dataflow.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_dataflow_id(
    ctx: *mut c_void,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    // SAFETY: passed on.
    status(|| unsafe { text::put_text(out, len, &context(ctx)?.facts.dataflow_id) })
}

/// Inputs and outputs of the node, as JSON.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_node_config_json(
    ctx: *mut c_void,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    // SAFETY: passed on.
    status(|| unsafe { text::put_text(out, len, &context(ctx)?.facts.config) })
}

/// The descriptor of the dataflow, as JSON.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_dataflow_descriptor_json(
    ctx: *mut c_void,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    status(|| {
        let facts = &context(ctx)?.facts;
        let descriptor = facts.descriptor.as_ref().ok_or_else(|| {
            let node = &facts.node_id;
            let text = format!("node `{node}` runs without a dataflow, so there is no descriptor");
            Failure::new(Status::NotFound, text)
        })?;
        // SAFETY: passed on.
        unsafe { text::put_text(out, len, descriptor) }
    })
}

/// How often the node was restarted; -1 for no context.
#[unsafe(no_mangle)]
pub extern "C" fn dora_restart_count(ctx: *mut c_void) -> i64 {
    number(-1, || Ok(i64::from(context(ctx)?.facts.restart_count)))
}

/// A new point on the hybrid logical clock; 0 when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn dora_timestamp(ctx: *mut c_void) -> c_ulonglong {
    number(0, || Ok(context(ctx)?.sending()?.node.timestamp().get_time().as_u64()))
}

/// Version of this library.
#[unsafe(no_mangle)]
pub extern "C" fn dora_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
