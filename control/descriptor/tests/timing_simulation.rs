//! The bounds of `timing` against schedules that are played: no dataflow that is simulated may take longer than computed, and
//! where all come together the bound is reached.
//!
//! The simulator steps through time in microseconds. Each node is a thread under SCHED_FIFO or SCHED_RR on its core; it takes
//! one message after the other, in any order over its inputs, and may send at any moment of its handling.

mod support;

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use dora_descriptor::{
    Loaded,
    timing::{Analysis, Options, Outcome, analyse},
};
use dora_protocol::dataflow::Source;
use proptest::prelude::*;
use support::good;

/// One node to write into a descriptor. Times in microseconds.
#[derive(Clone, Debug)]
struct Plan {
    core: u32,
    priority: u8,
    wcet: u64,
    /// Period of its timer input, if it has one.
    timer: Option<u64>,
    /// Earlier nodes that it reads (an index modulo its own), and whether it sends because of them.
    reads: Vec<(usize, bool)>,
}

fn descriptor(plans: &[Plan], chain: Option<(usize, usize, usize)>) -> String {
    let mut text = String::from("nodes:\n");
    for (n, plan) in plans.iter().enumerate() {
        let policy = format!("policy: fifo, priority: {}", plan.priority);
        writeln!(text, "  - id: n{n}\n    path: x\n    outputs: [o]\n    wcet: {}us", plan.wcet).unwrap();
        writeln!(text, "    cpu_affinity: [{}]\n    rt: {{ {policy} }}\n    inputs:", plan.core).unwrap();
        if let Some(period) = plan.timer {
            writeln!(text, "      t: {{ source: dora/timer/micros/{period}, deadline: 1us }}").unwrap();
        }
        for (i, (from, triggers)) in plan.reads.iter().enumerate() {
            writeln!(text, "      i{i}: {{ source: n{from}/o, deadline: 1us, triggers: {triggers} }}")
                .unwrap();
        }
    }
    if let Some((from, to, input)) = chain {
        writeln!(text, "chains:\n  - {{ name: c, from: n{from}/o, to: n{to}/i{input}, within: 1us }}")
            .unwrap();
    }
    text
}

fn options(hop: u64, blocking: u64) -> Options {
    Options { hop: Duration::from_micros(hop), blocking: Duration::from_micros(blocking), profile: None }
}

struct Random(u64);

impl Random {
    /// In `0..=most`.
    fn upto(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % (most + 1)
    }
}

#[derive(Clone, Debug)]
struct Message {
    ready: u64,
    sent: u64,
    /// When the chain began that this belongs to.
    chain: Option<u64>,
}

#[derive(Debug)]
struct Job {
    input: usize,
    message: Message,
    done: u64,
    needs: u64,
    sends_at: Option<u64>,
}

/// What was seen at worst, in microseconds.
#[derive(Debug)]
struct Seen {
    response: Vec<u64>,
    taken: Vec<Vec<u64>>,
    chain: u64,
}

/// How a schedule is played.
struct Play {
    seed: u64,
    hop: u64,
    blocking: u64,
    /// All timers tick together, everything takes its longest: the critical instant.
    worst: bool,
    /// Equal priorities take turns (SCHED_RR) rather than keep the core (SCHED_FIFO).
    round_robin: bool,
    steps: u64,
}

struct Simulator<'a> {
    loaded: &'a Loaded,
    plans: &'a [Plan],
    play: Play,
    random: Random,
    phases: Vec<u64>,
    queues: Vec<Vec<VecDeque<Message>>>,
    jobs: Vec<Option<Job>>,
    /// Since when the thread has been in the run queue of its core.
    runnable: Vec<Option<u64>>,
    seen: Seen,
}

fn simulate(loaded: &Loaded, plans: &[Plan], play: Play) -> Seen {
    let nodes = &loaded.dataflow.nodes;
    let mut random = Random(play.seed | 1);
    let phase = |plan: &Plan| if play.worst { 0 } else { random.upto(plan.timer.unwrap_or(1)) };
    let mut simulator = Simulator {
        loaded,
        plans,
        phases: plans.iter().map(phase).collect(),
        random,
        queues: nodes.iter().map(|node| vec![VecDeque::new(); node.inputs.len()]).collect(),
        jobs: nodes.iter().map(|_| None).collect(),
        runnable: vec![None; nodes.len()],
        seen: Seen {
            response: vec![0; nodes.len()],
            taken: nodes.iter().map(|node| vec![0; node.inputs.len()]).collect(),
            chain: 0,
        },
        play,
    };
    simulator.run();
    simulator.seen
}

