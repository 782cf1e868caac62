//! The dataflow as a user runs it.

#[path = "../../support/dora.rs"]
mod dora;

#[test]
fn warnings_and_errors_come_at_both_outputs_and_everything_else_at_one() {
    let sink = env!("CARGO_BIN_EXE_log-sink-alert");
    let run = dora::run(env!("CARGO_MANIFEST_DIR"), sink, "log-sink-alert", &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let paged: Vec<&str> = run
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("pager: ALERT ["))
        // Behind the time.
        .filter_map(|line| line.split_once(']').map(|(_, rest)| rest))
        .collect();
    assert_eq!(
        paged,
        [
            "[WARN][battery] charge is 19 %",
            "[WARN][battery] charge is 5 %",
            "[ERROR][battery] battery is empty"
        ]
    );
    // 50 entries of the log, and a plain line.
    assert_eq!(run.line("sink", "51 "), Some("sink: 51 messages, 3 of them alerts, 0 lost"), "{run:#?}");
    let edge = run.row("edges", "to", "sink/battery");
    assert_eq!(edge["sent"], edge["taken"], "{edge}");
    assert_eq!(run.line("pager", "3 "), Some("pager: 3 alerts among 51 messages"), "{run:#?}");
}
