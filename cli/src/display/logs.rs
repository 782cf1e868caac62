//! Live log lines: which ones are shown, and how.
//!
//! ```text
//! pretty    09:15:02 INFO   camera: opened /dev/video0        coloured on a terminal
//! compact   09:15:02 INFO camera: opened /dev/video0          never coloured
//! json      {"build_id":null,…,"message":"opened /dev/video0",…}
//! ```
//!
//! In the json format a line is one `LogMessage` and there is nothing else: what dora itself has to say becomes a
//! message without node.

use std::{collections::BTreeMap, fmt::Write as _, str::FromStr};

use chrono::{DateTime, TimeZone, Utc};
use dora_daemon::options::RunEvent;
use dora_protocol::log::{LogLevel, LogMessage};

/// `--log-level` together with `--log-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter {
    /// For nodes that are not named, and for dora itself.
    pub(crate) default: LogLevel,
    /// Per node.
    pub(crate) nodes: NodeLevels,
}

impl LogFilter {
    /// Is a line of this level shown?
    pub(crate) fn passes(&self, node: Option<&str>, level: LogLevel) -> bool {
        let filter = node.and_then(|node| self.nodes.0.get(node)).copied().unwrap_or(self.default);
        filter.passes(level)
    }
}

/// `node1=debug,node2=warn`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeLevels(pub(crate) BTreeMap<String, LogLevel>);

impl FromStr for NodeLevels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (node, level) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` has no level; write it as `node=debug`"))?;
            let (node, level) = (node.trim(), level.trim());
            if node.is_empty() {
                return Err(format!("`{part}` names no node; write it as `node=debug`"));
            }
            let level = level.parse::<LogLevel>().map_err(|e| e.to_string())?;
            if levels.insert(node.to_owned(), level).is_some() {
                return Err(format!("node `{node}` is named twice"));
            }
        }
        Ok(Self(levels))
    }
}

/// `--log-format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Aligned and, on a terminal, coloured.
    #[default]
    Pretty,
    /// One JSON object per line and nothing else.
    Json,
    /// Short, never coloured.
    Compact,
}

/// Turns events into lines of text.
#[derive(Clone, Debug)]
pub(crate) struct LogPrinter<Tz> {
    /// How.
    pub(crate) format: LogFormat,
    /// Which.
    pub(crate) filter: LogFilter,
    /// Only looked at in the pretty format.
    pub(crate) colors: bool,
    /// Where the reader's clock hangs.
    pub(crate) zone: Tz,
}

impl<Tz: TimeZone> LogPrinter<Tz> {
    /// The text for `event`, ended by a newline; `None` when it is filtered out or is no log line.
    pub(crate) fn text(&self, event: &RunEvent, now: DateTime<Utc>) -> Option<String> {
        match event {
            RunEvent::Log { level, message } => {
                self.filter.passes(message.node_id.as_deref(), *level).then(|| self.line(*level, message))
            }
            RunEvent::System { level, node, text } => self
                .filter
                .passes(node.as_deref(), *level)
                .then(|| self.line(*level, &system_message(*level, node.as_deref(), text, now))),
            RunEvent::Started { after_ms } => {
                let level = LogLevel::Info;
                let text = format!("all nodes are ready after {after_ms:.1} ms, messages flow");
                let line = || self.line(level, &system_message(level, None, &text, now));
                self.filter.passes(None, level).then(|| self.set_off(&line()))
            }
            RunEvent::RtTable(_) => None,
        }
    }

    /// The text for a line of a node, ended by a newline; `None` when it is filtered out.
    pub(crate) fn message(&self, level: LogLevel, message: &LogMessage) -> Option<String> {
        self.filter.passes(message.node_id.as_deref(), level).then(|| self.line(level, message))
    }

    /// Steps in the life of the dataflow stand apart from what its nodes print.
    fn set_off(&self, line: &str) -> String {
        if self.format == LogFormat::Pretty { format!("\n{line}\n") } else { line.to_owned() }
    }

    fn line(&self, level: LogLevel, message: &LogMessage) -> String {
        match self.format {
            LogFormat::Json => json(message),
            LogFormat::Compact => {
                let who = speaker(message).unwrap_or("[dora]");
                format!("{} {} {who}: {}\n", self.time(message), level_name(level), message.message)
            }
            LogFormat::Pretty => self.pretty(level, message),
        }
    }

