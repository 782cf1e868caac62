//! What dora itself has to say about a node, in the log of that node: that it ended, why, and whether it is started again; and
//! what somebody asked for (`dora node restart`, `stop`, `add`, `remove`, `replace`) and what came of it.
//!
//! Such a line goes wherever the lines of the node go: into its file, to who reads its log as data, to the display; only not to
//! `send_stdout_as`, because nobody printed it. `min_log_level` does not hide it: that is for what the node says.
//!
//! It is one write at the end of the file, between whole lines of a process that may be printing meanwhile. Only when there is no
//! such process is the file rotated: two cannot do that.

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
#[derive(Clone, Debug)]
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
    /// Somebody asked for its end, and it has ended.
    Stopped,
    /// Somebody added it, and it is part of the dataflow now.
    Added,
    /// Somebody removed it, and its place is given up.
    Removed {
        /// It had ended long before: who reads its log was told that nothing more comes.
        unheard: bool,
    },
    /// Somebody replaced it, and its new process has the place. The former one failed like that (`None`: ended in good order).
    Replaced(Option<String>),
    /// Somebody wanted to replace it, and nothing came of it.
    NotReplaced(String),
}

impl Lifecycle {
    fn name(&self) -> &'static str {
        match self {
            Self::Comeback { .. } | Self::Requested => "restart",
            Self::Failed => "failed",
            Self::Stopped => "stop",
            Self::Added => "add",
            Self::Removed { .. } => "remove",
            Self::Replaced(_) | Self::NotReplaced(_) => "replace",
        }
    }
}

/// The line about node `id`, whose process ended like `how` (`None`: in good order) after `restarts` restarts.
fn describe(id: &str, what: &Lifecycle, how: Option<&str>, restarts: u32) -> (LogLevel, String) {
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
        Lifecycle::Stopped => (LogLevel::Info, format!("node `{id}` was stopped, as requested")),
        Lifecycle::Added => (LogLevel::Info, format!("node `{id}` was added, as requested")),
        Lifecycle::Removed { .. } => (LogLevel::Info, format!("node `{id}` was removed, as requested")),
        Lifecycle::Replaced(former) => {
            let text = format!("node `{id}` was replaced, as requested (restart {restarts})");
            match former {
                None => (LogLevel::Info, text),
                Some(how) => (LogLevel::Warn, format!("{text}; its former process {how}")),
            }
        }
        Lifecycle::NotReplaced(why) => {
            // As whoever asked for it reads it, who did not ask about this node alone.
            let why = why.strip_prefix(&format!("node `{id}` was not replaced, ")).unwrap_or(why);
            (LogLevel::Warn, format!("node `{id}` was not replaced, as requested: {why}"))
        }
    }
}

impl Supervisor {
    /// Notes in the log of a node what happens to it.
    pub(crate) fn note_lifecycle(&self, node: usize, what: &Lifecycle) {
        let (id, state) = (&self.dataflow.nodes[node].id, &self.nodes[node]);
        let how = match what {
            Lifecycle::Replaced(former) => former.as_deref(),
            Lifecycle::NotReplaced(why) => Some(why.as_str()),
            // Said already.
            Lifecycle::Stopped | Lifecycle::Removed { .. } => None,
            _ => state.error.as_deref(),
        };
        let (level, text) = describe(id.as_str(), what, how, state.restarts);
        let mut fields = BTreeMap::from([(LIFECYCLE.to_owned(), Value::from(what.name()))]);
        let mut add = |key: &str, value: Value| drop(fields.insert(key.to_owned(), value));
        match what {
            Lifecycle::Comeback { delay } => {
                add("restart", (state.restarts + 1).into());
                add("delay_ms", u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).into());
            }
            Lifecycle::Requested | Lifecycle::Replaced(_) => add("restart", state.restarts.into()),
            Lifecycle::Failed | Lifecycle::Stopped | Lifecycle::Removed { .. } => {
                add("restarts", state.restarts.into());
            }
            Lifecycle::Added | Lifecycle::NotReplaced(_) => {}
        }
        if let Some(how) = how {
            add("reason", how.into());
        }
        let line = self.lifecycle_line(node, level, text, fields);
        self.write_lifecycle(node, &line);
        if !matches!(what, Lifecycle::Removed { unheard: true }) {
            self.feeds.publish_unprinted(node, id, &line);
        }
        self.display.send(RunEvent::Log { level, message: line.message });
    }

    fn lifecycle_line(
        &self,
        node: usize,
        level: LogLevel,
        text: String,
        fields: BTreeMap<String, Value>,
    ) -> Line {
        let message = LogMessage {
            build_id: None,
            dataflow_id: Some(self.id.to_string()),
            node_id: Some(self.dataflow.nodes[node].id.to_string()),
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
        Line { level, structured: true, message }
    }

    fn write_lifecycle(&self, node: usize, line: &Line) {
        let description = &self.dataflow.nodes[node];
        let log = &description.log;
        let max_size = log.max_size.filter(|_| self.nodes[node].living.is_none());
        match LogFile::create(&self.folder, description.id.as_str(), max_size, log.max_rotated) {
            Ok(mut file) => {
                file.append(&line.message, line.level.as_str(), None);
                file.flush();
            }
            Err(error) => {
                let text = format!("failed to write to the log of node `{}`: {error}", description.id);
                self.display.system(LogLevel::Warn, Some(&description.id), text);
            }
        }
    }

    /// Did somebody ask for the restart of this node, and has it not happened yet?
    pub(crate) fn restart_was_requested(&self, node: usize) -> bool {
        matches!(self.operation, Some(Operation::Restart { node: asked, new: None, .. }) if asked == node)
    }

    /// Is it being stopped because somebody asked for that, and not for the end of the whole dataflow?
    pub(crate) fn stop_was_requested(&self, node: usize) -> bool {
        matches!(self.operation, Some(Operation::Stop { node: asked, .. }) if asked == node)
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
            (Lifecycle::Stopped, None, LogLevel::Info, "node `cam` was stopped, as requested"),
            (Lifecycle::Added, None, LogLevel::Info, "node `cam` was added, as requested"),
            (
                Lifecycle::Removed { unheard: false },
                None,
                LogLevel::Info,
                "node `cam` was removed, as requested",
            ),
            (
                Lifecycle::Replaced(None),
                None,
                LogLevel::Info,
                "node `cam` was replaced, as requested (restart 2)",
            ),
            (
                Lifecycle::Replaced(killed.map(str::to_owned)),
                killed,
                LogLevel::Warn,
                "node `cam` was replaced, as requested (restart 2); its former process ended by signal SIGKILL",
            ),
            (
                Lifecycle::NotReplaced(
                    "node `cam` was not replaced, its new process exited with code 9".into(),
                ),
                None,
                LogLevel::Warn,
                "node `cam` was not replaced, as requested: its new process exited with code 9",
            ),
        ] {
            assert_eq!(describe("cam", &what, how, 2), (level, expected.to_owned()), "{what:?}");
        }
    }
}
