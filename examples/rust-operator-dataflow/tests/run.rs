//! The dataflow as a user runs it, compared with `expected.txt`.

use std::{path::Path, process::Command};

#[path = "../../support/dora.rs"]
mod dora;

#[test]
fn what_operators_make_of_the_values_reaches_the_sink_and_every_expected_line_is_printed() {
    let node = env!("CARGO_BIN_EXE_operator-sensor");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "-p", "operator-average", "-p", "operator-alarm", "--target-dir"]);
    build.arg(Path::new(node).ancestors().nth(2).expect("target folder"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo starts").success(), "the operators were not built");
    let run = dora::run(env!("CARGO_MANIFEST_DIR"), node, "rust-operator-dataflow", &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    for expected in include_str!("../expected.txt").lines() {
        assert!(run.lines.iter().any(|line| line == expected), "`{expected}` is missing: {run:#?}");
    }
    assert!(run.line("sink", "49 alarms").is_some(), "{run:#?}");
    let edge = run.row("edges", "to", "runtime/average/value");
    assert_eq!((edge["taken"].as_u64(), edge["sent"].as_u64()), (Some(100), Some(100)), "{edge}");
}
