//! A node's tie to its dataflow: the handshake, and what its receiving and its sending half share.
//!
//! ```text
//! connect(env):   claim socket ────────────┐
//! attach(name):   connect socket ─► Attach ─┴─► Hello ─► Setup ─► map everything ─► control thread ─► real-time set-up
//!                                                                                                        └─► Ready ─► Start
//! ```
//!
//! 1. Wrong wiring (an index without a descriptor, a segment of another kind) is an error that names the input or output.
//! 2. The last of link, inbox and outbox to go says goodbye to the daemon.

mod socket;
mod wiring;

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use dora_protocol::{
    NodeId,
    node_link::{
        ENV_NODE_CONFIG, ExtensionCall, MAX_FDS, MAX_FRAME, NodeEnv, Setup, ToDaemon, ToNode, VERSION,
    },
    time::Tag,
};
use lockfree_ipc::{StatusPage, fdpass};

pub(crate) use socket::DaemonSocket;
pub(crate) use wiring::{Sending, Table};

use crate::{
    control::{Place, Shared},
    error::{NodeError, NodeResult},
    hlc::Hlc,
    inbox::Inbox,
    outbox::Outbox,
    setup,
};

/// A node that has been started.
pub(crate) struct Connected {
    /// Shared by the other two.
    pub(crate) link: Arc<Link>,
    /// Receives.
    pub(crate) inbox: Inbox,
    /// Sends.
    pub(crate) outbox: Outbox,
}

/// What the halves of a node share.
pub(crate) struct Link {
    setup: Setup,
    hlc: Hlc,
    status: StatusPage,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    started: AtomicBool,
    tag_time: AtomicU64,
    tag_microstep: AtomicU32,
}

/// The node configuration that the daemon left in the environment of this process.
///
/// # Errors
/// [`NodeError::Init`] when there is none, or another version wrote it.
pub(crate) fn env_of_process() -> NodeResult<NodeEnv> {
    let text = std::env::var(ENV_NODE_CONFIG).map_err(|_| {
        NodeError::Init(format!("`{ENV_NODE_CONFIG}` is not set: start this program as a node of a dataflow"))
    })?;
    serde_json::from_str(&text).map_err(|e| {
        NodeError::Init(format!(
            "`{ENV_NODE_CONFIG}` is not what this version understands ({e}); rebuild the node with the same dora"
        ))
    })
}

/// Joins the dataflow and blocks until it starts.
///
/// # Errors
/// [`NodeError::Init`]: other version, wrong wiring, refused, stopped before the start; [`NodeError::Connection`]: the
/// daemon is gone.
pub(crate) fn connect(env: NodeEnv) -> NodeResult<Connected> {
    if env.version != VERSION {
        return Err(NodeError::Init(format!(
            "node `{}` speaks version {VERSION} of the node protocol, its daemon version {}; rebuild the node with the \
             dora that runs it",
            env.node_id, env.version
        )));
    }
    join(DaemonSocket::claim(env.socket_fd)?, None)
}

/// Joins a running dataflow as a node that no daemon started, and blocks until it has started. `port` is the number of the daemon.
///
/// # Errors
/// As [`connect`]; also [`NodeError::Connection`] when no daemon listens.
pub(crate) fn attach(node_id: &NodeId, port: Option<u16>) -> NodeResult<Connected> {
    let first = ToDaemon::Attach { node_id: node_id.clone(), dataflow_id: None };
    join(DaemonSocket::connect(node_id, port)?, Some(first))
}

/// `first` is said before everything else, by a node that no daemon started.
fn join(socket: DaemonSocket, first: Option<ToDaemon>) -> NodeResult<Connected> {
    let ends_with_daemon = first.is_none();
    let (setup, descriptors) = handshake(&socket, first)?;
    let mapped = wiring::map(&setup, descriptors)?;
    let interrupters = mapped.publishers.iter().map(|p| p.publisher.interrupter()).collect();
    let place = Place {
        node: setup.run.node_id.clone(),
        status: mapped.status.clone(),
        inputs: setup.inputs.len() as u32,
        ends_with_daemon,
    };
    let shared = Shared::new(socket, mapped.bell, interrupters, place)
        .map_err(|e| NodeError::Init(format!("no eventfd for the control thread: {e}")))?;
    let shared = Arc::new(shared);
    let thread = shared.spawn().map_err(|e| NodeError::Init(format!("no control thread: {e}")))?;
    let hlc = Hlc::new(mapped.publishers.first().map_or([0; 16], |p| p.publisher.hlc_id()));
    let link = Arc::new(Link {
        hlc,
        status: mapped.status,
        shared,
        thread: Some(thread),
        started: AtomicBool::new(false),
        tag_time: AtomicU64::new(0),
        tag_microstep: AtomicU32::new(0),
        setup,
    });
    let outbox = Outbox::new(link.clone(), mapped.publishers);
    let steps = link.setup.rt.as_ref().map(setup::apply).unwrap_or_default();
    let main_tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    link.shared.tell(&ToDaemon::Ready { setup: steps, main_tid })?;
    let epoch_ns = link.shared.wait_for_start()?;
    link.started.store(true, Relaxed);
    let inbox = Inbox::new(link.clone(), mapped.feeds, mapped.watch, epoch_ns);
    Ok(Connected { link, inbox, outbox })
}

