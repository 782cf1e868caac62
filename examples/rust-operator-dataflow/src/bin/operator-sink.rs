//! Prints how many alarms came, and the last of them.

use dora_node_api::{DoraNode, Event};

fn main() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let (mut alarms, mut last) = (0, 0.0);
    while let Some(event) = events.recv() {
        if let Event::Input { data, .. } = event {
            (alarms, last) = (alarms + 1, f64::try_from(&data)?);
        }
    }
    println!("{alarms} alarms, the last at {last}");
    Ok(())
}
