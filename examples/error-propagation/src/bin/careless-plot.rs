//! Cannot do anything without the sensor: the failure of the sensor becomes its own.

use dora_node_api::{DoraNode, Event};

fn main() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { .. } => {} // a plot would draw it
            Event::NodeFailed { source_node_id, error, .. } => {
                eyre::bail!("nothing to draw, `{source_node_id}` {error}");
            }
            Event::Stop(_) => break,
            _ => {}
        }
    }
    Ok(())
}
