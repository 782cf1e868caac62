//! Changes of a running dataflow: nodes and edges come, go and are replaced, and edges beside them notice nothing.

mod support;

use std::time::Duration;

use dora_daemon::control::{Control, NodeStatus};
use dora_protocol::dataflow::{Dataflow, EnvValue, Node, Source};
use support::{
    NodeExt, Outcome, ROLE,
    drive::{Driver, drive},
    node as role, patient, program_node,
};

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{}", support::BEGIN);
    if support::live::play(&role) {
        std::process::exit(0);
    }
    assert_eq!(role, "dies before it is ready");
    drop(support::node::TestNode::connect_only());
    std::process::exit(9);
}

fn read(outcome: &Outcome, node: &str, input: &str, sender: &str) -> Vec<u64> {
    let start = format!("read {input} {sender} ");
    outcome.printed(node).iter().filter_map(|line| line.strip_prefix(&start)?.parse().ok()).collect()
}

/// Every number once, in order, without a gap.
fn assert_unbroken(numbers: &[u64]) {
    assert!(!numbers.is_empty());
    for (before, after) in numbers.iter().zip(&numbers[1..]) {
        assert_eq!(*after, before + 1, "after {before} of {}", numbers.len());
    }
}

fn assert_exact(outcome: &Outcome) {
    for edge in &outcome.report().edges {
        assert_eq!(edge.sent, edge.taken + edge.overwritten + edge.flushed + edge.queued, "{edge:?}");
        assert_eq!(edge.broken, None, "{edge:?}");
    }
}

/// When everything is stopped, nodes that end first close the inputs of others.
fn assert_open_until_stopped(outcome: &Outcome, node: &str) {
    let printed = outcome.printed(node);
    let stopped = printed.iter().position(|line| line == "stop").unwrap();
    assert!(!printed[..stopped].iter().any(|line| line.starts_with("closed")), "{printed:?}");
}

fn a_to_b() -> Vec<Node> {
    vec![role("a", "beat").output("o"), role("b", "collect").reads("in", 0, 0)]
}

fn with(flow: &Dataflow, edit: impl FnOnce(&mut Vec<Node>)) -> Dataflow {
    let mut flow = flow.clone();
    edit(&mut flow.nodes);
    flow
}

async fn reads(driver: &mut Driver, node: &str, what: &str) {
    let start = format!("read {what} ");
    driver.next_line(node, |line| line.starts_with(&start)).await;
}

