//! Which lines are shown: merged by time, filtered, the last ones.
//!
//! ```text
//!   node a ─┐
//!           ├─ merge by time ─► since, until ─► level ─► grep ─► tail
//!   node b ─┘
//! ```
//!
//! Lines are read one by one, so that a log of any size takes no more memory than its `--tail`.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use dora_protocol::log::LogLevel;

use super::entry::Entry;
use crate::{args::LogsArgs, display::logs::LogFilter};

/// What a line has to be like.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    levels: LogFilter,
    /// In small letters.
    grep: Option<String>,
}

impl Filter {
    pub(super) fn new(args: &LogsArgs, now: DateTime<Utc>) -> Self {
        // Longer ago than the calendar reaches means: from its beginning.
        let ago = |span| {
            chrono::Duration::from_std(span)
                .ok()
                .and_then(|span| now.checked_sub_signed(span))
                .unwrap_or(DateTime::<Utc>::MIN_UTC)
        };
        Self {
            since: args.since.map(ago),
            until: args.until.map(ago),
            levels: LogFilter { default: args.level, nodes: args.log_filter.clone().unwrap_or_default() },
            grep: args.grep.as_deref().map(str::to_lowercase),
        }
    }

    /// Is the line shown? One that does not say when it was written is as old as the one before it.
    pub(super) fn passes(&self, entry: &Entry) -> bool {
        let young = self.since.is_none_or(|since| entry.time.is_none_or(|time| time >= since));
        let old = self.until.is_none_or(|until| entry.time.is_none_or(|time| time <= until));
        young
            && old
            && self.levels.passes(entry.message.node_id.as_deref(), entry.level)
            && self.grep.as_deref().is_none_or(|pattern| entry.contains(pattern))
    }

    /// The most talkative level that any node may have.
    pub(super) fn widest_level(&self) -> LogLevel {
        self.levels.nodes.0.values().copied().fold(self.levels.default, LogLevel::max)
    }

    /// Does every line pass?
    pub(super) fn is_open(&self) -> bool {
        let Self { since, until, levels, grep } = self;
        since.is_none()
            && until.is_none()
            && grep.is_none()
            && levels.default == LogLevel::Stdout
            && levels.nodes.0.is_empty()
    }
}

/// Lines of several nodes as one stream, by time. The order of the lines of one node never changes, also when its clock
/// went back.
pub(super) struct Merge<I> {
    heads: Vec<Head<I>>,
}

struct Head<I> {
    lines: I,
    next: Option<Entry>,
    /// Of the last line that had a time.
    time: Option<DateTime<Utc>>,
}

impl<I: Iterator<Item = Entry>> Head<I> {
    fn advance(&mut self) {
        self.next = self.lines.next();
        if let Some(entry) = &mut self.next {
            entry.time = entry.time.or(self.time);
            self.time = self.time.max(entry.time);
        }
    }
}

impl<I: Iterator<Item = Entry>> Merge<I> {
    pub(super) fn new(nodes: impl IntoIterator<Item = I>) -> Self {
        let mut heads: Vec<Head<I>> =
            nodes.into_iter().map(|lines| Head { lines, next: None, time: None }).collect();
        heads.iter_mut().for_each(Head::advance);
        Self { heads }
    }
}

impl<I: Iterator<Item = Entry>> Iterator for Merge<I> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let waiting = self.heads.iter_mut().filter(|head| head.next.is_some());
        // `min_by_key` takes the first of equal ones: what was written at the same time comes in the order of names.
        let first = waiting.min_by_key(|head| head.time)?;
        let entry = first.next.take();
        first.advance();
        entry
    }
}

