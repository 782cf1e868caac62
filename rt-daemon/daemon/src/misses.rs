//! Deadline misses: what the node noted about each, in sentences with a cause.
//!
//! A node writes a record into its status page and calls for attention at most once a second; the records are read here, while it runs and
//! for the report. They come from another process: numbers are shown, names are looked up with care.

use dora_protocol::{dataflow::Node, log::LogLevel, policy::OnMiss};
use lockfree_ipc::Miss;

use crate::{
    chains::ChainPlan,
    exit::Cause,
    report::MissReport,
    supervisor::{Fact, Supervisor},
};

/// Misses in a report.
const REPORTED: usize = 10;

/// What made a message late, as far as its record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The way before its last hop had used up the time.
    Upstream,
    /// The node was still busy with something else.
    Handler,
    /// Others were before it in the queue.
    Queue,
    /// The thread waited for its core.
    RunQueue,
    /// Memory had to be brought in.
    PageFault,
    /// The thread was moved to another core.
    Migration,
    /// It slept, and waking it took that long.
    WakeUp,
}

impl Why {
    /// For `--report json`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Why::Upstream => "upstream",
            Why::Handler => "handler",
            Why::Queue => "queue",
            Why::RunQueue => "run_queue",
            Why::PageFault => "page_fault",
            Why::Migration => "migration",
            Why::WakeUp => "wake_up",
        }
    }
}

/// How the last hop of a late message divides, nanoseconds: while the node was busy, and while it was waiting for the message.
fn busy_and_waking(miss: &Miss) -> (u64, u64) {
    let sent_ns = miss.taken_ns.saturating_sub(miss.hop_ns);
    if miss.waited_since_ns == 0 {
        return (miss.hop_ns, 0);
    }
    let busy = miss.waited_since_ns.saturating_sub(sent_ns).min(miss.hop_ns);
    (busy, miss.hop_ns - busy)
}

/// The cause: whatever used up most of the time; of what can delay a wake-up, the one that the kernel has counted.
pub(crate) fn why(miss: &Miss) -> Why {
    let (busy, waking) = busy_and_waking(miss);
    if miss.chain.is_some() && miss.latency_ns.saturating_sub(miss.hop_ns) > miss.latency_ns / 2 {
        Why::Upstream
    } else if busy >= waking {
        if miss.handler_ns >= busy / 2 { Why::Handler } else { Why::Queue }
    } else if miss.major_faults > 0 {
        Why::PageFault
    } else if miss.run_delay_ns >= waking / 2 {
        Why::RunQueue
    } else if miss.minor_faults > 0 {
        Why::PageFault
    } else if miss.cores.0 != miss.cores.1 {
        Why::Migration
    } else {
        Why::WakeUp
    }
}

/// `3.2 µs`, `1.24 ms`, `2.5 s`.
pub(crate) fn time(ns: u64) -> String {
    let value = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", value * 1e-3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", value * 1e-6),
        _ => format!("{:.2} s", value * 1e-9),
    }
}

/// Where the time went, as a clause.
fn clause(miss: &Miss, node: &Node) -> String {
    let input = |index: u32| node.inputs.get(index as usize).map_or("?", |input| input.id.as_str());
    let (busy, waking) = busy_and_waking(miss);
    let window = time(miss.window_ns);
    match why(miss) {
        Why::Upstream => {
            format!("the nodes before used up {}", time(miss.latency_ns.saturating_sub(miss.hop_ns)))
        }
        Why::Handler => format!(
            "it waited {} while the node was busy; its handler for `{}` took {}{}",
            time(busy),
            input(miss.handler_input),
            time(miss.handler_ns),
            held_up(miss, busy)
        ),
        Why::Queue => {
            format!("it lay in the queue for {}, behind others{}", time(busy), held_up(miss, busy))
        }
        Why::RunQueue => format!(
            "another thread had the core: {} in the run queue within {window}, core {}",
            time(miss.run_delay_ns),
            miss.cores.0
        ),
        Why::PageFault => format!(
            "{} page faults, {} of them from disk, within {window}",
            miss.minor_faults + miss.major_faults,
            miss.major_faults
        ),
        Why::Migration => format!("the thread was moved from core {} to core {}", miss.cores.1, miss.cores.0),
        Why::WakeUp => format!(
            "waking the node took {}: an interrupt, a sleep state of core {}, or the hypervisor",
            time(waking),
            miss.cores.0
        ),
    }
}

