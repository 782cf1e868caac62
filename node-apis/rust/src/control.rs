//! The node's conversation with its daemon after the handshake: one sleeping thread, and what it leaves for others.
//!
//! ```text
//! daemon ──socket──► dora-control ──mail─────► Inbox     stop, closed inputs, failures, parameters, new edges
//!                      ▲   ├────────changes──► Outbox    readers that came, went or were replaced
//!                      │   └────────life─────► callers   start, replies, end
//!                      └────────────trash───── both      what they are done with
//! ```
//!
//! 1. The thread never touches the data path. Inbox and Outbox look at one flag each, without a lock, and enter the
//!    lock behind it only when there is something.
//! 2. They never wait for that lock: when this thread holds it they go on (or sleep), and the bell that this thread rings
//!    after letting go brings the inbox back. So a real-time thread never waits for an ordinary one.
//! 3. When the daemon is gone the node gets a stop event, and a process that the daemon started ends within [`LINGER`]
//!    whatever the node does.
#![expect(unsafe_code, reason = "ends a process whose main thread does not react")]

mod rewire;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use dora_protocol::{
    NodeId,
    node_link::{ExtensionCall, MAX_FDS, MAX_FRAME, ToDaemon, ToNode},
};
use lockfree_ipc::{Doorbell, Interrupter, StatusPage, fdpass};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags},
    io::Errno,
};

use rewire::Pile;
pub(crate) use rewire::{AddedInput, Change, Mail, Trash};

use crate::{
    error::{NodeError, NodeResult},
    link::DaemonSocket,
};

/// How long a node may go on without its daemon.
const LINGER: Duration = Duration::from_secs(5);
/// Stack of the control thread: it parses small JSON and nothing else, bytes.
const STACK: usize = 256 << 10;
/// Most vanished extension keys that wait to be asked for; the oldest go first.
const MAX_DROPPED_KEYS: usize = 4096;

/// What control thread, inbox, outbox and link share.
pub(crate) struct Shared {
    socket: DaemonSocket,
    writing: Mutex<()>,
    bell: Doorbell,
    mail: Pile<Mail>,
    changes: Pile<Change>,
    trash: Pile<Trash>,
    /// Written when there is trash.
    waste: OwnedFd,
    place: Place,
    /// Inputs that the node has.
    inputs: AtomicU32,
    interrupters: Vec<Interrupter>,
    stopping: AtomicBool,
    life: Mutex<Life>,
    changed: Condvar,
    requests: AtomicU64,
}

/// What the control thread needs to know about its node.
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) status: StatusPage,
    /// Inputs at the start.
    pub(crate) inputs: u32,
    /// The daemon started this process, which ends with it.
    pub(crate) ends_with_daemon: bool,
}

/// Bytes, nothing, or why not.
type Reply = Result<Option<Vec<u8>>, String>;

