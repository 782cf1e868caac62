//! Events of the real-time node API to a flow of real-time operators only: nothing is allocated on the way.
#![expect(unsafe_code, reason = "looks at flat values as bytes, and back")]

use std::{slice, sync::Arc};

use dora_node_api::{
    NodeError,
    rt::{Event, In, Out, RtError, RtNode, View},
};
use dora_protocol::{
    operator::{RuntimeConfig, STOP_ALL},
    wire_type::{self, Primitive},
};

use crate::{
    config::Wiring,
    error::RuntimeError,
    hosted::{Faults, log},
    hosted_rt::HostedRt,
    message::Item,
    run::{Driver, NodeSide, Settled},
};

/// Tags between two looks at what comes in, when operators keep each other busy.
const TURNS: usize = 64;

macro_rules! of_every_type {
    ($($name:ident: $type:ty = $id:ident),*) => {
        /// An input of any type.
        enum AnyIn { $($name(In<$type>)),* }

        /// An output of any type.
        enum AnyOut { $($name(Out<$type>)),* }

        /// A received message of any type.
        #[derive(Debug)]
        enum AnyView { $($name(View<$type>)),* }

        impl AnyView {
            fn bytes(&self) -> (u32, &[u8]) {
                match self { $(Self::$name(view) => (wire_type::$id, as_bytes(view))),* }
            }
        }

        impl AnyIn {
            fn new(node: &RtNode, name: &str, type_id: u32) -> Result<Self, NodeError> {
                match type_id {
                    $(wire_type::$id => node.input::<$type>(name).map(Self::$name),)*
                    other => Err(NodeError::Init(format!("input `{name}`: {other} is no type of flat values"))),
                }
            }

            fn read(&self, node: &mut RtNode) -> Result<AnyView, RtError> {
                match self { $(Self::$name(input) => node.read(input).map(AnyView::$name)),* }
            }
        }

        impl AnyOut {
            fn new(node: &mut RtNode, name: &str, type_id: u32, most: usize) -> Result<Self, NodeError> {
                match type_id {
                    $(wire_type::$id => node.output::<$type>(name, most).map(Self::$name),)*
                    other => Err(NodeError::Init(format!("output `{name}`: {other} is no type of flat values"))),
                }
            }

            fn send(&self, node: &mut RtNode, bytes: &[u8]) -> Result<(), RtError> {
                match self { $(Self::$name(output) => node.send(output, as_values::<$type>(bytes))),* }
            }

            fn has_readers(&self, node: &mut RtNode) -> bool {
                match self { $(Self::$name(output) => node.has_readers(output)),* }
            }

            fn close(&self, node: &mut RtNode) {
                match self { $(Self::$name(output) => node.close(*output)),* }
            }
        }
    };
}

of_every_type! {
    U8: u8 = UINT8, U16: u16 = UINT16, U32: u32 = UINT32, U64: u64 = UINT64,
    I8: i8 = INT8, I16: i16 = INT16, I32: i32 = INT32, I64: i64 = INT64,
    F32: f32 = FLOAT32, F64: f64 = FLOAT64
}

