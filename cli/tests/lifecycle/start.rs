//! `dora start`, attached and detached, and `dora restart`.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use dora_protocol::{
    control::{
        ControlReply, ControlRequest, DataflowResult, DataflowStatus, Event, NodeOutcome, StartRequest,
    },
    log::LogMessage,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    fake::{Answer, Fake, dataflow, uuid, wait},
    support::{Ended, Project},
    terminal::OnTerminal,
};

const FLOW: &str = "nodes:\n  - id: cam\n    path: ./cam\n    outputs: [image]\n";

pub(crate) fn line(node: &str, text: &str) -> Event {
    Event::Log(LogMessage {
        build_id: None,
        dataflow_id: Some(uuid(1).to_string()),
        node_id: Some(node.into()),
        daemon_id: None,
        level: "INFO".into(),
        target: None,
        module_path: None,
        file: None,
        line: None,
        message: text.into(),
        timestamp: "2026-01-02T03:04:05.678Z".into(),
        fields: None,
    })
}

pub(crate) fn finished(result: DataflowResult) -> Event {
    Event::Finished { dataflow_id: uuid(1), result }
}

fn failed() -> DataflowResult {
    let cam = NodeOutcome {
        node_id: "cam".parse().expect("a name"),
        exit: Some("exit code 3".into()),
        error: Some("exited with code 3".into()),
        caused_by: None,
    };
    DataflowResult { error: Some("cam: exited with code 3".into()), nodes: vec![cam] }
}

/// Starts dataflow 1; it runs until it is stopped.
fn coordinator() -> Fake {
    Fake::start(|request, fake| match request {
        ControlRequest::Start(_) => {
            ControlReply::DataflowStartTriggered { uuid: uuid(1), warnings: vec![] }.into()
        }
        ControlRequest::WaitForSpawn { .. } => ControlReply::DataflowSpawned { uuid: uuid(1) }.into(),
        // The first request is not enough for these nodes.
        ControlRequest::Stop { force: false, .. } => Answer::Silence,
        ControlRequest::Stop { .. } => {
            fake.event(line("cam", "last words"));
            fake.event(finished(DataflowResult::default()));
            ControlReply::DataflowStopped { uuid: uuid(1), result: DataflowResult::default() }.into()
        }
        _ => Answer::Refusal("not asked for"),
    })
}

fn start_request(fake: &Fake) -> StartRequest {
    fake.heard()
        .into_iter()
        .find_map(|request| match request {
            ControlRequest::Start(start) => Some(*start),
            _ => None,
        })
        .expect("a start request")
}

