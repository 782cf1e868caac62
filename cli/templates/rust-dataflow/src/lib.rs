//! The nodes of this dataflow as functions, so that tests can call them, too.

use dora_node_api::{DoraNode, Event, IntoArrow, dora_core::config::DataId};
use eyre::WrapErr;

/// Says hello on every tick, until the dataflow stops. Returns how often.
pub fn talker() -> eyre::Result<u64> {
    let speech = DataId::from("speech".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut said = 0;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, metadata, .. } if id.as_str() == "tick" => {
                said += 1;
                let text = format!("hello {said} from {}", node.id());
                node.send_output(speech.clone(), metadata.parameters, text.into_arrow())?;
            }
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(said)
}

/// Prints what is said, until nobody says anything any more. Returns how much it heard.
pub fn listener() -> eyre::Result<u64> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let mut heard = 0;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } => {
                let text = <&str>::try_from(&data).wrap_err_with(|| format!("`{id}` shall be a string"))?;
                println!("heard on {id}: {text}");
                heard += 1;
            }
            Event::InputClosed { id } => println!("{id} is silent now"),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(heard)
}
