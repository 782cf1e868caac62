//! Gives three goals: one that the server refuses, one that it reaches, and one that is called off on the way.

use std::{collections::BTreeMap, time::Duration};

use dora_node_api::{
    DoraNode, Event, GOAL_ID, GOAL_STATUS, IntoArrow, Metadata, MetadataParameters, Parameter,
    dora_core::config::NodeId, futures::executor::block_on, get_string_param,
};

/// Far longer than the server needs, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Too long: called off when this is left.
const LONG: u64 = 1000;
const CALLED_OFF_AT: u64 = 997;

fn main() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let server = NodeId::from("server".to_owned());

    // Give a goal and wait for its result. Feedback and all else is kept, and comes after that in its order.
    let goal = give(&mut node, 0)?;
    let Event::Input { metadata, data, .. } = block_on(events.recv_action_result(&goal, &server, PATIENCE))?
    else {
        eyre::bail!("a result is an input");
    };
    println!("0: {}, {}", status(&metadata), <&str>::try_from(&data)?);

    // Give goals and go on: feedback and results come as inputs.
    let mut counts = vec![LONG, 4];
    let mut open = BTreeMap::new();
    while !(counts.is_empty() && open.is_empty()) {
        let Some(event) = events.recv() else { break };
        match event {
            Event::Input { id, .. } if id.as_str() == "tick" => {
                let Some(count) = counts.pop() else { continue };
                open.insert(give(&mut node, count)?, count);
            }
            Event::Input { id, metadata, data } => {
                let goal = get_string_param(&metadata.parameters, GOAL_ID).unwrap_or_default();
                // The outputs of the server reach all clients: other goals are not ours.
                let Some(&count) = open.get(goal) else { continue };
                if id.as_str() == "result" {
                    println!("{count}: {}, {}", status(&metadata), <&str>::try_from(&data)?);
                    open.remove(goal);
                    continue;
                }
                let left = u64::try_from(&data)?;
                println!("{count}: {left} left");
                if left == CALLED_OFF_AT {
                    node.send_output("cancel".into(), parameters(goal.to_owned()), ())?;
                }
            }
            Event::NodeFailed { error, .. } => eyre::bail!("there is no server any more: {error}"),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    println!("every goal has its result");
    Ok(())
}

/// Sends a goal; its name.
fn give(node: &mut DoraNode, count: u64) -> eyre::Result<String> {
    let goal = DoraNode::new_goal_id();
    node.send_output("goal".into(), parameters(goal.clone()), count.into_arrow())?;
    Ok(goal)
}

fn parameters(goal: String) -> MetadataParameters {
    MetadataParameters::from([(GOAL_ID.to_owned(), Parameter::String(goal))])
}

fn status(metadata: &Metadata) -> &str {
    get_string_param(&metadata.parameters, GOAL_STATUS).unwrap_or("unknown")
}
