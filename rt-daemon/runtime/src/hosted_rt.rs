//! A real-time operator as the executor sees it: no allocation after its start.
#![expect(unsafe_code, reason = "calls the functions of a library")]

use std::{
    ffi::{c_char, c_void},
    ptr, slice, str,
};

use dora_operator_api::abi::{Bytes, RtEvent, RtOutbox, RtSetup, VERSION, rt_event, rt_refused};
use dora_protocol::{operator::Operator, wire_type};
use dora_rt::operators::{self as rt, Arrived, Sends, Verdict};

use crate::{
    crash,
    error::RuntimeError,
    hosted::{Faults, last},
    library::{Context, Entry, Symbols},
    memory::Pool,
    message::Item,
};

/// Memory that one output may reserve, bytes.
const MOST: usize = 64 << 20;
/// Buffers beside those that wait in queues.
const SPARE: usize = 4;

/// An output that the operator asked for.
#[derive(Debug)]
struct RtOutput {
    /// Number over the whole node.
    number: u32,
    type_id: u32,
    most: usize,
    pool: Pool,
}

/// The operator.
#[derive(Debug)]
pub(crate) struct HostedRt {
    number: u32,
    context: Context,
    on_event: unsafe extern "C" fn(*const RtEvent, *const RtOutbox, *mut c_void) -> u8,
    /// Per input: the type that the operator asked for.
    inputs: Vec<Option<u32>>,
    outputs: Vec<RtOutput>,
    faults: Faults,
}

/// What an operator asks while it starts.
struct Asked<'a> {
    operator: &'a Operator,
    /// Messages of an output that may wait inside, per output of the operator.
    waiting: &'a [usize],
    inputs: Vec<Option<u32>>,
    outputs: Vec<RtOutput>,
    why: String,
}

impl HostedRt {
    /// Makes the operator; `None` when the library has one of the other kind. `waiting` is, per output of the operator, how many
    /// of its messages the queues inside can hold.
    pub(crate) fn start(
        number: u32,
        operator: &Operator,
        symbols: &Symbols,
        waiting: &[usize],
        faults: &Faults,
    ) -> Result<Option<Self>, RuntimeError> {
        let Entry::Rt { init, on_event } = symbols.entry else { return Ok(None) };
        let inputs = vec![None; operator.inputs.len()];
        let mut asked = Asked { operator, waiting, inputs, outputs: Vec::new(), why: String::new() };
        let mut setup = RtSetup { version: VERSION, env_ptr: (&raw mut asked).cast(), input, output, why };
        // SAFETY: a function of `operator_api.h`; everything that it is given lives until it returns.
        let made = crash::during(number, || unsafe { init(&raw mut setup) });
        let context = Context::take(made, symbols, operator.id.as_str())?;
        let Asked { inputs, outputs, .. } = asked;
        Ok(Some(Self { number, context, on_event, inputs, outputs, faults: faults.clone() }))
    }

    /// Type of an input, as the operator asked for it.
    pub(crate) fn input_type(&self, input: u32) -> Option<u32> {
        self.inputs.get(input as usize).copied().flatten()
    }

