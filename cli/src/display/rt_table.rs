//! The proof that real-time settings took hold: what the kernel says about every thread, read back from `/proc`.

use dora_daemon::report::{RtProblem, RtTable, RtThread};

use super::table::{Align, Table};

/// The table, followed by what was not granted and how to get it. Ends with a newline.
pub(crate) fn render(rt: &RtTable) -> String {
    let mut table = Table::new(&[
        ("node", Align::Left),
        ("thread", Align::Left),
        ("policy", Align::Left),
        ("prio", Align::Right),
        ("cpus", Align::Left),
        ("locked", Align::Left),
        ("thp", Align::Left),
        ("slack", Align::Right),
        ("verdict", Align::Left),
    ]);
    for thread in &rt.threads {
        table.row(row(thread, &rt.problems));
    }
    let mut out = table.render();
    for problem in &rt.problems {
        out.push_str(&format!("✗ {}: {}: {}\n", problem.node, problem.what, problem.reason));
        if let Some(fix) = &problem.fix {
            out.push_str(&format!("  fix: {fix}\n"));
        }
    }
    out
}

fn row(thread: &RtThread, problems: &[RtProblem]) -> Vec<String> {
    vec![
        thread.node.clone(),
        thread.name.clone(),
        thread.policy.clone(),
        thread.priority.to_string(),
        thread.cpus.clone(),
        yes_no(thread.memory_locked),
        if thread.thp { "on" } else { "off" }.to_owned(),
        thread.timer_slack_ns.map_or_else(|| "-".to_owned(), slack),
        verdict(thread, problems),
    ]
}

/// `✓`, or `✗` with what this node was refused; empty when nothing was asked of the thread.
fn verdict(thread: &RtThread, problems: &[RtProblem]) -> String {
    match thread.ok {
        None => String::new(),
        Some(true) => "✓".to_owned(),
        Some(false) => {
            let refused: Vec<&str> =
                problems.iter().filter(|p| p.node == thread.node).map(|p| p.what.as_str()).collect();
            format!("✗ {}", refused.join(", ")).trim_end().to_owned()
        }
    }
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Timer slack with the unit that reads best: the kernel's default is 50 µs, ours is 1 ns.
fn slack(ns: u64) -> String {
    if ns >= 1000 && ns.is_multiple_of(1000) { format!("{} µs", ns / 1000) } else { format!("{ns} ns") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(node: &str, name: &str, ok: Option<bool>) -> RtThread {
        RtThread {
            node: node.into(),
            tid: 7,
            name: name.into(),
            policy: if ok == Some(true) { "FIFO" } else { "OTHER" }.into(),
            priority: if ok == Some(true) { 80 } else { 0 },
            cpus: "0-1".into(),
            memory_locked: ok == Some(true),
            thp: ok != Some(true),
            timer_slack_ns: Some(if ok == Some(true) { 1 } else { 50_000 }),
            ok,
        }
    }

    #[test]
    fn table_shows_each_thread_with_its_verdict_and_each_fix() {
        let rt = RtTable {
            threads: vec![
                thread("controller", "controller", Some(true)),
                thread("imu", "main", Some(false)),
                thread("imu", "dora-ctl", None),
            ],
            problems: vec![RtProblem {
                node: "imu".into(),
                what: "scheduling fifo 80".into(),
                reason: "the kernel refused: operation not permitted".into(),
                fix: Some("ulimit -r 99".into()),
            }],
        };
        assert_eq!(
            render(&rt),
            "node        thread      policy  prio  cpus  locked  thp  slack  verdict\n\
             controller  controller  FIFO      80  0-1   yes     off   1 ns  ✓\n\
             imu         main        OTHER      0  0-1   no      on   50 µs  ✗ scheduling fifo 80\n\
             imu         dora-ctl    OTHER      0  0-1   no      on   50 µs\n\
             ✗ imu: scheduling fifo 80: the kernel refused: operation not permitted\n  \
             fix: ulimit -r 99\n"
        );
    }
}
