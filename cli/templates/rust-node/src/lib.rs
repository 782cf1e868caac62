//! A node that counts. It is a function, so that tests can call it, too.

use dora_node_api::{DoraNode, Event, IntoArrow, dora_core::config::DataId};

/// Sends the number of ticks so far on every tick, until the dataflow stops. Returns that number.
pub fn run() -> eyre::Result<u64> {
    let count = DataId::from("count".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut ticks = 0_u64;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, metadata, .. } if id.as_str() == "tick" => {
                ticks += 1;
                node.send_output(count.clone(), metadata.parameters, ticks.into_arrow())?;
            }
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(ticks)
}
