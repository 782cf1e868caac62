//! The verdicts for programs. Counts are whole numbers over the measured time; what was not counted is `null` beside the
//! reason.

use serde_json::{Value, json};

use super::{
    Account, Row,
    page::Calls,
    perf::SystemCalls,
    sample::Maybe,
    verdict::{Outcome, locks},
    window::ThreadCounts,
};
use crate::error::{CliError, CliResult};

/// One document, ended by a newline.
pub(super) fn render(account: &Account) -> CliResult<String> {
    let document = json!({
        "dataflow": account.name,
        "rule": "0 allocations, 0 frees, 0 page faults, 0 locks that slept, and no system call that neither sleeps nor wakes",
        "warm_up_s": account.warm_up.as_secs_f64(),
        "at_most_s": account.at_most.as_secs_f64(),
        "messages": account.messages,
        "nodes": account.rows.iter().map(row).collect::<Vec<_>>(),
        "broken": account.named(Outcome::Broken),
        "unproved": account.named(Outcome::Unproved),
        "summary": account.sentence(),
    });
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .map_err(|error| CliError::new("failed to write JSON").caused_by(&error))
}

fn row(row: &Row) -> Value {
    let outcome = match row.verdict.outcome {
        Outcome::Clean => "clean",
        Outcome::Broken => "broken",
        Outcome::Unproved => "unproved",
        Outcome::Reported => "reported",
    };
    let measured = row.measured.as_ref();
    json!({
        "node": row.name,
        "pid": row.pid,
        "judged": row.judged,
        "verdict": outcome,
        "breaches": row.verdict.breaches,
        "not_counted": row.verdict.unknown,
        "notes": row.notes,
        "seconds": measured.map(|measured| measured.duration.as_secs_f64()),
        "taken": measured.map(|measured| measured.progress.taken),
        "sent": measured.map(|measured| measured.progress.sent),
        "deadline_misses": measured.map(|measured| measured.progress.misses),
        "threads": measured.iter().flat_map(|measured| &measured.threads).map(|t| thread(row, t)).collect::<Vec<_>>(),
    })
}

fn thread(row: &Row, thread: &ThreadCounts) -> Value {
    json!({
        "tid": thread.tid,
        "name": thread.name,
        "role": row.role(thread),
        "allocator": known(&thread.calls, |calls: &Calls| json!({
            "allocations": calls.allocations,
            "reallocations": calls.reallocations,
            "frees": calls.frees,
        })),
        "minor_faults": thread.minor_faults,
        "major_faults": thread.major_faults,
        "system_calls": known(&thread.system_calls, |calls: &SystemCalls| json!({
            "all": calls.all,
            "by_name": calls.named.as_ref().map(|rows| {
                let seen = rows.iter().filter(|row| row.count > 0);
                seen.map(|row| (row.name.to_owned(), json!(row.count))).collect::<serde_json::Map<_, _>>()
            }),
        })),
        "locks_that_slept": locks(&thread.system_calls),
        "voluntary_switches": thread.voluntary,
        "involuntary_switches": thread.involuntary,
        "cpu_ns": thread.cpu_ns,
    })
}

fn known<T>(counted: &Maybe<T>, value: impl FnOnce(&T) -> Value) -> Value {
    match counted {
        Ok(counted) => value(counted),
        Err(reason) => json!({ "not_counted": reason }),
    }
}
