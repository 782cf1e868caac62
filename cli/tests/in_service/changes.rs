//! Changes of a running dataflow.

use serde_json::json;

use crate::{alone, flow, pair::Pair, wait};

/// A pair with the dataflow `robot`, and a node file `extra.yml`: a listener without inputs.
fn running() -> Pair {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    pair.write("extra.yml", &alone("extra", "listener", ""));
    pair
}

#[test]
fn nodes_and_edges_come_and_go_and_a_restart_keeps_them() {
    let pair = running();
    pair.good(&["node", "add", "--from-yaml", "extra.yml", "-d", "robot"]);
    assert_eq!(pair.good(&["node", "list", "-q"]), "ticker\nlistener\nextra\n");
    assert_eq!(pair.good(&["node", "connect", "ticker/number", "extra/b"]), "ticker/number -> extra/b\n");
    pair.wait_for_line("robot", "first of b");
    let info = pair.json(&["node", "info", "ticker", "-f", "json"]);
    assert_eq!(info["outputs"][0]["subscribers"], json!(["listener/a", "extra/b"]));

    let restarted = pair.good(&["restart", "robot"]);
    assert!(restarted.contains("--original") && restarted.contains("extra"), "{restarted}");
    pair.wait_for_line("robot", "first of b");

    assert_eq!(pair.good(&["node", "disconnect", "ticker/number", "extra/b"]), "ticker/number -x- extra/b\n");
    pair.wait_for_line("robot", "b is closed");
    pair.good(&["node", "remove", "extra"]);
    assert_eq!(pair.good(&["node", "list", "-q"]), "ticker\nlistener\n");
    pair.good(&["node", "add", "--from-yaml", "extra.yml"]);
    assert!(!pair.good(&["restart", "robot", "--original"]).contains("extra"));
    assert_eq!(pair.good(&["node", "list", "-q"]), "ticker\nlistener\n");
}

#[test]
fn a_patch_is_applied_as_a_whole_or_not_at_all() {
    let pair = running();
    let extra =
        alone("extra", "listener", "").lines().map(|line| format!("    {line}\n")).collect::<String>();
    let add = format!("add:\n  - {}", extra.trim_start());
    pair.write("good.yml", &format!("{add}connect: [\"ticker/number -> extra/b\"]\n"));
    pair.write("bad.yml", "remove: [extra]\nconnect: [\"ticker/nothing -> listener/c\"]\n");
    assert!(pair.good(&["node", "apply", "good.yml"]).contains("extra"));
    pair.wait_for_line("robot", "first of b");
    let bad = pair.dora(&["node", "apply", "bad.yml"]);
    assert!(bad.code == Some(1) && bad.err.contains("nothing"), "{bad:?}");
    assert_eq!(pair.good(&["node", "list", "-q"]), "ticker\nlistener\nextra\n", "nothing was changed");
}

#[test]
fn a_node_is_replaced_by_another_of_its_name() {
    let pair = running();
    pair.write("listener.yml", &alone("listener", "listener", "    inputs: { a: ticker/number }\n"));
    let metrics = || pair.json(&["node", "info", "listener", "-f", "json"])["metrics"].clone();
    wait("the process id", || metrics()["pid"].is_number());
    let before = metrics()["pid"].clone();
    pair.good(&["node", "replace", "listener", "--from-yaml", "listener.yml"]);
    wait("the other process", || metrics()["pid"] != before && metrics()["status"] == "Running");
}

#[test]
fn what_was_asked_for_is_told_in_the_logs_of_the_node_it_was_about() {
    let pair = running();
    pair.write("listener.yml", &alone("listener", "listener", "    inputs: { a: ticker/number }\n"));
    pair.good(&["node", "replace", "listener", "--from-yaml", "listener.yml"]);
    pair.write("broken.yml", &alone("listener", "failing", "    inputs: { a: ticker/number }\n"));
    let refused = pair.dora(&["node", "replace", "listener", "--from-yaml", "broken.yml"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    pair.good(&["node", "add", "--from-yaml", "extra.yml"]);
    pair.good(&["node", "restart", "extra"]);
    pair.good(&["node", "stop", "extra"]);
    pair.good(&["node", "remove", "extra"]);
    // The logs of a node that is not there any more are shown when it is named.
    let logs = pair.good(&["logs", "robot"]) + &pair.good(&["logs", "robot", "extra"]);
    for text in [
        "[dora] node `listener` was replaced, as requested (restart 1)",
        "[dora] node `listener` was not replaced, as requested: its new process exited with code 3",
        "[dora] node `extra` was added, as requested",
        "[dora] node `extra` is started again, as requested (restart 1)",
        "[dora] node `extra` was stopped, as requested",
        "[dora] node `extra` was removed, as requested",
    ] {
        assert_eq!(logs.matches(text).count(), 1, "`{text}`: {logs}");
    }
    let told = pair.lines(&["logs", "robot", "listener", "--log-format", "json"]);
    let told: Vec<_> = told.iter().filter(|line| line["fields"]["lifecycle"] == "replace").collect();
    let levels: Vec<_> = told.iter().map(|line| (&line["level"], &line["fields"]["restart"])).collect();
    assert_eq!(levels, [(&json!("INFO"), &json!(1)), (&json!("WARN"), &json!(null))], "{told:?}");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let pair = running();
    pair.write("taken.yml", &alone("ticker", "listener", ""));
    for (command, says) in [
        (&["node", "add", "--from-yaml", "taken.yml"][..], "ticker"),
        (&["node", "connect", "ticker/nothing", "listener/a"], "nothing"),
        (&["node", "connect", "nobody/x", "listener/a"], "nobody"),
        (&["node", "disconnect", "ticker/number", "listener/zzz"], "zzz"),
        (&["node", "remove", "nobody"], "nobody"),
        (&["node", "replace", "listener", "--from-yaml", "taken.yml"], "listener"),
    ] {
        let ended = pair.dora(command);
        assert!(ended.code == Some(1) && ended.err.contains(says), "{command:?}: {ended:?}");
    }
    assert_eq!(pair.good(&["node", "list", "-q"]), "ticker\nlistener\n");
}
