//! Operators that are functions, what a flow tells outside, and a flow over two threads.
#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run above the wall")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use dora_rt::operators::{
    Arrived, Flow, FlowBuilder, Operator, OperatorSpec, Outside, Port, Reader, Sends, Tag, Verdict, Waits,
};

/// Takes a function for an operator.
struct Runs<F>(F);

impl<M, F: FnMut(Arrived<M>, &mut Sends<'_, M>) -> Verdict + Send> Operator<M> for Runs<F> {
    fn run(&mut self, event: Arrived<M>, sends: &mut Sends<'_, M>) -> Verdict {
        (self.0)(event, sends)
    }
}

pub(crate) fn spec<M>(
    ports: Vec<Port>,
    run: impl FnMut(Arrived<M>, &mut Sends<'_, M>) -> Verdict + Send + 'static,
) -> OperatorSpec<M>
where
    M: 'static,
{
    OperatorSpec { operator: Box::new(Runs(run)), ports, budget_ns: None }
}

pub(crate) fn port(input: u32) -> Port {
    Port { input, limit: 10, keeps_all: false }
}

pub(crate) fn at(time_ns: u64) -> Tag {
    Tag { time_ns, microstep: 0 }
}

pub(crate) const PARK: Waits = Waits::Park { spin_ns: 2_000 };

/// All that was told, in order, and the outputs that are read inside only, as bits.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told(pub(crate) Vec<(u32, u32, Tag, u64)>, pub(crate) Vec<(u32, Verdict)>, pub(crate) u32);

impl Outside<u64> for Told {
    fn sent(&mut self, operator: u32, output: u32, tag: Tag, message: &u64) {
        self.0.push((operator, output, tag, *message));
    }

    fn wants(&mut self, output: u32) -> bool {
        self.2 & (1 << output) == 0
    }

    fn ended(&mut self, operator: u32, verdict: Verdict) {
        self.1.push((operator, verdict));
    }
}

/// 0 on the first thread sends to 2 on the other, beside 1; 3 reads what 2 makes of it.
pub(crate) fn to_and_fro<M: Clone + Send + 'static>(seen: &Arc<AtomicU64>) -> Flow<M> {
    to_and_fro_with(seen, || ())
}

/// `on_other`: what the operator on the other thread does beside that.
pub(crate) fn to_and_fro_with<M: Clone + Send + 'static>(
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
