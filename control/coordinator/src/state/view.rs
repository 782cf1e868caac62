//! The state as clients see it.

use dora_protocol::control::{DataflowEntry, DataflowInfo, DataflowName, NodeInfo};

use super::{State, flow::Flow};
use crate::descriptor;

impl Flow {
    /// The row of `dora list`.
    pub(super) fn entry(&self) -> DataflowEntry {
        let metrics = || self.nodes.iter().filter_map(|node| node.metrics);
        let known = metrics().next().is_some();
        DataflowEntry {
            id: DataflowName { uuid: self.id, name: self.record.name.clone() },
            status: self.status,
            spawned: self.spawned,
            error: self.result.as_ref().and_then(|result| result.error.clone()),
            nodes: u32::try_from(self.node_ids.len()).unwrap_or(u32::MAX),
            cpu_usage: known.then(|| metrics().map(|node| node.cpu_usage).sum()),
            memory_bytes: known.then(|| metrics().map(|node| node.memory_bytes).sum()),
            daemon: self.daemon.clone(),
            created_ms: self.record.created_ms,
            updated_ms: self.updated_ms,
        }
    }

    pub(super) fn info(&self) -> DataflowInfo {
        // One that cannot be resolved any more (its types file is gone, say) is still shown.
        let descriptor = match descriptor::resolve(&self.record) {
            Ok(resolved) => resolved.value,
            Err(_) => dora_descriptor::value(&self.record.file, &self.record.live).unwrap_or_default(),
        };
        DataflowInfo {
            entry: self.entry(),
            descriptor,
            descriptor_text: self.record.live.clone(),
            file: self.record.file.clone(),
            working_dir: self.record.working_dir.clone(),
            changes: self.record.changes.clone(),
            result: self.result.clone(),
            rt_table: self.rt_table.clone(),
        }
    }
}

impl State {
    pub(super) fn node_infos(&self) -> Vec<NodeInfo> {
        let of_flow = |flow: &Flow| {
            let info = |state| NodeInfo {
                dataflow_id: flow.id,
                dataflow_name: flow.record.name.clone(),
                daemon_id: flow.daemon.clone(),
                state,
            };
            flow.node_states().into_iter().map(info).collect::<Vec<_>>()
        };
        self.flows.values().filter(|flow| !flow.status.has_ended()).flat_map(of_flow).collect()
    }
}
