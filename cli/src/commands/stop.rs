//! `dora stop`: one dataflow, or all of them.
//!
//! The answer comes when every node has ended. A node that had to be killed, or had failed before, is named on stderr; the
//! dataflow has stopped all the same, so the exit code is 0.

use std::time::Duration;

use dora_protocol::control::{ControlReply, ControlRequest, DataflowEntry, DataflowResult};
use futures::future::join_all;

use super::select::{self, Among, label};
use crate::{
    args::{CoordArgs, EndArgs, StopArgs},
    client::{Client, unexpected, with_coordinator},
    display::out::print,
    error::{CliError, CliResult},
};

/// Dataflows that are stopped side by side under `--all`.
const AT_ONCE: usize = 32;

/// `dora stop`
pub(crate) fn run(args: &StopArgs) -> CliResult {
    with_coordinator(&args.end.coord, async |mut client| {
        if args.all {
            return all(&mut client, &args.end).await;
        }
        let entry = select::dataflow(&mut client, args.end.selector(), Among::Running).await?;
        let Some(entry) = entry else { return none_running() };
        let result = one(&mut client, &entry, &args.end).await?;
        report(&entry, &result)
    })
}

fn none_running() -> CliResult {
    eprintln!("no dataflow is running; `dora list` shows those that ended");
    Ok(())
}

async fn one(client: &mut Client, entry: &DataflowEntry, args: &EndArgs) -> CliResult<DataflowResult> {
    let request =
        ControlRequest::Stop { dataflow_uuid: entry.id.uuid, grace_duration: grace(args), force: args.force };
    match client.ask(request).await? {
        ControlReply::DataflowStopped { result, .. } => Ok(result),
        other => Err(unexpected(&other)),
    }
}

/// `--force` leaves no time for anything.
pub(super) fn grace(args: &EndArgs) -> Option<Duration> {
    args.grace_duration.filter(|_| !args.force)
}

/// Each with a connection of its own: a connection answers one request after the other.
async fn all(client: &mut Client, args: &EndArgs) -> CliResult {
    let list = select::list(client).await?;
    let running: Vec<&DataflowEntry> = list.iter().filter(|entry| !entry.status.has_ended()).collect();
    if running.is_empty() {
        return none_running();
    }
    let mut failed = Vec::new();
    for some in running.chunks(AT_ONCE) {
        let results = join_all(some.iter().map(|entry| alone(&args.coord, entry, args))).await;
        for (entry, result) in some.iter().zip(results) {
            match result {
                Ok(result) => report(entry, &result)?,
                Err(error) => failed.push(format!("\n  {}: {}", label(entry), error.message())),
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::new(format!("failed to stop:{}", failed.concat()))
        .hint("`dora list` shows what still runs; `dora stop --all --force` ends it at once"))
}

async fn alone(coord: &CoordArgs, entry: &DataflowEntry, args: &EndArgs) -> CliResult<DataflowResult> {
    one(&mut Client::connect(coord.address()).await?, entry, args).await
}

fn report(entry: &DataflowEntry, result: &DataflowResult) -> CliResult {
    if let Some(error) = &result.error {
        eprintln!("warning: not every node of {} ended well: {error}", label(entry));
    }
    print(&format!("dataflow stopped: {}\n", entry.id.uuid))
}
