//! Restarts, changes and dynamic nodes with nodes that are written against the node library, end to end.

mod support;

use std::time::Duration;

use dora_daemon::{
    control::NodeStatus,
    options::{Listener, RunOptions},
};
use dora_node_api::{DoraNode, Event, EventStream, IntoArrow, MetadataParameters, into_vec};
use dora_protocol::{
    dataflow::{EnvValue, Node, NodeKind, Source},
    policy::RestartPolicy,
};
use support::{
    NodeExt, Outcome, ROLE,
    drive::{Driver, drive, drive_here},
    node as role, patient, program_node,
};

const PLACE: &str = "DORA_TEST_PLACE";

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    if let Ok(place) = std::env::var(PLACE) {
        let (mut node, _events) = DoraNode::init_from_node_id(place.parse().unwrap()).unwrap();
        send(&mut node, 1000);
        std::thread::sleep(Duration::from_secs(1000));
    }
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{}", support::BEGIN);
    let (node, events) = DoraNode::init_from_env().unwrap();
    println!("pid {}", std::process::id());
    println!("up {}", node.restart_count());
    match role.as_str() {
        "source" => source(node, events),
        "sink" => sink(events, None),
        "relay" => sink(events, Some(node)),
        other => panic!("no such role: {other}"),
    }
    std::process::exit(0);
}

/// Every other number is in a message that needs a slot.
fn send(node: &mut DoraNode, number: u64) {
    let len = if number.is_multiple_of(2) { 1 } else { 40 };
    let array = vec![number; len].into_arrow();
    node.send_output("o".into(), MetadataParameters::default(), array).unwrap();
}

fn source(mut node: DoraNode, mut events: EventStream) {
    for number in 0.. {
        send(&mut node, number);
        if matches!(events.recv_timeout(Duration::from_millis(1)), None | Some(Event::Stop(_))) {
            println!("sent {}", number + 1);
            return;
        }
    }
}

fn sink(mut events: EventStream, mut relay: Option<DoraNode>) {
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } => {
                let number = into_vec::<u64>(&data).unwrap()[0];
                println!("read {id} {number}");
                relay.iter_mut().for_each(|node| send(node, number));
            }
            Event::InputClosed { id } => println!("closed {id}"),
            Event::InputRecovered { id } => println!("recovered {id}"),
            Event::NodeRestarted { id } => println!("restarted {id}"),
            Event::Stop(_) => println!("stop"),
            other => println!("{other:?}"),
        }
    }
}

fn read(outcome: &Outcome, node: &str, input: &str) -> Vec<u64> {
    let start = format!("read {input} ");
    outcome.printed(node).iter().filter_map(|line| line.strip_prefix(&start)?.parse().ok()).collect()
}

fn assert_exact(outcome: &Outcome) {
    assert_eq!(outcome.report().failure(), None);
    for edge in &outcome.report().edges {
        assert_eq!(edge.sent, edge.taken + edge.overwritten + edge.flushed + edge.queued, "{edge:?}");
        assert_eq!(edge.broken, None, "{edge:?}");
    }
}

async fn reads(driver: &mut Driver, node: &str, what: &str) {
    let start = format!("read {what} ");
    driver.next_line(node, |line| line.starts_with(&start)).await;
}

fn pair() -> Vec<Node> {
    let mut nodes = vec![role("a", "source").output("o"), role("b", "sink").reads("in", 0, 0)];
    nodes.iter_mut().for_each(|node| node.restart.policy = RestartPolicy::Always);
    nodes
}

#[test]
fn both_ends_are_killed_again_and_again_and_nothing_is_read_twice() {
    let outcome = drive(pair(), patient(), |mut driver| async move {
        reads(&mut driver, "b", "in").await;
        for n in 0..5 {
            driver.kill("b", n).await;
            driver.pid("b", n + 1).await;
            reads(&mut driver, "b", "in").await;
            let mut from = driver.seen.len();
            driver.kill("a", n).await;
            driver.pid("a", n + 1).await;
            // Whoever is killed before it hears of it cannot say it.
            driver.line(&mut from, "b", |line| line == "restarted a").await;
            reads(&mut driver, "b", "in").await;
        }
        driver.stop();
        driver
    });
    assert_exact(&outcome);
    let numbers = read(&outcome, "b", "in");
    assert_eq!(outcome.printed("b").iter().filter(|line| *line == "restarted a").count(), 5);
    for (before, after) in numbers.iter().zip(&numbers[1..]) {
        assert!(after > before || *after < 5, "{before} then {after}: {numbers:?}");
    }
}

