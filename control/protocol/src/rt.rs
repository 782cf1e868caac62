//! What a node asks of the scheduler (`rt:` in the descriptor) and what it got; what a user asks for
//! a whole dataflow (`--rt`).

use serde::{Deserialize, Serialize};

/// The `rt:` block of a node, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtSettings {
    /// Scheduling policy of the thread that initialises the node.
    pub policy: SchedPolicy,
    /// 1 (lowest) to 99, for `fifo` and `rr`.
    pub priority: Option<u8>,
    /// How the node waits for its next event.
    pub wait: WaitPolicy,
    /// `deadline` only: CPU time per period.
    pub runtime_ns: Option<u64>,
    /// `deadline` only: relative deadline.
    pub deadline_ns: Option<u64>,
    /// `deadline` only: period.
    pub period_ns: Option<u64>,
    /// Lock all memory of the process (default true with an `rt:` block).
    pub lock_memory: bool,
}

/// Linux scheduling classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedPolicy {
    /// SCHED_FIFO: runs until it sleeps or a higher priority comes.
    Fifo,
    /// SCHED_RR: as FIFO, with a time slice among equals.
    Rr,
    /// SCHED_DEADLINE: earliest deadline first, admission-controlled.
    Deadline,
    /// SCHED_OTHER: the ordinary scheduler.
    #[default]
    Other,
}

/// How a receiver waits: `park`, `spin`, `spin 50us` (spin, then park).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitPolicy {
    /// Sleep in the kernel at once.
    #[default]
    Park,
    /// Never sleep. For isolated cores only: the kernel throttles SCHED_FIFO threads that never sleep.
    Spin,
    /// Spin for this long, then park.
    SpinThenPark {
        /// Nanoseconds of spinning.
        spin_ns: u64,
    },
}

/// One step of the real-time set-up of a process, as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupStep {
    /// What was asked for: `memory lock`, `scheduling fifo 80`, `affinity [1]`, …
    pub what: String,
    /// `None` when granted, otherwise the reason.
    pub failed: Option<String>,
    /// The command or setting that would make it work.
    pub fix: Option<String>,
}

/// `--rt` of a whole dataflow. Without it the daemon's own mode counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RtRequest {
    /// What a node asked for and cannot be had stops the start.
    Strict,
    /// What cannot be had is reported, and the dataflow runs.
    BestEffort,
}

/// What every thread of every node really has, read back from `/proc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtTable {
    /// One row per thread.
    pub threads: Vec<RtThread>,
    /// What was asked for and not granted.
    pub problems: Vec<RtProblem>,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtThread {
    /// Node id, or `dora` for the daemon's own.
    pub node: String,
    /// Thread id.
    pub tid: u32,
    /// Thread name.
    pub name: String,
    /// `FIFO`, `RR`, `OTHER`, `DEADLINE`, …
    pub policy: String,
    /// Real-time priority, 0 for others.
    pub priority: u32,
    /// Allowed cores, as in `/proc`: `0-1`.
    pub cpus: String,
    /// `VmLck > 0`.
    pub memory_locked: bool,
    /// `THP_enabled` of the process.
    pub thp: bool,
    /// Nanoseconds.
    pub timer_slack_ns: Option<u64>,
    /// Did it get what the descriptor asks for? `None` when nothing was asked of this thread.
    pub ok: Option<bool>,
}

/// Something asked for and not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtProblem {
    /// Node id, or `dora`.
    pub node: String,
    /// What was asked for.
    pub what: String,
    /// Why not.
    pub reason: String,
    /// Command or setting that fixes it.
    pub fix: Option<String>,
}
