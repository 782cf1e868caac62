//! An operator with the familiar functions, as the executor sees it.
#![expect(unsafe_code, reason = "calls the functions of a library")]

use std::{
    ffi::{CString, c_void},
    ptr, slice, str,
    sync::{Arc, Mutex},
};

use arrow_array::UInt64Array;
use dora_operator_api::abi::{Bytes, DoraResult, Input, NOT_FLAT, Output, RawEvent, SendOutput, VERSION};
use dora_protocol::{NodeId, OperatorId, metadata::MetadataParameters, operator::Operator, wire_type};
use dora_rt::operators::{self as rt, Arrived, Sends, Verdict};

use crate::{
    crash,
    error::RuntimeError,
    library::{Context, Entry, Symbols},
    memory::{Flat, Memory},
    message::{Item, Message, Values, decode_parameters},
};

/// What went wrong in operators, first things first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<(u32, String)>>>);

impl Faults {
    pub(crate) fn note(&self, operator: u32, what: String) {
        if let Ok(mut faults) = self.0.lock() {
            faults.push((operator, what));
        }
    }

    /// What an operator said last, or a sentence that it said nothing.
    pub(crate) fn of(&self, operator: u32) -> String {
        let faults = self.0.lock();
        let found = faults.iter().flat_map(|all| all.iter()).rev().find(|(number, _)| *number == operator);
        found.map_or_else(|| "it gave no reason".to_owned(), |(_, what)| what.clone())
    }
}

/// An output as an operator knows it.
#[derive(Debug)]
pub(crate) struct NamedOutput {
    pub(crate) name: String,
    /// Number over the whole node.
    pub(crate) number: u32,
}

pub(crate) fn outputs_of(operator: &Operator) -> Vec<NamedOutput> {
    let named = operator.outputs.iter();
    named.map(|output| NamedOutput { name: output.id.to_string(), number: output.output }).collect()
}

/// The operator.
#[derive(Debug)]
pub(crate) struct Hosted {
    number: u32,
    node: NodeId,
    id: OperatorId,
    context: Context,
    on_event: unsafe extern "C" fn(
        *mut RawEvent,
        *const SendOutput,
        *mut c_void,
    ) -> dora_operator_api::abi::OnEventResult,
    inputs: Vec<CString>,
    outputs: Vec<NamedOutput>,
    /// Undeclared outputs that a warning was printed for.
    warned: Vec<String>,
    faults: Faults,
}

impl Hosted {
    /// Makes the operator; `None` when the library has one of the other kind.
    pub(crate) fn start(
        number: u32,
        node: &NodeId,
        operator: &Operator,
        symbols: &Symbols,
        faults: &Faults,
    ) -> Result<Option<Self>, RuntimeError> {
        let Entry::Familiar { init, on_event } = symbols.entry else { return Ok(None) };
        // SAFETY: a function of `operator_api.h` without arguments.
        let made = crash::during(number, || unsafe { init() });
        Ok(Some(Self {
            number,
            node: node.clone(),
            id: operator.id.clone(),
            context: Context::take(made, symbols, operator.id.as_str())?,
            on_event,
            // Names have no NUL in them; one that had would be empty.
            inputs: operator.inputs.iter().map(|i| CString::new(i.id.as_str()).unwrap_or_default()).collect(),
            outputs: outputs_of(operator),
            warned: Vec::new(),
            faults: faults.clone(),
        }))
    }

    /// Calls the operator. Everything that `event` points to lives until it returns.
    fn call(&mut self, mut event: RawEvent, sends: &mut Sends<'_, Item>) -> Verdict {
        let Self { number, node, id, context, on_event, outputs, warned, .. } = self;
        let mut sending = Sending { sends, outputs, warned, node, id };
        let send_output = SendOutput {
            env_ptr: (&raw mut sending).cast(),
            call: Some(send),
            release: Some(unused),
            retain: Some(unused),
        };
        // SAFETY: all pointers are live until the call returns; the operator is used by this thread alone.
        let (said, status) = crash::during(*number, || unsafe {
            let result = on_event(&raw mut event, &raw const send_output, context.pointer);
            (result.result.take(), result.status)
        });
        match (said, status) {
            (Err(text), _) => {
                self.faults.note(self.number, text);
                Verdict::Fail
            }
            (Ok(()), 0) => Verdict::Continue,
            (Ok(()), 1) => Verdict::Finish,
            (Ok(()), 2) => Verdict::StopAll,
            (Ok(()), other) => {
                self.faults
                    .note(self.number, format!("it returned the status {other}, which does not exist"));
                Verdict::Fail
            }
        }
    }

