//! Real-time operators on the executor, without a library: the functions of one are in this file.

use dora_operator_api::{
    DoraStatus,
    abi::{DoraResult, InitResult},
    glue,
    rt::{Event, In, Out, Outbox, RtOperator, Setup},
};
use dora_rt::operators::{Flow, FlowBuilder, OperatorSpec, Outside, Tag};
use rt_tuning::alloc_guard::{self, AllocGuard};

use super::*;
use crate::config::{Wiring, tests as config};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

/// Adds one to each of its values.
struct AddOne {
    input: In<f64>,
    output: Out<f64>,
}

impl RtOperator for AddOne {
    fn start(setup: &mut Setup<'_>) -> Result<Self, String> {
        let input = setup.input("i0")?;
        // The only output that is there.
        let output = (0..10).find_map(|n| setup.output(&format!("o{n}"), 512).ok());
        Ok(Self { input, output: output.ok_or("no output")? })
    }

    fn on_event(&mut self, event: &Event<'_>, outbox: &mut Outbox<'_>) -> DoraStatus {
        let Some(values) = event.read(&self.input) else { return DoraStatus::Continue };
        let add = |to: &mut [f64]| to.iter_mut().zip(values).for_each(|(to, value)| *to = value + 1.0);
        match outbox.send_with(&self.output, values.len(), add) {
            Ok(()) => DoraStatus::Continue,
            Err(_) => DoraStatus::StopAll,
        }
    }
}

unsafe extern "C" fn init(setup: *mut RtSetup) -> InitResult {
    // SAFETY: the runtime hands over a live pointer.
    unsafe { glue::rt_init::<AddOne>(setup) }
}

unsafe extern "C" fn on_event(event: *const RtEvent, outbox: *const RtOutbox, context: *mut c_void) -> u8 {
    // SAFETY: the runtime hands over live pointers.
    unsafe { glue::rt_on_event::<AddOne>(event, outbox, context) }
}

unsafe extern "C" fn drop_operator(context: *mut c_void) -> DoraResult {
    // SAFETY: the runtime hands back what `init` made, once.
    unsafe { glue::drop::<AddOne>(context) }
}

#[derive(Default)]
struct Last {
    value: f64,
    place: usize,
    ended: u32,
}

impl Outside<Item> for Last {
    fn sent(&mut self, _: u32, _: u32, _: Tag, message: &Item) {
        if let Item::Flat(flat) = message {
            self.value = f64::from_ne_bytes(flat.bytes()[..8].try_into().unwrap());
            self.place = flat.bytes().as_ptr().addr();
        }
    }

    fn ended(&mut self, _: u32, _: Verdict) {
        self.ended += 1;
    }
}

/// Ten of them in a row.
fn chain() -> Flow<Item> {
    let symbols = Symbols { entry: Entry::Rt { init, on_event }, drop_operator };
    let operators: Vec<Operator> = (0..10u32)
        .map(|n| {
            let input = if n == 0 { (Some(0), vec![]) } else { (None, vec![n - 1]) };
            config::operator(&format!("op{n}"), vec![input], &[n])
        })
        .collect();
    let wiring = Wiring::new(&config::config(operators.clone(), 1, 10));
    let mut builder = FlowBuilder::new();
    for (number, operator) in (0u32..).zip(&operators) {
        let hosted = HostedRt::start(number, operator, &symbols, &[2], &Faults::default());
        let ports = wiring.ports[number as usize].clone();
        let operator = Box::new(hosted.unwrap().unwrap());
        builder.operator(OperatorSpec { operator, ports, budget_ns: Some(1_000_000_000) });
    }
    for (owner, readers) in &wiring.outputs {
        builder.output(owner.unwrap(), readers.clone());
    }
    builder.build(1).unwrap()
}

#[test]
fn ten_thousand_events_through_ten_real_time_operators_allocate_nothing() {
    assert!(alloc_guard::is_installed());
    let (mut flow, mut last) = (chain(), Last::default());
    let mut source = Pool::new(2, 4096);
    let ((), counts) = alloc_guard::count(|| {
        for event in 0..10_000u64 {
            let message = source.loan(4096).map(|to| to[..8].copy_from_slice(&(event as f64).to_ne_bytes()));
            assert!(message.is_some());
            let Some(flat) = source.publish(wire_type::FLOAT64, 4096) else { panic!() };
            flow.inject(0, 0, Tag { time_ns: event, microstep: 0 }, Item::Flat(flat));
            flow.step(&mut last);
        }
    });
    assert_eq!((counts.calls(), last.value, last.ended), (0, 9_999.0 + 10.0, 0));
    assert_eq!(last.place % 64, 0);
}

#[test]
fn a_tick_is_a_number_and_another_type_is_told() {
    let mut flow = chain();
    let mut last = Last::default();
    let tag = Tag { time_ns: 1, microstep: 0 };
    // These operators asked for f64.
    flow.inject(0, 0, tag, Item::Tick { count: 4, missed: 0 });
    flow.step(&mut last);
    assert_eq!((last.value, last.ended, flow.counts(0).runs), (0.0, 0, 1));
}

#[test]
fn a_name_that_is_not_there_is_refused_with_those_that_are() {
    let symbols = Symbols { entry: Entry::Rt { init, on_event }, drop_operator };
    let operator = config::operator("op", vec![], &[0]);
    let error = HostedRt::start(0, &operator, &symbols, &[0], &Faults::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("there is no input `i0`; it has no inputs"), "{error}");
}
