//! `dora top` on a terminal.

use std::sync::atomic::{AtomicU32, Ordering};

use dora_protocol::control::{ControlReply, ControlRequest, NodeInfo, NodeMetrics, NodeState, NodeStatus};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::{
    fake::{Answer, Fake, uuid},
    support::{Ended, Project},
    terminal::OnTerminal,
};

fn node(name: &str, cpu_usage: f64, memory_bytes: u64) -> NodeInfo {
    let metrics = NodeMetrics { cpu_usage, memory_bytes, ..NodeMetrics::default() };
    NodeInfo {
        dataflow_id: uuid(1),
        dataflow_name: Some("robot".into()),
        daemon_id: None,
        state: NodeState {
            node_id: name.parse().expect("a name"),
            status: NodeStatus::Running,
            pid: Some(4711),
            restart_count: 3,
            broken_inputs: vec![],
            pending_messages: 0,
            error: None,
            metrics: Some(metrics),
            network: None,
        },
    }
}

fn coordinator() -> Fake {
    Fake::start(|request, _| match request {
        ControlRequest::GetNodeInfo => ControlReply::NodeInfoList(vec![
            node("camera", 42.5, 78_500_000),
            node("planner", 1.5, 9_000_000),
        ])
        .into(),
        _ => Answer::Refusal("not asked for"),
    })
}

fn watching(fake: &Fake, project: &Project) -> OnTerminal {
    let terminal = OnTerminal::start(&mut fake.command(project, &["top"]));
    terminal.wait_for("planner");
    terminal
}

#[test]
fn nodes_are_shown_and_every_way_out_leaves_the_terminal_as_it_was() {
    let (fake, project) = (coordinator(), Project::new(""));
    for way_out in ["q", "\x1b", "\x03", "SIGTERM", "SIGINT", "SIGHUP"] {
        let mut terminal = watching(&fake, &project);
        for text in ["NODE", "I/O WRITE (MB/s)", "camera", "robot", "42.5", "4711"] {
            terminal.wait_for(text);
        }
        match way_out {
            "SIGTERM" => kill_process(terminal.pid(), Signal::TERM).expect("dora still runs"),
            "SIGINT" => kill_process(terminal.pid(), Signal::INT).expect("dora still runs"),
            "SIGHUP" => kill_process(terminal.pid(), Signal::HUP).expect("dora still runs"),
            keys => terminal.press(keys),
        }
        let (status, shown) = terminal.end();
        assert_eq!(status.code(), Some(0), "{way_out:?}");
        assert!(shown.contains("\x1b[?1049h"), "{way_out:?}: nothing was drawn");
    }
}

#[test]
fn refresh_key_asks_again_at_once() {
    let (fake, project) = (coordinator(), Project::new(""));
    let mut terminal = OnTerminal::start(&mut fake.command(&project, &["top", "--refresh-interval", "3600"]));
    terminal.wait_for("planner");
    let asked = fake.heard().len();
    terminal.press("r");
    crate::wait("another look", || fake.heard().len() > asked);
    terminal.press("q");
    assert_eq!(terminal.end().0.code(), Some(0));
}

#[test]
fn top_finds_a_coordinator_again_that_was_away() {
    let looks = AtomicU32::new(0);
    let fake = Fake::start(move |_, _| match looks.fetch_add(1, Ordering::SeqCst) {
        0 => ControlReply::NodeInfoList(vec![node("camera", 1.0, 1)]).into(),
        1 => Answer::HangUp,
        _ => ControlReply::NodeInfoList(vec![node("planner", 1.0, 1)]).into(),
    });
    let project = Project::new("");
    let mut terminal = OnTerminal::start(&mut fake.command(&project, &["top", "--refresh-interval", "3600"]));
    terminal.wait_for("camera");
    terminal.press("r");
    terminal.wait_for("trying again");
    terminal.press("r");
    terminal.wait_for("planner");
    terminal.press("q");
    assert_eq!(terminal.end().0.code(), Some(0));
}

#[test]
fn without_a_terminal_only_a_snapshot_can_be_had() {
    let (fake, project) = (coordinator(), Project::new(""));
    let refused = Ended::from(fake.command(&project, &["top"]).output().expect("dora starts"));
    assert!(
        refused.code == Some(1) && refused.err.contains("requires an interactive terminal"),
        "{refused:?}"
    );
    assert!(refused.err.contains("--once"), "{refused:?}");
    for command in [&["top", "--once"][..], &["inspect", "top", "--once"]] {
        let ended = Ended::from(fake.command(&project, command).output().expect("dora starts"));
        let value: Value = serde_json::from_str(&ended.out).expect("one JSON document");
        assert_eq!((ended.code, value[0]["cpu_usage"].as_f64()), (Some(0), Some(42.5)));
        assert_eq!(value[1]["metrics"]["memory_mb"], 9.0);
    }
}
