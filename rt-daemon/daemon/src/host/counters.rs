//! What the daemon had to do against faults since it was started: of dataflows that have ended, and of those that run.
//!
//! What a dataflow counted between the last look at it and its end is known from its report, as far as the report tells it.

use std::collections::BTreeMap;

use dora_protocol::{DataflowId, control::FtStats};

use crate::report::RunReport;

/// Counters of a daemon.
#[derive(Debug, Default)]
pub(super) struct Counters {
    ended: FtStats,
    running: BTreeMap<DataflowId, FtStats>,
    told: FtStats,
}

impl Counters {
    /// The counters of a dataflow since its start, at this look.
    pub(super) fn seen(&mut self, flow: DataflowId, faults: FtStats) {
        self.running.insert(flow, faults);
    }

    /// A dataflow has ended.
    pub(super) fn end(&mut self, flow: DataflowId, report: Option<&RunReport>) {
        let mut last = self.running.remove(&flow).unwrap_or_default();
        if let Some(report) = report {
            let lost = report.edges.iter().filter(|edge| edge.policy == "backpressure");
            last.restarts = last.restarts.max(report.nodes.iter().map(|node| u64::from(node.restarts)).sum());
            last.dropped_messages =
                last.dropped_messages.max(report.edges.iter().map(|edge| edge.overwritten).sum());
            last.lost_backpressure_messages =
                last.lost_backpressure_messages.max(lost.map(|edge| edge.lost() + edge.overwritten).sum());
        }
        add(&mut self.ended, last);
    }

    /// All of them.
    pub(super) fn total(&self) -> FtStats {
        let mut total = self.ended;
        self.running.values().for_each(|faults| add(&mut total, *faults));
        total
    }

    /// A line for the log when restarts, kills or timeouts have changed since the last line.
    pub(super) fn news(&mut self) -> Option<String> {
        let now = self.total();
        let essence = |of: &FtStats| {
            (
                of.restarts,
                of.health_check_kills,
                of.startup_kills,
                of.input_timeouts,
                of.circuit_breaker_recoveries,
            )
        };
        if essence(&now) == essence(&self.told) {
            return None;
        }
        self.told = now;
        Some(format!(
            "fault tolerance stats restarts={} health_kills={} startup_kills={} input_timeouts={} cb_recoveries={}",
            now.restarts,
            now.health_check_kills,
            now.startup_kills,
            now.input_timeouts,
            now.circuit_breaker_recoveries
        ))
    }
}

fn add(sum: &mut FtStats, more: FtStats) {
    let FtStats {
        restarts,
        health_check_kills,
        startup_kills,
        input_timeouts,
        circuit_breaker_recoveries,
        dropped_messages,
        lost_backpressure_messages,
    } = more;
    sum.restarts += restarts;
    sum.health_check_kills += health_check_kills;
    sum.startup_kills += startup_kills;
    sum.input_timeouts += input_timeouts;
    sum.circuit_breaker_recoveries += circuit_breaker_recoveries;
    sum.dropped_messages += dropped_messages;
    sum.lost_backpressure_messages += lost_backpressure_messages;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_dataflows_that_ended_stay_and_a_line_is_told_once() {
        let mut counters = Counters::default();
        assert_eq!(counters.news(), None);
        let (one, other) = (DataflowId::from_u128(1), DataflowId::from_u128(2));
        counters.seen(one, FtStats { restarts: 1, ..FtStats::default() });
        counters.seen(one, FtStats { restarts: 3, health_check_kills: 2, ..FtStats::default() });
        counters.seen(other, FtStats { input_timeouts: 5, dropped_messages: 7, ..FtStats::default() });
        let line = counters.news().unwrap();
        assert!(line.contains("restarts=3 health_kills=2 startup_kills=0 input_timeouts=5"), "{line}");
        assert_eq!(counters.news(), None);
        counters.end(one, None);
        counters.seen(other, FtStats { input_timeouts: 5, dropped_messages: 9, ..FtStats::default() });
        let total = counters.total();
        assert_eq!((total.restarts, total.health_check_kills, total.dropped_messages), (3, 2, 9));
        assert_eq!(counters.news(), None, "dropped messages alone are no news");
    }
}
