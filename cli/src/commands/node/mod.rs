//! `dora node`: the nodes of running dataflows, looked at and changed.

mod change;
mod info;
mod list;

use dora_protocol::{
    NodeId,
    control::{DataflowEntry, NodeStatus},
};

use super::select::{self, Among};
use crate::{
    args::{InDataflow, NodeCommand},
    client::Client,
    error::{CliError, CliResult},
};

#[cfg(test)]
pub(super) use self::list::tests as list_tests;
pub(super) use self::list::{all as all_nodes, dataflow as dataflow_name};

/// `dora node`
pub(crate) fn run(command: &NodeCommand) -> CliResult {
    match command {
        NodeCommand::List(args) => list::run(args),
        NodeCommand::Info(args) => info::run(args),
        NodeCommand::Add(args) => change::add(args),
        NodeCommand::Remove(args) => change::remove(args),
        NodeCommand::Replace(args) => change::replace(args),
        NodeCommand::Connect(args) => change::connect(args),
        NodeCommand::Disconnect(args) => change::disconnect(args),
        NodeCommand::Apply(args) => change::apply(args),
        NodeCommand::Restart(args) => change::restart(args),
        NodeCommand::Stop(args) => change::stop(args),
    }
}

/// Reads a name as typed.
///
/// # Errors
/// When no node can be called so.
pub(super) fn node_id(text: &str) -> CliResult<NodeId> {
    text.parse().map_err(|error: dora_protocol::IdError| CliError::from_error(&error))
}

/// The running dataflow that `-d` names, or the only one.
pub(super) async fn place(client: &mut Client, args: &InDataflow, among: Among) -> CliResult<DataflowEntry> {
    select::some_dataflow(client, args.dataflow.as_deref(), among).await
}

/// Where the names of nodes can be looked up.
pub(super) fn names_hint(entry: &DataflowEntry) -> String {
    format!(
        "`dora node list -d {}` shows the nodes",
        entry.id.name.clone().unwrap_or_else(|| entry.id.uuid.to_string())
    )
}

/// The word in tables.
pub(super) fn status_word(status: NodeStatus) -> String {
    format!("{status:?}")
}
