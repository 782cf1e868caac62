//! The state and its one owner's rules. Pure: no clock, no socket, no disk.
//!
//! ```text
//!            Input, Now                         Effects
//!  clients ─────────────►  State::handle  ─────────────►  answers, events, commands, writes
//!  daemons ─────────────►                               (carried out by `owner`, in their order)
//! ```
//!
//! 1. A dataflow that has not ended is known to its daemon, or will be known to have ended by a deadline.
//! 2. What is stored is what a daemon confirmed: a change of the descriptor is kept only after its `Applied`.
//! 3. Every request is answered once, by a daemon's word, by a deadline, or when the coordinator ends.
//! 4. Changes of one dataflow are carried out one after the other.

mod answers;
mod asks;
mod changes;
mod deadlines;
mod ending;
mod flow;
mod lifecycle;
mod links;
mod logs;
mod params;
mod report;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use dora_protocol::{
    DataflowId,
    control::{ControlReply, ControlRequest, DaemonId, DataflowStatus, Event, FtStats},
    daemon_link::{DaemonCommand, DaemonEvent, DaemonReply, DataflowRecord, EventReply, Register},
};
use uuid::Uuid;

use crate::{
    descriptor::Resolved,
    store::{Contents, Write},
};
use answers::Pending;
use flow::Flow;
pub(crate) use logs::weight;

/// A connection of a client.
pub(crate) type ClientId = u64;
/// A connection of a daemon.
pub(crate) type LinkId = u64;

/// A moment: since the coordinator was started, and for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Never goes back.
    pub(crate) mono: Duration,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: u64,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiter {
    pub(crate) client: ClientId,
    /// Of the request.
    pub(crate) id: Uuid,
}

/// A descriptor that was found to be good, and what is to be kept of it.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) record: DataflowRecord,
    pub(crate) resolved: Resolved,
}

/// Something happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A client asks. What `Start` needs was worked out by its connection.
    Ask(Waiter, ControlRequest),
    /// A client wants this started.
    Start(Waiter, Box<Launch>),
    /// A client is gone.
    ClientGone(ClientId),
    /// A daemon introduces itself, on a new connection.
    Register { link: LinkId, id: Uuid, address: Option<IpAddr>, register: Register },
    /// A daemon says something.
    Event { link: LinkId, id: Uuid, daemon: Option<DaemonId>, event: DaemonEvent },
    /// A daemon answers a command.
    Answer { link: LinkId, id: Uuid, outcome: Result<DaemonReply, String> },
    /// A daemon's connection is gone.
    LinkGone(LinkId),
    /// What became of [`Effect::Delete`].
    Deleted(Waiter, Vec<(DataflowId, Result<(), String>)>),
    /// Time has passed.
    Tick,
}

/// Something is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    Reply(Waiter, Box<Result<ControlReply, String>>),
    Event(ClientId, Event),
    Command {
        link: LinkId,
        id: Uuid,
        command: DaemonCommand,
    },
    Answer {
        link: LinkId,
        id: Uuid,
        outcome: Result<EventReply, String>,
    },
    /// Nothing more is said on this connection.
    Close {
        link: LinkId,
        reason: String,
    },
    Store(Write),
    Delete(Vec<DataflowId>, Waiter),
    /// The coordinator ends.
    End,
}

/// Times that a user may set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From `Spawn` until every node must be ready; `None` = as long as it takes.
    pub(crate) spawn_result: Option<Duration>,
}

/// A connected daemon.
#[derive(Clone, Debug)]
struct Daemon {
    id: DaemonId,
    labels: BTreeMap<String, String>,
    address: Option<IpAddr>,
    last_heard: Duration,
    ft_stats: Option<FtStats>,
}

/// A daemon whose connection broke and that is not taken for dead yet.
#[derive(Clone, Debug)]
struct Lost {
    id: DaemonId,
    dead_at: Duration,
}

/// The coordinator is ending.
#[derive(Clone, Debug)]
struct Ending {
    waiters: Vec<Waiter>,
    deadline: Duration,
    done: bool,
}

/// Everything the coordinator knows.
#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    now: Now,
    flows: BTreeMap<DataflowId, Flow>,
    daemons: BTreeMap<LinkId, Daemon>,
    lost: Vec<Lost>,
    pending: BTreeMap<Uuid, Pending>,
    commands: u64,
    next_heartbeat: Duration,
    ending: Option<Ending>,
    effects: VecDeque<Effect>,
}

