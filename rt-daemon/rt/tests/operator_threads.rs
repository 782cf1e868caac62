//! Operators on several threads: whatever the plan, what each of them sees and what is told outside is what it would be on one thread;
//! nothing is allocated; what breaks is said.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use dora_rt::operators::{
    Arrived, Flow, FlowBuilder, Operator, OperatorCounts, OperatorSpec, Outside, Port, Reader, Sends, Tag,
    Verdict, Waits,
};
use rt_tuning::alloc_guard::{self, AllocGuard};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

/// Takes a function for an operator.
struct Runs<F>(F);

impl<M, F: FnMut(Arrived<M>, &mut Sends<'_, M>) -> Verdict + Send> Operator<M> for Runs<F> {
    fn run(&mut self, event: Arrived<M>, sends: &mut Sends<'_, M>) -> Verdict {
        (self.0)(event, sends)
    }
}

fn spec<M>(
    ports: Vec<Port>,
    run: impl FnMut(Arrived<M>, &mut Sends<'_, M>) -> Verdict + Send + 'static,
) -> OperatorSpec<M>
where
    M: 'static,
{
    OperatorSpec { operator: Box::new(Runs(run)), ports, budget_ns: None }
}

fn port(input: u32) -> Port {
    Port { input, limit: 10, keeps_all: false }
}

fn at(time_ns: u64) -> Tag {
    Tag { time_ns, microstep: 0 }
}

const PARK: Waits = Waits::Park { spin_ns: 2_000 };

/// All that was told, in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told(Vec<(u32, u32, Tag, u64)>, Vec<(u32, Verdict)>);

impl Outside<u64> for Told {
    fn sent(&mut self, operator: u32, output: u32, tag: Tag, message: &u64) {
        self.0.push((operator, output, tag, *message));
    }

    fn wants(&mut self, output: u32) -> bool {
        // Every third is read inside only.
        output % 3 != 2
    }

    fn ended(&mut self, operator: u32, verdict: Verdict) {
        self.1.push((operator, verdict));
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A plan that was thrown: edges with their limits, and how much operators send and when they end.
#[derive(Clone, Debug)]
struct Thrown {
    operators: u32,
    /// Sender, reader, limit, keeps all.
    edges: Vec<(u32, u32, u32, bool)>,
    /// Per operator: messages per event, and events before its end.
    operator: Vec<(u64, u64)>,
    /// Time, operator, value.
    events: Vec<(u64, u32, u64)>,
}

fn throw(seed: u64) -> Thrown {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let operators = 2 + dice.below(7) as u32;
    let any = |dice: &mut Dice| dice.below(operators.into()) as u32;
    let edges = (0..dice.below(3 * u64::from(operators)))
        .map(|_| (any(&mut dice), any(&mut dice), 1 + dice.below(3) as u32, dice.below(2) == 0))
        .collect();
    let operator = (0..operators)
        .map(|_| (1 + dice.below(3), if dice.below(5) == 0 { dice.below(8) } else { u64::MAX }))
        .collect();
    // Now and then one that is late.
    let events = (0..20).map(|n| ((n / 3) ^ (dice.below(8) / 7), any(&mut dice), n)).collect();
    Thrown { operators, edges, operator, events }
}

type Seen = Vec<Vec<(u32, Tag, u64, u32)>>;

/// Per operator what it saw, with how many of its messages were refused; what was told; what was counted.
fn play(thrown: &Thrown, threads: usize, waits: Waits) -> (Seen, Told, Vec<OperatorCounts>) {
    let seen: Vec<_> = (0..thrown.operators).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    let mut builder = FlowBuilder::new();
    for operator in 0..thrown.operators {
        let own = thrown.edges.iter().filter(|edge| edge.1 == operator);
        let inside = (1..).zip(own).map(|(input, edge)| Port { input, limit: edge.2, keeps_all: edge.3 });
        let ports = std::iter::once(Port { input: 0, limit: 3, keeps_all: false }).chain(inside).collect();
        let (trace, (sends_each, end)) =
            (Arc::clone(&seen[operator as usize]), thrown.operator[operator as usize]);
        let mut state = u64::from(operator);
        let mut runs = 0;
        builder.operator(spec(ports, move |event: Arrived<u64>, sends| {
            state = state.wrapping_mul(31).wrapping_add(event.message ^ u64::from(event.input));
            let mut refused = 0;
            if event.tag.microstep < 3 {
                refused = (0..sends_each).map(|n| u32::from(sends.send(operator, state ^ n).is_err())).sum();
            }
            trace.lock().unwrap().push((event.input, event.tag, event.message, refused));
            runs += 1;
            if runs > end { Verdict::Finish } else { Verdict::Continue }
        }));
    }
    let port_of =
        |at: usize| 1 + thrown.edges[..at].iter().filter(|edge| edge.1 == thrown.edges[at].1).count() as u32;
    for sender in 0..thrown.operators {
        let own = thrown.edges.iter().enumerate().filter(|(_, edge)| edge.0 == sender);
        builder
            .output(sender, own.map(|(at, edge)| Reader { operator: edge.1, port: port_of(at) }).collect());
    }
    let mut flow = builder.build(threads).unwrap();
    flow.start_threads(&[], waits).unwrap();
    let mut told = Told::default();
    for (n, (time, operator, value)) in thrown.events.iter().enumerate() {
        flow.inject(*operator, 0, at(*time), *value);
        if n % 4 == 3 {
            flow.run(&mut told, 200);
        }
    }
    flow.run(&mut told, 10_000);
    let counts = (0..thrown.operators).map(|operator| flow.counts(operator)).collect();
    drop(flow);
    // What is not wanted may be told, and on one thread it is.
    told.0.retain(|(_, output, ..)| output % 3 != 2);
    (seen.iter().map(|trace| trace.lock().unwrap().clone()).collect(), told, counts)
}

#[test]
fn plans_at_random_do_the_same_on_any_number_of_threads() {
    let mut on_several = 0;
    for seed in 1..=400 {
        let thrown = throw(seed);
        let alone = play(&thrown, 1, PARK);
        for threads in 2..=4 {
            let together = play(&thrown, threads, PARK);
            assert_eq!(together, alone, "seed {seed} on {threads} threads: {thrown:?}");
        }
        on_several += usize::from(alone.0.iter().filter(|trace| !trace.is_empty()).count() > 1);
    }
    assert!(on_several > 300, "the plans are too small: {on_several}");
}

/// 0 on the first thread sends to 2 on the other, beside 1; 3 reads what 2 makes of it.
fn to_and_fro<M: Clone + Send + 'static>(seen: &Arc<AtomicU64>) -> Flow<M> {
    to_and_fro_with(seen, || ())
}

/// `on_other`: what the operator on the other thread does beside that.
fn to_and_fro_with<M: Clone + Send + 'static>(
    seen: &Arc<AtomicU64>,
    on_other: impl Fn() + Clone + Send + 'static,
) -> Flow<M> {
    let mut builder = FlowBuilder::new();
    for operator in 0..4u32 {
        let (seen, on_other) = (Arc::clone(seen), on_other.clone());
        builder.operator(spec(vec![port(0)], move |event: Arrived<M>, sends| {
            if operator == 2 {
                on_other();
            }
            if operator == 3 {
                seen.fetch_add(1, SeqCst);
                return Verdict::Continue;
            }
            sends.send(operator, event.message).map_or(Verdict::Fail, |()| Verdict::Continue)
        }));
    }
    builder.output(0, [1, 2].map(|operator| Reader { operator, port: 0 }).to_vec());
    builder.output(1, Vec::new());
    builder.output(2, vec![Reader { operator: 3, port: 0 }]);
    builder.build(2).unwrap()
}

#[test]
fn ten_thousand_events_through_two_threads_allocate_nothing_on_either() {
    struct Nowhere;
    impl Outside<Arc<[u8]>> for Nowhere {
        fn sent(&mut self, _: u32, _: u32, _: Tag, _: &Arc<[u8]>) {}
        fn ended(&mut self, _: u32, _: Verdict) {}
    }
    assert!(alloc_guard::is_installed());
    let seen = Arc::new(AtomicU64::new(0));
    let there: Arc<[AtomicU64; 2]> = Arc::new([u64::MAX, 0].map(AtomicU64::new));
    let calls = Arc::clone(&there);
    let mut flow = to_and_fro_with(&seen, move || {
        // On the further thread: calls to its allocator before the first event, and before the last.
        let counts = alloc_guard::of_this_thread().calls();
        calls[0].fetch_min(counts, SeqCst);
        calls[1].fetch_max(counts, SeqCst);
    });
    assert_eq!(flow.threads(), 2);
    flow.start_threads(&[], Waits::Park { spin_ns: 50_000 }).unwrap();
    let message: Arc<[u8]> = vec![0; 64].into();
    let ((), here) = alloc_guard::count(|| {
        for event in 0..=10_000 {
            flow.inject(0, 0, at(event), Arc::clone(&message));
            flow.step(&mut Nowhere);
        }
    });
    let [first, last] = [&there[0], &there[1]].map(|calls| calls.load(SeqCst));
    assert_eq!((here.calls(), last - first, seen.load(SeqCst)), (0, 0, 10_001));
    drop(flow);
    assert_eq!(Arc::strong_count(&message), 1, "a message was kept");
}

#[test]
fn threads_that_fell_asleep_take_the_next_event() {
    let seen = Arc::new(AtomicU64::new(0));
    let mut flow = to_and_fro::<u64>(&seen);
    flow.start_threads(&[], Waits::Park { spin_ns: 0 }).unwrap();
    for event in 0..50 {
        std::thread::sleep(Duration::from_millis(1));
        flow.inject(0, 0, at(event), 5);
        assert!(flow.step(&mut Told::default()));
        assert_eq!(seen.load(SeqCst), event + 1);
    }
    assert_eq!(flow.counts(2).runs, 50, "what another thread runs is counted, too");
}

#[test]
fn a_flow_is_dropped_while_events_wait_and_nothing_of_them_is_left() {
    let seen = Arc::new(AtomicU64::new(0));
    for started in [false, true] {
        let mut flow = to_and_fro::<Arc<()>>(&seen);
        let message = Arc::new(());
        if started {
            flow.start_threads(&[], PARK).unwrap();
        }
        for time in 1..=3 {
            assert!(flow.inject(0, 0, at(time), Arc::clone(&message)));
        }
        assert_eq!(Arc::strong_count(&message), 4);
        drop(flow);
        assert_eq!(Arc::strong_count(&message), 1, "started: {started}");
    }
}

#[test]
fn an_event_for_an_input_that_an_operator_feeds_is_refused() {
    let mut flow = to_and_fro::<u64>(&Arc::default());
    assert!(!flow.inject(3, 0, at(1), 1), "operator 2 feeds it");
    assert!(flow.inject(0, 0, at(1), 1));
}

#[test]
fn after_a_panic_outside_no_further_step_is_made_and_the_threads_end() {
    struct Panics;
    impl Outside<u64> for Panics {
        fn sent(&mut self, operator: u32, _: u32, _: Tag, _: &u64) {
            assert!(operator != 0, "what lies around the flow panics on purpose");
        }
        fn ended(&mut self, _: u32, _: Verdict) {}
    }
    let seen = Arc::new(AtomicU64::new(0));
    let mut flow = to_and_fro::<u64>(&seen);
    flow.start_threads(&[], PARK).unwrap();
    flow.inject(0, 0, at(1), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| flow.step(&mut Panics))).is_err());
    flow.inject(0, 0, at(2), 1);
    assert!(!flow.is_pending() && !flow.step(&mut Told::default()));
    drop(flow);
    assert_eq!(seen.load(SeqCst), 0);
}

