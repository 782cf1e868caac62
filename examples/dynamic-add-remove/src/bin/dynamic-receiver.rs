//! Says what comes, and at which input.

use dora_node_api::{DoraNode, Event};

fn main() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } => println!("{id}: {}", u64::try_from(&data)?),
            // The input was disconnected, or its sender is gone.
            Event::InputClosed { id } => println!("`{id}` is closed"),
            // It was connected again.
            Event::InputRecovered { id } => println!("`{id}` is open again"),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(())
}
