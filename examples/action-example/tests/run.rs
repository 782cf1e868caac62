//! The dataflow as a user runs it, compared with `expected.txt`.

#[path = "../../support/dora.rs"]
#[expect(dead_code, reason = "each example uses its part")]
mod dora;

#[test]
fn every_goal_gets_its_feedback_and_one_result_and_can_be_called_off() {
    let run =
        dora::run(env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_action-client"), "action-example", &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    for expected in include_str!("../expected.txt").lines() {
        let times = run.lines.iter().filter(|line| *line == expected).count();
        assert_eq!(times, 1, "`{expected}` was printed {times} times: {run:#?}");
    }
    for (to, sent) in
        [("server/goal-1", 3), ("server/cancel-1", 1), ("server/goal-2", 3), ("server/cancel-2", 1)]
    {
        let edge = run.row("edges", "to", to);
        assert_eq!((edge["sent"].as_u64(), edge["taken"].as_u64()), (Some(sent), Some(sent)), "{edge}");
    }
}
