//! Histogram of times, fine enough for a single cache-line transfer.

use hdrhistogram::Histogram;

use crate::figure::Metrics;

/// Values are kept in tenths of a nanosecond.
const PER_NS: f64 = 10.0;
/// Largest value kept apart, nanoseconds: 10 s.
const MAX_NS: f64 = 1e10;

/// A histogram of times in nanoseconds, 3 significant digits, up to 10 s. Records without allocating.
pub struct Hist(Histogram<u64>);

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
        Self(hist)
    }

    /// Records a time in nanoseconds. Longer ones than the histogram holds count as its maximum.
    #[inline]
    pub fn record(&mut self, ns: f64) {
        self.0.saturating_record((ns * PER_NS).max(1.0) as u64);
    }

    /// Value at a quantile in `0..=1`, nanoseconds.
    pub fn quantile(&self, q: f64) -> f64 {
        self.0.value_at_quantile(q) as f64 / PER_NS
    }

    /// `min`, `p50`, `p99`, `p99.9`, `max` in nanoseconds, and `count`.
    pub fn metrics(&self) -> Metrics {
        let at = |q| self.quantile(q);
        [
            ("min", self.0.min() as f64 / PER_NS),
            ("p50", at(0.5)),
            ("p99", at(0.99)),
            ("p99.9", at(0.999)),
            ("max", self.0.max() as f64 / PER_NS),
            ("count", self.0.len() as f64),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
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
}
