//! The machine: 1000 steps of physics per second, driven by a timer, with whatever force came last.
//!
//! Nothing here waits for the controller. When the machine was too busy to run this node for some milliseconds, the world
//! went on all the same: the missed steps are made up for, with the old force.

use dora_node_api::rt::{Event, RtNode};
use inverted_pendulum::{model::STEPS_PER_SECOND, plant::Plant};

/// The physics engine allocates as it goes: what a spare pendulum gave back is there for the real one, page-faults and all.
const WARM_UP_STEPS: u64 = 2000;

/// Every run pushes the pole at the same moments.
const SEED: u64 = 1;
/// Steps from one message for the camera to the next: 30 per second.
const POSE_EVERY: u64 = STEPS_PER_SECOND / 30;

fn main() -> eyre::Result<()> {
    Plant::new(Some(SEED)).advance(WARM_UP_STEPS);
    let mut plant = Plant::new(Some(SEED));
    let mut node = RtNode::init_from_env()?;
    let tick = node.timer("tick")?;
    let force = node.input::<f64>("force")?;
    let state = node.output("state", 4)?;
    let pose = node.output("pose", 2)?;
    let mut ticks = 0;

    loop {
        match node.wait() {
            Event::Input(input) if input == force => {
                if let Some(newton) = node.read(&force)?.first() {
                    plant.set_force(*newton);
                }
            }
            Event::Tick(due) if due == tick => {
                let fell = plant.advance(1 + due.missed);
                let now = plant.state();
                if let Some(step) = fell {
                    println!(
                        "down in step {step}: cart at {:.2} m, pole at {:.2} rad; drive off",
                        now[0], now[2]
                    );
                }
                node.send(&state, &now)?;
                ticks += 1;
                if ticks % POSE_EVERY == 0 {
                    node.send(&pose, &[now[0], now[2]])?;
                }
            }
            Event::Stop(_) | Event::Closed => break,
            _ => {}
        }
    }
    println!("{}", plant.verdict());
    Ok(())
}
