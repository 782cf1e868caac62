//! What `list`, `clean`, `node` and `param` ask, and how they show the answer.

use std::fs;

use dora_protocol::control::{
    CleanFailure, ControlReply, ControlRequest, DataflowName, DataflowStatus, Delivery, TopologyChange,
};
use serde_json::{Value, json};

use crate::{
    fake::{Answer, Fake, dataflow, uuid},
    support::{Ended, Project},
};

fn change(sentence: &str) -> TopologyChange {
    TopologyChange { changes: vec![sentence.into()], warnings: vec!["types differ".into()] }
}

/// One dataflow, `robot`, runs.
fn coordinator() -> Fake {
    Fake::start(|request, _| match request {
        ControlRequest::List => {
            ControlReply::DataflowList(vec![dataflow(1, Some("robot"), DataflowStatus::Running)]).into()
        }
        ControlRequest::Clean => {
            let id = DataflowName { uuid: uuid(5), name: None };
            ControlReply::CleanResult {
                cleaned: vec![dataflow(4, Some("old"), DataflowStatus::Finished)],
                failed: vec![CleanFailure { id, error: "disk full".into() }],
            }
            .into()
        }
        ControlRequest::AddNode { .. } => ControlReply::NodeAdded(change("node `filter` added")).into(),
        ControlRequest::RemoveNode { .. } => {
            ControlReply::NodeRemoved(change("node `filter` removed")).into()
        }
        ControlRequest::ReplaceNode { .. } => {
            ControlReply::NodeReplaced(change("node `filter` replaced")).into()
        }
        ControlRequest::AddMapping { .. } => ControlReply::MappingAdded(change("…")).into(),
        ControlRequest::RemoveMapping { .. } => {
            ControlReply::MappingRemoved(TopologyChange::default()).into()
        }
        ControlRequest::ApplyPatch { .. } => ControlReply::PatchApplied(TopologyChange::default()).into(),
        ControlRequest::RestartNode { node_id, .. } => {
            ControlReply::NodeRestarted { node_id: node_id.clone() }.into()
        }
        ControlRequest::StopNode { node_id, .. } if node_id.as_str() == "nobody" => {
            Answer::Refusal("node `nobody` not found in dataflow `robot`")
        }
        ControlRequest::StopNode { node_id, .. } => {
            ControlReply::NodeStopped { node_id: node_id.clone(), clean_stop: false }.into()
        }
        ControlRequest::GetParams { .. } => {
            ControlReply::ParamList { params: [("gain".to_owned(), json!({ "x": 1 }))].into() }.into()
        }
        ControlRequest::GetParam { key, .. } if key == "gain" => {
            ControlReply::ParamValue { key: key.clone(), value: json!("1080p") }.into()
        }
        ControlRequest::GetParam { .. } => Answer::Refusal("param not found: nope"),
        ControlRequest::SetParam { .. } => ControlReply::ParamSet(Delivery::Stored).into(),
        ControlRequest::DeleteParam { .. } => ControlReply::ParamDeleted(Delivery::Delivered).into(),
        _ => Answer::Refusal("not asked for"),
    })
}

/// A folder with a node file and a patch in it.
fn project() -> Project {
    let project = Project::new("");
    fs::write(project.path("node.yml"), "id: filter\npath: ./filter\n").expect("a file");
    fs::write(project.path("patch.yml"), "remove: [filter]\n").expect("a file");
    project
}

fn dora(fake: &Fake, args: &[&str]) -> Ended {
    Ended::from(fake.command(&project(), args).output().expect("dora starts"))
}

#[test]
fn list_prints_a_table_json_lines_or_ids() {
    let fake = coordinator();
    let table = dora(&fake, &["ps"]);
    assert!(
        table.out.starts_with("UUID ") && table.out.contains("robot  Running      2  12.5%  157 MB"),
        "{table:?}"
    );
    let value: Value =
        serde_json::from_str(&dora(&fake, &["list", "-f", "json"]).out).expect("one JSON object");
    assert_eq!((&value["uuid"], &value["memory_mb"]), (&json!(uuid(1)), &json!(156.84)));
    assert_eq!(dora(&fake, &["list", "-q"]).out, format!("{}\n", uuid(1)));
    let none = dora(&fake, &["list", "--status", "failed"]);
    assert_eq!((none.code, none.out.lines().count()), (Some(0), 1), "the header stays");
    assert_eq!(dora(&fake, &["list", "--status", "failed", "-f", "json"]).out, "");
}

