//! Commands that are under way, and what follows from their answers.

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{ControlReply, Delivery},
    daemon_link::{DaemonCommand, DaemonReply},
};
use uuid::Uuid;

use super::{Effect, LinkId, State, Waiter, changes::Applying};

/// Commands that one daemon may have to answer.
const MAX_COMMANDS: usize = 1024;
/// A daemon answers what takes no time within this.
const SOON: Duration = Duration::from_secs(30);
/// Time for the processes of new nodes to come up, beside the grace of old ones.
const COMING_UP: Duration = Duration::from_secs(120);
/// Grace when nobody says otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A command that has not been answered.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) link: LinkId,
    /// `None`: whoever asked was told that it takes too long, and the answer is still of interest.
    pub(super) deadline: Option<Duration>,
    pub(super) then: Then,
}

/// What follows from the answer.
#[derive(Debug)]
pub(super) enum Then {
    /// To `Spawn`. `reply` goes to the waiter when the daemon has accepted.
    Spawned { id: DataflowId, starting: Option<(Waiter, Box<ControlReply>)> },
    /// To `StopDataflow`: its end is an event of its own.
    Stopping { id: DataflowId },
    /// `Done` means this.
    Reply { waiter: Waiter, done: Box<ControlReply> },
    /// To `Logs`; `unknown` is the error when there are none.
    Logs { waiter: Waiter, unknown: Option<String> },
    /// To anything that changes a running dataflow.
    Changed(Box<Applying>),
    /// To `StateCatchUp`, after `SetParam` or (with `deleted`) `DeleteParam`.
    Parameter { waiter: Waiter, deleted: bool },
    /// Nobody waits.
    Nothing(&'static str),
    /// To `Destroy`.
    Destroyed,
}

/// How long a node may take to go: the event, SIGTERM after the grace, SIGKILL after half of it again.
pub(super) fn time_to_stop(grace: Option<Duration>) -> Duration {
    grace.unwrap_or(GRACE).saturating_mul(3) / 2 + SOON
}

fn time_for(command: &DaemonCommand) -> Duration {
    match command {
        DaemonCommand::StopNode { grace_duration, .. } => time_to_stop(*grace_duration),
        DaemonCommand::RestartNode { grace_duration, .. } | DaemonCommand::Apply { grace_duration, .. } => {
            time_to_stop(*grace_duration).saturating_add(COMING_UP)
        }
        _ => SOON,
    }
}

impl Then {
    fn is_still_of_interest(&self) -> bool {
        matches!(self, Then::Spawned { .. } | Then::Changed(_))
    }
}

impl State {
    /// Sends a command that is answered.
    pub(super) fn command(&mut self, link: LinkId, command: DaemonCommand, then: Then) {
        if self.pending.values().filter(|pending| pending.link == link).count() >= MAX_COMMANDS {
            let error = format!("the daemon has {MAX_COMMANDS} requests to answer already; try again later");
            return self.answered(then, Err(error));
        }
        self.commands += 1;
        let id = Uuid::from_u128(self.commands.into());
        let deadline = Some(self.now.mono.saturating_add(time_for(&command)));
        self.pending.insert(id, Pending { link, deadline, then });
        self.effects.push_back(Effect::Command { link, id, command });
    }

    /// Sends a command that is not answered.
    pub(super) fn tell(&mut self, link: LinkId, command: DaemonCommand) {
        self.effects.push_back(Effect::Command { link, id: Uuid::nil(), command });
    }

    /// The answer to a command. One that nobody waits for any more, or that was never asked for, is ignored.
    pub(super) fn answer(&mut self, link: LinkId, id: Uuid, outcome: Result<DaemonReply, String>) {
        self.heard(link);
        if self.pending.get(&id).is_some_and(|pending| pending.link == link)
            && let Some(pending) = self.pending.remove(&id)
        {
            self.answered(pending.then, outcome);
        }
    }

    /// Everything that was under way on a connection that broke.
    pub(super) fn fail_pending(&mut self, link: LinkId, why: &str) {
        let ids: Vec<Uuid> =
            self.pending.iter().filter(|(_, pending)| pending.link == link).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(pending) = self.pending.remove(&id) {
                self.answered(pending.then, Err(why.to_owned()));
            }
        }
    }

    /// Those whose daemon takes too long.
    pub(super) fn expire_pending(&mut self) {
        let now = self.now.mono;
        let late: Vec<Uuid> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            pending.deadline = None;
            let error =
                "the daemon did not answer in time; it may still carry the request out (`dora list` shows)";
            let waiter = match &mut pending.then {
                Then::Spawned { starting, .. } => starting.take().map(|(waiter, _)| waiter),
                Then::Changed(applying) => applying.waiter.take(),
                _ => None,
            };
            if let Some(waiter) = waiter {
                self.reply(waiter, Err(error.to_owned()));
            }
            if self.pending.get(&id).is_some_and(|pending| !pending.then.is_still_of_interest())
                && let Some(pending) = self.pending.remove(&id)
            {
                self.answered(pending.then, Err(error.to_owned()));
            }
        }
    }

    pub(super) fn answered(&mut self, then: Then, outcome: Result<DaemonReply, String>) {
        match then {
            Then::Spawned { id, starting } => self.spawn_accepted(id, starting, outcome.map(drop)),
            Then::Stopping { id } => {
                if let Err(error) = outcome {
                    self.stop_refused(id, &error);
                }
            }
            Then::Reply { waiter, done } => self.reply(waiter, outcome.map(|_| *done)),
            Then::Logs { waiter, unknown } => self.reply(waiter, logs(outcome, unknown)),
            Then::Changed(applying) => self.changed(*applying, outcome),
            Then::Parameter { waiter, deleted } => {
                let reply = |delivery| match deleted {
                    true => ControlReply::ParamDeleted(delivery),
                    false => ControlReply::ParamSet(delivery),
                };
                // It is stored, whatever became of the way to the daemon; the next report is compared with it.
                let delivery = if outcome.is_ok() { Delivery::Delivered } else { Delivery::Stored };
                self.reply(waiter, Ok(reply(delivery)));
            }
            Then::Nothing(what) => {
                if let Err(error) = outcome {
                    tracing::warn!("{what}: {error}");
                }
            }
            Then::Destroyed => self.maybe_end(),
        }
    }
}

fn logs(outcome: Result<DaemonReply, String>, unknown: Option<String>) -> Result<ControlReply, String> {
    match (outcome?, unknown) {
        (DaemonReply::Logs { text, .. }, Some(error)) if text.is_empty() => Err(error),
        (DaemonReply::Logs { text, left_out_bytes }, _) => Ok(ControlReply::Logs { text, left_out_bytes }),
        _ => Err("the daemon answered something else than log lines".to_owned()),
    }
}
