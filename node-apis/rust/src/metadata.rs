//! What travels beside the payload: when it was sent, and parameters.

pub use dora_protocol::metadata::*;
use serde::{Deserialize, Serialize};

/// What a message says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    timestamp: uhlc::Timestamp,
    #[serde(default, skip_serializing_if = "is_zero")]
    missed_ticks: u64,
    /// Parameters that the sender gave it. Names that start with `_` never get here.
    pub parameters: MetadataParameters,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Metadata {
    /// The number of the format.
    pub const CURRENT_VERSION: u16 = 2;

    /// Metadata without parameters.
    pub fn new(timestamp: uhlc::Timestamp) -> Self {
        Self::from_parameters(timestamp, MetadataParameters::new())
    }

    /// Metadata with parameters.
    pub fn from_parameters(timestamp: uhlc::Timestamp, parameters: MetadataParameters) -> Self {
        Self { timestamp, missed_ticks: 0, parameters }
    }

    pub(crate) fn of_tick(timestamp: uhlc::Timestamp, missed_ticks: u64) -> Self {
        Self { missed_ticks, ..Self::new(timestamp) }
    }

    /// When it was sent, on the hybrid logical clock of the sender. Of a timer tick: when it fell due.
    pub fn timestamp(&self) -> uhlc::Timestamp {
        self.timestamp
    }

    /// Ticks of this timer that passed since the last one while the node was busy; 0 for everything but ticks.
    pub fn missed_ticks(&self) -> u64 {
        self.missed_ticks
    }

    /// The trace context of the sender, empty when it gave none.
    pub fn open_telemetry_context(&self) -> String {
        get_string_param(&self.parameters, OPEN_TELEMETRY_CONTEXT).unwrap_or_default().to_owned()
    }

    /// The number of the format that it came in.
    pub fn metadata_version(&self) -> u16 {
        Self::CURRENT_VERSION
    }
}
