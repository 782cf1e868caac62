//! The rows of chains in the report: what all processes at their ends have counted, one after the other. Pure.
//!
//! A row is found by name, beginning, end and bound, and never goes. Counts are added up, and so are the latencies: percentiles are
//! those of all of them.

use std::{collections::BTreeMap, fmt};

use lockfree_ipc::{ChainSnapshot, HistogramSnapshot};

use crate::{
    assemble::percentiles,
    chains::ChainKey,
    report::{ChainEnded, ChainReport, Percentiles},
};

/// All rows, in the order in which their chains came.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainRows(Vec<Row>);

#[derive(Clone, Debug)]
struct Row {
    key: ChainKey,
    report: ChainReport,
    /// Of the latest page that has any.
    newest: HistogramSnapshot,
    /// Of those before.
    older: Sum,
}

/// What was counted, as a clause.
pub(crate) struct Counted {
    traced: u64,
    missed: u64,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages were traced, {} of them late", self.traced, self.missed)
    }
}

impl Row {
    fn of(key: &ChainKey) -> Self {
        let report = ChainReport {
            name: key.name.clone(),
            from: format!("{}/{}", key.from.0, key.from.1),
            to: format!("{}/{}", key.to.0, key.to.1),
            within_us: key.within.as_secs_f64() * 1e6,
            traced: 0,
            untraced: 0,
            missed: 0,
            latency: Percentiles::default(),
            ended: None,
        };
        Self { key: key.clone(), report, newest: HistogramSnapshot::default(), older: Sum::default() }
    }
}

impl ChainRows {
    fn row(&mut self, key: &ChainKey) -> &mut Row {
        let index = self.0.iter().position(|row| row.key == *key).unwrap_or_else(|| {
            self.0.push(Row::of(key));
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// There is this chain, perhaps again.
    pub(crate) fn expect(&mut self, key: &ChainKey) {
        self.row(key).report.ended = None;
    }

    /// Adds what a page has counted.
    pub(crate) fn add(&mut self, key: &ChainKey, counted: &ChainSnapshot) {
        let row = self.row(key);
        row.report.traced += counted.traced;
        row.report.untraced += counted.untraced;
        row.report.missed += counted.missed;
        if counted.latency.count() > 0 {
            let before = std::mem::replace(&mut row.newest, counted.latency.clone());
            row.older.add(&before);
        }
    }

    /// Nothing more comes of this chain.
    pub(crate) fn end(&mut self, key: &ChainKey, ended: ChainEnded) -> Counted {
        let report = &mut self.row(key).report;
        report.ended = Some(ended);
        Counted { traced: report.traced, missed: report.missed }
    }

    /// With the percentiles of everything that was added.
    pub(crate) fn reports(self) -> Vec<ChainReport> {
        let whole = |mut row: Row| {
            row.report.latency = if row.older.values.is_empty() {
                percentiles(&row.newest)
            } else {
                row.older.add(&row.newest);
                row.older.percentiles()
            };
            row.report
        };
        self.0.into_iter().map(whole).collect()
    }
}

/// Several histograms in one: how often there was a value, nanoseconds. As exact as they are.
#[derive(Clone, Debug, Default)]
struct Sum {
    values: BTreeMap<u64, u64>,
    max: u64,
}

impl Sum {
    fn add(&mut self, histogram: &HistogramSnapshot) {
        let count = histogram.count();
        // The `rank`th smallest; halves keep clear of rounding.
        let value = |rank: u64| histogram.percentile((rank as f64 - 0.5) / count as f64 * 100.0);
        let mut before = 0;
        while before < count {
            let next = value(before + 1);
            // The last rank with this value.
            let (mut known, mut above) = (before + 1, count + 1);
            while above - known > 1 {
                let rank = known + (above - known) / 2;
                if value(rank) == next { known = rank } else { above = rank }
            }
            *self.values.entry(next).or_default() += known - before;
            before = known;
        }
        self.max = self.max.max(histogram.max());
    }

    fn percentiles(&self) -> Percentiles {
        let count = self.values.values().sum();
        let us = |percent: f64| {
            let rank = ((percent / 100.0 * count as f64).ceil() as u64).max(1);
            let mut seen = 0;
            let found = self.values.iter().find(|(_, n)| {
                seen += **n;
                seen >= rank
            });
            found.map_or(0.0, |(value, _)| *value as f64 * 1e-3)
        };
        Percentiles {
            count,
            p50_us: us(50.0),
            p99_us: us(99.0),
            p999_us: us(99.9),
            max_us: self.max as f64 * 1e-3,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::AsFd, time::Duration};

    use lockfree_ipc::{StatusPage, StatusView, status};

    use super::*;

    fn key(name: &str) -> ChainKey {
        ChainKey {
            name: name.into(),
            from: ("a".parse().unwrap(), "o".into()),
            to: ("b".parse().unwrap(), "in".into()),
            within: Duration::from_millis(1),
            on_miss: Default::default(),
        }
    }

    /// What a page has counted at which messages of these latencies came.
    fn counted(latencies: impl IntoIterator<Item = u64>) -> ChainSnapshot {
        let page = status::create_with_chains(1, 1, 1).unwrap();
        let view = StatusView::open(page.as_fd()).unwrap();
        let page = StatusPage::open(page).unwrap();
        for ns in latencies {
            page.chain(0).traced(ns);
            if ns > 1_000_000 {
                page.chain(0).missed();
            }
        }
        page.chain(0).untraced();
        view.chain(0)
    }

    #[test]
    fn what_several_processes_counted_is_one_row_as_if_one_had() {
        let first = (1..400).map(|n| n * 1000).chain([900_000]).collect::<Vec<_>>();
        let parts = [first, vec![], vec![7, 7, 7_000_000], vec![64; 9]];
        let mut rows = ChainRows::default();
        rows.expect(&key("reflex"));
        rows.expect(&key("other"));
        for part in &parts {
            rows.add(&key("reflex"), &counted(part.iter().copied()));
        }
        let mut alone = ChainRows::default();
        alone.add(&key("reflex"), &counted(parts.concat()));
        let (rows, alone) = (rows.reports(), alone.reports());
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["reflex", "other"]);
        let (row, alone) = (&rows[0], &alone[0]);
        assert_eq!((row.traced, row.untraced, row.missed), (412, 4, 1));
        assert_eq!((row.traced, row.missed), (alone.traced, alone.missed));
        assert_eq!(format!("{:?}", row.latency), format!("{:?}", alone.latency));
        assert_eq!((row.latency.count, row.latency.max_us), (412, 7000.0));
    }

    #[test]
    fn a_row_says_that_its_chain_ended_until_it_is_there_again() {
        let mut rows = ChainRows::default();
        rows.add(&key("reflex"), &counted([5, 2_000_000]));
        let ended = ChainEnded { at_s: 1.5, reason: "node `b` was removed".into() };
        let said = rows.end(&key("reflex"), ended).to_string();
        assert_eq!(said, "2 messages were traced, 1 of them late");
        let row = rows.clone().reports().remove(0);
        assert_eq!(row.ended.map(|ended| ended.reason).as_deref(), Some("node `b` was removed"));
        rows.expect(&key("reflex"));
        rows.add(&key("reflex"), &counted([5]));
        let row = rows.reports().remove(0);
        assert!(row.ended.is_none() && row.traced == 3, "{row:?}");
    }
}
