//! One line of a log file, read back.
//!
//! Files have the documented keys (`timestamp`, `node_id`, `message`); those of other versions (`ts`, `node`, `msg`) are
//! read as well. What is no JSON object is shown as it is: a line that was being written when the power went is
//! still a line.

use chrono::{DateTime, Utc};
use dora_protocol::log::{LogLevel, LogMessage};
use serde_json::{Map, Value};

/// A log line with its place in time.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// For sorting and `--since`; `None` when the line does not say.
    pub(crate) time: Option<DateTime<Utc>>,
    /// How severe.
    pub(crate) level: LogLevel,
    /// The rest.
    pub(crate) message: LogMessage,
}

impl Entry {
    /// A message that came whole, from a coordinator.
    pub(crate) fn of(message: LogMessage) -> Self {
        let time = DateTime::parse_from_rfc3339(&message.timestamp).ok().map(Into::into);
        Self { time, level: message.level.parse().unwrap_or(LogLevel::Stdout), message }
    }

    /// Reads a line of a log file of `dataflow`; of that of `node`, where the line does not say.
    pub(crate) fn parse(line: &str, dataflow: &str, node: Option<&str>) -> Self {
        let mut message = LogMessage {
            build_id: None,
            dataflow_id: Some(dataflow.to_owned()),
            node_id: node.map(str::to_owned),
            daemon_id: None,
            level: LogLevel::Stdout.to_string(),
            target: None,
            module_path: None,
            file: None,
            line: None,
            message: line.to_owned(),
            timestamp: String::new(),
            fields: None,
        };
        if let Ok(object) = serde_json::from_str::<Map<String, Value>>(line) {
            fill(&mut message, object);
        }
        Self::of(message)
    }

    /// Is `pattern`, in small letters, in the message, the node or the logger?
    pub(crate) fn contains(&self, pattern: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(pattern);
        let optional = |text: &Option<String>| text.as_deref().is_some_and(has);
        has(&self.message.message) || optional(&self.message.node_id) || optional(&self.message.target)
    }
}

fn fill(message: &mut LogMessage, mut object: Map<String, Value>) {
    let mut text = |keys: [&str; 2]| {
        keys.into_iter().find_map(|key| match object.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        })
    };
    message.timestamp = text(["timestamp", "ts"]).unwrap_or_default();
    if let Some(level) = text(["level", "level"]).and_then(|level| level.parse::<LogLevel>().ok())
        && level != LogLevel::Stdout
    {
        message.level = level.as_str().to_ascii_uppercase();
    }
    if let Some(node) = text(["node_id", "node"]) {
        message.node_id = Some(node);
    }
    if let Some(said) = text(["message", "msg"]) {
        message.message = said;
    }
    message.target = text(["target", "target"]);
    if let Some(Value::Object(fields)) = object.remove("fields") {
        message.fields = Some(fields.into_iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_documented_keys_and_with_those_of_the_reference_read_the_same() {
        let ours = r#"{"timestamp":"2026-01-02T03:04:05.678Z","level":"warn","node_id":"cam","message":"hot","target":"t","fields":{"c":1},"stream":"stderr"}"#;
        let theirs = r#"{"ts":"2026-01-02T03:04:05.678Z","level":"warn","node":"cam","stream":"stderr","msg":"hot","target":"t","fields":{"c":1}}"#;
        let read = |line| Entry::parse(line, "d", Some("n"));
        assert_eq!(read(ours).message, read(theirs).message);
        let entry = read(ours);
        assert_eq!((entry.level, entry.message.level.as_str()), (LogLevel::Warn, "WARN"));
        assert_eq!(entry.message.node_id.as_deref(), Some("cam"));
        assert_eq!(entry.time.unwrap().timestamp_millis(), 1_767_323_045_678);
    }

    #[test]
    fn what_is_no_json_object_is_shown_as_it_is() {
        for line in [r#"{"timestamp":"2026-01-02T0"#, "boom", "[1]", ""] {
            let entry = Entry::parse(line, "d", Some("n"));
            assert_eq!((entry.level, entry.message.message.as_str()), (LogLevel::Stdout, line));
            assert_eq!((entry.time, entry.message.node_id.as_deref()), (None, Some("n")));
        }
    }

    #[test]
    fn search_looks_at_message_node_and_logger_in_any_case() {
        let line = r#"{"level":"info","node_id":"Cam","message":"Connection TIMEOUT","target":"net::Tcp"}"#;
        let entry = Entry::parse(line, "d", Some("n"));
        for found in ["timeout", "cam", "tcp"] {
            assert!(entry.contains(found), "{found}");
        }
        assert!(!entry.contains("warning"));
    }
}
