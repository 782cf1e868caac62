//! What the threads of one process have cost so far: one look from outside, while it runs.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    sync::Arc,
};

use rt_tuning::readback;

use super::{
    page::{Calls, Counted, Page},
    perf::{Attached, Probe, SystemCalls},
};

/// Something that may be impossible to count, with the reason.
pub(crate) type Maybe<T> = Result<T, String>;

/// One thread at one moment; sums since its start, of system calls since they are counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ThreadSample {
    pub(crate) tid: u32,
    pub(crate) name: String,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
    /// Nanoseconds on a core; `None` where the kernel does not tell.
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) calls: Maybe<Calls>,
    pub(crate) system_calls: Maybe<SystemCalls>,
}

/// What there is to count with.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) page: Maybe<Page>,
    pub(super) probe: Maybe<Arc<Probe>>,
}

/// One process under observation.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    main_tid: Option<u32>,
    /// Only this thread counts, when set.
    only: Option<&'static str>,
    counters: Counters,
    attached: BTreeMap<u32, Maybe<Attached>>,
    /// Threads that come later began within the measurement: nobody counted their first system calls.
    complete: bool,
}

impl Process {
    pub(super) fn new(pid: u32, main_tid: Option<u32>, counters: &Counters) -> Self {
        let counters = counters.clone();
        Self { pid, main_tid, only: None, counters, attached: BTreeMap::new(), complete: false }
    }

    /// This very process: only its thread of that name, as the main one.
    pub(super) fn own(thread: &'static str, counters: &Counters) -> Self {
        Self { only: Some(thread), ..Self::new(std::process::id(), None, counters) }
    }

    /// From now on, threads are new.
    pub(super) fn baseline_taken(&mut self) {
        self.complete = true;
    }

    /// The threads that live now; empty when the process has ended.
    pub(super) fn sample(&mut self) -> Vec<ThreadSample> {
        let mut threads = readback::threads(self.pid).unwrap_or_default();
        if let Some(name) = self.only {
            threads.retain(|thread| thread.name == name);
        }
        for thread in &threads {
            self.attach(thread.tid);
        }
        let counted = self.counters.page.as_ref().map(Page::read).unwrap_or_default();
        let why_not = self.why_no_allocations(&counted);
        let own_bell = |calls: SystemCalls| if self.only.is_some() { calls.with_own_bell() } else { calls };
        let sample = |thread: readback::ThreadFacts| ThreadSample {
            tid: thread.tid,
            minor_faults: thread.minflt,
            major_faults: thread.majflt,
            voluntary: thread.voluntary,
            involuntary: thread.involuntary,
            cpu_ns: cpu_ns(self.pid, thread.tid),
            calls: match &why_not {
                Some(reason) => Err(reason.clone()),
                None => Ok(calls_of(&counted, self.pid, thread.tid)),
            },
            system_calls: match self.attached.get(&thread.tid) {
                Some(Ok(attached)) => attached.read().map(own_bell).map_err(|error| error.to_string()),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("not looked at".to_owned()),
            },
            name: thread.name,
        };
        threads.into_iter().map(sample).collect()
    }

    fn attach(&mut self, tid: u32) {
        let by_name = self.only.is_some() || self.main_tid == Some(tid);
        let (probe, late) = (&self.counters.probe, self.complete);
        self.attached.entry(tid).or_insert_with(|| match probe {
            Err(reason) => Err(reason.clone()),
            Ok(_) if late => Err("the thread began during the measurement".to_owned()),
            Ok(probe) => probe.attach(tid, by_name).map_err(|error| match error.raw_os_error() {
                Some(libc::EMFILE) => "too many open files; raise `ulimit -n`".to_owned(),
                _ => format!("perf_event_open: {error}"),
            }),
        });
    }

