//! The report of a run, put together after its last process has ended: counters and histograms from shared
//! memory, the rest from what the supervisor noted.

use dora_protocol::{
    dataflow::{Node, Source},
    policy::QueuePolicy,
};
use lockfree_ipc::{HistogramSnapshot, clock};

use crate::{
    node_state::NodeState,
    options::RtMode,
    pool::Pool,
    report::{EdgeReport, NodeReport, OutputReport, Percentiles, RunReport, TimerReport},
    supervisor::Supervisor,
};

impl Supervisor {
    /// Reads all counters.
    pub(crate) fn report(&self) -> RunReport {
        let ms = |ns: u64| ns.saturating_sub(self.called_ns) as f64 * 1e-6;
        let mut warnings = self.warnings.clone();
        if self.display.dropped() > 0 {
            warnings.push(format!(
                "{} lines were not shown, because the display was too slow",
                self.display.dropped()
            ));
        }
        let lost = self.pool.as_ref().map_or(0, Pool::lost);
        if lost > 0 {
            warnings.push(format!("{lost} reports of overdue nodes were lost, because dora was too slow"));
        }
        RunReport {
            dataflow_id: self.id.to_string(),
            name: self.dataflow.name.clone(),
            rt: match self.options.rt {
                RtMode::Off => "off",
                RtMode::Strict => "strict",
                RtMode::BestEffort => "best-effort",
            },
            wall_s: ms(clock::monotonic_ns()) * 1e-3,
            start_ms: self.epoch_ns.map(ms),
            first_message_ms: self.first_message_ns().map(ms),
            edges: (0..self.wiring.edges.len()).map(|e| self.edge_report(e)).collect(),
            timers: self.timer_reports(),
            chains: self.chain_reports(),
            misses: self.miss_reports(),
            nodes: (0..self.nodes.len()).map(|n| self.node_report(n)).collect(),
            rt_table: self.rt_table.clone(),
            warnings,
        }
    }

    fn first_message_ns(&self) -> Option<u64> {
        let first = |edge: &crate::compile::EdgeWiring| {
            let (node, input) = edge.to;
            Some(self.wiring.nodes[node].view.input(input as u32).first_ns).filter(|ns| *ns > 0)
        };
        self.wiring.edges.iter().filter_map(first).min()
    }

    fn edge_report(&self, index: usize) -> EdgeReport {
        let edge = &self.wiring.edges[index];
        let (node, position) = edge.to;
        let reader = &self.dataflow.nodes[node];
        let input = &reader.inputs[position];
        let ledger = edge.view.ledger();
        let snapshot = self.wiring.nodes[node].view.input(position as u32);
        EdgeReport {
            from: edge.from_name.clone(),
            to: format!("{}/{}", reader.id, input.id),
            policy: match (input.policy, edge.from) {
                (QueuePolicy::Backpressure, Some(_)) => "backpressure",
                _ => "drop_oldest",
            },
            sent: ledger.sent,
            taken: ledger.taken,
            overwritten: ledger.overwritten,
            flushed: ledger.flushed,
            queued: ledger.queued,
            broken: self.broken[index].clone(),
            latency: percentiles(&snapshot.latency),
            deadline_us: input.deadline.map(|d| d.as_secs_f64() * 1e6),
            deadline_missed: snapshot.deadline_missed,
            skipped_late: snapshot.skipped_late,
            copied_out: snapshot.copied_out,
        }
    }

    fn timer_reports(&self) -> Vec<TimerReport> {
        let mut timers = Vec::new();
        for (node, wiring) in self.dataflow.nodes.iter().zip(&self.wiring.nodes) {
            for (position, input) in node.inputs.iter().enumerate() {
                if let Source::Timer { period_ns } = input.source {
                    let snapshot = wiring.view.input(position as u32);
                    timers.push(TimerReport {
                        to: format!("{}/{}", node.id, input.id),
                        period_ns,
                        ticks: snapshot.received,
                        missed: snapshot.missed_ticks,
                        deadline_us: input.deadline.map(|d| d.as_secs_f64() * 1e6),
                        deadline_missed: snapshot.deadline_missed,
                        lateness: percentiles(&snapshot.latency),
                    });
                }
            }
        }
        timers
    }

    fn node_report(&self, index: usize) -> NodeReport {
        let node = &self.dataflow.nodes[index];
        let state = &self.nodes[index];
        let usage = state.exit.map(|(_, usage)| usage).unwrap_or_default();
        let before = &state.before_start;
        NodeReport {
            node: node.id.to_string(),
            pid: state.pid,
            exit: exit_text(state),
            error: state.error.clone(),
            caused_by: state.caused_by.clone(),
            stderr_tail: if state.error.is_some() { state.tail.clone() } else { Vec::new() },
            cpu_s: usage.cpu_s,
            max_rss_mb: usage.max_rss_mb,
            minor_faults: usage.minor_faults.saturating_sub(before.minor_faults),
            major_faults: usage.major_faults.saturating_sub(before.major_faults),
            voluntary_switches: usage.voluntary.saturating_sub(before.voluntary),
            involuntary_switches: usage.involuntary.saturating_sub(before.involuntary),
            handler: percentiles(&self.wiring.nodes[index].view.handler()),
            outputs: self.output_reports(index, node),
        }
    }

    fn output_reports(&self, index: usize, node: &Node) -> Vec<OutputReport> {
        let view = &self.wiring.nodes[index].view;
        let report = |(position, output): (usize, &dora_protocol::dataflow::Output)| {
            let s = view.output(position as u32);
            OutputReport {
                output: output.id.to_string(),
                sent: s.sent,
                bytes: s.bytes,
                copied: s.copied,
                too_large: s.too_large,
                no_slot: s.no_slot,
                unplanned_slots: s.unplanned_slots,
                blocked: s.blocked,
            }
        };
        node.outputs.iter().enumerate().map(report).collect()
    }
}

fn exit_text(state: &NodeState) -> String {
    match (state.exit, state.pid) {
        (Some((exit, _)), _) => exit.text(),
        (None, None) => "not started".to_owned(),
        (None, Some(_)) => "unknown".to_owned(),
    }
}

pub(crate) fn percentiles(histogram: &HistogramSnapshot) -> Percentiles {
    let us = |ns: u64| ns as f64 * 1e-3;
    Percentiles {
        count: histogram.count(),
        p50_us: us(histogram.percentile(50.0)),
        p99_us: us(histogram.percentile(99.0)),
        p999_us: us(histogram.percentile(99.9)),
        max_us: us(histogram.max()),
    }
}