#[test]
fn clean_reports_what_is_gone_and_fails_for_what_is_not() {
    let fake = coordinator();
    let table = dora(&fake, &["clean"]);
    assert_eq!(table.code, Some(1));
    assert!(table.out.contains("Finished") && table.out.ends_with("Cleaned 1 dataflow(s).\n"), "{table:?}");
    assert!(table.err.contains("warning: 00000005-") && table.err.contains("disk full"), "{table:?}");
    let lines = dora(&fake, &["clean", "--format", "json"]);
    let value: Value = serde_json::from_str(&lines.out).expect("one JSON object");
    assert_eq!(value, json!({ "uuid": uuid(4), "name": "old", "status": "Finished" }));
    assert_eq!(dora(&fake, &["clean", "--quiet"]).out, format!("{}\n", uuid(4)));
}

#[test]
fn changes_of_a_running_dataflow_are_told_and_warnings_go_to_stderr() {
    let fake = coordinator();
    for (args, out, warned) in [
        (&["node", "add", "--from-yaml", "node.yml"][..], "node `filter` added\n", true),
        (&["node", "remove", "filter", "--grace", "2s"], "node `filter` removed\n", true),
        (&["node", "replace", "filter", "--from-yaml", "node.yml"], "node `filter` replaced\n", true),
        (&["node", "connect", "cam/image", "filter/op/image"], "cam/image -> filter/op/image\n", true),
        (&["node", "disconnect", "cam/image", "arm/image"], "cam/image -x- arm/image\n", false),
        (&["node", "apply", "patch.yml"], "nothing to change: it is like that already\n", false),
        (&["node", "restart", "filter"], "node `filter` restarted\n", false),
        (&["node", "stop", "filter"], "node `filter` stopped\n", true),
    ] {
        let ended = dora(&fake, &[args, &["-d", "robot"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), out), "{args:?}: {ended:?}");
        assert_eq!(ended.err.contains("warning:"), warned, "{args:?}: {ended:?}");
    }
    let heard = format!("{:?}", fake.heard());
    for part in
        ["path: ./filter", "remove: [filter]", "Some(\"node.yml\")", "grace_duration: Some(2s)", "op/image"]
    {
        assert!(heard.contains(part), "{part} was not sent: {heard}");
    }
    let nobody = dora(&fake, &["node", "stop", "nobody"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("dora node list -d robot"), "{nobody:?}");
}

#[test]
fn parameters_are_json_on_the_way_in_and_out() {
    let fake = coordinator();
    let all = dora(&fake, &["param", "list", "cam", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&all.out).expect("one document"), json!({ "gain": { "x": 1 } }));
    assert_eq!(
        dora(&fake, &["param", "list", "cam"]).out,
        "Parameters for node `cam`:\n  gain = {\"x\":1}\n"
    );
    assert_eq!(dora(&fake, &["param", "get", "cam", "gain"]).out, "\"1080p\"\n");
    let missing = dora(&fake, &["param", "get", "cam", "nope"]);
    assert!(missing.code == Some(1) && missing.err.contains("param not found"), "{missing:?}");
    let set = dora(&fake, &["param", "set", "cam", "gain", "-1.5"]);
    assert!(
        set.code == Some(0) && set.out.starts_with("Set `gain` = -1.5 on node `cam` (it is told"),
        "{set:?}"
    );
    assert_eq!(dora(&fake, &["param", "delete", "cam", "gain"]).out, "Deleted `gain` from node `cam`\n");
    let value = |request: &ControlRequest| matches!(request, ControlRequest::SetParam { value, .. } if *value == json!(-1.5));
    assert!(fake.heard().iter().any(value));
}
