//! A battery that runs empty: logs its charge, warns below 20 %, and says an error when it is empty.

use dora_node_api::{DoraNode, Event};

fn main() -> eyre::Result<()> {
    let (node, mut events) = DoraNode::init_from_env()?;
    println!("battery found");
    let mut percent = 50;
    while percent > 0 {
        match events.recv() {
            Some(Event::Input { .. }) => {
                percent -= 1;
                let said = format!("charge is {percent} %");
                match percent {
                    0 => node.log_error("battery is empty"),
                    5 | 19 => node.log_warn(&said),
                    _ => node.log_info(&said),
                }
            }
            Some(Event::Stop(_)) | None => break,
            Some(other) => node.log_debug(&format!("{other:?}")),
        }
    }
    Ok(())
}