    fn pretty(&self, level: LogLevel, message: &LogMessage) -> String {
        let mut line = format!("{} ", self.time(message));
        let name = format!("{:<6}", level_name(level));
        self.paint(&mut line, level_style(level), &name);
        line.push(' ');
        let node = speaker(message);
        match node {
            Some(node) => self.paint(&mut line, node_style(node), node),
            None => self.paint(&mut line, "1", "[dora]"),
        }
        line.push_str(if node.is_some() { ": " } else { " " });
        if level == LogLevel::Stdout {
            line.push_str(&message.message);
        } else {
            self.paint(&mut line, if level == LogLevel::Trace { "2" } else { "" }, &message.message);
        }
        line.push('\n');
        line
    }

    fn paint(&self, line: &mut String, style: &str, text: &str) {
        if self.colors && !style.is_empty() {
            // Writing to a String cannot fail.
            line.write_fmt(format_args!("\x1b[{style}m{text}\x1b[0m")).unwrap_or_default();
        } else {
            line.push_str(text);
        }
    }

    /// `HH:MM:SS` on the reader's clock; a timestamp that is none is shown as it is.
    fn time(&self, message: &LogMessage) -> String {
        match DateTime::parse_from_rfc3339(&message.timestamp) {
            Ok(time) => {
                let local = time.with_timezone(&self.zone).naive_local();
                local.format("%H:%M:%S").to_string()
            }
            Err(_) => message.timestamp.clone(),
        }
    }
}

/// The node that printed the line; `None` for dora, also where it speaks in the log of a node.
fn speaker(message: &LogMessage) -> Option<&str> {
    message.node_id.as_deref().filter(|_| !message.is_lifecycle())
}

fn json(message: &LogMessage) -> String {
    // Strings, numbers and maps with text keys: there is nothing in a log message that JSON cannot say.
    serde_json::to_string(message).map(|text| text + "\n").unwrap_or_default()
}

/// What dora itself says, in the form of a log line. The node it is about is a field: the node did not print it.
fn system_message(level: LogLevel, node: Option<&str>, text: &str, now: DateTime<Utc>) -> LogMessage {
    LogMessage {
        build_id: None,
        dataflow_id: None,
        node_id: None,
        daemon_id: None,
        level: level_name(level).to_owned(),
        target: Some("dora".to_owned()),
        module_path: None,
        file: None,
        line: None,
        message: text.to_owned(),
        timestamp: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        fields: node.map(|node| BTreeMap::from([("node".to_owned(), node.into())])),
    }
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
        LogLevel::Stdout => "stdout",
    }
}

fn level_style(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "31",
        LogLevel::Warn => "33",
        LogLevel::Info => "32",
        LogLevel::Debug => "34",
        LogLevel::Trace => "2",
        LogLevel::Stdout => "3;2;34",
    }
}

