//! Deadlines in the report at the end: a row per chain, and the worst misses in sentences.

use dora_daemon::report::{ChainReport, MissReport};

use super::{
    report::{micros, percentiles},
    table::{Align, Table},
};

/// Sentences shown; `--report json` has more.
const SENTENCES: usize = 5;

/// One row per chain: what was traced, what was late, how long it took.
pub(crate) fn chains(chains: &[ChainReport]) -> String {
    let mut table = Table::new(&[
        ("chain", Align::Left),
        ("within µs", Align::Right),
        ("traced", Align::Right),
        ("late", Align::Right),
        ("p50 µs", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("max", Align::Right),
    ]);
    for chain in chains {
        let mut row = vec![
            chain.name.clone(),
            micros(chain.within_us),
            chain.traced.to_string(),
            chain.missed.to_string(),
        ];
        row.extend(percentiles(&chain.latency));
        table.row(row);
    }
    let mut out = table.render();
    for chain in chains.iter().filter(|chain| chain.untraced > 0) {
        out.push_str(&format!(
            "  {}: {} messages at `{}` go back to no message of `{}`\n",
            chain.name, chain.untraced, chain.to, chain.from
        ));
    }
    out
}

/// The worst misses, each with its time and cause.
pub(crate) fn worst(misses: &[MissReport]) -> String {
    let mut out = String::from("worst deadline misses\n");
    for miss in misses.iter().take(SENTENCES) {
        out.push_str(&format!("  {:.3} s  {}\n", miss.at_s, miss.sentence));
    }
    out
}

#[cfg(test)]
mod tests {
    use dora_daemon::report::Percentiles;

    use super::*;

    #[test]
    fn a_chain_is_a_row_and_untraced_messages_are_said() {
        let latency = Percentiles { count: 9, p50_us: 10.0, p99_us: 20.0, p999_us: 30.0, max_us: 2500.0 };
        let chain = ChainReport {
            name: "imu/sample -> motor/torque".into(),
            from: "imu/sample".into(),
            to: "motor/torque".into(),
            within_us: 2000.0,
            traced: 9,
            untraced: 3,
            missed: 1,
            latency,
            ended: None,
        };
        let text = chains(&[chain]);
        let row = text.lines().find(|line| line.starts_with("imu/sample")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().skip(3).collect();
        assert_eq!(cells, ["2000", "9", "1", "10", "20", "30", "2500"], "{text}");
        assert!(
            text.contains("3 messages at `motor/torque` go back to no message of `imu/sample`"),
            "{text}"
        );
    }
}
