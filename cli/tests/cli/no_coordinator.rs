//! Commands that need a coordinator, where there is none.

use serde_json::Value;

use crate::support::Project;

const FLOW: &str = "nodes:\n  - id: a\n    path: ./a\n    outputs: [x]\n";

#[test]
fn every_command_names_address_port_and_what_to_do() {
    let project = Project::new(FLOW);
    for command in [
        &["list"][..],
        &["ps", "--format", "json"],
        &["start", "flow.yml", "--detach"],
        &["stop"],
        &["stop", "--all"],
        &["restart", "x"],
        &["logs"],
        &["clean"],
        &["top", "--once"],
        &["inspect", "top", "--once"],
        &["node", "list"],
        &["node", "info", "a"],
        &["node", "add", "--from-yaml", "flow.yml"],
        &["node", "remove", "a"],
        &["node", "replace", "a", "--from-yaml", "flow.yml"],
        &["node", "connect", "a/x", "b/y"],
        &["node", "disconnect", "a/x", "b/y"],
        &["node", "apply", "flow.yml"],
        &["node", "restart", "a"],
        &["node", "stop", "a"],
        &["param", "list", "a"],
        &["param", "get", "a", "k"],
        &["param", "set", "a", "k", "1"],
        &["param", "delete", "a", "k"],
    ] {
        let ended = project.dora(&[command, &["--coordinator-port", "9"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{command:?}: {ended:?}");
        for part in ["[ERROR]", "could not connect to dora-coordinator", "127.0.0.1:9", "dora up"] {
            assert!(ended.err.contains(part), "{command:?} does not say {part}: {ended:?}");
        }
    }
}

#[test]
fn status_answers_on_stdout_also_when_nothing_runs() {
    let project = Project::new(FLOW);
    for command in ["status", "check"] {
        let ended = project.dora(&[command, "--coordinator-port", "9"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.out.contains("✗ Coordinator: Not running\n  Address: 127.0.0.1:9\n"), "{ended:?}");
    }
    let ended = project.dora(&[
        "system",
        "status",
        "-f",
        "json",
        "--coordinator-port",
        "9",
        "--dataflow",
        "flow.yml",
    ]);
    let value: Value = serde_json::from_str(&ended.out).expect("one JSON document");
    assert_eq!(ended.code, Some(1));
    assert_eq!(value["coordinator"]["status"], "not_running");
    assert_eq!(value["dataflow"]["valid"], true);
}

#[test]
fn doctor_wants_a_coordinator_only_when_one_is_named() {
    let project = Project::new(FLOW);
    let named = project.dora(&["doctor", "--coordinator-port", "9"]);
    assert!(named.code == Some(1) && named.out.contains("FAIL  coordinator: could not connect"), "{named:?}");
}

#[test]
fn variables_are_read_and_one_that_cannot_be_read_is_an_error() {
    let project = Project::new(FLOW);
    let run = |name: &str, value: &str| {
        let output = project.command(&["list"]).env(name, value).output().expect("dora starts");
        crate::support::Ended::from(output)
    };
    assert!(run("DORA_COORDINATOR_PORT", "9").err.contains("127.0.0.1:9"));
    for (name, value) in [("DORA_COORDINATOR_PORT", "many"), ("DORA_COORDINATOR_ADDR", "here")] {
        let ended = run(name, value);
        assert!(ended.code == Some(2) && ended.err.contains(value), "{ended:?}");
    }
}

#[test]
fn what_can_be_refused_without_asking_is() {
    let project = Project::new(FLOW);
    for (command, code, says) in [
        (&["node"][..], 2, "Usage"),
        (&["param"], 2, "Usage"),
        (&["self"], 2, "Usage"),
        (&["system"], 2, "Usage"),
        (&["inspect"], 2, "Usage"),
        (&["node", "connect", "a", "b/y"], 2, "NODE/PORT"),
        (&["node", "add"], 2, "--from-yaml"),
        (&["stop", "a", "--name", "b"], 2, "cannot be used with"),
        (&["stop", "--all", "a"], 2, "cannot be used with"),
        (&["start", "flow.yml", "--attach", "--detach"], 2, "cannot be used with"),
        (&["top", "--refresh-interval", "0"], 2, "--refresh-interval"),
        (&["top"], 1, "requires an interactive terminal"),
        (&["list", "--status", "asleep"], 2, "running"),
        (&["param", "set", "a", "k", "1080p"], 1, "is not JSON"),
        (&["param", "set", "a", "", "1"], 1, "1 to 256 bytes"),
        (&["node", "add", "--from-yaml", "missing.yml"], 1, "missing.yml"),
        (&["node", "stop", "a b"], 1, "a b"),
        (&["start", "missing.yml"], 1, "missing.yml"),
    ] {
        let ended = project.dora(command);
        assert!(ended.code == Some(code) && ended.err.contains(says), "{command:?}: {ended:?}");
        assert_eq!(ended.out, "", "{command:?}");
    }
}
