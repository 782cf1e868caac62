//! A motor that gets warm: logs in three ways. With `tracing`, with the log of the node, and with `println!`. Ends after 60 ticks.

use std::collections::BTreeMap;

use dora_node_api::{DoraNode, Event, init_tracing};

fn main() -> eyre::Result<()> {
    let (node, mut events) = DoraNode::init_from_env()?;
    let _tracing = init_tracing(node.id(), node.dataflow_id())?;
    for tick in 1..=60 {
        match events.recv() {
            Some(Event::Input { .. }) => turn(&node, tick),
            Some(Event::Stop(_)) | None => break,
            Some(other) => node.log_debug(&format!("{other:?}")),
        }
    }
    Ok(())
}

fn turn(node: &DoraNode, tick: u32) {
    let celsius = 20 + tick;
    tracing::info!(tick, celsius, "turned");
    if tick == 40 {
        let fields = BTreeMap::from([("celsius".to_owned(), celsius.to_string())]);
        node.log_with_fields("warn", "getting warm", Some("motor::coil"), Some(&fields));
    }
    if tick.is_multiple_of(20) {
        println!("tick {tick} of 60");
    }
}