    fn message(&mut self, input: u32, message: &Arc<Message>, sends: &mut Sends<'_, Item>) -> Verdict {
        let Some(id) = self.inputs.get(input as usize) else { return Verdict::Continue };
        let (type_id, data, len) = message
            .flat()
            .map_or((NOT_FLAT, ptr::null(), 0), |(id, bytes)| (id, bytes.as_ptr(), bytes.len()));
        let mut input = Input {
            version: VERSION,
            type_id,
            id: id.as_ptr(),
            id_len: id.as_bytes().len(),
            data,
            len,
            message: Message::as_raw(message),
            taken: false,
        };
        self.call(RawEvent { input: &raw mut input, ..nothing() }, sends)
    }
}

/// What an operator says to its stop: after that it is done.
pub(crate) fn last(verdict: Verdict) -> Verdict {
    if verdict == Verdict::Continue { Verdict::Finish } else { verdict }
}

fn nothing() -> RawEvent {
    let none = Bytes::NONE;
    RawEvent { input: ptr::null_mut(), input_closed: none, stop: false, error: none, error_input: none }
}

/// A text that outlives the call.
fn lent(text: &str) -> Bytes {
    Bytes { ptr: text.as_ptr().cast_mut(), len: text.len(), cap: 0 }
}

impl rt::Operator<Item> for Hosted {
    fn run(&mut self, event: Arrived<Item>, sends: &mut Sends<'_, Item>) -> Verdict {
        let flat = |flat: Flat| Message::new(Values::Flat(flat), MetadataParameters::new());
        match event.message {
            Item::Message(message) => self.message(event.input, &message, sends),
            Item::Flat(values) => self.message(event.input, &flat(values), sends),
            // The memory of another node must not be kept for as long as this operator likes: its next message waits for it.
            Item::View(holder) => {
                let Some((type_id, bytes)) = holder.bytes() else { return Verdict::Continue };
                let copy = Flat { type_id, len: bytes.len(), memory: Arc::new(Memory::copy_of(bytes)) };
                self.message(event.input, &flat(copy), sends)
            }
            Item::Tick { count, .. } => {
                let array = arrow_array::Array::to_data(&UInt64Array::from(vec![count]));
                let message = Message::new(Values::Array(array), MetadataParameters::new());
                self.message(event.input, &message, sends)
            }
            Item::Closed(input) => {
                let Some(id) = self.inputs.get(input as usize).cloned() else { return Verdict::Continue };
                let closed = lent(id.to_str().unwrap_or_default());
                self.call(RawEvent { input_closed: closed, ..nothing() }, sends)
            }
            Item::Unreadable(input, why) => {
                let Some(id) = self.inputs.get(input as usize).cloned() else { return Verdict::Continue };
                let at = lent(id.to_str().unwrap_or_default());
                self.call(RawEvent { error: lent(&why), error_input: at, ..nothing() }, sends)
            }
            Item::Stop => last(self.call(RawEvent { stop: true, ..nothing() }, sends)),
        }
    }
}

/// What the operator's sends need; its address is the `env_ptr` of a call.
struct Sending<'a, 'b, 'c> {
    sends: &'a mut Sends<'b, Item>,
    outputs: &'c [NamedOutput],
    warned: &'c mut Vec<String>,
    node: &'c NodeId,
    id: &'c OperatorId,
}

unsafe extern "C" fn unused(_: *mut c_void) {}

