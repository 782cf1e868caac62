//! One node's control socket, seen from the daemon.
//!
//! Two small tasks per node, one that reads and one that writes, both asleep in epoll while nothing is said. What
//! arrives becomes a [`Fact`] in the supervisor's queue; that queue is bounded, so a node that floods the daemon
//! is read more slowly and nothing grows.
//!
//! 1. A frame that breaks a rule ends the connection, and its reason reaches the supervisor; nothing after it is
//!    read.
//! 2. A node that does not read its socket fills its own queue of [`QUEUE`] frames and is then given up; the
//!    daemon never waits for it.
//! 3. Descriptors that a node sends are dropped by the kernel: the daemon reads without room for them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use dora_protocol::node_link::{MAX_FDS, MAX_FRAME, Setup, ToDaemon, ToNode};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc, oneshot},
};

use crate::{node_state::ProcessId, spawn, supervisor::Fact};

/// Frames waiting for one node.
pub(crate) const QUEUE: usize = 1024;

/// A frame to a node, with the descriptors that ride on it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) frame: ToNode,
    pub(crate) fds: Vec<Arc<OwnedFd>>,
}

impl From<ToNode> for Outgoing {
    fn from(frame: ToNode) -> Self {
        Self { frame, fds: Vec::new() }
    }
}

/// What the reading side has to tell.
#[derive(Debug)]
pub(crate) enum Said {
    Frame(ToDaemon),
    /// The other end is closed.
    Closed,
    /// A rule was broken; what the node did, to follow "it".
    Garbage(String),
}

/// The daemon's end of a node's socket.
#[derive(Clone)]
pub(crate) struct NodeLink {
    queue: mpsc::Sender<Outgoing>,
}

impl NodeLink {
    /// Starts the two tasks on a non-blocking socket. When `finish` is resolved (the process is gone), what is left in
    /// the socket is read and [`Said::Closed`] follows.
    pub(crate) fn start(
        socket: OwnedFd,
        process: ProcessId,
        facts: mpsc::Sender<Fact>,
        finish: oneshot::Receiver<()>,
        tasks: &mut tokio::task::JoinSet<()>,
    ) -> io::Result<Self> {
        let socket = Arc::new(spawn::register(socket, Interest::READABLE | Interest::WRITABLE)?);
        let (queue, outgoing) = mpsc::channel(QUEUE);
        tasks.spawn(read_all(socket.clone(), process, facts, finish));
        tasks.spawn(write_all(socket, outgoing));
        Ok(Self { queue })
    }

    /// Queues a frame; `false` when the node has not read the last [`QUEUE`] of them. One that has hung up is no such node: it is
    /// just ending, which the reading side tells.
    pub(crate) fn send(&self, outgoing: Outgoing) -> bool {
        let sent = self.queue.try_send(outgoing);
        !matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Queues the set-up, with as many frames ahead of it as its descriptors need.
    pub(crate) fn send_setup(&self, setup: Setup, mut fds: Vec<Arc<OwnedFd>>) -> bool {
        while fds.len() > MAX_FDS as usize {
            let rest = fds.split_off(MAX_FDS as usize);
            let head = std::mem::replace(&mut fds, rest);
            if self.queue.try_send(Outgoing { frame: ToNode::Descriptors, fds: head }).is_err() {
                return false;
            }
        }
        self.queue.try_send(Outgoing { frame: ToNode::Setup(Box::new(setup)), fds }).is_ok()
    }
}

/// Reads until the other end closes, breaks a rule, or the process is gone and everything it said was read.
async fn read_all(
    socket: Arc<AsyncFd<OwnedFd>>,
    process: ProcessId,
    facts: mpsc::Sender<Fact>,
    mut finish: oneshot::Receiver<()>,
) {
    let mut input = Input::default();
    loop {
        let more = tokio::select! {
            biased;
            // The process is gone, but something it left behind may still hold its end open.
            _ = &mut finish => input.drain(socket.get_ref()),
            more = input.fill(&socket) => more,
        };
        loop {
            let said = match (input.next_frame(), &more) {
                (Err(what), _) => Said::Garbage(what),
                (Ok(Some(frame)), _) => Said::Frame(frame),
                (Ok(None), More::Open) => break,
                (Ok(None), More::End) if !input.is_empty() => {
                    Said::Garbage("closed the connection in the middle of a frame".into())
                }
                (Ok(None), More::End) => Said::Closed,
            };
            let last = !matches!(said, Said::Frame(_));
            if facts.send(Fact::Said { process, said }).await.is_err() || last {
                return;
            }
        }
    }
}

/// Is there more to come?
enum More {
    Open,
    End,
}

/// Bytes that arrived and are no whole frame yet. Grows as they arrive: a header alone does not cost 16 MB.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
}

