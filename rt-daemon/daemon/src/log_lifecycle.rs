//! What dora itself has to say about a node, in the log of that node: that it ended, why, and whether it is started again.
//!
//! Such a line goes wherever the lines of the node go: into its file, to who reads its log as data, to the display; only not to
//! `send_stdout_as`, because nobody printed it. `min_log_level` does not hide it: that is for what the node says.
//!
//! The file is free: a line is written when everything of the former process was read and the next one is not started.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use dora_protocol::log::{DORA_TARGET, LIFECYCLE, LogLevel, LogMessage};
use serde_json::Value;

use crate::{
    log_file::LogFile,
    log_line::{Line, rfc3339},
    options::RunEvent,
    requests::Operation,
    supervisor::Supervisor,
};

/// What happened to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifecycle {
    /// It ended and its policy starts it again.
    Comeback {
        /// After this long.
        delay: Duration,
    },
    /// Somebody asked for its restart, which happens now.
    Requested,
    /// It failed, and nobody comes after it.
    Failed,
}

impl Lifecycle {
    fn name(self) -> &'static str {
        match self {
            Self::Comeback { .. } | Self::Requested => "restart",
            Self::Failed => "failed",
        }
    }
}

/// The line about node `id`, whose process ended like `how` (`None`: in good order) after `restarts` restarts.
fn describe(id: &str, what: Lifecycle, how: Option<&str>, restarts: u32) -> (LogLevel, String) {
    match what {
        Lifecycle::Comeback { delay } => {
            let when = if delay.is_zero() { String::new() } else { format!(" in {delay:?}") };
            let ended = how.unwrap_or("ended in good order");
            let text = format!("node `{id}` {ended}; starting it again{when} (restart {})", restarts + 1);
            (if how.is_some() { LogLevel::Warn } else { LogLevel::Info }, text)
        }
        Lifecycle::Requested => {
            (LogLevel::Info, format!("node `{id}` is started again, as requested (restart {restarts})"))
        }
        Lifecycle::Failed => (LogLevel::Error, format!("node `{id}` {}", how.unwrap_or("failed"))),
    }
}

impl Supervisor {
    /// Notes in the log of a node what happens to it.
    pub(crate) fn note_lifecycle(&self, node: usize, what: Lifecycle) {
        let (id, state) = (&self.dataflow.nodes[node].id, &self.nodes[node]);
        let how = state.error.as_deref();
        let (level, text) = describe(id.as_str(), what, how, state.restarts);
        let mut fields = BTreeMap::from([(LIFECYCLE.to_owned(), Value::from(what.name()))]);
        let mut add = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        match what {
            Lifecycle::Comeback { delay } => {
                add("restart", (state.restarts + 1).into());
                add("delay_ms", u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).into());
            }
            Lifecycle::Requested => drop(add("restart", state.restarts.into())),
            Lifecycle::Failed => drop(add("restarts", state.restarts.into())),
        }
        if let Some(how) = how {
            add("reason", how.into());
        }
        self.write_lifecycle(node, level, text, fields);
    }

    fn write_lifecycle(&self, node: usize, level: LogLevel, text: String, fields: BTreeMap<String, Value>) {
        let description = &self.dataflow.nodes[node];
        let message = LogMessage {
            build_id: None,
            dataflow_id: Some(self.id.to_string()),
            node_id: Some(description.id.to_string()),
            daemon_id: None,
            level: level.as_str().to_ascii_uppercase(),
            target: Some(DORA_TARGET.to_owned()),
            module_path: None,
            file: None,
            line: None,
            message: text,
            timestamp: rfc3339(Utc::now()),
            fields: Some(fields),
        };
        let log = &description.log;
        match LogFile::create(&self.folder, description.id.as_str(), log.max_size, log.max_rotated) {
            Ok(mut file) => {
                file.append(&message, level.as_str(), None);
                file.flush();
            }
            Err(error) => {
                let text = format!("failed to write to the log of node `{}`: {error}", description.id);
                self.display.system(LogLevel::Warn, Some(&description.id), text);
            }
        }
        let line = Line { level, structured: true, message };
        self.feeds.publish_unprinted(node, &description.id, &line);
        self.display.send(RunEvent::Log { level, message: line.message });
    }

    /// Did somebody ask for the restart of this node, and has it not happened yet?
    pub(crate) fn restart_was_requested(&self, node: usize) -> bool {
        matches!(self.operation, Some(Operation::Restart { node: asked, new: None, .. }) if asked == node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_why_and_which_restart() {
        let ms = Duration::from_millis;
        let killed = Some("ended by signal SIGKILL");
        for (what, how, level, expected) in [
            (
                Lifecycle::Comeback { delay: ms(1500) },
                killed,
                LogLevel::Warn,
                "node `cam` ended by signal SIGKILL; starting it again in 1.5s (restart 3)",
            ),
            (
                Lifecycle::Comeback { delay: ms(0) },
                None,
                LogLevel::Info,
                "node `cam` ended in good order; starting it again (restart 3)",
            ),
            (
                Lifecycle::Requested,
                killed,
                LogLevel::Info,
                "node `cam` is started again, as requested (restart 2)",
            ),
            (Lifecycle::Failed, killed, LogLevel::Error, "node `cam` ended by signal SIGKILL"),
        ] {
            assert_eq!(describe("cam", what, how, 2), (level, expected.to_owned()), "{what:?}");
        }
    }
}
