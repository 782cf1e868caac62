//! Restarts with real processes and SIGKILL: nothing doubled, nothing lost but what the dead process held, nobody told of an end.

mod support;

use std::time::Duration;

use dora_daemon::{
    control::{Control, NodeStatus},
    options::RunOptions,
};
use dora_protocol::{
    dataflow::{Node, Restart, Source},
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
        "hangs before it connects" => {
            println!("here");
            std::thread::sleep(Duration::from_secs(1000));
        }
        "hangs in its handler" => {
            let live = support::live::Live::connect();
            println!("up {}", live.node.setup.run.restart_count);
            live.status.handling(lockfree_ipc::clock::monotonic_ns());
            std::thread::sleep(Duration::from_secs(1000));
        }
        // Its first process comes up, those after it do not.
        "comes up once" => {
            let node = support::node::TestNode::connect_only();
            if node.setup.run.restart_count > 0 {
                std::process::exit(9);
            }
            let live = support::live::Live::on(node);
            println!("up 0");
            live.node.print_frames(|text| text == "stop");
            live.done();
        }
        other => panic!("no such role: {other}"),
    }
}

fn restarting(id: &str, what: &str, policy: RestartPolicy, max_restarts: u32) -> Node {
    let mut node = role(id, what);
    node.restart = Restart { policy, max_restarts, ..Restart::default() };
    node
}

/// Numbers that a node read from another one on an input, process after process.
fn read(outcome: &Outcome, node: &str, input: &str, sender: &str) -> Vec<u64> {
    let start = format!("read {input} {sender} ");
    outcome.printed(node).iter().filter_map(|line| line.strip_prefix(&start)?.parse().ok()).collect()
}

/// `sent = taken + overwritten + flushed + queued` on every edge, and none of them broke.
fn assert_exact(outcome: &Outcome) {
    for edge in &outcome.report().edges {
        assert_eq!(edge.sent, edge.taken + edge.overwritten + edge.flushed + edge.queued, "{edge:?}");
        assert_eq!(edge.broken, None, "{edge:?}");
    }
}

fn count(outcome: &Outcome, node: &str, line: &str) -> usize {
    outcome.printed(node).iter().filter(|printed| *printed == line).count()
}

#[test]
fn restarts_and_failures_are_lines_in_the_log_of_the_node_and_reach_who_reads_it() {
    let mut failing = restarting("a", "exits with 7", RestartPolicy::Always, 2).output("o");
    failing.restart.delay = Some(Duration::from_millis(20));
    failing.log.min_level = Some(LogLevel::Error);
    let logs = Source::Logs { level: LogLevel::Info, node: Some("a".parse().unwrap()) };
    let reader = role("b", "collect until closed").input("logs", logs);
    let outcome = drive(vec![failing, reader], patient(), |driver| async { driver });
    let expected = [
        "warn restart 1: node `a` exited with code 7; starting it again in 20ms (restart 1)",
        "warn restart 2: node `a` exited with code 7; starting it again in 40ms (restart 2)",
        "error failed 2: node `a` exited with code 7; not started again after 2 restarts (max_restarts)",
    ];
    assert_eq!(outcome.lifecycle("a"), expected);
    assert_eq!(outcome.system().iter().filter(|text| text.starts_with("node `a` exited")).count(), 3);
    let edge = &outcome.report().edges[0];
    assert_eq!((edge.from.as_str(), edge.sent, edge.taken), ("dora/logs", 3, 3), "{edge:?}");
}