#[test]
fn a_thread_that_is_lost_takes_its_operators_with_it_and_that_is_told() {
    /// The copy that the further thread makes goes wrong.
    struct Fragile(Arc<AtomicU32>);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            let on = std::thread::current().name().map(str::to_owned);
            assert!(on.as_deref() != Some("operators"), "this message panics on purpose");
            Self(Arc::clone(&self.0))
        }
    }
    #[derive(Default)]
    struct Ended(Vec<(u32, Verdict)>);
    impl Outside<Fragile> for Ended {
        fn sent(&mut self, _: u32, _: u32, _: Tag, _: &Fragile) {}
        fn ended(&mut self, operator: u32, verdict: Verdict) {
            self.0.push((operator, verdict));
        }
    }
    let mut builder = FlowBuilder::new();
    for operator in 0..4u32 {
        builder.operator(spec(vec![port(0)], move |event: Arrived<Fragile>, sends| {
            sends.send(operator, event.message).map_or(Verdict::Fail, |()| Verdict::Continue)
        }));
    }
    // 1 is on the further thread, with 3, which reads it: one copy for that, one for outside.
    builder.output(0, vec![Reader { operator: 2, port: 0 }]);
    builder.output(1, vec![Reader { operator: 3, port: 0 }]);
    builder.output(2, Vec::new());
    builder.output(3, Vec::new());
    let mut flow = builder.build(2).unwrap();
    flow.start_threads(&[], PARK).unwrap();
    let mut ended = Ended::default();
    flow.inject(1, 0, at(1), Fragile(Arc::default()));
    assert!(flow.step(&mut ended));
    assert_eq!(ended.0, [(1, Verdict::Fail), (3, Verdict::Fail)]);
    assert!(!flow.step(&mut ended) && !flow.is_pending());
}
