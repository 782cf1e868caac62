//! The report at the end of a run, for people: what every edge carried and lost, how late it was, what every node
//! cost. Fits 100 columns as long as names do; `--report json` prints the same numbers for programs.

use dora_daemon::report::{EdgeReport, NodeReport, Percentiles, RunReport, TimerReport};

use super::{
    misses,
    table::{Align, Table},
};

/// Edges and timers get a second line for the reader's name when the table would become wider than this.
const COLUMNS: usize = 100;

/// The whole report. Ends with a newline.
pub(crate) fn render(report: &RunReport) -> String {
    let mut out = headline(report);
    if !report.edges.is_empty() {
        out.push_str(&format!("\n{}", edges(&report.edges)));
        out.extend(report.edges.iter().filter_map(edge_note));
    }
    if !report.timers.is_empty() {
        out.push_str(&format!("\n{}", timers(&report.timers)));
    }
    if !report.chains.is_empty() {
        out.push_str(&format!("\n{}", misses::chains(&report.chains)));
    }
    if !report.misses.is_empty() {
        out.push_str(&format!("\n{}", misses::worst(&report.misses)));
    }
    if !report.nodes.is_empty() {
        out.push_str(&format!("\n{}", nodes(&report.nodes)));
        out.extend(report.nodes.iter().flat_map(output_notes));
    }
    if !report.warnings.is_empty() {
        out.push('\n');
        out.extend(report.warnings.iter().map(|warning| format!("warning: {warning}\n")));
    }
    out
}

/// Why the run failed, node by node, with the last lines each failed node wrote to stderr. No final newline.
pub(crate) fn failures(report: &RunReport) -> String {
    let failed: Vec<&NodeReport> = report.nodes.iter().filter(|node| node.error.is_some()).collect();
    let mut out = format!("{} of {} nodes failed", failed.len(), report.nodes.len());
    for node in failed {
        let error = node.error.as_deref().unwrap_or_default();
        out.push_str(&format!("\n\n  {}: {error}", node.node));
        if let Some(cause) = &node.caused_by {
            out.push_str(&format!(" (after `{cause}` failed)"));
        }
        for line in &node.stderr_tail {
            out.push_str(&format!("\n    | {line}"));
        }
    }
    for promise in report.edges.iter().filter_map(EdgeReport::broken_promise) {
        out.push_str(&format!("\n\n  {promise}"));
    }
    out
}

fn headline(report: &RunReport) -> String {
    let mut parts = vec![format!("ran {:.1} s", report.wall_s), format!("rt {}", report.rt)];
    parts.extend(report.start_ms.map(|ms| format!("ready after {ms:.1} ms")));
    parts.extend(report.first_message_ms.map(|ms| format!("first message after {ms:.1} ms")));
    format!("{}: {}\n", report.name, parts.join(", "))
}

fn edges(edges: &[EdgeReport]) -> String {
    let build = |separator: &str| {
        let mut table = Table::new(&[
            ("edge", Align::Left),
            ("sent", Align::Right),
            ("taken", Align::Right),
            ("dropped", Align::Right),
            ("late", Align::Right),
            ("p50 µs", Align::Right),
            ("p99", Align::Right),
            ("p99.9", Align::Right),
            ("max", Align::Right),
        ]);
        for edge in edges {
            let mut row = vec![
                format!("{}{separator}{}", edge.from, edge.to),
                edge.sent.to_string(),
                edge.taken.to_string(),
                Losses::of(edge).dropped().to_string(),
                if edge.deadline_us.is_some() { edge.deadline_missed.to_string() } else { "-".into() },
            ];
            row.extend(percentiles(&edge.latency));
            table.row(row);
        }
        table
    };
    let one_line = build(" → ");
    if one_line.width() <= COLUMNS { one_line.render() } else { build(" →\n  ").render() }
}

/// Where the messages of an edge went that were sent and not taken.
struct Losses {
    overwritten: u64,
    flushed: u64,
    queued: u64,
    /// Neither taken nor in the ring any more: the reader died, or ended with them in its hands.
    lost: u64,
}

impl Losses {
    fn of(edge: &EdgeReport) -> Self {
        Self { overwritten: edge.overwritten, flushed: edge.flushed, queued: edge.queued, lost: edge.lost() }
    }

