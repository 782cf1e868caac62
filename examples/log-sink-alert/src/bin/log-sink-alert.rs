//! Passes every log message on at `all_logs`, and warnings and errors once more at `alerts`.
//!
//! Both outputs carry messages as JSON text, as `dora/logs` does. So whoever reacts to alerts needs to read little, and never
//! waits behind a flood of other lines.

use dora_log_utils::{LogLevel, format_json, level_of, parse_log_from_arrow, plain_log};
use dora_node_api::{DoraNode, Event, dora_core::config::DataId};

fn main() -> eyre::Result<()> {
    let all_logs = DataId::from("all_logs".to_owned());
    let alerts = DataId::from("alerts".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let (mut all, mut urgent, mut lost) = (0_u64, 0_u64, 0_u64);
    // Ends when all inputs are closed, or the dataflow is stopped; what was queued comes before.
    while let Some(event) = events.recv() {
        if let Event::Input { id, metadata, data } = event {
            let read = parse_log_from_arrow(&data).or_else(|_| <&str>::try_from(&data).map(plain_log));
            let message = match read {
                Ok(message) => message,
                Err(error) => {
                    node.log_debug(&format!("input `{id}` is no text: {error}"));
                    continue;
                }
            };
            let line = format_json(&message);
            if LogLevel::Warn.passes(level_of(&message)) {
                urgent += 1;
                node.send_output(alerts.clone(), metadata.parameters.clone(), line.as_str())?;
            }
            all += 1;
            node.send_output(all_logs.clone(), metadata.parameters, line.as_str())?;
        }
        lost += events.drain_drop_counts().into_values().sum::<u64>();
    }
    node.log_info(&format!("{all} messages, {urgent} of them alerts, {lost} lost"));
    Ok(())
}
