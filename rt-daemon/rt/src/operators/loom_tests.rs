//! Every interleaving of the threads of a flow, as far as a model with few operators and few steps goes: the real lanes, the real loop
//! of a thread, the real step.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p dora-rt --lib --release loom_tests`
//!
//! Threads spin here. How one falls asleep beside a lane that is being written is the model of the doorbell in `lockfree-ipc`: a stamp
//! that is written, a bell that is rung.
#![expect(clippy::disallowed_methods, reason = "tests run above the wall")]
#![expect(unsafe_code, reason = "keeps the contract of a lane by hand")]

use std::sync::Mutex;

use loom::thread;

use super::{
    Arrived, Flow, FlowBuilder, Operator, OperatorSpec, Outside, Port, Reader, Sends, Tag, Verdict, Waits,
    crew::part, hand::follow, lane, links::Waiting,
};

/// Runs `body` with a bound on context switches: all bugs seen in such protocols need two or three.
fn model(switches: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 50_000;
    builder.check(body);
}

/// Steps take the same entries again, and the reader says that it is done by a lane of its own.
#[test]
fn a_lane_gives_each_message_once_whole_and_in_order_step_after_step() {
    model(3, || {
        let (mut there, mut from_there) = lane::lane::<Box<u64>>(3);
        let (mut back, mut from_back) = lane::lane::<Box<u64>>(1);
        let reader = thread::spawn(move || {
            for number in 1..=2u64 {
                let step = loop {
                    match from_there.peek() {
                        Some(step) => break step,
                        None => thread::yield_now(),
                    }
                };
                assert_eq!((step.number, step.tag.time_ns, step.threads), (number, 10 * number, 3));
                from_there.begin(step.number);
                for at in 0..2 {
                    let (word, message) = loop {
                        match from_there.take() {
                            Some(entry) => break entry,
                            None => thread::yield_now(),
                        }
                    };
                    assert_eq!((word.sent(), word.is_last()), (Some(at), at == 1));
                    assert_eq!(message.as_deref(), Some(&(10 * number + u64::from(at))));
                }
                assert!(from_there.take().is_none(), "something came after the last");
                back_word(&mut back, step);
            }
        });
        for number in 1..=2u64 {
            let tag = Tag { time_ns: 10 * number, microstep: 0 };
            // SAFETY: the reader has said that it is done with the step before.
            unsafe { there.begin(lane::Step { number, tag, threads: 3, fed: 0 }) };
            for at in 0..2 {
                there.push(lane::What::Sent(at), Some(Box::new(10 * number + u64::from(at))));
            }
            assert!(there.end());
            from_back.begin(number);
            while from_back.take().is_none() {
                thread::yield_now();
            }
        }
        reader.join().unwrap();
    });
}

fn back_word(back: &mut lane::Writer<Box<u64>>, step: lane::Step) {
    // SAFETY: the other side has begun a step only when it had our word of the one before.
    unsafe { back.begin(step) };
    back.push(lane::What::AllDone, None);
    back.end();
}

struct Runs<F>(F);

impl<F: FnMut(Arrived<u64>, &mut Sends<'_, u64>) -> Verdict + Send> Operator<u64> for Runs<F> {
    fn run(&mut self, event: Arrived<u64>, sends: &mut Sends<'_, u64>) -> Verdict {
        (self.0)(event, sends)
    }
}

/// What was sent, in the order in which it was told.
struct Told {
    sent: Vec<(u32, u64)>,
    /// Outputs that are read inside only.
    inside: &'static [u32],
}

impl Outside<u64> for Told {
    fn sent(&mut self, operator: u32, _: u32, _: Tag, message: &u64) {
        self.sent.push((operator, *message));
    }

    fn wants(&mut self, output: u32) -> bool {
        !self.inside.contains(&output)
    }

    fn ended(&mut self, _: u32, _: Verdict) {}
}

type Trace = std::sync::Arc<Mutex<Vec<(u32, Tag, u64)>>>;

/// What a model runs.
struct Plan {
    threads: u32,
    operators: u32,
    /// Sender and reader.
    edges: &'static [(u32, u32)],
    /// One message waits, and the next is refused; otherwise it pushes the first one out.
    keeps_all: bool,
    /// Outputs that are read inside only.
    inside: &'static [u32],
    times: u64,
}

