//! What was logged, in numbers, and the last of what was serious.

use std::collections::{BTreeMap, VecDeque};

use dora_log_utils::{LogLevel, LogMessage, level_of, merge_by_timestamp};

/// Warnings and errors kept of each node.
const KEPT: usize = 20;
/// The columns of the table.
const LEVELS: [LogLevel; 6] =
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace, LogLevel::Stdout];

/// All nodes together.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    nodes: BTreeMap<String, Node>,
    lost: u64,
}

#[derive(Debug, Default)]
struct Node {
    counts: [u64; LEVELS.len()],
    worst: VecDeque<LogMessage>,
}

impl Summary {
    pub(crate) fn add(&mut self, message: LogMessage) {
        let level = level_of(&message);
        let node =
            self.nodes.entry(message.node_id.clone().unwrap_or_else(|| "dora".to_owned())).or_default();
        for (count, _) in node.counts.iter_mut().zip(LEVELS).filter(|(_, column)| *column == level) {
            *count += 1;
        }
        if LogLevel::Warn.passes(level) {
            if node.worst.len() == KEPT {
                node.worst.pop_front();
            }
            node.worst.push_back(message);
        }
    }

    /// Messages that came faster than they were read.
    pub(crate) fn note_lost(&mut self, count: u64) {
        self.lost += count;
    }

    /// Everything in one line.
    pub(crate) fn line(&self) -> String {
        let sum = |columns: &[usize]| -> u64 {
            self.nodes.values().flat_map(|node| columns.iter().map(|column| node.counts[*column])).sum()
        };
        format!(
            "{} nodes, {} messages: {} errors, {} warnings; {} lost",
            self.nodes.len(),
            sum(&[0, 1, 2, 3, 4, 5]),
            sum(&[0]),
            sum(&[1]),
            self.lost
        )
    }

    /// A row for each node below one with the names of the levels.
    pub(crate) fn table(&self) -> Vec<String> {
        let row = |name: &str, cells: [String; LEVELS.len()]| {
            let cells: String = cells.iter().map(|cell| format!("{cell:>7}")).collect();
            format!("{name:<12}{cells}")
        };
        let head = row("node", LEVELS.map(|level| level.to_string()));
        let nodes =
            self.nodes.iter().map(|(name, node)| row(name, node.counts.map(|count| count.to_string())));
        [head].into_iter().chain(nodes).collect()
    }

    /// The last warnings and errors of all nodes, the oldest first.
    pub(crate) fn worst(&self) -> Vec<LogMessage> {
        merge_by_timestamp(self.nodes.values().map(|node| node.worst.iter().cloned().collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use dora_log_utils::plain_log;

    use super::*;

    fn message(node: Option<&str>, level: &str, second: u32) -> LogMessage {
        LogMessage {
            node_id: node.map(str::to_owned),
            level: level.to_owned(),
            timestamp: format!("2026-01-02T03:04:{second:02}Z"),
            ..plain_log("x")
        }
    }

    #[test]
    fn messages_are_counted_by_node_and_level_and_the_serious_ones_are_in_order() {
        let mut summary = Summary::default();
        for (node, level, second) in
            [(Some("b"), "WARN", 1), (Some("a"), "ERROR", 3), (Some("a"), "stdout", 0), (None, "ERROR", 2)]
        {
            summary.add(message(node, level, second));
        }
        summary.note_lost(2);
        assert_eq!(summary.line(), "3 nodes, 4 messages: 2 errors, 1 warnings; 2 lost");
        assert_eq!(
            summary.table(),
            [
                "node          error   warn   info  debug  trace stdout",
                "a                 1      0      0      0      0      1",
                "b                 0      1      0      0      0      0",
                "dora              1      0      0      0      0      0",
            ]
        );
        let order: Vec<_> = summary.worst().into_iter().map(|message| message.node_id).collect();
        assert_eq!(order, [Some("b".to_owned()), None, Some("a".to_owned())]);
    }

    #[test]
    fn of_many_warnings_of_a_node_the_last_ones_are_kept() {
        let mut summary = Summary::default();
        (0..30).for_each(|second| summary.add(message(Some("a"), "WARN", second)));
        let worst = summary.worst();
        assert_eq!((worst.len(), worst[0].timestamp.as_str()), (KEPT, "2026-01-02T03:04:10Z"));
    }
}
