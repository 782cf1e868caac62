//! The executor of operators: the same inputs give the same invocations, on any number of threads and under any load.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use dora_rt::operators::{
    Arrived, Flow, FlowBuilder, FlowError, Operator, OperatorSpec, Outside, Port, Reader, Sends, Tag,
    Verdict, Waits,
};
use rt_tuning::alloc_guard::{self, AllocGuard};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

/// What one operator saw: input, tag, value.
type Trace = Vec<(u32, Tag, u64)>;

/// Takes a function for an operator.
struct Runs<F>(F);

impl<F: FnMut(Arrived<u64>, &mut Sends<'_, u64>) -> Verdict + Send> Operator<u64> for Runs<F> {
    fn run(&mut self, event: Arrived<u64>, sends: &mut Sends<'_, u64>) -> Verdict {
        (self.0)(event, sends)
    }
}

fn spec(
    ports: Vec<Port>,
    run: impl FnMut(Arrived<u64>, &mut Sends<'_, u64>) -> Verdict + Send + 'static,
) -> OperatorSpec<u64> {
    OperatorSpec { operator: Box::new(Runs(run)), ports, budget_ns: None }
}

fn port(input: u32) -> Port {
    Port { input, limit: 10, keeps_all: false }
}

/// Collects what leaves the flow.
#[derive(Default)]
struct Seen {
    sent: Vec<(u32, u32, Tag, u64)>,
    ended: Vec<(u32, Verdict)>,
}

impl Outside<u64> for Seen {
    fn sent(&mut self, operator: u32, output: u32, tag: Tag, message: &u64) {
        self.sent.push((operator, output, tag, *message));
    }

    fn ended(&mut self, operator: u32, verdict: Verdict) {
        self.ended.push((operator, verdict));
    }
}

fn at(time_ns: u64) -> Tag {
    Tag { time_ns, microstep: 0 }
}

/// Edges of the graph of ten: sender and reader. Three of them lead back.
const EDGES: [(u32, u32); 17] = [
    (0, 1),
    (0, 2),
    (0, 3),
    (1, 4),
    (2, 4),
    (3, 4),
    (2, 5),
    (4, 6),
    (5, 6),
    (6, 7),
    (6, 8),
    (7, 9),
    (8, 9),
    (1, 9),
    (9, 0),
    (6, 2),
    (5, 5),
];

/// One run of the graph of ten: what each operator saw, and what left the flow.
fn run_of_ten(threads: usize) -> (Vec<Trace>, Seen) {
    let traces: Vec<_> = (0..10).map(|_| Arc::new(Mutex::new(Trace::new()))).collect();
    let mut builder = FlowBuilder::new();
    for operator in 0..10u32 {
        let edges = EDGES.iter().filter(|(_, reader)| *reader == operator).count() as u32;
        let trace = Arc::clone(&traces[operator as usize]);
        let on_two = Arc::new(AtomicBool::new(false));
        let mut state = u64::from(operator);
        // Port 0 is for what comes from outside.
        builder.operator(spec((0..=edges).map(port).collect(), move |event, sends| {
            assert!(!on_two.swap(true, SeqCst), "operator {operator} runs on two threads at once");
            trace.lock().unwrap().push((event.input, event.tag, event.message));
            // Depends on everything that was seen, and on its order.
            state = state.wrapping_mul(31).wrapping_add(event.message ^ u64::from(event.input));
            if event.tag.microstep < 4 {
                sends.send(operator, state).expect("there is room");
            }
            on_two.store(false, SeqCst);
            Verdict::Continue
        }));
    }
    for sender in 0..10u32 {
        let port_of = |at: usize| {
            let reader = EDGES[at].1;
            1 + EDGES[..at].iter().filter(|(_, other)| *other == reader).count() as u32
        };
        let own = EDGES.iter().enumerate().filter(|(_, (from, _))| *from == sender);
        let readers = own.map(|(at, (_, reader))| Reader { operator: *reader, port: port_of(at) });
        builder.output(sender, readers.collect());
    }
    let mut flow = builder.build(threads).unwrap();
    assert_eq!(flow.threads(), threads.min(3), "three operators can run side by side");
    if flow.threads() > 1 {
        flow.start_threads(&[], Waits::Park { spin_ns: 2_000 }).unwrap();
    }
    let mut seen = Seen::default();
    for event in 0..6u64 {
        // Several at once, and not in the order of their times.
        flow.inject(0, 0, at(100 * event), event);
        flow.inject(2, 0, at(100 * event), event + 1000);
        flow.inject(5, 0, at(100 * (event ^ 1)), event + 2000);
        if event % 2 == 1 {
            flow.run(&mut seen, usize::MAX);
        }
    }
    drop(flow);
    let traces = traces.iter().map(|trace| std::mem::take(&mut *trace.lock().unwrap())).collect();
    (traces, seen)
}

#[test]
fn a_thousand_runs_of_ten_operators_under_load_have_the_same_trace() {
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..3)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    std::hint::black_box((0..1000u64).sum::<u64>());
                }
            })
        })
        .collect();
    let (expected, out) = run_of_ten(1);
    assert!(expected.iter().all(|trace| trace.len() > 10), "{expected:?}");
    assert!(expected.iter().flatten().any(|(_, tag, _)| tag.microstep == 4), "the loops were not run");
    for run in 0..1000 {
        let threads = 1 + run % 3;
        let (traces, seen) = run_of_ten(threads);
        assert_eq!(traces, expected, "run {run} on {threads} threads");
        assert_eq!(seen.sent, out.sent, "run {run} on {threads} threads: the order outside");
    }
    stop.store(true, SeqCst);
    load.into_iter().for_each(|thread| thread.join().unwrap());
}

