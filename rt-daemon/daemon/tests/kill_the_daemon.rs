//! The process that runs a dataflow is killed with SIGKILL: no node survives it, and nothing that a node started.

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use dora_daemon::options::RunEvent;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use support::{NodeExt, ROLE, node as role, node::TestNode, patient};
use tokio::sync::mpsc;

/// Not a test of its own: the entry of the processes that the test below starts.
#[test]
fn plays_its_role() {
    match std::env::var(ROLE).as_deref() {
        Ok("daemon") => daemon(),
        Ok("node") => {
            let (node, _) = TestNode::connect();
            println!("pid {}", std::process::id());
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            println!("pid {}", child.id());
            // Deaf to the daemon's socket: only the kernel can end it.
            child.wait().unwrap();
            drop(node);
        }
        _ => {}
    }
}

/// Runs two nodes and passes on what they print.
fn daemon() {
    let folder = tempfile::tempdir().unwrap();
    let flow =
        support::dataflow(vec![role("a", "node").output("o"), role("b", "node").output("o")], folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_stop, stops) = mpsc::unbounded_channel();
    let (sender, mut events) = mpsc::channel(100);
    runtime.block_on(async {
        let run = dora_daemon::run(flow, patient(), stops, sender);
        tokio::pin!(run);
        loop {
            tokio::select! {
                result = &mut run => panic!("{result:?}"),
                Some(event) = events.recv() => {
                    if let RunEvent::Log { message, .. } = event {
                        eprintln!("{}", message.message);
                    }
                }
            }
        }
    });
}

#[test]
fn killing_the_daemon_leaves_no_node_and_no_child_of_a_node_alive() {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "plays_its_role", "--nocapture", "--quiet"])
        .env(ROLE, "daemon")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let nodes: Vec<_> = lines
        .map_while(Result::ok)
        .filter_map(|l| Pid::from_raw(l.strip_prefix("pid ")?.parse().ok()?))
        .take(4)
        .map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap())
        .collect();
    assert_eq!(nodes.len(), 4);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    for node in &nodes {
        assert!(support::ends(node));
    }
}
