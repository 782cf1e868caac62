//! The dataflow as a user runs it, compared with `expected.txt`.

#[path = "../../support/dora.rs"]
mod dora;

#[test]
fn hundred_numbers_go_through_and_every_expected_line_is_printed() {
    let run = dora::run(env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_rust-node"), "rust-dataflow", &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    for expected in include_str!("../expected.txt").lines() {
        assert!(run.lines.iter().any(|line| line == expected), "`{expected}` is missing: {run:#?}");
    }
    for (to, least) in [("rust-status-node/random", 100), ("rust-sink/message", 1)] {
        let edge = run.row("edges", "to", to);
        assert!(edge["taken"].as_u64() >= Some(least), "{edge}");
        assert_eq!(edge["taken"], edge["sent"], "nothing is lost: {edge}");
    }
    assert!(run.line("rust-sink", "sink received: number ").is_some(), "{run:#?}");
}
