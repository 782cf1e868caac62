//! From log messages to text. Nothing is escaped but in JSON: a message of two lines is two lines in the other formats.

use dora_protocol::log::LogMessage;

/// Who spoke, where no node did.
const DORA: &str = "dora";

/// One JSON object on one line, without line end: what [`parse_log`](crate::parse_log) reads.
pub fn format_json(message: &LogMessage) -> String {
    // Texts, numbers and maps with text keys: there is nothing in a log message that JSON cannot say.
    serde_json::to_string(message).unwrap_or_default()
}

/// `<timestamp> <node> <LEVEL>: <message>`, without line end.
pub fn format_compact(message: &LogMessage) -> String {
    let LogMessage { timestamp, level, message: text, .. } = message;
    format!("{timestamp} {} {level}: {text}", node(message))
}

/// `[<timestamp>][<LEVEL>][<node>] <message>`, without line end.
pub fn format_pretty(message: &LogMessage) -> String {
    let LogMessage { timestamp, level, message: text, .. } = message;
    format!("[{timestamp}][{level}][{}] {text}", node(message))
}

fn node(message: &LogMessage) -> &str {
    message.node_id.as_deref().unwrap_or(DORA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_log;

    const LINE: &str = r#"{"build_id":null,"dataflow_id":"d","node_id":"cam","daemon_id":null,"level":"WARN","target":null,"module_path":null,"file":null,"line":null,"message":"hot","timestamp":"2026-01-02T03:04:05.678Z","fields":null}"#;

    #[test]
    fn each_format_says_when_who_how_severe_and_what() {
        let message = parse_log(LINE).unwrap();
        assert_eq!(format_json(&message), LINE);
        assert_eq!(format_compact(&message), "2026-01-02T03:04:05.678Z cam WARN: hot");
        assert_eq!(format_pretty(&message), "[2026-01-02T03:04:05.678Z][WARN][cam] hot");
    }

    #[test]
    fn what_no_node_said_dora_did() {
        let message = LogMessage { node_id: None, ..parse_log(LINE).unwrap() };
        assert_eq!(format_compact(&message), "2026-01-02T03:04:05.678Z dora WARN: hot");
        assert_eq!(format_pretty(&message), "[2026-01-02T03:04:05.678Z][WARN][dora] hot");
    }
}
