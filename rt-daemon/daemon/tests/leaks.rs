//! Nothing grows: a hundred restarts, and a hundred dataflows in one process, each with a visit of a dynamic node.
//!
//! A test binary of its own with one test, because what is counted belongs to the process.

mod support;

use dora_daemon::options::{Listener, RunOptions};
use dora_protocol::{
    dataflow::{Node, NodeKind},
    policy::RestartPolicy,
};
use support::{
    NodeExt, ROLE,
    drive::{drive, drive_here},
    live::Live,
    node as role,
    node::TestNode,
    patient, program_node,
};

/// Not a test of its own: the entry of the processes that the test below starts.
#[test]
fn plays_its_role() {
    if let Ok(role) = std::env::var(ROLE) {
        assert!(support::live::play(&role), "no such role: {role}");
        std::process::exit(0);
    }
}

/// Descriptors, segments that are mapped, threads.
fn counts() -> [usize; 3] {
    let entries = |folder| std::fs::read_dir(folder).unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    [entries("/proc/self/fd"), maps.matches("memfd:dora-").count(), entries("/proc/self/task")]
}

/// A few more or less are under way at any moment.
fn assert_no_growth(before: [usize; 3], after: [usize; 3], what: &str) {
    let grown = before.iter().zip(&after).any(|(before, after)| *after > before + 8);
    assert!(
        !grown,
        "descriptors, mappings and threads after ten {what}: {before:?}, after a hundred: {after:?}"
    );
}

#[test]
fn a_hundred_restarts_and_a_hundred_dataflows_leave_nothing_behind() {
    restarts();
    dataflows();
}

fn restarts() {
    let restarting = |id, what| {
        let mut node = role(id, what);
        node.restart.policy = RestartPolicy::Always;
        node
    };
    let nodes = vec![restarting("a", "beat").output("o"), restarting("b", "collect").reads("in", 0, 0)];
    let outcome = drive(nodes, patient(), |mut driver| async move {
        let mut after_ten = [0; 3];
        for n in 0..100 {
            for node in ["a", "b"] {
                driver.restart(node).await.unwrap();
            }
            driver.seen.clear();
            driver.next_line("b", |line| line.starts_with("read in a")).await;
            if n == 10 {
                after_ten = counts();
            }
        }
        assert_no_growth(after_ten, counts(), "restarts");
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_eq!((outcome.node("a").restarts, outcome.node("b").restarts), (100, 100));
    let edge = &outcome.report().edges[0];
    assert_eq!(edge.sent, edge.taken + edge.overwritten + edge.flushed + edge.queued, "{edge:?}");
}

fn with_a_guest() -> Vec<Node> {
    let mut dynamic = program_node("d", "", vec![]).reads("in", 0, 0).output("o");
    dynamic.kind = NodeKind::Dynamic;
    vec![role("a", "beat").output("o"), dynamic, role("b", "collect").reads("in", 1, 0)]
}

fn dataflows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/daemon-1.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = Listener::bind(&path).unwrap();
        let mut after_ten = [0; 3];
        for n in 0..100 {
            let out = tempfile::tempdir().unwrap();
            let flow = support::dataflow(with_a_guest(), out.path());
            let options = RunOptions { listener: Some(listener.clone()), ..patient() };
            let path = path.clone();
            let (result, _) = drive_here(flow, options, |mut driver| async move {
                driver.pid("b", 0).await;
                let visit = tokio::task::spawn_blocking(move || {
                    let mut live = Live::on(TestNode::attach(&path, "d").unwrap());
                    live.send(0, 7, 200);
                    live.done();
                });
                visit.await.unwrap();
                driver.next_line("b", |line| line == "closed in").await;
                driver.stop();
                driver
            })
            .await;
            assert_eq!(result.unwrap().failure(), None);
            if n == 10 {
                after_ten = counts();
            }
        }
        assert_no_growth(after_ten, counts(), "dataflows");
    });
}