/// Operators that add their number and send it on.
fn flow(plan: &Plan, trace: &Trace) -> Flow<u64> {
    let Plan { threads, operators, edges, keeps_all, .. } = *plan;
    let mut builder = FlowBuilder::new();
    for operator in 0..operators {
        let trace = std::sync::Arc::clone(trace);
        let fed = edges.iter().filter(|edge| edge.1 == operator).count() as u32;
        let run = Runs(move |event: Arrived<u64>, sends: &mut Sends<'_, u64>| {
            trace.lock().unwrap().push((operator, event.tag, event.message));
            if event.tag.microstep < 2 {
                let sent = sends.send(operator, event.message * 10 + u64::from(operator));
                trace.lock().unwrap().push((operator, event.tag, u64::from(sent.is_err())));
            }
            Verdict::Continue
        });
        let ports = (0..=fed).map(|input| Port { input, limit: 1, keeps_all }).collect();
        builder.operator(OperatorSpec { operator: Box::new(run), ports, budget_ns: None });
    }
    let port = |at: usize| 1 + edges[..at].iter().filter(|edge| edge.1 == edges[at].1).count() as u32;
    for sender in 0..operators {
        let own = edges.iter().enumerate().filter(|(_, edge)| edge.0 == sender);
        builder.output(sender, own.map(|(at, edge)| Reader { operator: edge.1, port: port(at) }).collect());
    }
    builder.build(threads as usize).unwrap()
}

/// What each operator saw and what was told outside, of events at two times; with the threads of a model, or on one.
fn run(plan: &Plan, together: bool) -> (Vec<(u32, Tag, u64)>, Told) {
    let trace = Trace::default();
    let mut flow = flow(plan, &trace);
    assert_eq!(flow.threads(), plan.threads as usize);
    let waiting: std::sync::Arc<Waiting> = std::sync::Arc::new(Waits::Spin.of(plan.threads).unwrap());
    let seats = if together { part(&mut flow.hand, &waiting).0 } else { Vec::new() };
    let others: Vec<_> =
        seats.into_iter().map(|seat| thread::spawn(move || follow(&mut seat.take()))).collect();
    let mut told = Told { sent: Vec::new(), inside: plan.inside };
    for time_ns in 1..=plan.times {
        flow.inject(0, 0, Tag { time_ns, microstep: 0 }, time_ns);
        if time_ns == plan.times {
            // One that waits for another thread.
            flow.inject(plan.threads - 1, 0, Tag { time_ns, microstep: 0 }, 7);
        }
        flow.run(&mut told, usize::MAX);
    }
    waiting.stop();
    others.into_iter().for_each(|other| other.join().unwrap());
    let mut trace = std::mem::take(&mut *trace.lock().unwrap());
    // Operators of two threads run side by side: what counts is what each of them saw.
    trace.sort_by_key(|(operator, ..)| *operator);
    // What is not wanted may be told, and on one thread it is.
    told.sent.retain(|(operator, _)| !plan.inside.contains(operator));
    (trace, told)
}

fn same_as_on_one_thread(switches: usize, plan: Plan) {
    model(switches, move || {
        let (alone, alone_told) = run(&plan, false);
        let (together, together_told) = run(&plan, true);
        assert_eq!((together, together_told.sent), (alone, alone_told.sent));
    });
}

#[test]
fn to_another_thread_and_back_is_the_same_as_on_one() {
    // 0 and 1 are on the first thread, 2 on the other; 3 reads both.
    let edges = &[(0, 1), (0, 2), (1, 3), (2, 3)];
    same_as_on_one_thread(
        3,
        Plan { threads: 2, operators: 4, edges, keeps_all: false, inside: &[1], times: 2 },
    );
}

#[test]
fn what_leads_back_between_threads_is_counted_and_refused_as_on_one() {
    // 1 is on the other thread, beside 0, which it feeds in the next microstep, and itself.
    let edges = &[(1, 0), (1, 1)];
    same_as_on_one_thread(
        3,
        Plan { threads: 2, operators: 2, edges, keeps_all: true, inside: &[1], times: 2 },
    );
}

#[test]
fn what_goes_into_a_lane_at_once_and_past_the_queue_is_the_same_as_on_one() {
    // 2 is on the first thread and reads 1 of the other one, where 3 reads 0: in the last step both ways at the same time.
    let edges = &[(0, 3), (1, 2)];
    let inside = &[0, 1];
    same_as_on_one_thread(3, Plan { threads: 2, operators: 4, edges, keeps_all: false, inside, times: 3 });
}
