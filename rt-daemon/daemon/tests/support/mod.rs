//! Dataflows of small test nodes. A node is this very test binary, started again with [`ROLE`] in its
//! environment; it speaks the node protocol by hand, so that what is tested is the daemon alone.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its part")]

pub mod drive;
pub mod live;
pub mod node;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use dora_daemon::{
    DaemonError,
    control::Control,
    options::{RunEvent, RunOptions},
    report::{NodeReport, RunReport},
};
use dora_protocol::{
    dataflow::{Dataflow, EnvValue, Input, Location, Node, NodeKind, NodeLog, Output, Restart, Source},
    policy::QueuePolicy,
};
use tokio::sync::mpsc;

/// Says which test node this process is.
pub const ROLE: &str = "DORA_TEST_ROLE";

/// Printed by a test node before its role begins; what comes before is the test harness.
pub const BEGIN: &str = "the role begins";

/// A node that plays `role`.
pub fn node(id: &str, role: &str) -> Node {
    let program = std::env::current_exe().unwrap().display().to_string();
    let args = ["--exact", "plays_its_role", "--nocapture", "--quiet"].map(String::from).to_vec();
    let mut node = program_node(id, &program, args);
    node.env.insert(ROLE.into(), EnvValue::Text(role.into()));
    node
}

/// A node that runs `path`.
pub fn program_node(id: &str, path: &str, args: Vec<String>) -> Node {
    Node {
        id: id.parse().unwrap(),
        at: Location { file: "flow.yml".into(), line: 3, column: 5 },
        kind: NodeKind::Executable { path: path.into(), args },
        git: None,
        path_sha256: None,
        working_dir: None,
        build: Vec::new(),
        env: BTreeMap::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        rt: None,
        cpu_affinity: Vec::new(),
        restart: Restart::default(),
        health_check_timeout: None,
        startup_timeout: None,
        finish_grace: None,
        log: NodeLog { max_rotated: 5, ..NodeLog::default() },
    }
}

pub trait NodeExt: Sized {
    fn output(self, id: &str) -> Self;
    fn reads(self, id: &str, node: u32, output: u32) -> Self;
    fn input(self, id: &str, source: Source) -> Self;
    fn env(self, key: &str, value: &str) -> Self;
}

impl NodeExt for Node {
    fn output(mut self, id: &str) -> Self {
        let at = Location::default();
        self.outputs.push(Output {
            id: id.into(),
            at,
            max_message_bytes: None,
            depth: None,
            arrow_ipc: false,
        });
        self
    }
    fn reads(self, id: &str, node: u32, output: u32) -> Self {
        self.input(id, Source::Output { node, output })
    }
    fn input(mut self, id: &str, source: Source) -> Self {
        self.inputs.push(Input {
            id: id.into(),
            at: Location::default(),
            source,
            more_sources: Vec::new(),
            queue_size: 10,
            policy: QueuePolicy::Backpressure,
            input_timeout: None,
            deadline: None,
            on_miss: Default::default(),
        });
        self
    }
    fn env(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.into(), EnvValue::Text(value.into()));
        self
    }
}

/// What a run left behind.
pub struct Outcome {
    pub result: Result<RunReport, DaemonError>,
    pub events: Vec<RunEvent>,
    pub folder: tempfile::TempDir,
}