fn as_bytes<T: Primitive>(values: &[T]) -> &[u8] {
    // SAFETY: a `Primitive` is a number without padding (sealed); the slice borrows the values.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn as_values<T: Primitive>(bytes: &[u8]) -> &[T] {
    debug_assert!(bytes.as_ptr().addr().is_multiple_of(align_of::<T>()), "pools are 64-byte aligned");
    // SAFETY: the bytes are the front of a 64-byte aligned buffer (`Memory`); the length is rounded down; any bits are a valid
    // `Primitive` (sealed: numbers only); the slice borrows the bytes.
    unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// A message of another node while operators look at it.
#[derive(Debug, Default)]
pub(crate) struct Holder {
    view: Option<AnyView>,
}

impl Holder {
    pub(crate) fn bytes(&self) -> Option<(u32, &[u8])> {
        self.view.as_ref().map(AnyView::bytes)
    }
}

/// The node.
struct Direct {
    node: RtNode,
    outputs: Vec<Option<AnyOut>>,
}

impl NodeSide for Direct {
    fn send(&mut self, output: u32, message: &Item) -> Result<(), String> {
        let (Item::Flat(flat), Some(Some(out))) = (message, self.outputs.get(output as usize)) else {
            return Ok(());
        };
        if !out.has_readers(&mut self.node) {
            return Ok(());
        }
        // A full pool of slots is counted by the library; the message is lost to the readers outside, as it is in a node.
        match out.send(&mut self.node, flat.bytes()) {
            Ok(()) | Err(RtError::NoSlot { .. }) => Ok(()),
            Err(error) => Err(self.node.describe(error)),
        }
    }

    fn has_readers(&mut self, output: u32) -> bool {
        let out = self.outputs.get(output as usize).and_then(Option::as_ref);
        out.is_some_and(|out| out.has_readers(&mut self.node))
    }

    fn close(&mut self, outputs: &[u32]) {
        for output in outputs {
            if let Some(Some(out)) = self.outputs.get(*output as usize) {
                out.close(&mut self.node);
            }
        }
    }

    fn stop_all(&mut self, operator: &str) -> Result<(), String> {
        let asked = self.node.extension_request(STOP_ALL, operator.as_bytes().to_vec());
        asked.map(drop).map_err(|error| format!("it asked for the end of the dataflow: {error}"))
    }
}

/// An input of the node as this runtime reads it.
enum Source {
    Values {
        handle: AnyIn,
        holder: Arc<Holder>,
        complained: bool,
    },
    /// A timer, or an input that no operator asked for.
    Other,
}

/// Hosts operators that all are real-time ones.
pub(crate) fn run(
    config: RuntimeConfig,
    wiring: Wiring,
    operators: Vec<(u32, HostedRt)>,
    faults: Faults,
) -> Result<(), RuntimeError> {
    let mut node = RtNode::init_from_env()?;
    let mut outputs: Vec<Option<AnyOut>> = config.outputs.iter().map(|_| None).collect();
    for (number, type_id, most) in operators.iter().flat_map(|(_, operator)| operator.outputs()) {
        let name = config.outputs[number as usize].as_str();
        outputs[number as usize] = Some(AnyOut::new(&mut node, name, type_id, most)?);
    }
    let mut sources = Vec::new();
    for (name, entry) in config.inputs.iter().zip(&wiring.entries) {
        let of = |number: u32| operators.iter().find(|(own, _)| *own == number).map(|(_, operator)| operator);
        let wanted = entry.and_then(|entry| of(entry.operator)?.input_type(entry.input));
        let timer = node.timer(name.as_str()).is_ok();
        sources.push(match wanted.filter(|_| !timer) {
            Some(type_id) => Source::Values {
                handle: AnyIn::new(&node, name.as_str(), type_id)?,
                holder: Arc::default(),
                complained: false,
            },
            None => Source::Other,
        });
    }
    let id = config.node_id.clone();
    let names: Vec<String> = config.inputs.iter().map(ToString::to_string).collect();
    let boxed = operators.into_iter().map(|(number, operator)| (number, Box::new(operator) as _)).collect();
    let mut driver = Driver::new(Direct { node, outputs }, config, wiring, boxed, faults)?;
    driver.start_threads()?;
    loop {
        let event = match driver.settle(TURNS)? {
            Settled::Done => break,
            Settled::Idle => {
                let_go(&mut sources);
                driver.node.node.wait()
            }
            Settled::Busy => match driver.node.node.try_next() {
                Some(event) => event,
                None => continue,
            },
        };
        match event {
            Event::Input(input) => {
                let number = input.index();
                if let Some(message) = received(&mut driver, &mut sources, number) {
                    match message {
                        Ok(item) => driver.take(number, item),
                        Err(why) => log(&id, "warn", &format!("input `{}`: {why}", names[number as usize])),
                    }
                }
            }
            Event::Tick(tick) => {
                driver.take(tick.input.index(), Item::Tick { count: tick.count, missed: tick.missed });
            }
            Event::InputClosed(input) | Event::InputTimedOut(input) => driver.closed(input.index()),
            Event::InputRecovered(input) => driver.recovered(input.index()),
            Event::Notice => while driver.node.node.notice().is_some() {},
            Event::Closed => break,
            // What is queued still comes; the operators are told when it has been.
            _ => {}
        }
    }
    let_go(&mut sources);
    driver.finish()
}

/// Gives the memory of messages back that no operator waits for any more.
fn let_go(sources: &mut [Source]) {
    for source in sources {
        if let Source::Values { holder, .. } = source
            && let Some(free) = Arc::get_mut(holder)
        {
            free.view = None;
        }
    }
}

/// Reads the message that was announced. An input is complained about once.
fn received(
    driver: &mut Driver<Direct>,
    sources: &mut [Source],
    number: u32,
) -> Option<Result<Item, String>> {
    let Source::Values { handle, holder, complained } = sources.get_mut(number as usize)? else {
        return None;
    };
    match handle.read(&mut driver.node.node) {
        Ok(view) => {
            match Arc::get_mut(holder) {
                Some(free) => free.view = Some(view),
                // A loop between operators still has the one before.
                None => *holder = Arc::new(Holder { view: Some(view) }),
            }
            Some(Ok(Item::View(Arc::clone(holder))))
        }
        Err(_) if std::mem::replace(complained, true) => None,
        Err(error) => Some(Err(driver.node.node.describe(error))),
    }
}
