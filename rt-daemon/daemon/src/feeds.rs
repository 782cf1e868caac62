//! Lines that nodes print, sent on as messages: `dora/logs` inputs, `send_stdout_as` and `send_logs_as`.
//!
//! Each reader has an output of its own here, so a slow reader loses its own lines and nobody else's; the daemon
//! never waits for one. A line is turned into JSON once, whatever the number of readers.

use std::{
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use dora_protocol::{NodeId, wire_type};
use lockfree_ipc::{Header, Publisher, clock};

use crate::{
    compile::{EdgeId, Lines},
    log_line::Line,
};

/// One edge that the daemon sends on.
pub(crate) struct Feed {
    lines: Lines,
    edge: EdgeId,
    /// `None` once the reader is gone.
    publisher: Option<Publisher>,
}

impl Feed {
    pub(crate) fn new(lines: Lines, edge: EdgeId, publisher: Publisher) -> Self {
        Self { lines, edge, publisher: Some(publisher) }
    }

    fn send(&mut self, text: &str) {
        let Some(publisher) = &mut self.publisher else { return };
        // A refused loan is a line that this reader was too slow for; its own ledger shows the others.
        let Ok(mut loan) = publisher.loan(text.len(), 0) else { return };
        loan.payload_mut().copy_from_slice(text.as_bytes());
        let now = clock::monotonic_ns();
        let header = Header {
            send_ns: now,
            tag_time: now,
            hlc: ntp64(),
            type_id: wire_type::UTF8_ONE,
            ..Header::default()
        };
        if publisher.send(loan, &header).broken.is_some() {
            self.publisher = None;
        }
    }
}

/// Wall-clock time as the HLC counts it: seconds since 1970 in the upper half, their fraction in the lower.
fn ntp64() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() << 32) | ((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000)
}

/// All feeds of a dataflow.
pub(crate) struct Feeds(Mutex<Vec<Feed>>);

impl Feeds {
    pub(crate) fn new(feeds: Vec<Feed>) -> Self {
        Self(Mutex::new(feeds))
    }

    /// Sends one captured line to whoever reads it. `kept`: did it pass the node's `min_log_level`?
    pub(crate) fn publish(&self, node: usize, id: &NodeId, raw: &str, line: &Line, kept: bool) {
        self.offer(node, id, Some(raw), line, kept);
    }

    /// Sends a line that dora wrote into the log of a node to whoever reads that: nobody printed it.
    pub(crate) fn publish_unprinted(&self, node: usize, id: &NodeId, line: &Line) {
        self.offer(node, id, None, line, true);
    }

    fn offer(&self, node: usize, id: &NodeId, raw: Option<&str>, line: &Line, kept: bool) {
        let mut feeds = self.lock();
        let mut json = None;
        for feed in feeds.iter_mut() {
            if matches!(feed.lines, Lines::Raw(from) if from == node) {
                raw.into_iter().for_each(|raw| feed.send(raw));
            } else if kept && wants(&feed.lines, node, id, line) {
                let json =
                    json.get_or_insert_with(|| serde_json::to_string(&line.message).unwrap_or_default());
                feed.send(json);
            }
        }
    }

    /// Further edges, from the next line on.
    pub(crate) fn add(&self, feeds: Vec<Feed>) {
        self.lock().extend(feeds);
    }

    /// Sends no more on an edge, and lets go of everything that its reader held.
    pub(crate) fn remove(&self, edge: EdgeId) {
        self.lock().retain(|feed| feed.edge != edge);
    }

    /// Another process reads an edge from position `head` on: takes back what the one before had.
    pub(crate) fn reader_restarted(&self, edge: EdgeId, head: u64) {
        for feed in self.lock().iter_mut().filter(|feed| feed.edge == edge) {
            // The number that `compile` gave it: each feed has one reader.
            let impossible = feed.publisher.as_mut().is_some_and(|p| p.reader_restarted(0, head).is_err());
            if impossible {
                feed.publisher = None;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Feed>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn wants(lines: &Lines, node: usize, id: &NodeId, line: &Line) -> bool {
    match lines {
        Lines::Raw(_) => false,
        Lines::Structured(from) => *from == node && line.structured,
        Lines::Subscribed { level, node: only, reader } => {
            *reader != node && level.passes(line.level) && only.as_ref().is_none_or(|only| only == id)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use dora_protocol::log::LogLevel;

    use super::*;
    use crate::log_line::{Origin, parse};

    #[test]
    fn a_line_reaches_those_who_asked_for_it_and_never_its_own_node() {
        let id: NodeId = "cam".parse().unwrap();
        let at = DateTime::from_timestamp_millis(0).unwrap();
        let origin = Origin { dataflow: "d", node: "cam" };
        let raw = parse("text", &origin, at);
        let warn = parse(r#"{"level":"warn","timestamp":"x","message":"m"}"#, &origin, at);
        let all = |level, node: Option<&str>, reader| Lines::Subscribed {
            level,
            node: node.map(|n| n.parse().unwrap()),
            reader,
        };
        // who, wants the raw line, wants the warning
        let table = [
            (Lines::Raw(1), false, false),
            (Lines::Structured(1), false, true),
            (Lines::Structured(2), false, false),
            (all(LogLevel::Stdout, None, 3), true, true),
            (all(LogLevel::Info, None, 3), false, true),
            (all(LogLevel::Error, None, 3), false, false),
            (all(LogLevel::Stdout, None, 1), false, false),
            (all(LogLevel::Stdout, Some("cam"), 3), true, true),
            (all(LogLevel::Stdout, Some("arm"), 3), false, false),
        ];
        for (lines, wants_raw, wants_warn) in table {
            assert_eq!(wants(&lines, 1, &id, &raw), wants_raw, "{lines:?}");
            assert_eq!(wants(&lines, 1, &id, &warn), wants_warn, "{lines:?}");
        }
    }
}