impl Simulator<'_> {
    fn run(&mut self) {
        let mut blocked = [0u64; 2];
        for now in 0..self.play.steps {
            self.tick(now);
            for core in 0..2 {
                let next = self.choose(now, core);
                // Something of less priority can only get in while nobody wants the core; then it keeps it for a while.
                if next.is_none() && blocked[core as usize] <= now && self.random.upto(3) == 0 {
                    blocked[core as usize] = now + self.random.upto(self.play.blocking);
                }
                if let Some(node) = next.filter(|_| blocked[core as usize] <= now) {
                    self.step(now, node);
                }
            }
        }
    }

    fn tick(&mut self, now: u64) {
        for (n, node) in self.loaded.dataflow.nodes.iter().enumerate() {
            for (i, input) in node.inputs.iter().enumerate() {
                if let Source::Timer { period_ns } = input.source {
                    let period = period_ns / 1000;
                    if now >= self.phases[n] && (now - self.phases[n]).is_multiple_of(period) {
                        let ready = now + self.random.upto(self.play.hop);
                        self.queues[n][i].push_back(Message { ready, sent: now, chain: None });
                    }
                }
            }
        }
    }

    /// Inputs with something to take.
    fn waiting(&self, now: u64, node: usize) -> Vec<usize> {
        let ready = |queue: &VecDeque<Message>| queue.iter().any(|message| message.ready <= now);
        let queues = self.queues[node].iter().enumerate();
        queues.filter(|(_, queue)| ready(queue)).map(|(input, _)| input).collect()
    }

    fn choose(&mut self, now: u64, core: u32) -> Option<usize> {
        let mut wanting = Vec::new();
        for node in 0..self.plans.len() {
            let wants = self.jobs[node].is_some() || !self.waiting(now, node).is_empty();
            // Who goes to sleep and wakes again is the last of its priority.
            self.runnable[node] = if wants { self.runnable[node].or(Some(now)) } else { None };
            if wants && self.plans[node].core == core {
                wanting.push(node);
            }
        }
        let highest = wanting.iter().map(|&node| self.plans[node].priority).max()?;
        wanting.retain(|&node| self.plans[node].priority == highest);
        if self.play.round_robin {
            let turn = self.random.upto(wanting.len() as u64 - 1);
            return Some(wanting[turn as usize]);
        }
        wanting.into_iter().min_by_key(|&node| self.runnable[node])
    }

    fn step(&mut self, now: u64, node: usize) {
        if self.jobs[node].is_none() {
            self.take(now, node);
        }
        let mut job = self.jobs[node].take().expect("a thread that was chosen has something to do");
        job.done += 1;
        if job.sends_at == Some(job.done) {
            self.send(now + 1, node, job.message.chain);
        }
        if job.done == job.needs {
            let response = now + 1 - job.message.ready;
            self.seen.response[node] = self.seen.response[node].max(response);
            // The thread asks for the next message at once; it leaves the run queue only if there is none.
            if self.waiting(now + 1, node).is_empty() {
                self.runnable[node] = None;
            }
        } else {
            self.jobs[node] = Some(job);
        }
    }

    fn take(&mut self, now: u64, node: usize) {
        let inputs = self.waiting(now, node);
        let input = inputs[self.random.upto(inputs.len() as u64 - 1) as usize];
        let queue = &mut self.queues[node][input];
        // In the order in which they became ready.
        let first = (0..queue.len()).min_by_key(|&index| queue[index].ready).expect("not empty");
        let message = queue.remove(first).expect("it is there");
        let age = now - message.sent;
        self.seen.taken[node][input] = self.seen.taken[node][input].max(age);
        let ends = self.loaded.dataflow.chains.first().map(|chain| chain.to);
        if let Some(begin) = message.chain
            && ends == Some((node as u32, input as u32))
        {
            self.seen.chain = self.seen.chain.max(now - begin);
        }
        let wcet = self.plans[node].wcet;
        let needs =
            if self.play.worst || self.random.upto(1) == 0 { wcet } else { 1 + self.random.upto(wcet - 1) };
        let timers = usize::from(self.plans[node].timer.is_some());
        let triggers = input < timers || self.plans[node].reads[input - timers].1;
        let says = triggers && (self.play.worst || self.random.upto(4) > 0);
        let sends_at = says.then(|| if self.play.worst { needs } else { 1 + self.random.upto(needs - 1) });
        self.jobs[node] = Some(Job { input, message, done: 0, needs, sends_at });
        assert!(self.jobs[node].as_ref().is_some_and(|job| job.input == input));
    }

    fn send(&mut self, now: u64, sender: usize, chain: Option<u64>) {
        let begins = self.loaded.dataflow.chains.first().is_some_and(|chain| chain.from.0 as usize == sender);
        let chain = if begins { Some(now) } else { chain };
        for (n, node) in self.loaded.dataflow.nodes.iter().enumerate() {
            for (i, input) in node.inputs.iter().enumerate() {
                if matches!(input.source, Source::Output { node, .. } if node as usize == sender) {
                    let ready = now + self.random.upto(self.play.hop);
                    self.queues[n][i].push_back(Message { ready, sent: now, chain });
                }
            }
        }
    }
}

