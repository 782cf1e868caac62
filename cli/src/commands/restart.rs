//! `dora restart`: stop, and start again from what the coordinator keeps.

use dora_protocol::{
    DataflowId,
    control::{ControlReply, ControlRequest},
};

use super::{
    select::{self, Among},
    stop::grace,
};
use crate::{
    args::RestartArgs,
    client::{Client, unexpected, with_coordinator},
    display::out::print,
    error::{CliError, CliResult},
};

/// `dora restart`
pub(crate) fn run(args: &RestartArgs) -> CliResult {
    with_coordinator(&args.end.coord, async |mut client| {
        let entry = select::some_dataflow(&mut client, args.end.selector(), Among::All).await?;
        let request = ControlRequest::Restart {
            dataflow_uuid: entry.id.uuid,
            grace_duration: grace(&args.end),
            force: args.end.force,
            original: args.original,
        };
        let (old, new, kept) = match client.ask(request).await? {
            ControlReply::DataflowRestarted { old_uuid, new_uuid, kept_changes } => {
                (old_uuid, new_uuid, kept_changes)
            }
            other => return Err(unexpected(&other)),
        };
        print(&text(old, new, &kept))?;
        wait_until_up(&mut client, new).await
    })
}

fn text(old: DataflowId, new: DataflowId, kept: &[String]) -> String {
    let mut text = format!("dataflow restarted: {old} -> {new}\n");
    if !kept.is_empty() {
        text += "kept what was changed while it ran (`dora restart --original` does not):\n";
        text.extend(kept.iter().map(|change| format!("  {change}\n")));
    }
    text
}

/// Returns when every node is ready.
///
/// # Errors
/// When it did not come to that.
pub(super) async fn wait_until_up(client: &mut Client, dataflow: DataflowId) -> CliResult {
    let request = ControlRequest::WaitForSpawn { dataflow_id: dataflow };
    let hint = || format!("`dora logs {dataflow}` shows what its nodes printed");
    match client.ask(request).await.map_err(|error| error.hint(hint()))? {
        ControlReply::DataflowSpawned { .. } => Ok(()),
        ControlReply::DataflowStopped { result, .. } => match result.error {
            None => Ok(()),
            Some(error) => {
                Err(CliError::new(format!("the dataflow ended before it was up: {error}")).hint(hint()))
            }
        },
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_names_both_and_says_what_was_kept() {
        let id = |n: u128| DataflowId::from_u128(n);
        let plain = text(id(1), id(2), &[]);
        assert_eq!(plain, format!("dataflow restarted: {} -> {}\n", id(1), id(2)));
        let kept = text(id(1), id(2), &["added node `filter`".into()]);
        assert!(kept.contains("--original") && kept.ends_with("  added node `filter`\n"), "{kept}");
    }
}
