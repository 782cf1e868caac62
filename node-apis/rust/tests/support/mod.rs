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
        InputEdge, InputSource, InputWiring, MAX_FDS, MAX_FRAME, NodeEnv, NodeRunConfig, OutputEdge,
        OutputWiring, Setup, ToDaemon, ToNode, VERSION,
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
    /// The status page is the one that an earlier process had.
    keeps_status: bool,
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
        Self { setup, fds: fds.map(|fd| Arc::new(fd.unwrap())).into(), version: VERSION, keeps_status: false }
    }

    /// The next process of a node that had this doorbell, eventfd and status page.
    pub(crate) fn again(name: &str, place: &[Arc<OwnedFd>]) -> Self {
        let mut node = Self::new(name);
        node.fds = place[..3].to_vec();
        node.keeps_status = true;
        node
    }

    /// Doorbell, eventfd and status page, made now, which the next process of this node shall have as well.
    pub(crate) fn place(&mut self, inputs: u32, outputs: u32) -> Vec<Arc<OwnedFd>> {
        self.fds[2] = Arc::new(status::create(inputs, outputs).unwrap());
        self.keeps_status = true;
        self.fds[..3].to_vec()
    }

    /// An output in this memory, without readers.
    pub(crate) fn output(&mut self, name: &str, memory: &Memory) {
        let arena = self.add(memory.write.clone());
        self.setup.outputs.push(OutputWiring {
            origins: None,
            id: name.into(),
            arena,
            max_message_bytes: None,
            depth: None,
            edges: Vec::new(),
        });
    }

    /// A reader of the output that was added last.
    pub(crate) fn read_by(&mut self, number: u32, reader: &Node, input: &str, edge: &Arc<OwnedFd>) {
        let (edge, doorbell) = (self.add(edge.clone()), self.add(reader.fds[0].clone()));
        let eventfd = self.add(reader.fds[1].clone());
        let receiver = reader.setup.run.node_id.clone();
        let edge = OutputEdge { number, receiver, input: input.into(), edge, doorbell, eventfd };
        self.setup.outputs.last_mut().unwrap().edges.push(edge);
    }

    /// An input with these edges: number, sender, segment, memory.
    pub(crate) fn reads(&mut self, name: &str, edges: &[(u32, &str, &Arc<OwnedFd>, &Memory)], how: Edge) {
        let edges = edges.iter().map(|(number, sender, edge, memory)| InputEdge {
            number: *number,
            sender: Some(sender.parse().unwrap()),
            edge: self.add((*edge).clone()),
            arena: self.add(memory.read.clone()),
            closed: false,
        });
        let edges = edges.collect();
        self.input(name, InputSource::Edges { edges }, how);
    }

    pub(crate) fn add(&mut self, fd: Arc<OwnedFd>) -> u32 {
        self.fds.push(fd);
        self.fds.len() as u32 - 1
    }

    fn input(&mut self, name: &str, source: InputSource, edge: Edge) {
        self.setup.inputs.push(wiring(name, source, edge));
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

pub(crate) fn wiring(name: &str, source: InputSource, edge: Edge) -> InputWiring {
    InputWiring {
        id: name.into(),
        source,
        queue_size: edge.queue_size,
        policy: edge.policy,
        input_timeout_ns: edge.timeout_ns,
        deadline_ns: edge.deadline_ns,
        on_miss: Default::default(),
    }
}

/// The memory of an output, and what its edges are like.
pub(crate) struct Memory {
    spec: EdgeSpec,
    pub(crate) write: Arc<OwnedFd>,
    pub(crate) read: Arc<OwnedFd>,
}

impl Memory {
    pub(crate) fn new(how: Edge) -> Self {
        let limit = how.policy.ring_limit(how.queue_size);
        let policy = match how.policy {
            QueuePolicy::DropOldest => Policy::DropOldest,
            QueuePolicy::Backpressure => Policy::Backpressure,
        };
        let outstanding = EdgeSpec::storage(limit, policy) + lockfree_ipc::MAX_HELD + 8;
        let arena = ArenaSpec { outstanding, ..Default::default() };
        let fds = arena::create(&arena, [7; 16]).unwrap();
        let spec = EdgeSpec { limit, policy, arena };
        Self { spec, write: Arc::new(fds.write), read: Arc::new(fds.read) }
    }

    pub(crate) fn edge(&self) -> Arc<OwnedFd> {
        Arc::new(edge::create(&self.spec).unwrap())
    }
}

/// Wires an output with one reader.
pub(crate) fn wire(sender: &mut Node, output: &str, reader: &mut Node, input: &str, how: Edge) {
    let memory = Memory::new(how);
    let edge = memory.edge();
    sender.output(output, &memory);
    sender.read_by(0, reader, input, &edge);
    let from = sender.setup.run.node_id.clone();
    reader.reads(input, &[(0, from.as_str(), &edge, &memory)], how);
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

    /// With descriptors.
    pub(crate) fn give(&self, message: &ToNode, fds: &[&Arc<OwnedFd>]) {
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
        say(self.socket.as_fd(), message, &fds);
    }

    /// A further edge to an input.
    pub(crate) fn add_edge(
        &self,
        input: u32,
        number: u32,
        sender: &str,
        edge: &Arc<OwnedFd>,
        memory: &Memory,
    ) {
        let sender = Some(sender.parse().unwrap());
        let wired = InputEdge { number, sender, edge: 0, arena: 1, closed: false };
        self.give(&ToNode::EdgeAdded { input, edge: wired }, &[edge, &memory.read]);
    }

    /// A further reader of an output; `place` is that of the reader.
    pub(crate) fn add_reader(&self, output: u32, number: u32, edge: &Arc<OwnedFd>, place: &[Arc<OwnedFd>]) {
        let (receiver, input) = ("reader".parse().unwrap(), "in".into());
        let wired = OutputEdge { number, receiver, input, edge: 0, doorbell: 1, eventfd: 2 };
        self.give(&ToNode::ReaderAdded { output, edge: wired }, &[edge, &place[0], &place[1]]);
    }

    /// Returns when the node has taken in everything that was said. It has no other event to give out.
    pub(crate) fn sync(&self, node: &mut RtNode) {
        self.say(&ToNode::ParamDeleted { key: "sync".into() });
        assert_eq!(node.wait(), dora_node_api::rt::Event::Notice);
        assert!(matches!(node.notice(), Some(dora_node_api::rt::Notice::ParamDeleted { .. })));
    }

    /// Says things and returns when the node has them all before it, whatever it does next.
    pub(crate) fn told(&self, node: &mut RtNode, say: impl FnOnce(&Self) + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let Some(ToDaemon::Extension { request, .. }) = self.hear() else { panic!("no question") };
                say(self);
                // The node reads the answer after everything that was said before it.
                self.say(&ToNode::ExtensionReply { request, result: Ok(None) });
            });
            node.extension_request("all said", Vec::new()).unwrap();
        });
    }

    pub(crate) fn hear(&self) -> Option<ToDaemon> {
        hear(self.socket.as_fd())
    }
}