fn handshake(
    socket: &DaemonSocket,
    first: Option<ToDaemon>,
) -> NodeResult<(Setup, Vec<std::os::fd::OwnedFd>)> {
    let hello = ToDaemon::Hello {
        version: VERSION,
        api: format!("dora-node-api {} (rust)", env!("CARGO_PKG_VERSION")),
        pid: std::process::id(),
    };
    let broken = |what: String| NodeError::Connection(format!("handshake with the daemon: {what}"));
    for word in first.iter().chain([&hello]) {
        let body = serde_json::to_vec(word).map_err(|e| broken(e.to_string()))?;
        match fdpass::send_frame(socket.as_fd(), &body, &[]) {
            // It has hung up before we were done: why, it has said.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => break,
            sent => sent.map_err(|e| broken(e.to_string()))?,
        }
    }
    let mut descriptors = Vec::new();
    loop {
        let frame =
            fdpass::recv_frame(socket.as_fd(), MAX_FRAME, MAX_FDS).map_err(|e| broken(e.to_string()))?;
        let Some((body, fds)) = frame else {
            return Err(broken("it closed the connection".to_owned()));
        };
        descriptors.extend(fds);
        match serde_json::from_slice(&body).map_err(|e| broken(e.to_string()))? {
            ToNode::Descriptors => {}
            ToNode::Setup(setup) => return Ok((*setup, descriptors)),
            ToNode::Refused { reason } => return Err(NodeError::Init(reason)),
            ToNode::Stop => return Err(NodeError::Init("the dataflow was stopped before it started".into())),
            other => return Err(broken(format!("expected the wiring, got {other:?}"))),
        }
    }
}

impl Link {
    /// What the daemon told about this node.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The node's clock for causality.
    pub(crate) fn hlc(&self) -> &Hlc {
        &self.hlc
    }

    /// The node's counters.
    pub(crate) fn status(&self) -> &StatusPage {
        &self.status
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Asks the dataflow's extension table. Blocks until the daemon answers.
    pub(crate) fn extension(&self, call: ExtensionCall) -> NodeResult<Option<Vec<u8>>> {
        self.shared.extension(call)
    }

    /// Extension keys of a name space that vanished since the last call.
    pub(crate) fn take_dropped_keys(&self, ns: &str) -> Vec<String> {
        self.shared.take_dropped_keys(ns)
    }

    /// A stop was announced, whether or not the node has read the event.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Tells the daemon that these outputs will send no more.
    pub(crate) fn outputs_closed(&self, outputs: &[u32]) {
        if !outputs.is_empty() {
            // Failing means that the daemon is gone, which closes them too; the control thread deals with that.
            self.shared.tell(&ToDaemon::OutputsClosed { outputs: outputs.to_vec() }).ok();
        }
    }

    /// Tells the daemon that the other end of an edge wrote nonsense.
    #[cold]
    pub(crate) fn edge_broken(&self, input: Option<(u32, u32)>, output: Option<(u32, u32)>, reason: String) {
        // As in `outputs_closed`.
        self.shared.tell(&ToDaemon::EdgeBroken { input, output, reason }).ok();
    }

    /// Logical time of the event that the node works on; zero before the first.
    ///
    /// Two relaxed words: exact on the thread that receives, possibly of two events on another one.
    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag { time_ns: self.tag_time.load(Relaxed), microstep: self.tag_microstep.load(Relaxed) }
    }

    #[inline]
    pub(crate) fn set_tag(&self, tag: Tag) {
        self.tag_time.store(tag.time_ns, Relaxed);
        self.tag_microstep.store(tag.microstep, Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let started = self.started.load(Relaxed);
        if started {
            self.status.done();
        }
        self.shared.finish(started.then_some(&ToDaemon::Done));
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed; there is nothing to add.
            thread.join().ok();
        }
    }
}