/// `len` operators, each of which adds one and sends it on; the last one sends it outside.
fn chain(len: u32) -> FlowBuilder<u64> {
    let mut builder = FlowBuilder::new();
    for operator in 0..len {
        builder.operator(spec(vec![port(0)], move |event, sends| {
            sends.send(operator, event.message + 1).expect("there is room");
            Verdict::Continue
        }));
    }
    for operator in 0..len {
        let next = (operator + 1 < len).then_some(Reader { operator: operator + 1, port: 0 });
        builder.output(operator, next.into_iter().collect());
    }
    builder
}

#[test]
fn a_chain_finishes_a_tag_in_one_step_and_the_tag_goes_with_it() {
    let mut flow = chain(10).build(4).unwrap();
    assert_eq!(flow.threads(), 1, "nothing of a chain can run side by side");
    let mut seen = Seen::default();
    assert!(flow.inject(0, 0, at(7), 0));
    assert!(flow.is_pending());
    assert!(flow.step(&mut seen));
    assert!(!flow.is_pending() && !flow.step(&mut seen));
    assert_eq!(seen.sent.last(), Some(&(9, 9, at(7), 10)));
}

#[test]
fn ten_thousand_events_through_ten_operators_allocate_nothing() {
    struct Last(u64);
    impl Outside<u64> for Last {
        fn sent(&mut self, _: u32, _: u32, _: Tag, message: &u64) {
            self.0 = *message;
        }
        fn ended(&mut self, _: u32, _: Verdict) {}
    }
    assert!(alloc_guard::is_installed());
    let mut flow = chain(10).build(1).unwrap();
    let mut last = Last(0);
    let ((), counts) = alloc_guard::count(|| {
        for event in 0..10_000 {
            flow.inject(0, 0, at(event), event);
            flow.step(&mut last);
        }
    });
    assert_eq!((counts.calls(), last.0), (0, 9_999 + 10));
}

#[test]
fn a_full_queue_drops_its_oldest_or_refuses_the_newest_as_its_edge_says() {
    for keeps_all in [false, true] {
        let refused = Arc::new(AtomicU32::new(0));
        let (mut builder, counter) = (FlowBuilder::new(), Arc::clone(&refused));
        builder.operator(spec(vec![port(0)], move |_, sends| {
            for number in 0..5 {
                counter.fetch_add(u32::from(sends.send(0, number).is_err()), SeqCst);
            }
            Verdict::Continue
        }));
        let trace = Arc::new(Mutex::new(Vec::new()));
        let reader = Arc::clone(&trace);
        let narrow = Port { input: 0, limit: 3, keeps_all };
        builder.operator(spec(vec![narrow], move |event, _| {
            reader.lock().unwrap().push(event.message);
            Verdict::Continue
        }));
        builder.output(0, vec![Reader { operator: 1, port: 0 }]);
        let mut flow = builder.build(1).unwrap();
        for round in 0..2 {
            flow.inject(0, 0, at(round), 0);
            flow.run(&mut Seen::default(), 10);
        }
        let expected = if keeps_all { [0, 1, 2, 0, 1, 2] } else { [2, 3, 4, 2, 3, 4] };
        assert_eq!(*trace.lock().unwrap(), expected, "keeps all: {keeps_all}");
        assert_eq!(refused.load(SeqCst), if keeps_all { 4 } else { 0 });
        assert_eq!(flow.counts(1).dropped, if keeps_all { 0 } else { 4 });
        assert_eq!(flow.counts(0).refused, if keeps_all { 4 } else { 0 });
    }
}