#[test]
fn a_killed_reader_comes_back_and_reads_on_where_it_was() {
    let reader = restarting("b", "collect", RestartPolicy::OnFailure, 0).reads("in", 0, 0);
    let outcome = drive(vec![role("a", "beat").output("o"), reader], patient(), |mut driver| async move {
        for n in 0..5 {
            driver.pid("b", n).await;
            driver.next_line("b", |line| line.starts_with("read in a")).await;
            driver.kill("b", n).await;
        }
        driver.pid("b", 5).await;
        driver.next_line("b", |line| line.starts_with("read in a")).await;
        assert_eq!(driver.node("b").await.restart_count, 5);
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_eq!(outcome.node("b").restarts, 5);
    let numbers = read(&outcome, "b", "in", "a");
    assert!(numbers.is_sorted_by(|a, b| a < b), "something was read twice or out of order: {numbers:?}");
    assert_exact(&outcome);
    let edge = &outcome.report().edges[0];
    // What a process had taken and not yet printed when it was killed: it takes all that is there, at most what fits
    // into the queue, before it prints.
    let missing = edge.taken - numbers.len() as u64;
    assert!(missing <= 5 * 100, "{missing} of {} messages were lost", edge.taken);
    assert!(outcome.printed("a").iter().all(|line| !line.starts_with("closed")));
}

#[test]
fn a_killed_sender_comes_back_and_its_readers_are_told_of_nothing_but_that() {
    let sender = restarting("a", "beat", RestartPolicy::Always, 0).output("o");
    let readers = ["b", "c"].map(|id| role(id, "collect").reads("in", 0, 0));
    let nodes = [vec![sender], readers.into()].concat();
    let outcome = drive(nodes, patient(), |mut driver| async move {
        for n in 0..5 {
            driver.pid("a", n).await;
            driver.next_line("b", |line| line.starts_with("read in a")).await;
            driver.kill("a", n).await;
        }
        driver.pid("a", 5).await;
        driver.next_line("b", |line| line.starts_with("read in a")).await;
        driver.next_line("c", |line| line.starts_with("read in a")).await;
        driver.stop();
        driver
    });
    assert_eq!((outcome.report().failure(), outcome.node("a").restarts), (None, 5));
    for reader in ["b", "c"] {
        let restarted = outcome.printed(reader).iter().filter(|line| line.contains("NodeRestarted")).count();
        assert_eq!(restarted, 5, "{reader}");
        let told = outcome.printed(reader);
        let stopped = told.iter().position(|line| line == "stop").unwrap();
        assert!(!told[..stopped].iter().any(|line| line == "closed in"), "{reader}: {told:?}");
        let numbers = read(&outcome, reader, "in", "a");
        let begun = numbers.iter().filter(|n| **n == 0).count();
        assert_eq!(begun, 6, "{reader} read the first message of each process once: {numbers:?}");
        for (before, after) in numbers.iter().zip(&numbers[1..]) {
            assert!(*after == before + 1 || *after == 0, "{reader}: {before} then {after}");
        }
    }
    assert_exact(&outcome);
    assert_eq!(outcome.report().edges.len(), 2, "{:?}", outcome.report().edges);
    let sent = outcome.node("a").outputs[0].sent;
    assert!(
        outcome.report().edges.iter().all(|e| e.sent.abs_diff(sent) <= 6),
        "{sent} {:?}",
        outcome.report().edges
    );
}

#[test]
fn both_ends_killed_at_once_and_twice_in_a_row_find_each_other_again() {
    let sender = restarting("a", "beat", RestartPolicy::OnFailure, 0).output("o");
    let reader = restarting("b", "collect", RestartPolicy::OnFailure, 0).reads("in", 0, 0);
    let outcome = drive(vec![sender, reader], patient(), |mut driver| async move {
        for n in 0..4 {
            let (a, b) = (driver.pid("a", n).await, driver.pid("b", n).await);
            for pid in [a, b] {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        }
        driver.pid("b", 4).await;
        driver.next_line("b", |line| line.starts_with("read in a")).await;
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_exact(&outcome);
}

#[test]
fn a_node_that_fails_too_often_is_given_up_and_says_how_often() {
    let failing = restarting("a", "exits with 7", RestartPolicy::Always, 3).output("o");
    let nodes = vec![failing, role("b", "collect until closed").reads("in", 0, 0)];
    let outcome = drive(nodes, patient(), |driver| async { driver });
    let error = outcome.node("a").error.clone().unwrap();
    assert!(error.contains("code 7") && error.contains("after 3 restarts"), "{error}");
    let ups: Vec<_> = outcome.printed("a").into_iter().filter(|l| l.starts_with("up")).collect();
    assert_eq!(ups, ["up 0", "up 1", "up 2", "up 3"]);
    let told = outcome.printed("b");
    let (failed, closed) = (
        told.iter().position(|l| l.starts_with("failed a")).unwrap(),
        told.iter().position(|l| l == "closed in").unwrap(),
    );
    assert!(failed < closed, "{told:?}");
    let file = std::fs::read_to_string(outcome.log_file("a")).unwrap();
    assert_eq!(file.matches("\"up ").count(), 4, "the log goes on in the same file");
}

#[test]
fn a_user_restarts_a_source_whatever_its_policy_and_stops_it_for_good() {
    let nodes = vec![
        restarting("a", "beat", RestartPolicy::Always, 0).output("o"),
        role("b", "collect until closed").reads("in", 0, 0),
    ];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        driver.next_line("b", |line| line.starts_with("read")).await;
        driver.restart("a").await.unwrap();
        driver.restart("b").await.unwrap();
        driver.restart("a").await.unwrap();
        assert_eq!(driver.node("a").await.restart_count, 2);
        driver.next_line("b", |line| line.starts_with("read")).await;
        let unknown = driver.restart("nobody").await.unwrap_err();
        assert!(unknown.contains("it has a, b"), "{unknown}");
        assert_eq!(driver.stop_node("a").await, Ok(true));
        assert_eq!(driver.node("a").await.status, NodeStatus::Stopped);
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_eq!((outcome.node("a").restarts, outcome.node("b").restarts), (2, 1));
    assert_eq!(count(&outcome, "b", "closed in"), 1, "only when the source was stopped for good");
    let said = |n| format!("info restart {n}: node `a` is started again, as requested (restart {n})");
    let stopped = "info stop 2: node `a` was stopped, as requested".to_owned();
    assert_eq!(outcome.lifecycle("a"), [said(1), said(2), stopped]);
    assert_exact(&outcome);
}

#[test]
fn a_stopped_node_can_be_started_again_and_its_readers_input_opens() {
    let nodes = vec![
        role("a", "beat").output("o"),
        role("b", "collect").reads("in", 0, 0),
        role("c", "beat").output("o"),
    ];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        driver.next_line("b", |line| line.starts_with("read")).await;
        for node in ["a", "b"] {
            driver.stop_node(node).await.unwrap();
            driver.restart(node).await.unwrap();
            driver.next_line("b", |line| line.starts_with("read")).await;
        }
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    let told = outcome.printed("b");
    let stopped = told.iter().rposition(|line| line == "stop").unwrap();
    assert_eq!(told[..stopped].iter().filter(|line| *line == "closed in").count(), 1);
    assert_exact(&outcome);
}

#[test]
fn parameters_are_told_now_and_to_every_later_process() {
    let nodes = vec![role("a", "beat").output("o")];
    let mut options = patient();
    options.params.entry("a".parse().unwrap()).or_default().insert("gain".into(), 1.into());
    let outcome = drive(nodes, options, |mut driver| async move {
        driver.next_line("a", |line| line.contains("gain")).await;
        let set = |key: &str, value: i32| {
            let (node, key) = ("a".parse().unwrap(), key.to_owned());
            move |reply| Control::SetParam { node, key, value: value.into(), reply }
        };
        driver.ask(set("gain", 2)).await.unwrap();
        driver.ask(set("bias", 3)).await.unwrap();
        let delete = |reply| Control::DeleteParam { node: "a".parse().unwrap(), key: "bias".into(), reply };
        driver.ask(delete).await.unwrap();
        assert!(driver.ask(delete).await.unwrap_err().contains("no parameter `bias`"));
        let reload = |reply| Control::Reload { node: "a".parse().unwrap(), operator: None, reply };
        let mut from = driver.seen.len();
        driver.ask(reload).await.unwrap();
        driver.line(&mut from, "a", |line| line.starts_with("Reload")).await;
        let mut from = driver.seen.len();
        driver.restart("a").await.unwrap();
        driver.pid("a", 1).await;
        driver.line(&mut from, "a", |line| line.contains("gain")).await;
        driver.stop();
        driver
    });
    let told: Vec<_> = outcome.printed("a").into_iter().filter(|line| line.contains("Param")).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told[4].contains("gain") && told[4].contains('2'), "{told:?}");
}

#[test]
fn a_node_that_hangs_or_never_connects_is_killed_and_started_again_by_its_policy() {
    let mut hangs = restarting("a", "hangs in its handler", RestartPolicy::OnFailure, 2).output("o");
    hangs.health_check_timeout = Some(Duration::from_millis(100));
    let mut silent = restarting("b", "hangs before it connects", RestartPolicy::OnFailure, 2).output("o");
    silent.startup_timeout = Some(Duration::from_secs(1));
    let options = RunOptions { stop_after: Some(Duration::from_secs(100)), ..hasty() };
    let nodes = vec![hangs, silent, role("c", "beat").output("o")];
    let outcome = drive(nodes, options, |mut driver| async move {
        loop {
            let faults = driver.snapshot().await.faults;
            if (faults.health_check_kills, faults.startup_kills, faults.restarts) == (3, 3, 4) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        driver.stop();
        driver
    });
    for (node, part) in [("a", "health check"), ("b", "startup_timeout of 1s")] {
        let (report, error) = (outcome.node(node), outcome.node(node).error.clone().unwrap());
        assert!(error.contains(part) && report.restarts == 2, "{report:?}");
    }
}

#[test]
fn a_restart_whose_new_process_dies_is_told_to_who_asked() {
    let nodes = vec![
        role("a", "comes up once").output("o"),
        restarting("b", "comes up once", RestartPolicy::OnFailure, 2).output("o"),
        role("c", "collect").reads("in", 0, 0),
    ];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        driver.pid("c", 0).await;
        // What happens while we wait for the answer counts, too.
        let mut from = driver.seen.len();
        let once = driver.restart("a").await.unwrap_err();
        assert!(once.contains("the new process of node `a` exited with code 9"), "{once}");
        assert_eq!(driver.node("a").await.status, NodeStatus::Failed);
        driver.line(&mut from, "c", |line| line == "closed in").await;
        let policy = driver.restart("b").await.unwrap_err();
        assert!(policy.contains("the new process of node `b`"), "{policy}");
        while driver.node("b").await.status != NodeStatus::Failed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        driver.stop();
        driver
    });
    assert_eq!((outcome.node("a").restarts, outcome.node("b").restarts), (1, 3));
}

#[test]
fn stopping_while_a_node_waits_for_its_restart_ends_everything_at_once() {
    let mut failing = restarting("a", "exits with 7", RestartPolicy::Always, 0).output("o");
    failing.restart.delay = Some(Duration::from_secs(1000));
    let nodes = vec![failing, role("b", "collect").reads("in", 0, 0)];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        let mut from = 0;
        driver.line(&mut from, "a", |line| line == "up 0").await;
        while driver.node("a").await.status != NodeStatus::Restarting {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None, "it was about to come back");
}
