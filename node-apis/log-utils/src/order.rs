//! Which messages, and in which order.

use chrono::{DateTime, Utc};
use dora_protocol::log::{LogLevel, LogMessage};

/// How severe a message is. One that does not say is level `stdout`.
pub fn level_of(message: &LogMessage) -> LogLevel {
    message.level.parse().unwrap_or(LogLevel::Stdout)
}

/// The messages that a filter set to `level` lets through, in their order: those as severe or more; of level `stdout` all.
pub fn filter_by_level<'a>(messages: &'a [LogMessage], level: &LogLevel) -> Vec<&'a LogMessage> {
    messages.iter().filter(|message| level.passes(level_of(message))).collect()
}

/// Makes one list of several, the oldest message first.
///
/// Messages of the same time keep the order of the lists, and their order in the list. A message whose time cannot be read stands behind the
/// one before it in its list. Costs `n log n` steps, most of them in reading the times.
pub fn merge_by_timestamp(lists: Vec<Vec<LogMessage>>) -> Vec<LogMessage> {
    let mut timed: Vec<(Option<DateTime<Utc>>, LogMessage)> =
        Vec::with_capacity(lists.iter().map(Vec::len).sum());
    for list in lists {
        let mut last = None;
        for message in list {
            last = DateTime::parse_from_rfc3339(&message.timestamp).ok().map(Into::into).or(last);
            timed.push((last, message));
        }
    }
    timed.sort_by_key(|(time, _)| *time);
    timed.into_iter().map(|(_, message)| message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain_log;

    fn message(text: &str, level: &str, timestamp: &str) -> LogMessage {
        LogMessage { level: level.into(), timestamp: timestamp.into(), ..plain_log(text) }
    }

    #[test]
    fn filter_lets_the_same_through_as_the_levels_of_dora() {
        let levels = ["stdout", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "???"];
        let all = levels.map(|level| message(level, level, ""));
        for (filter, expected) in [
            (LogLevel::Stdout, &levels[..]),
            (LogLevel::Trace, &levels[1..6]),
            (LogLevel::Info, &levels[3..6]),
            (LogLevel::Error, &levels[5..6]),
        ] {
            let kept: Vec<_> = filter_by_level(&all, &filter).iter().map(|m| m.message.as_str()).collect();
            assert_eq!(kept, expected, "{filter}");
        }
    }

    #[test]
    fn time_zones_are_taken_into_account_and_lines_without_a_time_stay_where_they_are() {
        let a = vec![message("a1", "INFO", "2026-01-02T05:00:00+02:00"), message("a2", "INFO", "when?")];
        let b = vec![
            message("b1", "INFO", "2026-01-02T02:59:59.999Z"),
            message("b2", "INFO", "2026-01-02T03:00:00Z"),
        ];
        let merged: Vec<_> = merge_by_timestamp(vec![a, b]).into_iter().map(|m| m.message).collect();
        assert_eq!(merged, ["b1", "a1", "a2", "b2"]);
        assert!(merge_by_timestamp(Vec::new()).is_empty());
    }
}