/// # Safety
/// `env` is the `env_ptr` of the call that is going on, on this thread; `output` is null, or live with everything in it.
unsafe extern "C" fn send(env: *mut c_void, output: *mut Output) -> DoraResult {
    // SAFETY: as the caller says; nobody else uses it during this function.
    let (Some(sending), Some(output)) =
        (unsafe { (env.cast::<Sending<'_, '_, '_>>().as_mut(), output.as_mut()) })
    else {
        return DoraResult::error("an output was sent with a null pointer");
    };
    // SAFETY: as the caller says.
    match unsafe { sending.send(output) } {
        Ok(()) => DoraResult::OK,
        Err(text) => DoraResult::error(&text),
    }
}

/// # Safety
/// `ptr` is null or `len` bytes long.
unsafe fn given<'a>(ptr: *const u8, len: usize) -> Option<&'a [u8]> {
    match (ptr.is_null(), len) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        // SAFETY: as the caller says.
        (false, _) => Some(unsafe { slice::from_raw_parts(ptr, len) }),
    }
}

impl Sending<'_, '_, '_> {
    /// # Safety
    /// Everything that `output` points to is live. Array and schema are taken over.
    unsafe fn send(&mut self, output: &mut Output) -> Result<(), String> {
        // SAFETY: as the caller says; what is taken out is dropped here, whatever happens.
        let values = unsafe { values(output) };
        // SAFETY: as above.
        let name = unsafe { given(output.id.cast(), output.id_len) };
        let name =
            name.and_then(|name| str::from_utf8(name).ok()).ok_or("the name of the output is no text")?;
        if output.version < VERSION {
            return Err("the operator was built with an API that this runtime does not know".into());
        }
        let Some(number) = self.outputs.iter().find(|known| known.name == name).map(|known| known.number)
        else {
            self.undeclared(name);
            return Ok(());
        };
        let values = values.map_err(|error| format!("output `{name}`: {error}"))?;
        // SAFETY: as above.
        let parameters =
            unsafe { parameters(output) }.map_err(|error| format!("output `{name}`: {error}"))?;
        let sent = self.sends.send(number, Item::Message(Message::new(values, parameters)));
        sent.map_err(|full| format!("output `{name}`: {full}"))
    }

    fn undeclared(&mut self, name: &str) {
        if self.warned.iter().any(|warned| warned == name) {
            return;
        }
        self.warned.push(name.to_owned());
        let known: Vec<&str> = self.outputs.iter().map(|output| output.name.as_str()).collect();
        let (id, known) = (self.id, if known.is_empty() { "none".to_owned() } else { known.join(", ") });
        let what = format!(
            "output `{name}` is not declared, what is sent to it is ignored; add it to `outputs` of operator `{id}` (now: {known})"
        );
        log(self.node, "warn", &what);
    }
}

/// A line of the log of the node.
pub(crate) fn log(node: &NodeId, level: &str, what: &str) {
    dora_node_api::log_from(node, level, what, None, dora_node_api::LogOrigin::default(), None);
}

/// # Safety
/// As [`Sending::send`].
unsafe fn values(output: &mut Output) -> Result<Values, String> {
    if output.type_id == NOT_FLAT {
        // SAFETY: null, or live and writable; what is taken out is replaced by an empty structure, so it is owned once.
        let (array, schema) = unsafe { (output.array.as_mut(), output.schema.as_mut()) };
        let (Some(array), Some(schema)) = (array, schema) else { return Err("it has no values".into()) };
        // SAFETY: as above.
        let (array, schema) = unsafe {
            (
                arrow_data::ffi::FFI_ArrowArray::from_raw(array),
                arrow_schema::ffi::FFI_ArrowSchema::from_raw(schema),
            )
        };
        if array.is_released() {
            return Err("the array was released before".into());
        }
        // SAFETY: the operator says that it is a valid array of this schema; the C Data Interface has no way to check it.
        let data = unsafe { arrow_array::ffi::from_ffi(array, &schema) };
        return data.map(Values::Array).map_err(|error| error.to_string());
    }
    let Some(width) = wire_type::width(output.type_id) else {
        return Err(format!("{} is no type of flat values", output.type_id));
    };
    // SAFETY: as above.
    let Some(bytes) = (unsafe { given(output.data, output.len) }) else {
        return Err(format!("{} bytes were announced, but there is no data", output.len));
    };
    if !bytes.len().is_multiple_of(width) {
        return Err(format!(
            "{} bytes are no whole number of {}",
            bytes.len(),
            wire_type::name(output.type_id)
        ));
    }
    let memory = Arc::new(Memory::copy_of(bytes));
    Ok(Values::Flat(Flat { type_id: output.type_id, len: bytes.len(), memory }))
}

/// # Safety
/// As [`Sending::send`].
unsafe fn parameters(output: &Output) -> Result<MetadataParameters, String> {
    // SAFETY: null, or a live message of this runtime.
    let forwarded = unsafe { output.forward.cast::<Message>().as_ref() };
    let mut parameters = forwarded.map(|message| message.parameters.clone()).unwrap_or_default();
    // SAFETY: as the caller says.
    let Some(bytes) = (unsafe { given(output.parameters, output.parameters_len) }) else {
        return Err("metadata was announced, but there is none".into());
    };
    if !bytes.is_empty() {
        parameters.extend(decode_parameters(bytes, output.parameters_format)?);
    }
    Ok(parameters)
}
