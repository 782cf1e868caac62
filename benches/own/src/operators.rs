//! Operators of one process, on the executor that a runtime has: what a hand-over costs, and a chain of ten at 1 kHz.
//!
//! Messages are counted references to a buffer, as they are in a runtime; each operator looks at the first byte and sends the
//! message on. A hand-over is everything from one operator to the next: the send, the queue, the choice of who runs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bench_support::{
    Hist, Metrics,
    place::{Class, PRIORITY, settle},
};
use dora_rt::{
    ThreadSpec,
    operators::{
        Arrived, Flow, FlowBuilder, Operator, OperatorSpec, Outside, Port, Reader, Sends, Tag, Verdict, Waits,
    },
};
use eyre::{bail, eyre};
use rt_tuning::{
    clock::{monotonic_ns, sleep_until},
    sched,
};

use crate::{BATCH, PERIOD_NS, WARM_UP};

type Message = Arc<[u8]>;

/// A function as an operator.
struct Runs<F>(F);

impl<F> Operator<Message> for Runs<F>
where
    F: FnMut(Arrived<Message>, &mut Sends<'_, Message>) -> Verdict + Send,
{
    fn run(&mut self, event: Arrived<Message>, sends: &mut Sends<'_, Message>) -> Verdict {
        (self.0)(event, sends)
    }
}

fn spec(
    run: impl FnMut(Arrived<Message>, &mut Sends<'_, Message>) -> Verdict + Send + 'static,
) -> OperatorSpec<Message> {
    let ports = vec![Port { input: 0, limit: 10, keeps_all: false }];
    OperatorSpec { operator: Box::new(Runs(run)), ports, budget_ns: None }
}

/// What leaves the last operator goes nowhere; none ends.
#[derive(Default)]
struct Nowhere {
    failed: bool,
}

impl Outside<Message> for Nowhere {
    fn sent(&mut self, _: u32, _: u32, _: Tag, _: &Message) {}

    fn wants(&mut self, _: u32) -> bool {
        false
    }

    fn ended(&mut self, _: u32, _: Verdict) {
        self.failed = true;
    }
}

/// When something happened. In lines of its own: what one thread notes here must not hold up what is measured on another.
#[derive(Default)]
#[repr(align(128))]
struct Stamp(AtomicU64);

/// Operators in a row; `last` takes the time when it runs.
fn chain(len: u32, last: &Arc<AtomicU64>) -> eyre::Result<Flow<Message>> {
    let mut builder = FlowBuilder::new();
    for operator in 0..len {
        let (is_last, last) = (operator + 1 == len, Arc::clone(last));
        builder.operator(spec(move |event, sends| {
            if event.message.first() == Some(&1) {
                return Verdict::Fail;
            }
            if is_last {
                last.store(monotonic_ns(), Relaxed);
                return Verdict::Continue;
            }
            sends.send(operator, event.message).map_or(Verdict::Fail, |()| Verdict::Continue)
        }));
    }
    for operator in 0..len {
        let next = (operator + 1 < len).then_some(Reader { operator: operator + 1, port: 0 });
        builder.output(operator, next.into_iter().collect());
    }
    Ok(builder.build(1)?)
}

fn message(size: u64) -> Message {
    vec![0; size as usize].into()
}

/// One hand-over on one thread: eleven operators, ten hand-overs, a clock that is read once per batch. What it costs to put the
/// event in is in it.
///
/// # Errors
/// A refused placement.
pub fn one_thread(class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    const HOPS: u64 = 10;
    apart(0, class, move || {
        let last = Arc::new(AtomicU64::new(0));
        let (mut flow, mut out) = (chain(HOPS as u32 + 1, &last)?, Nowhere::default());
        let message = message(size);
        let mut hist = Hist::keeping(count / BATCH);
        for batch in 0..count / BATCH {
            let begin = monotonic_ns();
            for event in 0..BATCH {
                flow.inject(0, 0, Tag { time_ns: batch * BATCH + event, microstep: 0 }, Arc::clone(&message));
                flow.step(&mut out);
            }
            if batch > 0 {
                hist.record((monotonic_ns() - begin) as f64 / (BATCH * HOPS) as f64);
            }
        }
        ended(&out)?;
        hist.finish()
    })
}

/// Two threads that spin, on core 0 and core 1, in one flow.
fn on_two_threads(class: Class, builder: FlowBuilder<Message>) -> eyre::Result<Flow<Message>> {
    let mut flow = builder.build(2)?;
    if flow.threads() != 2 {
        bail!("the plan has work for {} threads", flow.threads());
    }
    let scheduling = (class == Class::Fifo).then_some((sched::Policy::Fifo, PRIORITY));
    let other = ThreadSpec { name: "operators-1".into(), cores: vec![1], scheduling, commands: 0 };
    match flow.start_threads(&[other], Waits::Spin)?.pop() {
        Some(refused) => Err(refused.into()),
        None => Ok(flow),
    }
}

/// One hand-over between two threads, of ten to and fro in one step: from the begin of the first operator to that of the last, by
/// ten. As in the figures of the edges no clock is read on the way.
///
/// # Errors
/// A refused placement.
pub fn to_and_fro(class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    const HOPS: u32 = 10;
    apart(0, class, move || {
        let (begun, ended_at) = (Arc::new(Stamp::default()), Arc::new(Stamp::default()));
        let mut builder = FlowBuilder::new();
        // Sender, who reads what it sends, and who would read what it never sends.
        let mut wiring: Vec<(u32, Vec<u32>, Vec<u32>)> = Vec::new();
        for hop in 0..=HOPS {
            // Of two that may run side by side the first is for the first thread: every other time an idle one is in the way.
            let before = (hop % 2 == 1).then(|| builder.operator(spec(|_, _| Verdict::Continue)));
            let (begun, ended_at) = (Arc::clone(&begun), Arc::clone(&ended_at));
            let own = builder.operator(spec(move |event, sends| {
                if hop == 0 {
                    begun.0.store(monotonic_ns(), Relaxed);
                }
                if event.message.first() == Some(&1) {
                    return Verdict::Fail;
                }
                if hop == HOPS {
                    ended_at.0.store(monotonic_ns(), Relaxed);
                    return Verdict::Continue;
                }
                sends.send(hop, event.message).map_or(Verdict::Fail, |()| Verdict::Continue)
            }));
            if let Some((_, readers, idle)) = wiring.last_mut() {
                readers.push(own);
                idle.extend(before);
            }
            wiring.push((own, Vec::new(), Vec::new()));
        }
        let readers =
            |all: &[u32]| all.iter().map(|operator| Reader { operator: *operator, port: 0 }).collect();
        for (sender, next, _) in &wiring {
            builder.output(*sender, readers(next));
        }
        for (sender, _, idle) in &wiring {
            builder.output(*sender, readers(idle));
        }
        let (mut flow, mut out, message) =
            (on_two_threads(class, builder)?, Nowhere::default(), message(size));
        let steps = count / u64::from(HOPS);
        let mut hist = Hist::keeping(steps);
        for event in 0..steps {
            flow.inject(0, 0, Tag { time_ns: event, microstep: 0 }, Arc::clone(&message));
            flow.step(&mut out);
            if event >= WARM_UP {
                let took = ended_at.0.load(Relaxed).saturating_sub(begun.0.load(Relaxed));
                hist.record(took as f64 / f64::from(HOPS));
            }
        }
        ended(&out)?;
        hist.finish()
    })
}

/// From the send of an operator on core 0 to the begin of one on core 1; both threads spin. Reading the clock is in it, once.
///
/// # Errors
/// A refused placement.
pub fn one_way(class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    apart(0, class, move || {
        let (sent, taken) = (Arc::new(Stamp::default()), Arc::new(Stamp::default()));
        let (sent_at, taken_at) = (Arc::clone(&sent), Arc::clone(&taken));
        let mut builder = FlowBuilder::new();
        builder.operator(spec(move |event, sends| {
            sent_at.0.store(monotonic_ns(), Relaxed);
            sends.send(0, event.message).map_or(Verdict::Fail, |()| Verdict::Continue)
        }));
        // The first of two that may run side by side is for the thread of the sender.
        builder.operator(spec(|_, _| Verdict::Continue));
        builder.operator(spec(move |event, _| {
            taken_at.0.store(monotonic_ns() + u64::from(event.message[0]), Relaxed);
            Verdict::Continue
        }));
        builder.output(0, [1, 2].map(|operator| Reader { operator, port: 0 }).to_vec());
        let (mut flow, mut out, message) =
            (on_two_threads(class, builder)?, Nowhere::default(), message(size));
        let mut hist = Hist::keeping(count);
        for event in 0..count {
            flow.inject(0, 0, Tag { time_ns: event, microstep: 0 }, Arc::clone(&message));
            flow.step(&mut out);
            if event >= WARM_UP {
                hist.record(taken.0.load(Relaxed).saturating_sub(sent.0.load(Relaxed)) as f64);
            }
        }
        ended(&out)?;
        hist.finish()
    })
}

/// Ten operators in a row at 1 kHz: from the time that a period begins to the begin of the last operator.
///
/// # Errors
/// A refused placement.
pub fn ten_at_a_kilohertz(class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    apart(1, class, move || {
        let last = Arc::new(AtomicU64::new(0));
        let (mut flow, mut out) = (chain(10, &last)?, Nowhere::default());
        let message = message(size);
        let mut hist = Hist::keeping(count);
        let start = monotonic_ns() + 50 * PERIOD_NS;
        for event in 0..count {
            let due = start + event * PERIOD_NS;
            sleep_until(due);
            flow.inject(0, 0, Tag { time_ns: due, microstep: 0 }, Arc::clone(&message));
            flow.step(&mut out);
            if event >= WARM_UP {
                hist.record(last.load(Relaxed).saturating_sub(due) as f64);
            }
        }
        ended(&out)?;
        hist.finish()
    })
}

fn ended(out: &Nowhere) -> eyre::Result<()> {
    if out.failed {
        bail!("an operator failed");
    }
    Ok(())
}

/// On a thread of its own, so that core and class of this one stay as they are.
fn apart(
    core: usize,
    class: Class,
    work: impl FnOnce() -> eyre::Result<Metrics> + Send,
) -> eyre::Result<Metrics> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            settle(core, class)?;
            work()
        });
        thread.join().map_err(|_| eyre!("a measured thread panicked"))?
    })
}
