//! Logical time: the tag that orders events the same way in every run.

use serde::{Deserialize, Serialize};

/// Logical time of an event. An output inherits the tag of the event that caused it; timers carry their
/// nominal time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    /// Nanoseconds on the dataflow's time line (CLOCK_MONOTONIC of the machine that started it).
    pub time_ns: u64,
    /// Orders events of the same time.
    pub microstep: u32,
}