#[test]
fn fifty_changes_beside_a_fast_edge_cost_it_nothing() {
    let outcome = drive(a_to_b(), patient(), |mut driver| async move {
        reads(&mut driver, "b", "in a").await;
        let plain = driver.flow.clone();
        let added = with(&plain, |nodes| {
            nodes.push(role("c", "relay").reads("in", 0, 0).output("o"));
            nodes[1] = nodes[1].clone().reads("echo", 2, 0);
        });
        for n in 0..25 {
            let done = driver.apply(added.clone(), &[]).await.unwrap();
            assert_eq!(done, ["node `c` was added", "c/o -> b/echo", "a/o -> c/in"], "change {n}");
            if n % 5 == 0 {
                reads(&mut driver, "b", "echo c").await;
            }
            driver.apply(plain.clone(), &[]).await.unwrap();
            assert_eq!(driver.snapshot().await.nodes.len(), 2);
        }
        reads(&mut driver, "b", "in a").await;
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_unbroken(&read(&outcome, "b", "in", "a"));
    assert_exact(&outcome);
    let rows: Vec<_> = outcome.report().edges.iter().map(|e| format!("{} {}", e.from, e.to)).collect();
    assert_eq!(rows, ["a/o b/in", "c/o b/echo", "a/o c/in"], "one row for all edges between two ports");
    assert_eq!(outcome.printed("b").iter().filter(|l| *l == "new input echo").count(), 1);
    assert_eq!(outcome.report().nodes.len(), 3);
}

#[test]
fn inputs_close_when_their_last_source_goes_and_open_again() {
    let outcome = drive(
        vec![
            role("a", "beat").output("o"),
            role("c", "beat").output("o"),
            role("b", "collect").reads("in", 0, 0),
        ],
        patient(),
        |mut driver| async move {
            reads(&mut driver, "b", "in a").await;
            let one = driver.flow.clone();
            let both = with(&one, |nodes| {
                nodes[2].inputs[0].more_sources = vec![Source::Output { node: 1, output: 0 }];
            });
            assert_eq!(driver.apply(both, &[]).await.unwrap(), ["c/o -> b/in"]);
            reads(&mut driver, "b", "in c").await;
            let other = with(&one, |nodes| nodes[2].inputs[0].source = Source::Output { node: 1, output: 0 });
            assert_eq!(driver.apply(other, &[]).await.unwrap(), ["a/o -x- b/in"]);
            reads(&mut driver, "b", "in c").await;
            let none = with(&one, |nodes| nodes[2].inputs.clear());
            let mut from = driver.seen.len();
            assert_eq!(driver.apply(none, &[]).await.unwrap(), ["c/o -x- b/in"]);
            driver.line(&mut from, "b", |line| line == "closed in").await;
            driver.apply(one, &[]).await.unwrap();
            reads(&mut driver, "b", "in a").await;
            driver.stop();
            driver
        },
    );
    assert_eq!(outcome.report().failure(), None);
    let told = outcome.printed("b");
    let stopped = told.iter().position(|line| line == "stop").unwrap();
    assert_eq!(told[..stopped].iter().filter(|line| *line == "closed in").count(), 1);
    assert_exact(&outcome);
}

#[test]
fn a_filter_is_put_between_two_nodes_without_a_gap() {
    let outcome = drive(a_to_b(), patient(), |mut driver| async move {
        reads(&mut driver, "b", "in a").await;
        let filtered = with(&driver.flow, |nodes| {
            nodes.push(role("f", "relay").reads("in", 0, 0).output("o"));
            nodes[1].inputs[0].source = Source::Output { node: 2, output: 0 };
        });
        driver.apply(filtered, &[]).await.unwrap();
        reads(&mut driver, "b", "in f").await;
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    let (direct, filtered) = (read(&outcome, "b", "in", "a"), read(&outcome, "b", "in", "f"));
    assert_unbroken(&direct);
    assert_unbroken(&filtered);
    // Attached at the new reader before it is detached at the old one: a few may come on both ways, none on neither.
    assert!(filtered[0] <= direct[direct.len() - 1] + 1, "{} then {}", direct[direct.len() - 1], filtered[0]);
    assert_open_until_stopped(&outcome, "b");
    assert_exact(&outcome);
}

#[test]
fn a_replaced_node_hands_its_queue_over() {
    let nodes = vec![
        role("a", "beat").output("o"),
        role("r", "relay").reads("in", 0, 0).output("o"),
        role("b", "collect").reads("in", 1, 0),
    ];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        reads(&mut driver, "b", "in r").await;
        for version in ["1", "2", "3"] {
            let next = with(&driver.flow, |nodes| {
                nodes[1].env.insert("VERSION".into(), EnvValue::Text(version.into()));
            });
            assert_eq!(driver.apply(next, &[]).await.unwrap()[0], "node `r` was replaced");
            reads(&mut driver, "b", "in r").await;
        }
        driver.apply(driver.flow.clone(), &["r"]).await.unwrap();
        reads(&mut driver, "b", "in r").await;
        assert_eq!(driver.node("r").await.restart_count, 4);
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    let numbers = read(&outcome, "r", "in", "a");
    assert_unbroken(&numbers);
    assert_unbroken(&read(&outcome, "b", "in", "r"));
    assert_exact(&outcome);
    let restarted = outcome.printed("b").iter().filter(|line| line.contains("NodeRestarted")).count();
    assert_eq!((restarted, outcome.node("r").restarts), (4, 4));
    assert_open_until_stopped(&outcome, "b");
    // Its counters are those of all its processes; what it sent when `b` had ended already reached nobody.
    let (sent, entered) = (outcome.node("r").outputs[0].sent, outcome.report().edges[1].sent);
    assert!((entered..entered + 20).contains(&sent), "{sent} sent, {entered} entered the edge");
}

#[test]
fn what_cannot_be_is_refused_whole_and_everything_goes_on() {
    let outcome = drive(a_to_b(), patient(), |mut driver| async move {
        reads(&mut driver, "b", "in a").await;
        let plain = driver.flow.clone();
        let missing = with(&plain, |nodes| {
            nodes.push(program_node("new", "no-such-program", vec![]).reads("in", 0, 0));
            nodes.push(role("c", "collect").reads("in", 0, 0));
        });
        let not_a_program = with(&plain, |nodes| {
            nodes.push(role("c", "collect").reads("in", 0, 0));
            nodes[1] = nodes[1].clone().reads("more", 0, 0);
            nodes.push(program_node("new", "nonsense", vec![]).reads("in", 0, 0));
        });
        std::fs::write(plain.working_dir.join("nonsense"), [0x7f, b'E', b'L', b'F', 9, 9]).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(plain.working_dir.join("nonsense"), mode).unwrap();
        let dies = with(&plain, |nodes| {
            nodes.push(role("c", "collect").reads("in", 0, 0));
            nodes[1].env.insert(ROLE.into(), EnvValue::Text("dies before it is ready".into()));
        });
        let too_many = with(&plain, |nodes| {
            for n in 0..17 {
                nodes[1] = nodes[1].clone().reads(&format!("in{n}"), 0, 0);
            }
        });
        let too_long = with(&plain, |nodes| {
            nodes.push(role("c", "collect").reads("in", 0, 0));
            nodes[2].inputs[0].queue_size = 10_000;
        });
        let dangling =
            with(&plain, |nodes| nodes[1].inputs[0].source = Source::Output { node: 9, output: 0 });
        let table = [
            (missing, "no-such-program"),
            (not_a_program, "no program for this machine"),
            (dies, "node `b` was not replaced"),
            (too_many, "dora node restart b"),
            (too_long, "`a/o` has no memory left for the queue of `c/in`"),
            (dangling, "the source of `b/in` does not exist"),
        ];
        for (flow, part) in table {
            let error = driver.apply(flow, &[]).await.unwrap_err();
            assert!(error.contains(part), "{error}");
            let now = driver.snapshot().await;
            assert_eq!(now.nodes.len(), 2, "{part}");
            assert!(now.nodes.iter().all(|n| n.status == NodeStatus::Running && n.restart_count == 0));
            reads(&mut driver, "b", "in a").await;
        }
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_unbroken(&read(&outcome, "b", "in", "a"));
    assert_eq!(outcome.report().edges.len(), 1, "{:?}", outcome.report().edges);
    assert!(!outcome.printed("b").iter().any(|line| line.starts_with("new input")));
}

#[test]
fn a_restart_makes_room_for_further_inputs() {
    let outcome = drive(a_to_b(), patient(), |mut driver| async move {
        let mut flow = driver.flow.clone();
        for n in 0..20 {
            let every_second = Source::Timer { period_ns: 1_000_000_000 };
            flow.nodes[1] = flow.nodes[1].clone().input(&format!("t{n}"), every_second);
            if driver.apply(flow.clone(), &[]).await.is_err() {
                assert_eq!(n, 16);
                driver.restart("b").await.unwrap();
                driver.apply(flow.clone(), &[]).await.unwrap();
            }
        }
        flow.nodes[1] = flow.nodes[1].clone().reads("last", 0, 0);
        driver.apply(flow, &[]).await.unwrap();
        reads(&mut driver, "b", "last a").await;
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_exact(&outcome);
}

#[test]
fn nodes_killed_in_the_middle_of_a_change_come_back_into_the_new_wiring() {
    let mut nodes = a_to_b();
    for node in &mut nodes {
        node.restart.policy = dora_protocol::policy::RestartPolicy::OnFailure;
    }
    let outcome = drive(nodes, patient(), |mut driver| async move {
        let plain = driver.flow.clone();
        let added = with(&plain, |nodes| {
            nodes.push(role("c", "relay").reads("in", 0, 0).output("o"));
            nodes[1] = nodes[1].clone().reads("echo", 2, 0);
            nodes[1].restart.max_restarts = 0;
        });
        for n in 0..6 {
            let (a, b) = (driver.pid("a", n).await, driver.pid("b", n).await);
            let flow = if n % 2 == 0 { added.clone() } else { plain.clone() };
            let replace: &[&str] = if n == 3 { &["b"] } else { &[] };
            for pid in [a, b] {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
            driver.apply(flow, replace).await.unwrap();
            reads(&mut driver, "b", "in a").await;
            if n == 3 {
                // The replacement was one more process of `b`; bring `a` level with it.
                driver.pid("b", n + 1).await;
                driver.restart("a").await.unwrap();
                break;
            }
        }
        driver.apply(added, &[]).await.unwrap();
        reads(&mut driver, "b", "echo c").await;
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_exact(&outcome);
}

#[test]
fn removing_works_for_ended_nodes_and_the_last_one_ends_the_dataflow() {
    let outcome = drive(a_to_b(), patient(), |mut driver| async move {
        reads(&mut driver, "b", "in a").await;
        driver.stop_node("b").await.unwrap();
        let only_a = with(&driver.flow, |nodes| drop(nodes.remove(1)));
        assert_eq!(driver.apply(only_a, &[]).await.unwrap()[0], "node `b` was removed");
        let again = with(&driver.flow, |nodes| nodes.push(role("b", "collect").reads("in", 0, 0)));
        driver.apply(again, &[]).await.unwrap();
        reads(&mut driver, "b", "in a").await;
        let nothing = with(&driver.flow, Vec::clear);
        driver.apply(nothing, &[]).await.unwrap();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_exact(&outcome);
    assert_eq!(outcome.report().nodes.len(), 2, "removed nodes have their rows");
}

#[test]
fn a_change_is_refused_when_the_dataflow_is_stopped_under_it() {
    let mut nodes = a_to_b();
    nodes[1] = role("b", "collect").reads("in", 0, 0);
    let outcome = drive(nodes, patient(), |mut driver| async move {
        reads(&mut driver, "b", "in a").await;
        let (reply, answer) = tokio::sync::oneshot::channel();
        let slow = with(&driver.flow, |nodes| {
            nodes[1] = program_node("b", "sleep", vec!["1000".into()]).reads("in", 0, 0);
        });
        let request = Control::Apply { dataflow: Box::new(slow), replace: vec![], grace: None, reply };
        driver.control.send(request).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        driver.stop();
        assert!(answer.await.unwrap().unwrap_err().contains("being stopped"));
        driver
    });
    assert_eq!(outcome.report().failure(), None);
}
