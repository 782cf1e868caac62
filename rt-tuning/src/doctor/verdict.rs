//! From figures to a sentence: which rates does this machine hold?
//!
//! The rule: a core holds a rate if its timers were at most 10 % of the period late at p99.9, and no tick was a whole
//! period late. A short measurement cannot promise a maximum, so the verdict never does.

use super::{Finding, Level, Measurement, list};

/// Share of the period that a tick may be late at p99.9.
pub const ALLOWED_PER_CENT: u64 = 10;
/// The rates that are judged, in Hz, ascending.
pub const RATES_HZ: [u64; 7] = [100, 250, 500, 1000, 2000, 5000, 10_000];
const SECOND: u64 = 1_000_000_000;
/// Share of stolen time that is named as a cause.
const STOLEN: f64 = 0.0005;

/// One rate on one core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Held.
    Holds,
    /// Not held: why, in a clause.
    No(String),
    /// Fewer than 1000 ticks were measured.
    Unknown,
}

/// What is said of one rate, on the worst of the judged cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateVerdict {
    /// The rate.
    pub hz: u64,
    /// What the rule allows at p99.9, in nanoseconds.
    pub allowed_ns: u64,
    /// Held or not.
    pub rate: Rate,
}

/// The judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The cores it speaks of.
    pub cores: Vec<usize>,
    /// The worst of them at p99.9.
    pub worst: usize,
    /// Every rate, ascending.
    pub rates: Vec<RateVerdict>,
    /// For people, a sentence each.
    pub sentences: Vec<String>,
}

impl Verdict {
    /// Highest rate that is held, in Hz.
    pub fn highest(&self) -> Option<u64> {
        self.rates.iter().rev().find(|rate| rate.rate == Rate::Holds).map(|rate| rate.hz)
    }

    /// What is said of a rate of [`RATES_HZ`].
    pub fn of(&self, hz: u64) -> Option<&Rate> {
        self.rates.iter().find(|rate| rate.hz == hz).map(|rate| &rate.rate)
    }
}

/// Judges the cores of `only` that were measured, or all that were.
pub fn judge(measurement: &Measurement, only: Option<&[usize]>, findings: &[Finding]) -> Option<Verdict> {
    let judged: Vec<_> = measurement
        .cores
        .iter()
        .filter(|result| only.is_none_or(|only| only.contains(&result.core)))
        .map(|result| (result, result.timer.summary()))
        .collect();
    let (worst, summary) = judged.iter().max_by_key(|(_, summary)| (summary.p999_ns, summary.max_ns))?;
    let causes = causes(measurement, findings);
    let rates: Vec<RateVerdict> = RATES_HZ
        .into_iter()
        .map(|hz| {
            let all = judged.iter().map(|(result, summary)| rate(hz, result.core, summary));
            // What is wrong on the core with the worst tail is said first.
            let worst = rate(hz, worst.core, summary);
            let rate = if worst == Rate::Holds { all.max_by_key(severity).unwrap_or(worst) } else { worst };
            RateVerdict { hz, allowed_ns: allowed_ns(hz), rate }
        })
        .collect();
    let mut verdict = Verdict {
        cores: judged.iter().map(|(result, _)| result.core).collect(),
        worst: worst.core,
        rates,
        sentences: Vec::new(),
    };
    let longest_ns = judged.iter().map(|(_, summary)| summary.max_ns).max().unwrap_or(0);
    verdict.sentences =
        sentences(&verdict, measurement, &super::Summary { max_ns: longest_ns, ..*summary }, &causes);
    if let Some(each) = one_by_one(&judged, verdict.highest()) {
        verdict.sentences.insert(1, each);
    }
    Some(verdict)
}

/// The highest rate of each core, unless all hold the same.
fn one_by_one(judged: &[(&super::CoreResult, super::Summary)], common: Option<u64>) -> Option<String> {
    let best = |summary| RATES_HZ.into_iter().rev().find(|&hz| rate(hz, 0, summary) == Rate::Holds);
    let each: Vec<_> = judged.iter().map(|(result, summary)| (result.core, best(summary))).collect();
    let text = |(core, hz): &(usize, Option<u64>)| match hz {
        Some(hz) => format!("core {core} holds up to {}", rate_name(*hz)),
        None => format!("core {core} holds none"),
    };
    let differ = each.iter().any(|(_, hz)| *hz != common);
    differ.then(|| format!("One by one: {}.", each.iter().map(text).collect::<Vec<_>>().join(", ")))
}

