//! Runtimes whose operator crashes, under a restart policy.

mod support;

use support::{Ended, run};

/// `source` sends the numbers from 1 to 12, `culprit` passes on what cannot be divided by three and crashes at what can,
/// `reader` notes what arrives. Nothing is dropped for want of room while a process is started.
fn crashing_at_thirds(policy: &str) -> Ended {
    run(&format!(
        "  - id: source
    operator: {{ shared-library: LIBRARY, inputs: {{ twelve: dora/timer/millis/5 }}, outputs: [out] }}
  - id: rt
    {policy}
    operators:
      - id: culprit
        shared-library: LIBRARY
        inputs: {{ thirds_crash: {{ source: source/out, queue_size: 20, queue_policy: backpressure }} }}
        outputs: [out]
  - id: reader
    operator:
      shared-library: LIBRARY
      inputs: {{ note: {{ source: rt/culprit/out, queue_size: 20, queue_policy: backpressure }} }}
"
    ))
}

/// The numbers that arrived, in their order.
fn heard(ended: &Ended) -> Vec<u32> {
    let number = |line: &str| line.split_once("says: heard ")?.1.trim().parse().ok();
    ended.text.lines().filter_map(number).collect()
}

/// Operator and signal were named so often in the log. The report at the end cites the last words once more, after a bar.
#[track_caller]
fn crashed(ended: &Ended, times: usize) {
    let log = ended.text.lines().filter(|line| !line.trim_start().starts_with('|'));
    let named =
        log.filter(|line| line.contains("operator `culprit` of runtime `rt` was ended by SIGSEGV")).count();
    assert_eq!(named, times, "operator and signal are named once for each crash:\n{}", ended.text);
}

#[test]
fn an_operator_that_crashes_is_started_again_and_goes_on_where_its_input_stood() {
    let ended = crashing_at_thirds("restart_policy: on-failure");
    assert_eq!(heard(&ended), [1, 2, 4, 5, 7, 8, 10, 11], "{}", ended.text);
    crashed(&ended, 4);
    for restart in 1..=4 {
        ended.has(&format!("node `rt` ended by signal SIGSEGV; starting it again (restart {restart})"));
    }
    ended.has("says: closed note after 8 events");
    assert_eq!(ended.code, Some(0), "the last process of every node ended well:\n{}", ended.text);
}

#[test]
fn an_operator_that_crashes_too_often_is_given_up_and_its_reader_learns_that_it_is_gone() {
    let ended = crashing_at_thirds("restart_policy: on-failure\n    max_restarts: 2");
    assert_eq!(heard(&ended), [1, 2, 4, 5, 7, 8], "{}", ended.text);
    crashed(&ended, 3);
    ended.has("starting it again (restart 2)");
    assert!(!ended.text.contains("(restart 3)"), "two restarts were allowed:\n{}", ended.text);
    ended.has("ended by signal SIGSEGV; not started again after 2 restarts (max_restarts)");
    ended.has("says: closed note after 6 events");
    assert_eq!(ended.code, Some(1), "{}", ended.text);
}
