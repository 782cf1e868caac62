//! Merges the logs that come in at its inputs into one file, one JSON object per line.
//!
//! What is there is written at once, ordered by time: a busy dataflow costs few writes, an idle one none. After an error line
//! the file is on the disk, also when the power goes. A full disk loses lines and counts them; it ends no node.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
};

use dora_log_utils::{
    LogLevel, LogMessage, format_json, level_of, merge_by_timestamp, parse_log_from_arrow, plain_log,
};
use dora_node_api::{DoraArray, DoraNode, Event, dora_core::config::DataId};
use eyre::WrapErr;

/// Lines of one write, so that no burst takes more memory than this.
const BATCH: usize = 1000;

fn main() -> eyre::Result<()> {
    let path = std::env::var("LOG_FILE").unwrap_or_else(|_| "./combined.jsonl".to_owned());
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let mut file = file.wrap_err_with(|| format!("LOG_FILE: cannot write to `{path}`"))?;
    let (node, mut events) = DoraNode::init_from_env()?;
    let (mut written, mut lost) = (0, 0);
    // Ends when all inputs are closed, or the dataflow is stopped; what was queued comes before.
    while let Some(first) = events.recv() {
        let mut inputs: BTreeMap<DataId, Vec<LogMessage>> = BTreeMap::new();
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(event) = next else { break };
            if let Event::Input { id, data, .. } = event {
                match read(&id, &data) {
                    Ok(message) => inputs.entry(id).or_default().push(message),
                    Err(error) => node.log_warn(&format!("input `{id}` is no text: {error}")),
                }
            }
            next = events.try_recv().ok();
        }
        let lines = merge_by_timestamp(inputs.into_values().collect());
        match write(&mut file, &lines) {
            Ok(()) => written += lines.len() as u64,
            Err(error) => {
                lost += lines.len() as u64;
                node.log_error(&format!("{} lines could not be written to `{path}`: {error}", lines.len()));
            }
        }
        lost += events.drain_drop_counts().into_values().sum::<u64>();
    }
    node.log_info(&format!("wrote {written} lines to {path}, lost {lost}"));
    Ok(())
}

/// The message that came in. Text that `send_stdout_as` carries does not say whose it is: the name of the input stands for that.
fn read(input: &DataId, data: &DoraArray) -> eyre::Result<LogMessage> {
    parse_log_from_arrow(data).or_else(|_| {
        let text = <&str>::try_from(data)?;
        Ok(LogMessage { node_id: Some(input.to_string()), ..plain_log(text) })
    })
}

fn write(file: &mut File, lines: &[LogMessage]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let text: String = lines.iter().map(|line| format_json(line) + "\n").collect();
    file.write_all(text.as_bytes())?;
    if lines.iter().any(|line| level_of(line) == LogLevel::Error) { file.sync_data() } else { Ok(()) }
}