#[derive(Default)]
struct Life {
    /// Epoch, once the daemon said go.
    start: Option<u64>,
    /// Why there is no daemon any more.
    lost: Option<String>,
    /// The node ended its conversation: nobody needs the thread.
    done: bool,
    /// By request; `None` until the daemon answers.
    replies: BTreeMap<u64, Option<Reply>>,
    dropped: Vec<(String, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// # Errors
    /// What `eventfd` says: out of descriptors.
    pub(crate) fn new(
        socket: DaemonSocket,
        bell: Doorbell,
        interrupters: Vec<Interrupter>,
        place: Place,
    ) -> io::Result<Self> {
        Ok(Self {
            socket,
            writing: Mutex::new(()),
            bell,
            mail: Pile::new(),
            changes: Pile::new(),
            trash: Pile::new(),
            waste: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            inputs: AtomicU32::new(place.inputs),
            place,
            interrupters,
            stopping: AtomicBool::new(false),
            life: Mutex::new(Life::default()),
            changed: Condvar::new(),
            requests: AtomicU64::new(0),
        })
    }

    /// Starts the control thread. Do this before the calling thread becomes a real-time one.
    pub(crate) fn spawn(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let shared = self.clone();
        std::thread::Builder::new()
            .name("dora-control".into())
            .stack_size(STACK)
            .spawn(move || shared.listen())
    }

    /// The node's own doorbell.
    pub(crate) fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// A stop was announced, or the daemon is gone.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Exchanges what came from the daemon for the room of `to`, which is empty. One relaxed load when there is nothing; never
    /// waits.
    #[inline]
    pub(crate) fn collect_mail(&self, to: &mut Vec<Mail>) {
        if self.mail.is_there() {
            // While the control thread is just adding, nothing comes: it rings when it is done.
            self.mail.try_swap(to);
        }
    }

    /// Is there mail? For callers that will not take it.
    pub(crate) fn has_mail(&self) -> bool {
        self.mail.is_there()
    }

    fn post(&self, mail: Mail) {
        self.mail.add(mail);
        self.bell.ring();
    }

    /// Sends one message to the daemon.
    pub(crate) fn tell(&self, message: &ToDaemon) -> NodeResult<()> {
        let body = serde_json::to_vec(message).map_err(|e| NodeError::Internal(e.into()))?;
        let _turn = lock(&self.writing);
        fdpass::send_frame(self.socket.as_fd(), &body, &[])
            .map_err(|e| NodeError::Connection(format!("the daemon cannot be reached: {e}")))
    }

    /// Blocks until the daemon says go; the epoch, CLOCK_MONOTONIC nanoseconds.
    pub(crate) fn wait_for_start(&self) -> NodeResult<u64> {
        let mut life = lock(&self.life);
        loop {
            match (life.start, &life.lost) {
                (Some(epoch_ns), _) => return Ok(epoch_ns),
                (None, Some(why)) => return Err(NodeError::Init(why.clone())),
                (None, None) => life = self.changed.wait(life).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Asks the extension table and waits for the answer.
    pub(crate) fn extension(&self, call: ExtensionCall) -> NodeResult<Option<Vec<u8>>> {
        let request = self.requests.fetch_add(1, Relaxed);
        lock(&self.life).replies.insert(request, None);
        if let Err(error) = self.tell(&ToDaemon::Extension { request, call }) {
            lock(&self.life).replies.remove(&request);
            return Err(error);
        }
        let mut life = lock(&self.life);
        loop {
            if let Some(Some(_)) = life.replies.get(&request) {
                let reply = life.replies.remove(&request).flatten().unwrap_or(Ok(None));
                return reply.map_err(NodeError::Data);
            }
            if let Some(why) = &life.lost {
                return Err(NodeError::Connection(why.clone()));
            }
            life = self.changed.wait(life).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Keys of a name space that vanished since the last call.
    pub(crate) fn take_dropped_keys(&self, ns: &str) -> Vec<String> {
        let mut life = lock(&self.life);
        let (taken, kept) = std::mem::take(&mut life.dropped).into_iter().partition(|(of, _)| of == ns);
        life.dropped = kept;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, key)| key).collect()
    }

    /// Ends the conversation: the thread returns soon. `farewell` is said first when somebody still listens.
    pub(crate) fn finish(&self, farewell: Option<&ToDaemon>) {
        let mut life = lock(&self.life);
        life.done = true;
        let lost = life.lost.is_some();
        drop(life);
        self.changed.notify_all();
        if let Some(farewell) = farewell
            && !lost
        {
            // Failing means that the daemon went in this moment; there is nobody left to tell.
            self.tell(farewell).ok();
        }
        // Wakes the thread out of its receive. Fails only when the other end is closed already.
        rustix::net::shutdown(self.socket.as_fd(), rustix::net::Shutdown::Both).ok();
    }

    fn listen(&self) {
        // Those of `Descriptors` frames belong to the next frame that is none.
        let mut descriptors = Vec::new();
        let why = loop {
            if let Err(e) = self.wait_for_word() {
                break format!("the connection to the daemon cannot be watched: {e}");
            }
            match fdpass::recv_frame(self.socket.as_fd(), MAX_FRAME, MAX_FDS) {
                Ok(Some((body, fds))) => {
                    descriptors.extend(fds);
                    match serde_json::from_slice(&body) {
                        Ok(ToNode::Descriptors) => {}
                        Ok(ToNode::Refused { reason }) => break reason,
                        // Descriptors that nobody announced are closed there.
                        Ok(message) => self.dispatch(message, std::mem::take(&mut descriptors)),
                        Err(e) => {
                            break format!(
                                "the daemon said something that this node does not understand: {e}"
                            );
                        }
                    }
                }
                Ok(None) => break "the daemon closed the connection".to_owned(),
                Err(e) => break format!("the connection to the daemon broke: {e}"),
            }
        };
        self.daemon_lost(why);
    }

    /// Sleeps until the daemon says something; frees what inbox and outbox are done with meanwhile.
    fn wait_for_word(&self) -> Result<(), Errno> {
        loop {
            let socket = self.socket.as_fd();
            let mut watched =
                [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::new(&self.waste, PollFlags::IN)];
            match rustix::event::poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            if !watched[1].revents().is_empty() {
                // Somebody else can only have read it before: then there is nothing to wait for.
                rustix::io::read(self.waste.as_fd(), &mut [0; 8]).ok();
                self.trash.empty();
            }
            if !watched[0].revents().is_empty() {
                return Ok(());
            }
        }
    }

    fn dispatch(&self, message: ToNode, descriptors: Vec<OwnedFd>) {
        match message {
            ToNode::Start { epoch_ns } => self.change(|life| life.start = Some(epoch_ns)),
            ToNode::EdgeAdded { .. }
            | ToNode::InputAdded { .. }
            | ToNode::ReaderAdded { .. }
            | ToNode::ReaderLeft { .. }
            | ToNode::ReaderRestarted { .. }
            | ToNode::ReaderGone { .. } => self.rewire(message, descriptors),
            ToNode::ExtensionReply { request, result } => self.change(|life| {
                // A reply that nobody waits for is dropped.
                if let Some(reply) = life.replies.get_mut(&request) {
                    *reply = Some(result);
                }
            }),
            ToNode::ExtensionDropped { ns, keys } => self.change(|life| {
                life.dropped.extend(keys.into_iter().map(|key| (ns.clone(), key)));
                let excess = life.dropped.len().saturating_sub(MAX_DROPPED_KEYS);
                life.dropped.drain(..excess);
            }),
            ToNode::Stop => {
                self.stopping.store(true, Relaxed);
                self.post(Mail::Word(ToNode::Stop));
            }
            // The handshake is over; a second one changes nothing.
            ToNode::Descriptors | ToNode::Setup(_) | ToNode::Refused { .. } => {}
            event => self.post(Mail::Word(event)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Life)) {
        change(&mut lock(&self.life));
        self.changed.notify_all();
    }

    fn daemon_lost(&self, why: String) {
        let line =
            format!("dora: {why}; this node did not stop within {} s and is ended\n", LINGER.as_secs());
        self.change(|life| life.lost = Some(why));
        if lock(&self.life).done {
            return;
        }
        self.stopping.store(true, Relaxed);
        self.interrupters.iter().for_each(Interrupter::interrupt);
        self.post(Mail::Word(ToNode::Stop));
        if !self.place.ends_with_daemon {
            return;
        }
        let life = lock(&self.life);
        let wait = self.changed.wait_timeout_while(life, LINGER, |life| !life.done && life.start.is_some());
        let (life, _) = wait.unwrap_or_else(PoisonError::into_inner);
        if life.done || life.start.is_none() {
            return;
        }
        // Not `eprintln!`: the main thread may hold its lock for ever. A closed stderr is no reason to stay.
        rustix::io::write(io::stderr(), line.as_bytes()).ok();
        // SAFETY: ends the process at once. No exit handlers: they may wait for the thread that does not react.
        unsafe { libc::_exit(1) }
    }
}
