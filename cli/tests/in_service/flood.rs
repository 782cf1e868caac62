//! A node that prints without pause is in nobody's way.

use std::{
    io::{BufRead, BufReader, Write},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use dora_node_api::{DoraNode, Event};

use crate::{
    node as role,
    pair::{Pair, SAYS, wait},
};

/// Prints as fast as it can, and ends when it is told to.
pub(crate) fn node() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    thread::spawn(|| {
        let lines = "y\n".repeat(32 << 10);
        while std::io::stdout().write_all(lines.as_bytes()).is_ok() {}
    });
    while !matches!(events.recv(), Some(Event::Stop(_)) | None) {}
    // The other thread never ends, and the harness would wait for its stdout.
    std::process::exit(0)
}

/// Takes a tick each millisecond; says each second how late the latest of them was.
pub(crate) fn punctual() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let (mut last, mut worst, mut ticks) = (Instant::now(), Duration::ZERO, 0_u64);
    loop {
        match events.recv() {
            Some(Event::Input { .. }) => {
                worst = worst.max(last.elapsed());
                last = Instant::now();
                ticks += 1;
                if ticks.is_multiple_of(1000) {
                    println!("\n{SAYS}{ticks} ticks, at most {} us between two", worst.as_micros());
                    worst = Duration::ZERO;
                }
            }
            Some(Event::Stop(_)) | None => return Ok(()),
            Some(_) => {}
        }
    }
}

fn flood() -> String {
    let log = "    max_log_size: 1MB\n    max_rotated_files: 1\n";
    let punctual = "    inputs: { tick: dora/timer/millis/1 }\n";
    format!("nodes:\n{}{}", role("flood", "flood", log), role("punctual", "punctual", punctual))
}

#[test]
fn who_floods_its_log_holds_up_neither_lines_of_others_nor_commands() {
    let pair = Pair::up(&flood());
    pair.good(&["start", "flow.yml", "--name", "noisy", "--detach"]);
    // Its lines come while those of its neighbour do.
    let (tell, told) = mpsc::channel();
    let mut follower = pair.spawn(&["logs", "noisy", "--follow"]);
    let (out, err) = (follower.stdout.take().expect("piped"), follower.stderr.take().expect("piped"));
    let errors = thread::spawn(move || std::io::read_to_string(err));
    thread::spawn(move || {
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        tell.send(lines.any(|line| line.ends_with(": y"))).unwrap_or_default();
        // A reader that goes on, as a terminal does.
        lines.for_each(drop);
    });
    assert!(told.recv_timeout(crate::pair::PATIENCE).is_ok_and(|seen| seen), "nothing of the flood is shown");
    wait("two seconds of ticks", || {
        pair.good(&["logs", "noisy", "punctual"]).contains(&format!("{SAYS}2000 ticks"))
    });
    pair.good(&["param", "set", "punctual", "gain", "1"]);
    pair.good(&["stop", "noisy"]);
    let status = follower.wait().expect("it ends with the dataflow");
    let err = errors.join().expect("what is on stderr").expect("it is text");
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains(" lines are missing here"), "what is not shown is counted: {err}");
}
