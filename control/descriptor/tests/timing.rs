//! `timing` on descriptors: figures computed by hand, and everything that must not be judged.

mod support;

use std::{collections::BTreeMap, time::Duration};

use dora_descriptor::timing::{
    Analysis, Check, NodeProfile, NodeTiming, Options, Outcome, Profile, analyse, suggest,
};
use support::good;

fn exact() -> Options {
    Options { hop: Duration::ZERO, blocking: Duration::ZERO, profile: None }
}

fn analysed(text: &str, options: &Options) -> Analysis {
    let loaded = good(text);
    analyse(&loaded.dataflow, &loaded.annotations, options)
}

fn node<'a>(analysis: &'a Analysis, id: &str) -> &'a NodeTiming {
    analysis.nodes.iter().find(|node| node.node == id).expect("it is in the file")
}

fn check<'a>(analysis: &'a Analysis, what: &str) -> &'a Check {
    let all: Vec<&str> = analysis.checks.iter().map(|check| check.what.as_str()).collect();
    analysis
        .checks
        .iter()
        .find(|check| check.what.contains(what))
        .unwrap_or_else(|| panic!("{what}: {all:?}"))
}

fn micros(micros: u64) -> Outcome {
    Outcome::Bounded(Duration::from_micros(micros))
}

#[track_caller]
fn unjudged(outcome: &Outcome, why: &str) {
    match outcome {
        Outcome::Unjudged(said) => assert!(said.contains(why), "{said}\nwithout\n{why}"),
        other => panic!("{other:?} must not be judged: {why}"),
    }
}

#[track_caller]
fn endless(outcome: &Outcome, why: &str) {
    match outcome {
        Outcome::NoBound(said) => assert!(said.contains(why), "{said}\nwithout\n{why}"),
        other => panic!("{other:?} has no bound: {why}"),
    }
}

/// Sensor, filter and motor on two cores, with everything that the analysis needs.
const ARM: &str = "\
nodes:
  - id: sensor
    path: s
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 70 }
    wcet: 100us
    inputs: { tick: dora/timer/millis/1 }
    outputs: [sample]
  - id: filter
    path: f
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 60 }
    wcet: 200us
    inputs:
      sample: { source: sensor/sample, deadline: 150us }
    outputs: [estimate]
  - id: motor
    path: m
    cpu_affinity: [2]
    rt: { policy: fifo, priority: 60 }
    wcet: 50us
    inputs: { estimate: filter/estimate }
chains:
  - { name: arm, from: sensor/sample, to: motor/estimate, within: 500us }
";

#[test]
fn responses_deadlines_and_chains_are_those_computed_by_hand() {
    let analysis = analysed(ARM, &exact());
    assert_eq!(node(&analysis, "sensor").response, micros(100));
    // The next tick may come while the filter, which started late, still works.
    assert_eq!(node(&analysis, "filter").response, micros(300));
    assert_eq!(node(&analysis, "motor").response, micros(50));
    // Taken when the sensor that may just be running again is done.
    assert_eq!(check(&analysis, "filter/sample").bound, micros(100));
    let chain = check(&analysis, "chain `arm`");
    assert_eq!(chain.bound, micros(300));
    assert_eq!(chain.parts.len(), 2, "{:?}", chain.parts);
    assert!(analysis.failed().next().is_none() && analysis.unjudged().next().is_none());
    assert_eq!(analysis.cores.len(), 2);
    assert_eq!(analysis.cores[0].utilisation.map(|share| (share * 1000.0).round()), Some(300.0));
}

#[test]
fn every_hop_and_all_blocking_are_added() {
    let options =
        Options { hop: Duration::from_micros(10), blocking: Duration::from_micros(5), profile: None };
    let analysis = analysed(ARM, &options);
    assert_eq!(node(&analysis, "sensor").response, micros(105));
    assert_eq!(check(&analysis, "filter/sample").bound, micros(10 + 5 + 100));
    assert_eq!(check(&analysis, "chain `arm`").bound, micros((10 + 5 + 300) + (10 + 5)));
}

#[test]
fn what_fails_says_by_how_much() {
    let analysis = analysed(&ARM.replace("within: 500us", "within: 250us"), &exact());
    let failed: Vec<_> = analysis.failed().map(|check| (check.what.as_str(), check.over())).collect();
    assert_eq!(failed, [("chain `arm`", Some(Duration::from_micros(50)))]);
}