impl Input {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Waits until something arrives. Nothing is lost when this is dropped half-way.
    async fn fill(&mut self, socket: &AsyncFd<OwnedFd>) -> More {
        loop {
            let Ok(mut ready) = socket.readable().await else { return More::End };
            match ready.try_io(|fd| self.receive(fd.get_ref())) {
                Ok(Ok(0)) => return More::End,
                Ok(Ok(_)) => return More::Open,
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                // ECONNRESET and the like: the other end is gone.
                Ok(Err(_)) => return More::End,
                Err(_would_block) => {}
            }
        }
    }

    /// Takes what is there, at most one frame of the largest size, and waits for nothing.
    fn drain(&mut self, socket: &OwnedFd) -> More {
        while self.bytes.len() <= MAX_FRAME as usize && matches!(self.receive(socket), Ok(1..)) {}
        More::End
    }

    fn receive(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        let mut chunk = [0; 16 << 10];
        let (_, received) = rustix::net::recv(socket, &mut chunk, RecvFlags::empty())?;
        self.bytes.extend_from_slice(&chunk[..received]);
        Ok(received)
    }

    /// The next whole frame, or what is wrong with it.
    fn next_frame(&mut self) -> Result<Option<ToDaemon>, String> {
        let Some((header, rest)) = self.bytes.split_first_chunk::<8>() else { return Ok(None) };
        let (len, fds) = (u32_at(header, 0), u32_at(header, 4));
        if len > MAX_FRAME {
            return Err(format!("sent a frame of {len} bytes, and {MAX_FRAME} are allowed"));
        }
        if fds != 0 {
            return Err(format!("announced {fds} descriptors, and the daemon takes none"));
        }
        let Some(body) = rest.get(..len as usize) else { return Ok(None) };
        let frame = serde_json::from_slice(body)
            .map_err(|e| format!("sent a frame that is no message of the protocol ({e})"))?;
        self.bytes.drain(..8 + len as usize);
        Ok(Some(frame))
    }
}

/// Ends when the supervisor lets go of the link, or the other end is gone; the reading side reports that.
async fn write_all(socket: Arc<AsyncFd<OwnedFd>>, mut outgoing: mpsc::Receiver<Outgoing>) {
    while let Some(Outgoing { frame, fds }) = outgoing.recv().await {
        let Ok(body) = serde_json::to_vec(&frame) else { return };
        if write_frame(&socket, &body, &fds).await.is_err() {
            return;
        }
    }
}

async fn write_frame(socket: &AsyncFd<OwnedFd>, body: &[u8], fds: &[Arc<OwnedFd>]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(8 + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(fds.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
    let mut sent = 0;
    // The descriptors go with the header alone: they ride on its first byte.
    while sent < bytes.len() {
        let (part, riders) = if sent == 0 { (&bytes[..8], &borrowed[..]) } else { (&bytes[sent..], &[][..]) };
        let mut ready = socket.writable().await?;
        match ready.try_io(|fd| send_some(fd.get_ref().as_fd(), part, riders)) {
            Ok(Ok(n)) => sent += n,
            Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(e)) => return Err(e),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = vec![std::mem::MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(fds).size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one frame"));
    }
    Ok(rustix::net::sendmsg(socket, &[io::IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

fn u32_at(bytes: &[u8; 8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8], fds: u32) -> Vec<u8> {
        [&(body.len() as u32).to_le_bytes()[..], &fds.to_le_bytes()[..], body].concat()
    }

    #[test]
    fn frames_are_found_however_the_bytes_arrive() {
        let whole =
            [frame(br#"{"type":"done"}"#, 0), frame(br#"{"type":"outputs_closed","outputs":[1]}"#, 0)]
                .concat();
        let mut input = Input::default();
        let mut found = Vec::new();
        for byte in whole {
            input.bytes.push(byte);
            found.extend(input.next_frame().unwrap());
        }
        assert!(matches!(found[..], [ToDaemon::Done, ToDaemon::OutputsClosed { .. }]), "{found:?}");
        assert!(input.is_empty());
    }

    #[test]
    fn every_broken_rule_is_named() {
        let table = [
            (frame(b"{}", 1), "1 descriptors"),
            (frame(b"nonsense", 0), "no message of the protocol"),
            (frame(br#"{"type":"made up"}"#, 0), "no message of the protocol"),
            (vec![0xff; 8], "4294967295 bytes"),
        ];
        for (bytes, part) in table {
            let error = Input { bytes }.next_frame().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(
            Input { bytes: vec![1, 0, 0] }.next_frame().unwrap().is_none(),
            "half a header is no mistake yet"
        );
    }
}
