//! Daemons come, speak, and go.

use std::{net::IpAddr, time::Duration};

use dora_protocol::{
    DataflowId,
    control::{DORA_VERSION, DaemonId, DataflowResult, MAX_MACHINE_ID, NodeStatus},
    daemon_link::{DAEMON_DEAD_AFTER, DaemonCommand, DaemonEvent, EventReply, Register},
};
use uuid::Uuid;

use super::{Daemon, Effect, LinkId, Lost, State};
use crate::version;

/// A daemon that was heard within this is alive: another one cannot take its machine id.
const SURELY_ALIVE: Duration = Duration::from_secs(11);
/// Labels of a daemon, and bytes of each.
const MAX_LABELS: usize = 64;

impl State {
    pub(super) fn register(&mut self, link: LinkId, id: Uuid, address: Option<IpAddr>, register: Register) {
        if self.daemons.contains_key(&link) {
            return self.close(link, "registered twice on one connection");
        }
        if let Err(error) = self.may_register(&register) {
            self.effects.push_back(Effect::Answer { link, id, outcome: Err(error.clone()) });
            self.effects.push_back(Effect::Close { link, reason: error });
            return;
        }
        let daemon_id = DaemonId { machine_id: register.machine_id, uuid: register.instance };
        let same_place = |daemon: &Daemon| {
            daemon.id.machine_id == daemon_id.machine_id || daemon.id.uuid == daemon_id.uuid
        };
        let replaced: Vec<LinkId> =
            self.daemons.iter().filter(|(_, daemon)| same_place(daemon)).map(|(link, _)| *link).collect();
        for old in replaced {
            self.close(old, "replaced by a newer connection of the same daemon");
        }
        self.lost.retain(|lost| lost.id.uuid != daemon_id.uuid);
        let last_heard = self.now.mono;
        let labels = register.labels;
        self.daemons
            .insert(link, Daemon { id: daemon_id.clone(), labels, address, last_heard, ft_stats: None });
        let reply = EventReply::Registered { daemon_id, dora_version: DORA_VERSION.to_owned() };
        self.effects.push_back(Effect::Answer { link, id, outcome: Ok(reply) });
    }

    fn may_register(&self, register: &Register) -> Result<(), String> {
        if self.ending.is_some() {
            return Err("the coordinator is ending".to_owned());
        }
        version::check("daemon", &register.dora_version)?;
        let machine = register.machine_id.as_deref();
        if machine.is_some_and(|machine| machine.is_empty() || machine.chars().any(char::is_control)) {
            return Err("the machine id is empty, or has characters that cannot be shown".to_owned());
        }
        if let Some(length) = machine.map(str::len).filter(|length| *length > MAX_MACHINE_ID) {
            return Err(format!("the machine id has {length} bytes; {MAX_MACHINE_ID} are allowed"));
        }
        let long = |(key, value): (&String, &String)| key.len().max(value.len()) > MAX_MACHINE_ID;
        if register.labels.len() > MAX_LABELS || register.labels.iter().any(long) {
            return Err(format!("a daemon may have {MAX_LABELS} labels of {MAX_MACHINE_ID} bytes"));
        }
        let another = self.daemons.values().find(|daemon| {
            daemon.id.machine_id.as_deref() == machine
                && daemon.id.uuid != register.instance
                && self.now.mono - daemon.last_heard < SURELY_ALIVE
        });
        match (another, machine) {
            (None, _) => Ok(()),
            (Some(_), Some(machine)) => Err(format!(
                "a daemon with machine id `{machine}` is connected already; give this one another --machine-id"
            )),
            (Some(_), None) => {
                Err("a daemon without machine id is connected already; give this one a --machine-id"
                    .to_owned())
            }
        }
    }

    pub(super) fn heard(&mut self, link: LinkId) {
        let now = self.now.mono;
        if let Some(daemon) = self.daemons.get_mut(&link) {
            daemon.last_heard = now;
        }
    }