impl State {
    /// What a store held: dataflows that had not ended are waited for.
    pub(crate) fn new(limits: Limits, now: Now, stored: Contents) -> Self {
        let mut state = Self {
            limits,
            now,
            flows: BTreeMap::new(),
            daemons: BTreeMap::new(),
            lost: Vec::new(),
            pending: BTreeMap::new(),
            commands: 0,
            next_heartbeat: now.mono,
            ending: None,
            effects: VecDeque::new(),
        };
        for (id, flow, parameters) in stored {
            state.flows.insert(id, Flow::recovered(id, flow, parameters, now));
        }
        state
    }

    /// Takes in what happened; [`State::effects`] has what follows.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Ask(waiter, request) => self.ask(waiter, request),
            Input::Start(waiter, launch) => self.start(waiter, *launch),
            Input::ClientGone(client) => self.client_gone(client),
            Input::Register { link, id, address, register } => self.register(link, id, address, register),
            Input::Event { link, id, daemon, event } => self.daemon_event(link, id, daemon, event),
            Input::Answer { link, id, outcome } => self.answer(link, id, outcome),
            Input::LinkGone(link) => self.link_gone(link),
            Input::Deleted(waiter, results) => self.deleted(waiter, results),
            Input::Tick => {}
        }
        self.tick();
    }

    /// What is to be done, in this order. Empties the list.
    pub(crate) fn effects(&mut self) -> VecDeque<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn reply(&mut self, waiter: Waiter, result: Result<ControlReply, String>) {
        self.effects.push_back(Effect::Reply(waiter, Box::new(result)));
    }

    fn store(&mut self, id: DataflowId) {
        let now = self.now.wall_ms;
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.updated_ms = now;
            // Its parameters may have been there before it: a restarted dataflow inherits them.
            if !std::mem::replace(&mut flow.stored, true) {
                self.effects.push_back(Effect::Store(Write::Parameters(id, flow.parameters.clone())));
            }
            self.effects.push_back(Effect::Store(Write::Flow(id, Box::new(flow.to_store()))));
        }
    }

    /// The connection of the daemon that runs this dataflow.
    ///
    /// # Errors
    /// A sentence when it is not connected.
    fn link_of(&self, flow: &Flow) -> Result<LinkId, String> {
        let Some(id) = &flow.daemon else { return Err(format!("{} has no daemon", flow.shown())) };
        let link = self.daemons.iter().find(|(_, daemon)| daemon.id.uuid == id.uuid).map(|(link, _)| *link);
        link.ok_or_else(|| {
            format!(
                "daemon {id}, which runs {}, is not connected to the coordinator at the moment; its nodes go on running. \
                 Try again when it is back (`dora status`)",
                flow.shown()
            )
        })
    }

    /// A dataflow that has not ended.
    fn running(&self, id: DataflowId) -> Result<&Flow, String> {
        match self.flows.get(&id) {
            Some(flow) if !flow.status.has_ended() => Ok(flow),
            Some(flow) => Err(format!(
                "no running dataflow with ID {id}: {} has {}",
                flow.shown(),
                if flow.status == DataflowStatus::Failed { "failed" } else { "finished" }
            )),
            None => Err(format!("no running dataflow with ID {id}; `dora list` shows those that there are")),
        }
    }

    fn known(&self, id: DataflowId) -> Result<&Flow, String> {
        self.flows
            .get(&id)
            .ok_or_else(|| format!("no dataflow with ID {id}; `dora list` shows those that there are"))
    }

    /// By name: one that has not ended, or else, when `ended` may be meant, the latest.
    fn named(&self, name: &str, ended: bool) -> Result<DataflowId, String> {
        let mut of_name = self.flows.values().rev().filter(|flow| flow.record.name.as_deref() == Some(name));
        let found = of_name.clone().find(|flow| !flow.status.has_ended());
        match found.or_else(|| of_name.next().filter(|_| ended)) {
            Some(flow) => Ok(flow.id),
            None if ended => {
                Err(format!("no dataflow is called `{name}`; `dora list` shows those that there are"))
            }
            None => {
                Err(format!("no running dataflow is called `{name}`; `dora list` shows those that there are"))
            }
        }
    }
}
