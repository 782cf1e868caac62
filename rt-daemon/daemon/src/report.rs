//! What a run has to show for itself: counted by the nodes in shared memory, read by the daemon at the end.

pub use dora_protocol::rt::{RtProblem, RtTable, RtThread};
use serde::Serialize;

/// The whole report. `--report json` prints exactly this.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Dataflow id.
    pub dataflow_id: String,
    /// File stem of the descriptor.
    pub name: String,
    /// `off`, `strict` or `best-effort`.
    pub rt: &'static str,
    /// From the call to the last exit.
    pub wall_s: f64,
    /// From the call until every node was ready.
    pub start_ms: Option<f64>,
    /// From the call until the first message was taken by a reader.
    pub first_message_ms: Option<f64>,
    /// One row per edge between nodes.
    pub edges: Vec<EdgeReport>,
    /// One row per timer input.
    pub timers: Vec<TimerReport>,
    /// One row per chain.
    pub chains: Vec<ChainReport>,
    /// The worst deadline misses, worst first, at most ten.
    pub misses: Vec<MissReport>,
    /// One row per node.
    pub nodes: Vec<NodeReport>,
    /// What was asked of the scheduler and what was granted, when `--rt` was on.
    pub rt_table: Option<RtTable>,
    /// Things a user should know, in sentences.
    pub warnings: Vec<String>,
}

impl RunReport {
    /// `node: error; node: error`, or `None` when every node succeeded and no `backpressure` edge lost anything.
    pub fn failure(&self) -> Option<String> {
        let nodes = self.nodes.iter().filter_map(|n| n.error.as_ref().map(|e| format!("{}: {e}", n.node)));
        let failed: Vec<String> =
            nodes.chain(self.edges.iter().filter_map(EdgeReport::broken_promise)).collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// Largest, exact.
    pub max_us: f64,
}

/// One edge: `sent = taken + overwritten + flushed + lost + queued`.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeReport {
    /// `node/output`
    pub from: String,
    /// `node/input`
    pub to: String,
    /// `drop_oldest` or `backpressure`.
    pub policy: &'static str,
    /// Messages that entered the edge.
    pub sent: u64,
    /// Taken by the reader.
    pub taken: u64,
    /// Dropped because the queue was full.
    pub overwritten: u64,
    /// Dropped by a `flush` message, or sent just when the reader was disconnected.
    pub flushed: u64,
    /// Still queued when the reader ended.
    pub queued: u64,
    /// The edge was closed because one end wrote nonsense.
    pub broken: Option<String>,
    /// From send to take.
    pub latency: Percentiles,
    /// Of that: while the reader took others that were sent later or waited with it.
    pub queue_wait: Percentiles,
    /// Declared deadline.
    pub deadline_us: Option<f64>,
    /// Taken later than that.
    pub deadline_missed: u64,
    /// Of those, and of messages that made a chain too long, the ones that the node did not get (`on_miss: skip`).
    pub skipped_late: u64,
    /// Taken, but copied to the heap of the reader, because it holds on to too many messages.
    pub copied_out: u64,
}

impl EdgeReport {
    /// Messages that are neither taken, nor in the ring, nor dropped by policy: the reader died, or ended with them in its hands.
    pub fn lost(&self) -> u64 {
        let known = self.taken + self.overwritten + self.flushed + self.queued;
        self.sent.saturating_sub(known)
    }

    /// A sentence when messages of a `backpressure` edge were lost.
    pub fn broken_promise(&self) -> Option<String> {
        let lost = self.lost() + self.overwritten;
        let broken = self.policy == "backpressure" && lost > 0;
        broken
            .then(|| format!("{} → {}: {lost} messages lost in spite of `backpressure`", self.from, self.to))
    }
}

