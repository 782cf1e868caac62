//! A daemon in miniature: makes the shared memory, speaks the handshake, and says what a test tells it to say.
//!
//! Every node joins alone: there is no barrier, so that one thread can be all nodes of a test.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    sync::Arc,
};

use dora_node_api::{NodeResult, rt::RtNode};
use dora_protocol::{
    node_link::{
        InputSource, InputWiring, MAX_FDS, MAX_FRAME, NodeEnv, NodeRunConfig, OutputEdge, OutputWiring,
        Setup, ToDaemon, ToNode, VERSION,
    },
    policy::QueuePolicy,
    rt::WaitPolicy,
};
use lockfree_ipc::{ArenaSpec, EdgeSpec, Policy, StatusView, arena, doorbell, edge, fdpass, status};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// One node of the dataflow under test.
pub(crate) struct Node {
    pub(crate) setup: Setup,
    /// What rides with the setup; other indices of the wiring point into it.
    pub(crate) fds: Vec<Arc<OwnedFd>>,
    pub(crate) version: u32,
}

/// How an edge behaves.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) queue_size: u32,
    pub(crate) policy: QueuePolicy,
    pub(crate) timeout_ns: Option<u64>,
    pub(crate) deadline_ns: Option<u64>,
}

impl Default for Edge {
    fn default() -> Self {
        Self { queue_size: 10, policy: QueuePolicy::DropOldest, timeout_ns: None, deadline_ns: None }
    }
}

impl Node {
    pub(crate) fn new(name: &str) -> Self {
        let fds = [doorbell::create(), doorbell::create_eventfd(), status::create(0, 0)];
        let run = NodeRunConfig {
            dataflow_id: Default::default(),
            node_id: name.parse().unwrap(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            restart_count: 0,
        };
        let setup = Setup {
            chains: Vec::new(),
            attention: None,
            run,
            doorbell: 0,
            eventfd: 1,
            status: 2,
            inputs: Vec::new(),
            outputs: Vec::new(),
            exit_when_nodes_finish: false,
            rt: None,
            wait: WaitPolicy::Park,
            descriptor: serde_json::Value::Null,
        };
        Self { setup, fds: fds.map(|fd| Arc::new(fd.unwrap())).into(), version: VERSION }
    }

    pub(crate) fn add(&mut self, fd: Arc<OwnedFd>) -> u32 {
        self.fds.push(fd);
        self.fds.len() as u32 - 1
    }

    fn input(&mut self, name: &str, source: InputSource, edge: Edge) {
        self.setup.inputs.push(InputWiring {
            id: name.into(),
            source,
            queue_size: edge.queue_size,
            policy: edge.policy,
            input_timeout_ns: edge.timeout_ns,
            deadline_ns: edge.deadline_ns,
            on_miss: Default::default(),
        });
    }

    pub(crate) fn timer(mut self, name: &str, period_ns: u64) -> Self {
        self.input(name, InputSource::Timer { period_ns }, Edge::default());
        self
    }

    pub(crate) fn wait(mut self, wait: WaitPolicy) -> Self {
        self.setup.wait = wait;
        self
    }
}

/// Wires an output with one reader.
pub(crate) fn wire(sender: &mut Node, output: &str, reader: &mut Node, input: &str, how: Edge) {
    let limit = how.policy.ring_limit(how.queue_size);
    let policy = match how.policy {
        QueuePolicy::DropOldest => Policy::DropOldest,
        QueuePolicy::Backpressure => Policy::Backpressure,
    };
    let outstanding = EdgeSpec::storage(limit, policy) + lockfree_ipc::MAX_HELD + 8;
    let spec = ArenaSpec { outstanding, ..Default::default() };
    let fds = arena::create(&spec, [7; 16]).unwrap();
    let segment = Arc::new(edge::create(&EdgeSpec { limit, policy, arena: spec }).unwrap());
    let out = OutputEdge {
        number: 0,
        receiver: reader.setup.run.node_id.clone(),
        input: input.into(),
        edge: sender.add(segment.clone()),
        doorbell: sender.add(reader.fds[0].clone()),
        eventfd: sender.add(reader.fds[1].clone()),
    };
    let arena_write = sender.add(Arc::new(fds.write));
    sender.setup.outputs.push(OutputWiring {
        origins: None,
        id: output.into(),
        arena: arena_write,
        max_message_bytes: None,
        depth: None,
        edges: vec![out],
    });
    let (edge, arena) = (reader.add(segment), reader.add(Arc::new(fds.read)));
    let from = Some(sender.setup.run.node_id.clone());
    reader.input(input, InputSource::Edge { sender: from, edge, arena }, how);
}

/// The daemon's end of a node that was started.
pub(crate) struct Daemon {
    pub(crate) socket: OwnedFd,
    pub(crate) status: StatusView,
}

impl Daemon {
    pub(crate) fn say(&self, message: &ToNode) {
        say(self.socket.as_fd(), message, &[]);
    }

    pub(crate) fn hear(&self) -> Option<ToDaemon> {
        hear(self.socket.as_fd())
    }
}

fn say(socket: BorrowedFd<'_>, message: &ToNode, fds: &[BorrowedFd<'_>]) {
    fdpass::send_frame(socket, &serde_json::to_vec(message).unwrap(), fds).unwrap();
}

fn hear(socket: BorrowedFd<'_>) -> Option<ToDaemon> {
    let (body, _) = fdpass::recv_frame(socket, MAX_FRAME, MAX_FDS).unwrap()?;
    Some(serde_json::from_slice(&body).unwrap())
}

impl Node {
    /// Starts the node: this thread is the node, another one the daemon during the handshake.
    pub(crate) fn join(self, epoch_ns: u64) -> (RtNode, Daemon) {
        let (node, daemon) = self.try_join(epoch_ns);
        (node.unwrap(), daemon)
    }

    pub(crate) fn try_join(mut self, epoch_ns: u64) -> (NodeResult<RtNode>, Daemon) {
        let ports = (self.setup.inputs.len() as u32, self.setup.outputs.len() as u32);
        self.fds[2] = Arc::new(status::create(ports.0, ports.1).unwrap());
        let status = StatusView::open(self.fds[2].as_fd()).unwrap();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
        let env = NodeEnv {
            version: self.version,
            dataflow_id: Default::default(),
            node_id: self.setup.run.node_id.clone(),
            socket_fd: theirs.into_raw_fd(),
        };
        let daemon = std::thread::spawn(move || {
            let Some(ToDaemon::Hello { version: VERSION, .. }) = hear(ours.as_fd()) else { return ours };
            // Two frames, as when the descriptors are many.
            let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(|fd| fd.as_fd()).collect();
            say(ours.as_fd(), &ToNode::Descriptors, &fds[..1]);
            say(ours.as_fd(), &ToNode::Setup(Box::new(self.setup.clone())), &fds[1..]);
            if let Some(ToDaemon::Ready { .. }) = hear(ours.as_fd()) {
                say(ours.as_fd(), &ToNode::Start { epoch_ns }, &[]);
            }
            ours
        });
        let (number, is_taken) = (env.socket_fd, env.version == VERSION);
        let node = RtNode::init_from_config(env);
        if !is_taken {
            close_untaken(number);
        }
        (node, Daemon { socket: daemon.join().unwrap(), status })
    }
}

/// A node of another version does not take the socket; the fake daemon waits for its end. In all other cases the node has
/// closed it, and the number may belong to another test by now.
#[expect(unsafe_code, reason = "closes a descriptor by number")]
fn close_untaken(number: i32) {
    // SAFETY: the number came from `into_raw_fd`, and nobody took it over.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}
