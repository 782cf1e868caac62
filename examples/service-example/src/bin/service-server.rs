//! Adds two numbers for whoever asks.

use dora_node_api::{DoraNode, Event, Parameter};
use service_example::{field, record};

fn main() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;

    while let Some(event) = events.recv() {
        match event {
            Event::Input { metadata, data, .. } => {
                let sum = field(&data, "a")?.checked_add(field(&data, "b")?);
                // The parameters of the request have its `request_id`: passed on, they say what this answers.
                let mut parameters = metadata.parameters;
                if sum.is_none() {
                    // There is one response to each request, also to one that cannot be done.
                    parameters
                        .insert("error".to_owned(), Parameter::String("the sum is too large".to_owned()));
                }
                let response = record(&[("sum", sum.unwrap_or_default())]);
                node.send_service_response("response".into(), parameters, response)?;
            }
            Event::InputClosed { id } => println!("`{id}` is closed"),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    Ok(())
}
