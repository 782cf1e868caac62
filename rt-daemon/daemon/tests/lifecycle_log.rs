//! What somebody asks of a running dataflow is told in the logs of the nodes that it is about, with what came of it.

mod support;

use std::time::Duration;

use dora_daemon::options::RunOptions;
use dora_protocol::{
    dataflow::{EnvValue, NodeKind, Source},
    log::LogLevel,
    policy::RestartPolicy,
};
use support::{NodeExt, Outcome, ROLE, drive::drive, hasty, node as role, patient};

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{}", support::BEGIN);
    if support::live::play(&role) {
        std::process::exit(0);
    }
    match role.as_str() {
        "dies before it is ready" => {
            drop(support::node::TestNode::connect_only());
            std::process::exit(9);
        }
        "never ends" => {
            // Hears that it is to end, and does not.
            let live = support::live::Live::connect();
            println!("pid {}", std::process::id());
            println!("up {}", live.node.setup.run.restart_count);
            loop {
                live.node.print_frames(|_| false);
                std::thread::sleep(Duration::from_secs(1000));
            }
        }
        other => panic!("no such role: {other}"),
    }
}

/// Lines of the node's own, and how many of dora's are before each of them.
fn mixed(outcome: &Outcome, node: &str, begins: &str) -> Vec<usize> {
    let file = std::fs::read_to_string(outcome.log_file(node)).unwrap();
    let (mut noted, mut before) = (0, Vec::new());
    for line in file.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["target"] == "dora" {
            noted += 1;
        } else if line["message"].as_str().unwrap().starts_with(begins) {
            before.push(noted);
        }
    }
    before
}

#[test]
fn a_replaced_node_has_a_line_for_each_replacement_and_for_each_that_came_to_nothing() {
    let logs = Source::Logs { level: LogLevel::Info, node: Some("b".parse().unwrap()) };
    let mut b = role("b", "collect").reads("in", 0, 0);
    (b.log.max_size, b.log.min_level) = (Some(1 << 20), Some(LogLevel::Stdout));
    let nodes = vec![role("a", "beat").output("o"), b, role("c", "collect").input("logs", logs)];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        driver.pid("b", 0).await;
        driver.apply(driver.flow.clone(), &["b"]).await.unwrap();
        driver.pid("b", 1).await;
        let plain = driver.flow.clone();
        let mut dies = plain.clone();
        dies.nodes[1].env.insert(ROLE.into(), EnvValue::Text("dies before it is ready".into()));
        driver.apply(dies, &[]).await.unwrap_err();
        let mut missing = plain.clone();
        missing.nodes[1].kind = NodeKind::Executable { path: "no-such-program".into(), args: vec![] };
        driver.apply(missing, &["b"]).await.unwrap_err();
        driver.apply(plain, &["b"]).await.unwrap();
        driver.pid("b", 2).await;
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    let expected = [
        "info replace 1: node `b` was replaced, as requested (restart 1)",
        "warn replace: node `b` was not replaced, as requested: its new process exited with code 9",
        "warn replace: node `b` was not replaced, as requested: flow.yml:3:5: node `b`: ",
        "info replace 2: node `b` was replaced, as requested (restart 2)",
    ];
    let noted = outcome.lifecycle("b");
    assert_eq!(noted.len(), expected.len(), "{noted:?}");
    assert!(noted.iter().zip(expected).all(|(line, begin)| line.starts_with(begin)), "{noted:?}");
    assert_eq!(outcome.system().iter().filter(|text| text.contains("replaced, as requested")).count(), 4);
    let edge = outcome.report().edges.iter().find(|edge| edge.from == "dora/logs").unwrap();
    assert_eq!((edge.sent, edge.taken), (4, 4), "who reads its log reads them, too: {edge:?}");
    assert_eq!(mixed(&outcome, "b", "up ").len(), 3, "the lines of its processes are all there");
    assert!(outcome.lifecycle("a").is_empty());
}

#[test]
fn a_process_that_has_to_be_killed_for_its_replacement_is_in_the_line_about_it() {
    let mut options = hasty();
    options.grace = Duration::from_millis(50);
    let b = role("b", "never ends").reads("in", 0, 0);
    let outcome = drive(vec![role("a", "beat").output("o"), b], options, |mut driver| async move {
        driver.pid("b", 0).await;
        let mut next = driver.flow.clone();
        next.nodes[1].env.insert(ROLE.into(), EnvValue::Text("collect".into()));
        driver.apply(next, &[]).await.unwrap();
        driver.pid("b", 1).await;
        driver.stop();
        driver
    });
    let lines = outcome.lifecycle("b");
    let start = "warn replace 1: node `b` was replaced, as requested (restart 1); its former process ";
    assert!(lines.len() == 1 && lines[0].starts_with(start), "{lines:?}");
}

#[test]
fn adding_stopping_and_removing_are_lines_in_the_logs_of_these_nodes() {
    let nodes = vec![
        role("a", "beat").output("o"),
        role("b", "collect").reads("in", 0, 0),
        role("d", "collect").reads("in", 0, 0),
    ];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        driver.pid("b", 0).await;
        driver.pid("d", 0).await;
        let plain = driver.flow.clone();
        let mut added = plain.clone();
        added.nodes.push(role("c", "collect").reads("in", 0, 0));
        driver.apply(added, &[]).await.unwrap();
        driver.pid("c", 0).await;
        driver.apply(plain.clone(), &[]).await.unwrap();
        driver.stop_node("b").await.unwrap();
        driver.stop_node("b").await.unwrap();
        let mut without = plain;
        without.nodes.remove(1);
        driver.apply(without, &[]).await.unwrap();
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    let expected =
        ["info add: node `c` was added, as requested", "info remove 0: node `c` was removed, as requested"];
    assert_eq!(outcome.lifecycle("c"), expected);
    let expected = [
        "info stop 0: node `b` was stopped, as requested",
        "info remove 0: node `b` was removed, as requested",
    ];
    assert_eq!(outcome.lifecycle("b"), expected, "nothing came of the second stop");
    for node in ["a", "d"] {
        assert!(outcome.lifecycle(node).is_empty(), "nobody asked for the end of `{node}` alone");
    }
}

#[test]
fn a_node_that_is_stopped_while_it_waits_for_its_restart_says_so_once() {
    let mut failing = role("a", "exits with 7").output("o");
    failing.restart.policy = RestartPolicy::Always;
    failing.restart.delay = Some(Duration::from_secs(1000));
    let options = RunOptions { stop_after: Some(Duration::from_secs(100)), ..patient() };
    let outcome = drive(vec![failing], options, |mut driver| async move {
        let mut from = 0;
        driver.line(&mut from, "a", |line| line.contains("starting it again in")).await;
        driver.stop_node("a").await.unwrap();
        driver
    });
    let expected = [
        "warn restart 1: node `a` exited with code 7; starting it again in 1000s (restart 1)",
        "info stop 0: node `a` was stopped, as requested",
    ];
    assert_eq!(outcome.lifecycle("a"), expected);
}