#[test]
fn a_late_sender_makes_its_messages_come_in_bunches() {
    // `slow` may take 40 of 100 us because of `busy`; so two of its messages may be only 70 us apart, and `low`, which
    // needs 60 us on its core, meets both: 60 + 2 x 10.
    let text = |source: &str| {
        format!(
            "nodes:
  - {{ id: busy, path: x, cpu_affinity: [0], rt: {{ policy: fifo, priority: 9 }}, wcet: 30us, inputs: {{ t: dora/timer/micros/1000 }} }}
  - {{ id: slow, path: x, cpu_affinity: [0], rt: {{ policy: fifo, priority: 8 }}, wcet: 10us, inputs: {{ t: dora/timer/micros/100 }}, outputs: [o] }}
  - {{ id: high, path: x, cpu_affinity: [1], rt: {{ policy: fifo, priority: 9 }}, wcet: 10us, inputs: {{ i: {source} }} }}
  - {{ id: low, path: x, cpu_affinity: [1], rt: {{ policy: fifo, priority: 8 }}, wcet: 60us, inputs: {{ t: dora/timer/micros/1000 }} }}
"
        )
    };
    let late = analysed(&text("slow/o"), &exact());
    assert_eq!(node(&late, "slow").response, micros(40));
    assert_eq!(node(&late, "low").response, micros(80));
    let punctual = analysed(&text("dora/timer/micros/100"), &exact());
    assert_eq!(node(&punctual, "low").response, micros(70));
}

#[test]
fn equal_priorities_delay_each_other_in_full() {
    let analysis = analysed(&ARM.replace("priority: 60", "priority: 70"), &exact());
    assert_eq!(node(&analysis, "sensor").response, micros(300));
    assert_eq!(node(&analysis, "filter").response, micros(300));
}

#[test]
fn who_spins_a_while_holds_its_core_for_so_long_after_each_message() {
    let text = ARM.replace("priority: 70 }", "priority: 70, wait: spin 50us }");
    let analysis = analysed(&text, &exact());
    assert_eq!(node(&analysis, "sensor").response, micros(100), "it delays others, not itself");
    assert_eq!(node(&analysis, "filter").response, micros(350));
}

#[test]
fn below_a_node_that_spins_for_ever_nothing_has_a_bound() {
    let analysis = analysed(&ARM.replace("priority: 70 }", "priority: 70, wait: spin }"), &exact());
    endless(&node(&analysis, "filter").response, "`sensor` has `wait: spin`");
    endless(&check(&analysis, "chain `arm`").bound, "`filter`");
    assert_eq!(analysis.failed().count(), 2);
}

#[test]
fn an_overloaded_core_is_named_with_its_share() {
    let analysis = analysed(&ARM.replace("wcet: 200us", "wcet: 950us"), &exact());
    endless(&node(&analysis, "filter").response, "105.0 %");
    endless(&check(&analysis, "filter/sample").bound, "105.0 %");
    endless(&node(&analysis, "motor").response, "waits for has no bound");
    assert_eq!(node(&analysis, "sensor").response, micros(100), "the one above is not concerned");
    assert!(
        analysis.warnings.iter().any(|warning| warning.contains("need 105 %")),
        "{:?}",
        analysis.warnings
    );
}

#[test]
fn ticks_that_can_be_missed_are_a_warning() {
    let text = "nodes:
  - { id: a, path: x, cpu_affinity: [0], rt: { policy: fifo, priority: 9 }, wcet: 60us, inputs: { t: dora/timer/micros/200 } }
  - { id: b, path: x, cpu_affinity: [0], rt: { policy: fifo, priority: 8 }, wcet: 30us, inputs: { t: dora/timer/micros/80 } }
";
    let analysis = analysed(text, &exact());
    assert_eq!(node(&analysis, "b").response, micros(90));
    assert!(
        analysis.warnings.iter().any(|w| w.contains("`b`") && w.contains("can be missed")),
        "{:?}",
        analysis.warnings
    );
}

