//! From text to log messages.
//!
//! Three kinds of JSON objects are log messages: what log inputs carry, lines of log files, and structured lines that a node
//! prints. They differ in which keys they have, not in what a key means, so one reader does for all. Files of the
//! reference implementation have `ts`, `node` and `msg` for `timestamp`, `node_id` and `message`.

use chrono::{SecondsFormat, Utc};
use dora_arrow_codec::DoraArray;
use dora_protocol::log::{LogLevel, LogMessage, UnknownLevel};
use serde_json::{Map, Value};

/// Why a text is no log message.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A raw line, for example one that `send_stdout_as` carries; see [`plain_log`].
    #[error("a log message is a JSON object: {0}")]
    NoJson(#[source] serde_json::Error),
    /// Neither the key nor its short form is there.
    #[error("the JSON object is no log message: it has no `{0}`")]
    Missing(&'static str),
    /// The key is there with something else than a text.
    #[error("the JSON object is no log message: its `{0}` is no text")]
    NoText(&'static str),
    /// A level that does not exist.
    #[error(transparent)]
    Level(#[from] UnknownLevel),
    /// The payload is not one string.
    #[error("log messages come as one string: {0}")]
    Payload(String),
}

/// Reads a log message: from a log input, a line of a log file, or a structured line of a node.
///
/// Needs `level` (in any case), `timestamp` (or `ts`), and `message` (or `msg`, or one inside `fields`). What else is there and is of
/// the wrong kind is left out; keys that a [`LogMessage`] does not have are passed over. The level comes out as `stdout`, or
/// `ERROR` … `TRACE`.
///
/// # Errors
/// [`ParseError`] for everything else. [`plain_log`] makes a message of any text.
pub fn parse_log(text: &str) -> Result<LogMessage, ParseError> {
    let mut object: Map<String, Value> = serde_json::from_str(text).map_err(ParseError::NoJson)?;
    let level: LogLevel = required(&mut object, "level", None)?.parse()?;
    let timestamp = required(&mut object, "timestamp", Some("ts"))?;
    let mut fields = match object.remove("fields") {
        Some(Value::Object(fields)) => Some(fields),
        _ => None,
    };
    let message = match required(&mut object, "message", Some("msg")) {
        Err(ParseError::Missing(key)) => match fields.as_mut().and_then(|fields| fields.remove("message")) {
            Some(Value::String(message)) => message,
            Some(_) => return Err(ParseError::NoText(key)),
            None => return Err(ParseError::Missing(key)),
        },
        found => found?,
    };
    let line = object.get("line").and_then(|line| match line {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    });
    let mut optional = |key: &'static str, short| required(&mut object, key, short).ok();
    Ok(LogMessage {
        build_id: optional("build_id", None),
        dataflow_id: optional("dataflow_id", None),
        node_id: optional("node_id", Some("node")),
        daemon_id: optional("daemon_id", None),
        level: name(level),
        target: optional("target", None),
        module_path: optional("module_path", None),
        file: optional("file", None),
        line,
        message,
        timestamp,
        fields: fields.filter(|fields| !fields.is_empty()).map(|fields| fields.into_iter().collect()),
    })
}

/// Reads the payload of an input from `dora/logs…` or `send_logs_as`. Copies the text once.
///
/// # Errors
/// [`ParseError`] when the array is not one string, or the string is no log message.
pub fn parse_log_from_arrow(data: &DoraArray) -> Result<LogMessage, ParseError> {
    let text = <&str>::try_from(data).map_err(|error| ParseError::Payload(error.to_string()))?;
    parse_log(text)
}

/// A message of level `stdout`, of any text, printed now by nobody in particular. For lines that [`parse_log`] refuses.
pub fn plain_log(text: &str) -> LogMessage {
    LogMessage {
        build_id: None,
        dataflow_id: None,
        node_id: None,
        daemon_id: None,
        level: name(LogLevel::Stdout),
        target: None,
        module_path: None,
        file: None,
        line: None,
        message: text.to_owned(),
        timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        fields: None,
    }
}

/// Takes a text out of the object; null is as good as nothing.
fn required(
    object: &mut Map<String, Value>,
    key: &'static str,
    short: Option<&str>,
) -> Result<String, ParseError> {
    let mut found = [Some(key), short].into_iter().flatten().filter_map(|key| object.remove(key));
    match found.find(|value| !value.is_null()) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ParseError::NoText(key)),
        None => Err(ParseError::Missing(key)),
    }
}

/// A level as log messages have it.
fn name(level: LogLevel) -> String {
    match level {
        LogLevel::Stdout => level.to_string(),
        _ => level.as_str().to_ascii_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use dora_arrow_codec::IntoArrow;

    use super::*;

    #[test]
    fn lines_with_documented_keys_and_with_those_of_the_reference_read_the_same() {
        let ours = r#"{"timestamp":"2026-01-02T03:04:05.678Z","level":"warn","node_id":"cam","message":"hot","target":"t","fields":{"c":1},"stream":"stderr"}"#;
        let theirs = r#"{"ts":"2026-01-02T03:04:05.678Z","level":"WARNING","node":"cam","stream":"stderr","msg":"hot","target":"t","fields":{"c":1}}"#;
        let message = parse_log(ours).unwrap();
        assert_eq!(message, parse_log(theirs).unwrap());
        assert_eq!((message.level.as_str(), message.node_id.as_deref()), ("WARN", Some("cam")));
        assert_eq!(message.fields.unwrap()["c"], 1);
    }

    #[test]
    fn what_nodes_print_may_have_its_message_in_the_fields_and_a_line_number_as_text() {
        let line = r#"{"timestamp":"t","level":"INFO","fields":{"message":"up","port":7},"line":"12","file":"a.py"}"#;
        let message = parse_log(line).unwrap();
        assert_eq!(
            (message.message.as_str(), message.line, message.file.as_deref()),
            ("up", Some(12), Some("a.py"))
        );
        assert_eq!(message.fields.unwrap().into_keys().collect::<Vec<_>>(), ["port"]);
        let only =
            parse_log(r#"{"timestamp":"t","level":"stdout","fields":{"message":"up"},"line":-1}"#).unwrap();
        assert_eq!((only.fields, only.line, only.level.as_str()), (None, None, "stdout"));
    }

    #[test]
    fn an_error_says_what_is_missing() {
        for (text, expected) in [
            ("sensor ready", "a log message is a JSON object: "),
            ("[1]", "a log message is a JSON object: "),
            (r#"{"timestamp":"t","message":"m"}"#, "it has no `level`"),
            (r#"{"level":"info","message":"m"}"#, "it has no `timestamp`"),
            (r#"{"level":"info","timestamp":"t"}"#, "it has no `message`"),
            (r#"{"level":"info","timestamp":"t","message":null}"#, "it has no `message`"),
            (r#"{"level":"info","timestamp":"t","fields":{"message":1}}"#, "its `message` is no text"),
            (r#"{"level":3,"timestamp":"t","message":"m"}"#, "its `level` is no text"),
            (r#"{"level":"loud","timestamp":"t","message":"m"}"#, "`loud` is not a log level"),
        ] {
            let error = parse_log(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn arrays_hold_one_message_or_are_refused() {
        let text = r#"{"level":"error","timestamp":"t","message":"m"}"#;
        assert_eq!(parse_log_from_arrow(&text.into_arrow()).unwrap().level, "ERROR");
        for array in [7_u8.into_arrow(), vec![1_u64, 2].into_arrow()] {
            let error = parse_log_from_arrow(&array).unwrap_err();
            assert!(matches!(error, ParseError::Payload(_)), "{error}");
        }
    }

    #[test]
    fn any_text_can_be_a_plain_message() {
        let message = plain_log("{ not json");
        assert_eq!((message.level.as_str(), message.message.as_str()), ("stdout", "{ not json"));
        assert!(chrono::DateTime::parse_from_rfc3339(&message.timestamp).is_ok(), "{}", message.timestamp);
    }
}
