//! `dora start --attach` and `dora logs --follow`.

use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};

use crate::{flow, node, pair::Pair, support::Ended, ticker_node};

#[test]
fn attached_start_shows_the_logs_and_ends_with_the_dataflow() {
    let pair = Pair::up(&format!("nodes:\n{}", ticker_node("ticker of three")));
    let ended = pair.dora(&["start", "flow.yml", "--attach", "--log-format", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<serde_json::Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).expect("nothing but JSON")).collect();
    assert!(lines.iter().any(|line| line["message"] == "ticker is up"), "{ended:?}");
    assert_eq!(pair.lines(&["list", "-f", "json"])[0]["status"], "Finished");
}

#[test]
fn attached_start_fails_when_a_node_fails_and_says_which() {
    let pair = Pair::up(&format!("nodes:\n{}", node("cam", "failing", "    outputs: [image]\n")));
    let ended = pair.dora(&["start", "flow.yml", "--attach"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("cam") && ended.err.contains("dora logs"), "{ended:?}");
    assert_eq!(pair.lines(&["list", "-f", "json"])[0]["status"], "Failed");
}

#[test]
fn control_c_stops_the_dataflow_and_is_success() {
    let pair = Pair::up(&flow());
    let mut child = pair.spawn(&["start", "flow.yml", "--attach"]);
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(out.by_ref().any(|line| line.contains("first of a")), "the node was heard");
    kill_process(Pid::from_child(&child), Signal::INT).expect("dora still runs");
    out.for_each(drop);
    let ended = Ended::from(child.wait_with_output().expect("dora ends"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(pair.good(&["list", "--quiet", "--status", "running"]), "");
}

#[test]
fn followed_logs_come_live_and_end_with_the_dataflow() {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    let mut child = pair.spawn(&["logs", "robot", "--follow", "--log-format", "compact"]);
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(out.by_ref().any(|line| line.contains("listener: first of a")));
    pair.good(&["param", "set", "ticker", "gain", "2"]);
    assert!(out.by_ref().any(|line| line.contains("ticker: gain is 2")));
    pair.good(&["stop", "robot"]);
    let rest: Vec<String> = out.collect();
    assert!(!rest.iter().any(|line| line.contains("is up")), "a line was shown twice: {rest:?}");
    assert_eq!(child.wait().expect("dora ends").code(), Some(0));
}
