//! The state against a plain model: a daemon that knows what it runs, a ledger of requests, a store.
//!
//! Whatever happens in whatever order – connections break, answers are lost, daemon and coordinator are killed –, once everything has been
//! said, the coordinator shows what the daemon runs, the store holds what the coordinator shows, and every request has one answer.

mod model;
mod rules;
mod sim;

use proptest::prelude::*;

use sim::Sim;

/// One step of a random story.
#[derive(Clone, Debug)]
enum Step {
    Start {
        named: bool,
    },
    Stop(usize),
    Restart(usize, bool),
    WaitForSpawn(usize),
    WaitForFinish(usize),
    Subscribe(usize),
    SetParam(usize, u8, Option<u8>),
    AddNode(usize),
    RemoveNode(usize),
    RestartNode(usize),
    Clean,
    ClientGone,
    /// The daemon carries out its next command.
    Work,
    /// What the daemon said last arrives.
    Deliver,
    Ready(usize),
    End(usize, bool),
    Refuse(bool),
    BreakLink,
    Connect,
    DaemonKilled,
    CoordinatorKilled {
        store: bool,
    },
    Seconds(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let flow = || 0..4_usize;
    prop_oneof![
        4 => any::<bool>().prop_map(|named| Step::Start { named }),
        2 => flow().prop_map(Step::Stop),
        1 => (flow(), any::<bool>()).prop_map(|(flow, original)| Step::Restart(flow, original)),
        1 => flow().prop_map(Step::WaitForSpawn),
        1 => flow().prop_map(Step::WaitForFinish),
        1 => flow().prop_map(Step::Subscribe),
        3 => (flow(), 0..3_u8, proptest::option::of(any::<u8>())).prop_map(|(f, k, v)| Step::SetParam(f, k, v)),
        2 => flow().prop_map(Step::AddNode),
        1 => flow().prop_map(Step::RemoveNode),
        1 => flow().prop_map(Step::RestartNode),
        1 => Just(Step::Clean),
        1 => Just(Step::ClientGone),
        12 => Just(Step::Work),
        12 => Just(Step::Deliver),
        4 => flow().prop_map(Step::Ready),
        2 => (flow(), any::<bool>()).prop_map(|(flow, failed)| Step::End(flow, failed)),
        1 => any::<bool>().prop_map(Step::Refuse),
        2 => Just(Step::BreakLink),
        3 => Just(Step::Connect),
        1 => Just(Step::DaemonKilled),
        1 => any::<bool>().prop_map(|store| Step::CoordinatorKilled { store }),
        2 => (1..400_u16).prop_map(Step::Seconds),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_coordinator_ends_up_knowing_what_runs(steps in proptest::collection::vec(step(), 1..70)) {
        let mut sim = Sim::new();
        for step in &steps {
            sim.step(step);
        }
        sim.settle();
        sim.check();
        sim.end_everything();
        sim.settle();
        sim.check();
        sim.check_answers();
    }
}
