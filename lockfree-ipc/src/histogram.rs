//! Log-linear histogram of nanoseconds in shared memory: one writer, any number of readers, no locks.
//!
//! Values up to 63 have a bucket each; above, every power of two has 32 buckets, so a percentile is at most 1/32
//! (3 %) too high. The largest value is kept exactly. Recording is two loads and two stores of this process's own
//! lines. (The scheme is that of HdrHistogram, G. Tene; the layout is ours.)

use std::sync::Arc;

use crate::{
    OpenError,
    layout::{HISTOGRAM_BUCKETS, HISTOGRAM_MAX_BITS, HISTOGRAM_SUB_BITS},
    segment::{Mapping, Shared},
    sync::{AtomicU64, Ordering},
};

const SUB: u32 = HISTOGRAM_SUB_BITS;
/// Offset of the buckets in words: largest value, spare.
const BUCKETS: usize = 2;

/// Bucket of a value.
#[inline]
fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << HISTOGRAM_MAX_BITS) - 1);
    let octave = (63 - (ns | 1).leading_zeros()).saturating_sub(SUB);
    ((u64::from(octave) << SUB) + (ns >> octave)) as usize
}

/// Largest value of a bucket.
fn upper(bucket: u64) -> u64 {
    let octave = (bucket >> SUB).saturating_sub(1);
    let within = bucket - (octave << SUB);
    ((within + 1) << octave) - 1
}

/// A histogram in a mapped page.
#[derive(Clone, Debug)]
pub struct Histogram {
    words: Shared<AtomicU64>,
}

impl Histogram {
    pub(crate) fn map(map: &Arc<Mapping>, offset: u64) -> Result<Self, OpenError> {
        Ok(Self { words: Shared::map(map, offset, BUCKETS as u64 + HISTOGRAM_BUCKETS)? })
    }

    /// Counts a value. Single writer.
    #[inline]
    pub fn record(&self, ns: u64) {
        let words: &[AtomicU64] = &self.words;
        let count = &words[BUCKETS + bucket(ns)];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        if ns > words[0].load(Ordering::Relaxed) {
            words[0].store(ns, Ordering::Relaxed);
        }
    }

    /// Reads all buckets. Values recorded meanwhile may or may not be in it.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let buckets: Vec<u64> = self.words[BUCKETS..].iter().map(|w| w.load(Ordering::Relaxed)).collect();
        let count = buckets.iter().fold(0u64, |n, b| n.saturating_add(*b));
        HistogramSnapshot { max: self.words[0].load(Ordering::Relaxed), count, buckets }
    }
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    max: u64,
    count: u64,
    buckets: Vec<u64>,
}

impl HistogramSnapshot {
    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Largest value, exact, in nanoseconds.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Smallest value that `percent` of all values do not exceed, at most 1/32 too high; 0 without values.
    pub fn percentile(&self, percent: f64) -> u64 {
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        for (i, n) in self.buckets.iter().enumerate() {
            seen = seen.saturating_add(*n);
            if seen >= rank {
                return upper(i as u64).min(self.max);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_at_most_a_32nd_wide() {
        let mut values: Vec<u64> = (0..5000).collect();
        values.extend((5..41).flat_map(|b| [(1u64 << b) - 1, 1 << b, (1 << b) + 1]));
        for ns in values {
            let i = bucket(ns) as u64;
            assert!(i < HISTOGRAM_BUCKETS, "{ns} is outside");
            let ns = ns.min((1 << HISTOGRAM_MAX_BITS) - 1);
            assert!(upper(i) >= ns, "{ns} is above its bucket {i}");
            assert!(upper(i) - ns <= ns / 32, "{ns} is too far below the end {} of its bucket", upper(i));
            assert!(i == 0 || upper(i - 1) < ns, "{ns} belongs to the bucket before");
        }
        assert_eq!(bucket(u64::MAX), bucket((1 << HISTOGRAM_MAX_BITS) - 1));
    }
}
