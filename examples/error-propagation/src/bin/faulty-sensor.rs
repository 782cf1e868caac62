//! Sends ten readings, in the middle of which something goes wrong.

use std::{thread, time::Duration};

use dora_node_api::{DoraNode, Event, IntoArrow};
use eyre::{WrapErr, bail};

const READINGS: u64 = 10;
/// Far more than the `input_timeout` of the reader.
const PAUSE: Duration = Duration::from_secs(2);

fn main() -> eyre::Result<()> {
    let trouble = std::env::var("TROUBLE").wrap_err("`env: { TROUBLE: … }` is missing")?;
    let (mut node, mut events) = DoraNode::init_from_env()?;
    if node.is_restart() {
        println!("start number {}", node.restart_count() + 1);
    }

    let mut reading = 0;
    while reading < READINGS {
        let Some(event) = events.recv() else { break };
        match event {
            Event::Input { .. } => {
                reading += 1;
                node.send_output("reading".into(), Default::default(), reading.into_arrow())?;
            }
            Event::Stop(_) => break,
            other => eprintln!("unexpected: {other:?}"),
        }
        if reading != READINGS / 2 {
            continue;
        }
        match trouble.as_str() {
            "fails" => fail(),
            "returns an error" => bail!("the lens is dirty"),
            "fails twice" if node.restart_count() < 2 => fail(),
            "fails twice" => {}
            "pauses" => thread::sleep(PAUSE),
            other => {
                bail!("`TROUBLE: {other}` is none of `fails`, `returns an error`, `fails twice`, `pauses`")
            }
        }
    }
    println!("all {READINGS} readings are sent");
    Ok(())
}

/// Ends the process as a crash does: nothing is closed, nobody is told.
fn fail() -> ! {
    eprintln!("the lens is dirty");
    std::process::exit(1)
}
