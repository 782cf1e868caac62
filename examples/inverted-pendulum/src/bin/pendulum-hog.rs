//! The nuisance: takes the pictures and burns a core over them, nearly all the time, at ordinary priority.
//!
//! Stands for the vision stack, the logger, the map builder: whatever shares a computer with a control loop. With `--rt`
//! the loop does not notice; the report of the run shows it.

use std::time::{Duration, Instant};

use dora_node_api::{DoraNode, Event};

/// Out of the 33 ms that a picture lasts.
const SPIN: Duration = Duration::from_millis(28);
/// Pictures from one log line to the next: every two seconds.
const LOG_EVERY: u64 = 60;

fn main() -> eyre::Result<()> {
    let (node, mut events) = DoraNode::init_from_env()?;
    let mut pictures = 0;

    while let Some(event) = events.recv() {
        match event {
            Event::Input { data, .. } => {
                let brightness = spin(<&[u8]>::try_from(&data)?);
                pictures += 1;
                if pictures % LOG_EVERY == 0 {
                    let spun = SPIN.as_millis();
                    node.log_info(&format!(
                        "picture {pictures}: brightness {brightness}, {spun} ms burnt on each"
                    ));
                }
            }
            Event::Stop(_) => break,
            _ => {}
        }
    }
    Ok(())
}

/// Computes the mean of all bytes over and over until the time is up.
fn spin(frame: &[u8]) -> u64 {
    let start = Instant::now();
    loop {
        let sum: u64 = std::hint::black_box(frame).iter().map(|byte| u64::from(*byte)).sum();
        if start.elapsed() >= SPIN {
            return sum / frame.len().max(1) as u64;
        }
    }
}