#[test]
fn a_unit_that_is_not_known_is_never_judged_nor_is_what_it_delays() {
    let cases = [
        ("    wcet: 100us\n", "", "sensor", "handler time is not known"),
        ("    wcet: 100us\n", "", "filter", "from `sensor`, which cannot be judged"),
        ("    wcet: 200us\n", "", "filter", "handler time is not known"),
        ("    wcet: 200us\n", "", "motor", "from `filter`, which cannot be judged"),
        (
            "priority: 60 }\n    wcet: 200us",
            "priority: 60 }\n    deploy: { machine: b }\n    wcet: 200us",
            "filter",
            "over the network",
        ),
        ("tick: dora/timer/millis/1", "tick: dora/logs", "sensor", "log lines"),
        ("tick: dora/timer/millis/1", "tick: dora/logs", "filter", "log lines"),
        ("    inputs: { tick: dora/timer/millis/1 }\n", "", "sensor", "no inputs"),
        ("    inputs: { tick: dora/timer/millis/1 }\n", "", "filter", "nothing tells when it is sent"),
        ("rt: { policy: fifo, priority: 70 }", "rt: { policy: other }", "sensor", "no real-time policy"),
        ("rt: { policy: fifo, priority: 70 }", "rt: { policy: other }", "filter", "from `sensor`"),
        (
            "    cpu_affinity: [1]\n    rt: { policy: fifo, priority: 70 }",
            "    rt: { policy: fifo, priority: 70 }",
            "sensor",
            "bound to no core",
        ),
        (
            "    cpu_affinity: [1]\n    rt: { policy: fifo, priority: 70 }",
            "    rt: { policy: fifo, priority: 70 }",
            "filter",
            "from `sensor`",
        ),
        ("cpu_affinity: [2]", "cpu_affinity: [1, 2]", "motor", "several cores"),
        (
            "cpu_affinity: [2]",
            "cpu_affinity: [1, 2]",
            "filter",
            "`motor` (priority 60) may run on core 1, too",
        ),
        (
            "rt: { policy: fifo, priority: 70 }",
            "rt: { policy: deadline, runtime: 100us, period: 1ms }",
            "sensor",
            "admitted by the kernel",
        ),
    ];
    for (from, to, who, why) in cases {
        assert!(ARM.contains(from), "{from}");
        let analysis = analysed(&ARM.replacen(from, to, 1), &exact());
        println!("{who}: {why}");
        unjudged(&node(&analysis, who).response, why);
        unjudged(&check(&analysis, "chain `arm`").bound, "");
    }
}

#[test]
fn an_unknown_time_above_makes_everything_below_unknown() {
    let text = "nodes:
  - { id: high, path: x, cpu_affinity: [0], rt: { policy: rr, priority: 9 }, inputs: { t: dora/timer/millis/1 } }
  - { id: low, path: x, cpu_affinity: [0], rt: { policy: fifo, priority: 8 }, wcet: 1us, inputs: { t: dora/timer/millis/1 } }
  - { id: elsewhere, path: x, cpu_affinity: [1], rt: { policy: fifo, priority: 8 }, wcet: 1us, inputs: { t: dora/timer/millis/1 } }
";
    let analysis = analysed(text, &exact());
    unjudged(
        &node(&analysis, "low").response,
        "`high` (priority 9) takes core 0 for a time that is not known",
    );
    assert_eq!(node(&analysis, "elsewhere").response, micros(1));
    let unbound = analysed(&text.replacen("cpu_affinity: [0], ", "", 1), &exact());
    unjudged(&node(&unbound, "elsewhere").response, "`high` (priority 9) may run on core 1, too");
}

#[test]
fn a_lower_priority_that_is_not_known_disturbs_nobody() {
    let analysis = analysed(&ARM.replace("    wcet: 200us\n", ""), &exact());
    assert_eq!(node(&analysis, "sensor").response, micros(100));
}

#[test]
fn a_node_under_policy_deadline_takes_its_budget_from_every_core() {
    let with = format!(
        "{}  - {{ id: edf, path: x, rt: {{ policy: deadline, runtime: 20us, deadline: 500us, period: 1ms }}, inputs: {{ t: dora/timer/millis/1 }} }}\n",
        ARM.split("chains:").next().unwrap()
    );
    let analysis = analysed(&with, &exact());
    unjudged(&node(&analysis, "edf").response, "admitted by the kernel");
    // Two budgets may meet in any time up to its deadline.
    assert_eq!(node(&analysis, "sensor").response, micros(100 + 2 * 20));
}

const LOOP: &str = "\
nodes:
  - id: plant
    path: p
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 70 }
    wcet: 60us
    inputs: { tick: dora/timer/millis/1, force: controller/force }
    outputs: [state]
  - id: controller
    path: c
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 80 }
    wcet: 20us
    inputs: { state: { source: plant/state, deadline: 500us }, watch: { source: dora/timer/millis/10, triggers: false } }
    outputs: [force]
chains:
  - { from: plant/state, to: plant/force, within: 1ms }
";

