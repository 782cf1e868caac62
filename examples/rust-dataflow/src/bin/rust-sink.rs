//! Prints every status that comes.

use dora_node_api::{DoraNode, Event};
use eyre::WrapErr;

fn main() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;

    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } => match id.as_str() {
                "message" => {
                    let status = <&str>::try_from(&data).wrap_err("`message` shall be a string")?;
                    println!("sink received: {status}");
                }
                other => eprintln!("ignoring unexpected input {other}"),
            },
            Event::InputClosed { id } => println!("input `{id}` was closed"),
            Event::Stop(_) => println!("stop"),
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(())
}
