//! The dataflow as a user runs it.

#[path = "../../support/dora.rs"]
mod dora;

#[test]
fn every_line_of_all_nodes_is_counted_and_a_restart_stands_between_what_was_before_and_after() {
    let aggregator = env!("CARGO_BIN_EXE_log-aggregator");
    let run = dora::run(env!("CARGO_MANIFEST_DIR"), aggregator, "log-aggregator", &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let edge = run.row("edges", "to", "aggregator/logs");
    assert_eq!(edge["sent"], edge["taken"], "{edge}");
    assert!(run.line("aggregator", "2 nodes, ").is_some(), "{run:#?}");
    // left: 40 steps, a warning, a plain line. right: half of it and an error, the restart, then all of it.
    let table: Vec<&str> = run.lines.iter().filter_map(|line| line.strip_prefix("aggregator: ")).collect();
    for row in [
        "2 nodes, 108 messages: 1 errors, 4 warnings; 0 lost",
        "node          error   warn   info  debug  trace stdout",
        "left              0      1     40      0      0      1",
        "right             1      3     60      0      0      2",
    ] {
        assert!(table.contains(&row), "`{row}` is missing: {table:#?}");
    }
    let right: Vec<&str> =
        table.iter().filter_map(|line| line.split_once(" right ").map(|(_, said)| said)).collect();
    let expected = [
        "WARN: half of the steps are done",
        "ERROR: the gripper is stuck",
        "WARN: node `right` exited with code 3; starting it again (restart 1)",
        "WARN: half of the steps are done",
    ];
    assert_eq!(right, expected, "{run:#?}");
}
