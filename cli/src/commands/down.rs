//! `dora down`: dataflows, daemon, coordinator, in this order. Nothing of them is left when it returns.
//!
//! A daemon of this machine whose coordinator is gone is ended as well.

use std::{net::SocketAddr, time::Duration};

use dora_protocol::control::{ControlReply, ControlRequest, DataflowEntry, DataflowResult};
use futures::future::join_all;
use rustix::process::{Signal, kill_process};
use tokio::{net::TcpStream, time::sleep};

use super::daemon::home::Home;
use crate::{
    args::DownArgs,
    client::{Client, block_on, not_connected, unexpected},
    display::out::print,
    error::{CliError, CliResult},
};

/// For daemon and coordinator to end once the dataflows have: nothing is left for them to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// For a daemon that has to stop its dataflows by itself: their grace, and half of it again.
const LONG_PATIENCE: Duration = Duration::from_secs(30);
/// Dataflows that are stopped side by side.
const AT_ONCE: usize = 32;

/// `dora down`
pub(crate) fn run(args: &DownArgs) -> CliResult {
    let address = args.coord.address();
    // A pair elsewhere has no files here.
    let home = if address.ip().is_loopback() { Some(Home::new(address.port())?) } else { None };
    let _alone = home.as_ref().map(Home::alone).transpose()?;
    block_on(async {
        if TcpStream::connect(address).await.is_err() {
            return without_coordinator(args, home.as_ref(), address);
        }
        let mut client = Client::connect(address).await?;
        stop_dataflows(args, &mut client, address).await?;
        match client.ask(ControlRequest::Destroy).await? {
            ControlReply::DestroyOk | ControlReply::CoordinatorStopped => {}
            other => return Err(unexpected(&other)),
        }
        ended(client, address).await?;
        if let Some(home) = &home {
            daemon_ended(home, PATIENCE)?;
        }
        print("stopped the daemon and the coordinator\n")
    })
}

/// Stops what runs, and prints a line for each.
async fn stop_dataflows(args: &DownArgs, client: &mut Client, address: SocketAddr) -> CliResult {
    let list = match client.ask(ControlRequest::List).await? {
        ControlReply::DataflowList(list) => list,
        other => return Err(unexpected(&other)),
    };
    let running: Vec<DataflowEntry> = list.into_iter().filter(|entry| !entry.status.has_ended()).collect();
    for some in running.chunks(AT_ONCE) {
        for (entry, result) in
            some.iter().zip(join_all(some.iter().map(|entry| stop(args, entry, address))).await)
        {
            let name = entry.id.name.as_ref().map(|name| format!("`{name}` ")).unwrap_or_default();
            let uuid = entry.id.uuid;
            match result {
                Ok(result) => {
                    let how = result.error.map(|error| format!(": {error}")).unwrap_or_default();
                    print(&format!("stopped dataflow {name}{uuid}{how}\n"))?;
                }
                // It is killed with its daemon.
                Err(error) => eprintln!("warning: dataflow {name}{uuid} was not stopped: {error}"),
            }
        }
    }
    Ok(())
}

/// On a connection of its own: a connection answers one request after the other.
async fn stop(args: &DownArgs, entry: &DataflowEntry, address: SocketAddr) -> CliResult<DataflowResult> {
    let request =
        ControlRequest::Stop { dataflow_uuid: entry.id.uuid, grace_duration: None, force: args.force };
    match Client::connect(address).await?.ask(request).await? {
        ControlReply::DataflowStopped { result, .. } => Ok(result),
        other => Err(unexpected(&other)),
    }
}

/// Waits until nobody listens any more.
async fn ended(client: Client, address: SocketAddr) -> CliResult {
    let gone = async {
        client.closed().await;
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.map_err(|_| {
        CliError::new(format!(
            "the coordinator at {address} was told to end and is still there after {PATIENCE:?}"
        ))
        .hint("the dataflows have been stopped; look at its log in ~/.dora")
    })
}

/// Waits until the daemon's process is gone; one that does not go is killed, and its nodes with it.
fn daemon_ended(home: &Home, patience: Duration) -> CliResult {
    if home.place_becomes_free(patience) {
        return Ok(());
    }
    if let Some(pid) = home.daemon() {
        eprintln!("warning: the daemon (process {}) does not end: killing it", pid.as_raw_nonzero());
        // It may have gone in this moment.
        kill_process(pid, Signal::KILL).unwrap_or_default();
    }
    if home.place_becomes_free(PATIENCE) {
        Ok(())
    } else {
        Err(CliError::new("the daemon does not end, not even by SIGKILL"))
    }
}

fn without_coordinator(args: &DownArgs, home: Option<&Home>, address: SocketAddr) -> CliResult {
    let Some((home, pid)) = home.and_then(|home| Some((home, home.daemon()?))) else {
        return Err(not_connected(address));
    };
    let signal = if args.force { Signal::KILL } else { Signal::TERM };
    // Gone in this moment is gone as well.
    kill_process(pid, signal).unwrap_or_default();
    daemon_ended(home, LONG_PATIENCE)?;
    print("stopped the daemon and its dataflows; there was no coordinator\n")
}
