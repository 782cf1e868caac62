//! `dora validate --rt` and `dora run --profile` as a user meets them.

use std::fs;

use crate::support::Project;

const ARM: &str = "\
nodes:
  - id: sensor
    path: s
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 70 }
    wcet: 100us
    inputs: { tick: dora/timer/millis/1 }
    outputs: [sample]
  - id: motor
    path: m
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 60 }
    wcet: 200us
    inputs: { sample: { source: sensor/sample, deadline: 400us } }
    outputs: [done]
  - id: logger
    path: l
    inputs: { done: motor/done }
chains:
  - { name: arm, from: sensor/sample, to: motor/sample, within: 300us }
";

#[test]
fn deadlines_that_hold_are_confirmed_with_what_is_assumed() {
    let ended = Project::new(ARM).dora(&["validate", "flow.yml", "--rt"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Hop, blocking, and the sensor that may run once more.
    for line in [
        "✔ deadline of `motor/sample`: at most 250 us of 400 us",
        "✔ chain `arm`: at most 250 us of 300 us",
        "real-time share of core 1: 30.0 %",
        "assumed: a message or tick reaches its node within 50 us",
        "Every deadline and chain holds (2 of 2)",
    ] {
        assert!(ended.out.contains(line), "no `{line}` in {}", ended.out);
    }
}

#[test]
fn a_chain_that_cannot_hold_fails_the_command_and_says_by_how_much() {
    let ended = Project::new(ARM).dora(&["validate", "flow.yml", "--rt", "--hop", "150us"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("✘ chain `arm`: up to 350 us, 50 us more than 300 us"), "{}", ended.out);
    assert!(ended.err.contains("cannot be held: chain `arm`"), "{}", ended.err);
    assert!(ended.err.contains("--suggest"), "{}", ended.err);
}

#[test]
fn what_is_not_known_is_not_judged_and_no_failure() {
    let text = ARM.replace("    wcet: 100us\n", "");
    let ended = Project::new(&text).dora(&["validate", "flow.yml", "--rt"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("? chain `arm`: 300 us cannot be judged"), "{}", ended.out);
    assert!(ended.out.contains("`sensor` cannot be judged: its handler time is not known"), "{}", ended.out);
    assert!(ended.out.contains("0 hold, 0 cannot hold, 2 cannot be judged"), "{}", ended.out);
}

#[test]
fn suggestions_are_yaml_to_paste_with_their_outcome() {
    let args = ["validate", "flow.yml", "--rt", "--suggest", "--cores", "3"];
    let ended = Project::new(ARM).dora(&args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let pasted = ended.out.split("# Proposed for 3 cores").nth(1).unwrap_or_else(|| panic!("{}", ended.out));
    for line in [
        "  - id: motor  # 300 us\n    cpu_affinity: [1]\n    rt: { policy: fifo, priority: 80 }\n",
        "  - id: sensor  # 1 ms\n    cpu_affinity: [1]\n    rt: { policy: fifo, priority: 70 }\n",
        "# ✔ chain `arm`",
    ] {
        assert!(pasted.contains(line), "no `{line}` in {pasted}");
    }
    assert!(!pasted.contains("logger"), "nothing real-time is asked of it: {pasted}");
}

#[test]
fn flags_of_the_analysis_need_rt_and_a_readable_profile() {
    let project = Project::new(ARM);
    for flags in [
        &["--suggest"][..],
        &["--rt", "--cores", "2"],
        &["--rt", "--suggest", "--cores", "0"],
        &["--hop", "1us"],
    ] {
        let ended = project.dora(&[&["validate", "flow.yml"], flags].concat());
        assert_eq!(ended.code, Some(2), "{flags:?}: {ended:?}");
    }
    fs::write(project.path("other.json"), "{}").expect("written");
    for (file, why) in
        [("missing.json", "No such file"), ("other.json", "not a file of `dora run --profile`")]
    {
        let ended = project.dora(&["validate", "flow.yml", "--rt", "--profile", file]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(file) && ended.err.contains(why), "{}", ended.err);
    }
}

#[test]
fn a_run_writes_the_profile_that_the_analysis_reads() {
    let project = Project::new("nodes:\n  - id: talker\n    path: shell\n    args: echo hello\n");
    let ended = project.dora(&["run", "flow.yml", "--allow-shell-nodes", "--profile", "times.json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = fs::read_to_string(project.path("times.json")).expect("it was written");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(
        (&json["version"], &json["dataflow"], &json["rt"]),
        (&1.into(), &"flow".into(), &"off".into())
    );
    assert!(json["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{json}");
    assert_eq!(json["nodes"]["talker"]["events"], 0, "a shell handles nothing: {json}");
    let ended = project.dora(&["validate", "flow.yml", "--rt", "--profile", "times.json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("measured without `--rt`"), "{}", ended.out);
    let ended = project.dora(&["run", "flow.yml", "--allow-shell-nodes", "--profile", "no/such/folder.json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no/such/folder.json"), "{}", ended.err);
}
