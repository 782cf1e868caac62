//! The report of a run, put together after its last process has ended: counters and histograms from shared
//! memory, the rest from what the supervisor noted.

use dora_protocol::{
    dataflow::{Node, NodeKind, Source},
    policy::QueuePolicy,
};
use lockfree_ipc::{HistogramSnapshot, clock};

use crate::{
    compile::EdgeId,
    former::Former,
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
        let whole = self.all_rows();
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
            edges: whole.edges(),
            timers: whole.timers(),
            chains: self.chain_reports(),
            misses: self.miss_reports(),
            nodes: whole.nodes(),
            rt_table: self.rt_table.clone(),
            warnings,
        }
    }

    /// What is there now, added to what was there before.
    fn all_rows(&self) -> Former {
        let mut whole = self.former.clone();
        for node in self.members() {
            self.timer_reports(node).into_iter().for_each(|row| whole.timer(row));
            whole.node(self.node_report(node));
        }
        for id in self.wiring.edges.keys() {
            whole.edge(*id, self.edge_counts(*id));
        }
        for node in self.members() {
            self.input_rows(node).into_iter().for_each(|(id, row)| whole.edge(id, row));
        }
        whole
    }

    fn keep_timeouts(&mut self, node: usize) {
        let wiring = &self.wiring.nodes[node];
        for input in 0..wiring.inputs.len() as u32 {
            let counts = wiring.view.input(input);
            self.former.timeouts.0 += counts.timeouts;
            self.former.timeouts.1 += counts.recoveries;
        }
    }

    /// The rows of a node go into the sums: its place is given up.
    pub(crate) fn keep_rows(&mut self, node: usize) {
        self.keep_timeouts(node);
        self.faults.restarts += u64::from(self.nodes[node].restarts);
        for row in self.timer_reports(node) {
            self.former.timer(row);
        }
        let row = self.node_report(node);
        self.former.node(row);
        for (id, row) in self.input_rows(node) {
            self.former.edge(id, row);
        }
        self.keep_chains(node);
        self.keep_misses(node);
    }

    /// As [`keep_rows`](Self::keep_rows), for a status page that another one follows: what is counted elsewhere goes on.
    pub(crate) fn keep_page_rows(&mut self, node: usize) {
        self.keep_timeouts(node);
        for row in self.timer_reports(node) {
            self.former.timer(row);
        }
        let NodeReport { node: name, handler, outputs, .. } = self.node_report(node);
        self.former.node(NodeReport { node: name, handler, outputs, ..NodeReport::default() });
        for (id, row) in self.input_rows(node) {
            self.former.edge(id, row);
        }
        self.keep_chains(node);
        self.keep_misses(node);
    }

    fn first_message_ns(&self) -> Option<u64> {
        let first = |edge: &crate::compile::EdgeWiring| {
            let (node, input) = edge.to;
            Some(self.wiring.nodes[node].view.input(input as u32).first_ns).filter(|ns| *ns > 0)
        };
        self.wiring.edges.values().filter_map(first).min()
    }

    /// The numbers of an edge alone.
    pub(crate) fn edge_counts(&self, id: EdgeId) -> EdgeReport {
        let edge = &self.wiring.edges[&id];
        let ledger = edge.view.ledger();
        EdgeReport {
            sent: ledger.sent,
            taken: ledger.taken,
            overwritten: ledger.overwritten,
            flushed: ledger.flushed,
            queued: ledger.queued,
            broken: edge.broken.clone(),
            ..self.edge_row(edge.to, edge.from_name.clone(), edge.policy)
        }
    }

    fn edge_row(&self, (node, position): (usize, usize), from: String, policy: QueuePolicy) -> EdgeReport {
        let reader = &self.dataflow.nodes[node];
        let input = &reader.inputs[position];
        EdgeReport {
            from,
            to: format!("{}/{}", reader.id, input.id),
            policy: match policy {
                QueuePolicy::Backpressure => "backpressure",
                QueuePolicy::DropOldest => "drop_oldest",
            },
            sent: 0,
            taken: 0,
            overwritten: 0,
            flushed: 0,
            queued: 0,
            broken: None,
            latency: Percentiles::default(),
            queue_wait: Percentiles::default(),
            deadline_us: input.deadline.map(|d| d.as_secs_f64() * 1e6),
            deadline_missed: 0,
            skipped_late: 0,
            copied_out: 0,
        }
    }

    /// What a node counted of its inputs, for the rows of the edges that led there. Those of one input share it.
    fn input_rows(&self, node: usize) -> Vec<(EdgeId, EdgeReport)> {
        let wiring = &self.wiring.nodes[node];
        let mut rows = Vec::new();
        for (position, plan) in wiring.inputs.iter().enumerate().filter(|(_, plan)| !plan.is_timer()) {
            let snapshot = wiring.view.input(position as u32);
            for (id, from, policy) in &plan.rows {
                let row = self.edge_row((node, position), from.clone(), *policy);
                let row = EdgeReport {
                    latency: percentiles(&snapshot.latency),
                    queue_wait: percentiles(&snapshot.queue_wait),
                    deadline_missed: snapshot.deadline_missed,
                    skipped_late: snapshot.skipped_late,
                    copied_out: snapshot.copied_out,
                    ..row
                };
                rows.push((*id, row));
            }
        }
        rows
    }

    fn timer_reports(&self, node: usize) -> Vec<TimerReport> {
        let (description, wiring) = (&self.dataflow.nodes[node], &self.wiring.nodes[node]);
        let mut timers = Vec::new();
        for (position, input) in description.inputs.iter().enumerate() {
            if let Source::Timer { period_ns } = input.source {
                let snapshot = wiring.view.input(position as u32);
                timers.push(TimerReport {
                    to: format!("{}/{}", description.id, input.id),
                    period_ns,
                    ticks: snapshot.received,
                    missed: snapshot.missed_ticks,
                    deadline_us: input.deadline.map(|d| d.as_secs_f64() * 1e6),
                    deadline_missed: snapshot.deadline_missed,
                    lateness: percentiles(&snapshot.latency),
                });
            }
        }
        timers
    }

    fn node_report(&self, index: usize) -> NodeReport {
        let node = &self.dataflow.nodes[index];
        let state = &self.nodes[index];
        let mut usage = state.usage;
        if let Some((_, last)) = state.exit {
            usage.add(&last.since(&state.before_start));
        }
        NodeReport {
            node: node.id.to_string(),
            pid: state.pid,
            restarts: state.restarts,
            exit: if node.kind == NodeKind::Dynamic && state.pid.is_some() {
                "dynamic".to_owned()
            } else {
                exit_text(state)
            },
            error: state.error.clone(),
            caused_by: state.caused_by.clone(),
            stderr_tail: if state.error.is_some() { state.tail.clone() } else { Vec::new() },
            cpu_s: usage.cpu_s,
            max_rss_mb: usage.max_rss_mb,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            voluntary_switches: usage.voluntary,
            involuntary_switches: usage.involuntary,
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
