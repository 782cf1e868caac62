//! What one run does, as words of a command line: how a driver asks any of the benchmark programs for one run.
//!
//! ```text
//!   BENCH_SAMPLES=run.f64 own one edge work=paced wait=park size=64 hz=1000 count=2000 class=fifo
//! ```
//!
//! Every program that understands this can take part in a comparison; the driver knows nothing else of it.

use eyre::{WrapErr, bail, eyre};

use crate::{Called, Metrics, peer, place::Class};

const USAGE: &str = "one CONTESTANT work=paced|round-trip|stream wait=spin|park size=BYTES count=N \
                     [hz=N] [batch=N] [class=fifo|other]";

/// Smallest message, bytes: a time has to fit in.
pub const SMALLEST: u64 = 8;

/// Kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One way, a message per period.
    Paced,
    /// There and back, half of the time.
    RoundTrip,
    /// One way, back to back, nothing lost.
    Stream,
}

/// How a reader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It never sleeps.
    Spin,
    /// It sleeps at once.
    Park,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// How readers wait.
    pub wait: Wait,
    /// How the measured threads are scheduled.
    pub class: Class,
    /// Bytes of a message, a multiple of [`SMALLEST`].
    pub size: u64,
    /// Messages, or round trips.
    pub count: u64,
    /// Time between two paced messages, nanoseconds.
    pub period_ns: u64,
    /// Round trips, or messages of a stream, that one sample covers.
    pub batch: u64,
}

impl Job {
    /// The contestant and the run that these words ask for; `None` when the first is not `one`.
    ///
    /// # Errors
    /// Words that say nothing, or too little.
    pub fn from_words(words: &[String]) -> eyre::Result<Option<(String, Self)>> {
        let [first, contestant, rest @ ..] = words else { return Ok(None) };
        if first != "one" {
            return Ok(None);
        }
        let (mut work, mut wait, mut size, mut count) = (None, None, None, None);
        let (mut hz, mut batch, mut class) = (1000, None, Class::Other);
        for word in rest {
            let (name, value) = word.split_once('=').ok_or_else(|| eyre!("`{word}`: {USAGE}"))?;
            let number = || value.parse::<u64>().wrap_err_with(|| format!("`{word}` wants a number"));
            match (name, value) {
                ("work", "paced") => work = Some(Work::Paced),
                ("work", "round-trip") => work = Some(Work::RoundTrip),
                ("work", "stream") => work = Some(Work::Stream),
                ("wait", "spin") => wait = Some(Wait::Spin),
                ("wait", "park") => wait = Some(Wait::Park),
                ("class", "fifo") => class = Class::Fifo,
                ("class", "other") => class = Class::Other,
                ("size", _) => size = Some(number()?),
                ("count", _) => count = Some(number()?),
                ("hz", _) => hz = number()?,
                ("batch", _) => batch = Some(number()?),
                _ => bail!("`{word}`: {USAGE}"),
            }
        }
        let missing = |name: &str| eyre!("{name}= is missing: {USAGE}");
        let job = Self {
            work: work.ok_or_else(|| missing("work"))?,
            wait: wait.ok_or_else(|| missing("wait"))?,
            class,
            size: size.ok_or_else(|| missing("size"))?,
            count: count.ok_or_else(|| missing("count"))?,
            period_ns: 1_000_000_000_u64.checked_div(hz).ok_or_else(|| eyre!("hz= wants 1 or more"))?,
            batch: batch.unwrap_or(1),
        };
        job.check()?;
        Ok(Some((contestant.clone(), job)))
    }

    fn check(&self) -> eyre::Result<()> {
        if self.size < SMALLEST || !self.size.is_multiple_of(SMALLEST) {
            bail!("size={} wants a multiple of {SMALLEST}", self.size);
        }
        if self.batch == 0 || self.period_ns == 0 {
            bail!("batch= wants 1 or more, hz= at most 1000000000");
        }
        if self.count / self.batch < 2 {
            bail!("count={} makes fewer than two samples of batch={}", self.count, self.batch);
        }
        Ok(())
    }

    /// As numbers for a [`crate::Call`].
    pub fn numbers(&self) -> [u64; 6] {
        [self.count, self.size, self.wait as u64, self.period_ns, self.batch, self.work as u64]
    }

    /// From the numbers of a [`Called`] role.
    ///
    /// # Errors
    /// When a number is missing.
    pub fn of(called: &Called) -> eyre::Result<Self> {
        let works = [Work::Paced, Work::RoundTrip, Work::Stream];
        Ok(Self {
            work: works.into_iter().find(|w| called.number(5).ok() == Some(*w as u64)).unwrap_or(Work::Paced),
            wait: if called.number(2)? == Wait::Spin as u64 { Wait::Spin } else { Wait::Park },
            class: called.class,
            size: called.number(1)?,
            count: called.number(0)?,
            period_ns: called.number(3)?,
            batch: called.number(4)?.max(1),
        })
    }

    /// Messages before the first one that counts: a tenth, at most `most`.
    pub fn warm_up(&self, most: u64) -> u64 {
        most.min(self.count / 10)
    }
}

/// Does the run that this process's arguments ask for, and prints its metrics as a line of JSON; false when they ask for
/// none. `run` gets the contestant's name and answers `None` when it has none of that name.
///
/// # Errors
/// Arguments that say nothing, an unknown contestant, or what the run met.
pub fn serve(run: impl Fn(&str, &Job) -> Option<eyre::Result<Metrics>>) -> eyre::Result<bool> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, job)) = Job::from_words(&words)? else { return Ok(false) };
    let metrics = run(&name, &job).ok_or_else(|| eyre!("there is no contestant `{name}` here"))??;
    peer::print(&metrics);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> eyre::Result<Option<(String, Job)>> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Job::from_words(&words)
    }

    #[test]
    fn a_run_is_read_from_its_words() {
        let (who, job) =
            parse("one edge work=paced wait=park size=64 hz=100 count=500 class=fifo").unwrap().unwrap();
        assert_eq!(who, "edge");
        assert_eq!((job.work, job.wait, job.class), (Work::Paced, Wait::Park, Class::Fifo));
        assert_eq!((job.size, job.count, job.period_ns, job.batch), (64, 500, 10_000_000, 1));
        assert_eq!(job.numbers(), [500, 64, 1, 10_000_000, 1, 0]);
    }

    #[test]
    fn other_first_words_are_not_for_us() {
        assert!(parse("spin park").unwrap().is_none());
        assert!(parse("--quick").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_name() {
        let full = "one edge work=paced wait=park size=64 count=500";
        for (words, named) in [
            ("one edge wait=park size=64 count=500", "work="),
            ("one edge work=paced wait=park count=500", "size="),
            (&format!("{full} hz=0"), "hz="),
            (&format!("{full} hz=x"), "hz=x"),
            (&format!("{full} batch=0"), "batch="),
            (&format!("{full} batch=400"), "batch=400"),
            (&format!("{full} colour=red"), "colour=red"),
            ("one edge work=paced wait=park size=7 count=500", "size=7"),
            ("one edge work=paced wait=park size=12 count=500", "size=12"),
        ] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains(named), "{words}: {error}");
        }
    }

    #[test]
    fn warm_up_leaves_most_of_a_short_run() {
        let (_, job) = parse("one edge work=paced wait=park size=64 count=50").unwrap().unwrap();
        assert_eq!(job.warm_up(100), 5);
    }
}
