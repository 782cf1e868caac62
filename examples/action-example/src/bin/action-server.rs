//! Counts down for whoever gives it a number: feedback with each step, one result at the end.

use dora_node_api::{
    DoraNode, Event, GOAL_ID, GOAL_STATUS, GOAL_STATUS_ABORTED, GOAL_STATUS_CANCELED, GOAL_STATUS_SUCCEEDED,
    IntoArrow, MetadataParameters, Parameter, dora_core::config::DataId, get_string_param,
};

/// Further goals are refused.
const MOST_GOALS: usize = 64;

/// Something that is being done.
struct Goal {
    id: String,
    /// The input at which it came.
    from: DataId,
    left: u64,
}

fn main() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut goals: Vec<Goal> = Vec::new();

    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, .. } if id.as_str() == "step" => step(&mut node, &mut goals)?,
            Event::Input { id, metadata, data } => {
                let Some(goal) = get_string_param(&metadata.parameters, GOAL_ID).map(str::to_owned) else {
                    eprintln!("a message at `{id}` names no goal");
                    continue;
                };
                if id.as_str().starts_with("cancel") {
                    // One that is not there any more has its result already: that counts.
                    if let Some(at) = goals.iter().position(|known| known.id == goal) {
                        goals.remove(at);
                        finish(&mut node, goal, GOAL_STATUS_CANCELED, "as you wish")?;
                    }
                } else {
                    match u64::try_from(&data) {
                        Ok(0) | Err(_) => finish(&mut node, goal, GOAL_STATUS_ABORTED, "nothing to count")?,
                        Ok(_) if goals.len() == MOST_GOALS => {
                            finish(&mut node, goal, GOAL_STATUS_ABORTED, "too many goals")?;
                        }
                        Ok(left) => goals.push(Goal { id: goal, from: id, left }),
                    }
                }
            }
            // Nobody is interested in these any more.
            Event::InputClosed { id } => goals.retain(|goal| goal.from != id),
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    println!("{} goals are left", goals.len());
    Ok(())
}

/// One step of every goal.
fn step(node: &mut DoraNode, goals: &mut Vec<Goal>) -> eyre::Result<()> {
    for goal in goals.iter_mut() {
        goal.left -= 1;
        if goal.left > 0 {
            node.send_output("feedback".into(), parameters(goal.id.clone()), goal.left.into_arrow())?;
        } else {
            finish(node, goal.id.clone(), GOAL_STATUS_SUCCEEDED, "done")?;
        }
    }
    goals.retain(|goal| goal.left > 0);
    Ok(())
}

/// The one result of a goal.
fn finish(node: &mut DoraNode, goal: String, status: &str, text: &str) -> eyre::Result<()> {
    let mut parameters = parameters(goal);
    parameters.insert(GOAL_STATUS.to_owned(), Parameter::String(status.to_owned()));
    node.send_output("result".into(), parameters, text.into_arrow())?;
    Ok(())
}

fn parameters(goal: String) -> MetadataParameters {
    MetadataParameters::from([(GOAL_ID.to_owned(), Parameter::String(goal))])
}
