//! A random number per tick, a hundred of them, then the end.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use dora_node_api::{DoraNode, Event, IntoArrow, dora_core::config::DataId};

const MESSAGES: u32 = 100;

fn main() -> eyre::Result<()> {
    println!("hello");
    let output = DataId::from("random".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;

    let mut sent = 0;
    while sent < MESSAGES {
        let Some(event) = events.recv() else { break };
        match event {
            Event::Input { id, metadata, .. } if id.as_str() == "tick" => {
                let random = random();
                println!("tick {sent}, sending {random:#x}");
                node.send_output(output.clone(), metadata.parameters, random.into_arrow())?;
                sent += 1;
            }
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
    }
    println!("sent {sent} numbers");
    Ok(())
}

/// The standard library seeds each `RandomState` anew: random enough for an example, and no dependency.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