    /// Number over the node, type and most values of each output that the operator asked for.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (u32, u32, usize)> + '_ {
        let values = |output: &RtOutput| output.most / wire_type::width(output.type_id).unwrap_or(1);
        self.outputs.iter().map(move |output| (output.number, output.type_id, values(output)))
    }

    fn call(&mut self, event: &RtEvent, sends: &mut Sends<'_, Item>) -> Verdict {
        let Self { number, context, on_event, outputs, .. } = self;
        let mut sending = Sending { sends, outputs };
        let outbox = RtOutbox { version: VERSION, env_ptr: (&raw mut sending).cast(), loan, publish };
        // SAFETY: all pointers are live until the call returns; the operator is used by this thread alone.
        let status =
            crash::during(*number, || unsafe { on_event(event, &raw const outbox, context.pointer) });
        match status {
            0 => Verdict::Continue,
            1 => Verdict::Finish,
            2 => Verdict::StopAll,
            _ => {
                // The end of the process: may allocate.
                self.faults
                    .note(self.number, "it panicked, or returned a status that does not exist".to_owned());
                Verdict::Fail
            }
        }
    }

    fn values(
        &mut self,
        (type_id, bytes): (u32, &[u8]),
        missed: u64,
        event: (u32, rt::Tag),
        sends: &mut Sends<'_, Item>,
    ) -> Verdict {
        let (input, tag) = event;
        let wanted = self.inputs.get(input as usize).copied().flatten();
        if wanted.is_none() {
            // The operator has no handle for this input.
            return Verdict::Continue;
        }
        let fits = wanted == Some(type_id);
        let kind = if fits { rt_event::INPUT } else { rt_event::WRONG_TYPE };
        let (data, len) = if fits { (bytes.as_ptr(), bytes.len()) } else { (ptr::null(), 0) };
        self.call(&RtEvent { kind, input, type_id, data, len, missed, ..told(tag) }, sends)
    }
}

fn told(tag: rt::Tag) -> RtEvent {
    RtEvent {
        version: VERSION,
        kind: rt_event::STOP,
        input: 0,
        type_id: wire_type::NULL,
        data: ptr::null(),
        len: 0,
        tag_time_ns: tag.time_ns,
        missed: 0,
        microstep: tag.microstep,
    }
}

impl rt::Operator<Item> for HostedRt {
    fn run(&mut self, event: Arrived<Item>, sends: &mut Sends<'_, Item>) -> Verdict {
        let at = (event.input, event.tag);
        match &event.message {
            Item::Flat(flat) => self.values((flat.type_id, flat.bytes()), 0, at, sends),
            Item::View(holder) => match holder.bytes() {
                Some(values) => self.values(values, 0, at, sends),
                None => Verdict::Continue,
            },
            Item::Tick { count, missed } => {
                self.values((wire_type::UINT64, &count.to_ne_bytes()), *missed, at, sends)
            }
            Item::Message(message) => {
                self.values(message.flat().unwrap_or((wire_type::FIRST_DYNAMIC, &[])), 0, at, sends)
            }
            Item::Closed(input) => {
                let (kind, input) = (rt_event::INPUT_CLOSED, *input);
                self.call(&RtEvent { kind, input, ..told(event.tag) }, sends)
            }
            Item::Unreadable(input, _) => {
                let (kind, input) = (rt_event::WRONG_TYPE, *input);
                self.call(&RtEvent { kind, input, ..told(event.tag) }, sends)
            }
            Item::Stop => last(self.call(&told(event.tag), sends)),
        }
    }
}

/// # Safety
/// `name` is `len` bytes long.
unsafe fn name<'a>(name: *const c_char, len: usize) -> &'a str {
    if name.is_null() {
        return "";
    }
    // SAFETY: as the caller says.
    str::from_utf8(unsafe { slice::from_raw_parts(name.cast(), len) }).unwrap_or_default()
}

fn list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        format!("it has no {what}")
    } else {
        format!("its {what} are {}", names.join(", "))
    }
}

