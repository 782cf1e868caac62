//! Durations in buckets: below 64 ns exact, above 64 buckets for each doubling (1.6 %). Counting allocates nothing.

/// Buckets for each doubling.
const PER_OCTAVE: usize = 64;
const BITS: u32 = PER_OCTAVE.trailing_zeros();
/// Values from 2^40 ns (18 minutes) share the last bucket; the maximum stays exact.
const BUCKETS: usize = PER_OCTAVE * (40 - BITS as usize + 1);

/// Counts of durations in nanoseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max_ns: u64,
}

/// The figures that are looked at. All in nanoseconds; percentiles are the upper end of their bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many were counted.
    pub count: u64,
    /// Half were at most this long.
    pub p50_ns: u64,
    /// 99 in 100.
    pub p99_ns: u64,
    /// 999 in 1000; `None` when fewer than 1000 were counted.
    pub p999_ns: Option<u64>,
    /// The longest, exact.
    pub max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max_ns: 0 }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Histogram").field(&self.summary()).finish()
    }
}

impl Histogram {
    /// Counts one.
    ///
    /// # Real time
    /// No allocation, no system call.
    pub fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds all counts of another one.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value that `share` (0 to 1) of all do not exceed, as the upper end of its bucket; 0 when there are none.
    pub fn percentile_ns(&self, share: f64) -> u64 {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(bucket).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// The usual figures.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count,
            p50_ns: self.percentile_ns(0.5),
            p99_ns: self.percentile_ns(0.99),
            p999_ns: (self.count >= 1000).then(|| self.percentile_ns(0.999)),
            max_ns: self.max_ns,
        }
    }

    /// Counts by powers of two: `(up to and including ns, count)`, from the first to the last that is not empty.
    pub fn octaves(&self) -> Vec<(u64, u64)> {
        let mut sums: Vec<(u64, u64)> = Vec::new();
        for (bucket, &count) in self.counts.iter().enumerate() {
            let end = upper(bucket)
                .max(1)
                .checked_next_power_of_two()
                .map_or(u64::MAX, |power| power - 1)
                .max(upper(bucket));
            match sums.last_mut() {
                Some((last, sum)) if *last == end => *sum += count,
                _ => sums.push((end, count)),
            }
        }
        let first = sums.iter().position(|(_, count)| *count > 0).unwrap_or(sums.len());
        let last = sums.iter().rposition(|(_, count)| *count > 0).map_or(first, |last| last + 1);
        sums[first..last].to_vec()
    }
}

fn bucket(ns: u64) -> usize {
    let octave = (u64::BITS - ns.leading_zeros()).saturating_sub(BITS + 1);
    (octave as usize * PER_OCTAVE + (ns >> octave) as usize).min(BUCKETS - 1)
}

/// Largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let octave = (bucket / PER_OCTAVE).saturating_sub(1);
    let first = ((bucket - octave * PER_OCTAVE) as u64) << octave;
    first + (1 << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_two_per_cent() {
        let mut last = 0;
        for exponent in 0..39 {
            for ns in [1u64 << exponent, (1 << exponent) + 1, (3 << exponent) >> 1, (2 << exponent) - 1] {
                let (bucket, end) = (bucket(ns), upper(bucket(ns)));
                assert!(end >= ns && end - ns <= ns / 60, "{ns} ends at {end}");
                assert!(bucket == 0 || upper(bucket - 1) < ns, "{ns} belongs further down");
                last = last.max(bucket);
            }
        }
        assert!(last < BUCKETS);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_and_maximum_of_a_known_set() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|us| histogram.add(us * 1000));
        let close = |value: u64, to: u64| value >= to && value - to <= to / 60;
        let summary = histogram.summary();
        assert_eq!((summary.count, summary.max_ns), (1000, 1_000_000));
        assert!(close(summary.p50_ns, 500_000) && close(summary.p99_ns, 990_000), "{summary:?}");
        assert!(close(summary.p999_ns.unwrap(), 999_000), "{summary:?}");
        assert_eq!(histogram.octaves().iter().map(|(_, count)| count).sum::<u64>(), 1000);
    }

    #[test]
    fn merged_counts_are_as_if_counted_in_one() {
        let (mut one, mut other, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for ns in (0..5000).map(|n| n * 37) {
            if ns % 2 == 0 { &mut one } else { &mut other }.add(ns);
            both.add(ns);
        }
        one.merge(&other);
        assert_eq!(one, both);
    }

    #[test]
    fn few_values_have_no_p999_and_none_have_only_zeros() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.summary(), Summary::default());
        assert_eq!(histogram.octaves(), []);
        histogram.add(7);
        assert_eq!(histogram.summary(), Summary { count: 1, p50_ns: 7, p99_ns: 7, p999_ns: None, max_ns: 7 });
        assert_eq!(histogram.octaves(), [(7, 1)]);
    }
}
