//! Which dataflow is meant when several run, and `dora stop`.

use dora_protocol::control::{ControlReply, ControlRequest, DataflowResult, DataflowStatus};

use crate::{
    fake::{Answer, Fake, dataflow, uuid},
    support::{Ended, Project},
    terminal::OnTerminal,
};

/// Dataflows 1 `arm` and 2 `leg` run, 3 `old` has ended.
fn coordinator(running: bool) -> Fake {
    Fake::start(move |request, _| match request {
        ControlRequest::List => {
            let mut list = vec![dataflow(3, Some("old"), DataflowStatus::Finished)];
            if running {
                list.push(dataflow(1, Some("arm"), DataflowStatus::Running));
                list.push(dataflow(2, Some("leg"), DataflowStatus::Pending));
            }
            ControlReply::DataflowList(list).into()
        }
        ControlRequest::Stop { dataflow_uuid, .. } if *dataflow_uuid == uuid(2) => {
            let result = DataflowResult { error: Some("foot: killed".into()), nodes: vec![] };
            ControlReply::DataflowStopped { uuid: *dataflow_uuid, result }.into()
        }
        ControlRequest::Stop { dataflow_uuid, .. } => {
            ControlReply::DataflowStopped { uuid: *dataflow_uuid, result: DataflowResult::default() }.into()
        }
        _ => Answer::Refusal("not asked for"),
    })
}

fn dora(fake: &Fake, args: &[&str]) -> Ended {
    Ended::from(fake.command(&Project::new(""), args).output().expect("dora starts"))
}

/// UUIDs that were asked to stop, in any order, with grace in seconds and force.
fn stopped(fake: &Fake) -> Vec<(uuid::Uuid, Option<u64>, bool)> {
    let mut stops: Vec<_> = fake
        .heard()
        .iter()
        .filter_map(|request| match request {
            ControlRequest::Stop { dataflow_uuid, grace_duration, force } => {
                Some((*dataflow_uuid, grace_duration.map(|grace| grace.as_secs()), *force))
            }
            _ => None,
        })
        .collect();
    stops.sort();
    stops
}

#[test]
fn terminal_gets_a_picker_and_the_choice_is_stopped() {
    let (fake, project) = (coordinator(true), Project::new(""));
    let mut terminal = OnTerminal::start(&mut fake.command(&project, &["stop"]));
    terminal.wait_for("leg (");
    terminal.press("\x1b[B\r");
    let (status, shown) = terminal.end();
    assert_eq!((status.code(), stopped(&fake)), (Some(0), vec![(uuid(2), None, false)]), "{shown}");
    let mut terminal = OnTerminal::start(&mut fake.command(&project, &["stop"]));
    terminal.wait_for("leg (");
    terminal.press("\x1b");
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(1), "nothing was chosen: {shown}");
    assert_eq!(stopped(&fake).len(), 1);
}

#[test]
fn without_a_terminal_several_dataflows_are_an_error_that_lists_them() {
    let fake = coordinator(true);
    let ended = dora(&fake, &["stop"]);
    assert_eq!(ended.code, Some(1));
    for part in ["arm (00000001-", "leg (00000002-", "hint:"] {
        assert!(ended.err.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.err.contains("old"), "{ended:?}");
}

#[test]
fn nothing_to_stop_is_no_error_but_a_name_that_is_not_there_is() {
    let fake = coordinator(false);
    for args in [&["stop"][..], &["stop", "--all"]] {
        let ended = dora(&fake, args);
        assert!(ended.code == Some(0) && ended.err.contains("no dataflow is running"), "{ended:?}");
    }
    for name in ["old", "nobody"] {
        let ended = dora(&fake, &["stop", name]);
        assert!(ended.code == Some(1) && ended.err.contains("no running dataflow with ID"), "{ended:?}");
    }
    for args in [&["node", "list", "-d", "arm"][..], &["param", "list", "n"], &["restart"], &["logs"]] {
        assert_eq!(dora(&fake, args).code, Some(1), "{args:?}");
    }
}

#[test]
fn flags_of_stop_reach_the_coordinator_and_failed_nodes_are_told_on_stderr() {
    let fake = coordinator(true);
    let ended = dora(&fake, &["stop", "arm", "--grace-duration", "1m30s"]);
    assert_eq!((ended.code, ended.out), (Some(0), format!("dataflow stopped: {}\n", uuid(1))));
    let ended = dora(&fake, &["stop", "--name", "leg", "--force", "--grace-duration", "5"]);
    assert_eq!(ended.code, Some(0), "it has stopped: {ended:?}");
    assert!(ended.err.contains("foot: killed"), "{ended:?}");
    assert_eq!(stopped(&fake), [(uuid(1), Some(90), false), (uuid(2), None, true)]);
    assert_eq!(dora(&fake, &["stop", "--all"]).out.lines().count(), 2);
    assert_eq!(stopped(&fake).len(), 4);
}
