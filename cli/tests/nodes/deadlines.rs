//! Messages that come too late: counted, explained, and acted upon as the descriptor says.
//!
//! `source` ticks every 10 ms, `relay` passes its numbers on, and `slow` stands still for a while over number 20, so that what
//! follows lies in its queue for longer than allowed.

use std::time::Duration;

use dora_node_api::rt::{Event, RtNode};

use crate::{Ended, node, project, said, say};

const STILL: Duration = Duration::from_millis(400);
const LIMIT_US: f64 = 150_000.0;

pub(crate) fn source() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    let out = node.output::<u64>("n", 1)?;
    for n in 0u64.. {
        match node.wait() {
            Event::Tick(_) => node.send(&out, &[n])?,
            Event::Stop(_) => break,
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn relay() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    let (input, out) = (node.input::<u64>("n")?, node.output::<u64>("n", 1)?);
    loop {
        match node.wait() {
            Event::Input(i) if i == input => {
                let n = node.read(&input)?[0];
                node.send(&out, &[n])?;
            }
            Event::Stop(_) => return Ok(()),
            _ => {}
        }
    }
}

pub(crate) fn slow() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    let input = node.input::<u64>("n")?;
    let mut oldest_ns = 0;
    loop {
        match node.wait() {
            Event::Input(i) if i == input => {
                let view = node.read(&input)?;
                oldest_ns = oldest_ns.max(view.latency_ns());
                if view[0] == 20 {
                    std::thread::sleep(STILL);
                }
            }
            Event::Stop(_) => break,
            _ => {}
        }
    }
    say(&format!("oldest {oldest_ns}"));
    Ok(())
}

/// Runs the three with these lines for the input of `slow` and at the end of the file.
fn run(input: &str, chains: &str, args: &[&str]) -> Ended {
    let nodes = [
        node("source", "deadline source", "    inputs: { tick: dora/timer/millis/10 }\n    outputs: [n]\n"),
        node("relay", "deadline relay", "    inputs: { n: source/n }\n    outputs: [n]\n"),
        node(
            "slow",
            "deadline slow",
            &format!("    inputs: {{ n: {{ source: relay/n, {input} }} }}\n{chains}"),
        ),
    ];
    project(&nodes).dora(&[&["run", "flow.yml", "--stop-after", "2s"], args].concat())
}

#[test]
fn a_late_message_is_explained_while_the_dataflow_runs_and_in_both_reports() {
    let chains = "chains:\n  - { from: source/n, to: slow/n, within: 150ms }\n";
    let ended = run("queue_size: 100, deadline: 150ms", chains, &["--report", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warns =
        |line: &str| line.contains("WARN") && line.contains("`slow/n`") && line.contains("150.00 ms allowed");
    assert!(ended.err.lines().any(warns), "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).expect("a JSON report");
    let edge =
        report["edges"].as_array().expect("edges").iter().find(|e| e["to"] == "slow/n").expect("an edge");
    assert!(edge["deadline_missed"].as_u64() >= Some(10), "40 ticks came meanwhile: {edge}");
    assert_eq!(edge["skipped_late"], 0, "{edge}");
    let chain = &report["chains"][0];
    assert_eq!((&chain["name"], &chain["untraced"]), (&"source/n -> slow/n".into(), &0.into()), "{chain}");
    assert!(chain["missed"].as_u64() >= Some(10), "{chain}");
    assert_eq!(chain["traced"], edge["taken"], "{report}");
    // The worst was sent just after the node stood still.
    let worst = &report["misses"][0];
    assert_eq!((&worst["to"], &worst["cause"]), (&"slow/n".into(), &"handler".into()), "{worst}");
    assert!(
        worst["latency_us"].as_f64() > Some(LIMIT_US) && worst["handler_us"].as_f64() > Some(0.0),
        "{worst}"
    );
    let chains = report["misses"].as_array().expect("misses").iter().filter(|m| m["chain"].is_string());
    assert!(chains.count() > 0, "{report}");
    let people = run("queue_size: 100, deadline: 150ms", "", &[]);
    assert!(
        people.out.contains("worst deadline misses") && people.out.contains("while the node was busy"),
        "{people:?}"
    );
}

#[test]
fn a_message_past_its_deadline_does_not_reach_a_node_that_skips_it() {
    let ended = run("queue_size: 100, deadline: 150ms, on_miss: skip", "", &["--report", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).expect("a JSON report");
    let edge =
        report["edges"].as_array().expect("edges").iter().find(|e| e["to"] == "slow/n").expect("an edge");
    assert!(edge["skipped_late"].as_u64() >= Some(10), "{edge}");
    assert_eq!(edge["skipped_late"], edge["deadline_missed"], "{edge}");
    let oldest = said(&ended.err, "slow");
    let oldest_ns: u64 = oldest[0].strip_prefix("oldest ").expect("an age").parse().expect("a number");
    assert!(oldest_ns <= 150_000_000, "it got a message of {oldest_ns} ns: {ended:?}");
}

#[test]
fn a_deadline_that_must_hold_stops_the_dataflow_which_fails_by_name() {
    let ended = run("queue_size: 100, deadline: 150ms, on_miss: stop", "", &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.out.contains("stopping all nodes: a deadline with `on_miss: stop` was missed"),
        "{ended:?}"
    );
    assert!(ended.err.contains("slow: missed a deadline: `slow/n`: message "), "{ended:?}");
    assert!(ended.err.contains("1 of 3 nodes failed"), "{ended:?}");
}

#[test]
fn a_chain_that_must_hold_stops_the_dataflow_too() {
    let chains = "chains:\n  - { name: reflex, from: source/n, to: slow/n, within: 150ms, on_miss: stop }\n";
    let ended = run("queue_size: 100", chains, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("chain `reflex`: "), "{ended:?}");
}
