//! Histogram of times, fine enough for a single cache-line transfer; keeps every value, too, when asked.

use std::{fs, path::PathBuf};

use eyre::WrapErr;
use hdrhistogram::Histogram;

use crate::figure::Metrics;

/// Values are kept in tenths of a nanosecond.
const PER_NS: f64 = 10.0;
/// Largest value kept apart, nanoseconds: 10 s.
const MAX_NS: f64 = 1e10;

/// Environment variable that names the file for the values of a run: nanoseconds, each an `f64`, little-endian, in the
/// order they were measured.
pub const ENV_SAMPLES: &str = "BENCH_SAMPLES";

/// A histogram of times in nanoseconds, 3 significant digits, up to 10 s. Records without allocating.
pub struct Hist {
    counts: Histogram<u64>,
    every: Option<Every>,
}

/// All values, and where they go.
struct Every {
    values: Vec<f64>,
    path: PathBuf,
}

impl Default for Hist {
    fn default() -> Self {
        Self::new()
    }
}

impl Hist {
    /// An empty histogram; all its memory is allocated and touched here.
    pub fn new() -> Self {
        // Fixed, valid bounds: cannot fail.
        let mut hist = Histogram::new_with_bounds(1, (MAX_NS * PER_NS) as u64, 3).expect("bounds are valid");
        // Writes every counter, so that no first use of one is a page fault among the measured ones.
        hist.reset();
        Self { counts: hist, every: None }
    }

    /// A histogram for up to `count` values. When [`ENV_SAMPLES`] names a file, [`Self::finish`] writes every one to it.
    pub fn keeping(count: u64) -> Self {
        let path = std::env::var_os(ENV_SAMPLES).map(PathBuf::from);
        Self { every: path.map(|path| Every::new(path, count)), ..Self::new() }
    }

    /// Records a time in nanoseconds. Longer ones than the histogram holds count as its maximum.
    #[inline]
    pub fn record(&mut self, ns: f64) {
        self.counts.saturating_record((ns * PER_NS).max(1.0) as u64);
        if let Some(every) = &mut self.every {
            every.values.push(ns);
        }
    }

    /// Value at a quantile in `0..=1`, nanoseconds.
    pub fn quantile(&self, q: f64) -> f64 {
        self.counts.value_at_quantile(q) as f64 / PER_NS
    }

    /// `min`, `p50`, `p99`, `p99.9`, `max` in nanoseconds, and `count`.
    pub fn metrics(&self) -> Metrics {
        let at = |q| self.quantile(q);
        [
            ("min", self.counts.min() as f64 / PER_NS),
            ("p50", at(0.5)),
            ("p99", at(0.99)),
            ("p99.9", at(0.999)),
            ("max", self.counts.max() as f64 / PER_NS),
            ("count", self.counts.len() as f64),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// [`Self::metrics`], after the values went to the file they were kept for.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> eyre::Result<Metrics> {
        if let Some(every) = &self.every {
            every.save()?;
        }
        Ok(self.metrics())
    }
}

impl Every {
    fn new(path: PathBuf, count: u64) -> Self {
        // Written once, so that no first use of a page is a fault among the measured ones.
        let mut values = vec![1.0; count as usize];
        values.clear();
        Self { values, path }
    }

    fn save(&self) -> eyre::Result<()> {
        let bytes: Vec<u8> = self.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        fs::write(&self.path, bytes).wrap_err_with(|| format!("failed to write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_of_a_nanosecond_survive() {
        let mut hist = Hist::new();
        for _ in 0..100 {
            hist.record(43.7);
        }
        assert!((hist.quantile(0.5) - 43.7).abs() < 0.1);
        assert_eq!(hist.metrics()["count"], 100.0);
    }

    #[test]
    fn a_value_beyond_the_range_counts_as_the_largest() {
        let mut hist = Hist::new();
        hist.record(1e12);
        assert!(hist.metrics()["max"] >= MAX_NS * 0.99);
    }

    #[test]
    fn every_value_reaches_the_file_in_its_order() {
        let path = std::env::temp_dir().join(format!("bench-hist-{}.f64", std::process::id()));
        let mut hist = Hist { every: Some(Every::new(path.clone(), 3)), ..Hist::new() };
        for ns in [30.5, 10.0, 20.0] {
            hist.record(ns);
        }
        assert_eq!(hist.finish().unwrap()["count"], 3.0);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let values: Vec<f64> =
            bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, [30.5, 10.0, 20.0]);
    }
}
