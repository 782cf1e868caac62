//! Nodes that no daemon started join a running dataflow by their name.
//!
//! Where the daemon listens is said by the environment of the process, so each test runs in a process of its own: this binary
//! again, for the one test that plays the part.

mod support;

use std::{
    os::{fd::AsFd, unix::net::UnixListener},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use dora_node_api::{
    DoraNode, Event, MetadataParameters, StopCause,
    rt::{self, RtNode},
};
use dora_protocol::{
    local_socket,
    node_link::{ToDaemon, ToNode},
};
use support::{Edge, Node, hear, say, wire};

const PART: &str = "DORA_ATTACH_PART";
const PORT: &str = "4711";

/// Plays the part in a process with a runtime folder of its own.
fn act(part: &str) {
    let folder = std::env::temp_dir().join(format!("dora-attach-{}-{part}", std::process::id()));
    std::fs::create_dir_all(folder.join("dora")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "plays_a_part", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env(local_socket::ENV_RUNTIME_DIR, &folder)
        .env(local_socket::ENV_PORT, PORT)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

/// The other process; no test of its own.
#[test]
fn plays_a_part() {
    match std::env::var(PART).as_deref() {
        Ok("attach twice") => attach_twice(),
        Ok("refused") => refused(),
        Ok("daemon dies") => daemon_dies(),
        Ok(other) => panic!("no part {other}"),
        Err(_) => {}
    }
}

fn listen() -> UnixListener {
    let folder = std::env::var_os(local_socket::ENV_RUNTIME_DIR).map(PathBuf::from);
    let uid = rustix::process::getuid().as_raw();
    UnixListener::bind(local_socket::path(folder.as_deref(), uid, PORT.parse().unwrap())).unwrap()
}

/// A node `late` that reads what it sends.
fn late() -> Node {
    let mut node = Node::new("late");
    let mut reader = Node::again("late", &node.fds.clone());
    wire(&mut node, "out", &mut reader, "in", Edge::default());
    let moved = node.fds.len() as u32 - 3;
    let mut input = reader.setup.inputs.remove(0);
    if let dora_protocol::node_link::InputSource::Edges { edges } = &mut input.source {
        edges[0].edge += moved;
        edges[0].arena += moved;
    }
    node.fds.extend(reader.fds.drain(3..));
    node.setup.inputs.push(input);
    node.place(1, 1);
    node
}

/// Accepts one node and lets it in; what it says after that, until it hangs up.
fn serve(listener: &UnixListener) -> Vec<ToDaemon> {
    let (socket, _) = listener.accept().unwrap();
    let Some(ToDaemon::Attach { node_id, dataflow_id: None }) = hear(socket.as_fd()) else { panic!() };
    assert_eq!(node_id.as_str(), "late");
    late().greet(&socket, 1);
    std::iter::from_fn(|| hear(socket.as_fd())).collect()
}

fn attach_twice() {
    let listener = listen();
    let daemon = std::thread::spawn(move || (0..3).map(|_| serve(&listener)).collect::<Vec<_>>());
    for n in 0..2u64 {
        let (mut node, mut events) = DoraNode::init_from_node_id("late".parse().unwrap()).unwrap();
        node.send_output("out".into(), MetadataParameters::new(), vec![n; 100]).unwrap();
        let Some(Event::Input { data, .. }) = events.recv() else { panic!() };
        drop((node, events));
        assert_eq!(dora_node_api::into_vec::<u64>(&data).unwrap(), [n; 100], "what it got outlives the node");
    }
    let mut node = RtNode::init_from_node_id("late".parse().unwrap()).unwrap();
    let out = node.output::<u8>("out", 1).unwrap();
    node.send(&out, &[1]).unwrap();
    assert!(matches!(node.wait(), rt::Event::Input(_)));
    drop(node);
    for said in daemon.join().unwrap() {
        assert!(matches!(said.last(), Some(ToDaemon::Done)), "{said:?}");
    }
}

fn refused() {
    let late =
        || DoraNode::builder().node_id("late".parse().unwrap()).build().map(drop).unwrap_err().to_string();
    let text = late();
    assert!(text.contains("no daemon listens") && text.contains(PORT) && text.contains("`late`"), "{text}");
    let listener = listen();
    let daemon = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        hear(socket.as_fd());
        say(socket.as_fd(), &ToNode::Refused { reason: "the places that are free are `a`, `b`".into() }, &[]);
        // Dropped with the listener: the next one finds a socket that nobody listens on.
        hear(socket.as_fd());
    });
    let text = late();
    assert!(text.contains("`a`, `b`"), "{text}");
    daemon.join().unwrap();
    let text = late();
    assert!(text.contains("no daemon listens"), "{text}");
}

fn daemon_dies() {
    let listener = listen();
    let daemon = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        hear(socket.as_fd());
        self::late().greet(&socket, 1);
    });
    let (node, mut events) = DoraNode::init_flexible("late".parse().unwrap()).unwrap();
    daemon.join().unwrap();
    assert!(matches!(events.recv(), Some(Event::Stop(StopCause::Manual))));
    assert!(events.recv().is_none());
    // A process that a daemon started would be ended after five seconds. This one belongs to somebody else.
    std::thread::sleep(Duration::from_secs(6));
    drop((node, events));
}

#[test]
fn a_node_joins_leaves_and_joins_again_in_one_process() {
    act("attach twice");
}

#[test]
fn a_daemon_that_is_not_there_or_refuses_is_an_error_that_says_why() {
    act("refused");
}

#[test]
fn a_process_that_no_daemon_started_outlives_the_daemon() {
    act("daemon dies");
}