/// What may have held the node up while it was busy: its handler need not be to blame.
fn held_up(miss: &Miss, busy: u64) -> String {
    if miss.run_delay_ns >= busy / 2 {
        let (delay, window) = (time(miss.run_delay_ns), time(miss.window_ns));
        format!(" (ready, but without a core for {delay} within {window})")
    } else if miss.major_faults > 0 {
        format!(" ({} page faults from disk within {})", miss.major_faults, time(miss.window_ns))
    } else {
        String::new()
    }
}

/// The whole sentence.
fn sentence(miss: &Miss, node: &Node, chain: Option<&str>) -> String {
    let input = node.inputs.get(miss.input as usize).map_or("?", |input| input.id.as_str());
    let (id, latency, limit) = (&node.id, time(miss.latency_ns), time(miss.limit_ns));
    let seq = miss.seq;
    let what = match chain {
        Some(chain) => {
            format!("chain `{chain}`: {latency} until `{id}/{input}` took message {seq}, {limit} allowed")
        }
        None => format!("`{id}/{input}`: message {seq} was {latency} old when it was taken, {limit} allowed"),
    };
    format!("{what}: {}", clause(miss, node))
}

impl Supervisor {
    /// Starts to listen for a node's call for attention.
    pub(crate) fn listen_for_misses(&mut self, node: usize) -> std::io::Result<()> {
        let Some(attention) = &self.wiring.nodes[node].attention else { return Ok(()) };
        // It belongs to the place, and hears all its processes.
        if self.nodes[node].listens_for_misses.is_some() {
            return Ok(());
        }
        let bell = crate::spawn::register(attention.try_clone()?, tokio::io::Interest::READABLE)?;
        let facts = self.facts.clone();
        let task = self.tasks.spawn(async move {
            while let Ok(mut ready) = bell.readable().await {
                let mut count = [0; 8];
                // An empty one is no news; the node cannot make this block.
                if rustix::io::read(bell.get_ref(), &mut count).is_err() {
                    ready.clear_ready();
                } else if facts.send(Fact::Missed { node }).await.is_err() {
                    return;
                }
            }
        });
        self.nodes[node].listens_for_misses = Some(task);
        Ok(())
    }

    /// A node called: tells the user what happened, and stops where the descriptor wants that.
    pub(crate) fn take_misses(&mut self, node: usize) {
        let view = self.wiring.nodes[node].view.clone();
        let mut misses = view.misses(self.nodes[node].misses_told);
        let before = std::mem::replace(&mut self.nodes[node].misses_told, view.miss_count());
        let total = view.miss_count().saturating_sub(before);
        misses.retain(|miss| !self.chain_of(node, miss).is_some_and(|chain| chain.ended));
        let fatal = misses.iter().find(|miss| self.on_miss(node, miss) == OnMiss::Stop);
        let Some(shown) = fatal.or_else(|| misses.iter().max_by_key(|miss| miss.excess_ns())) else { return };
        let mut text = self.miss_sentence(node, shown);
        if total > 1 {
            text.push_str(&format!(" ({} more since the last warning)", total - 1));
        }
        let id = self.dataflow.nodes[node].id.clone();
        let level = if fatal.is_some() { LogLevel::Error } else { LogLevel::Warn };
        self.display.system(level, Some(&id), text.clone());
        if fatal.is_some() {
            self.blame(node, Cause::Deadline(text));
            self.stop_all("a deadline with `on_miss: stop` was missed");
        }
    }

    fn on_miss(&self, node: usize, miss: &Miss) -> OnMiss {
        match miss.chain {
            Some(_) => self.chain_of(node, miss).map(|chain| chain.key.on_miss),
            None => self.dataflow.nodes[node].inputs.get(miss.input as usize).map(|input| input.on_miss),
        }
        .unwrap_or_default()
    }

    /// The chain that was too long.
    fn chain_of(&self, node: usize, miss: &Miss) -> Option<&ChainPlan> {
        self.wiring.nodes[node].chains.get(miss.chain? as usize)
    }

    fn miss_sentence(&self, node: usize, miss: &Miss) -> String {
        let chain =
            miss.chain.map(|_| self.chain_of(node, miss).map_or("?", |chain| chain.key.name.as_str()));
        sentence(miss, &self.dataflow.nodes[node], chain)
    }

    /// The worst misses of the run, worst first.
    pub(crate) fn miss_reports(&self) -> Vec<MissReport> {
        let mut all = self.former.misses.clone();
        all.extend(self.members().flat_map(|node| self.page_misses(node)));
        worst_first(all)
    }

    /// The misses of a page that goes are kept.
    pub(crate) fn keep_misses(&mut self, node: usize) {
        let mut all = std::mem::take(&mut self.former.misses);
        all.extend(self.page_misses(node));
        self.former.misses = worst_first(all);
    }

