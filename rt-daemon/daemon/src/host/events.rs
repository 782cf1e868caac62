//! What happens to the dataflows: they start, end, and are looked at every now and then; and the cores that are left to this thread.

use dora_protocol::{
    DataflowId,
    control::{DataflowResult, NodeOutcome},
    daemon_link::{DaemonEvent, FinishedDataflow},
};
use rt_tuning::sched;

use super::{
    core::{Done, Host},
    flow::FlowEvent,
    looks::{self, Look, Snapshots},
};
use crate::{cores, report::RunReport};

/// Results kept for a coordinator that may not have heard of them.
const FINISHED: usize = 256;
/// And their descriptors, in bytes: all of them have to fit into a frame.
const FINISHED_BYTES: usize = 16 << 20;

impl Host {
    pub(super) fn flow_event(&mut self, id: DataflowId, event: FlowEvent) {
        match event {
            FlowEvent::RtTable(table) => {
                if let Some(flow) = self.flows.get_mut(&id) {
                    flow.rt_table = Some(table);
                }
            }
            FlowEvent::Started => {
                let Some(flow) = self.flows.get_mut(&id) else { return };
                flow.spawned = true;
                let rt_table = flow.rt_table.take();
                let (flows, done) = (vec![(id, flow.control.clone())], self.done.clone());
                self.event(DaemonEvent::SpawnResult { dataflow_id: id, result: Ok(()), rt_table });
                // Not later than whoever started it can ask.
                tokio::spawn(async move {
                    done.send(Done::Seen(looks::snapshots(flows).await)).unwrap_or_default();
                });
            }
            FlowEvent::Ended(outcome) => self.flow_ended(id, outcome),
        }
    }

    fn flow_ended(&mut self, id: DataflowId, outcome: Result<Box<RunReport>, String>) {
        let Some(flow) = self.flows.remove(&id) else { return };
        self.stats.end(id, outcome.as_deref().ok());
        self.gone.retain(|(of, _)| *of != id);
        self.keep_off_claimed_cores();
        let result = match &outcome {
            Ok(report) => result_of(report),
            Err(error) => DataflowResult { error: Some(error.clone()), nodes: Vec::new() },
        };
        let ended = FinishedDataflow { dataflow_id: id, record: flow.record, result: result.clone() };
        self.finished.push_back(ended);
        let weight = |ended: &FinishedDataflow| ended.record.original.len() + ended.record.live.len();
        while self.finished.len() > FINISHED
            || self.finished.iter().map(weight).sum::<usize>() > FINISHED_BYTES
        {
            self.finished.pop_front();
        }
        match outcome {
            Err(error) if !flow.spawned => {
                let (result, rt_table) = (Err(error), flow.rt_table);
                self.event(DaemonEvent::SpawnResult { dataflow_id: id, result, rt_table });
            }
            // Behind its last line.
            _ => self.logs.finish(id, result),
        }
    }

    pub(super) fn look(&mut self) {
        let Some(meter) = self.meter.take() else { return };
        let (flows, done) = (self.controls(), self.done.clone());
        tokio::spawn(
            async move { done.send(Done::Looked(looks::look(flows, meter).await)).unwrap_or_default() },
        );
    }

    pub(super) fn looked(&mut self, look: Look) {
        self.meter = Some(look.meter);
        self.costs = look.costs;
        self.tell_states(&look.snapshots);
    }

    /// Tells how the nodes of these dataflows are, and what they cost at the last look.
    pub(super) fn tell_states(&mut self, snapshots: &Snapshots) {
        for (id, snapshot) in snapshots {
            if !self.flows.contains_key(id) {
                continue;
            }
            let nodes = looks::node_states(snapshot, &self.costs);
            self.stats.seen(*id, snapshot.faults);
            for node in &nodes {
                use dora_protocol::control::NodeStatus::{Failed, Stopped};
                let key = (*id, node.node_id.clone());
                match node.status {
                    Failed | Stopped if self.gone.insert(key.clone()) => {
                        self.event(DaemonEvent::NodeStopped {
                            dataflow_id: *id,
                            node_id: node.node_id.clone(),
                            clean_stop: node.status == Stopped,
                        });
                    }
                    Failed | Stopped => {}
                    // Started again by hand.
                    _ => drop(self.gone.remove(&key)),
                }
            }
            self.event(DaemonEvent::NodeMetrics { dataflow_id: *id, nodes });
        }
    }

    /// Binds this thread to cores that no real-time node claims.
    pub(super) fn keep_off_claimed_cores(&self) {
        let claimed = self.flows.values().flat_map(|flow| &flow.claimed).copied().collect();
        // When it fails the thread stays where it was, and real-time nodes preempt it.
        drop(sched::set_affinity_current(&cores::housekeeping(&self.cores, &claimed)));
    }
}

/// A report in the words of the protocol.
fn result_of(report: &RunReport) -> DataflowResult {
    let outcome = |node: &crate::report::NodeReport| {
        Some(NodeOutcome {
            node_id: node.node.parse().ok()?,
            exit: node.pid.map(|_| node.exit.clone()),
            error: node.error.clone(),
            caused_by: node.caused_by.as_ref().and_then(|node| node.parse().ok()),
        })
    };
    DataflowResult { error: report.failure(), nodes: report.nodes.iter().filter_map(outcome).collect() }
}
