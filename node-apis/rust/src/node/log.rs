//! The log of a node: one JSON object per line on its standard output, which the daemon collects.

use std::{collections::BTreeMap, io::Write};

use chrono::{SecondsFormat, Utc};
use dora_protocol::log::LogLevel;
use serde::Serialize;

/// Fields that take more bytes than this are left out; the daemon takes a line for structured up to 64 KB.
const MAX_FIELDS: usize = 60 << 10;

/// Where in the source a log line was written. What is not known is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LogOrigin<'a> {
    /// File.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<&'a str>,
    /// Line of the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: LogLevel,
    node_id: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(flatten)]
    origin: LogOrigin<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fields_dropped: bool,
}

/// One log line, without the line end.
fn line<F: Serialize>(
    timestamp: &str,
    node_id: &str,
    level: LogLevel,
    message: &str,
    target: Option<&str>,
    origin: LogOrigin<'_>,
    fields: Option<&F>,
) -> String {
    let fields = fields.and_then(|fields| serde_json::to_value(fields).ok());
    let too_long = fields.as_ref().is_some_and(|fields| fields.to_string().len() > MAX_FIELDS);
    let fields = fields.filter(|_| !too_long);
    let line = Line { timestamp, level, node_id, message, target, origin, fields, fields_dropped: too_long };
    // A struct of text has no way to fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// The level of that name; `info` when there is none.
pub(crate) fn level(name: &str) -> LogLevel {
    name.parse().ok().filter(|level| *level != LogLevel::Stdout).unwrap_or(LogLevel::Info)
}

/// Prints a line now.
pub(crate) fn print<F: Serialize>(
    node_id: &str,
    level: LogLevel,
    message: &str,
    target: Option<&str>,
    fields: Option<&F>,
) {
    print_from(node_id, level, message, target, LogOrigin::default(), fields);
}

/// Prints a line that says where it was written.
pub(crate) fn print_from<F: Serialize>(
    node_id: &str,
    level: LogLevel,
    message: &str,
    target: Option<&str>,
    origin: LogOrigin<'_>,
    fields: Option<&F>,
) {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut text = line(&now, node_id, level, message, target, origin, fields);
    text.push('\n');
    // One write per line, so that lines of several threads stay whole. When standard output is closed there is
    // nobody left to tell, and a node shall not die of its log.
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// A warning of this library in the node's log.
pub(crate) fn warn(node_id: &str, message: &str) {
    print::<BTreeMap<String, String>>(node_id, LogLevel::Warn, message, Some("dora_node_api"), None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(level: LogLevel, target: Option<&str>, fields: Option<&BTreeMap<String, String>>) -> Value {
        let origin = LogOrigin::default();
        let line = line("2026-01-02T03:04:05.678Z", "cam", level, "a \"b\"\nc", target, origin, fields);
        assert!(!line.contains('\n'), "one message is one line");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_line_has_the_documented_keys_and_no_empty_ones() {
        let expected = json!({"timestamp": "2026-01-02T03:04:05.678Z", "level": "warn", "node_id": "cam",
            "message": "a \"b\"\nc"});
        assert_eq!(parsed(LogLevel::Warn, None, None), expected);
        let fields = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let full = parsed(LogLevel::Error, Some("lens"), Some(&fields));
        assert_eq!((&full["target"], &full["fields"]), (&json!("lens"), &json!({"k": "v"})));
        assert_eq!(full.get("fields_dropped"), None);
    }

    #[test]
    fn a_line_says_where_it_was_written_when_that_is_known() {
        let origin = LogOrigin { file: Some("cam.py"), line: Some(7) };
        let line = line::<()>("now", "cam", LogLevel::Info, "m", None, origin, None);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["file"], &line["line"]), (&json!("cam.py"), &json!(7)));
        assert_eq!(parsed(LogLevel::Info, None, None).get("file"), None);
    }

    #[test]
    fn fields_that_would_break_the_line_limit_are_dropped_and_that_is_said() {
        let fields = BTreeMap::from([("k".to_owned(), "x".repeat(MAX_FIELDS))]);
        let line = parsed(LogLevel::Info, None, Some(&fields));
        assert_eq!((line.get("fields"), &line["fields_dropped"]), (None, &json!(true)));
    }

    #[test]
    fn level_names_are_forgiving() {
        for (name, expected) in [
            ("WARNING", LogLevel::Warn),
            ("warn", LogLevel::Warn),
            ("Error", LogLevel::Error),
            ("trace", LogLevel::Trace),
            ("loud", LogLevel::Info),
            ("stdout", LogLevel::Info),
        ] {
            assert_eq!(level(name), expected, "{name}");
        }
    }
}
