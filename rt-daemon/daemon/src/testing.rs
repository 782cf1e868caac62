//! Small dataflows for the unit tests of this crate.

use std::{collections::BTreeMap, path::PathBuf};

use dora_protocol::{
    dataflow::{Dataflow, Input, Location, Node, NodeKind, NodeLog, Output, Restart, Source},
    policy::QueuePolicy,
};

pub(crate) fn node(id: &str, path: &str) -> Node {
    Node {
        id: id.parse().unwrap(),
        at: Location { file: "flow.yml".into(), line: 3, column: 5 },
        kind: NodeKind::Executable { path: path.into(), args: Vec::new() },
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

pub(crate) fn output(id: &str) -> Output {
    Output { id: id.into(), at: Location::default(), max_message_bytes: None, depth: None, arrow_ipc: false }
}

pub(crate) fn input(id: &str, source: Source) -> Input {
    Input {
        id: id.into(),
        at: Location::default(),
        source,
        more_sources: Vec::new(),
        queue_size: 10,
        policy: QueuePolicy::DropOldest,
        input_timeout: None,
        deadline: None,
        on_miss: Default::default(),
    }
}

pub(crate) fn dataflow(nodes: Vec<Node>) -> Dataflow {
    Dataflow {
        name: "flow".into(),
        working_dir: PathBuf::from("."),
        nodes,
        chains: Vec::new(),
        exit_when_nodes_finish: false,
        debug_inspection: false,
        descriptor: serde_json::Value::Null,
    }
}

/// Node 0 has an output that node 1 and, with backpressure, node 2 read, and one that nobody reads.
pub(crate) fn camera_and_two_readers() -> Dataflow {
    let mut camera = node("camera", "x");
    camera.outputs = vec![output("image"), output("unread")];
    let mut a = node("a", "x");
    a.inputs = vec![
        input("tick", Source::Timer { period_ns: 7 }),
        input("image", Source::Output { node: 0, output: 0 }),
    ];
    let mut b = node("b", "x");
    b.inputs = vec![input("image", Source::Output { node: 0, output: 0 })];
    b.inputs[0].policy = QueuePolicy::Backpressure;
    dataflow(vec![camera, a, b])
}