    /// What is still queued was not dropped: nobody was there to take it any more.
    fn dropped(&self) -> u64 {
        self.overwritten + self.flushed + self.lost
    }
}

fn edge_note(edge: &EdgeReport) -> Option<String> {
    let losses = Losses::of(edge);
    let mut parts = Vec::new();
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    say(losses.overwritten, "dropped because the queue was full");
    say(losses.flushed, "dropped by a flush");
    say(losses.queued, "still queued at the end");
    say(losses.lost, "lost with the reader");
    if let Some(deadline) = edge.deadline_us {
        say(edge.deadline_missed, &format!("later than {} µs", micros(deadline)));
    }
    say(edge.skipped_late, "not given to the node for being late");
    say(edge.copied_out, "copied, because the reader holds on to too many messages");
    parts.extend(edge.broken.as_ref().map(|why| format!("closed: {why}")));
    (!parts.is_empty()).then(|| format!("  {} → {}: {}\n", edge.from, edge.to, parts.join(", ")))
}

fn timers(timers: &[TimerReport]) -> String {
    let mut table = Table::new(&[
        ("timer", Align::Left),
        ("period", Align::Right),
        ("ticks", Align::Right),
        ("missed", Align::Right),
        ("late", Align::Right),
        ("lateness p50 µs", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("max", Align::Right),
    ]);
    for timer in timers {
        let mut row = vec![
            timer.to.clone(),
            period(timer.period_ns),
            timer.ticks.to_string(),
            timer.missed.to_string(),
            if timer.deadline_us.is_some() { timer.deadline_missed.to_string() } else { "-".into() },
        ];
        row.extend(percentiles(&timer.lateness));
        table.row(row);
    }
    table.render()
}

fn nodes(nodes: &[NodeReport]) -> String {
    let mut table = Table::new(&[
        ("node", Align::Left),
        ("exit", Align::Left),
        ("cpu s", Align::Right),
        ("rss MB", Align::Right),
        ("faults min/maj", Align::Right),
        ("switches vol/invol", Align::Right),
        ("handler p99 µs", Align::Right),
        ("max", Align::Right),
    ]);
    for node in nodes {
        let [_, p99, _, max] = percentiles(&node.handler);
        table.row(vec![
            node.node.clone(),
            node.exit.clone(),
            format!("{:.2}", node.cpu_s),
            format!("{:.1}", node.max_rss_mb),
            format!("{}/{}", node.minor_faults, node.major_faults),
            format!("{}/{}", node.voluntary_switches, node.involuntary_switches),
            p99,
            max,
        ]);
    }
    table.render()
}

fn output_notes(node: &NodeReport) -> Vec<String> {
    let mut notes = Vec::new();
    if node.restarts > 0 {
        let times = if node.restarts == 1 { "once".to_owned() } else { format!("{} times", node.restarts) };
        notes.push(format!("  {}: restarted {times}\n", node.node));
    }
    for output in &node.outputs {
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                notes.push(format!("  {}/{}: {count} {what}\n", node.node, output.output));
            }
        };
        say(output.too_large, "messages refused: larger than `max_message_bytes`");
        say(output.no_slot, "messages refused: the readers held every slot");
        say(output.unplanned_slots, "slots first touched after the start; raise `output_layout: depth`");
        say(output.blocked, "times the sender waited for a `backpressure` reader");
    }
    notes
}

pub(crate) fn percentiles(p: &Percentiles) -> [String; 4] {
    let show = |us: f64| if p.count == 0 { "-".to_owned() } else { micros(us) };
    [show(p.p50_us), show(p.p99_us), show(p.p999_us), show(p.max_us)]
}

/// Tenths as long as they matter.
pub(crate) fn micros(us: f64) -> String {
    if us < 1000.0 && us.fract() != 0.0 { format!("{us:.1}") } else { format!("{us:.0}") }
}

/// A period in the unit that keeps it short.
fn period(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    match units.iter().find(|(unit, _)| ns >= *unit && ns.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", ns / unit),
        None if ns >= 1_000_000 => format!("{:.2} ms", ns as f64 / 1e6),
        None => format!("{ns} ns"),
    }
}

#[cfg(test)]
mod tests;