pub(crate) fn say(socket: BorrowedFd<'_>, message: &ToNode, fds: &[BorrowedFd<'_>]) {
    fdpass::send_frame(socket, &serde_json::to_vec(message).unwrap(), fds).unwrap();
}

pub(crate) fn hear(socket: BorrowedFd<'_>) -> Option<ToDaemon> {
    let (body, _) = fdpass::recv_frame(socket, MAX_FRAME, MAX_FDS).unwrap()?;
    Some(serde_json::from_slice(&body).unwrap())
}

impl Node {
    /// Starts the node: this thread is the node, another one the daemon during the handshake.
    pub(crate) fn join(self, epoch_ns: u64) -> (RtNode, Daemon) {
        let (node, daemon) = self.try_join(epoch_ns);
        (node.unwrap(), daemon)
    }

    /// The daemon's part of the handshake.
    pub(crate) fn greet(&self, socket: &impl AsFd, epoch_ns: u64) {
        let socket = socket.as_fd();
        let Some(ToDaemon::Hello { version: VERSION, .. }) = hear(socket) else { return };
        // Two frames, as when the descriptors are many.
        let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(|fd| fd.as_fd()).collect();
        say(socket, &ToNode::Descriptors, &fds[..1]);
        say(socket, &ToNode::Setup(Box::new(self.setup.clone())), &fds[1..]);
        if let Some(ToDaemon::Ready { .. }) = hear(socket) {
            say(socket, &ToNode::Start { epoch_ns }, &[]);
        }
    }

    pub(crate) fn try_join(mut self, epoch_ns: u64) -> (NodeResult<RtNode>, Daemon) {
        if !self.keeps_status {
            let ports = (self.setup.inputs.len() as u32, self.setup.outputs.len() as u32);
            self.fds[2] = Arc::new(status::create(ports.0, ports.1).unwrap());
        }
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
            self.greet(&ours, epoch_ns);
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
