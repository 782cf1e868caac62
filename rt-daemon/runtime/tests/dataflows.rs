//! Operators in dataflows that the real `dora` runs.

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use support::{built, run};

/// One operator with one input, fed by a timer.
fn single(input: &str) -> String {
    format!(
        "  - id: rt\n    operators:\n      - id: culprit\n        shared-library: LIBRARY\n        \
         inputs: {{ {input}: dora/timer/millis/5 }}\n        outputs: [out]\n"
    )
}

#[test]
fn what_one_operator_sends_reaches_the_next_in_the_same_buffer() {
    let ended = run("  - id: rt
    operators:
      - { id: a, shared-library: LIBRARY, inputs: { large: dora/timer/millis/20 }, outputs: [out] }
      - { id: b, shared-library: LIBRARY, inputs: { compare: rt/a/out } }
");
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.has("says: 4194304 bytes, the same buffer");
}

#[test]
fn outputs_reach_another_runtime_through_shared_memory_with_their_metadata() {
    let ended = run("  - id: first
    operators:
      - { id: a, shared-library: LIBRARY, inputs: { large: dora/timer/millis/20 }, outputs: [out] }
      - { id: b, shared-library: LIBRARY, inputs: { echo: first/a/out }, outputs: [out] }
  - id: second
    operator: { shared-library: LIBRARY, inputs: { compare: first/b/out } }
");
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.has("says: 4194304 bytes, a copy");
}

#[test]
fn an_operator_that_is_done_closes_its_outputs_and_the_last_one_ends_the_process() {
    let ended = run("  - id: rt
    operators:
      - { id: a, shared-library: LIBRARY, inputs: { three: dora/timer/millis/5 }, outputs: [out] }
      - { id: b, shared-library: LIBRARY, inputs: { echo: rt/a/out }, outputs: [out] }
");
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.has("says: closed echo after 3 events");
    ended.has("says: stop after 3 events");
    let ended = run(&single("three"));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(!ended.text.contains("stop after"), "the process did not end by itself:\n{}", ended.text);
}

#[test]
fn stop_all_stops_every_node_of_the_dataflow() {
    let ended = run(&format!(
        "{}  - id: other\n    operator: {{ shared-library: LIBRARY, inputs: {{ echo: dora/timer/millis/5 }} }}\n",
        single("end")
    ));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.has("operator `culprit` of node `rt` asked for it");
    ended.has("says: stop after");
}

#[test]
fn an_operator_that_crashes_is_named_with_its_signal_and_takes_its_process_only() {
    let ended = run(&format!(
        "{}  - id: other\n    operator: {{ shared-library: LIBRARY, inputs: {{ echo: rt/culprit/out, three: dora/timer/millis/100 }} }}\n",
        single("crash")
    ));
    assert_ne!(ended.code, Some(0), "{}", ended.text);
    ended.has("operator `culprit` of runtime `rt` was ended by SIGSEGV");
    ended.has("ended by signal SIGSEGV");
    ended.has("says: closed echo after");
}

#[test]
fn an_operator_that_fails_or_panics_is_named_with_its_words() {
    for (input, words) in [("fail", "this is how it fails"), ("panic", "this is how it panics")] {
        let ended = run(&single(input));
        assert_ne!(ended.code, Some(0), "{}", ended.text);
        ended.has("operator `culprit` failed");
        ended.has(words);
    }
}

#[test]
fn an_undeclared_output_is_warned_about_once() {
    let ended = run(&single("undeclared"));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(ended.text.matches("output `nobody` is not declared").count(), 1, "{}", ended.text);
}

#[test]
fn a_library_that_is_missing_or_no_operator_is_named_with_its_place() {
    let ended =
        run("  - id: rt\n    operator: { shared-library: nowhere, inputs: { echo: dora/timer/millis/5 } }\n");
    assert_ne!(ended.code, Some(0), "{}", ended.text);
    ended.has("nowhere");
    ended.has("flow.yml:2:");
    let own = std::env::current_exe().unwrap();
    let no_library = format!(
        "  - id: rt\n    operator: {{ shared-library: {}, inputs: {{ echo: dora/timer/millis/5 }} }}\n",
        own.display()
    );
    let ended = run(&no_library);
    assert_ne!(ended.code, Some(0), "{}", ended.text);
    ended.has("cannot be loaded");
    ended.has("operator `op`");
}

#[test]
fn what_a_process_prints_is_an_output_of_the_operator_that_asks_for_it() {
    let ended = run("  - id: rt
    operators:
      - { id: a, shared-library: LIBRARY, inputs: { three: dora/timer/millis/20 }, outputs: [out] }
      - id: b
        shared-library: LIBRARY
        inputs: { note: rt/a/out, log: rt/a/out }
        outputs: [lines, logs]
        send_stdout_as: lines
        send_logs_as: logs
        min_log_level: warn
  - id: raw
    operator: { shared-library: LIBRARY, inputs: { line: rt/b/lines } }
  - id: structured
    operator: { shared-library: LIBRARY, inputs: { line: rt/b/logs } }
");
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    for number in 1..=3 {
        ended.has(&format!("says: got says: heard {number}"));
    }
    let said = |node: &str| -> Vec<&str> {
        ended.text.lines().filter(|line| line.contains(node) && line.contains("says: got ")).collect()
    };
    let structured = said("structured: ");
    assert_eq!(structured.len(), 3, "only what is structured, and all of it:\n{}", ended.text);
    assert!(structured.iter().all(|line| line.contains("\"message\":\"event ")), "{structured:?}");
    assert!(!ended.text.contains("rt: says: heard"), "less than `min_log_level` was shown:\n{}", ended.text);
}

#[test]
fn an_operator_behind_a_url_is_downloaded_and_loaded() {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let name = format!("{DLL_PREFIX}operator_for_tests{DLL_SUFFIX}");
    let library = fs::read(built().join(&name)).expect("the library was built");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = BufReader::new(stream.try_clone().expect("a socket")).lines();
            drop(request.map_while(Result::ok).take_while(|line| !line.is_empty()).last());
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", library.len());
            // A client that went away is the client's affair.
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&library)));
        }
    });
    let ended = run(&single("three").replace("LIBRARY", &format!("http://127.0.0.1:{port}/{name}?v=1")));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.has(&format!("downloading http://127.0.0.1:{port}/{name}?v=1"));
}
