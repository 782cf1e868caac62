//! Counts what all nodes log, by node and level, and keeps the last warnings and errors of each.
//!
//! The counts are logged once a second; at the end there is a table, and the warnings and errors of all nodes in the order of
//! time. What this node prints does not come back to it.

mod summary;

use dora_log_utils::{format_compact, parse_log_from_arrow, plain_log};
use dora_node_api::{DoraNode, Event};
use summary::Summary;

fn main() -> eyre::Result<()> {
    let (node, mut events) = DoraNode::init_from_env()?;
    let mut summary = Summary::default();
    // Ends when all others have ended, or the dataflow is stopped; what was queued comes before.
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, .. } if id.as_str() == "tick" => node.log_info(&summary.line()),
            Event::Input { data, .. } => {
                let read = parse_log_from_arrow(&data).or_else(|_| <&str>::try_from(&data).map(plain_log));
                match read {
                    Ok(message) => summary.add(message),
                    Err(error) => node.log_debug(&format!("an input is no text: {error}")),
                }
            }
            Event::InputClosed { id } if id.as_str() == "logs" => break,
            _ => {}
        }
        summary.note_lost(events.drain_drop_counts().into_values().sum());
    }
    println!("{}", summary.line());
    summary.table().iter().for_each(|row| println!("{row}"));
    summary.worst().iter().for_each(|message| println!("{}", format_compact(message)));
    Ok(())
}
