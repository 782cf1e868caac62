//! The report at the end of a run, for people: what every edge carried and lost, how late it was, what every node
//! cost. Fits 100 columns as long as names do; `--report json` prints the same numbers for programs.

use dora_daemon::report::{EdgeReport, NodeReport, Percentiles, RunReport, TimerReport};

use super::table::{Align, Table};

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
        let known = edge.taken + edge.overwritten + edge.flushed + edge.queued;
        Self {
            overwritten: edge.overwritten,
            flushed: edge.flushed,
            queued: edge.queued,
            lost: edge.sent.saturating_sub(known),
        }
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
    parts.extend(edge.broken.as_ref().map(|why| format!("closed: {why}")));
    (!parts.is_empty()).then(|| format!("  {} → {}: {}\n", edge.from, edge.to, parts.join(", ")))
}

fn timers(timers: &[TimerReport]) -> String {
    let mut table = Table::new(&[
        ("timer", Align::Left),
        ("period", Align::Right),
        ("ticks", Align::Right),
        ("missed", Align::Right),
        ("late p50 µs", Align::Right),
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

fn percentiles(p: &Percentiles) -> [String; 4] {
    let show = |us: f64| if p.count == 0 { "-".to_owned() } else { micros(us) };
    [show(p.p50_us), show(p.p99_us), show(p.p999_us), show(p.max_us)]
}

/// Tenths as long as they matter.
fn micros(us: f64) -> String {
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
mod tests {
    use dora_daemon::report::OutputReport;

    use super::*;

    fn us(p50: f64, max: f64) -> Percentiles {
        Percentiles { count: 100, p50_us: p50, p99_us: p50 * 2.0, p999_us: p50 * 3.0, max_us: max }
    }

    fn edge(from: &str, to: &str) -> EdgeReport {
        EdgeReport {
            from: from.into(),
            to: to.into(),
            policy: "drop_oldest",
            sent: 1000,
            taken: 1000,
            overwritten: 0,
            flushed: 0,
            queued: 0,
            broken: None,
            latency: us(4.25, 1234.0),
            deadline_us: None,
            deadline_missed: 0,
        }
    }

    fn node(name: &str) -> NodeReport {
        NodeReport {
            node: name.into(),
            pid: Some(1),
            exit: "0".into(),
            error: None,
            caused_by: None,
            stderr_tail: vec![],
            cpu_s: 0.123,
            max_rss_mb: 12.34,
            minor_faults: 3,
            major_faults: 0,
            voluntary_switches: 1001,
            involuntary_switches: 2,
            handler: us(10.0, 55.5),
            outputs: vec![],
        }
    }

    fn report() -> RunReport {
        RunReport {
            dataflow_id: "id".into(),
            name: "flow".into(),
            rt: "strict",
            wall_s: 10.04,
            start_ms: Some(35.25),
            first_message_ms: Some(36.5),
            edges: vec![edge("imu/sample", "controller/imu")],
            timers: vec![TimerReport {
                to: "imu/tick".into(),
                period_ns: 1_000_000,
                ticks: 10_000,
                missed: 1,
                lateness: us(3.0, 99.9),
            }],
            nodes: vec![node("imu")],
            rt_table: None,
            warnings: vec!["core 1 is not isolated".into()],
        }
    }

    #[test]
    fn quiet_run_is_a_headline_and_three_tables() {
        assert_eq!(
            render(&report()),
            "flow: ran 10.0 s, rt strict, ready after 35.2 ms, first message after 36.5 ms\n\
             \n\
             edge                         sent  taken  dropped  late  p50 µs  p99  p99.9   max\n\
             imu/sample → controller/imu  1000   1000        0     -     4.2  8.5   12.8  1234\n\
             \n\
             timer     period  ticks  missed  late p50 µs  p99  p99.9   max\n\
             imu/tick    1 ms  10000       1            3    6      9  99.9\n\
             \n\
             node  exit  cpu s  rss MB  faults min/maj  switches vol/invol  handler p99 µs   max\n\
             imu   0      0.12    12.3             3/0              1001/2              20  55.5\n\
             \n\
             warning: core 1 is not isolated\n"
        );
    }

    #[test]
    fn every_lost_message_is_explained_below_its_table() {
        let mut edge = edge("a/b", "c/d");
        (edge.taken, edge.overwritten, edge.flushed, edge.queued) = (980, 12, 3, 1);
        (edge.deadline_us, edge.deadline_missed) = (Some(500.0), 7);
        edge.broken = Some("corrupt".into());
        let text = render(&RunReport { edges: vec![edge], ..report() });
        assert!(
            text.contains(
                "  a/b → c/d: 12 dropped because the queue was full, 3 dropped by a flush, 1 still queued at \
                 the end, 4 lost with the reader, 7 later than 500 µs, closed: corrupt\n"
            ),
            "{text}"
        );
        let row = text.lines().find(|line| line.starts_with("a/b → c/d")).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>()[3..7], ["1000", "980", "19", "7"]);
    }

    #[test]
    fn long_names_take_a_line_of_their_own_and_numbers_stay_in_100_columns() {
        let long = "front_left_wide_angle_camera/rectified_image";
        let text = edges(&[edge(long, "object_detector_on_the_gpu/front_left_image")]);
        assert!(
            text.contains(&format!("\n{long} →\n  object_detector_on_the_gpu/front_left_image")),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }

    #[test]
    fn edge_without_messages_has_dashes_for_latencies() {
        let mut silent = edge("a/b", "c/d");
        (silent.sent, silent.taken, silent.latency) = (0, 0, Percentiles::default());
        let text = edges(&[silent]);
        assert_eq!(text.lines().nth(1).unwrap().matches(" -").count(), 5, "{text}");
    }

    #[test]
    fn refused_and_unplanned_messages_name_their_output() {
        let mut imu = node("imu");
        imu.outputs = vec![OutputReport {
            output: "sample".into(),
            sent: 5,
            bytes: 40,
            copied: 5,
            too_large: 2,
            no_slot: 0,
            unplanned_slots: 1,
            blocked: 0,
        }];
        let text = render(&RunReport { nodes: vec![imu], ..report() });
        assert!(
            text.contains("  imu/sample: 2 messages refused: larger than `max_message_bytes`\n"),
            "{text}"
        );
        assert!(text.contains("  imu/sample: 1 slots first touched after the start"), "{text}");
        assert!(!text.contains("held every slot"), "{text}");
    }

    #[test]
    fn failed_nodes_are_listed_with_cause_and_last_words() {
        let mut a = node("a");
        a.error = Some("exited with code 3".into());
        a.stderr_tail = vec!["cannot open".into(), "/dev/video9".into()];
        let mut b = node("b");
        b.error = Some("exited before it was ready".into());
        b.caused_by = Some("a".into());
        let text = failures(&RunReport { nodes: vec![a, b, node("c")], ..report() });
        assert_eq!(
            text,
            "2 of 3 nodes failed\n\n  a: exited with code 3\n    | cannot open\n    | /dev/video9\n\n  \
             b: exited before it was ready (after `a` failed)"
        );
    }

    #[test]
    fn periods_are_shown_in_the_unit_that_fits() {
        for (ns, text) in [
            (1_000_000_000, "1 s"),
            (200_000, "200 µs"),
            (20_000_000, "20 ms"),
            (33_333_333, "33.33 ms"),
            (333, "333 ns"),
        ] {
            assert_eq!(period(ns), text);
        }
    }
}
