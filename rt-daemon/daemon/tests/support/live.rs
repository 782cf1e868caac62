//! A test node whose wiring changes while it runs: it obeys every frame and counts what it reads.

use std::{collections::BTreeMap, os::fd::OwnedFd, time::Duration};

use dora_protocol::node_link::{InputEdge, InputSource, OutputEdge, ToDaemon, ToNode};
use lockfree_ipc::{Doorbell, Header, Publisher, StatusPage, Subscriber, clock};
use rustix::event::{PollFd, PollFlags, poll};

use super::node::{TestNode, describe, hear, say};

/// What was heard that is not about the wiring.
pub type Heard = Vec<String>;

pub struct Live {
    pub node: TestNode,
    pub status: StatusPage,
    pub inputs: Vec<LiveInput>,
    pub outputs: Vec<Publisher>,
}

#[derive(Default)]
pub struct LiveInput {
    pub id: String,
    pub closed: bool,
    pub edges: BTreeMap<u32, LiveEdge>,
}

pub struct LiveEdge {
    pub sender: String,
    pub subscriber: Subscriber,
    pub closed: bool,
    /// Its sender has still to hear that it is closed.
    pub awaited: bool,
}

impl Live {
    /// Up to and including Start.
    pub fn connect() -> Self {
        Self::on(TestNode::connect_only())
    }

    pub fn on(mut node: TestNode) -> Self {
        let status = node.status();
        let outputs = (0..node.setup.outputs.len()).map(|output| node.publisher(output)).collect();
        let inputs = (0..node.setup.inputs.len()).map(|input| LiveInput::of(&mut node, input)).collect();
        let (node, _) = node.ready(Vec::new());
        Self { node, status, inputs, outputs }
    }

    /// Obeys what the daemon has said so far, and waits at most so long for its first word.
    pub fn obey(&mut self, wait: Duration) -> Heard {
        let mut heard = Heard::new();
        let mut wait = wait;
        loop {
            let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as i64 };
            let ready = poll(&mut [PollFd::new(&self.node.socket, PollFlags::IN)], Some(&timeout)).unwrap();
            if ready == 0 {
                return heard;
            }
            let Some((frame, fds)) = hear(&self.node.socket) else {
                heard.push("gone".into());
                return heard;
            };
            heard.extend(self.frame(frame, fds.into_iter().map(Some).collect()));
            wait = Duration::ZERO;
        }
    }

    fn frame(&mut self, frame: ToNode, mut fds: Vec<Option<OwnedFd>>) -> Option<String> {
        match frame {
            ToNode::EdgeAdded { input, edge } => {
                let input = &mut self.inputs[input as usize];
                input.closed = false;
                input.add(edge, &mut fds);
            }
            ToNode::EdgeClosed { input, edge, sender_lives } => {
                let edges = &mut self.inputs[input as usize].edges;
                let edges = edges.get_mut(&edge).into_iter();
                edges.for_each(|edge| (edge.closed, edge.awaited) = (true, sender_lives));
            }
            ToNode::InputClosed { input } => {
                self.inputs[input as usize].closed = true;
                return Some(format!("closed {}", self.inputs[input as usize].id));
            }
            ToNode::InputAdded { input } => {
                let mut live = LiveInput { id: input.id.to_string(), ..LiveInput::default() };
                if let InputSource::Edges { edges } = input.source {
                    edges.into_iter().for_each(|edge| live.add(edge, &mut fds));
                }
                let text = format!("new input {}", live.id);
                self.inputs.push(live);
                return Some(text);
            }
            ToNode::ReaderAdded { output, edge } => {
                add_reader(&mut self.outputs[output as usize], &edge, &mut fds)
            }
            ToNode::ReaderGone { output, edge } => self.outputs[output as usize].remove_edge(edge),
            ToNode::ReaderLeft { output, edge } => {
                self.outputs[output as usize].leave(edge);
            }
            ToNode::ReaderRestarted { output, edge, head } => {
                self.outputs[output as usize].reader_restarted(edge, head).unwrap();
            }
            other => return Some(describe(&other)),
        }
        None
    }

    /// Everything that is in the rings: input, sender, number.
    pub fn take(&mut self) -> Vec<(usize, String, u64)> {
        let mut taken = Vec::new();
        for (position, input) in self.inputs.iter_mut().enumerate() {
            for edge in input.edges.values_mut() {
                while let Some(sample) = edge.subscriber.take().unwrap() {
                    self.status.input(position as u32).received(1);
                    let number = u64::from_le_bytes(sample.payload()[..8].try_into().unwrap());
                    taken.push((position, edge.sender.clone(), number));
                }
            }
            input.edges.retain(|_, edge| {
                let comes_more = !edge.closed || edge.awaited && !edge.subscriber.sender_left();
                comes_more || edge.subscriber.queued() > 0
            });
        }
        taken
    }

    /// Sends a number in a message of so many bytes. False when there was no room for it: this node has one thread, and one
    /// that waits for a reader does not hear that it is gone.
    pub fn send(&mut self, output: usize, number: u64, bytes: usize) -> bool {
        if self.outputs[output].would_block() {
            return false;
        }
        let Ok(mut loan) = self.outputs[output].loan(bytes.max(8), 0) else { return false };
        loan.payload_mut()[..8].copy_from_slice(&number.to_le_bytes());
        let header = Header { send_ns: clock::monotonic_ns(), type_id: 1, ..Header::default() };
        self.outputs[output].send(loan, &header);
        self.status.output(output as u32).sent(bytes as u64, true);
        true
    }

    pub fn done(&self) {
        say(&self.node.socket, &ToDaemon::Done);
    }
}

