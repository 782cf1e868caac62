//! Sends the log of a dataflow to a collector, one JSON object per line over TCP.
//!
//! ```text
//!   dora/logs ──► this thread ──► buffer, bounded ──► sender thread ──► collector at SINK_ADDR
//! ```
//!
//! The collector may be away, slow, or come back as another process: this thread never waits for it. What has no room any more is
//! dropped, the oldest first, and counted; the collector is told where lines are missing.

mod buffer;
mod sender;

use std::sync::Arc;

use buffer::{Buffer, Limits};
use dora_log_utils::{format_json, parse_log_from_arrow, plain_log};
use dora_node_api::{DoraNode, Event};
use eyre::WrapErr;

fn main() -> eyre::Result<()> {
    let address = std::env::var("SINK_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".to_owned());
    let lines = match std::env::var("SINK_BUFFER") {
        Ok(text) => text.parse().wrap_err_with(|| format!("SINK_BUFFER: `{text}` is no number of lines"))?,
        Err(_) => 10_000,
    };
    let (node, mut events) = DoraNode::init_from_env()?;
    let buffer = Arc::new(Buffer::new(Limits { lines, bytes: 16 << 20 }));
    let sender = sender::start(node.id().to_string(), address.clone(), buffer.clone())?;
    node.log_info(&format!("sending to {address}, at most {lines} lines wait"));

    // Ends when all others have ended, or the dataflow is stopped; what was queued comes before.
    while let Some(event) = events.recv() {
        match event {
            Event::Input { data, .. } => {
                let read = parse_log_from_arrow(&data).or_else(|_| <&str>::try_from(&data).map(plain_log));
                match read {
                    Ok(message) => buffer.push(format_json(&message)),
                    Err(error) => node.log_warn(&format!("an input is no text: {error}")),
                }
                let lost: u64 = events.drain_drop_counts().into_values().sum();
                buffer.note_dropped(lost);
            }
            Event::Error(text) => node.log_warn(&text),
            _ => {}
        }
    }
    buffer.close();
    let counts = sender.join().map_err(|_| eyre::eyre!("the sender thread panicked"))?;
    let dropped = buffer.dropped() + counts.left;
    node.log_info(&format!(
        "sent {} lines over {} connections, dropped {dropped}",
        counts.sent, counts.connections
    ));
    Ok(())
}
