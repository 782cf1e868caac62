//! The promise of a hot path, and whether it was kept.
//!
//! Of the thread that handles a node's messages: no call to the allocator, no page fault, no lock that slept, and no system
//! call but those that sleep until something comes and those that wake a reader. Other threads of a node are reported and
//! not judged.

use super::{
    names::Class,
    perf::{NamedCalls, SystemCalls},
    sample::Maybe,
    window::{Measured, ThreadCounts},
};

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was counted, and nothing of it breaks the promise.
    Clean,
    /// Something breaks it.
    Broken,
    /// Nothing seen breaks it, but not everything could be counted.
    Unproved,
    /// Nothing was promised.
    Reported,
}

/// The outcome, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// What breaks the promise; of a node that promised nothing, what would.
    pub(crate) breaches: Vec<String>,
    /// What is not known.
    pub(crate) unknown: Vec<String>,
}

/// One node, or the daemon's real-time thread.
#[derive(Clone, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) judged: bool,
    /// `None` when there was no message to measure.
    pub(crate) measured: Option<&'a Measured>,
    /// The thread that handles the messages.
    pub(crate) main_tid: Option<u32>,
    /// It accounts for deadlines: it reads its counters once a second, and for each miss.
    pub(crate) deadlines: bool,
    /// It runs only when it has something to do, which may be never.
    pub(crate) may_rest: bool,
}

impl<'a> Case<'a> {
    /// The thread that is judged.
    pub(crate) fn main(&self) -> Option<&'a ThreadCounts> {
        self.measured?.threads.iter().find(|thread| Some(thread.tid) == self.main_tid)
    }
}

/// Applies the rule.
pub(crate) fn judge(case: &Case<'_>) -> Verdict {
    let mut verdict = Verdict { outcome: Outcome::Clean, breaches: Vec::new(), unknown: Vec::new() };
    match (case.measured, case.main()) {
        (None, _) => {
            verdict.breaches.push("it handled no message after its warm-up: nothing was measured".into())
        }
        (Some(_), None) => verdict.breaches.push("the thread that initialised it has ended".into()),
        (Some(measured), Some(thread)) => of_thread(case, measured, thread, &mut verdict),
    }
    verdict.outcome = match (case.judged, verdict.breaches.is_empty(), verdict.unknown.is_empty()) {
        (false, ..) => Outcome::Reported,
        (true, false, _) => Outcome::Broken,
        (true, true, false) => Outcome::Unproved,
        (true, true, true) => Outcome::Clean,
    };
    verdict
}

fn of_thread(case: &Case<'_>, measured: &Measured, thread: &ThreadCounts, verdict: &mut Verdict) {
    let messages = measured.progress.messages();
    let mut breach = |text: String| verdict.breaches.push(text);
    if thread.cpu_ns == Some(0) && !case.may_rest {
        breach("the thread that initialised it did not run: its messages are handled by another thread, which has none of what `rt:` asks for".into());
    }
    match &thread.calls {
        Ok(calls) if calls.all() > 0 => breach(format!(
            "{} allocations per message ({} allocations, {} reallocations, {} frees)",
            per(calls.allocations + calls.reallocations, messages),
            calls.allocations,
            calls.reallocations,
            calls.frees
        )),
        _ => {}
    }
    let faults = thread.minor_faults + thread.major_faults;
    if faults > 0 {
        let (minor, major) = (thread.minor_faults, thread.major_faults);
        breach(format!("{} page faults per message ({minor} minor, {major} major)", per(faults, messages)));
    }
    let locks = locks(&thread.system_calls).unwrap_or(0);
    if locks > 0 {
        breach(format!("{} locks that slept per message ({locks})", per(locks, messages)));
    }
    let foreign = foreign(&thread.system_calls, accounting_allowed(case, measured));
    let count: u64 = foreign.iter().map(|row| row.count).sum();
    if count > 0 {
        breach(format!(
            "{} system calls per message that neither sleep nor wake ({})",
            per(count, messages),
            list(&foreign)
        ));
    }
    if let Err(reason) = &thread.calls {
        verdict.unknown.push(format!("allocations not counted: {reason}"));
    }
    match &thread.system_calls {
        Err(reason) => verdict.unknown.push(format!("system calls and locks not counted: {reason}")),
        Ok(SystemCalls { named: None, .. }) => {
            verdict.unknown.push("system calls were not told apart".to_owned());
        }
        Ok(_) => {}
    }
}

