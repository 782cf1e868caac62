//! Remembers the last number and says it in words ten times a second.

use dora_node_api::{DoraNode, Event, IntoArrow, dora_core::config::DataId};

fn main() -> eyre::Result<()> {
    let output = DataId::from("status".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;

    let mut numbers = 0;
    let mut last = None;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, metadata, data } => match id.as_str() {
                "random" => {
                    last = Some(u64::try_from(&data)?);
                    numbers += 1;
                }
                "tick" => {
                    let status = match last {
                        Some(random) => format!("number {numbers} was {random:#x}"),
                        None => "no number yet".to_owned(),
                    };
                    node.send_output(output.clone(), metadata.parameters, status.into_arrow())?;
                }
                other => eprintln!("ignoring unexpected input {other}"),
            },
            Event::InputClosed { id } if id.as_str() == "random" => {
                // The last word, so that nothing depends on where the last tick fell.
                let status = format!("`random` ended after {numbers} numbers");
                node.send_output(output.clone(), Default::default(), status.into_arrow())?;
                break;
            }
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(())
}