    /// Why the allocations of the process are not known; `None` when they are.
    fn why_no_allocations(&self, counted: &[Counted]) -> Option<String> {
        let page = match &self.counters.page {
            Ok(page) => page,
            Err(reason) => return Some(reason.clone()),
        };
        if page.without_room() > 0 {
            return Some(
                "more threads were started than there is room for in the page of counters".to_owned(),
            );
        }
        let own = || counted.iter().filter(|thread| thread.pid == self.pid);
        let total: u64 = own().map(|thread| thread.calls.all()).sum();
        match own().next() {
            None if is_static(self.pid) => {
                Some("the program is statically linked: nothing can be put before its allocator".to_owned())
            }
            None if counted.iter().all(|thread| thread.pid != std::process::id()) => Some(
                "`dora` has more rights than its user (`setcap`), so its nodes may not load a library from it".to_owned(),
            ),
            None => Some(
                "its loader did not load the counting library (a program with more rights than its user, for another C \
                 library, or one that clears its environment)"
                    .to_owned(),
            ),
            Some(first) if !first.interposed => {
                Some("the program has a `malloc` of its own, and calls that".to_owned())
            }
            Some(_) if total < FEWEST_CALLS => Some(format!(
                "the program has an allocator of its own: since its start it called that of the C library {total} times"
            )),
            Some(_) => None,
        }
    }
}

/// A program that has joined a dataflow through the allocator of the C library has called it more often: it has read its
/// wiring, which are texts and lists, and mapped its segments.
const FEWEST_CALLS: u64 = 64;

fn calls_of(counted: &[Counted], pid: u32, tid: u32) -> Calls {
    // A thread without a slot has never called. Ids are used again: the newest is the living one.
    let newest = counted.iter().rfind(|thread| (thread.pid, thread.tid) == (pid, tid));
    newest.map(|thread| thread.calls).unwrap_or_default()
}

fn cpu_ns(pid: u32, tid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn is_static(pid: u32) -> bool {
    let mut start = Vec::new();
    let opened = File::open(format!("/proc/{pid}/exe"));
    opened.and_then(|file| file.take(4096).read_to_end(&mut start)).is_ok() && has_no_loader(&start)
}

/// Does the beginning of an ELF file name no dynamic loader? Only 64 bit, little endian; of others it says no.
fn has_no_loader(elf: &[u8]) -> bool {
    const LOADER: u64 = 3;
    let number = |at: usize, bytes: usize| {
        let digits = elf.get(at..at + bytes)?;
        Some(digits.iter().rev().fold(0u64, |number, digit| number << 8 | u64::from(*digit)))
    };
    let segments = || {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let at =
            |index: u64| usize::try_from(table.checked_add(index * size)?).ok().filter(|at| *at < elf.len());
        let kind = |index: u64| number(at(index)?, 4);
        (0..count).map(kind).collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01") && segments().is_some_and(|kinds| !kinds.contains(&LOADER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of this kind.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes.push(kind);
        bytes.resize(64 + 56, 0);
        bytes
    }

    #[test]
    fn a_program_without_a_loader_is_static_and_garbage_is_not_called_so() {
        assert!(has_no_loader(&elf(1)));
        assert!(!has_no_loader(&elf(3)));
        assert!(!is_static(std::process::id()), "this test has a loader");
        let (whole, mut huge) = (elf(1), elf(1));
        huge[32..40].fill(0xff);
        for garbage in [&b"#!/bin/sh\n"[..], b"", &whole[..60], &huge[..64]] {
            assert!(!has_no_loader(garbage), "{garbage:?}");
        }
    }

    #[test]
    fn of_a_thread_id_that_was_used_twice_the_newest_thread_counts() {
        let thread = |pid, tid, allocations| Counted {
            pid,
            tid,
            interposed: true,
            calls: Calls { allocations, ..Calls::default() },
        };
        let counted = [thread(1, 5, 10), thread(2, 5, 20), thread(1, 5, 30)];
        assert_eq!(calls_of(&counted, 1, 5).allocations, 30);
        assert_eq!(calls_of(&counted, 1, 6), Calls::default());
    }

    #[test]
    fn what_cannot_be_counted_has_a_reason_and_is_never_zero() {
        let counters = Counters { page: Err("no page".into()), probe: Err("no right".into()) };
        let threads = Process::new(std::process::id(), None, &counters).sample();
        assert!(!threads.is_empty());
        for thread in threads {
            assert_eq!((thread.calls, thread.system_calls), (Err("no page".into()), Err("no right".into())));
        }
    }
}