/// Bold, in a colour that depends on the name alone: the same in every run and beside any other nodes.
fn node_style(node: &str) -> &'static str {
    const STYLES: [&str; 10] =
        ["1;32", "1;33", "1;34", "1;35", "1;36", "1;92", "1;93", "1;94", "1;95", "1;96"];
    // FNV-1a: a few lines, and unlike the standard hasher it promises to stay what it is.
    let hash =
        node.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    STYLES[hash as usize % STYLES.len()]
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    fn printer(format: LogFormat, colors: bool) -> LogPrinter<FixedOffset> {
        let filter = LogFilter { default: LogLevel::Stdout, nodes: NodeLevels::default() };
        LogPrinter { format, filter, colors, zone: FixedOffset::east_opt(2 * 3600).unwrap() }
    }

    fn log(node: &str, level: LogLevel, text: &str) -> RunEvent {
        let mut message = system_message(level, None, text, now());
        message.node_id = Some(node.to_owned());
        RunEvent::Log { level, message }
    }

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 2, 7, 15, 2).unwrap()
    }

    fn system(text: &str) -> RunEvent {
        RunEvent::System { level: LogLevel::Warn, node: Some("cam".into()), text: text.into() }
    }

    #[test]
    fn pretty_lines_are_aligned_and_plain_without_colors() {
        let printer = printer(LogFormat::Pretty, false);
        let text = |event: &RunEvent| printer.text(event, now()).unwrap();
        assert_eq!(text(&log("cam", LogLevel::Info, "hi")), "09:15:02 INFO   cam: hi\n");
        assert_eq!(text(&log("cam", LogLevel::Stdout, "hi")), "09:15:02 stdout cam: hi\n");
        assert_eq!(text(&log("cam", LogLevel::Error, "hi")), "09:15:02 ERROR  cam: hi\n");
        assert_eq!(text(&system("late")), "09:15:02 WARN   [dora] late\n");
    }

    #[test]
    fn what_dora_writes_into_the_log_of_a_node_is_shown_as_doras_and_filtered_as_the_nodes() {
        let RunEvent::Log { level, mut message } = log("cam", LogLevel::Warn, "node `cam` ended") else {
            unreachable!()
        };
        message.fields = Some(BTreeMap::from([(dora_protocol::log::LIFECYCLE.to_owned(), "restart".into())]));
        let event = RunEvent::Log { level, message };
        let text = |format| printer(format, false).text(&event, now()).unwrap();
        assert_eq!(text(LogFormat::Pretty), "09:15:02 WARN   [dora] node `cam` ended\n");
        assert_eq!(text(LogFormat::Compact), "09:15:02 WARN [dora]: node `cam` ended\n");
        assert!(text(LogFormat::Json).contains(r#""node_id":"cam""#));
        let mut printer = printer(LogFormat::Pretty, false);
        printer.filter.nodes = "cam=error".parse().unwrap();
        assert_eq!(printer.text(&event, now()), None);
    }

    #[test]
    fn start_is_set_off_by_blank_lines_in_the_pretty_format_only() {
        let started = RunEvent::Started { after_ms: 12.34 };
        let line = "09:15:02 INFO   [dora] all nodes are ready after 12.3 ms, messages flow\n";
        assert_eq!(printer(LogFormat::Pretty, false).text(&started, now()).unwrap(), format!("\n{line}\n"));
        assert_eq!(printer(LogFormat::Compact, true).text(&started, now()).unwrap().lines().count(), 1);
    }

    #[test]
    fn compact_lines_are_never_colored() {
        let text = printer(LogFormat::Compact, true).text(&log("cam", LogLevel::Warn, "hot"), now()).unwrap();
        assert_eq!(text, "09:15:02 WARN cam: hot\n");
    }

    #[test]
    fn colors_show_the_level_and_a_bold_node_name() {
        let text = printer(LogFormat::Pretty, true).text(&log("cam", LogLevel::Error, "x"), now()).unwrap();
        let style = node_style("cam");
        assert_eq!(text, format!("09:15:02 \x1b[31mERROR \x1b[0m \x1b[{style}mcam\x1b[0m: x\n"));
        assert!(style.starts_with("1;"));
    }

    #[test]
    fn every_json_line_is_one_log_message_also_what_dora_says() {
        let printer = printer(LogFormat::Json, true);
        let started = RunEvent::Started { after_ms: 1.0 };
        for event in [log("cam", LogLevel::Stdout, "two\nlines"), system("late"), started] {
            let text = printer.text(&event, now()).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let message: LogMessage = serde_json::from_str(&text).unwrap();
            assert_eq!(message.timestamp, "2026-01-02T07:15:02.000Z");
        }
        let text = printer.text(&system("late"), now()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["level"], &value["fields"]["node"]), (&"WARN".into(), &"cam".into()));
        assert!(value["node_id"].is_null() && value.as_object().unwrap().contains_key("build_id"));
    }

    #[test]
    fn filter_of_a_node_overrides_the_level_for_that_node_only() {
        let mut printer = printer(LogFormat::Compact, false);
        printer.filter =
            LogFilter { default: LogLevel::Warn, nodes: "cam=debug, arm=error".parse().unwrap() };
        let shown = |node, level| printer.text(&log(node, level, "x"), now()).is_some();
        let table = [
            ("cam", LogLevel::Debug, true),
            ("cam", LogLevel::Trace, false),
            ("cam", LogLevel::Stdout, false),
            ("arm", LogLevel::Warn, false),
            ("arm", LogLevel::Error, true),
            ("leg", LogLevel::Warn, true),
            ("leg", LogLevel::Info, false),
        ];
        for (node, level, expected) in table {
            assert_eq!(shown(node, level), expected, "{node} {level}");
        }
    }

    #[test]
    fn malformed_filter_is_refused_with_the_part_that_is_wrong() {
        for (text, expected) in [
            ("cam", "`cam` has no level"),
            ("cam=loud", "`loud` is not a log level"),
            ("=info", "names no node"),
            ("a=info,a=warn", "`a` is named twice"),
        ] {
            let error = text.parse::<NodeLevels>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn timestamp_that_is_none_is_shown_as_the_node_wrote_it() {
        let RunEvent::Log { level, mut message } = log("cam", LogLevel::Info, "x") else { unreachable!() };
        message.timestamp = "yesterday".into();
        let event = RunEvent::Log { level, message };
        assert_eq!(
            printer(LogFormat::Compact, false).text(&event, now()).unwrap(),
            "yesterday INFO cam: x\n"
        );
    }
}
