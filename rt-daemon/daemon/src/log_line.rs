//! From bytes to log messages: cutting lines, and telling structured ones from plain text. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use dora_protocol::log::{LogLevel, LogMessage};
use serde_json::{Map, Value};

/// Longer lines are cut.
pub(crate) const MAX_LINE: usize = 1 << 20;
/// Longer lines are not looked at for structure.
pub(crate) const MAX_STRUCTURED: usize = 64 << 10;

/// Cuts a byte stream into lines of at most [`MAX_LINE`] bytes.
#[derive(Default)]
pub(crate) struct Splitter {
    partial: Vec<u8>,
    /// The current line was cut; skip to its end.
    skipping: bool,
}

impl Splitter {
    /// Takes bytes as they come and hands out each complete line, without its newline.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.append(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if !std::mem::take(&mut self.skipping) {
                line(self.take());
            }
        }
        self.append(bytes);
        if self.partial.len() >= MAX_LINE && !self.skipping {
            self.skipping = true;
            line(self.take());
        }
    }

    /// Hands out what came after the last newline.
    pub(crate) fn finish(&mut self, line: impl FnOnce(String)) {
        if !self.partial.is_empty() && !self.skipping {
            line(self.take());
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if !self.skipping {
            let room = MAX_LINE - self.partial.len();
            self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn take(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.partial);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

/// Who printed a line.
pub(crate) struct Origin<'a> {
    pub(crate) dataflow: &'a str,
    pub(crate) node: &'a str,
}

/// One captured line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: LogLevel,
    pub(crate) structured: bool,
    pub(crate) message: LogMessage,
}

/// Reads one line. Anything that is no structured line is level `stdout` with the raw text.
pub(crate) fn parse(text: &str, origin: &Origin<'_>, now: DateTime<Utc>) -> Line {
    let mut line = structured(text, now).unwrap_or_else(|| Line {
        level: LogLevel::Stdout,
        structured: false,
        message: LogMessage {
            build_id: None,
            dataflow_id: None,
            node_id: None,
            daemon_id: None,
            level: LogLevel::Stdout.to_string(),
            target: None,
            module_path: None,
            file: None,
            line: None,
            message: text.to_owned(),
            timestamp: rfc3339(now),
            fields: None,
        },
    });
    line.message.dataflow_id = Some(origin.dataflow.to_owned());
    line.message.node_id = Some(origin.node.to_owned());
    line
}

fn structured(text: &str, now: DateTime<Utc>) -> Option<Line> {
    if text.len() > MAX_STRUCTURED || !text.trim_start().starts_with('{') {
        return None;
    }
    let mut object: Map<String, Value> = serde_json::from_str(text).ok()?;
    let level: LogLevel = object.get("level")?.as_str()?.parse().ok()?;
    let timestamp = match object.remove("timestamp")? {
        Value::String(text) => DateTime::parse_from_rfc3339(&text).map(|t| rfc3339(t.into())).unwrap_or(text),
        Value::Number(_) => rfc3339(now),
        _ => return None,
    };
    let mut fields = match object.remove("fields") {
        Some(Value::Object(fields)) => Some(fields),
        _ => None,
    };
    let message = match object.remove("message") {
        Some(Value::String(text)) => text,
        Some(_) => return None,
        None => match fields.as_mut()?.remove("message")? {
            Value::String(text) => text,
            other => other.to_string(),
        },
    };
    let mut text_of = |key: &str| match object.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (target, module_path, file) = (text_of("target"), text_of("module_path"), text_of("file"));
    let build_id =
        text_of("build_id").or_else(|| Some(fields.as_ref()?.get("build_id")?.as_str()?.to_owned()));
    let number = object.get("line").and_then(|l| match l {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|n| u32::try_from(n).ok()),
    });
    let fields: Option<BTreeMap<String, Value>> =
        fields.filter(|f| !f.is_empty()).map(|f| f.into_iter().collect());
    Some(Line {
        level,
        structured: true,
        message: LogMessage {
            build_id,
            dataflow_id: None,
            node_id: None,
            daemon_id: None,
            level: level.as_str().to_ascii_uppercase(),
            target,
            module_path,
            file,
            line: number,
            message,
            timestamp,
            fields,
        },
    })
    .map(|mut line| {
        if line.level == LogLevel::Stdout {
            line.message.level = LogLevel::Stdout.to_string();
        }
        line
    })
}

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut all = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |l| all.push(l));
        }
        splitter.finish(|l| all.push(l));
        all
    }

    fn read(text: &str) -> Line {
        let origin = Origin { dataflow: "d", node: "n" };
        parse(text, &origin, DateTime::from_timestamp_millis(1_500).unwrap())
    }

    #[test]
    fn lines_are_cut_across_chunks_and_the_last_one_is_kept() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n", b"\nlast"]), ["a", "bc", "", "last"]);
        assert_eq!(lines(&[b"bad \xff\n"]), ["bad \u{fffd}"]);
        assert_eq!(lines(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_line_longer_than_the_cap_is_cut_and_the_next_is_whole() {
        let long = vec![b'x'; MAX_LINE + 10];
        let all = lines(&[&long[..MAX_LINE / 2], &long[MAX_LINE / 2..], b"rest\nnext\n"]);
        assert_eq!(all.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 4]);
        assert_eq!(all[1], "next");
        let mut exact = vec![b'x'; MAX_LINE + 5];
        exact.push(b'\n');
        assert_eq!(lines(&[&exact]).iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE]);
    }

    #[test]
    fn json_with_level_timestamp_and_message_is_structured() {
        let line = read(
            r#"{"level":"Warning","timestamp":"2026-01-02T03:04:05.678901Z","message":"hot","target":"t","line":"7",
                "fields":{"c":1},"node_id":"liar"}"#,
        );
        assert_eq!((line.level, line.structured), (LogLevel::Warn, true));
        let m = line.message;
        assert_eq!((m.level.as_str(), m.message.as_str(), m.line), ("WARN", "hot", Some(7)));
        assert_eq!((m.timestamp.as_str(), m.target.as_deref()), ("2026-01-02T03:04:05.678Z", Some("t")));
        assert_eq!(m.node_id.as_deref(), Some("n"), "the daemon knows better who printed it");
        assert_eq!(m.fields.unwrap()["c"], 1);
    }

    #[test]
    fn the_message_may_be_among_the_fields() {
        let line = read(r#"{"level":"INFO","timestamp":"x","fields":{"message":"hi"},"line":3}"#);
        assert_eq!((line.message.message.as_str(), line.message.line), ("hi", Some(3)));
        assert_eq!(line.message.fields, None);
    }

    #[test]
    fn everything_else_is_raw_text() {
        let long =
            format!(r#"{{"level":"info","timestamp":"x","message":"{}"}}"#, "x".repeat(MAX_STRUCTURED));
        for text in [
            "hello",
            "{",
            "[1]",
            r#"{"level":"info","message":"no time"}"#,
            r#"{"level":"loud","timestamp":"x","message":"m"}"#,
            r#"{"level":"info","timestamp":"x"}"#,
            &long,
        ] {
            let line = read(text);
            assert_eq!((line.level, line.structured), (LogLevel::Stdout, false), "{text:.40}");
            assert_eq!(line.message.message, text);
            assert_eq!(line.message.timestamp, "1970-01-01T00:00:01.500Z");
        }
    }
}
