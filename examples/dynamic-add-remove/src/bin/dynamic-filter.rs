//! Passes on every n-th number.

use dora_node_api::{DoraNode, Event};
use eyre::{WrapErr, ensure};

fn main() -> eyre::Result<()> {
    let every: u64 = std::env::var("EVERY").wrap_err("`env: { EVERY: … }` is missing")?.parse()?;
    ensure!(every > 0, "`EVERY: 0` passes nothing on");
    let (mut node, mut events) = DoraNode::init_from_env()?;
    println!("passes on every {every}. number");

    while let Some(event) = events.recv() {
        match event {
            // Whichever input it is: one that did not exist when the node started is an input like any other.
            Event::Input { metadata, data, .. } => {
                if u64::try_from(&data)? % every == 0 {
                    node.send_output("output".into(), metadata.parameters, data)?;
                }
            }
            Event::InputClosed { id } => println!("`{id}` is closed"),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(())
}
