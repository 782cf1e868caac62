//! Asks for sums: once it waits for the response, then it goes on and takes the responses as they come.

use std::{collections::BTreeMap, time::Duration};

use dora_node_api::{
    DoraNode, Event, REQUEST_ID, dora_core::config::NodeId, futures::executor::block_on, get_string_param,
};
use eyre::WrapErr;
use service_example::{field, record};

/// Far longer than the server needs, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> eyre::Result<()> {
    let step: i64 = std::env::var("STEP").wrap_err("`env: { STEP: … }` is missing")?.parse()?;
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let server = NodeId::from("server".to_owned());

    // Ask and wait. Whatever else happens meanwhile is kept, and comes after that in its order.
    let question = record(&[("a", 0), ("b", step)]);
    let id = node.send_service_request("request".into(), Default::default(), question)?;
    let Event::Input { data, .. } = block_on(events.recv_service_response(&id, &server, PATIENCE))? else {
        eyre::bail!("a response is an input");
    };
    println!("waited for 0 + {step} = {}", field(&data, "sum")?);

    // Ask and go on: there may be several open requests, and responses may come in any order.
    let mut questions = vec![(i64::MAX, step), (3, step), (2, step), (1, step)];
    let mut open = BTreeMap::new();
    while !(questions.is_empty() && open.is_empty()) {
        let Some(event) = events.recv() else { break };
        match event {
            Event::Input { id, .. } if id.as_str() == "tick" => {
                let Some((a, b)) = questions.pop() else { continue };
                let question = record(&[("a", a), ("b", b)]);
                let id = node.send_service_request("request".into(), Default::default(), question)?;
                open.insert(id, (a, b));
            }
            Event::Input { metadata, data, .. } => {
                let id = get_string_param(&metadata.parameters, REQUEST_ID).unwrap_or_default();
                // The server's output reaches all clients: what was not asked here is not for us.
                let Some((a, b)) = open.remove(id) else { continue };
                match get_string_param(&metadata.parameters, "error") {
                    Some(error) => println!("{a} + {b}: {error}"),
                    None => println!("{a} + {b} = {}", field(&data, "sum")?),
                }
            }
            // A server that was started again has forgotten what it was asked: ask again.
            Event::NodeRestarted { id } if id == server => {
                println!("the server is new, {} requests are asked again", open.len());
                questions.extend(std::mem::take(&mut open).into_values());
            }
            Event::NodeFailed { error, .. } => eyre::bail!("there is no server any more: {error}"),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    println!("everything is answered");
    Ok(())
}
