//! The dataflow as a user runs it, compared with `expected.txt`; also when the server dies on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

#[path = "../../support/dora.rs"]
mod dora;

#[test]
fn every_request_gets_one_response_and_each_client_takes_its_own() {
    let run =
        dora::run(env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_service-client"), "service-example", &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    for expected in include_str!("../expected.txt").lines() {
        let times = run.lines.iter().filter(|line| *line == expected).count();
        assert_eq!(times, 1, "`{expected}` was printed {times} times: {run:#?}");
    }
    for to in ["server/request-1", "server/request-2"] {
        let edge = run.row("edges", "to", to);
        assert_eq!((edge["sent"].as_u64(), edge["taken"].as_u64()), (Some(5), Some(5)), "{edge}");
    }
    for to in ["client-1/response", "client-2/response"] {
        let edge = run.row("edges", "to", to);
        assert!(edge["taken"].as_u64() >= Some(5), "its own, and those of the other while it runs: {edge}");
    }
}

/// Everything the clients have said so far; `name` is that of the run.
fn said(folder: &Path) -> String {
    let runs = fs::read_dir(folder.join("out")).into_iter().flatten().flatten();
    let logs = runs
        .flat_map(|run| ["client-1", "client-2"].map(|node| run.path().join(format!("log_{node}.jsonl"))));
    logs.map(|log| fs::read_to_string(log).unwrap_or_default()).collect()
}

/// The process of the server of the run in this folder.
fn server(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    let is_it = |process: &PathBuf| {
        let program = fs::read_link(process.join("exe")).unwrap_or_default();
        let here = fs::read_link(process.join("cwd")).unwrap_or_default();
        program.file_name().is_some_and(|name| name == "service-server") && here == folder
    };
    let process = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()).find(is_it)?;
    Some(process.file_name()?.to_str()?.to_owned())
}

#[test]
fn clients_ask_on_when_the_server_is_killed_and_started_again() {
    let name = "service-killed";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    // A build that is needed takes its time before the clock below runs.
    dora::dora(Path::new(env!("CARGO_BIN_EXE_service-client")).parent().expect("a binary lies in a folder"));
    let killer = thread::spawn(move || {
        let begin = Instant::now();
        // Both have waited for their first response, and have others before them.
        while ["1 + 10 = 11", "1 + 100 = 101"].iter().any(|line| !said(&folder).contains(line)) {
            assert!(begin.elapsed() < Duration::from_secs(60), "the clients said: {}", said(&folder));
            thread::sleep(Duration::from_millis(20));
        }
        let server = server(&folder).expect("the server runs");
        assert!(Command::new("kill").args(["-KILL", &server]).status().expect("kill").success());
    });
    let run = dora::run(env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_service-client"), name, &[]);
    killer.join().unwrap_or_else(|_| panic!("{run:#?}"));
    assert_eq!(run.code, Some(0), "{run:#?}");
    for client in ["client-1", "client-2"] {
        assert!(run.line(client, "the server is new, ").is_some(), "{run:#?}");
    }
    for expected in include_str!("../expected.txt").lines() {
        assert!(run.lines.iter().any(|line| line == expected), "`{expected}` is missing: {run:#?}");
    }
}