fn micros(bound: &Outcome) -> Option<u64> {
    match bound {
        Outcome::Bounded(bound) => Some(bound.as_micros() as u64),
        Outcome::NoBound(_) => None,
        Outcome::Unjudged(why) => panic!("everything is known here: {why}"),
    }
}

fn no_longer_than_computed(text: &str, loaded: &Loaded, analysis: &Analysis, seen: &Seen) -> u32 {
    let mut compared = 0;
    let mut compare = |what: &str, seen: u64, bound: &Outcome| {
        if let Some(bound) = micros(bound) {
            compared += 1;
            assert!(seen <= bound, "{what}: {seen} us seen, {bound} us computed\n{text}");
        }
    };
    for (n, node) in loaded.dataflow.nodes.iter().enumerate() {
        compare(&format!("response of n{n}"), seen.response[n], &analysis.nodes[n].response);
        for (i, input) in node.inputs.iter().enumerate() {
            let what = format!("deadline of `n{n}/{}`", input.id);
            let check = analysis.checks.iter().find(|check| check.what == what).expect("every input has one");
            compare(&what, seen.taken[n][i], &check.bound);
        }
    }
    if let Some(check) = analysis.checks.iter().find(|check| check.what == "chain `c`")
        && !matches!(check.bound, Outcome::Unjudged(_))
    {
        compare("the chain", seen.chain, &check.bound);
    }
    compared
}

fn plan(index: usize) -> impl Strategy<Value = Plan> {
    let periods = prop::sample::select(vec![60u64, 100, 150, 200, 400]);
    // Nodes with timers alone are the more frequent ones, so that not everything is too much for its core.
    let reads =
        prop::collection::vec((0..index.max(1), prop::bool::weighted(0.8)), 0..=usize::from(index > 0) * 2);
    (0..2u32, 1..=4u8, 1..=25u64, prop::option::weighted(0.4, periods), reads).prop_map(
        move |(core, priority, wcet, timer, reads)| {
            // Who would send nothing, or nobody knows when, needs a timer.
            let timer = timer.or((!reads.iter().any(|(_, triggers)| *triggers)).then_some(200));
            Plan { core, priority, wcet, timer, reads }
        },
    )
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    (2..=6usize).prop_flat_map(|count| (0..count).map(plan).collect::<Vec<_>>())
}

