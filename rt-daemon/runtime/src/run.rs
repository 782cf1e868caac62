//! From the configuration to a running flow, and what happens when operators end.

use dora_protocol::{
    operator::{OperatorSource, RuntimeConfig},
    rt::WaitPolicy,
};
use dora_rt::{
    ThreadSpec,
    operators::{Flow, FlowBuilder, OperatorCounts, OperatorSpec, Outside, Tag, Verdict, Waits},
};
use rt_tuning::{TuningError, readback, sched};

use crate::{
    config::{self, Wiring},
    crash,
    error::RuntimeError,
    hosted::{Faults, Hosted, log},
    hosted_rt::HostedRt,
    intake, intake_rt, library,
    message::Item,
};

/// How long threads look for each other before they sleep, when the descriptor does not say.
const SPIN_NS: u64 = 20_000;

/// Hosts the operators of the node that this process was started for, until the dataflow ends or all of them are done.
///
/// # Errors
/// [`RuntimeError`]: an operator cannot be loaded or has failed, or the node cannot join.
pub fn run_from_env() -> Result<(), RuntimeError> {
    let config = config::from_env()?;
    let names: Vec<String> = config.operators.iter().map(|operator| operator.id.to_string()).collect();
    crash::watch(config.node_id.as_str(), &names);
    let wiring = Wiring::new(&config);
    let faults = Faults::default();
    let Made { familiar, rt } = make(&config, &wiring, &faults)?;
    if familiar.is_empty() {
        return intake_rt::run(config, wiring, rt, faults);
    }
    let mut all: Vec<(u32, Box<dyn dora_rt::operators::Operator<Item>>)> = Vec::new();
    all.extend(familiar.into_iter().map(|(number, operator)| (number, Box::new(operator) as _)));
    all.extend(rt.into_iter().map(|(number, operator)| (number, Box::new(operator) as _)));
    intake::run(config, wiring, all, faults)
}

/// Operators with their numbers.
#[derive(Default)]
struct Made {
    familiar: Vec<(u32, Hosted)>,
    rt: Vec<(u32, HostedRt)>,
}

fn make(config: &RuntimeConfig, wiring: &Wiring, faults: &Faults) -> Result<Made, RuntimeError> {
    let mut made = Made::default();
    for (number, operator) in (0u32..).zip(&config.operators) {
        if matches!(operator.source, OperatorSource::Python { .. }) {
            return Err(RuntimeError::Python { operator: operator.id.to_string() });
        }
        let symbols = library::load(operator)?;
        let hosted = Hosted::start(number, &config.node_id, operator, &symbols, faults)?;
        made.familiar.extend(hosted.map(|hosted| (number, hosted)));
        let room = |output: u32| -> usize {
            let readers = wiring.outputs.get(output as usize).map(|(_, readers)| readers.as_slice());
            let limit = |reader: &dora_rt::operators::Reader| {
                wiring.ports[reader.operator as usize][reader.port as usize].limit as usize
            };
            readers.unwrap_or_default().iter().map(limit).sum()
        };
        let waiting: Vec<usize> = operator.outputs.iter().map(|output| room(output.output)).collect();
        let hosted = HostedRt::start(number, operator, &symbols, &waiting, faults)?;
        made.rt.extend(hosted.map(|hosted| (number, hosted)));
    }
    Ok(made)
}

/// What the flow needs of a node.
pub(crate) trait NodeSide {
    /// Sends a message to the readers outside.
    fn send(&mut self, output: u32, message: &Item) -> Result<(), String>;
    /// Does anybody outside read this output now?
    fn has_readers(&mut self, output: u32) -> bool;
    /// Sends no more on these outputs.
    fn close(&mut self, outputs: &[u32]);
    /// Asks for the end of the dataflow.
    fn stop_all(&mut self, operator: &str) -> Result<(), String>;
}

/// How far the flow got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Nothing waits.
    Idle,
    /// More waits.
    Busy,
    /// No operator is left.
    Done,
}

/// The flow, and the node around it.
pub(crate) struct Driver<N> {
    pub(crate) node: N,
    config: RuntimeConfig,
    wiring: Wiring,
    flow: Flow<Item>,
    faults: Faults,
    /// Operators that ended in the last step. Has room for all of them.
    ends: Vec<(u32, Verdict)>,
    ended: usize,
}

/// What lies around the flow during one step.
struct Around<'a, N> {
    node: &'a mut N,
    ends: &'a mut Vec<(u32, Verdict)>,
    faults: &'a Faults,
}

