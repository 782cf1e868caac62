//! The server alone, with events from a file: what it refuses, what it drops, and that every goal has one result.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::{Value, json};

/// Runs the server; its outputs and what it printed.
fn serve(name: &str, events: Vec<Value>) -> (Vec<Value>, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("server-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder is writable");
    let file = folder.join("events.json");
    let input = json!({"id": "server", "outputs": ["feedback", "result"], "events": events});
    fs::write(&file, input.to_string()).expect("the target folder is writable");
    let mut server = Command::new(env!("CARGO_BIN_EXE_action-server"));
    let ran = server
        .env_remove("DORA_NODE_CONFIG")
        .env("DORA_TEST_WITH_INPUTS", &file)
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{printed}");
    let outputs = fs::read_to_string(folder.join("outputs.jsonl")).expect("the outputs are written");
    (outputs.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(), printed)
}

fn message(id: &str, goal: &str, data: Value) -> Value {
    json!({
        "type": "Input", "time_offset_secs": 0, "id": id, "data": data, "data_type": "UInt64",
        "metadata": {"goal_id": {"String": goal}},
    })
}

fn step() -> Value {
    json!({"type": "Input", "time_offset_secs": 0, "id": "step", "data": 1, "data_type": "UInt64"})
}

fn stop() -> Value {
    json!({"type": "Stop", "time_offset_secs": 0})
}

/// Status and text of the one result of each goal.
fn results(outputs: &[Value]) -> BTreeMap<String, (String, String)> {
    let mut results = BTreeMap::new();
    for output in outputs.iter().filter(|output| output["id"] == "result") {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{output}")).to_owned();
        let parameter = |name: &str| text(&output["metadata"][name]["String"]);
        let before =
            results.insert(parameter("goal_id"), (parameter("goal_status"), text(&output["data"][0])));
        assert_eq!(before, None, "a goal has two results: {output}");
    }
    results
}

#[test]
fn sixty_four_goals_are_worked_on_and_the_next_is_refused() {
    let mut events: Vec<Value> = (0..65)
        .map(|goal| message(if goal % 2 == 0 { "goal-1" } else { "goal-2" }, &format!("g{goal}"), json!(2)))
        .collect();
    events.extend([step(), step(), stop()]);
    let (outputs, printed) = serve("many", events);
    let feedback = outputs.iter().filter(|output| output["id"] == "feedback").count();
    assert_eq!(feedback, 64, "one each, after the first step");
    let mut results = results(&outputs);
    assert_eq!(results.remove("g64"), Some(("aborted".into(), "too many goals".into())));
    assert_eq!(results.len(), 64);
    assert!(results.values().all(|(status, _)| status == "succeeded"), "{results:?}");
    assert!(printed.contains("0 goals are left"), "{printed}");
}

#[test]
fn cancel_counts_only_while_there_is_a_goal_and_bad_goals_are_refused() {
    let mut no_number = message("goal-1", "text", json!("many"));
    no_number["data_type"] = json!("Utf8");
    let mut no_name = message("goal-1", "", json!(1));
    no_name["metadata"] = json!({});
    let events = vec![
        message("cancel-1", "early", json!(0)),
        message("goal-1", "early", json!(1)),
        message("goal-1", "off", json!(5)),
        no_number,
        no_name,
        message("goal-1", "zero", json!(0)),
        message("cancel-1", "off", json!(0)),
        step(),
        message("cancel-1", "early", json!(0)),
        step(),
        stop(),
    ];
    let (outputs, printed) = serve("cancel", events);
    let expected = [
        ("early", ("succeeded", "done")),
        ("off", ("canceled", "as you wish")),
        ("text", ("aborted", "nothing to count")),
        ("zero", ("aborted", "nothing to count")),
    ];
    let expected =
        expected.map(|(goal, (status, text))| (goal.to_owned(), (status.to_owned(), text.to_owned())));
    assert_eq!(results(&outputs), BTreeMap::from(expected));
    assert!(printed.contains("a message at `goal-1` names no goal"), "{printed}");
}

#[test]
fn goals_of_a_client_that_is_gone_are_dropped() {
    let events = vec![
        message("goal-1", "mine", json!(1)),
        message("goal-2", "other", json!(2)),
        json!({"type": "InputClosed", "time_offset_secs": 0, "id": "goal-1"}),
        step(),
        stop(),
    ];
    let (outputs, printed) = serve("gone", events);
    assert_eq!(results(&outputs), BTreeMap::new(), "nobody waits for the one, the other is not there yet");
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    assert!(printed.contains("1 goals are left"), "{printed}");
}