    pub(super) fn daemon_event(
        &mut self,
        link: LinkId,
        id: Uuid,
        daemon: Option<DaemonId>,
        event: DaemonEvent,
    ) {
        let Some(known) = self.daemons.get(&link).map(|daemon| daemon.id.clone()) else {
            return self.close(link, "spoke before it registered");
        };
        if daemon.as_ref() != Some(&known) {
            return self.close(link, "gave another daemon id than it registered with");
        }
        self.heard(link);
        match event {
            DaemonEvent::Register(_) => self.close(link, "registered twice on one connection"),
            DaemonEvent::StatusReport { running_dataflows, finished_dataflows } => {
                self.status_report(link, &known, running_dataflows, finished_dataflows);
                self.effects.push_back(Effect::Answer { link, id, outcome: Ok(EventReply::Accepted) });
            }
            DaemonEvent::Heartbeat { ft_stats } => {
                if let Some(daemon) = self.daemons.get_mut(&link) {
                    daemon.ft_stats = Some(ft_stats);
                }
            }
            DaemonEvent::Exit => self.daemon_ended(link, &known),
            DaemonEvent::SpawnResult { dataflow_id, result, rt_table } if self.owns(&known, dataflow_id) => {
                self.spawn_result(dataflow_id, result, rt_table);
            }
            DaemonEvent::AllNodesFinished { dataflow_id, result } if self.owns(&known, dataflow_id) => {
                self.finish(dataflow_id, result, true);
            }
            DaemonEvent::Log { dataflow_id, messages, dropped } if self.owns(&known, dataflow_id) => {
                self.log_lines(dataflow_id, messages, dropped);
            }
            DaemonEvent::NodeMetrics { dataflow_id, nodes } if self.owns(&known, dataflow_id) => {
                if let Some(flow) = self.flows.get_mut(&dataflow_id).filter(|flow| flow.result.is_none()) {
                    flow.nodes = nodes;
                }
            }
            DaemonEvent::NodeStopped { dataflow_id, node_id, .. } if self.owns(&known, dataflow_id) => {
                let flow = self.flows.get_mut(&dataflow_id);
                let node = flow.and_then(|flow| flow.nodes.iter_mut().find(|state| state.node_id == node_id));
                if let Some(node) = node.filter(|node| node.status != NodeStatus::Failed) {
                    node.status = NodeStatus::Stopped;
                    node.metrics = None;
                }
            }
            // Of a dataflow that is not there, or not its own: forgotten, or moved, while the event was on its way.
            _ => {}
        }
    }

    fn owns(&self, daemon: &DaemonId, id: DataflowId) -> bool {
        self.flows.get(&id).is_some_and(|flow| flow.daemon.as_ref().is_some_and(|of| of.uuid == daemon.uuid))
    }

    /// It breaks the rules, or is replaced.
    pub(super) fn close(&mut self, link: LinkId, reason: &str) {
        self.effects.push_back(Effect::Close { link, reason: reason.to_owned() });
        self.link_gone(link);
    }

    pub(super) fn link_gone(&mut self, link: LinkId) {
        let Some(daemon) = self.daemons.remove(&link) else { return };
        self.lost.push(Lost { id: daemon.id.clone(), dead_at: self.now.mono + DAEMON_DEAD_AFTER });
        self.fail_pending(link, &format!("the connection to daemon {} broke before it answered", daemon.id));
    }

    /// It said so itself: its nodes have ended with it.
    fn daemon_ended(&mut self, link: LinkId, id: &DaemonId) {
        self.daemons.remove(&link);
        self.fail_pending(link, "the daemon has ended");
        self.dead(id, "its daemon has ended");
    }

    /// What ran there is over.
    pub(super) fn dead(&mut self, id: &DaemonId, why: &str) {
        self.lost.retain(|lost| lost.id.uuid != id.uuid);
        for link in self.daemons.keys().copied().collect::<Vec<_>>() {
            self.tell(link, DaemonCommand::PeerDaemonDisconnected { daemon_id: id.clone() });
        }
        let of_it = |flow: &&super::flow::Flow| {
            flow.result.is_none() && flow.daemon.as_ref().is_some_and(|daemon| daemon.uuid == id.uuid)
        };
        let ended: Vec<DataflowId> = self.flows.values().filter(of_it).map(|flow| flow.id).collect();
        for flow in ended {
            self.finish(flow, DataflowResult { error: Some(why.to_owned()), nodes: Vec::new() }, true);
        }
    }
}