fn attached(fake: &Fake, project: &Project, flags: &[&str]) -> Child {
    let args = [&["start", "flow.yml", "--attach"], flags].concat();
    let mut command = fake.command(project, &args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dora starts")
}

fn end(child: Child) -> Ended {
    Ended::from(child.wait_with_output().expect("dora ends"))
}

#[test]
fn detached_start_prints_both_steps_and_sends_everything_the_daemon_needs() {
    let (fake, project) = (coordinator(), Project::new(FLOW));
    let flags = ["--name", "arm", "--env", "A=1", "--uv", "--debug", "--exit-when-nodes-finish=false"];
    let args = [&["start", "flow.yml", "--detach"][..], &flags].concat();
    let ended = Ended::from(fake.command(&project, &args).output().expect("dora starts"));
    let expected = format!("dataflow start triggered: {id}\ndataflow started: {id}\n", id = uuid(1));
    assert_eq!((ended.code, ended.out), (Some(0), expected));
    let request = start_request(&fake);
    assert!(request.dataflow.contains("id: cam") && request.file == "flow.yml", "{request:?}");
    assert_eq!(request.local_working_dir, project.path("").canonicalize().expect("a folder"));
    assert_eq!((request.name.as_deref(), request.uv, request.debug), (Some("arm"), true, true));
    assert_eq!(request.exit_when_nodes_finish, Some(false));
    assert_eq!(request.env, [("A".to_owned(), "1".to_owned())]);
}

#[test]
fn without_a_terminal_start_detaches_and_with_one_it_stays() {
    let (fake, project) = (coordinator(), Project::new(FLOW));
    let ended = Ended::from(fake.command(&project, &["start", "flow.yml"]).output().expect("dora starts"));
    assert_eq!(ended.out.lines().count(), 2);
    assert!(!fake.heard().iter().any(|request| matches!(request, ControlRequest::LogSubscribe { .. })));
    let terminal = OnTerminal::start(&mut fake.command(&project, &["start", "flow.yml"]));
    terminal.wait_for("dataflow started");
    fake.event(line("cam", "hello"));
    terminal.wait_for("hello");
    fake.event(finished(DataflowResult::default()));
    assert_eq!(terminal.end().0.code(), Some(0));
}

#[test]
fn a_dataflow_that_does_not_come_up_is_an_error_that_says_where_to_look() {
    let fake = Fake::start(|request, _| match request {
        ControlRequest::Start(_) => {
            ControlReply::DataflowStartTriggered { uuid: uuid(1), warnings: vec![] }.into()
        }
        ControlRequest::WaitForSpawn { .. } => Answer::Refusal("node `cam` did not start: no such file"),
        _ => Answer::Silence,
    });
    for flag in ["--detach", "--attach"] {
        let project = Project::new(FLOW);
        let ended =
            Ended::from(fake.command(&project, &["start", "flow.yml", flag]).output().expect("dora starts"));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("no such file") && ended.err.contains("dora logs"), "{ended:?}");
        assert!(!ended.out.contains("dataflow started"), "{ended:?}");
    }
}

#[test]
fn attached_start_shows_the_lines_and_fails_with_the_nodes_that_failed() {
    let (fake, project) = (coordinator(), Project::new(FLOW));
    let child = attached(&fake, &project, &["--log-format", "compact"]);
    fake.wait_for(|request| matches!(request, ControlRequest::LogSubscribe { .. }));
    fake.event(line("cam", "hello"));
    fake.event(Event::Dropped { dataflow_id: uuid(1), count: 7 });
    fake.event(finished(failed()));
    let ended = end(child);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains(" INFO cam: hello\n"), "{ended:?}");
    assert!(
        ended.err.contains("7 lines are missing") && ended.err.contains("cam: exited with code 3"),
        "{ended:?}"
    );
}

#[test]
fn json_logs_have_stdout_to_themselves() {
    let (fake, project) = (coordinator(), Project::new(FLOW));
    let child = attached(&fake, &project, &["--log-format", "json"]);
    fake.wait_for(|request| matches!(request, ControlRequest::WaitForSpawn { .. }));
    fake.event(line("cam", "hello"));
    fake.event(finished(DataflowResult::default()));
    let ended = end(child);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 1), "{ended:?}");
    let value: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!((&value["message"], &value["level"]), (&"hello".into(), &"INFO".into()));
    assert!(ended.err.contains("dataflow start triggered"), "{ended:?}");
}

#[test]
fn first_control_c_stops_the_second_kills_and_both_are_success() {
    let (fake, project) = (coordinator(), Project::new(FLOW));
    let mut child = attached(&fake, &project, &[]);
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut seen = String::new();
    while !seen.contains("dataflow started") {
        assert!(out.read_line(&mut seen).expect("text") > 0, "{seen}");
    }
    let interrupt = || kill_process(Pid::from_child(&child), Signal::INT).expect("dora still runs");
    interrupt();
    fake.wait_for(|request| matches!(request, ControlRequest::Stop { force: false, .. }));
    interrupt();
    fake.wait_for(|request| matches!(request, ControlRequest::Stop { force: true, .. }));
    for line in out.lines().map_while(Result::ok) {
        seen += &line;
    }
    assert_eq!(child.wait().expect("dora ends").code(), Some(0));
    assert!(seen.contains("last words"), "what came last is shown: {seen}");
}

