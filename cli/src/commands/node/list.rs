//! `dora node list`.

use dora_protocol::control::{ControlReply, ControlRequest, NodeInfo};
use serde_json::{Value, json};

use super::{
    super::select::{self, Among},
    status_word,
};
use crate::{
    args::{NodeListArgs, OutputFormat},
    client::{Client, unexpected, with_coordinator},
    display::{
        numbers::{UNKNOWN, memory, percent},
        out::{json_lines, print},
        table::{Align, Table},
    },
    error::CliResult,
};

/// `dora node list`
pub(super) fn run(args: &NodeListArgs) -> CliResult {
    let nodes = with_coordinator(&args.coord, async |mut client| {
        let wanted = match &args.dataflow {
            Some(typed) => {
                Some(select::some_dataflow(&mut client, Some(typed), Among::Running).await?.id.uuid)
            }
            None => None,
        };
        let mut nodes = all(&mut client).await?;
        nodes.retain(|node| wanted.is_none_or(|wanted| node.dataflow_id == wanted));
        Ok(nodes)
    })?;
    if args.quiet {
        return print(&nodes.iter().map(|node| format!("{}\n", node.state.node_id)).collect::<String>());
    }
    let one = args.dataflow.is_some();
    match args.format {
        OutputFormat::Table => print(&table(&nodes, one)),
        OutputFormat::Json => json_lines(&nodes.iter().map(|node| as_json(node, one)).collect::<Vec<_>>()),
    }
}

/// The nodes of all running dataflows.
pub(in crate::commands) async fn all(client: &mut Client) -> CliResult<Vec<NodeInfo>> {
    match client.ask(ControlRequest::GetNodeInfo).await? {
        ControlReply::NodeInfoList(nodes) => Ok(nodes),
        other => Err(unexpected(&other)),
    }
}

/// Name, or UUID where there is none.
pub(in crate::commands) fn dataflow(node: &NodeInfo) -> String {
    node.dataflow_name.clone().unwrap_or_else(|| node.dataflow_id.to_string())
}

fn table(nodes: &[NodeInfo], one_dataflow: bool) -> String {
    let mut columns = vec![
        ("NODE", Align::Left),
        ("STATUS", Align::Left),
        ("PID", Align::Right),
        ("CPU%", Align::Right),
        ("MEMORY", Align::Right),
        ("RESTARTS", Align::Right),
    ];
    if !one_dataflow {
        columns.push(("DATAFLOW", Align::Left));
    }
    let mut table = Table::new(&columns);
    for node in nodes {
        let cells = Cells::of(node);
        let mut row = vec![cells.node, cells.status, cells.pid, cells.cpu, cells.memory, cells.restarts];
        if !one_dataflow {
            row.push(dataflow(node));
        }
        table.row(row);
    }
    table.render()
}

fn as_json(node: &NodeInfo, one_dataflow: bool) -> Value {
    let cells = Cells::of(node);
    let mut value = json!({
        "node": cells.node,
        "status": cells.status,
        "pid": cells.pid,
        "cpu": cells.cpu,
        "memory": cells.memory,
        "restarts": cells.restarts,
    });
    if !one_dataflow {
        value["dataflow"] = json!(dataflow(node));
    }
    value
}

/// As in the table; JSON has the same texts.
struct Cells {
    node: String,
    status: String,
    pid: String,
    cpu: String,
    memory: String,
    restarts: String,
}

impl Cells {
    fn of(node: &NodeInfo) -> Self {
        let state = &node.state;
        Self {
            node: state.node_id.to_string(),
            status: status_word(state.status),
            pid: state.pid.map_or_else(|| UNKNOWN.to_owned(), |pid| pid.to_string()),
            cpu: percent(state.metrics.map(|metrics| metrics.cpu_usage)),
            memory: memory(state.metrics.map(|metrics| metrics.memory_bytes)),
            restarts: state.restart_count.to_string(),
        }
    }
}

#[cfg(test)]
pub(in crate::commands) mod tests {
    use dora_protocol::control::{NodeMetrics, NodeState, NodeStatus};

    use super::*;

    /// A node with so much processor time and memory; without both it has no process.
    pub(in crate::commands) fn node(name: &str, status: NodeStatus, metrics: Option<(f64, u64)>) -> NodeInfo {
        let metrics = metrics.map(|(cpu_usage, memory_bytes)| NodeMetrics {
            cpu_usage,
            memory_bytes,
            disk_read_mb_s: Some(0.25),
            disk_write_mb_s: None,
            messages_taken: 3,
            messages_sent: 4,
        });
        NodeInfo {
            dataflow_id: dora_protocol::DataflowId::from_u128(7),
            dataflow_name: Some("arm".into()),
            daemon_id: None,
            state: NodeState {
                node_id: name.parse().unwrap(),
                status,
                pid: metrics.map(|_| 4711),
                restart_count: 2,
                broken_inputs: vec!["image".into()],
                pending_messages: 5,
                error: None,
                metrics,
                network: None,
            },
        }
    }

    #[test]
    fn table_names_the_dataflow_unless_there_is_only_one() {
        let nodes = [
            node("cam", NodeStatus::Running, Some((0.51, 78_344_192))),
            node("planner", NodeStatus::Stopped, None),
        ];
        assert_eq!(
            table(&nodes, false),
            "NODE     STATUS    PID  CPU%  MEMORY  RESTARTS  DATAFLOW\n\
             cam      Running  4711  0.5%   78 MB         2  arm\n\
             planner  Stopped   N/A   N/A     N/A         2  arm\n"
        );
        assert!(table(&[], true).ends_with("RESTARTS\n"));
    }

    #[test]
    fn json_has_the_texts_of_the_table() {
        let value = as_json(&node("cam", NodeStatus::Degraded, Some((101.0, 1_200_000_000))), false);
        assert_eq!(
            value,
            json!({ "node": "cam", "status": "Degraded", "pid": "4711", "cpu": "101.0%", "memory": "1.2 GB",
                    "restarts": "2", "dataflow": "arm" })
        );
    }
}
