//! Numbers of what is no longer there: edges of former processes, nodes that were removed. They are part of the report.
//!
//! Rows are found by name: a node that was removed and added again, or an edge that joined the same two ports before,
//! goes on in the same row.

use std::collections::BTreeMap;

use crate::{
    chain_rows::ChainRows,
    compile::EdgeId,
    report::{EdgeReport, MissReport, NodeReport, OutputReport, Percentiles, TimerReport},
};

/// Sums by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Former {
    /// By sender, reader; with the number of the first edge, which is the order of the report.
    edges: BTreeMap<(String, String), (EdgeId, EdgeReport)>,
    timers: Vec<TimerReport>,
    nodes: Vec<NodeReport>,
    pub(crate) chains: ChainRows,
    /// The worst of pages that are gone, worst first.
    pub(crate) misses: Vec<MissReport>,
    /// Of inputs that timed out, and came back.
    pub(crate) timeouts: (u64, u64),
}

impl Former {
    /// Adds an edge.
    pub(crate) fn edge(&mut self, id: EdgeId, row: EdgeReport) {
        let key = (row.from.clone(), row.to.clone());
        match self.edges.get_mut(&key) {
            Some((first, sum)) => {
                *first = id.min(*first);
                add_edge(sum, row);
            }
            None => {
                self.edges.insert(key, (id, row));
            }
        }
    }

    /// Adds a timer input.
    pub(crate) fn timer(&mut self, row: TimerReport) {
        match self.timers.iter_mut().find(|sum| sum.to == row.to) {
            Some(sum) => {
                sum.ticks += row.ticks;
                sum.missed += row.missed;
                sum.deadline_missed += row.deadline_missed;
                newest(&mut sum.lateness, row.lateness);
                (sum.period_ns, sum.deadline_us) = (row.period_ns, row.deadline_us);
            }
            None => self.timers.push(row),
        }
    }

    /// Adds a node; what cannot be added, such as its exit, is that of the latest.
    pub(crate) fn node(&mut self, row: NodeReport) {
        let Some(sum) = self.nodes.iter_mut().find(|sum| sum.node == row.node) else {
            return self.nodes.push(row);
        };
        let mut outputs = std::mem::take(&mut sum.outputs);
        for row in &row.outputs {
            match outputs.iter_mut().find(|sum| sum.output == row.output) {
                Some(sum) => add_output(sum, row),
                None => outputs.push(row.clone()),
            }
        }
        let mut handler = sum.handler;
        newest(&mut handler, row.handler);
        *sum = NodeReport {
            outputs,
            handler,
            restarts: sum.restarts + row.restarts,
            cpu_s: sum.cpu_s + row.cpu_s,
            max_rss_mb: sum.max_rss_mb.max(row.max_rss_mb),
            minor_faults: sum.minor_faults + row.minor_faults,
            major_faults: sum.major_faults + row.major_faults,
            voluntary_switches: sum.voluntary_switches + row.voluntary_switches,
            involuntary_switches: sum.involuntary_switches + row.involuntary_switches,
            ..row
        };
    }

    /// All rows of edges, the oldest first.
    pub(crate) fn edges(&self) -> Vec<EdgeReport> {
        let mut rows: Vec<_> = self.edges.values().collect();
        rows.sort_by_key(|(first, _)| *first);
        rows.into_iter().map(|(_, row)| row.clone()).collect()
    }

    /// All rows of timers.
    pub(crate) fn timers(&self) -> Vec<TimerReport> {
        self.timers.clone()
    }

    /// All rows of nodes.
    pub(crate) fn nodes(&self) -> Vec<NodeReport> {
        self.nodes.clone()
    }
}

/// Percentiles cannot be added: those of the newest count, unless there is nothing in them.
fn newest(sum: &mut Percentiles, row: Percentiles) {
    if row.count > 0 {
        *sum = row;
    }
}

fn add_edge(sum: &mut EdgeReport, row: EdgeReport) {
    sum.sent += row.sent;
    sum.taken += row.taken;
    sum.overwritten += row.overwritten;
    sum.flushed += row.flushed;
    sum.queued += row.queued;
    sum.deadline_missed += row.deadline_missed;
    sum.skipped_late += row.skipped_late;
    sum.copied_out += row.copied_out;
    sum.broken = row.broken.or(sum.broken.take());
    (sum.policy, sum.deadline_us) = (row.policy, row.deadline_us);
    newest(&mut sum.latency, row.latency);
    newest(&mut sum.queue_wait, row.queue_wait);
}

fn add_output(sum: &mut OutputReport, row: &OutputReport) {
    sum.sent += row.sent;
    sum.bytes += row.bytes;
    sum.copied += row.copied;
    sum.too_large += row.too_large;
    sum.no_slot += row.no_slot;
    sum.unplanned_slots += row.unplanned_slots;
    sum.blocked += row.blocked;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: &str, sent: u64, count: u64) -> EdgeReport {
        EdgeReport {
            from: from.into(),
            to: "b/in".into(),
            policy: "drop_oldest",
            sent,
            taken: sent - 1,
            overwritten: 1,
            flushed: 0,
            queued: 0,
            broken: None,
            latency: Percentiles { count, ..Percentiles::default() },
            queue_wait: Percentiles::default(),
            deadline_us: None,
            deadline_missed: 0,
            skipped_late: 0,
            copied_out: 0,
        }
    }

    #[test]
    fn edges_between_the_same_ports_are_one_row_in_the_order_of_the_first() {
        let mut former = Former::default();
        former.edge(7, row("a/x", 10, 0));
        former.edge(3, row("z/x", 5, 2));
        former.edge(1, row("a/x", 4, 3));
        former.edge(9, row("a/x", 2, 0));
        let rows = former.edges();
        let found: Vec<_> =
            rows.iter().map(|r| (r.from.as_str(), r.sent, r.taken, r.overwritten, r.latency.count)).collect();
        assert_eq!(found, [("a/x", 16, 13, 3, 3), ("z/x", 5, 4, 1, 2)]);
    }
}
