//! A store that forgets (`--store memory`).

use std::collections::BTreeMap;

use dora_protocol::DataflowId;

use super::{Contents, Store, StoredFlow, StoredParameters, Write};
use crate::error::StoreError;

/// Keeps everything in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    flows: BTreeMap<DataflowId, StoredFlow>,
    parameters: BTreeMap<DataflowId, StoredParameters>,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Contents, StoreError> {
        let parameters = |id| self.parameters.get(id).cloned().unwrap_or_default();
        Ok(self.flows.iter().map(|(id, flow)| (*id, flow.clone(), parameters(id))).collect())
    }

    fn write(&mut self, changes: &[Write]) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Write::Flow(id, flow) => drop(self.flows.insert(*id, (**flow).clone())),
                Write::Parameters(id, parameters) => drop(self.parameters.insert(*id, parameters.clone())),
            }
        }
        Ok(())
    }

    fn delete(&mut self, id: DataflowId) -> Result<(), StoreError> {
        self.flows.remove(&id);
        self.parameters.remove(&id);
        Ok(())
    }
}
