//! What outlives the coordinator: dataflows and their parameters.
//!
//! The state in memory is what counts; a store is written behind it by [`writer`], and read once, at the start. Both
//! implementations pass `contract.rs`.

mod choice;
#[cfg(test)]
mod contract;
mod memory;
#[cfg(feature = "redb-backend")]
mod redb;
pub(crate) mod writer;

use dora_protocol::{
    DataflowId, NodeId,
    control::{DaemonId, DataflowResult, DataflowStatus},
    daemon_link::{DataflowRecord, Parameters},
};
use serde::{Deserialize, Serialize};

pub use choice::{StoreChoice, archive, default_path};
pub(crate) use memory::MemoryStore;
#[cfg(feature = "redb-backend")]
pub(crate) use redb::RedbStore;

use crate::error::StoreError;

/// A dataflow as it is stored; its parameters are stored beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredFlow {
    pub(crate) record: DataflowRecord,
    /// Of the live descriptor, in its order.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) status: DataflowStatus,
    pub(crate) spawned: bool,
    pub(crate) daemon: Option<DaemonId>,
    pub(crate) result: Option<DataflowResult>,
    pub(crate) updated_ms: u64,
}

/// Parameters of one dataflow as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredParameters {
    pub(crate) sequence: u64,
    pub(crate) values: Parameters,
}

/// Everything in a store, in the order of ids.
pub(crate) type Contents = Vec<(DataflowId, StoredFlow, StoredParameters)>;

/// One change of a store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// Dataflow, new or changed.
    Flow(DataflowId, Box<StoredFlow>),
    /// All its parameters.
    Parameters(DataflowId, StoredParameters),
}

/// Where dataflows are kept. Used by one thread.
pub(crate) trait Store: Send {
    /// Everything. A record that cannot be understood is an error: nothing of a user's is thrown away.
    fn load(&mut self) -> Result<Contents, StoreError>;
    /// All of these, or none.
    fn write(&mut self, changes: &[Write]) -> Result<(), StoreError>;
    /// A dataflow and its parameters. It need not be there.
    fn delete(&mut self, id: DataflowId) -> Result<(), StoreError>;
}
