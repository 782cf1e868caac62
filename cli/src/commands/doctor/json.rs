//! The diagnosis for programs. Durations are in nanoseconds.

use rt_tuning::doctor::{
    ALLOWED_PER_CENT, Chosen, CoreResult, Finding, Histogram, Level, Measurement, Rate, Verdict,
};
use serde_json::{Value, json};

use super::rt::Diagnosis;
use crate::error::{CliError, CliResult};

pub(super) fn render(diagnosis: &Diagnosis) -> CliResult<String> {
    let context = &diagnosis.context;
    let chosen = match context.scope.chosen {
        Chosen::Given => "given",
        Chosen::Isolated => "isolated",
        Chosen::Proposed => "proposed",
    };
    let document = json!({
        "kernel": context.machine.read("proc/sys/kernel/osrelease"),
        "kernel_version": context.machine.read("proc/sys/kernel/version"),
        "cores_online": context.online,
        "cores_judged": context.scope.cores,
        "cores_chosen": chosen,
        "findings": diagnosis.findings.iter().map(finding).collect::<Vec<_>>(),
        "measurement": diagnosis.measurement.as_ref().map(measurement),
        "verdict": diagnosis.verdict.as_ref().map(verdict),
        "bad": diagnosis.bad(),
    });
    pretty(&document)
}

/// A document as text with a newline at its end.
pub(super) fn pretty(document: &Value) -> CliResult<String> {
    serde_json::to_string_pretty(document)
        .map(|text| text + "\n")
        .map_err(|error| CliError::new("failed to write JSON").caused_by(&error))
}

fn finding(finding: &Finding) -> Value {
    let fix = finding
        .fix
        .as_ref()
        .map(|fix| json!({ "how": fix.how, "reversible": fix.undo.is_some(), "undo": fix.undo }));
    let why = (finding.level != Level::Ok).then_some(finding.why);
    json!({
        "check": finding.check,
        "level": finding.level.name(),
        "found": finding.found,
        "why": why,
        "fix": fix,
    })
}

fn measurement(measurement: &Measurement) -> Value {
    json!({
        "seconds": measurement.duration.as_secs_f64(),
        "interval_ns": measurement.interval_ns,
        "scheduling": if measurement.fifo { "fifo 80" } else { "other" },
        "limited": measurement.limited,
        "cores": measurement.cores.iter().map(core).collect::<Vec<_>>(),
    })
}

fn core(result: &CoreResult) -> Value {
    json!({
        "core": result.core,
        "timer_lateness": histogram(&result.timer),
        "missed": result.missed,
        "wake_up": histogram(&result.wake),
        "wake_up_from_core": result.wake_from,
        "stolen_share": result.stolen,
    })
}

fn histogram(histogram: &Histogram) -> Value {
    let summary = histogram.summary();
    let octaves =
        histogram.octaves().into_iter().map(|(end, count)| json!({ "up_to_ns": end, "count": count }));
    json!({
        "count": summary.count,
        "p50_ns": summary.p50_ns,
        "p99_ns": summary.p99_ns,
        "p99_9_ns": summary.p999_ns,
        "max_ns": summary.max_ns,
        "histogram": octaves.collect::<Vec<_>>(),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    let rates = verdict.rates.iter().map(|rate| {
        let (holds, because) = match &rate.rate {
            Rate::Holds => (Some(true), None),
            Rate::No(because) => (Some(false), Some(because)),
            Rate::Unknown => (None, None),
        };
        json!({ "hz": rate.hz, "allowed_ns": rate.allowed_ns, "holds": holds, "because": because })
    });
    json!({
        "rule": format!("p99.9 of the timer lateness is at most {ALLOWED_PER_CENT} % of the period, and no tick is a whole period late"),
        "cores": verdict.cores,
        "worst_core": verdict.worst,
        "highest_hz": verdict.highest(),
        "rates": rates.collect::<Vec<_>>(),
        "sentences": verdict.sentences,
    })
}