#[test]
fn nodes_edges_and_timers_come_and_go_under_living_nodes() {
    let outcome = drive(pair(), patient(), |mut driver| async move {
        reads(&mut driver, "b", "in").await;
        let plain = driver.flow.clone();
        let mut added = plain.clone();
        added.nodes.push(role("c", "relay").reads("in", 0, 0).output("o"));
        added.nodes[1] =
            added.nodes[1].clone().reads("echo", 2, 0).input("tick", Source::Timer { period_ns: 10_000_000 });
        let mut fan_in = added.clone();
        fan_in.nodes[1].inputs[0].more_sources = vec![Source::Output { node: 2, output: 0 }];
        let mut bare = added.clone();
        bare.nodes[1].inputs.remove(1);
        for _ in 0..5 {
            driver.apply(added.clone(), &[]).await.unwrap();
            reads(&mut driver, "b", "echo").await;
            reads(&mut driver, "b", "tick").await;
            driver.apply(fan_in.clone(), &[]).await.unwrap();
            let mut from = driver.seen.len();
            driver.apply(bare.clone(), &[]).await.unwrap();
            driver.line(&mut from, "b", |line| line == "closed echo").await;
            driver.apply(added.clone(), &["c"]).await.unwrap();
            reads(&mut driver, "b", "echo").await;
        }
        driver.stop();
        driver
    });
    assert_exact(&outcome);
    let numbers: Vec<_> = read(&outcome, "b", "in");
    let last = numbers[numbers.len() - 1];
    assert!((0..=last).all(|n| numbers.contains(&n)), "the edge beside the changes has lost something");
    assert!(outcome.printed("b").iter().any(|line| line == "recovered echo"));
}

#[test]
fn a_replaced_relay_hands_over_what_waits_for_it() {
    let nodes = vec![
        role("a", "source").output("o"),
        role("r", "relay").reads("in", 0, 0).output("o"),
        role("b", "sink").reads("in", 1, 0),
    ];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        reads(&mut driver, "b", "in").await;
        for version in ["1", "2", "3"] {
            let mut next = driver.flow.clone();
            next.nodes[1].env.insert("VERSION".into(), EnvValue::Text(version.into()));
            driver.apply(next, &[]).await.unwrap();
            reads(&mut driver, "b", "in").await;
        }
        driver.stop();
        driver
    });
    assert_exact(&outcome);
    let numbers = read(&outcome, "b", "in");
    for (before, after) in numbers.iter().zip(&numbers[1..]) {
        assert_eq!(*after, before + 1, "{numbers:?}");
    }
}

#[test]
fn a_silent_input_degrades_its_reader_and_the_next_message_makes_it_well() {
    let mut nodes = pair();
    // Longer than a loaded machine lets a node wait for its turn.
    nodes[1].inputs[0].input_timeout = Some(Duration::from_secs(2));
    let outcome = drive(nodes, patient(), |mut driver| async move {
        reads(&mut driver, "b", "in").await;
        let pid = driver.pid("a", 0).await;
        let send = |signal| rustix::process::kill_process(pid, signal).unwrap();
        send(rustix::process::Signal::STOP);
        driver.next_line("b", |line| line == "closed in").await;
        let node = driver.node("b").await;
        assert_eq!((node.status, node.broken_inputs), (NodeStatus::Degraded, vec!["in".to_owned()]));
        send(rustix::process::Signal::CONT);
        driver.next_line("b", |line| line == "recovered in").await;
        assert_eq!(driver.node("b").await.status, NodeStatus::Running);
        let faults = driver.snapshot().await.faults;
        assert!(faults.input_timeouts > 0 && faults.input_timeouts == faults.circuit_breaker_recoveries);
        driver.stop();
        driver
    });
    assert_exact(&outcome);
}

#[test]
fn a_dynamic_node_of_the_library_takes_its_place_and_frees_it_when_killed() {
    let mut dynamic = program_node("d", "", vec![]).output("o");
    dynamic.kind = NodeKind::Dynamic;
    let nodes = vec![dynamic, role("b", "sink").reads("in", 0, 0)];
    let folder = tempfile::tempdir().unwrap();
    let flow = support::dataflow(nodes, folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = folder.path().to_owned();
    let (result, events) = runtime.block_on(async {
        let listener = Listener::bind(&run.join("dora/daemon-77.sock")).unwrap();
        let options = RunOptions { listener: Some(listener), ..patient() };
        drive_here(flow, options, |mut driver| async move {
            driver.pid("b", 0).await;
            for _ in 0..3 {
                let mut command = std::process::Command::new(std::env::current_exe().unwrap());
                command.args(["--exact", "plays_its_role", "--quiet"]).env(PLACE, "d");
                command.env("XDG_RUNTIME_DIR", &run).env("DORA_DAEMON_LOCAL_LISTEN_PORT", "77");
                let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
                driver.next_line("b", |line| line == "read in 1000").await;
                child.kill().unwrap();
                child.wait().unwrap();
                while driver.node("d").await.status != NodeStatus::Detached {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            driver.stop();
            driver
        })
        .await
    });
    let outcome = Outcome { result, events, folder };
    assert_exact(&outcome);
    let told = outcome.printed("b");
    assert_eq!(told.iter().filter(|line| *line == "restarted d").count(), 2, "{told:?}");
}
