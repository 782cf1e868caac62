//! Floors: what the machine can do between two cores with nothing of ours in between.
//!
//! - `hand-off`: one cache line, two spinning processes, each waits for the other's number in it.
//! - `futex`: two words, each peer sleeps on its own; set the other's, wake it.
//! - `paced`: a sender that wakes on an absolute schedule stamps a line and wakes a sleeping reader.
//! - `nanosleep`: one process, how late an absolute `clock_nanosleep` returns.

use std::sync::atomic::{AtomicU32, Ordering};

use bench_support::{
    Call, Called, Hist, Metrics,
    peer::{self, borrow, run},
    place::Class,
    shared::{self, Lines, futex_wait, futex_wake},
};
use rt_tuning::clock::{monotonic_ns, sleep_until};

use crate::{BATCH, PERIOD_NS, WARM_UP};

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
fn pair(roles: [&str; 2], class: Class, count: u64) -> eyre::Result<Metrics> {
    let lines = shared::create()?;
    let numbers = [count];
    let call =
        |core: usize| Call { role: roles[core], core, class, numbers: &numbers, fds: borrow([&lines]) };
    Ok(run(&[call(0), call(1)])?.pop().unwrap_or_default())
}

/// Half a round trip of one cache line between two spinning processes.
///
/// # Errors
/// As [`peer::run`].
pub fn handoff(class: Class, count: u64) -> eyre::Result<Metrics> {
    pair(["floor-handoff-pong", "floor-handoff-ping"], class, count)
}

/// Half a round trip of two sleeping processes.
///
/// # Errors
/// As [`peer::run`].
pub fn futex(class: Class, count: u64) -> eyre::Result<Metrics> {
    pair(["floor-futex-pong", "floor-futex-ping"], class, count)
}

/// From the stamp to the awakened reader, one message per millisecond.
///
/// # Errors
/// As [`peer::run`].
pub fn paced(class: Class, count: u64) -> eyre::Result<Metrics> {
    pair(["floor-paced-send", "floor-paced-take"], class, count)
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
    let (lines, count) = (Lines::map(&called.fd(0)?)?, called.number(0)?);
    called.settle()?;
    let (flag, mut hist) = (&lines.line(0).flag, Hist::new());
    for batch in 0..count / BATCH {
        let start = monotonic_ns();
        for i in batch * BATCH..(batch + 1) * BATCH {
            flag.store(2 * i + 1, Ordering::Release);
            while flag.load(Ordering::Acquire) != 2 * i + 2 {
                std::hint::spin_loop();
            }
        }
        if batch * BATCH >= WARM_UP {
            hist.record((monotonic_ns() - start) as f64 / (2 * BATCH) as f64);
        }
    }
    Ok(hist.metrics())
}

fn handoff_pong(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, count) = (Lines::map(&called.fd(0)?)?, called.number(0)?);
    called.settle()?;
    let flag = &lines.line(0).flag;
    for i in 0..count / BATCH * BATCH {
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
    let (lines, count) = (Lines::map(&called.fd(0)?)?, called.number(0)? as u32);
    called.settle()?;
    let (there, back, mut hist) = (&lines.line(0).futex, &lines.line(1).futex, Hist::new());
    for i in 1..=count {
        let start = monotonic_ns();
        post(there, i);
        await_word(back, i);
        if u64::from(i) > WARM_UP {
            hist.record((monotonic_ns() - start) as f64 / 2.0);
        }
    }
    Ok(hist.metrics())
}

fn futex_pong(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, count) = (Lines::map(&called.fd(0)?)?, called.number(0)? as u32);
    called.settle()?;
    let (there, back) = (&lines.line(0).futex, &lines.line(1).futex);
    for i in 1..=count {
        await_word(there, i);
        post(back, i);
    }
    Ok(Metrics::new())
}

fn paced_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, count) = (Lines::map(&called.fd(0)?)?, called.number(0)? as u32);
    called.settle()?;
    let line = lines.line(0);
    let start = monotonic_ns() + 50 * PERIOD_NS;
    for i in 1..=count {
        sleep_until(start + u64::from(i) * PERIOD_NS);
        line.stamp.store(monotonic_ns(), Ordering::Relaxed);
        post(&line.futex, i);
    }
    Ok(Metrics::new())
}

fn paced_take(called: &mut Called) -> eyre::Result<Metrics> {
    let (lines, count) = (Lines::map(&called.fd(0)?)?, called.number(0)? as u32);
    called.settle()?;
    let (line, mut hist) = (lines.line(0), Hist::new());
    let mut seen = 0;
    while seen < count {
        let now = line.futex.load(Ordering::Acquire);
        if now == seen {
            futex_wait(&line.futex, now);
            continue;
        }
        let late = monotonic_ns() - line.stamp.load(Ordering::Relaxed);
        // A reader that missed one has no stamp of it: then the next is what it sees.
        seen = now;
        if u64::from(seen) > WARM_UP {
            hist.record(late as f64);
        }
    }
    Ok(hist.metrics())
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
