//! `dora build` with real repositories, a real HTTP server and real processes.

#[path = "../cli/support.rs"]
mod support;

mod downloads;
mod lines;
mod lockfile;
mod repository;
mod sources;
mod uv;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Nothing here takes so long, however busy the machine is.
const HUNG: Duration = Duration::from_secs(120);

/// Waits until `true`; `what` is the sentence when it never comes.
#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < HUNG, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A text file, or nothing while there is none.
fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A process that is there and no zombie.
fn lives(pid: &str) -> bool {
    let stat = text(format!("/proc/{}/stat", pid.trim()));
    !stat.is_empty() && !stat.contains(") Z ")
}
