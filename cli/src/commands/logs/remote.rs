//! `dora logs` through a coordinator: what the daemon has in its files, and what comes.
//!
//! Under `--follow` the subscription is made before the files are read, so that nothing falls between the two. What is in both is
//! shown once.

use std::{
    collections::{BTreeMap, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::Path,
};

use dora_protocol::{
    NodeId,
    control::{ControlReply, ControlRequest, DataflowEntry, Event},
};

use super::{
    Entry, Screen, local,
    pick::{Filter, Merge, tail},
};
use crate::{
    args::LogsArgs,
    client::{Client, block_on, unexpected},
    commands::select::{self, Among},
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// Lines from before it that a subscription may begin with.
const REPEATED: usize = 10_000;

/// Shows what the coordinator can get; when it cannot be reached, what is here.
pub(super) fn run(args: &LogsArgs, filter: &Filter) -> CliResult {
    let connected = block_on(async {
        match Client::connect(args.coord.address()).await {
            Ok(client) => show(client, args, filter).await.map(|()| None),
            Err(error) => Ok(Some(error)),
        }
    })?;
    let Some(error) = connected else { return Ok(()) };
    if !Path::new("out").is_dir() {
        return Err(error.hint("the files of `dora run` are shown in the folder of its descriptor"));
    }
    eprintln!("no coordinator at {}: showing the files in out/", args.coord.address());
    local::run(args, filter)
}

async fn show(mut client: Client, args: &LogsArgs, filter: &Filter) -> CliResult {
    let node = args.node().map(node_id).transpose()?;
    let entry = select::some_dataflow(&mut client, args.dataflow.as_deref(), Among::All)
        .await
        .map_err(|error| error.hint("a node of the only dataflow that runs is named by `--node`"))?;
    let follow = args.follow && !entry.status.has_ended();
    if args.follow && !follow {
        eprintln!("the dataflow has ended ({}): nothing more will come", entry.status);
    }
    if follow {
        subscribe(&mut client, &entry, filter).await?;
    }
    let lines = fetch(&mut client, &entry, node.as_ref(), args, filter).await?;
    let known = if follow { Known::of(&lines) } else { Known::default() };
    let mut screen = Screen::new(args.log_format);
    let shown = Merge::new(lines.into_values().map(Vec::into_iter)).filter(|entry| filter.passes(entry));
    if let Err(gone) = screen.show_all(tail(shown, args.tail)) {
        return gone.into_result();
    }
    if follow { go_on(client, node.as_ref(), filter, known, screen).await } else { Ok(()) }
}

/// Shows what comes, until the dataflow ends or somebody interrupts.
async fn go_on(
    mut client: Client,
    node: Option<&NodeId>,
    filter: &Filter,
    mut known: Known,
    mut screen: Screen,
) -> CliResult {
    let mut interrupts =
        Interrupts::new().map_err(|error| CliError::new("failed to listen for signals").caused_by(&error))?;
    let wanted = |entry: &Entry| {
        node.is_none_or(|node| entry.message.node_id.as_deref() == Some(node.as_str()))
            && filter.passes(entry)
    };
    loop {
        let event = tokio::select! {
            event = client.event() => event?,
            () = interrupts.next() => return Ok(()),
        };
        match event {
            Event::Log(message) => {
                let entry = Entry::of(message);
                if wanted(&entry)
                    && !known.take(&entry)
                    && let Err(gone) = screen.show(&entry).and_then(|()| screen.flush())
                {
                    return gone.into_result();
                }
            }
            Event::Dropped { count, .. } => {
                eprintln!("{count} lines are missing here: they came faster than they could be sent");
            }
            Event::Finished { .. } => return Ok(()),
        }
    }
}

async fn subscribe(client: &mut Client, entry: &DataflowEntry, filter: &Filter) -> CliResult {
    let request = ControlRequest::LogSubscribe { dataflow_id: entry.id.uuid, level: filter.widest_level() };
    match client.ask(request).await? {
        ControlReply::LogSubscribed { .. } => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// What is in the files, node by node.
async fn fetch(
    client: &mut Client,
    entry: &DataflowEntry,
    node: Option<&NodeId>,
    args: &LogsArgs,
    filter: &Filter,
) -> CliResult<BTreeMap<Option<String>, Vec<Entry>>> {
    // The daemon counts lines before they are filtered here. What a subscription may repeat has to be there to be recognised.
    let repeated = if args.follow { REPEATED } else { 0 };
    let count = args.tail.filter(|_| filter.is_open()).map(|count| count.saturating_add(repeated));
    let request = ControlRequest::Logs {
        uuid: Some(entry.id.uuid),
        name: None,
        node: node.cloned(),
        tail: count.map(|count| count as u64),
    };
    let (text, left_out) = match client.ask(request).await? {
        ControlReply::Logs { text, left_out_bytes } => (text, left_out_bytes),
        other => return Err(unexpected(&other)),
    };
    if left_out > 0 {
        eprintln!(
            "the first {left_out} bytes of the logs were left out: `dora logs --local` on the machine of the daemon shows them"
        );
    }
    let id = entry.id.uuid.to_string();
    let mut nodes: BTreeMap<Option<String>, Vec<Entry>> = BTreeMap::new();
    for line in text.lines() {
        let entry = Entry::parse(line, &id, node.map(NodeId::as_str));
        nodes.entry(entry.message.node_id.clone()).or_default().push(entry);
    }
    Ok(nodes)
}

/// Lines that were shown already, and how often each.
#[derive(Debug, Default)]
struct Known(HashMap<u64, u32>);

impl Known {
    fn of(lines: &BTreeMap<Option<String>, Vec<Entry>>) -> Self {
        let mut known = Self::default();
        for entry in lines.values().flatten() {
            *known.0.entry(fingerprint(entry)).or_default() += 1;
        }
        known
    }

    /// Was this line shown? Each of equal lines counts once.
    fn take(&mut self, entry: &Entry) -> bool {
        match self.0.get_mut(&fingerprint(entry)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

fn fingerprint(entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    let message = &entry.message;
    (&message.node_id, &message.timestamp, &message.message).hash(&mut hasher);
    hasher.finish()
}

fn node_id(text: &str) -> CliResult<NodeId> {
    text.parse().map_err(|error: dora_protocol::IdError| CliError::from_error(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_in_the_file_and_comes_as_an_event_is_shown_once_and_equal_lines_each_once() {
        let line =
            r#"{"timestamp":"2026-01-02T03:04:05.678Z","level":"info","node_id":"cam","message":"tick"}"#;
        let entry = Entry::parse(line, "d", None);
        let lines = BTreeMap::from([(Some("cam".to_owned()), vec![entry.clone(), entry.clone()])]);
        let mut known = Known::of(&lines);
        assert_eq!([known.take(&entry), known.take(&entry), known.take(&entry)], [true, true, false]);
    }
}
