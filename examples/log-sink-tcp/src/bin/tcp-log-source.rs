//! Logs a line per tick: readings, a warning now and then, and plain text. Ends after `LINES` (default 300) of them.

use std::collections::BTreeMap;

use dora_node_api::{DoraNode, Event};
use eyre::WrapErr;

fn main() -> eyre::Result<()> {
    let last: u64 = match std::env::var("LINES") {
        Ok(text) => text.parse().wrap_err_with(|| format!("LINES: `{text}` is no number"))?,
        Err(_) => 300,
    };
    let (node, mut events) = DoraNode::init_from_env()?;
    println!("about to log {last} readings");
    let mut number = 0;
    while number < last {
        match events.recv() {
            Some(Event::Input { .. }) => {
                number += 1;
                let level = if number % 50 == 0 { "warn" } else { "info" };
                let fields = BTreeMap::from([("n".to_owned(), number.to_string())]);
                node.log_with_fields(level, &format!("reading {number}"), Some("lidar"), Some(&fields));
            }
            Some(Event::Stop(_)) | None => break,
            Some(other) => node.log_debug(&format!("{other:?}")),
        }
    }
    Ok(())
}