/// Times a thread slept on a lock; `None` when that was not counted.
pub(crate) fn locks(calls: &Maybe<SystemCalls>) -> Option<u64> {
    let rows = calls.as_ref().ok()?.named.as_ref()?;
    Some(rows.iter().filter(|row| row.class == Class::Lock).map(|row| row.count).sum())
}

/// The calls that do not belong on a hot path.
fn foreign(calls: &Maybe<SystemCalls>, accounting: u64) -> Vec<NamedCalls> {
    let rows = calls.iter().filter_map(|calls| calls.named.as_ref()).flatten();
    let is_foreign = |row: &&NamedCalls| match row.class {
        Class::Sleep | Class::Wake | Class::Lock => false,
        Class::Accounting => row.count > accounting,
        Class::Other => row.count > 0,
    };
    rows.filter(is_foreign).copied().collect()
}

/// How often a node may read its own counters: once a second, and once for each missed deadline.
fn accounting_allowed(case: &Case<'_>, measured: &Measured) -> u64 {
    if case.deadlines { measured.duration.as_secs() + 2 + measured.progress.misses } else { 0 }
}

/// `name ×count, name ×count`, the most frequent first.
pub(crate) fn list(rows: &[NamedCalls]) -> String {
    let mut rows: Vec<_> = rows.iter().filter(|row| row.count > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows.iter().map(|row| format!("{} ×{}", row.name, row.count)).collect::<Vec<_>>().join(", ")
}

/// A count per message, so that a count above 0 never reads as 0.
pub(crate) fn per(count: u64, messages: u64) -> String {
    let ratio = count as f64 / messages.max(1) as f64;
    match count {
        0 => "0".to_owned(),
        _ if ratio < 0.005 => "<0.01".to_owned(),
        _ => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dora_daemon::observe::Progress;

    use super::*;
    use crate::commands::prove::page::Calls;

    fn calls(rows: &[(&'static str, Class, u64)]) -> Maybe<SystemCalls> {
        let named = rows.iter().map(|(name, class, count)| NamedCalls { name, class: *class, count: *count });
        Ok(SystemCalls { all: rows.iter().map(|row| row.2).sum(), named: Some(named.collect()) })
    }

    fn clean() -> ThreadCounts {
        ThreadCounts {
            tid: 7,
            name: "arm".into(),
            minor_faults: 0,
            major_faults: 0,
            voluntary: 100,
            involuntary: 3,
            cpu_ns: Some(5),
            calls: Ok(Calls::default()),
            system_calls: calls(&[("futex", Class::Sleep, 100), ("futex to wake", Class::Wake, 90)]),
        }
    }

    fn judged(thread: ThreadCounts) -> Verdict {
        with(thread, |_| {})
    }

    fn with(thread: ThreadCounts, change: impl FnOnce(&mut Case<'_>)) -> Verdict {
        let progress = Progress { taken: 100, sent: 100, misses: 3 };
        let measured = Measured { progress, duration: Duration::from_secs(10), threads: vec![thread] };
        let mut case = Case {
            judged: true,
            measured: Some(&measured),
            main_tid: Some(7),
            deadlines: false,
            may_rest: false,
        };
        change(&mut case);
        judge(&case)
    }

    #[test]
    fn sleeping_and_waking_are_all_that_a_clean_hot_path_does() {
        let verdict = judged(clean());
        assert_eq!((verdict.outcome, verdict.breaches), (Outcome::Clean, vec![]));
    }

    #[test]
    fn one_of_anything_else_breaks_the_promise_and_is_named() {
        type Change = fn(&mut ThreadCounts);
        let one = |change: Change| {
            let mut thread = clean();
            change(&mut thread);
            let verdict = judged(thread);
            assert_eq!(verdict.outcome, Outcome::Broken);
            verdict.breaches.join("; ")
        };
        let table: [(Change, &str); 7] = [
            (
                |t| t.calls = Ok(Calls { allocations: 1, ..Calls::default() }),
                "0.01 allocations per message (1 allocations, 0 reallocations, 0 frees)",
            ),
            (|t| t.calls = Ok(Calls { frees: 200, ..Calls::default() }), "200 frees"),
            (|t| t.minor_faults = 1, "0.01 page faults per message (1 minor, 0 major)"),
            (|t| t.major_faults = 400, "2.00 page faults per message (0 minor, 400 major)"),
            (
                |t| t.system_calls = calls(&[("lock", Class::Lock, 1)]),
                "0.01 locks that slept per message (1)",
            ),
            (
                |t| t.system_calls = calls(&[("brk", Class::Other, 1), ("mmap", Class::Other, 9)]),
                "0.05 system calls per message that neither sleep nor wake (mmap ×9, brk ×1)",
            ),
            (|t| t.cpu_ns = Some(0), "handled by another thread"),
        ];
        for (change, text) in table {
            let said = one(change);
            assert!(said.contains(text), "{said}");
        }
    }

    #[test]
    fn a_node_with_deadlines_may_read_its_counters_once_a_second_and_for_each_miss() {
        // 10 s, 3 misses.
        for (count, deadlines, clean_) in [(15, true, true), (16, true, false), (1, false, false)] {
            let thread =
                ThreadCounts { system_calls: calls(&[("getrusage", Class::Accounting, count)]), ..clean() };
            let verdict = with(thread, |case| case.deadlines = deadlines);
            assert_eq!(verdict.outcome == Outcome::Clean, clean_, "{count} {deadlines}: {verdict:?}");
        }
    }

    #[test]
    fn what_was_not_counted_is_never_clean() {
        let uncounted = ThreadCounts { calls: Err("static".into()), ..clean() };
        let verdict = judged(uncounted.clone());
        assert_eq!(verdict.outcome, Outcome::Unproved);
        assert_eq!(verdict.unknown, ["allocations not counted: static"]);
        let no_names = Ok(SystemCalls { all: 5, named: None });
        for system_calls in [Err("no right".to_owned()), no_names] {
            assert_eq!(judged(ThreadCounts { system_calls, ..clean() }).outcome, Outcome::Unproved);
        }
        let faulty = ThreadCounts { minor_faults: 1, ..uncounted };
        assert_eq!(judged(faulty).outcome, Outcome::Broken, "a breach counts more than what is unknown");
    }

    #[test]
    fn without_a_message_or_the_thread_nothing_is_proved() {
        for change in
            [|case: &mut Case<'_>| case.measured = None, |case: &mut Case<'_>| case.main_tid = Some(8)]
        {
            assert_eq!(with(clean(), change).outcome, Outcome::Broken);
        }
        let resting = ThreadCounts { cpu_ns: Some(0), ..clean() };
        assert_eq!(with(resting, |case| case.may_rest = true).outcome, Outcome::Clean);
    }

    #[test]
    fn who_promised_nothing_is_only_reported() {
        let thread = ThreadCounts { minor_faults: 5, ..clean() };
        let verdict = with(thread, |case| case.judged = false);
        assert_eq!((verdict.outcome, verdict.breaches.len()), (Outcome::Reported, 1));
    }

    #[test]
    fn a_count_never_reads_as_zero() {
        assert_eq!((per(0, 5), per(1, 1_000_000), per(3, 2)), ("0".into(), "<0.01".into(), "1.50".into()));
    }
}
