//! What threads and processes really have, from `/proc`: the proof that a request was granted.
//!
//! Everything is read anew on each call and allocates; threads that end meanwhile are left out. Reading a process of
//! another user works, but its timer slack stays unknown without CAP_SYS_NICE.

use std::{fs, io, path::Path};

pub use crate::types::{ProcessFacts, ThreadFacts};

/// Every thread of a process, by ascending id.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when there is no such process; what reading `/proc` says.
pub fn threads(pid: u32) -> io::Result<Vec<ThreadFacts>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match thread(tid, &entry.path()) {
            Ok(facts) => found.push(facts),
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|facts| facts.tid);
    Ok(found)
}

fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn thread(tid: u32, task: &Path) -> io::Result<ThreadFacts> {
    let stat = fs::read_to_string(task.join("stat"))?;
    let status = fs::read_to_string(task.join("status"))?;
    // Not below `task/`, but every thread can be named directly below /proc.
    let slack = fs::read_to_string(format!("/proc/{tid}/timerslack_ns")).ok();
    parse_thread(tid, &stat, &status, slack.as_deref()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: unknown format", task.display()))
    })
}

fn parse_thread(tid: u32, stat: &str, status: &str, slack: Option<&str>) -> Option<ThreadFacts> {
    // The name is in parentheses and may contain anything, parentheses included. Field 3 follows the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ThreadFacts {
        tid,
        name: value(status, "Name")?.to_owned(),
        policy: policy_name(field(41)?),
        priority: field(40)? as u32,
        cpus: value(status, "Cpus_allowed_list")?.to_owned(),
        minflt: field(10)?,
        majflt: field(12)?,
        voluntary: value(status, "voluntary_ctxt_switches")?.parse().ok()?,
        involuntary: value(status, "nonvoluntary_ctxt_switches")?.parse().ok()?,
        timer_slack_ns: slack.and_then(|text| text.trim().parse().ok()),
    })
}

fn policy_name(number: u64) -> String {
    match number {
        0 => "OTHER".into(),
        1 => "FIFO".into(),
        2 => "RR".into(),
        3 => "BATCH".into(),
        5 => "IDLE".into(),
        6 => "DEADLINE".into(),
        7 => "EXT".into(),
        other => other.to_string(),
    }
}

/// Locked and resident memory, and whether huge pages are on.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when there is no such process. A process that has ended but was not waited for has
/// no memory left: all figures are 0.
pub fn process(pid: u32) -> io::Result<ProcessFacts> {
    Ok(parse_process(&fs::read_to_string(format!("/proc/{pid}/status"))?))
}

fn parse_process(status: &str) -> ProcessFacts {
    let kb = |key| {
        value(status, key).and_then(|text| text.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    ProcessFacts {
        vm_lck_kb: kb("VmLck"),
        vm_rss_kb: kb("VmRSS"),
        thp_enabled: value(status, "THP_enabled").map(|text| text == "1"),
    }
}

fn value<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// `0-2,5` as numbers, ascending; empty for text that is no such list.
pub fn core_list(text: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last.min(first.saturating_add(65_535)));
        }
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcam (1) x\nVmLck:\t    2048 kB\nVmRSS:\t   10240 kB\nTHP_enabled:\t0\n\
        Cpus_allowed_list:\t0-1,3\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t4\n";

    #[test]
    fn thread_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (cam (1) x) S 1 7 7 0 -1 4194560 1234 0 5 0 0 0 0 0 -81 0 1 0 9 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 \
            17 1 80 1 0 0";
        let facts = parse_thread(7, stat, STATUS, Some("1\n")).unwrap();
        let expected = ThreadFacts {
            tid: 7,
            name: "cam (1) x".into(),
            policy: "FIFO".into(),
            priority: 80,
            cpus: "0-1,3".into(),
            minflt: 1234,
            majflt: 5,
            voluntary: 17,
            involuntary: 4,
            timer_slack_ns: Some(1),
        };
        assert_eq!(facts, expected);
        assert_eq!(parse_thread(7, "7 (x) S 1", STATUS, None), None);
    }

    #[test]
    fn process_facts_are_read_and_missing_lines_are_not_an_error() {
        let facts = ProcessFacts { vm_lck_kb: 2048, vm_rss_kb: 10240, thp_enabled: Some(false) };
        assert_eq!(parse_process(STATUS), facts);
        assert_eq!(parse_process("Name:\tzombie\n"), ProcessFacts::default());
    }

    #[test]
    fn lists_of_cores_become_numbers() {
        assert_eq!(core_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(core_list("\n"), []);
    }
}
