//! `dora logs` through a coordinator.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use dora_protocol::control::{ControlReply, ControlRequest, DataflowResult, DataflowStatus};

use crate::{
    fake::{Answer, Fake, dataflow},
    start::{finished, line},
    support::{Ended, Project},
};

const FILES: &str = r#"{"timestamp":"2026-01-02T03:04:05.100Z","level":"info","node_id":"arm","message":"moved","stream":"stdout"}
{"timestamp":"2026-01-02T03:04:05.678Z","level":"info","node_id":"cam","message":"tick","stream":"stdout"}
{"timestamp":"2026-01-02T03:04:05.000Z","level":"error","node_id":"leg","message":"cramp","stream":"stdout"}
"#;

/// Dataflow 1 `robot` runs and has written [`FILES`], dataflow 2 `old` has ended.
fn coordinator() -> Fake {
    Fake::start(|request, _| match request {
        ControlRequest::List => ControlReply::DataflowList(vec![
            dataflow(1, Some("robot"), DataflowStatus::Running),
            dataflow(2, Some("old"), DataflowStatus::Finished),
        ])
        .into(),
        ControlRequest::Logs { node: Some(node), .. } if node.as_str() == "nobody" => {
            Answer::Refusal("node `nobody` not found")
        }
        ControlRequest::Logs { node, .. } => {
            let of_node =
                |line: &&str| node.as_ref().is_none_or(|node| line.contains(&format!("\"{node}\"")));
            let text = FILES.lines().filter(of_node).map(|line| format!("{line}\n")).collect();
            ControlReply::Logs { text, left_out_bytes: 0 }.into()
        }
        _ => Answer::Refusal("not asked for"),
    })
}

fn messages(out: &str) -> Vec<String> {
    let lines = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines.map(|line| line["message"].as_str().expect("a message").to_owned()).collect()
}

fn logs(fake: &Fake, flags: &[&str]) -> Ended {
    let args = [&["logs", "--log-format", "json"], flags].concat();
    Ended::from(fake.command(&Project::new(""), &args).output().expect("dora starts"))
}

/// The `tail` of the last request for logs.
fn asked_tail(fake: &Fake) -> Option<u64> {
    fake.heard().iter().rev().find_map(|request| match request {
        ControlRequest::Logs { tail, .. } => Some(*tail),
        _ => None,
    })?
}

#[test]
fn nodes_are_merged_by_time_and_filters_are_those_of_the_files() {
    let fake = coordinator();
    for (flags, expected) in [
        (&[][..], &["cramp", "moved", "tick"][..]),
        (&["robot", "--all-nodes"], &["cramp", "moved", "tick"]),
        (&["robot", "cam"], &["tick"]),
        (&["--node", "arm"], &["moved"]),
        (&["--level", "error"], &["cramp"]),
        (&["--grep", "MOVE"], &["moved"]),
        (&["--tail", "1"], &["tick"]),
        (&["old"], &["cramp", "moved", "tick"]),
    ] {
        let ended = logs(&fake, flags);
        assert_eq!(
            (ended.code, messages(&ended.out)),
            (Some(0), expected.iter().map(|s| (*s).to_owned()).collect()),
            "{flags:?}"
        );
    }
    let missing = logs(&fake, &["--node", "nobody"]);
    assert!(missing.code == Some(1) && missing.err.contains("`nobody` not found"), "{missing:?}");
}

#[test]
fn tail_is_left_to_the_daemon_only_when_nothing_is_filtered_here() {
    let fake = coordinator();
    logs(&fake, &["--tail", "5"]);
    assert_eq!(asked_tail(&fake), Some(5));
    for filter in
        [&["--grep", "x"][..], &["--since", "5m"], &["--level", "warn"], &["--log-filter", "a=warn"]]
    {
        logs(&fake, &[&["--tail", "5"], filter].concat());
        assert_eq!(asked_tail(&fake), None, "{filter:?}");
    }
}

#[test]
fn following_shows_each_line_once_and_ends_with_the_dataflow() {
    let (fake, project) = (coordinator(), Project::new(""));
    let mut command = fake.command(&project, &["logs", "robot", "cam", "--follow", "--log-format", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("dora starts");
    fake.wait_for(|request| matches!(request, ControlRequest::Logs { .. }));
    // The first is in the file as well, the second is another one that looks the same.
    for event in [line("cam", "tick"), line("cam", "tick"), line("arm", "not asked for"), line("cam", "new")]
    {
        fake.event(event);
    }
    fake.event(finished(DataflowResult::default()));
    let out: Vec<String> =
        BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok).collect();
    assert_eq!(messages(&out.join("\n")), ["tick", "tick", "new"]);
    assert_eq!(child.wait().expect("dora ends").code(), Some(0));
    let subscribed =
        fake.heard().iter().position(|request| matches!(request, ControlRequest::LogSubscribe { .. }));
    let fetched = fake.heard().iter().position(|request| matches!(request, ControlRequest::Logs { .. }));
    assert!(subscribed < fetched, "a line between the two would be lost");
}

#[test]
fn following_what_has_ended_shows_what_there_is() {
    let ended = logs(&coordinator(), &["old", "--follow"]);
    assert_eq!((ended.code, messages(&ended.out).len()), (Some(0), 3));
    assert!(ended.err.contains("has ended"), "{ended:?}");
}
