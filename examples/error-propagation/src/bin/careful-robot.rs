//! Goes on with the last reading for a while when no new ones come, and ends in good order when none will.

use dora_node_api::{DoraNode, Event, InputTracker, dora_core::config::DataId};

/// Ticks for which an old reading is good enough.
const GRACE: u32 = 3;

fn main() -> eyre::Result<()> {
    let reading = DataId::from("reading".to_owned());
    let (_node, mut events) = DoraNode::init_from_env()?;
    // Remembers which inputs are closed, and the last value of each.
    let mut inputs = InputTracker::new();
    let mut on_old_data = 0;
    let mut failed = None;

    while let Some(event) = events.recv() {
        inputs.process_event(&event);
        match event {
            Event::Input { id, .. } if id.as_str() == "tick" && inputs.is_closed(&reading) => {
                on_old_data += 1;
                if let (1, Some(last)) = (on_old_data, inputs.last_value(&reading)) {
                    println!("goes on with reading {}", u64::try_from(last)?);
                }
                if on_old_data == GRACE && failed.is_some() {
                    println!("stands still in a safe place");
                    break;
                }
            }
            // It failed and will not be started again. `InputClosed` follows for each input that it fed.
            Event::NodeFailed { source_node_id, error, .. } => {
                println!("`{source_node_id}` failed: {error}");
                failed = Some(error);
            }
            // It failed and is there again. Its outputs were open all the time; what it knew is lost.
            Event::NodeRestarted { id } => println!("`{id}` was started again"),
            // The sender has ended, or `input_timeout` is over.
            Event::InputClosed { id } => println!("`{id}` is closed"),
            Event::InputRecovered { id } => {
                println!("`{id}` is alive again");
                on_old_data = 0;
            }
            Event::Stop(cause) => {
                println!("stops: {cause:?}");
                break;
            }
            _ => {}
        }
    }
    Ok(())
}