    /// The worst misses that the present page of a node knows of.
    fn page_misses(&self, node: usize) -> Vec<MissReport> {
        let us = |ns: u64| ns as f64 * 1e-3;
        let start_ns = self.epoch_ns.unwrap_or(self.called_ns);
        let description = &self.dataflow.nodes[node];
        let report = |miss: &Miss| {
            let (busy_ns, waking_ns) = busy_and_waking(miss);
            let input = description.inputs.get(miss.input as usize).map_or("?", |i| i.id.as_str());
            MissReport {
                to: format!("{}/{input}", description.id),
                chain: self.chain_of(node, miss).map(|chain| chain.key.name.clone()),
                at_s: miss.taken_ns.saturating_sub(start_ns) as f64 * 1e-9,
                seq: miss.seq,
                latency_us: us(miss.latency_ns),
                limit_us: us(miss.limit_ns),
                busy_us: us(busy_ns),
                waking_us: us(waking_ns),
                handler_us: us(miss.handler_ns),
                run_queue_us: us(miss.run_delay_ns),
                page_faults: miss.minor_faults.saturating_add(miss.major_faults),
                involuntary_switches: miss.involuntary,
                core: miss.cores.0,
                cause: why(miss).name(),
                sentence: self.miss_sentence(node, miss),
            }
        };
        self.wiring.nodes[node].view.worst_misses().iter().map(report).collect()
    }
}

fn worst_first(mut misses: Vec<MissReport>) -> Vec<MissReport> {
    let excess = |miss: &MissReport| (miss.latency_us - miss.limit_us).max(0.0);
    misses.sort_by(|a, b| excess(b).total_cmp(&excess(a)));
    misses.truncate(REPORTED);
    misses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::camera_and_two_readers;

    const MS: u64 = 1_000_000;

    fn late() -> Miss {
        Miss {
            taken_ns: 100 * MS,
            input: 1,
            seq: 7,
            latency_ns: 2 * MS,
            hop_ns: 2 * MS,
            limit_ns: MS / 2,
            waited_since_ns: 97 * MS,
            handler_ns: MS / 10,
            window_ns: 400 * MS,
            cores: (1, 1),
            ..Miss::default()
        }
    }

    #[test]
    fn the_cause_is_what_used_up_most_of_the_time() {
        let table = [
            (Miss { waited_since_ns: 0, handler_ns: 3 * MS, ..late() }, Why::Handler),
            (Miss { waited_since_ns: 99 * MS + MS / 2, handler_ns: 3 * MS, ..late() }, Why::Handler),
            (Miss { waited_since_ns: 0, ..late() }, Why::Queue),
            (Miss { run_delay_ns: MS, ..late() }, Why::RunQueue),
            (Miss { run_delay_ns: MS, major_faults: 1, ..late() }, Why::PageFault),
            (Miss { run_delay_ns: MS / 10, minor_faults: 3, ..late() }, Why::PageFault),
            (Miss { cores: (1, 0), ..late() }, Why::Migration),
            (late(), Why::WakeUp),
            (Miss { chain: Some(0), latency_ns: 9 * MS, ..late() }, Why::Upstream),
            (Miss { chain: Some(0), ..late() }, Why::WakeUp),
        ];
        for (miss, expected) in table {
            assert_eq!(why(&miss), expected, "{miss:?}");
        }
    }

    #[test]
    fn garbage_in_a_record_makes_a_strange_sentence_and_nothing_worse() {
        let flow = camera_and_two_readers();
        let garbage = Miss {
            taken_ns: 3,
            input: u32::MAX,
            chain: Some(u32::MAX),
            latency_ns: u64::MAX,
            hop_ns: u64::MAX,
            waited_since_ns: u64::MAX,
            handler_input: 99,
            ..Miss::default()
        };
        let text = sentence(&garbage, &flow.nodes[1], Some("?"));
        assert!(text.contains("`a/?`"), "{text}");
    }

    #[test]
    fn a_sentence_names_node_input_times_and_cause() {
        let flow = camera_and_two_readers();
        let busy = Miss { waited_since_ns: 0, handler_input: 0, handler_ns: 3 * MS, ..late() };
        assert_eq!(
            sentence(&busy, &flow.nodes[1], None),
            "`a/image`: message 7 was 2.00 ms old when it was taken, 500.0 µs allowed: it waited 2.00 ms while the \
             node was busy; its handler for `tick` took 3.00 ms"
        );
        let robbed = Miss { run_delay_ns: 2 * MS, ..busy };
        let text = sentence(&robbed, &flow.nodes[1], None);
        assert!(
            text.ends_with("took 3.00 ms (ready, but without a core for 2.00 ms within 400.00 ms)"),
            "{text}"
        );
    }
}
