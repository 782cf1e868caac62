//! The verdicts for people.
//!
//! ```text
//! flow: counted for 10.0 s after a warm-up of 2.0 s
//!
//! ✔ controller  20014 messages (10007 taken, 10007 sent)
//!     0 allocations, 0 page faults, 0 locks that slept, 1.00 system calls per message (…)
//!     hot path clean
//! ```

use std::collections::BTreeMap;

use super::{
    Account, Row,
    verdict::{Outcome, Verdict, list, locks, per},
    window::{Measured, ThreadCounts},
};
use crate::display::table::{Align, Table};

/// Ends with a newline.
pub(super) fn render(account: &Account) -> String {
    let mut out = format!(
        "{}: counted for at most {:.1} s, or {} messages per node, after a warm-up of {:.1} s\n",
        account.name,
        account.at_most.as_secs_f64(),
        account.messages,
        account.warm_up.as_secs_f64()
    );
    for row in &account.rows {
        out.push('\n');
        out.push_str(&of_row(row));
    }
    let table = threads(&account.rows);
    if !table.is_empty() {
        out.push_str("\nPer message of the node, each thread:\n\n");
        out.push_str(&table);
    }
    let unknown = unknown(&account.rows);
    if !unknown.is_empty() {
        out.push('\n');
        out.push_str(&unknown);
    }
    out.push('\n');
    out.push_str(&account.sentence());
    out.push('\n');
    out
}

fn of_row(row: &Row) -> String {
    let mark = match row.verdict.outcome {
        Outcome::Clean => '✔',
        Outcome::Broken => '✘',
        Outcome::Unproved => '?',
        Outcome::Reported => '·',
    };
    let mut out = format!("{mark} {}{}\n", row.name, row.measured.as_ref().map(messages).unwrap_or_default());
    if let (Some(measured), Some(main)) = (&row.measured, row.main()) {
        out.push_str(&format!("    {}\n", sentence(measured, main)));
    }
    for line in lines(row) {
        out.push_str(&format!("    {line}\n"));
    }
    out
}

fn messages(measured: &Measured) -> String {
    let progress = &measured.progress;
    format!(
        "  {} messages in {:.1} s ({} taken, {} sent)",
        progress.messages(),
        measured.duration.as_secs_f64(),
        progress.taken,
        progress.sent
    )
}

/// What the judged thread did.
fn sentence(measured: &Measured, main: &ThreadCounts) -> String {
    let messages = measured.progress.messages();
    let (faults, switches) = (main.minor_faults + main.major_faults, main.voluntary + main.involuntary);
    let allocations = match &main.calls {
        Ok(calls) => format!("{} allocations", per(calls.allocations + calls.reallocations, messages)),
        Err(_) => "allocations not counted".to_owned(),
    };
    let locks = match locks(&main.system_calls) {
        Some(count) => format!("{} locks that slept", per(count, messages)),
        None => "locks not counted".to_owned(),
    };
    let system_calls = match &main.system_calls {
        Ok(calls) => {
            let names = list(calls.named.as_deref().unwrap_or_default());
            let names = if names.is_empty() { names } else { format!(" ({names})") };
            format!("{} system calls{names}", per(calls.all, messages))
        }
        Err(_) => "system calls not counted".to_owned(),
    };
    format!(
        "per message: {allocations}, {} page faults, {locks}, {system_calls}; {} context switches ({} voluntary, {} involuntary)",
        per(faults, messages),
        per(switches, messages),
        main.voluntary,
        main.involuntary
    )
}

fn lines(row: &Row) -> Vec<String> {
    let Verdict { outcome, breaches, .. } = &row.verdict;
    let mut lines: Vec<String> = match outcome {
        Outcome::Clean => vec!["hot path clean".to_owned()],
        Outcome::Broken => breaches.iter().map(|breach| format!("✘ {breach}")).collect(),
        Outcome::Unproved => {
            vec!["nothing seen that breaks the promise, but not everything was counted".to_owned()]
        }
        Outcome::Reported if row.measured.is_none() => breaches.clone(),
        Outcome::Reported => vec!["not judged: it has no `rt:` block".to_owned()],
    };
    lines.extend(row.notes.iter().cloned());
    lines
}

/// Each thing that was not counted once, with the nodes that it concerns.
fn unknown(rows: &[Row]) -> String {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        for what in &row.verdict.unknown {
            all.entry(what).or_default().push(&row.name);
        }
    }
    let line = |(what, names): (&str, Vec<&str>)| format!("? {}: {what}\n", names.join(", "));
    all.into_iter().map(line).collect()
}

fn threads(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        ("node", Align::Left),
        ("thread", Align::Left),
        ("role", Align::Left),
        ("allocations", Align::Right),
        ("frees", Align::Right),
        ("minor faults", Align::Right),
        ("major", Align::Right),
        ("system calls", Align::Right),
        ("voluntary switches", Align::Right),
        ("involuntary", Align::Right),
    ]);
    let mut any = false;
    for row in rows {
        let Some(measured) = &row.measured else { continue };
        for thread in &measured.threads {
            any = true;
            table.row(cells(row, thread, measured.progress.messages()));
        }
    }
    if any { table.render() } else { String::new() }
}

fn cells(row: &Row, thread: &ThreadCounts, messages: u64) -> Vec<String> {
    let per = |count: u64| per(count, messages);
    let unknown = || "?".to_owned();
    let calls = thread.calls.as_ref();
    vec![
        row.name.clone(),
        thread.name.clone(),
        row.role(thread).to_owned(),
        calls.map_or_else(|_| unknown(), |calls| per(calls.allocations + calls.reallocations)),
        calls.map_or_else(|_| unknown(), |calls| per(calls.frees)),
        per(thread.minor_faults),
        per(thread.major_faults),
        thread.system_calls.as_ref().map_or_else(|_| unknown(), |calls| per(calls.all)),
        per(thread.voluntary),
        per(thread.involuntary),
    ]
}
