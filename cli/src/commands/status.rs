//! `dora status`: are coordinator and daemon there? Also what `dora doctor` asks them.

use std::net::SocketAddr;

use dora_protocol::control::{ControlReply, ControlRequest, DaemonInfo, DataflowEntry, NodeInfo};
use serde_json::{Value, json};

use super::{load, select};
use crate::{
    args::{CoordArgs, OutputFormat, StatusArgs},
    client::{Client, block_on, unexpected},
    display::out::{json_document, print},
    error::{CliError, CliResult},
};

/// What a coordinator says of itself and of its daemons.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) address: SocketAddr,
    /// Or why it does not answer.
    pub(super) coordinator: Result<Answer, CliError>,
}

/// Of a coordinator that is there.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) daemons: Vec<DaemonInfo>,
    pub(super) dataflows: Vec<DataflowEntry>,
    pub(super) nodes: Vec<NodeInfo>,
}

/// Asks. A coordinator that is not there is an answer.
///
/// # Errors
/// When this process cannot ask at all.
pub(super) fn health(coord: &CoordArgs) -> CliResult<Health> {
    let address = coord.address();
    block_on(async { Ok(Health { address, coordinator: ask(address).await }) })
}

async fn ask(address: SocketAddr) -> CliResult<Answer> {
    let mut client = Client::connect(address).await?;
    let daemons = match client.ask(ControlRequest::ConnectedMachines).await? {
        ControlReply::ConnectedDaemons(daemons) => daemons,
        other => return Err(unexpected(&other)),
    };
    let nodes = match client.ask(ControlRequest::GetNodeInfo).await? {
        ControlReply::NodeInfoList(nodes) => nodes,
        other => return Err(unexpected(&other)),
    };
    Ok(Answer { daemons, dataflows: select::list(&mut client).await?, nodes })
}

impl Answer {
    pub(super) fn active(&self) -> usize {
        self.dataflows.iter().filter(|entry| !entry.status.has_ended()).count()
    }
}

/// `dora status`
pub(crate) fn run(args: &StatusArgs) -> CliResult {
    let health = health(&args.coord)?;
    let dataflow = args.dataflow.as_deref().map(|path| load(path, &[]));
    match args.format {
        OutputFormat::Table => print(&text(&health, dataflow.as_ref().map(Result::is_ok)))?,
        OutputFormat::Json => json_document(&as_json(&health, dataflow.as_ref().map(Result::is_ok)))?,
    }
    let answer = health.coordinator?;
    if answer.daemons.is_empty() {
        return Err(CliError::new("no daemon is connected to the coordinator")
            .hint("start one with `dora up`, or with `dora daemon` to see what it says"));
    }
    dataflow.transpose().map(|_| ())
}

fn text(health: &Health, dataflow: Option<bool>) -> String {
    let sign = |good| if good { "✓" } else { "✗" };
    let state = |good, yes: &str, no: &str| if good { yes.to_owned() } else { no.to_owned() };
    let there = health.coordinator.as_ref().ok();
    let daemon = there.is_some_and(|answer| !answer.daemons.is_empty());
    let mut text = format!(
        "{} Coordinator: {}\n  Address: {}\n{} Daemon: {}\n",
        sign(there.is_some()),
        state(there.is_some(), "Running", "Not running"),
        health.address,
        sign(daemon),
        state(daemon, "Running", if there.is_some() { "Not connected" } else { "Unknown" }),
    );
    if let Some(answer) = there {
        text += &format!("Active dataflows: {}\n", answer.active());
    }
    if let Some(good) = dataflow {
        text += &format!("{} Dataflow file: {}\n", sign(good), state(good, "OK", "Not valid"));
    }
    text
}

fn as_json(health: &Health, dataflow: Option<bool>) -> Value {
    let there = health.coordinator.as_ref().ok();
    let daemon = match there {
        Some(answer) if !answer.daemons.is_empty() => "running",
        Some(_) => "not_connected",
        None => "unknown",
    };
    let mut value = json!({
        "coordinator": {
            "status": if there.is_some() { "running" } else { "not_running" },
            "address": health.address.to_string(),
        },
        "daemon": { "status": daemon },
        "active_dataflows": there.map_or(0, Answer::active),
    });
    if let Some(good) = dataflow {
        value["dataflow"] = json!({ "valid": good });
    }
    value
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::{DaemonId, DataflowStatus};

    use super::*;
    use crate::commands::select::tests::entry;

    fn health(coordinator: Result<Answer, CliError>) -> Health {
        Health { address: "127.0.0.1:6013".parse().unwrap(), coordinator }
    }

    fn answer(daemons: usize) -> Answer {
        let daemon = DaemonInfo {
            daemon_id: DaemonId { machine_id: None, uuid: uuid::Uuid::from_u128(7) },
            labels: Default::default(),
            last_heartbeat_ago_ms: 10,
            ft_stats: None,
        };
        let dataflows = vec![entry(1, None, DataflowStatus::Running), entry(2, None, DataflowStatus::Failed)];
        Answer { daemons: vec![daemon; daemons], dataflows, nodes: Vec::new() }
    }

    #[test]
    fn lines_say_what_is_there_and_what_is_not() {
        assert_eq!(
            text(&health(Ok(answer(1))), None),
            "✓ Coordinator: Running\n  Address: 127.0.0.1:6013\n✓ Daemon: Running\nActive dataflows: 1\n"
        );
        assert!(text(&health(Ok(answer(0))), None).contains("✗ Daemon: Not connected\n"));
        let down = text(&health(Err(CliError::new("no"))), Some(false));
        assert!(
            down.contains("✗ Coordinator: Not running") && down.contains("✗ Dataflow file: Not valid"),
            "{down}"
        );
        assert!(!down.contains("Active"), "nobody knows: {down}");
    }

    #[test]
    fn json_has_the_documented_keys_also_when_nothing_runs() {
        let address = "127.0.0.1:6013";
        for (state, coordinator, daemon, active) in [
            (Ok(answer(2)), "running", "running", 1),
            (Ok(answer(0)), "running", "not_connected", 1),
            (Err(CliError::new("no")), "not_running", "unknown", 0),
        ] {
            assert_eq!(
                as_json(&health(state), None),
                json!({ "coordinator": { "status": coordinator, "address": address },
                        "daemon": { "status": daemon }, "active_dataflows": active })
            );
        }
    }
}
