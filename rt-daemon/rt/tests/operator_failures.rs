//! Operators on several threads, when something breaks: what was sent before arrives, what is lost is told, and nothing is kept.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

mod operator_support;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
};

use dora_rt::operators::{Arrived, FlowBuilder, Outside, Reader, Tag, Verdict};

use operator_support::{PARK, Told, at, port, spec, to_and_fro};

/// What it sent before is handed on, and nothing of it is left behind.
#[test]
fn what_an_operator_sent_before_it_panicked_arrives_on_the_other_thread() {
    let (message, seen) = (Arc::new(()), Arc::new(AtomicU64::new(0)));
    let mut builder = FlowBuilder::new();
    for operator in 0..4u32 {
        let seen = Arc::clone(&seen);
        builder.operator(spec(vec![port(0)], move |event: Arrived<Arc<()>>, sends| {
            if operator == 3 {
                seen.fetch_add(1, SeqCst);
                return Verdict::Continue;
            }
            sends.send(operator, Arc::clone(&event.message)).unwrap();
            panic!("operator {operator} panics on purpose");
        }));
    }
    builder.output(0, vec![Reader { operator: 3, port: 0 }]);
    builder.output(1, vec![Reader { operator: 2, port: 0 }]);
    let mut flow = builder.build(2).unwrap();
    flow.start_threads(&[], PARK).unwrap();
    struct Ended(Vec<(u32, Verdict)>);
    impl Outside<Arc<()>> for Ended {
        fn sent(&mut self, _: u32, _: u32, _: Tag, _: &Arc<()>) {}
        fn wants(&mut self, _: u32) -> bool {
            false
        }
        fn ended(&mut self, operator: u32, verdict: Verdict) {
            self.0.push((operator, verdict));
        }
    }
    let mut ended = Ended(Vec::new());
    assert!(flow.inject(0, 0, at(1), Arc::clone(&message)) && flow.inject(1, 0, at(1), Arc::clone(&message)));
    flow.run(&mut ended, 10);
    assert_eq!(ended.0, [(0, Verdict::Fail), (1, Verdict::Fail), (2, Verdict::Fail)]);
    assert_eq!(seen.load(SeqCst), 1);
    drop(flow);
    assert_eq!(Arc::strong_count(&message), 1);
}

#[test]
fn an_output_that_is_no_ones_or_another_operators_is_refused_and_the_flow_goes_on() {
    for threads in [1, 2] {
        let mut builder = FlowBuilder::new();
        // With two threads the second one is on the other.
        for operator in 0..2 {
            builder.operator(spec(vec![port(0)], move |event: Arrived<u64>, sends| {
                for output in 0..4 {
                    assert_eq!(sends.send(output, event.message + 1).is_ok(), output == operator);
                }
                Verdict::Continue
            }));
        }
        builder.output(0, vec![Reader { operator: 1, port: 0 }]);
        builder.output(1, vec![]);
        let mut flow = builder.build(threads).unwrap();
        flow.start_threads(&[], PARK).unwrap();
        let mut told = Told::default();
        for time_ns in 1..=2 {
            assert!(flow.inject(0, 0, at(time_ns), 0));
            flow.run(&mut told, 10);
        }
        let sent = [1, 2].map(|time_ns| [(0, 0, at(time_ns), 1), (1, 1, at(time_ns), 2)]).concat();
        assert_eq!((told.0, told.1), (sent, vec![]), "{threads} threads");
        assert_eq!([0, 1].map(|operator| flow.counts(operator).refused), [6, 6], "{threads} threads");
    }
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
