//! What clients ask, handed to the part that knows.

use dora_protocol::{
    NodeId,
    control::{ControlReply, ControlRequest, DORA_VERSION, DaemonInfo},
    daemon_link::DaemonCommand,
};

use super::{
    ClientId, State, Waiter,
    answers::Then,
    changes::{Change, EditKind},
};
use crate::{descriptor, version};

/// Most bytes of log files in one answer.
const MAX_LOG_BYTES: u64 = 16 << 20;

impl State {
    pub(super) fn ask(&mut self, waiter: Waiter, request: ControlRequest) {
        if self.ending.is_some() && !matches!(request, ControlRequest::Destroy) {
            return self.reply(waiter, Err("the coordinator is ending".to_owned()));
        }
        match request {
            ControlRequest::Stop { dataflow_uuid, grace_duration, force } => {
                self.stop(waiter, dataflow_uuid, grace_duration, force);
            }
            ControlRequest::StopByName { name, grace_duration, force } => match self.named(&name, false) {
                Ok(id) => self.stop(waiter, id, grace_duration, force),
                Err(error) => self.reply(waiter, Err(error)),
            },
            ControlRequest::Restart { dataflow_uuid, grace_duration, force, original } => {
                self.restart(waiter, dataflow_uuid, grace_duration, force, original);
            }
            ControlRequest::RestartByName { name, grace_duration, force, original } => {
                match self.named(&name, true) {
                    Ok(id) => self.restart(waiter, id, grace_duration, force, original),
                    Err(error) => self.reply(waiter, Err(error)),
                }
            }
            ControlRequest::WaitForSpawn { dataflow_id } => self.wait_for_spawn(waiter, dataflow_id),
            ControlRequest::WaitForFinish { dataflow_id } => self.wait_for_finish(waiter, dataflow_id),
            ControlRequest::Clean => self.clean(waiter),
            ControlRequest::Destroy => self.destroy(waiter),
            ControlRequest::LogSubscribe { dataflow_id, level } => {
                self.log_subscribe(waiter, dataflow_id, level)
            }
            request @ (ControlRequest::Logs { .. } | ControlRequest::Reload { .. }) => {
                if let Err(error) = self.ask_daemon(waiter, request) {
                    self.reply(waiter, Err(error));
                }
            }
            request @ (ControlRequest::GetParams { .. }
            | ControlRequest::GetParam { .. }
            | ControlRequest::SetParam { .. }
            | ControlRequest::DeleteParam { .. }) => self.parameter(waiter, request),
            request @ (ControlRequest::RestartNode { .. }
            | ControlRequest::StopNode { .. }
            | ControlRequest::AddNode { .. }
            | ControlRequest::RemoveNode { .. }
            | ControlRequest::ReplaceNode { .. }
            | ControlRequest::AddMapping { .. }
            | ControlRequest::RemoveMapping { .. }
            | ControlRequest::ApplyPatch { .. }) => self.ask_change(waiter, request),
            request => {
                let result = self.look(waiter, request);
                self.reply(waiter, result);
            }
        }
    }

    /// What is answered at once and changes nothing.
    fn look(&mut self, waiter: Waiter, request: ControlRequest) -> Result<ControlReply, String> {
        Ok(match request {
            ControlRequest::Hello { dora_version } => {
                version::check("client", &dora_version)?;
                ControlReply::HelloOk { dora_version: DORA_VERSION.to_owned() }
            }
            ControlRequest::Check { dataflow_uuid } => {
                ControlReply::DataflowChecked(Box::new(self.known(dataflow_uuid)?.entry()))
            }
            ControlRequest::Info { dataflow_uuid } => {
                ControlReply::DataflowInfo(Box::new(self.known(dataflow_uuid)?.info()))
            }
            ControlRequest::List => {
                ControlReply::DataflowList(self.flows.values().map(super::flow::Flow::entry).collect())
            }
            ControlRequest::GetNodeInfo => ControlReply::NodeInfoList(self.node_infos()),
            ControlRequest::DaemonConnected => ControlReply::DaemonConnected(!self.daemons.is_empty()),
            ControlRequest::ConnectedMachines => ControlReply::ConnectedDaemons(self.daemon_infos()),
            ControlRequest::CliAndDefaultDaemonOnSameMachine => {
                let default = self.daemons.values().find(|daemon| daemon.id.machine_id.is_none());
                let default = default.or_else(|| self.daemons.values().next());
                // The connection of the client knows its own address and fills it in.
                ControlReply::CliAndDefaultDaemonIps {
                    default_daemon: default.and_then(|d| d.address),
                    cli: None,
                }
            }
            other => {
                let text = format!("the coordinator has no way to answer {other:?} to {}", waiter.id);
                return Err(text);
            }
        })
    }

    fn daemon_infos(&self) -> Vec<DaemonInfo> {
        let mut all: Vec<DaemonInfo> = self
            .daemons
            .values()
            .map(|daemon| DaemonInfo {
                daemon_id: daemon.id.clone(),
                labels: daemon.labels.clone(),
                last_heartbeat_ago_ms: u64::try_from((self.now.mono - daemon.last_heard).as_millis())
                    .unwrap_or(u64::MAX),
                ft_stats: daemon.ft_stats,
            })
            .collect();
        all.sort_by(|a, b| a.daemon_id.cmp(&b.daemon_id));
        all
    }

