//! Floors: what the machine can do between two cores with nothing of ours in between.
//!
//! - `hand-off`: one cache line, two spinning processes, each waits for the other's number in it.
//! - `futex`: two words, each peer sleeps on its own; set the other's, wake it.
//! - `paced`: a sender that wakes on an absolute schedule stamps a line and wakes a sleeping reader.
//! - `nanosleep`: one process, how late an absolute `clock_nanosleep` returns.

use std::sync::atomic::{AtomicU32, Ordering};

use bench_support::{
    Call, Called, Hist, Job, Metrics, Wait, Work,
    peer::{self, borrow, run},
    place::Class,
    shared::{self, Lines, futex_wait, futex_wake},
};
use eyre::bail;
use rt_tuning::clock::{monotonic_ns, sleep_until};

use crate::{PERIOD_NS, WARM_UP, job};

/// Plays a role of this file; false when it is none.
///
/// # Errors
/// As [`crate::play`].
pub fn play(called: &mut Called) -> eyre::Result<bool> {
    let role: fn(&mut Called) -> eyre::Result<Metrics> = match called.role.as_str() {
        "floor-handoff-ping" => handoff_ping,
        "floor-handoff-pong" => handoff_pong,
        "floor-futex-ping" => futex_ping,
        "floor-futex-pong" => futex_pong,
        "floor-paced-send" => paced_send,
        "floor-paced-take" => paced_take,
        "floor-nanosleep" => nanosleep,
        _ => return Ok(false),
    };
    peer::print(&role(called)?);
    Ok(true)
}

/// Two roles over one page of lines; the metrics of the second.
fn pair(roles: [&str; 2], job: &Job) -> eyre::Result<Metrics> {
    let (lines, class, numbers) = (shared::create()?, job.class, job.numbers());
    let call =
        |core: usize| Call { role: roles[core], core, class, numbers: &numbers, fds: borrow([&lines]) };
    Ok(run(&[call(0), call(1)])?.pop().unwrap_or_default())
}

/// The run that a job asks for: a cache line where it spins, a futex where it sleeps. A floor has no size, and no queue
/// that a stream could go through.
///
/// # Errors
/// As [`peer::run`]; a stream is refused.
pub fn one(job: &Job) -> eyre::Result<Metrics> {
    match (job.work, job.wait) {
        (Work::RoundTrip, Wait::Spin) => pair(["floor-handoff-pong", "floor-handoff-ping"], job),
        (Work::RoundTrip, Wait::Park) => pair(["floor-futex-pong", "floor-futex-ping"], job),
        (Work::Paced, _) => pair(["floor-paced-send", "floor-paced-take"], job),
        (Work::Stream, _) => bail!("there is no floor for a stream"),
    }
}

/// Half a round trip of one cache line between two spinning processes.
///
/// # Errors
/// As [`peer::run`].
pub fn handoff(class: Class, count: u64) -> eyre::Result<Metrics> {
    one(&job(Work::RoundTrip, Wait::Spin, class, count, 64))
}

/// Half a round trip of two sleeping processes.
///
/// # Errors
/// As [`peer::run`].
pub fn futex(class: Class, count: u64) -> eyre::Result<Metrics> {
    one(&job(Work::RoundTrip, Wait::Park, class, count, 64))
}

/// From the stamp to the awakened reader, one message per millisecond.
///
/// # Errors
/// As [`peer::run`].
pub fn paced(class: Class, count: u64) -> eyre::Result<Metrics> {
    one(&job(Work::Paced, Wait::Park, class, count, 64))
}

/// Lateness of an absolute sleep at 1 kHz, on core 1.
///
/// # Errors
/// As [`peer::run`].
pub fn timer(class: Class, count: u64) -> eyre::Result<Metrics> {
    let call = Call { role: "floor-nanosleep", core: 1, class, numbers: &[count], fds: vec![] };
    Ok(run(&[call])?.pop().unwrap_or_default())
}

fn handoff_ping(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, job) = (Lines::map(&called.fd(0)?)?, Job::of(called)?);
    called.settle()?;
    let flag = &lines.line(0).flag;
    let hist = job.time_round_trips(|i| {
        flag.store(2 * i + 1, Ordering::Release);
        while flag.load(Ordering::Acquire) != 2 * i + 2 {
            std::hint::spin_loop();
        }
        Ok(())
    })?;
    hist.finish()
}

fn handoff_pong(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, job) = (Lines::map(&called.fd(0)?)?, Job::of(called)?);
    called.settle()?;
    let flag = &lines.line(0).flag;
    for i in 0..job.round_trips() {
        while flag.load(Ordering::Acquire) != 2 * i + 1 {
            std::hint::spin_loop();
        }
        flag.store(2 * i + 2, Ordering::Release);
    }
    Ok(Metrics::new())
}

/// Sleeps until the word is `expected`, which comes right after what it is now.
#[inline]
fn await_word(word: &AtomicU32, expected: u32) {
    loop {
        let now = word.load(Ordering::Acquire);
        if now == expected {
            return;
        }
        futex_wait(word, now);
    }
}

#[inline]
fn post(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    futex_wake(word);
}

fn futex_ping(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, job) = (Lines::map(&called.fd(0)?)?, Job::of(called)?);
    called.settle()?;
    let (there, back) = (&lines.line(0).futex, &lines.line(1).futex);
    let hist = job.time_round_trips(|i| {
        post(there, i as u32 + 1);
        await_word(back, i as u32 + 1);
        Ok(())
    })?;
    hist.finish()
}

fn futex_pong(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, job) = (Lines::map(&called.fd(0)?)?, Job::of(called)?);
    called.settle()?;
    let (there, back) = (&lines.line(0).futex, &lines.line(1).futex);
    for i in 1..=job.round_trips() as u32 {
        await_word(there, i);
        post(back, i);
    }
    Ok(Metrics::new())
}

fn paced_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, job) = (Lines::map(&called.fd(0)?)?, Job::of(called)?);
    called.settle()?;
    let line = lines.line(0);
    job.pace(|i| {
        line.stamp.store(monotonic_ns(), Ordering::Relaxed);
        post(&line.futex, i as u32 + 1);
        Ok(())
    })
}

fn paced_take(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, job) = (Lines::map(&called.fd(0)?)?, Job::of(called)?);
    called.settle()?;
    let (line, warm_up) = (lines.line(0), job.warm_up(WARM_UP));
    let (mut hist, mut seen) = (Hist::keeping(job.count), 0);
    while seen < job.count {
        let now = line.futex.load(Ordering::Acquire);
        if u64::from(now) == seen {
            match job.wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Park => futex_wait(&line.futex, now),
            }
            continue;
        }
        let late = monotonic_ns() - line.stamp.load(Ordering::Relaxed);
        // A reader that missed one has no stamp of it: then the next is what it sees.
        seen = u64::from(now);
        if seen > warm_up {
            hist.record(late as f64);
        }
    }
    hist.finish()
}

fn nanosleep(called: &mut Called) -> eyre::Result<Metrics> {
    let count = called.number(0)?;
    called.settle()?;
    let mut hist = Hist::new();
    let start = monotonic_ns() + 50 * PERIOD_NS;
    for i in 0..count {
        let due = start + i * PERIOD_NS;
        let woken = sleep_until(due);
        if i >= WARM_UP {
            hist.record((woken - due) as f64);
        }
    }
    Ok(hist.metrics())
}
