//! The diagnosis for people.

use rt_tuning::doctor::{Chosen, CoreResult, Finding, Histogram, Level, Measurement, Summary, list};

use super::rt::Diagnosis;
use crate::display::table::{Align, Table};

/// Histograms of more cores than this would bury the verdict; then only that of the worst core is shown.
const SHOWN: usize = 4;
/// Characters of the longest bar.
const BAR: u64 = 40;

/// Everything, with the verdict at the end, where a terminal stands still.
pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let scope = &diagnosis.context.scope;
    let chosen = match scope.chosen {
        Chosen::Given => "as asked",
        Chosen::Isolated => "isolated",
        Chosen::Proposed => "a proposal, none is isolated; choose with --cores",
    };
    let kernel = diagnosis.context.machine.read("proc/sys/kernel/osrelease").unwrap_or_else(|| "?".into());
    let mut out = format!(
        "Linux {kernel}, cores {}; judged for real-time nodes: core {} ({chosen})\n\n",
        list(&diagnosis.context.online),
        list(&scope.cores)
    );
    diagnosis.findings.iter().for_each(|finding| out += &finding_text(finding));
    if let Some(measurement) = &diagnosis.measurement {
        out += &figures(measurement);
        out += &histograms(measurement, diagnosis.verdict.as_ref().map(|verdict| verdict.worst));
        measurement.limited.iter().for_each(|limit| out += &format!("LIMITED  {limit}\n"));
    }
    if let Some(verdict) = &diagnosis.verdict {
        out += "\n";
        verdict.sentences.iter().for_each(|sentence| out += &format!("{sentence}\n"));
    }
    out
}

fn finding_text(finding: &Finding) -> String {
    let word = match finding.level {
        Level::Ok => "PASS",
        Level::Unknown => "?   ",
        Level::Warn => "WARN",
        Level::Bad => "FAIL",
    };
    let mut out = format!("{word}  {}: {}\n", finding.check, finding.found);
    if finding.level != Level::Ok {
        out += &format!("        why:  {}\n", finding.why);
    }
    if let Some(fix) = &finding.fix {
        let undo = fix.undo.as_deref().unwrap_or("cannot be taken back");
        out += &format!("        fix:  {}\n        undo: {undo}\n", fix.how);
    }
    out
}

/// Microseconds with one decimal.
fn micros(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

fn figures(measurement: &Measurement) -> String {
    let mut table = Table::new(&[
        ("core", Align::Left),
        ("", Align::Left),
        ("count", Align::Right),
        ("p50 µs", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("max", Align::Right),
        ("missed", Align::Right),
        ("stolen", Align::Right),
    ]);
    for result in &measurement.cores {
        let row = |what: String, summary: Summary, rest: [String; 2]| {
            let p999 = summary.p999_ns.map_or_else(|| "-".into(), micros);
            let mut cells = vec![result.core.to_string(), what, summary.count.to_string()];
            cells.extend([micros(summary.p50_ns), micros(summary.p99_ns), p999, micros(summary.max_ns)]);
            cells.extend(rest);
            cells
        };
        let stolen = result.stolen.map_or_else(|| "-".into(), |share| format!("{:.2} %", share * 100.0));
        table.row(row("timer late".into(), result.timer.summary(), [result.missed.to_string(), stolen]));
        let from = if result.wake_from == result.core {
            "the same core".into()
        } else {
            format!("core {}", result.wake_from)
        };
        table.row(row(format!("woken from {from}"), result.wake.summary(), [String::new(), String::new()]));
    }
    let policy = if measurement.fifo { "SCHED_FIFO 80" } else { "SCHED_OTHER" };
    format!(
        "\nmeasured for {} s, every {} µs, under {policy}\n{}",
        measurement.duration.as_secs_f64(),
        measurement.interval_ns / 1000,
        table.render()
    )
}

fn histograms(measurement: &Measurement, worst: Option<usize>) -> String {
    let shown = |result: &&CoreResult| measurement.cores.len() <= SHOWN || Some(result.core) == worst;
    let text = |result: &CoreResult| {
        format!("\ntimer lateness on core {}, µs\n{}", result.core, bars(&result.timer))
    };
    measurement.cores.iter().filter(shown).map(text).collect::<String>() + "\n"
}

fn bars(histogram: &Histogram) -> String {
    let rows = histogram.octaves();
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let line = |(end, count): &(u64, u64)| {
        // What was counted is seen, even if it is one in a million.
        let length = (count * BAR).div_ceil(most) as usize;
        format!(
            "{}\n",
            format!("{:>10}  {count:>8}  {}", format!("< {}", micros(end + 1)), "#".repeat(length))
                .trim_end()
        )
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use rt_tuning::doctor::Fix;

    use super::*;

    #[test]
    fn finding_shows_why_fix_and_undo_unless_it_is_good() {
        let fix = Fix { how: "do it".into(), undo: None, changes: Vec::new() };
        let bad = Finding {
            check: "swap",
            level: Level::Bad,
            found: "It is on.".into(),
            why: "Slow.",
            fix: Some(fix),
        };
        let expected = "FAIL  swap: It is on.\n        why:  Slow.\n        fix:  do it\n        undo: cannot be taken back\n";
        assert_eq!(finding_text(&bad), expected);
        let good = Finding { level: Level::Ok, fix: None, ..bad };
        assert_eq!(finding_text(&good), "PASS  swap: It is on.\n");
    }

    #[test]
    fn a_single_late_tick_is_seen_beside_thousands() {
        let mut histogram = Histogram::default();
        (0..100_000).for_each(|_| histogram.add(3000));
        histogram.add(60_000);
        let text = bars(&histogram);
        assert!(text.starts_with("     < 4.1    100000  ########"), "{text}");
        assert!(text.ends_with("    < 65.5         1  #\n"), "{text}");
    }
}