impl<N: NodeSide> Outside<Item> for Around<'_, N> {
    fn sent(&mut self, operator: u32, output: u32, _tag: Tag, message: &Item) {
        if let Err(why) = self.node.send(output, message) {
            self.faults.note(operator, why);
            self.ends.push((operator, Verdict::Fail));
        }
    }

    fn wants(&mut self, output: u32) -> bool {
        self.node.has_readers(output)
    }

    fn ended(&mut self, operator: u32, verdict: Verdict) {
        self.ends.push((operator, verdict));
    }
}

impl<N: NodeSide> Driver<N> {
    /// Freezes the plan. The threads are not started yet.
    pub(crate) fn new(
        node: N,
        config: RuntimeConfig,
        wiring: Wiring,
        mut operators: Vec<(u32, Box<dyn dora_rt::operators::Operator<Item>>)>,
        faults: Faults,
    ) -> Result<Self, RuntimeError> {
        operators.sort_by_key(|(number, _)| *number);
        let mut builder = FlowBuilder::new();
        for (number, operator) in operators {
            let ports = wiring.ports[number as usize].clone();
            let budget_ns = config.operators[number as usize].budget_ns;
            builder.operator(OperatorSpec { operator, ports, budget_ns });
        }
        for (owner, readers) in &wiring.outputs {
            // An output that no operator has is never sent to.
            builder.output(owner.unwrap_or(0), readers.clone());
        }
        let flow = builder.build(config.cores.len().max(1))?;
        let ends = Vec::with_capacity(4 * config.operators.len());
        Ok(Self { node, config, wiring, flow, faults, ends, ended: 0 })
    }

    /// Pins this thread, and starts the others as this one is: call it when the node has joined.
    pub(crate) fn start_threads(&mut self) -> Result<(), RuntimeError> {
        let (waits, wanted) = (waits(self.config.wait), self.flow.threads());
        if wanted < 2 {
            return Ok(());
        }
        let mut refused: Vec<TuningError> = Vec::new();
        let core = |at: usize| self.config.cores.get(at).map(|core| vec![*core as usize]).unwrap_or_default();
        let scheduling = own_scheduling();
        let spec = |at: usize| ThreadSpec {
            name: format!("operators-{at}"),
            cores: core(at),
            scheduling,
            commands: 0,
        };
        let specs: Vec<ThreadSpec> = (1..wanted).map(spec).collect();
        refused.extend(sched::set_affinity_current(&core(0)).err());
        refused.extend(self.flow.start_threads(&specs, waits)?);
        for refused in refused {
            log(
                &self.config.node_id,
                "warn",
                &format!("a thread for operators runs without what it was to have: {refused}"),
            );
        }
        Ok(())
    }

    /// Hands a message to the operator that has this input of the node.
    pub(crate) fn take(&mut self, input: u32, message: Item) {
        if let Some(entry) = self.wiring.entries.get(input as usize).copied().flatten() {
            // An operator that has ended takes nothing.
            self.flow.inject(entry.operator, entry.port, Flow::<Item>::tag_now(), message);
        }
    }

    /// A message could not be read.
    pub(crate) fn unreadable(&mut self, input: u32, why: &str) {
        if let Some(entry) = self.wiring.entries.get(input as usize).copied().flatten() {
            self.tell(entry.operator, Item::Unreadable(entry.input, why.into()));
        }
    }

    /// Nothing more comes at this input of the node.
    pub(crate) fn closed(&mut self, input: u32) {
        if let Some(entry) = self.wiring.entries.get(input as usize).copied().flatten() {
            self.source_closed(entry.operator, entry.input);
        }
    }

    /// It does again.
    pub(crate) fn recovered(&mut self, input: u32) {
        if let Some(entry) = self.wiring.entries.get(input as usize).copied().flatten() {
            self.wiring.open[entry.operator as usize][entry.input as usize] += 1;
        }
    }

    fn source_closed(&mut self, operator: u32, input: u32) {
        if self.wiring.closed(operator, input) {
            self.tell(operator, Item::Closed(input));
            if self.wiring.is_cut_off(operator, &self.config.operators[operator as usize]) {
                self.tell(operator, Item::Stop);
            }
        }
    }

    fn tell(&mut self, operator: u32, what: Item) {
        let port = self.wiring.control_port(operator);
        // An operator that has ended takes nothing.
        self.flow.inject(operator, port, Flow::<Item>::tag_now(), what);
    }