    /// What only the daemon can do.
    fn ask_daemon(&mut self, waiter: Waiter, request: ControlRequest) -> Result<(), String> {
        match request {
            ControlRequest::Logs { uuid, name, node, tail } => {
                let id = match (uuid, name) {
                    (Some(id), None) => id,
                    (None, Some(name)) => self.named(&name, true)?,
                    _ => return Err("`Logs` needs one of `uuid` and `name`".to_owned()),
                };
                let flow = self.known(id)?;
                let link = self.link_of_logs(flow)?;
                let unknown = node.as_ref().and_then(|node| flow.has_node(node).err());
                let nodes: Vec<NodeId> = node.map_or_else(|| flow.node_ids.clone(), |node| vec![node]);
                let command = DaemonCommand::Logs {
                    dataflow_id: id,
                    working_dir: flow.record.working_dir.clone(),
                    nodes,
                    tail,
                    max_bytes: MAX_LOG_BYTES,
                };
                self.command(link, command, Then::Logs { waiter, unknown });
            }
            ControlRequest::Reload { dataflow_id, node_id, operator_id } => {
                let flow = self.running(dataflow_id)?;
                flow.has_node(&node_id)?;
                let link = self.link_of(flow)?;
                let command = DaemonCommand::ReloadDataflow { dataflow_id, node_id, operator_id };
                let done = ControlReply::DataflowReloaded { uuid: dataflow_id };
                self.command(link, command, Then::Reply { waiter, done: Box::new(done) });
            }
            _ => return Err("this request is not for a daemon".to_owned()),
        }
        Ok(())
    }

    /// Log files stay on the machine: of a dataflow that has ended, any daemon of that machine can read them.
    fn link_of_logs(&self, flow: &super::flow::Flow) -> Result<u64, String> {
        let same = |id: &dora_protocol::control::DaemonId| {
            let machine = &id.machine_id;
            self.daemons.iter().find(|(_, daemon)| daemon.id.machine_id == *machine).map(|(link, _)| *link)
        };
        self.link_of(flow).or_else(|error| flow.daemon.as_ref().and_then(same).ok_or(error))
    }

    fn ask_change(&mut self, waiter: Waiter, request: ControlRequest) {
        let (id, change) = match change_of(request) {
            Ok(change) => change,
            Err(error) => return self.reply(waiter, Err(error)),
        };
        self.change(waiter, id, change);
    }

    pub(super) fn client_gone(&mut self, client: ClientId) {
        for flow in self.flows.values_mut() {
            flow.subscribers.retain(|(of, _)| *of != client);
            flow.spawn_waiters.retain(|waiter| waiter.client != client);
            flow.finish_waiters.retain(|awaiting| awaiting.waiter.client != client);
        }
    }
}

/// What a request changes, parsed.
fn change_of(request: ControlRequest) -> Result<(dora_protocol::DataflowId, Change), String> {
    let file = |file: Option<String>| file.unwrap_or_else(|| "node".to_owned());
    let edits = |kind, edits, grace| Change::Edits { kind, edits, grace };
    Ok(match request {
        ControlRequest::RestartNode { dataflow_id, node_id, grace_duration } => {
            (dataflow_id, Change::Restart { node: node_id, grace: grace_duration })
        }
        ControlRequest::StopNode { dataflow_id, node_id, grace_duration } => {
            (dataflow_id, Change::Stop { node: node_id, grace: grace_duration })
        }
        ControlRequest::AddNode { dataflow_id, node, file: name } => {
            let entry = descriptor::node_entry(&file(name), &node)?;
            (dataflow_id, edits(EditKind::Added, vec![descriptor::Edit::Add(entry)], None))
        }
        ControlRequest::RemoveNode { dataflow_id, node_id, grace_duration } => {
            (dataflow_id, edits(EditKind::Removed, vec![descriptor::Edit::Remove(node_id)], grace_duration))
        }
        ControlRequest::ReplaceNode { dataflow_id, node_id, node, file: name, grace_duration } => {
            let entry = descriptor::node_entry(&file(name), &node)?;
            let edit = descriptor::Edit::Replace(node_id, entry);
            (dataflow_id, edits(EditKind::Replaced, vec![edit], grace_duration))
        }
        ControlRequest::AddMapping { dataflow_id, mapping } => {
            (dataflow_id, edits(EditKind::Connected, vec![descriptor::Edit::Connect(mapping)], None))
        }
        ControlRequest::RemoveMapping { dataflow_id, mapping } => {
            (dataflow_id, edits(EditKind::Disconnected, vec![descriptor::Edit::Disconnect(mapping)], None))
        }
        ControlRequest::ApplyPatch { dataflow_id, patch, file: name, grace_duration } => {
            let name = name.unwrap_or_else(|| "patch".to_owned());
            (dataflow_id, edits(EditKind::Patched, descriptor::from_patch(&name, &patch)?, grace_duration))
        }
        _ => return Err("this request changes no dataflow".to_owned()),
    })
}
