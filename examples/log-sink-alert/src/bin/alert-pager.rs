//! Shows each alert as soon as it comes, and counts what else was logged.

use dora_log_utils::{format_pretty, parse_log_from_arrow};
use dora_node_api::{DoraNode, Event};
use eyre::WrapErr;

fn main() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let (mut alerts, mut all) = (0, 0);
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } if id.as_str() == "alerts" => {
                let message = parse_log_from_arrow(&data).wrap_err("an alert is a log message")?;
                alerts += 1;
                println!("ALERT {}", format_pretty(&message));
            }
            Event::Input { .. } => all += 1,
            _ => {}
        }
    }
    println!("{alerts} alerts among {all} messages");
    Ok(())
}
