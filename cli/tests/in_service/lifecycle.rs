//! From start to clean.

use serde_json::json;

use crate::{flow, pair::Pair, terminal::OnTerminal, wait};

#[test]
fn a_dataflow_is_started_looked_at_restarted_stopped_and_forgotten() {
    let pair = Pair::up(&flow());
    let started = pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    let uuid = started.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a UUID").to_owned();
    assert_eq!(started, format!("dataflow start triggered: {uuid}\ndataflow started: {uuid}\n"));
    assert_eq!(pair.good(&["list", "--quiet", "--status", "running"]), format!("{uuid}\n"));
    assert!(pair.good(&["ps"]).contains("robot  Running      2"), "{}", pair.good(&["ps"]));
    assert!(
        pair.dora(&["start", "flow.yml", "--name", "robot", "--detach"]).err.contains("robot"),
        "names are unique"
    );

    let status = pair.json(&["status", "-f", "json"]);
    assert_eq!((&status["daemon"]["status"], &status["active_dataflows"]), (&json!("running"), &json!(1)));
    assert!(pair.good(&["doctor"]).contains("PASS  daemon: 1 connected"));

    let restarted = pair.good(&["restart", "robot"]);
    let new = restarted.trim_end().rsplit(' ').next().expect("a UUID").to_owned();
    assert_eq!(restarted, format!("dataflow restarted: {uuid} -> {new}\n"));
    pair.wait_for_line(&new, "first of a");

    assert_eq!(pair.good(&["stop", "robot"]), format!("dataflow stopped: {new}\n"));
    let ended = pair.lines(&["list", "-f", "json"]);
    assert!(ended.len() == 2 && ended.iter().all(|entry| entry["status"] == "Finished"), "{ended:?}");
    assert!(pair.good(&["logs", &new]).contains("listener is up"), "logs of what has ended are there");
    assert!(pair.dora(&["stop"]).err.contains("no dataflow is running"));
    assert_eq!(
        pair.good(&["restart", "robot"]).matches(" -> ").count(),
        1,
        "what has ended can be started again"
    );
    assert_eq!(pair.good(&["stop", "--all"]).lines().count(), 1);

    let cleaned = pair.good(&["clean", "--quiet"]);
    assert_eq!(cleaned.lines().count(), 3);
    assert_eq!(pair.good(&["list", "--quiet"]), "");
    assert_eq!(pair.dora(&["logs", &new]).code, Some(1), "what is forgotten has no logs");
    assert!(pair.good(&["logs", "--local", &new]).contains("listener is up"), "the files stay");
}

#[test]
fn nodes_are_listed_restarted_and_stopped_and_their_metrics_are_known() {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    let node = |name: &str| {
        let nodes = pair.lines(&["node", "list", "-d", "robot", "-f", "json"]);
        nodes.into_iter().find(|node| node["node"] == name).expect("the node")
    };
    wait("the state of the node", || node("ticker")["status"] == "Running");
    assert_eq!(node("ticker")["restarts"], "0");
    assert_eq!(pair.good(&["node", "list", "--quiet"]), "ticker\nlistener\n");
    wait("metrics", || {
        let nodes = pair.json(&["top", "--once"]);
        let known = |node: &serde_json::Value| {
            node["cpu_usage"].is_number() && node["memory_mb"].as_f64() > Some(0.1)
        };
        nodes.as_array().is_some_and(|nodes| nodes.len() == 2 && nodes.iter().all(known))
    });
    let info = pair.json(&["node", "info", "ticker", "-f", "json"]);
    assert_eq!(info["outputs"], json!([{ "id": "number", "subscribers": ["listener/a"] }]));
    assert_eq!(info["inputs"], json!([{ "id": "tick", "source": "dora/timer/millis/20" }]));

    let before = node("ticker")["pid"].clone();
    assert_eq!(pair.good(&["node", "restart", "ticker"]), "node `ticker` restarted\n");
    let after = node("ticker");
    assert!(after["restarts"] == "1" && after["pid"] != before, "what was done is known at once: {after}");
    wait("the start of the new process", || node("ticker")["status"] == "Running");
    assert!(!pair.good(&["logs", "robot", "listener"]).contains("a is closed"), "readers see nothing of it");

    assert_eq!(pair.good(&["node", "stop", "listener"]), "node `listener` stopped\n");
    assert_eq!(node("listener")["status"], "Stopped", "this, too");
    for command in
        [&["node", "stop", "nobody"][..], &["node", "info", "nobody"], &["node", "restart", "nobody"]]
    {
        let ended = pair.dora(command);
        assert!(
            ended.code == Some(1) && ended.err.contains("nobody") && ended.err.contains("hint:"),
            "{ended:?}"
        );
    }
}

#[test]
fn parameters_reach_the_node_and_stay_for_the_next_one() {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    assert_eq!(pair.good(&["param", "set", "ticker", "gain", "0.5"]), "Set `gain` = 0.5 on node `ticker`\n");
    pair.wait_for_line("robot", "gain is 0.5");
    pair.good(&["param", "set", "ticker", "mode", r#"{"fast": true}"#]);
    assert_eq!(
        pair.json(&["param", "list", "ticker", "-f", "json"]),
        json!({ "gain": 0.5, "mode": { "fast": true } })
    );
    assert_eq!(pair.good(&["param", "get", "ticker", "mode"]), "{\"fast\":true}\n");
    pair.good(&["param", "delete", "ticker", "gain"]);
    pair.wait_for_line("robot", "gain is gone");
    let missing = pair.dora(&["param", "get", "ticker", "gain"]);
    assert!(missing.code == Some(1) && missing.err.contains("param not found"), "{missing:?}");
    pair.good(&["node", "restart", "ticker"]);
    wait("the parameter in the new process", || {
        pair.good(&["logs", "robot", "ticker"]).matches("mode is").count() == 2
    });
}

#[test]
fn top_shows_the_nodes_and_leaves_the_terminal_as_it_was() {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    let mut terminal = OnTerminal::start(&mut pair.command(&["top", "--refresh-interval", "1"]));
    for text in ["ticker", "listener", "robot", "Running"] {
        terminal.wait_for(text);
    }
    terminal.press("q");
    assert_eq!(terminal.end().0.code(), Some(0));
}