fn severity(rate: &Rate) -> u8 {
    match rate {
        Rate::Holds => 0,
        Rate::Unknown => 1,
        Rate::No(_) => 2,
    }
}

fn allowed_ns(hz: u64) -> u64 {
    SECOND / hz * ALLOWED_PER_CENT / 100
}

fn rate(hz: u64, core: usize, summary: &super::Summary) -> Rate {
    let period = SECOND / hz;
    let Some(p999) = summary.p999_ns else { return Rate::Unknown };
    if p999 > allowed_ns(hz) {
        return Rate::No(format!(
            "core {core} is {} late at p99.9, and {} are allowed ({ALLOWED_PER_CENT} % of the period)",
            micros(p999),
            micros(allowed_ns(hz))
        ));
    }
    if summary.max_ns >= period {
        return Rate::No(format!(
            "a tick on core {core} was {} late, more than the whole period",
            micros(summary.max_ns)
        ));
    }
    Rate::Holds
}

/// `60 µs`, with a decimal below 100.
fn micros(ns: u64) -> String {
    if ns < 100_000 { format!("{:.1} µs", ns as f64 / 1e3) } else { format!("{:.0} µs", ns as f64 / 1e3) }
}

/// `250 Hz`, `1 kHz`.
pub fn rate_name(hz: u64) -> String {
    if hz >= 1000 { format!("{} kHz", hz / 1000) } else { format!("{hz} Hz") }
}

/// What may be behind late ticks, likeliest first.
fn causes(measurement: &Measurement, findings: &[Finding]) -> Vec<String> {
    let mut causes = Vec::new();
    if !measurement.fifo {
        causes.push("the threads had no real-time priority".to_owned());
    }
    let stolen = measurement.cores.iter().filter_map(|result| result.stolen).fold(0.0, f64::max);
    if stolen > STOLEN {
        causes.push(format!("the host took {:.1} % of the time while measuring", stolen * 100.0));
    }
    let order = [
        "virtual-machine",
        "kernel-preemption",
        "idle-states",
        "cpu-governor",
        "clock-source",
        "irq-affinity",
        "isolated-cores",
        "smt-siblings",
        "huge-pages",
    ];
    let wrong = |name: &&str| {
        findings.iter().any(|finding| {
            finding.check == *name
                && (finding.level >= Level::Warn
                    || (finding.level == Level::Unknown && finding.fix.is_some()))
        })
    };
    causes.extend(order.iter().filter(|name| wrong(name)).map(|name| format!("`{name}` above")));
    causes.truncate(4);
    causes
}

/// `summary` is that of the worst core, with the longest lateness of all.
fn sentences(
    verdict: &Verdict,
    measurement: &Measurement,
    summary: &super::Summary,
    causes: &[String],
) -> Vec<String> {
    let cores = list(&verdict.cores);
    let seconds = measurement.duration.as_secs_f64();
    let mut all = Vec::new();
    let Some(p999) = summary.p999_ns else {
        all.push(format!(
            "Too few ticks for a verdict ({}; 1000 are needed): give a longer --duration.",
            summary.count
        ));
        return all;
    };
    let seen = format!(
        "at most {} late at p99.9 (core {}, the worst of {cores}), at most {} seen in {seconds} s",
        micros(p999),
        verdict.worst,
        micros(summary.max_ns)
    );
    let without = if measurement.fifo { "" } else { ", even without real-time priority" };
    match verdict.highest() {
        Some(hz) => all.push(format!("This machine holds {}{without}: {seen}.", rate_name(hz))),
        None => all.push(format!(
            "This machine holds none of the rates from {} on: {seen}.",
            rate_name(RATES_HZ[0])
        )),
    }
    let refused: Vec<&RateVerdict> = verdict.rates.iter().filter(|rate| rate.rate != Rate::Holds).collect();
    for rate in refused.iter().filter(|rate| rate.hz == 1000 || rate.hz == 5000 || rate.hz == refused[0].hz) {
        if let Rate::No(because) = &rate.rate {
            all.push(format!("{}: no, because {because}.", rate_name(rate.hz)));
        }
    }
    if !refused.is_empty() && !causes.is_empty() {
        all.push(format!("Likely causes: {}.", causes.join("; ")));
    }
    let hour = if seconds < 3600.0 {
        "; measure for hours (`--duration 1h`) under the load that your robot will have"
    } else {
        ""
    };
    all.push(format!("{seconds} s cannot promise a maximum{hour}."));
    all
}