impl LiveInput {
    fn of(node: &mut TestNode, position: usize) -> Self {
        let wiring = node.setup.inputs[position].clone();
        let mut live = Self { id: wiring.id.to_string(), ..Self::default() };
        if let InputSource::Edges { edges } = wiring.source {
            edges.into_iter().for_each(|edge| live.add(edge, &mut node.fds));
        }
        live
    }

    fn add(&mut self, edge: InputEdge, fds: &mut [Option<OwnedFd>]) {
        let (ring, arena) =
            (fds[edge.edge as usize].take().unwrap(), fds[edge.arena as usize].take().unwrap());
        let sender = edge.sender.map(|sender| sender.to_string()).unwrap_or_default();
        let subscriber = Subscriber::open(ring, arena).unwrap();
        let known = self
            .edges
            .insert(edge.number, LiveEdge { sender, subscriber, closed: edge.closed, awaited: false });
        assert!(known.is_none(), "edge {} of input {} was added twice", edge.number, self.id);
    }
}

fn add_reader(publisher: &mut Publisher, edge: &OutputEdge, fds: &mut [Option<OwnedFd>]) {
    let mut fd = |index: u32| fds[index as usize].take().unwrap();
    let (ring, word, eventfd) = (fd(edge.edge), fd(edge.doorbell), fd(edge.eventfd));
    assert!(publisher.edge_numbers().all(|n| n != edge.number), "reader {} was added twice", edge.number);
    publisher.add_edge(edge.number, ring, Doorbell::open(word, Some(eventfd)).unwrap()).unwrap();
}

/// Plays `beat`, `collect` or `relay`, which end with Done when they are told to stop, or `exits with 7`; false for other roles.
pub fn play(role: &str) -> bool {
    let mut live = match role {
        "beat" | "collect" | "relay" | "beat until killed" | "collect until closed" | "exits with 7" => {
            Live::connect()
        }
        _ => return false,
    };
    println!("pid {}", std::process::id());
    println!("up {}", live.node.setup.run.restart_count);
    if role == "exits with 7" {
        std::process::exit(7);
    }
    let mut next = 0;
    loop {
        let mut heard = live.obey(Duration::from_micros(if role.starts_with("beat") { 1000 } else { 300 }));
        heard.iter().for_each(|text| println!("{text}"));
        let taken = live.take();
        for (input, sender, number) in &taken {
            println!("read {} {sender} {number}", live.inputs[*input].id);
            while role == "relay" && !live.send(0, *number, 8) {
                let more = live.obey(Duration::from_millis(1));
                more.iter().for_each(|text| println!("{text}"));
                heard.extend(more);
            }
        }
        if role.starts_with("beat") {
            // Every other message needs a slot.
            next += u64::from(live.send(0, next, if next.is_multiple_of(2) { 8 } else { 200 }));
        }
        let closed = live.inputs.iter().all(|i| i.closed) && taken.is_empty();
        if heard.iter().any(|text| text == "stop" || text == "gone")
            || (role == "collect until closed" && closed)
        {
            println!("sent {next}");
            live.done();
            return true;
        }
    }
}
