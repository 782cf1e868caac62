//! The one task that owns the state: takes in what connections send, and carries out what follows.
//!
//! It never waits for a socket or the disk. Connections wait for it when it is busy, each for itself; clients and daemons have queues
//! of their own, so that a daemon whose nodes print a lot does not hold up an answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use dora_protocol::{
    DataflowId,
    control::{ControlReply, Event, MAX_ERROR},
    daemon_link::{DaemonCommand, EventReply},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use crate::{
    outbox::Outbox,
    state::{ClientId, Effect, Input, LinkId, Now, State, Waiter},
    store::writer::Writer,
};

/// Messages of clients that may wait for the owner.
const WAITING: usize = 1024;
/// Of daemons. Few, because a frame may hold hundreds of lines: the end of a dataflow waits behind those that came before it.
const WAITING_FRAMES: usize = 16;
/// After so many messages the owner lets other tasks run.
const AT_ONCE: usize = 64;

/// To a daemon.
#[derive(Debug)]
pub(crate) enum ToLink {
    Command(Uuid, DaemonCommand),
    Answer(Uuid, Result<EventReply, String>),
    Close(String),
}

/// From a connection.
#[derive(Debug)]
pub(crate) enum Message {
    Client(ClientId, Arc<Outbox>),
    Link(LinkId, mpsc::UnboundedSender<ToLink>),
    Input(Input),
}

/// How connections reach the owner.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    clients: mpsc::Sender<Message>,
    links: mpsc::Sender<Message>,
    next: Arc<AtomicU64>,
}

/// The owner has ended.
#[derive(Debug)]
pub(crate) struct Ended;

impl Handle {
    /// A number for a connection.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    pub(crate) async fn client_says(&self, message: Message) -> Result<(), Ended> {
        self.clients.send(message).await.map_err(|_| Ended)
    }

    pub(crate) async fn link_says(&self, message: Message) -> Result<(), Ended> {
        self.links.send(message).await.map_err(|_| Ended)
    }
}

/// The task's own part.
#[derive(Debug)]
pub(crate) struct Owner {
    state: State,
    started: Instant,
    from_clients: mpsc::Receiver<Message>,
    from_links: mpsc::Receiver<Message>,
    deleted: (mpsc::UnboundedSender<Input>, mpsc::UnboundedReceiver<Input>),
    clients: BTreeMap<ClientId, Arc<Outbox>>,
    links: BTreeMap<LinkId, mpsc::UnboundedSender<ToLink>>,
    writer: Writer,
    ended: bool,
}

/// Milliseconds since 1970.
fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Owner {
    pub(crate) fn new(state: impl FnOnce(Now) -> State, writer: Writer) -> (Self, Handle) {
        let (clients, from_clients) = mpsc::channel(WAITING);
        let (links, from_links) = mpsc::channel(WAITING_FRAMES);
        let owner = Self {
            state: state(Now { wall_ms: wall_ms(), ..Now::default() }),
            started: Instant::now(),
            from_clients,
            from_links,
            deleted: mpsc::unbounded_channel(),
            clients: BTreeMap::new(),
            links: BTreeMap::new(),
            writer,
            ended: false,
        };
        (owner, Handle { clients, links, next: Arc::new(AtomicU64::new(1)) })
    }

    /// Until the coordinator is told to end, by a client or by `stop`. The store is whole when this returns.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !self.ended {
            let deadline = self.state.next_deadline().map(|after| self.started + after);
            let tick = async move {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(message) = self.from_clients.recv() => self.take(message, true),
                Some(message) = self.from_links.recv() => self.take(message, false),
                Some(input) = self.deleted.1.recv() => self.handle(input),
                () = tick => self.handle(Input::Tick),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.state.leave();
        for effect in self.state.effects() {
            self.carry_out(effect);
        }
        for outbox in self.clients.values() {
            outbox.close();
        }
        // Links close with their senders.
        self.links.clear();
        let writer = self.writer;
        if tokio::task::spawn_blocking(move || writer.finish()).await.is_err() {
            tracing::warn!("the store could not be closed");
        }
    }

    /// This one, and what else has come from the same side.
    fn take(&mut self, first: Message, of_client: bool) {
        self.message(first);
        for _ in 1..AT_ONCE {
            let queue = if of_client { &mut self.from_clients } else { &mut self.from_links };
            let Ok(message) = queue.try_recv() else { break };
            self.message(message);
            if self.ended {
                break;
            }
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Client(id, outbox) => drop(self.clients.insert(id, outbox)),
            Message::Link(id, sender) => drop(self.links.insert(id, sender)),
            Message::Input(input) => {
                match &input {
                    Input::ClientGone(id) => drop(self.clients.remove(id)),
                    Input::LinkGone(id) => drop(self.links.remove(id)),
                    _ => {}
                }
                self.handle(input);
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let now = Now { mono: self.started.elapsed(), wall_ms: wall_ms() };
        self.state.handle(now, input);
        for effect in self.state.effects() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(Waiter { client, id }, mut result) => {
                if let Err(error) = result.as_mut() {
                    shorten(error);
                }
                // A client that has gone does not want to know.
                if let Some(outbox) = self.clients.get(&client) {
                    outbox.reply(id, result);
                }
            }
            Effect::Event(client, event) => {
                if let Some(outbox) = self.clients.get(&client) {
                    outbox.event(dataflow_of(&event), event);
                }
            }
            Effect::Command { link, id, command } => self.to_link(link, ToLink::Command(id, command)),
            Effect::Answer { link, id, outcome } => self.to_link(link, ToLink::Answer(id, outcome)),
            Effect::Close { link, reason } => {
                self.to_link(link, ToLink::Close(reason));
                self.links.remove(&link);
            }
            Effect::Store(change) => self.writer.write(change),
            Effect::Delete(ids, waiter) => {
                let tell = self.deleted.0.clone();
                // Nobody is left to be told when the coordinator has ended.
                let done = move |results| tell.send(Input::Deleted(waiter, results)).unwrap_or_default();
                self.writer.delete(ids, Box::new(done));
            }
            Effect::End => self.ended = true,
        }
    }

    fn to_link(&self, link: LinkId, message: ToLink) {
        if let Some(sender) = self.links.get(&link) {
            // Its connection is closing: the state hears of that next.
            sender.send(message).unwrap_or_default();
        }
    }
}

/// What the event is about, for the count of dropped ones.
fn dataflow_of(event: &Event) -> DataflowId {
    match event {
        Event::Log(line) => line.dataflow_id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default(),
        Event::Dropped { dataflow_id, .. } | Event::Finished { dataflow_id, .. } => *dataflow_id,
    }
}

/// Cuts an error text to what the protocol allows.
pub(crate) fn shorten(error: &mut String) {
    const END: &str = " …";
    if error.len() > MAX_ERROR {
        let mut at = MAX_ERROR - END.len();
        while !error.is_char_boundary(at) {
            at -= 1;
        }
        error.truncate(at);
        error.push_str(END);
    }
}

/// The client's own address is known to its connection only.
pub(crate) fn with_address(result: &mut Result<ControlReply, String>, peer: std::net::IpAddr) {
    if let Ok(ControlReply::CliAndDefaultDaemonIps { cli, .. }) = result {
        *cli = Some(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_characters() {
        for text in ["é".repeat(5000), "x".repeat(5000), "…".repeat(2000)] {
            let mut error = text;
            shorten(&mut error);
            assert!(error.len() <= MAX_ERROR && error.ends_with('…'), "{}", error.len());
        }
        let mut short = "short".to_owned();
        shorten(&mut short);
        assert_eq!(short, "short");
    }
}
