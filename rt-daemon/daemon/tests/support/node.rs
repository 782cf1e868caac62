//! The node side of the protocol, as plain as it can be.

#![allow(unsafe_code, reason = "takes over the inherited socket by its number")]

use std::{
    os::{
        fd::{AsFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use dora_protocol::{
    node_link::{
        ENV_NODE_CONFIG, InputSource, MAX_FDS, MAX_FRAME, NodeEnv, Setup, ToDaemon, ToNode, VERSION,
    },
    rt::SetupStep,
};
use lockfree_ipc::{Doorbell, Header, Publisher, StatusPage, Subscriber, clock, fdpass};

pub struct TestNode {
    pub socket: OwnedFd,
    pub setup: Setup,
    pub fds: Vec<Option<OwnedFd>>,
}

/// The inherited socket; call once.
pub fn socket() -> OwnedFd {
    let config = std::env::var(ENV_NODE_CONFIG).unwrap();
    let env: NodeEnv = serde_json::from_str(&config).unwrap();
    assert_eq!(env.version, VERSION);
    // SAFETY: the daemon passed this number down for us alone, and this is the only call in the process.
    unsafe { OwnedFd::from_raw_fd(env.socket_fd) }
}

pub fn say(socket: &OwnedFd, frame: &ToDaemon) {
    fdpass::send_frame(socket.as_fd(), &serde_json::to_vec(frame).unwrap(), &[]).unwrap();
}

/// `None` when the daemon is gone.
pub fn hear(socket: &OwnedFd) -> Option<(ToNode, Vec<OwnedFd>)> {
    let (body, fds) = fdpass::recv_frame(socket.as_fd(), MAX_FRAME, MAX_FDS).ok().flatten()?;
    Some((serde_json::from_slice(&body).unwrap(), fds))
}

pub fn hello(version: u32) -> ToDaemon {
    ToDaemon::Hello { version, api: "test".into(), pid: std::process::id() }
}

impl TestNode {
    /// Up to and including Start. Ends the process when the daemon refuses.
    pub fn connect() -> (Self, u64) {
        Self::connect_only().ready(Vec::new())
    }

    /// From the wiring to Start.
    pub fn ready(self, setup: Vec<SetupStep>) -> (Self, u64) {
        let main_tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        say(&self.socket, &ToDaemon::Ready { setup, main_tid });
        match hear(&self.socket) {
            Some((ToNode::Start { epoch_ns }, _)) => (self, epoch_ns),
            Some((ToNode::Refused { reason }, _)) => {
                println!("refused: {reason}");
                std::process::exit(1);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Up to the wiring.
    pub fn connect_only() -> Self {
        let socket = socket();
        say(&socket, &hello(VERSION));
        let mut fds = Vec::new();
        loop {
            let (frame, more) = hear(&socket).unwrap();
            fds.extend(more.into_iter().map(Some));
            match frame {
                ToNode::Descriptors => {}
                ToNode::Setup(setup) => return Self { socket, setup: *setup, fds },
                ToNode::Refused { reason } => {
                    println!("refused: {reason}");
                    std::process::exit(1);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes the place of a dynamic node; up to the wiring, or why not.
    pub fn attach(path: &Path, place: &str) -> Result<Self, String> {
        let socket = OwnedFd::from(UnixStream::connect(path).unwrap());
        say(&socket, &ToDaemon::Attach { node_id: place.parse().unwrap(), dataflow_id: None });
        // Whoever was refused already does not hear this.
        let hello = serde_json::to_vec(&hello(VERSION)).unwrap();
        fdpass::send_frame(socket.as_fd(), &hello, &[]).ok();
        let mut fds = Vec::new();
        loop {
            let (frame, more) = hear(&socket).ok_or("it hung up")?;
            fds.extend(more.into_iter().map(Some));
            match frame {
                ToNode::Descriptors => {}
                ToNode::Setup(setup) => return Ok(Self { socket, setup: *setup, fds }),
                ToNode::Refused { reason } => return Err(reason),
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn fd(&mut self, index: u32) -> OwnedFd {
        self.fds[index as usize].take().expect("each descriptor has a number of its own")
    }

    pub fn status(&mut self) -> StatusPage {
        let fd = self.fd(self.setup.status);
        StatusPage::open(fd).unwrap()
    }

    pub fn publisher(&mut self, output: usize) -> Publisher {
        let wiring = self.setup.outputs[output].clone();
        let arena = self.fd(wiring.arena);
        let mut publisher = Publisher::open(arena, wiring.max_message_bytes, wiring.depth).unwrap();
        for edge in wiring.edges {
            let (fd, word, eventfd) = (self.fd(edge.edge), self.fd(edge.doorbell), self.fd(edge.eventfd));
            publisher.add_edge(edge.number, fd, Doorbell::open(word, Some(eventfd)).unwrap()).unwrap();
        }
        publisher
    }

    pub fn subscriber(&mut self, input: usize) -> Subscriber {
        match self.setup.inputs[input].source.clone() {
            InputSource::Edges { edges } => {
                let (edge, arena) = (self.fd(edges[0].edge), self.fd(edges[0].arena));
                Subscriber::open(edge, arena).unwrap()
            }
            InputSource::Timer { .. } => panic!("a timer has no edge"),
        }
    }

    /// Prints every frame until `last` says so. The daemon going away is a frame, too: `gone`.
    pub fn print_frames(&self, last: impl Fn(&str) -> bool) {
        loop {
            let text = match hear(&self.socket) {
                None => "gone".to_owned(),
                Some((frame, _)) => describe(&frame),
            };
            println!("{text}");
            if last(&text) || text == "gone" {
                return;
            }
        }
    }
}

pub fn describe(frame: &ToNode) -> String {
    match frame {
        ToNode::Stop => "stop".into(),
        ToNode::InputClosed { input } => format!("closed {input}"),
        ToNode::NodeFailed { node, error, inputs } => format!("failed {node} {inputs:?} {error}"),
        ToNode::ReaderGone { output, edge } => format!("reader gone {output} {edge}"),
        ToNode::ExtensionReply { request, result } => format!("reply {request} {result:?}"),
        ToNode::ExtensionDropped { ns, keys } => format!("dropped {ns} {keys:?}"),
        other => format!("{other:?}"),
    }
}

pub fn send(publisher: &mut Publisher, bytes: &[u8]) -> u32 {
    let mut loan = publisher.loan(bytes.len(), 0).unwrap();
    loan.payload_mut().copy_from_slice(bytes);
    publisher.send(loan, &Header { send_ns: clock::monotonic_ns(), type_id: 1, ..Header::default() }).readers
}