/// One chain: from the send at its beginning to the take at its end. Counted over all processes of its nodes.
#[derive(Clone, Debug, Serialize)]
pub struct ChainReport {
    /// Its name, or `from -> to`.
    pub name: String,
    /// `node/output`
    pub from: String,
    /// `node/input`
    pub to: String,
    /// Allowed.
    pub within_us: f64,
    /// Messages taken at its end that go back to one of its beginning.
    pub traced: u64,
    /// Messages taken at its end that do not.
    pub untraced: u64,
    /// Later than allowed.
    pub missed: u64,
    /// From send to take.
    pub latency: Percentiles,
    /// A change of the dataflow took it away: it was watched until then, and these are its numbers of that time.
    pub ended: Option<ChainEnded>,
}

/// Since when a chain is not there any more.
#[derive(Clone, Debug, Serialize)]
pub struct ChainEnded {
    /// Seconds since the start.
    pub at_s: f64,
    /// What took it away.
    pub reason: String,
}

/// One deadline miss. Times in microseconds but for `at_s`.
#[derive(Clone, Debug, Serialize)]
pub struct MissReport {
    /// `node/input`
    pub to: String,
    /// Name of the chain, if that was too long.
    pub chain: Option<String>,
    /// Seconds since the start.
    pub at_s: f64,
    /// Number of the message on its output, or of the tick.
    pub seq: u64,
    /// How old it was.
    pub latency_us: f64,
    /// How old it might have been.
    pub limit_us: f64,
    /// Of its last hop: while the node was busy with something else.
    pub busy_us: f64,
    /// Of its last hop: while the node waited for it.
    pub waking_us: f64,
    /// What the handler before took.
    pub handler_us: f64,
    /// Time in the run queue within the second before.
    pub run_queue_us: f64,
    /// Within the second before.
    pub page_faults: u64,
    /// Within the second before.
    pub involuntary_switches: u64,
    /// Core that the node ran on.
    pub core: u32,
    /// `handler`, `queue`, `run_queue`, `page_fault`, `migration`, `wake_up` or `upstream`.
    pub cause: &'static str,
    /// All of it for people.
    pub sentence: String,
}

/// One timer input.
#[derive(Clone, Debug, Serialize)]
pub struct TimerReport {
    /// `node/input`
    pub to: String,
    /// Nanoseconds.
    pub period_ns: u64,
    /// Ticks delivered.
    pub ticks: u64,
    /// Ticks that passed while the node was busy.
    pub missed: u64,
    /// Declared deadline.
    pub deadline_us: Option<f64>,
    /// Ticks taken later than that.
    pub deadline_missed: u64,
    /// From the nominal time to the node taking it.
    pub lateness: Percentiles,
}

/// One node.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeReport {
    /// Its id.
    pub node: String,
    /// Process id of the latest process, when it was started.
    pub pid: Option<u32>,
    /// How often it was restarted, by its policy or the user.
    pub restarts: u32,
    /// `0`, an exit code, or `signal SIGKILL`; `dynamic` for a process that somebody else started.
    pub exit: String,
    /// Why it counts as failed.
    pub error: Option<String>,
    /// Another node's failure that caused this one.
    pub caused_by: Option<String>,
    /// Last lines of its standard error, when it failed.
    pub stderr_tail: Vec<String>,
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// Largest resident set, in MB.
    pub max_rss_mb: f64,
    /// Page faults that needed no disk, since the start barrier.
    pub minor_faults: u64,
    /// Page faults that did, since the start barrier.
    pub major_faults: u64,
    /// Context switches because it waited, since the start barrier.
    pub voluntary_switches: u64,
    /// Context switches because something else ran, since the start barrier.
    pub involuntary_switches: u64,
    /// From one receive to the next.
    pub handler: Percentiles,
    /// Outputs: messages, bytes, copies.
    pub outputs: Vec<OutputReport>,
}

/// One output.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// Its id.
    pub output: String,
    /// Messages sent (once, whatever the number of readers).
    pub sent: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Payloads copied into the slot rather than written in place.
    pub copied: u64,
    /// Sends refused because the payload was larger than declared.
    pub too_large: u64,
    /// Sends refused because the readers held every slot.
    pub no_slot: u64,
    /// Slots first used after the start that were not pre-faulted.
    pub unplanned_slots: u64,
    /// Times a sender waited for a `backpressure` reader.
    pub blocked: u64,
}