#[test]
fn what_comes_back_is_state_and_that_is_said() {
    let analysis = analysed(LOOP, &exact());
    assert!(
        analysis.assumptions.iter().any(|a| a.contains("`plant/force` closes a loop")),
        "{:?}",
        analysis.assumptions
    );
    // Its own tick and force, and two events of the controller.
    assert_eq!(node(&analysis, "plant").response, micros(60 + 60 + 20 + 20));
    // `watch` may be in the way of `state`.
    assert_eq!(node(&analysis, "controller").response, micros(40));
    // Taken by the plant when the controller and its own tick are done.
    assert_eq!(check(&analysis, "chain").bound, micros(40 + 60 + 20 + 20));
    let silent = analysed(
        &LOOP.replace("force: controller/force", "force: { source: controller/force, triggers: false }"),
        &exact(),
    );
    assert!(!silent.assumptions.iter().any(|a| a.contains("loop")), "what is written is not assumed");
    assert_eq!(check(&silent, "chain").bound, check(&analysis, "chain").bound);
}

#[test]
fn a_loop_of_triggers_has_no_rate() {
    let text = LOOP.replace("force: controller/force", "force: { source: controller/force, triggers: true }");
    let analysis = analysed(&text, &exact());
    unjudged(&node(&analysis, "plant").response, "round in a loop");
    unjudged(&check(&analysis, "controller/state").bound, "round in a loop");
}

#[test]
fn a_chain_through_an_input_that_triggers_nothing_cannot_be_judged() {
    let text = ARM.replace(
        "sample: { source: sensor/sample, deadline: 150us }",
        "sample: { source: sensor/sample, triggers: false }\n      tick: dora/timer/millis/1",
    );
    unjudged(&check(&analysed(&text, &exact()), "chain `arm`").bound, "sends nothing because of");
}

#[test]
fn a_sender_that_may_wait_for_room_cannot_be_judged() {
    let slow = "      estimate: { source: filter/estimate, queue_policy: backpressure }\n";
    let text = ARM.replace("    inputs: { estimate: filter/estimate }\n", &format!("    inputs:\n{slow}"));
    assert_eq!(node(&analysed(&text, &exact()), "filter").response, micros(300), "the queue never fills up");
    let text = text.replace("cpu_affinity: [2]", "cpu_affinity: [2, 3]");
    let analysis = analysed(&text, &exact());
    unjudged(&node(&analysis, "filter").response, "`motor/estimate` has room");
    assert_eq!(node(&analysis, "sensor").response, micros(100));
}

fn profile(name: &str) -> Profile {
    let node = |max_us: f64, output: &str, sent: u64| NodeProfile {
        events: 1000,
        p999_us: max_us,
        max_us,
        lost: 0,
        outputs: BTreeMap::from([(output.to_owned(), sent)]),
    };
    let nodes = BTreeMap::from([
        ("sensor".to_owned(), node(80.0, "sample", 1000)),
        ("filter".to_owned(), node(250.0, "estimate", 100)),
        ("motor".to_owned(), node(10.0, "none", 0)),
    ]);
    Profile { dataflow: name.to_owned(), seconds: 1.0, rt: "strict".to_owned(), nodes }
}

#[test]
fn measured_times_count_where_nothing_is_declared_and_contradictions_are_told() {
    let options = Options { profile: Some(profile("flow")), ..exact() };
    let text = ARM.replace("    wcet: 100us\n", "");
    let analysis = analysed(&text, &options);
    assert_eq!(node(&analysis, "sensor").response, micros(80));
    assert!(analysis.assumptions.iter().any(|a| a.contains("measured")), "{:?}", analysis.assumptions);
    assert!(
        analysis.warnings.iter().any(|w| w.contains("`filter` declares `wcet: 200us`, but took 250 us")),
        "{:?}",
        analysis.warnings
    );
    // Every tenth estimate only, as the run has shown; a twentieth is kept in reserve.
    assert_eq!(node(&analysis, "motor").period, Some(Duration::from_micros(9500)));
    assert!(
        analysis.assumptions.iter().any(|a| a.contains("`filter/estimate` comes every 9.5 ms")),
        "{:?}",
        analysis.assumptions
    );
    let other = analysed(&text, &Options { profile: Some(profile("other")), ..exact() });
    assert!(other.warnings.iter().any(|w| w.contains("of dataflow `other`")), "{:?}", other.warnings);
}

#[test]
fn rates_of_a_run_that_lost_messages_are_not_used() {
    let mut slow = profile("flow");
    slow.nodes.get_mut("filter").expect("it is there").lost = 100;
    let analysis = analysed(ARM, &Options { profile: Some(slow), ..exact() });
    assert_eq!(
        node(&analysis, "motor").period,
        Some(Duration::from_millis(1)),
        "as often as the sensor ticks"
    );
    assert!(analysis.warnings.iter().any(|w| w.contains("`filter` lost 100")), "{:?}", analysis.warnings);
}