/// The last `count` of them; all without a count.
pub(super) fn tail<'a>(
    lines: impl Iterator<Item = Entry> + 'a,
    count: Option<usize>,
) -> Box<dyn Iterator<Item = Entry> + 'a> {
    let Some(count) = count else { return Box::new(lines) };
    let mut last = VecDeque::new();
    for line in lines {
        if last.len() == count {
            last.pop_front();
        }
        if count > 0 {
            last.push_back(line);
        }
    }
    Box::new(last.into_iter())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn entry(node: &str, second: u32, level: &str, text: &str) -> Entry {
        let line = format!(
            r#"{{"timestamp":"2026-01-02T03:04:{second:02}.000Z","level":"{level}","node_id":"{node}","message":"{text}"}}"#
        );
        Entry::parse(&line, "d", Some(node))
    }

    fn filter(flags: &[&str]) -> Filter {
        let all = ["dora", "logs"].iter().chain(flags);
        let Command::Logs(args) = Cli::try_parse_from(all).unwrap().command else { panic!("not logs") };
        Filter::new(&args, "2026-01-02T03:05:00Z".parse().unwrap())
    }

    fn texts(lines: impl Iterator<Item = Entry>) -> Vec<String> {
        lines.map(|entry| entry.message.message).collect()
    }

    #[test]
    fn nodes_are_merged_by_time_and_each_keeps_its_order() {
        let a = vec![entry("a", 1, "info", "a1"), entry("a", 5, "info", "a5"), entry("a", 3, "info", "back")];
        let b = vec![
            entry("b", 2, "info", "b2"),
            Entry::parse("raw", "d", Some("b")),
            entry("b", 6, "info", "b6"),
        ];
        let merged = Merge::new([a.into_iter(), b.into_iter()]);
        assert_eq!(texts(merged), ["a1", "b2", "raw", "a5", "back", "b6"]);
        assert_eq!(texts(Merge::new(Vec::<std::vec::IntoIter<Entry>>::new())), Vec::<String>::new());
    }

    #[test]
    fn window_of_time_is_between_since_and_until() {
        let filter = filter(&["--since", "50s", "--until", "20s"]);
        let shown: Vec<u32> =
            (0..60).filter(|second| filter.passes(&entry("a", *second, "info", "x"))).collect();
        assert_eq!(shown, (10..=40).collect::<Vec<_>>());
    }

    #[test]
    fn a_coordinator_is_asked_for_the_most_talkative_level_of_all() {
        assert!(filter(&[]).is_open());
        assert_eq!(filter(&["--level", "warn"]).widest_level(), LogLevel::Warn);
        assert_eq!(
            filter(&["--level", "warn", "--log-filter", "a=trace,b=error"]).widest_level(),
            LogLevel::Trace
        );
        assert!(!filter(&["--level", "warn"]).is_open() && !filter(&["--grep", "x"]).is_open());
    }

    #[test]
    fn a_span_longer_than_the_calendar_shows_everything() {
        assert!(filter(&["--since", "99999999999d"]).passes(&entry("a", 1, "info", "x")));
    }

    #[test]
    fn levels_and_search_narrow_what_is_shown() {
        let table = [
            (&["--level", "warn"][..], "a", "info", "x", false),
            (&["--level", "warn"], "a", "error", "x", true),
            (&["--level", "warn", "--log-filter", "a=debug"], "a", "debug", "x", true),
            (&["--level", "warn", "--log-filter", "a=debug"], "b", "debug", "x", false),
            (&["--level", "info"], "a", "stdout", "x", false),
            (&["--grep", "TimeOut"], "a", "stdout", "a timeout", true),
            (&["--grep", "timeout"], "a", "stdout", "fine", false),
        ];
        for (flags, node, level, text, expected) in table {
            assert_eq!(
                filter(flags).passes(&entry(node, 1, level, text)),
                expected,
                "{flags:?} {node} {level}"
            );
        }
    }

    #[test]
    fn tail_takes_the_last_ones_of_what_passed() {
        let lines = || (0..5).map(|n| entry("a", n, "info", &n.to_string()));
        assert_eq!(texts(tail(lines(), Some(2))), ["3", "4"]);
        assert_eq!(texts(tail(lines(), Some(9))), ["0", "1", "2", "3", "4"]);
        assert_eq!(texts(tail(lines(), Some(0))), Vec::<String>::new());
        assert_eq!(texts(tail(lines(), None)).len(), 5);
    }
}