#[test]
fn a_coordinator_that_goes_away_ends_the_attached_command_and_says_that_the_dataflow_goes_on() {
    let fake = Fake::start(|request, _| match request {
        ControlRequest::Start(_) => {
            ControlReply::DataflowStartTriggered { uuid: uuid(1), warnings: vec![] }.into()
        }
        ControlRequest::WaitForSpawn { .. } => Answer::HangUp,
        _ => Answer::Silence,
    });
    let ended = end(attached(&fake, &Project::new(FLOW), &[]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("lost the connection") && ended.err.contains("go on running"), "{ended:?}");
}

#[test]
fn changed_file_of_a_python_operator_is_reloaded_also_when_an_editor_renames_it_into_place() {
    let flow = "nodes:\n  - id: eye\n    operators:\n      - id: detect\n        python: detect.py\n        inputs: { tick: dora/timer/millis/50 }\n";
    let fake = Fake::start(|request, _| match request {
        ControlRequest::Start(_) => {
            ControlReply::DataflowStartTriggered { uuid: uuid(1), warnings: vec![] }.into()
        }
        ControlRequest::WaitForSpawn { .. } => ControlReply::DataflowSpawned { uuid: uuid(1) }.into(),
        ControlRequest::Reload { .. } => ControlReply::DataflowReloaded { uuid: uuid(1) }.into(),
        _ => Answer::Silence,
    });
    let project = Project::new(flow);
    fs::write(project.path("detect.py"), "class Operator: pass\n").expect("a file");
    let mut command = fake.command(&project, &["start", "flow.yml", "--hot-reload"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dora starts");
    let reloads = || fake.heard().iter().filter(|request| is_reload(request)).count();
    fake.wait_for(|request| matches!(request, ControlRequest::WaitForSpawn { .. }));
    fs::write(project.path("detect.py"), "class Operator: version = 2\n").expect("a file");
    wait("the first reload", || reloads() == 1);
    fs::write(project.path("new"), "class Operator: version = 3\n").expect("a file");
    fs::rename(project.path("new"), project.path("detect.py")).expect("renamed");
    wait("the second reload", || reloads() == 2);
    fake.event(finished(DataflowResult::default()));
    let ended = end(child);
    assert!(ended.code == Some(0) && ended.err.contains("reloaded `eye/detect`"), "{ended:?}");
}

fn is_reload(request: &ControlRequest) -> bool {
    matches!(request, ControlRequest::Reload { node_id, operator_id: Some(operator), .. }
        if node_id.as_str() == "eye" && operator.as_str() == "detect")
}

#[test]
fn restart_tells_both_ids_and_what_was_kept() {
    let fake = Fake::start(|request, _| match request {
        ControlRequest::List => {
            ControlReply::DataflowList(vec![dataflow(1, Some("arm"), DataflowStatus::Failed)]).into()
        }
        ControlRequest::Restart { original, .. } => {
            let kept_changes = if *original { vec![] } else { vec!["node `filter` added".to_owned()] };
            ControlReply::DataflowRestarted { old_uuid: uuid(1), new_uuid: uuid(2), kept_changes }.into()
        }
        ControlRequest::WaitForSpawn { .. } => ControlReply::DataflowSpawned { uuid: uuid(2) }.into(),
        _ => Answer::Refusal("not asked for"),
    });
    let run =
        |args: &[&str]| Ended::from(fake.command(&Project::new(""), args).output().expect("dora starts"));
    let first = format!("dataflow restarted: {} -> {}", uuid(1), uuid(2));
    let kept = run(&["restart", "arm", "--force"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    assert!(kept.out.starts_with(&first) && kept.out.contains("node `filter` added"), "{kept:?}");
    let original = run(&["restart", "--name", "arm", "--original"]);
    assert_eq!(original.out.trim_end(), first);
    wait("both waits", || {
        fake.heard().iter().filter(|request| matches!(request, ControlRequest::WaitForSpawn { .. })).count()
            == 2
    });
}