    /// Runs what waits, at most `most` tags.
    pub(crate) fn settle(&mut self, most: usize) -> Result<Settled, RuntimeError> {
        for _ in 0..most {
            let mut around = Around { node: &mut self.node, ends: &mut self.ends, faults: &self.faults };
            if !self.flow.step(&mut around) {
                return Ok(Settled::Idle);
            }
            while let Some((operator, verdict)) = self.ends.pop() {
                self.end(operator, verdict)?;
            }
            if self.ended == self.config.operators.len() {
                return Ok(Settled::Done);
            }
        }
        Ok(if self.flow.is_pending() { Settled::Busy } else { Settled::Idle })
    }

    fn end(&mut self, operator: u32, verdict: Verdict) -> Result<(), RuntimeError> {
        let name = self.config.operators[operator as usize].id.to_string();
        match verdict {
            Verdict::Fail => {
                return Err(RuntimeError::Operator { operator: name, why: self.faults.of(operator) });
            }
            Verdict::StopAll => {
                self.node.stop_all(&name).map_err(|why| RuntimeError::Operator { operator: name, why })?
            }
            Verdict::Finish | Verdict::Continue => {}
        }
        self.ended += 1;
        let outputs = &self.config.operators[operator as usize].outputs;
        self.node.close(&outputs.iter().map(|output| output.output).collect::<Vec<_>>());
        for (reader, input) in self.wiring.fed_by(operator) {
            self.source_closed(reader, input);
        }
        Ok(())
    }

    /// Finishes what waits, gives every operator the stop, and tells what was counted.
    pub(crate) fn finish(mut self) -> Result<(), RuntimeError> {
        // Operators that keep each other busy for ever are cut off here.
        const MOST: usize = 10_000;
        if self.settle(MOST)? != Settled::Done {
            for operator in 0..self.config.operators.len() as u32 {
                self.tell(operator, Item::Stop);
            }
            self.settle(MOST)?;
        }
        for (number, operator) in (0u32..).zip(&self.config.operators) {
            if let Some(told) = told(&self.flow.counts(number), operator.budget_ns) {
                log(&self.config.node_id, "warn", &format!("operator `{}`: {told}", operator.id));
            }
        }
        Ok(())
    }
}

/// What a user should know of the counts.
fn told(counts: &OperatorCounts, budget_ns: Option<u64>) -> Option<String> {
    let OperatorCounts { runs, overruns, longest_ns, dropped, refused } = *counts;
    let mut parts = Vec::new();
    let ms = |ns: u64| format!("{:.3} ms", ns as f64 / 1e6);
    if overruns > 0 {
        let (budget, longest) = (ms(budget_ns.unwrap_or(0)), ms(longest_ns));
        parts.push(format!("{overruns} of {runs} runs took longer than {budget}, the longest {longest}"));
    }
    if dropped > 0 {
        parts.push(format!("{dropped} messages of other operators were dropped, because newer ones came"));
    }
    if refused > 0 {
        parts.push(format!("{refused} messages could not be sent, because a reader was full"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn waits(policy: WaitPolicy) -> Waits {
    match policy {
        WaitPolicy::Park => Waits::Park { spin_ns: SPIN_NS },
        WaitPolicy::Spin => Waits::Spin,
        WaitPolicy::SpinThenPark { spin_ns } => Waits::Park { spin_ns },
    }
}

/// Class and priority that the node's set-up gave to this thread.
fn own_scheduling() -> Option<(sched::Policy, u8)> {
    let own = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
    let threads = readback::threads(std::process::id()).unwrap_or_default();
    let facts = threads.into_iter().find(|facts| facts.tid == own)?;
    let policy = match facts.policy.as_str() {
        "FIFO" => sched::Policy::Fifo,
        "RR" => sched::Policy::Rr,
        _ => return None,
    };
    Some((policy, facts.priority.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_run_says_nothing_and_every_count_has_its_words() {
        assert_eq!(told(&OperatorCounts { runs: 9, ..Default::default() }, Some(1)), None);
        let counts = OperatorCounts { runs: 9, overruns: 2, longest_ns: 3_000_000, dropped: 4, refused: 5 };
        let text = told(&counts, Some(1_000_000)).unwrap();
        for part in ["2 of 9 runs", "1.000 ms", "3.000 ms", "4 messages", "5 messages"] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }
}