/// From a node to an input of a later one that it reaches, if there is such a way.
fn chain(plans: &[Plan], pick: usize) -> Option<(usize, usize, usize)> {
    let mut all = Vec::new();
    for from in 0..plans.len() {
        let mut reached = vec![false; plans.len()];
        reached[from] = true;
        for (to, plan) in plans.iter().enumerate().skip(from + 1) {
            for (input, (read, _)) in plan.reads.iter().enumerate() {
                if reached[*read] {
                    reached[to] = true;
                    all.push((from, to, input));
                }
            }
        }
    }
    (!all.is_empty()).then(|| all[pick % all.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_simulated_schedule_takes_longer_than_computed(
        plans in plans(),
        pick in 0..1000usize,
        seed in any::<u64>(),
        hop in 0..=8u64,
        blocking in 0..=8u64,
        round_robin in any::<bool>(),
    ) {
        let text = descriptor(&plans, chain(&plans, pick));
        let loaded = good(&text);
        let analysis = analyse(&loaded.dataflow, &loaded.annotations, &options(hop, blocking));
        for (turn, worst) in [true, false, false].into_iter().enumerate() {
            let play = Play { seed: seed ^ turn as u64, hop, blocking, worst, round_robin, steps: 6_000 };
            let seen = simulate(&loaded, &plans, play);
            no_longer_than_computed(&text, &loaded, &analysis, &seen);
        }
    }

    #[test]
    fn bounds_of_independent_nodes_are_reached_when_all_come_together(
        mut plans in prop::collection::vec((0..2u32, 1..=20u64, prop::sample::select(vec![60u64, 100, 150, 200, 400])), 1..=6)
            .prop_map(|nodes| nodes.into_iter().enumerate().map(|(n, (core, wcet, period))| Plan {
                core, priority: 10 + n as u8, wcet, timer: Some(period), reads: Vec::new(),
            }).collect::<Vec<_>>()),
        turn in any::<prop::sample::Index>(),
    ) {
        let middle = turn.index(plans.len());
        plans.rotate_left(middle);
        let text = descriptor(&plans, None);
        let loaded = good(&text);
        let analysis = analyse(&loaded.dataflow, &loaded.annotations, &options(0, 0));
        let play = Play { seed: 1, hop: 0, blocking: 0, worst: true, round_robin: false, steps: 2_000 };
        let seen = simulate(&loaded, &plans, play);
        for (n, plan) in plans.iter().enumerate() {
            let Some(bound) = micros(&analysis.nodes[n].response) else { continue };
            let period = plan.timer.expect("all have one");
            if bound <= period {
                prop_assert_eq!(seen.response[n], bound, "n{}\n{}", n, &text);
                let taken = micros(&analysis.checks[n].bound).expect("bounded as the response is");
                prop_assert_eq!(seen.taken[n][0], taken, "taking of n{}\n{}", n, &text);
            }
        }
    }
}

#[test]
fn the_simulated_dataflows_are_not_all_beyond_judgement() {
    let plan = |core, priority, wcet, timer, reads: &[(usize, bool)]| Plan {
        core,
        priority,
        wcet,
        timer,
        reads: reads.to_vec(),
    };
    let plans = [
        plan(0, 3, 10, Some(100), &[]),
        plan(1, 2, 20, None, &[(0, true)]),
        plan(1, 1, 5, Some(60), &[(1, true), (0, false)]),
    ];
    let text = descriptor(&plans, Some((0, 2, 0)));
    let loaded = good(&text);
    let analysis = analyse(&loaded.dataflow, &loaded.annotations, &options(2, 3));
    let play = Play { seed: 7, hop: 2, blocking: 3, worst: false, round_robin: false, steps: 20_000 };
    let seen = simulate(&loaded, &plans, play);
    assert_eq!(no_longer_than_computed(&text, &loaded, &analysis, &seen), 3 + 5 + 1);
    assert!(seen.chain > 20, "{seen:?}");
}

#[test]
fn jitter_is_seen_in_schedules_and_covered_by_the_bound() {
    let plan = |core, priority, wcet, timer, reads: &[(usize, bool)]| Plan {
        core,
        priority,
        wcet,
        timer,
        reads: reads.to_vec(),
    };
    // The last one meets a second message of the third only when the second was late with the first.
    let plans = [
        plan(0, 4, 25, Some(200), &[]),
        plan(0, 1, 10, Some(60), &[]),
        plan(1, 4, 25, None, &[(1, true)]),
        plan(1, 1, 25, Some(400), &[]),
    ];
    let loaded = good(&descriptor(&plans, None));
    let bound = |loaded: &Loaded| {
        let analysis = analyse(&loaded.dataflow, &loaded.annotations, &options(0, 0));
        micros(&analysis.nodes[3].response).expect("there is room for all")
    };
    let mut punctual = plans.clone();
    punctual[2] = plan(1, 4, 25, Some(60), &[]);
    let (with, without) = (bound(&loaded), bound(&good(&descriptor(&punctual, None))));
    let play = |seed: u64| Play {
        seed: seed * 0x1234_5678_9abc,
        hop: 0,
        blocking: 0,
        worst: false,
        round_robin: false,
        steps: 20_000,
    };
    let seen = (1..=40).map(|seed| simulate(&loaded, &plans, play(seed)).response[3]).max().unwrap_or(0);
    assert!(without < seen && seen <= with, "{without} without jitter, {seen} seen, {with} with");
}
