//! Operators on several threads: whatever the plan, what each of them sees and what is told outside is what it would be on one thread;
//! nothing is allocated. What breaks is in `operator_failures.rs`.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

mod operator_support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use dora_rt::operators::{Arrived, FlowBuilder, OperatorCounts, Outside, Port, Reader, Tag, Verdict, Waits};
use rt_tuning::alloc_guard::{self, AllocGuard};

use operator_support::{PARK, Told, at, port, spec, to_and_fro, to_and_fro_with};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

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
    /// Output, reader, limit, keeps all. Each operator has two outputs.
    edges: Vec<(u32, u32, u32, bool)>,
    /// Per operator: messages per event, and events before its end.
    operator: Vec<(u64, u64)>,
    /// Time, operator, value.
    events: Vec<(u64, u32, u64)>,
    /// Outputs that are read inside only, as bits.
    inside: u32,
}

fn throw(seed: u64) -> Thrown {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let operators = 2 + dice.below(7) as u32;
    let any = |dice: &mut Dice| dice.below(operators.into()) as u32;
    let edges = (0..dice.below(3 * u64::from(operators)))
        .map(|_| {
            (
                2 * any(&mut dice) + dice.below(2) as u32,
                any(&mut dice),
                1 + dice.below(3) as u32,
                dice.below(2) == 0,
            )
        })
        .collect();
    let operator = (0..operators)
        .map(|_| (1 + dice.below(3), if dice.below(5) == 0 { dice.below(8) } else { u64::MAX }))
        .collect();
    // Now and then one that is late.
    let events = (0..20).map(|n| ((n / 3) ^ (dice.below(8) / 7), any(&mut dice), n)).collect();
    let inside = (dice.below(1 << 16) | dice.below(1 << 16)) as u32;
    Thrown { operators, edges, operator, events, inside }
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
                let output = |n| 2 * operator + ((state >> 4) ^ n) as u32 % 2;
                refused = (0..sends_each).map(|n| u32::from(sends.send(output(n), state ^ n).is_err())).sum();
            }
            trace.lock().unwrap().push((event.input, event.tag, event.message, refused));
            runs += 1;
            if runs > end { Verdict::Finish } else { Verdict::Continue }
        }));
    }
    let port_of =
        |at: usize| 1 + thrown.edges[..at].iter().filter(|edge| edge.1 == thrown.edges[at].1).count() as u32;
    for output in 0..2 * thrown.operators {
        let own = thrown.edges.iter().enumerate().filter(|(_, edge)| edge.0 == output);
        let own = own.map(|(at, edge)| Reader { operator: edge.1, port: port_of(at) });
        builder.output(output / 2, own.collect());
    }
    let mut flow = builder.build(threads).unwrap();
    flow.start_threads(&[], waits).unwrap();
    let mut told = Told(Vec::new(), Vec::new(), thrown.inside);
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
    told.0.retain(|(_, output, ..)| thrown.inside & (1 << output) == 0);
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

/// What an operator sends beyond its room is refused, also when it goes to the other thread at once.
#[test]
fn as_much_is_refused_and_dropped_on_two_threads_as_on_one() {
    let play = |threads| {
        let mut builder = FlowBuilder::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for operator in 0..4u32 {
            let seen = Arc::clone(&seen);
            builder.operator(spec(vec![port(0)], move |event: Arrived<u64>, sends| {
                if operator == 3 {
                    seen.lock().unwrap().push(event.message);
                } else if event.message == 5 {
                    // One for each, so that one of them skips its queue and the next does not.
                    assert!(sends.send(operator, 5).is_ok());
                } else {
                    let taken = (0..1000).take_while(|n| sends.send(operator, 100 + n).is_ok()).count();
                    assert!((100..1000).contains(&taken), "{taken} were taken");
                }
                Verdict::Continue
            }));
        }
        // 0 and 2 are on the first thread, 1 and 3 on the other.
        builder.output(0, vec![Reader { operator: 3, port: 0 }]);
        builder.output(1, vec![Reader { operator: 2, port: 0 }]);
        let mut flow = builder.build(threads).unwrap();
        flow.start_threads(&[], PARK).unwrap();
        let mut told = Told(Vec::new(), Vec::new(), u32::MAX);
        for (time, message) in [5, 6, 5, 5, 6].into_iter().enumerate() {
            assert!(flow.inject(0, 0, at(time as u64), message));
            flow.run(&mut told, 10);
        }
        let counts: Vec<_> = (0..4).map(|operator| flow.counts(operator)).collect();
        assert_eq!(told.1, []);
        drop(flow);
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        (seen, counts)
    };
    let (alone, together) = (play(1), play(2));
    assert_eq!(alone, together);
    assert_eq!(alone.0.len(), 3 + 2 * 10);
    assert!(alone.1[0].refused == 2 && alone.1[3].dropped > 0, "{:?}", alone.1);
}

#[test]
fn ten_thousand_events_through_two_threads_allocate_nothing_on_either() {
    struct Nowhere(bool);
    impl Outside<Arc<[u8]>> for Nowhere {
        fn sent(&mut self, _: u32, _: u32, _: Tag, _: &Arc<[u8]>) {}
        fn wants(&mut self, _: u32) -> bool {
            self.0
        }
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
            flow.step(&mut Nowhere(event % 2 == 0));
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