impl Outcome {
    pub fn report(&self) -> &RunReport {
        match &self.result {
            Ok(report) => report,
            Err(e) => panic!("the run failed: {e}\n{:#?}", self.events),
        }
    }
    pub fn node(&self, id: &str) -> &NodeReport {
        self.report().nodes.iter().find(|n| n.node == id).unwrap()
    }
    /// What a test node printed, in order.
    pub fn printed(&self, id: &str) -> Vec<String> {
        let line = |event: &RunEvent| match event {
            RunEvent::Log { message, .. }
                if message.node_id.as_deref() == Some(id) && !message.is_lifecycle() =>
            {
                Some(message.message.clone())
            }
            _ => None,
        };
        let mut lines: Vec<_> = self.events.iter().filter_map(line).collect();
        let begin = lines.iter().position(|l| l == BEGIN).map_or(0, |at| at + 1);
        lines.split_off(begin)
    }
    pub fn system(&self) -> Vec<String> {
        let line = |event: &RunEvent| match event {
            RunEvent::System { text, .. } => Some(text.clone()),
            RunEvent::Log { message, .. } if message.is_lifecycle() => Some(message.message.clone()),
            _ => None,
        };
        self.events.iter().filter_map(line).collect()
    }
    /// What dora noted in the log file of a node: level, what, which restart and the sentence.
    pub fn lifecycle(&self, node: &str) -> Vec<String> {
        let file = std::fs::read_to_string(self.log_file(node)).unwrap();
        let lines = file.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        lines
            .filter(|line| line["target"] == "dora")
            .map(|line| {
                assert_eq!((&line["node_id"], line["stream"].is_null()), (&node.into(), true), "{line}");
                let fields = &line["fields"];
                let restart =
                    if fields["restart"].is_null() { &fields["restarts"] } else { &fields["restart"] };
                let number = if restart.is_null() { String::new() } else { format!(" {restart}") };
                let (level, what) = (text(&line["level"]), text(&fields["lifecycle"]));
                format!("{level} {what}{number}: {}", text(&line["message"]))
            })
            .collect()
    }
    pub fn log_file(&self, id: &str) -> PathBuf {
        log_folder(self.folder.path()).join(format!("log_{id}.jsonl"))
    }
}

fn log_folder(base: &Path) -> PathBuf {
    let mut runs: Vec<_> = std::fs::read_dir(base.join("out")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

pub fn dataflow(nodes: Vec<Node>, folder: &Path) -> Dataflow {
    Dataflow {
        name: "flow".into(),
        working_dir: folder.to_owned(),
        nodes,
        chains: Vec::new(),
        exit_when_nodes_finish: false,
        debug_inspection: false,
        descriptor: serde_json::Value::Null,
    }
}

/// What a test does while the dataflow runs.
pub enum Act {
    Nothing,
    /// Sends this when a node has printed that line.
    OnLine(&'static str, fn() -> Control),
    /// Kills the process whose id a node prints as `pid <n>`.
    KillPrinted,
}

/// Runs nodes until they have ended.
pub fn run(nodes: Vec<Node>, options: RunOptions) -> Outcome {
    run_and(nodes, options, Act::Nothing)
}

pub fn run_and(nodes: Vec<Node>, options: RunOptions, act: Act) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let flow = dataflow(nodes, folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (stop, stops) = mpsc::unbounded_channel();
    let (sender, mut receiver) = mpsc::channel(1024);
    let mut events = Vec::new();
    let result = runtime.block_on(async {
        let run = dora_daemon::run(flow, options, stops, sender);
        tokio::pin!(run);
        let result = loop {
            tokio::select! {
                result = &mut run => break result,
                Some(event) = receiver.recv() => {
                    react(&act, &event, &stop);
                    events.push(event);
                }
            }
        };
        while let Ok(event) = receiver.try_recv() {
            events.push(event);
        }
        result
    });
    Outcome { result, events, folder }
}

fn react(act: &Act, event: &RunEvent, stop: &mpsc::UnboundedSender<Control>) {
    let RunEvent::Log { message, .. } = event else { return };
    match act {
        Act::Nothing => {}
        Act::OnLine(line, request) => {
            if message.message == *line {
                stop.send(request()).unwrap();
            }
        }
        Act::KillPrinted => {
            if let Some(pid) = message.message.strip_prefix("pid ") {
                let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        }
    }
}

/// A grace so long that a test which depends on it being over would not end.
pub fn patient() -> RunOptions {
    RunOptions { grace: Duration::from_secs(100), ..RunOptions::default() }
}

pub fn hasty() -> RunOptions {
    RunOptions { grace: Duration::from_millis(200), ..RunOptions::default() }
}

/// Waits for a process to end; `false` after half a minute, so that a failing test ends, too.
pub fn ends(pidfd: &std::os::fd::OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let timeout = rustix::time::Timespec { tv_sec: 30, tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}