/// # Safety
/// `env` is the `env_ptr` of the start that is going on; the name is as long as it says.
unsafe extern "C" fn input(env: *mut c_void, at: *const c_char, len: usize, type_id: u32) -> i64 {
    // SAFETY: as the caller says.
    let (Some(asked), wanted) = (unsafe { (env.cast::<Asked<'_>>().as_mut(), name(at, len)) }) else {
        return -1;
    };
    let inputs = &asked.operator.inputs;
    let Some(number) = inputs.iter().position(|input| input.id == *wanted) else {
        let known = list("inputs", inputs.iter().map(|input| input.id.as_str()));
        asked.why = format!("there is no input `{wanted}`; {known}");
        return -1;
    };
    if wire_type::width(type_id).is_none() {
        asked.why = format!("input `{wanted}`: {type_id} is no type of flat values");
        return -1;
    }
    asked.inputs[number] = Some(type_id);
    number as i64
}

/// # Safety
/// As [`input`].
unsafe extern "C" fn output(
    env: *mut c_void,
    at: *const c_char,
    len: usize,
    type_id: u32,
    most: usize,
) -> i64 {
    // SAFETY: as the caller says.
    let (Some(asked), wanted) = (unsafe { (env.cast::<Asked<'_>>().as_mut(), name(at, len)) }) else {
        return -1;
    };
    match asked.output(wanted, type_id, most) {
        Ok(number) => number,
        Err(why) => {
            asked.why = why;
            -1
        }
    }
}

impl Asked<'_> {
    fn output(&mut self, wanted: &str, type_id: u32, most: usize) -> Result<i64, String> {
        let outputs = &self.operator.outputs;
        let Some(at) = outputs.iter().position(|output| output.id == *wanted) else {
            let known = list("outputs", outputs.iter().map(|output| output.id.as_str()));
            return Err(format!("there is no output `{wanted}`; {known}"));
        };
        let declared = &outputs[at];
        let Some(bytes) = wire_type::width(type_id).and_then(|width| most.checked_mul(width)) else {
            return Err(format!("output `{wanted}`: {type_id} is no type of flat values"));
        };
        if let Some(max) = declared.max_message_bytes.filter(|max| bytes as u64 > *max) {
            return Err(format!("output `{wanted}` shall carry {bytes} bytes, but allows {max}"));
        }
        let affordable = (MOST / bytes.max(64)).max(2);
        let buffers = (self.waiting.get(at).copied().unwrap_or(0) + SPARE).min(affordable);
        let pool = Pool::new(buffers, bytes);
        self.outputs.push(RtOutput { number: declared.output, type_id, most: bytes, pool });
        Ok(self.outputs.len() as i64 - 1)
    }
}

/// # Safety
/// As [`input`].
unsafe extern "C" fn why(env: *mut c_void) -> Bytes {
    // SAFETY: as the caller says.
    unsafe { env.cast::<Asked<'_>>().as_ref() }.map_or(Bytes::NONE, |asked| Bytes::copy(asked.why.as_bytes()))
}

/// What the operator's sends need; its address is the `env_ptr` of a call.
struct Sending<'a, 'b, 'c> {
    sends: &'a mut Sends<'b, Item>,
    outputs: &'c mut [RtOutput],
}

/// # Safety
/// `env` is the `env_ptr` of the call that is going on, on this thread.
unsafe extern "C" fn loan(env: *mut c_void, output: u32, len: usize) -> *mut u8 {
    // SAFETY: as the caller says; nobody else uses it during this function.
    let sending = unsafe { env.cast::<Sending<'_, '_, '_>>().as_mut() };
    let output = sending.and_then(|sending| sending.outputs.get_mut(output as usize));
    let memory = output.filter(|output| len <= output.most).and_then(|output| output.pool.loan(len));
    memory.map_or(ptr::null_mut(), <[u8]>::as_mut_ptr)
}

/// # Safety
/// As [`loan`].
unsafe extern "C" fn publish(env: *mut c_void, output: u32, len: usize) -> u32 {
    // SAFETY: as the caller says; nobody else uses it during this function.
    let Some(Sending { sends, outputs }) = (unsafe { env.cast::<Sending<'_, '_, '_>>().as_mut() }) else {
        return rt_refused::UNKNOWN;
    };
    let Some(output) = outputs.get_mut(output as usize) else { return rt_refused::UNKNOWN };
    if len > output.most {
        return rt_refused::TOO_LARGE;
    }
    let Some(flat) = output.pool.publish(output.type_id, len) else { return rt_refused::UNKNOWN };
    sends.send(output.number, Item::Flat(flat)).map_or(rt_refused::FULL, |()| 0)
}

#[cfg(test)]
mod tests;
