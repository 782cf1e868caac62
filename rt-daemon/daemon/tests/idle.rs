//! A dataflow in which nothing happens costs nothing: the daemon's threads are not woken once.

mod support;

use std::{sync::mpsc, time::Duration};

use dora_daemon::{
    control::Control,
    options::{RtMode, RunEvent, RunOptions},
};
use support::{NodeExt, ROLE, node as role, node::TestNode};

/// Not a test of its own: the entry of the processes that the test below starts.
#[test]
fn plays_its_role() {
    if std::env::var(ROLE).is_ok() {
        let (node, _) = TestNode::connect();
        println!("running");
        node.print_frames(|text| text == "stop");
        std::process::exit(0);
    }
}

fn voluntary_switches(tid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// Threads of this process with the name of the daemon's real-time thread.
fn watching_threads() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_one = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == "dora-rt")
    };
    tasks.filter(is_one).map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn an_idle_dataflow_causes_no_wake_ups() {
    // One after the other: the threads of the second would be seen in the first.
    wake_ups_of(RtMode::Off, 0);
    wake_ups_of(RtMode::BestEffort, 1);
}

fn wake_ups_of(rt: RtMode, watching: usize) {
    let (lines, running) = mpsc::channel();
    let (stop, stops) = tokio::sync::mpsc::unbounded_channel();
    let daemon = std::thread::spawn(move || {
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let folder = tempfile::tempdir().unwrap();
        let nodes = vec![role("a", "idle").output("o"), role("b", "idle").reads("i", 0, 0)];
        let flow = support::dataflow(nodes, folder.path());
        let (sender, mut events) = tokio::sync::mpsc::channel(100);
        // Far away, so it arms a timer that must not tick.
        let options = RunOptions { stop_after: Some(Duration::from_secs(1000)), rt, ..support::patient() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let run = dora_daemon::run(flow, options, stops, sender);
            tokio::pin!(run);
            loop {
                tokio::select! {
                    result = &mut run => return result.unwrap(),
                    Some(event) = events.recv() => {
                        if let RunEvent::Log { message, .. } = event && message.message == "running" {
                            lines.send(tid).unwrap();
                        }
                    }
                }
            }
        })
    });
    let tid = running.recv().unwrap();
    running.recv().unwrap();
    // The last lines are still to be written to the log files, which takes up to a second.
    std::thread::sleep(Duration::from_millis(1500));
    let mut threads = watching_threads();
    assert_eq!(threads.len(), watching);
    threads.push(tid);
    let count = || threads.iter().map(|tid| voluntary_switches(*tid)).sum::<u64>();
    let before = count();
    std::thread::sleep(Duration::from_millis(500));
    let woken = count() - before;
    stop.send(Control::Stop { grace: None }).unwrap();
    let report = daemon.join().unwrap();
    assert_eq!((woken, report.failure()), (0, None));
}
