//! Staying with a dataflow: its logs, its end, and Ctrl-C.
//!
//! Three connections, because each answers one request after the other: one hears events, one waits until the dataflow is up,
//! and one stops it when it is told to.

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{ControlReply, ControlRequest, DataflowResult, Event},
    log::LogLevel,
};

use super::{
    announce,
    reload::{Reloader, Watched},
};
use crate::{
    args::StartArgs,
    client::{Client, unexpected},
    commands::logs::{Entry, Screen},
    display::logs::LogFilter,
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// For what comes on another connection than what was waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows what the nodes print until the dataflow has ended.
///
/// # Errors
/// When a node failed, when it could not be started, or when the coordinator is gone.
pub(super) async fn stay(
    mut events: Client,
    dataflow: DataflowId,
    args: &StartArgs,
    watched: Vec<Watched>,
) -> CliResult {
    let mut interrupts =
        Interrupts::new().map_err(|error| CliError::new("failed to listen for signals").caused_by(&error))?;
    let mut view = View::new(args);
    subscribe(&mut events, dataflow, view.widest_level()).await?;
    let mut starting = Box::pin(up(args, dataflow));
    let mut ending = Box::pin(stop(args, dataflow, false));
    // Ends with the runtime, which is that of this command.
    tokio::spawn(Reloader::new(args.coord, dataflow, watched).run());
    let (mut started, mut asked) = (false, 0);
    loop {
        tokio::select! {
            event = events.event() => {
                if let Some(result) = view.take(event?) {
                    if !started && args.rt.is_some() {
                        // The table says more than the error, and comes on another connection.
                        drop(tokio::time::timeout(PATIENCE, &mut starting).await);
                    }
                    return outcome(dataflow, result);
                }
            }
            result = &mut starting, if !started => {
                started = true;
                match result {
                    Ok(()) => announce(args, true, &format!("dataflow started: {dataflow}\n"))?,
                    // The user did not want it to come up.
                    Err(_) if asked > 0 => {}
                    // The end is told with more detail than that it never was up.
                    Err(error) => return ended_early(&mut events, &mut view, dataflow, error).await,
                }
            }
            () = interrupts.next() => {
                asked += 1;
                match asked {
                    1 => eprintln!("\nstopping; press Ctrl-C again to end all nodes at once"),
                    2 => ending = Box::pin(stop(args, dataflow, true)),
                    _ => return Err(CliError::new("left before the dataflow had ended")
                        .hint(format!("`dora list` shows whether it still runs, `dora stop {dataflow} --force` ends it"))),
                }
            }
            result = &mut ending, if asked > 0 => return outcome(dataflow, finish(&mut events, &mut view, result?).await),
        }
    }
}

/// What is shown.
struct View {
    filter: LogFilter,
    screen: Option<Screen>,
}

impl View {
    fn new(args: &StartArgs) -> Self {
        let nodes = args.logs.log_filter.clone().unwrap_or_default();
        let filter = LogFilter { default: args.logs.log_level, nodes };
        Self { filter, screen: Some(Screen::new(args.logs.log_format)) }
    }

    fn widest_level(&self) -> LogLevel {
        self.filter.nodes.0.values().copied().fold(self.filter.default, LogLevel::max)
    }

    /// Shows the event; returns how the dataflow ended when that is what happened. A reader that went away (`| head`) ends the
    /// showing and not the dataflow.
    fn take(&mut self, event: Event) -> Option<DataflowResult> {
        match event {
            Event::Log(message) => {
                let entry = Entry::of(message);
                if self.filter.passes(entry.message.node_id.as_deref(), entry.level)
                    && let Some(screen) = &mut self.screen
                    && screen.show(&entry).and_then(|()| screen.flush()).is_err()
                {
                    self.screen = None;
                }
                None
            }
            Event::Dropped { count, .. } => {
                eprintln!(
                    "{count} lines are missing here: they came faster than they could be sent; `dora logs` has them"
                );
                None
            }
            Event::Finished { result, .. } => Some(result),
        }
    }
}

async fn subscribe(client: &mut Client, dataflow: DataflowId, level: LogLevel) -> CliResult {
    match client.ask(ControlRequest::LogSubscribe { dataflow_id: dataflow, level }).await? {
        ControlReply::LogSubscribed { .. } => Ok(()),
        other => Err(unexpected(&other)),
    }
}

async fn up(args: &StartArgs, dataflow: DataflowId) -> CliResult {
    super::up(&mut Client::connect(args.coord.address()).await?, dataflow, args, true).await
}

async fn stop(args: &StartArgs, dataflow: DataflowId, force: bool) -> CliResult<DataflowResult> {
    let mut client = Client::connect(args.coord.address()).await?;
    let request = ControlRequest::Stop { dataflow_uuid: dataflow, grace_duration: None, force };
    match client.ask(request).await? {
        ControlReply::DataflowStopped { result, .. } => Ok(result),
        other => Err(unexpected(&other)),
    }
}

/// What the nodes printed last is shown before the end is told.
async fn finish(events: &mut Client, view: &mut View, result: DataflowResult) -> DataflowResult {
    let rest = async {
        while let Ok(event) = events.event().await {
            if view.take(event).is_some() {
                break;
            }
        }
    };
    // Events and answers come on two connections: the last lines may be on their way.
    tokio::time::timeout(PATIENCE, rest).await.unwrap_or_default();
    result
}

async fn ended_early(
    events: &mut Client,
    view: &mut View,
    dataflow: DataflowId,
    error: CliError,
) -> CliResult {
    let rest = async {
        loop {
            match events.event().await {
                Ok(event) => {
                    if let Some(result) = view.take(event) {
                        return Some(result);
                    }
                }
                Err(_) => return None,
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, rest).await;
    match ended {
        Ok(Some(result)) if result.error.is_some() => outcome(dataflow, result),
        _ => Err(error),
    }
}

/// An error when a node failed: which, and why.
fn outcome(dataflow: DataflowId, result: DataflowResult) -> CliResult {
    let Some(error) = result.error else { return Ok(()) };
    let failed: Vec<String> = result
        .nodes
        .iter()
        .filter_map(|node| {
            let because =
                node.caused_by.as_ref().map(|cause| format!(" (because of `{cause}`)")).unwrap_or_default();
            node.error.as_ref().map(|error| format!("\n  {}: {error}{because}", node.node_id))
        })
        .collect();
    let text = if failed.is_empty() {
        format!("the dataflow failed: {error}")
    } else {
        format!("the dataflow failed:{}", failed.concat())
    };
    Err(CliError::new(text).hint(format!("`dora logs {dataflow}` shows everything the nodes printed")))
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::NodeOutcome;

    use super::*;

    #[test]
    fn failed_nodes_are_named_with_their_reason_and_the_origin() {
        let id = DataflowId::from_u128(7);
        assert!(outcome(id, DataflowResult::default()).is_ok());
        let node = |name: &str, error: Option<&str>, cause: Option<&str>| NodeOutcome {
            node_id: name.parse().unwrap(),
            exit: Some("exit code 1".into()),
            error: error.map(str::to_owned),
            caused_by: cause.map(|cause| cause.parse().unwrap()),
        };
        let nodes = vec![
            node("cam", Some("exited with code 1"), None),
            node("arm", Some("did not start"), Some("cam")),
            node("leg", None, None),
        ];
        let text =
            outcome(id, DataflowResult { error: Some("cam: …".into()), nodes }).unwrap_err().to_string();
        assert!(
            text.contains("\n  cam: exited with code 1\n  arm: did not start (because of `cam`)"),
            "{text}"
        );
        assert!(!text.contains("leg") && text.contains(&format!("dora logs {id}")), "{text}");
        let bare = DataflowResult { error: Some("no daemon".into()), nodes: vec![] };
        assert!(outcome(id, bare).unwrap_err().to_string().contains("the dataflow failed: no daemon"));
    }
}
