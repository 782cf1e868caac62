//! Counts up to 100 at the rate of its timer.

use dora_node_api::{DoraNode, Event, dora_core::config::DataId};

fn main() -> eyre::Result<()> {
    let output = DataId::from("value".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut value = 0.0;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { metadata, .. } => {
                value += 1.0;
                node.send_output(output.clone(), metadata.parameters, value)?;
                if value >= 100.0 {
                    break;
                }
            }
            Event::Stop(_) => break,
            other => node.log_debug(&format!("{other:?}")),
        }
    }
    Ok(())
}
