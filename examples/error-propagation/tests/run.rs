//! Each descriptor as a user runs it: what the robot hears, in which order, and how the run ends.

use std::{fs, path::Path};

#[path = "../../support/dora.rs"]
mod dora;

/// Runs one of the descriptors.
fn run(descriptor: &str) -> dora::Run {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{descriptor}-{}", std::process::id()));
    fs::create_dir_all(&copy).expect("the target folder is writable");
    fs::copy(here.join(descriptor), copy.join("dataflow.yml")).expect("the example has this descriptor");
    let copy = copy.to_str().expect("UTF-8 path");
    dora::run(copy, env!("CARGO_BIN_EXE_faulty-sensor"), &format!("run-{descriptor}"), &[])
}

/// As `dataflow.yml`, with another trouble.
fn run_with(trouble: &str) -> dora::Run {
    let text = include_str!("../dataflow.yml").replace("TROUBLE: fails", &format!("TROUBLE: {trouble}"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{trouble}-{}", std::process::id()));
    fs::create_dir_all(&copy).expect("the target folder is writable");
    fs::write(copy.join("dataflow.yml"), text).expect("the target folder is writable");
    let copy = copy.to_str().expect("UTF-8 path");
    dora::run(copy, env!("CARGO_BIN_EXE_faulty-sensor"), &format!("run-{trouble}"), &[])
}

/// What a node said, in its order.
fn of<'run>(run: &'run dora::Run, node: &str) -> Vec<&'run str> {
    let (prefix, about) = (format!("{node}: "), format!("node `{node}` "));
    let lines = run.lines.iter().filter_map(|line| line.strip_prefix(&prefix));
    // What dora says about the node may be among them.
    lines.filter(|line| !line.starts_with(&about)).collect()
}

#[test]
fn readers_of_a_node_that_fails_are_told_first_and_whoever_fails_of_that_is_not_the_culprit() {
    let run = run("dataflow.yml");
    assert_eq!(run.code, Some(1), "{run:#?}");
    let robot = [
        "`sensor` failed: exited with code 1",
        "`reading` is closed",
        "goes on with reading 5",
        "stands still in a safe place",
    ];
    assert_eq!(of(&run, "robot"), robot, "{run:#?}");
    let ended = |node: &str| {
        let row = run.row("nodes", "node", node);
        (row["exit"].as_str().map(str::to_owned), row["caused_by"].as_str().map(str::to_owned))
    };
    let (exit, cause) = (|code: &str| Some(code.to_owned()), |node: &str| Some(node.to_owned()));
    assert_eq!(ended("robot"), (exit("0"), None), "{}", run.report);
    assert_eq!(ended("sensor"), (exit("1"), None), "{}", run.report);
    assert_eq!(ended("plot"), (exit("1"), cause("sensor")), "{}", run.report);
    let error = run.line("plot", "Error: ").expect("it says why it fails");
    assert!(error.contains("`sensor`") && error.contains("exited with code 1"), "{error}");
}

#[test]
fn node_that_is_started_again_closes_nothing_and_its_reader_is_told_each_time() {
    let run = run("restart.yml");
    assert_eq!(run.code, Some(0), "{run:#?}");
    let robot = [
        "`sensor` was started again",
        "`sensor` was started again",
        "`reading` is closed",
        "stops: AllInputsClosed",
    ];
    assert_eq!(of(&run, "robot"), robot, "{run:#?}");
    let sensor = [
        "the lens is dirty",
        "start number 2",
        "the lens is dirty",
        "start number 3",
        "all 10 readings are sent",
    ];
    assert_eq!(of(&run, "sensor"), sensor, "{run:#?}");
    let edge = run.row("edges", "to", "robot/reading");
    // Five of each process that failed, ten of the last: none is lost.
    assert_eq!((edge["sent"].as_u64(), edge["taken"].as_u64()), (Some(20), Some(20)), "{edge}");
}

#[test]
fn input_of_a_silent_node_closes_and_opens_again_with_its_next_message() {
    let run = run("silence.yml");
    assert_eq!(run.code, Some(0), "{run:#?}");
    // On a busy machine it may seem silent at other times, too.
    let said = of(&run, "robot");
    let mut rest = said.iter();
    for expected in [
        "`reading` is closed",
        "goes on with reading 5",
        "`reading` is alive again",
        "`reading` is closed",
        "stops: AllInputsClosed",
    ] {
        assert!(rest.any(|line| *line == expected), "`{expected}` does not come in its turn: {run:#?}");
    }
    assert!(!said.iter().any(|line| line.contains("failed")), "{run:#?}");
}

#[test]
fn error_that_main_returns_is_a_failure_though_the_node_closed_its_outputs_before() {
    let run = run_with("returns an error");
    assert_eq!(run.code, Some(1), "{run:#?}");
    let robot = [
        "`sensor` failed: exited with code 1",
        "`reading` is closed",
        "goes on with reading 5",
        "stands still in a safe place",
    ];
    assert_eq!(of(&run, "robot"), robot, "{run:#?}");
}