#[test]
fn a_suggestion_gives_shorter_deadlines_higher_priorities_and_leaves_core_0_alone() {
    // All on one core with equal priorities: the filter may be in the way of the sensor.
    let bad = ARM
        .replace("priority: 70", "priority: 20")
        .replace("within: 500us", "within: 450us")
        .replace("cpu_affinity: [2]", "cpu_affinity: [1]")
        .replace("wcet: 50us", "wcet: 90us");
    let loaded = good(&bad);
    assert!(analysed(&bad, &exact()).failed().count() > 0);
    let suggestion = suggest(&loaded.dataflow, &loaded.annotations, &exact(), 4);
    assert!(suggestion.after.failed().next().is_none(), "{:?}", suggestion.after.checks);
    let by = |id: &str| suggestion.proposals.iter().find(|p| p.node == id).unwrap();
    assert!(by("filter").priority > by("sensor").priority, "150 us before 1 ms");
    assert!(suggestion.proposals.iter().all(|p| p.core > 0), "{:?}", suggestion.proposals);
    // What is printed is a part of a descriptor and means the proposal.
    let pasted = suggestion.yaml();
    for part in ["- id: sensor", "cpu_affinity: [1]", "rt: { policy: fifo, priority: "] {
        assert!(pasted.contains(part), "{pasted}");
    }
    let as_nodes = pasted.replace("    cpu_affinity", "    path: x\n    cpu_affinity");
    let again = good(&as_nodes);
    for (node, proposal) in again.dataflow.nodes.iter().zip(&suggestion.proposals) {
        assert_eq!(node.rt.as_ref().and_then(|rt| rt.priority), Some(proposal.priority));
        assert_eq!(node.cpu_affinity, [proposal.core]);
    }
}

#[test]
fn nodes_are_spread_where_sharing_a_core_would_not_hold() {
    let text = LOOP.replace("within: 1ms", "within: 125us");
    let loaded = good(&text);
    let close = suggest(&loaded.dataflow, &loaded.annotations, &exact(), 2);
    assert_eq!(close.after.failed().count(), 1, "140 us on one core, whoever goes first");
    assert!(close.proposals.iter().all(|p| p.core == 1));
    assert_eq!(
        close.proposals.iter().map(|p| p.priority).collect::<Vec<_>>(),
        [70, 80],
        "the shorter handler first"
    );
    let apart = suggest(&loaded.dataflow, &loaded.annotations, &exact(), 3);
    assert!(apart.after.failed().next().is_none(), "{:?}", apart.after.checks);
    assert_eq!(apart.proposals.iter().map(|p| p.core).collect::<Vec<_>>(), [1, 2]);
    assert!(apart.remarks.iter().any(|remark| remark.contains("spread")), "{:?}", apart.remarks);
}

#[test]
fn full_cores_are_shared_and_that_is_said() {
    let text = ARM.replace("wcet: 100us", "wcet: 600us").replace("wcet: 200us", "wcet: 500us");
    let loaded = good(&text);
    let two = suggest(&loaded.dataflow, &loaded.annotations, &exact(), 2);
    assert!(two.remarks.iter().any(|remark| remark.contains("no core has room for")), "{:?}", two.remarks);
    assert!(two.after.failed().next().is_some(), "110 % of one core");
    let three = suggest(&loaded.dataflow, &loaded.annotations, &exact(), 3);
    assert!(!three.remarks.iter().any(|remark| remark.contains("no core")), "{:?}", three.remarks);
    assert_ne!(three.proposals[0].core, three.proposals[1].core, "{:?}", three.proposals);
    let one = suggest(&loaded.dataflow, &loaded.annotations, &exact(), 1);
    assert!(one.proposals.iter().all(|p| p.core == 0));
}

#[test]
fn a_thousand_nodes_in_diamonds_are_counted_not_unfolded() {
    let mut text =
        String::from("nodes:\n  - { id: n0, path: x, inputs: { t: dora/timer/millis/1 }, outputs: [o] }\n");
    for n in 1..1000 {
        text += &format!(
            "  - {{ id: n{n}, path: x, inputs: {{ a: n{0}/o, b: n{0}/o }}, outputs: [o] }}\n",
            n - 1
        );
    }
    let analysis = analysed(&text, &exact());
    unjudged(&analysis.nodes[999].response, "no real-time policy");
    assert_eq!(analysis.nodes[999].period, Some(Duration::from_millis(1)));
}