#[test]
fn an_operator_that_has_ended_is_told_once_and_gets_nothing_any_more() {
    for verdict in [Verdict::Finish, Verdict::StopAll, Verdict::Fail] {
        let mut builder = FlowBuilder::new();
        let runs = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&runs);
        builder.operator(spec(vec![port(0)], move |event, _| {
            counter.fetch_add(1, SeqCst);
            if event.message == 1 { verdict } else { Verdict::Continue }
        }));
        let mut flow: Flow<u64> = builder.build(1).unwrap();
        let mut seen = Seen::default();
        for message in 0..4 {
            flow.inject(0, 0, at(1), message);
        }
        flow.run(&mut seen, 10);
        assert!(!flow.inject(0, 0, at(2), 9), "it took an event after its end");
        flow.run(&mut seen, 10);
        assert_eq!((runs.load(SeqCst), seen.ended), (2, vec![(0, verdict)]));
    }
}

#[test]
fn an_operator_that_panics_on_any_thread_fails_and_the_flow_goes_on() {
    for threads in [1, 2] {
        one_of_two_panics(threads);
    }
}

fn one_of_two_panics(threads: usize) {
    let mut builder = FlowBuilder::new();
    for operator in 0..2u32 {
        builder.operator(spec(vec![port(0)], move |_, sends| {
            assert!(operator == 0, "this operator panics on purpose");
            sends.send(0, 1).expect("there is room");
            Verdict::Continue
        }));
    }
    builder.output(0, Vec::new());
    let mut flow = builder.build(threads).unwrap();
    if threads > 1 {
        flow.start_threads(&[], Waits::Park { spin_ns: 2_000 }).unwrap();
    }
    let mut seen = Seen::default();
    for event in 0..3 {
        flow.inject(0, 0, at(event), 0);
        assert_eq!(flow.inject(1, 0, at(event), 0), event == 0, "it takes nothing after it failed");
        flow.run(&mut seen, 10);
    }
    assert_eq!(seen.ended, [(1, Verdict::Fail)]);
    assert_eq!(seen.sent.len(), 3, "the other operator still runs");
}

#[test]
fn invocations_beyond_the_budget_are_counted_as_overruns() {
    let mut builder = FlowBuilder::new();
    let slow = Runs(|_: Arrived<u64>, _: &mut Sends<'_, u64>| {
        thread::sleep(std::time::Duration::from_millis(2));
        Verdict::Continue
    });
    builder.operator(OperatorSpec {
        operator: Box::new(slow),
        ports: vec![port(0)],
        budget_ns: Some(1_000_000),
    });
    let mut flow = builder.build(1).unwrap();
    for event in 0..3 {
        flow.inject(0, 0, at(event), event);
    }
    flow.run(&mut Seen::default(), 10);
    let counts = flow.counts(0);
    assert_eq!((counts.runs, counts.overruns), (3, 3));
    assert!(counts.longest_ns >= 2_000_000, "{counts:?}");
}

#[test]
fn an_edge_that_leads_nowhere_is_refused_with_its_numbers() {
    let lone = || {
        let mut builder = FlowBuilder::<u64>::new();
        builder.operator(spec(vec![port(0)], |_, _| Verdict::Continue));
        builder
    };
    let mut builder = lone();
    builder.output(0, vec![Reader { operator: 3, port: 0 }]);
    let error = FlowError::UnknownReader { output: 0, operator: 3, port: 0 };
    assert_eq!(builder.build(1).map(drop), Err(error));
    let mut builder = lone();
    builder.output(0, vec![Reader { operator: 0, port: 0 }; 2]);
    assert_eq!(builder.build(1).map(drop), Err(FlowError::FedTwice { operator: 0, port: 0 }));
    let mut builder = lone();
    builder.output(5, Vec::new());
    assert_eq!(builder.build(1).map(drop), Err(FlowError::UnknownOperator { output: 0, operator: 5 }));
    assert!(!lone().build(1).unwrap().inject(0, 9, at(0), 0), "there is no such port");
}
