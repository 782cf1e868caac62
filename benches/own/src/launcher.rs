//! A daemon in miniature: wires two nodes, hands each its setup over a socket, and starts them together.
//!
//! The nodes are roles of this program ([`bench_support::peer`]) that inherit their end of a socketpair as their only
//! descriptor, as a node of a real daemon does. `there` leads from the first node to the second, `back` the other
//! way; both edges are `backpressure` with a queue size of 10, so that nothing is lost. Both nodes have a 1 kHz timer
//! `tick` when they ask for it, and run under the scheduling that `--rt` would give them.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    thread,
};

use bench_support::{
    Call, Metrics, peer,
    place::{Class, PRIORITY},
};
use dora_protocol::{
    DataflowId,
    node_link::{
        InputEdge, InputSource, InputWiring, MAX_FDS, MAX_FRAME, NodeRunConfig, OutputEdge, OutputWiring,
        Setup, ToDaemon, ToNode,
    },
    policy::QueuePolicy,
    rt::{RtSettings, SchedPolicy, WaitPolicy},
};
use eyre::{bail, eyre};
use lockfree_ipc::{
    ArenaSpec, EdgeSpec, MAX_HELD, Policy, arena, clock::monotonic_ns, doorbell, edge, fdpass, status,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::PERIOD_NS;

/// `queue_size` of the edges.
const QUEUE_SIZE: u32 = 10;

/// What a run of two nodes consists of.
pub struct Pairing<'a> {
    /// Role of the node on core 0, and of that on core 1.
    pub roles: [&'a str; 2],
    /// How they are scheduled.
    pub class: Class,
    /// How they wait.
    pub wait: WaitPolicy,
    /// What the roles are told.
    pub numbers: &'a [u64],
    /// `max_message_bytes` of both outputs.
    pub max_bytes: u64,
    /// Give both a timer of 1 ms as a further input.
    pub tick: bool,
}

/// One node before it is started.
struct Node {
    setup: Setup,
    fds: Vec<Arc<OwnedFd>>,
}

impl Node {
    fn new(name: &str, pairing: &Pairing<'_>) -> eyre::Result<Self> {
        let inputs = 1 + u32::from(pairing.tick);
        let fds = [doorbell::create()?, doorbell::create_eventfd()?, status::create(inputs, 1)?];
        let setup = Setup {
            chains: Vec::new(),
            attention: None,
            run: NodeRunConfig {
                dataflow_id: DataflowId::default(),
                node_id: name.parse()?,
                inputs: Vec::new(),
                outputs: Vec::new(),
                restart_count: 0,
            },
            doorbell: 0,
            eventfd: 1,
            status: 2,
            inputs: Vec::new(),
            outputs: Vec::new(),
            exit_when_nodes_finish: false,
            rt: (pairing.class == Class::Fifo).then(rt_settings),
            wait: pairing.wait,
            descriptor: serde_json::Value::Null,
        };
        Ok(Self { setup, fds: fds.map(Arc::new).into() })
    }

    fn add(&mut self, fd: &Arc<OwnedFd>) -> u32 {
        self.fds.push(fd.clone());
        self.fds.len() as u32 - 1
    }

    fn input(&mut self, name: &str, source: InputSource) {
        self.setup.run.inputs.push(name.into());
        self.setup.inputs.push(InputWiring {
            on_miss: Default::default(),
            id: name.into(),
            source,
            queue_size: QUEUE_SIZE,
            policy: QueuePolicy::Backpressure,
            input_timeout_ns: None,
            deadline_ns: None,
        });
    }
}

fn rt_settings() -> RtSettings {
    RtSettings {
        policy: SchedPolicy::Fifo,
        priority: Some(PRIORITY),
        lock_memory: true,
        ..RtSettings::default()
    }
}

/// Wires output `out` of one node to input `in` of the other.
fn wire(sender: &mut Node, reader: &mut Node, max_bytes: u64) -> eyre::Result<()> {
    let limit = QueuePolicy::Backpressure.ring_limit(QUEUE_SIZE);
    let outstanding = EdgeSpec::storage(limit, Policy::Backpressure) + MAX_HELD + 8;
    let spec = ArenaSpec { outstanding, max_message_bytes: Some(max_bytes), depth: Some(8) };
    let arena = arena::create(&spec, *b"launcher of node")?;
    let segment = Arc::new(edge::create(&EdgeSpec { limit, policy: Policy::Backpressure, arena: spec })?);
    let out = OutputEdge {
        number: 0,
        receiver: reader.setup.run.node_id.clone(),
        input: "in".into(),
        edge: sender.add(&segment),
        doorbell: sender.add(&reader.fds[0]),
        eventfd: sender.add(&reader.fds[1]),
    };
    let write = sender.add(&Arc::new(arena.write));
    sender.setup.run.outputs.push("out".into());
    sender.setup.outputs.push(OutputWiring {
        origins: None,
        id: "out".into(),
        arena: write,
        max_message_bytes: Some(max_bytes),
        depth: Some(8),
        edges: vec![out],
    });
    let (edge, arena) = (reader.add(&segment), reader.add(&Arc::new(arena.read)));
    let from = Some(sender.setup.run.node_id.clone());
    reader.input(
        "in",
        InputSource::Edges { edges: vec![InputEdge { number: 0, sender: from, edge, arena, closed: false }] },
    );
    Ok(())
}

/// Runs the two nodes; what each measured.
///
/// # Errors
/// As [`peer::run`]; also when a node was refused a part of its real-time set-up.
pub fn run(pairing: &Pairing<'_>) -> eyre::Result<Vec<Metrics>> {
    let (mut first, mut second) = (Node::new("first", pairing)?, Node::new("second", pairing)?);
    wire(&mut first, &mut second, pairing.max_bytes)?;
    wire(&mut second, &mut first, pairing.max_bytes)?;
    if pairing.tick {
        for node in [&mut first, &mut second] {
            node.input("tick", InputSource::Timer { period_ns: PERIOD_NS });
        }
    }
    let (a, b) = (pair()?, pair()?);
    let (ours, theirs) = ([a.0, b.0], [a.1, b.1]);
    let call = |core: usize| Call {
        role: pairing.roles[core],
        core,
        class: pairing.class,
        numbers: pairing.numbers,
        fds: vec![theirs[core].as_fd()],
    };
    // A node whose daemon hangs up ends: our ends stay open until both are done.
    let sockets = [ours[0].try_clone()?, ours[1].try_clone()?];
    let daemon = thread::spawn(move || serve(sockets, [first, second]));
    let metrics = peer::run(&[call(0), call(1)])?;
    daemon.join().map_err(|_| eyre!("the daemon panicked"))??;
    Ok(metrics)
}

fn pair() -> eyre::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// The handshake with both nodes: the barrier is that nobody starts before both are ready.
fn serve(sockets: [OwnedFd; 2], nodes: [Node; 2]) -> eyre::Result<()> {
    for (socket, node) in sockets.iter().zip(&nodes) {
        match hear(socket)? {
            ToDaemon::Hello { .. } => {}
            other => bail!("a node began with {other:?}"),
        }
        let fds: Vec<BorrowedFd<'_>> = node.fds.iter().map(|fd| fd.as_fd()).collect();
        say(socket, &ToNode::Setup(Box::new(node.setup.clone())), &fds)?;
    }
    for socket in &sockets {
        match hear(socket)? {
            ToDaemon::Ready { setup, .. } => {
                if let Some(step) = setup.iter().find(|step| step.failed.is_some()) {
                    bail!("a node was refused its real-time set-up: {step:?}");
                }
            }
            other => bail!("a node was not ready: {other:?}"),
        }
    }
    // A whole period, so that a role that is told the number of a tick knows when it was due.
    let epoch_ns = monotonic_ns() / PERIOD_NS * PERIOD_NS;
    sockets.iter().try_for_each(|socket| say(socket, &ToNode::Start { epoch_ns }, &[]))
}

fn say(socket: &OwnedFd, message: &ToNode, fds: &[BorrowedFd<'_>]) -> eyre::Result<()> {
    Ok(fdpass::send_frame(socket.as_fd(), &serde_json::to_vec(message)?, fds)?)
}

fn hear(socket: &OwnedFd) -> eyre::Result<ToDaemon> {
    let Some((body, _)) = fdpass::recv_frame(socket.as_fd(), MAX_FRAME, MAX_FDS)? else {
        bail!("a node ended before it was started");
    };
    Ok(serde_json::from_slice(&body)?)
}
