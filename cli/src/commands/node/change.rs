//! `dora node add`, `remove`, `replace`, `connect`, `disconnect`, `apply`, `restart`, `stop`.
//!
//! Each is answered when it is done, or with the reason why nothing was changed.

use std::{fs, path::Path};

use dora_protocol::{
    DataflowId,
    control::{ControlReply, ControlRequest, DataflowEntry, MAX_CONTROL_FRAME, Mapping, TopologyChange},
};

use super::{super::select::Among, names_hint, node_id, place};
use crate::{
    args::{InDataflow, NodeAddArgs, NodeApplyArgs, NodeEdgeArgs, NodeGraceArgs, NodeReplaceArgs},
    client::{unexpected, with_coordinator},
    display::out::print,
    error::{CliError, CliResult},
};

/// `dora node add`
pub(super) fn add(args: &NodeAddArgs) -> CliResult {
    let node = read(&args.from_yaml)?;
    let file = Some(args.from_yaml.display().to_string());
    let reply = ask(&args.place, |dataflow_id| ControlRequest::AddNode { dataflow_id, node, file })?;
    match reply {
        ControlReply::NodeAdded(change) => tell(&change, "nothing to add"),
        other => Err(unexpected(&other)),
    }
}

/// `dora node remove`
pub(super) fn remove(args: &NodeGraceArgs) -> CliResult {
    let (node_id, grace_duration) = (node_id(&args.node)?, args.grace);
    let reply =
        ask(&args.place, |dataflow_id| ControlRequest::RemoveNode { dataflow_id, node_id, grace_duration })?;
    match reply {
        ControlReply::NodeRemoved(change) => tell(&change, "nothing to remove"),
        other => Err(unexpected(&other)),
    }
}

/// `dora node replace`
pub(super) fn replace(args: &NodeReplaceArgs) -> CliResult {
    let (node_id, grace_duration) = (node_id(&args.node)?, args.grace);
    let node = read(&args.from_yaml)?;
    let file = Some(args.from_yaml.display().to_string());
    let reply = ask(&args.place, |dataflow_id| ControlRequest::ReplaceNode {
        dataflow_id,
        node_id,
        node,
        file,
        grace_duration,
    })?;
    match reply {
        ControlReply::NodeReplaced(change) => tell(&change, "nothing to replace"),
        other => Err(unexpected(&other)),
    }
}

/// `dora node connect`
pub(super) fn connect(args: &NodeEdgeArgs) -> CliResult {
    let mapping = mapping(args)?;
    match ask(&args.place, |dataflow_id| ControlRequest::AddMapping { dataflow_id, mapping })? {
        ControlReply::MappingAdded(change) => {
            warn(&change);
            print(&format!("{} -> {}\n", args.source, args.target))
        }
        other => Err(unexpected(&other)),
    }
}

/// `dora node disconnect`
pub(super) fn disconnect(args: &NodeEdgeArgs) -> CliResult {
    let mapping = mapping(args)?;
    match ask(&args.place, |dataflow_id| ControlRequest::RemoveMapping { dataflow_id, mapping })? {
        ControlReply::MappingRemoved(change) => {
            warn(&change);
            print(&format!("{} -x- {}\n", args.source, args.target))
        }
        other => Err(unexpected(&other)),
    }
}

/// `dora node apply`
pub(super) fn apply(args: &NodeApplyArgs) -> CliResult {
    let patch = read(&args.file)?;
    let (file, grace_duration) = (Some(args.file.display().to_string()), args.grace);
    let request = |dataflow_id| ControlRequest::ApplyPatch { dataflow_id, patch, file, grace_duration };
    match ask(&args.place, request)? {
        ControlReply::PatchApplied(change) => tell(&change, "nothing to change: it is like that already"),
        other => Err(unexpected(&other)),
    }
}

/// `dora node restart`
pub(super) fn restart(args: &NodeGraceArgs) -> CliResult {
    let (node_id, grace_duration) = (node_id(&args.node)?, args.grace);
    let request = |dataflow_id| ControlRequest::RestartNode { dataflow_id, node_id, grace_duration };
    match ask(&args.place, request)? {
        ControlReply::NodeRestarted { node_id } => print(&format!("node `{node_id}` restarted\n")),
        other => Err(unexpected(&other)),
    }
}

/// `dora node stop`
pub(super) fn stop(args: &NodeGraceArgs) -> CliResult {
    let (node_id, grace_duration) = (node_id(&args.node)?, args.grace);
    match ask(&args.place, |dataflow_id| ControlRequest::StopNode { dataflow_id, node_id, grace_duration })? {
        ControlReply::NodeStopped { node_id, clean_stop } => {
            if !clean_stop {
                eprintln!(
                    "warning: `{node_id}` did not stop in time and was killed; `--grace` gives it longer"
                );
            }
            print(&format!("node `{node_id}` stopped\n"))
        }
        other => Err(unexpected(&other)),
    }
}

/// Asks about the running dataflow that was meant.
fn ask(where_to: &InDataflow, request: impl FnOnce(DataflowId) -> ControlRequest) -> CliResult<ControlReply> {
    with_coordinator(&where_to.coord, async |mut client| {
        let entry: DataflowEntry = place(&mut client, where_to, Among::Running).await?;
        client.ask(request(entry.id.uuid)).await.map_err(|error| error.hint(names_hint(&entry)))
    })
}

fn mapping(args: &NodeEdgeArgs) -> CliResult<Mapping> {
    let data_id =
        |text: &str| text.parse().map_err(|error: dora_protocol::IdError| CliError::from_error(&error));
    Ok(Mapping {
        source_node: node_id(&args.source.node)?,
        source_output: data_id(&args.source.id)?,
        target_node: node_id(&args.target.node)?,
        target_input: data_id(&args.target.id)?,
    })
}

fn read(file: &Path) -> CliResult<String> {
    let failed = || CliError::new(format!("cannot read {}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| failed().caused_by(&error))?;
    // Room for what the request has around it, and for JSON's escapes of quotes and newlines.
    if text.len() > MAX_CONTROL_FRAME / 2 {
        return Err(CliError::new(format!(
            "{} has more than {} kB",
            file.display(),
            MAX_CONTROL_FRAME / 2048
        )));
    }
    Ok(text)
}

/// A sentence for each change.
fn tell(change: &TopologyChange, nothing: &str) -> CliResult {
    warn(change);
    if change.changes.is_empty() {
        return print(&format!("{nothing}\n"));
    }
    print(&change.changes.iter().map(|change| format!("{change}\n")).collect::<String>())
}

fn warn(change: &TopologyChange) {
    for warning in &change.warnings {
        eprintln!("warning: {warning}");
    }
}
