//! One of several workers: logs what it does, and fails once. Its restart policy starts it again.

use dora_node_api::{DoraNode, Event};

const TICKS: u32 = 40;

fn main() -> eyre::Result<()> {
    let (node, mut events) = DoraNode::init_from_env()?;
    let fails = std::env::var("FAILS_ONCE").is_ok() && !node.is_restart();
    println!("worker is up");
    for tick in 1..=TICKS {
        let Some(Event::Input { .. }) = events.recv() else { break };
        node.log_info(&format!("step {tick}"));
        if tick == TICKS / 2 {
            node.log_warn("half of the steps are done");
            if fails {
                node.log_error("the gripper is stuck");
                std::process::exit(3);
            }
        }
    }
    Ok(())
}
