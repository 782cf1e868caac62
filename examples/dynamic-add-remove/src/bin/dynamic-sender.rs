//! Counts.

use dora_node_api::{DoraNode, Event, IntoArrow};

fn main() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut value = 0_u64;
    while let Some(event) = events.recv() {
        match event {
            // Sending costs next to nothing while nobody is connected.
            Event::Input { metadata, .. } => {
                value += 1;
                node.send_output("value".into(), metadata.parameters, value.into_arrow())?;
            }
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(())
}
