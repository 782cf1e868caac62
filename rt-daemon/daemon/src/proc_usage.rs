//! Faults and context switches of a living process, from `/proc`: what had happened before the start barrier is
//! taken off the final count, so that the report shows the running dataflow and not its set-up.

use std::fs;

use crate::spawn::Usage;

/// Sums over the threads that live now. Zeros for a process that is gone.
pub(crate) fn of(pid: u32) -> Usage {
    let mut usage = fs::read_to_string(format!("/proc/{pid}/stat")).map(|s| faults(&s)).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for status in tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()) {
        let (voluntary, involuntary) = switches(&status);
        usage.voluntary += voluntary;
        usage.involuntary += involuntary;
    }
    usage
}

/// The session that a process is in, by its leader. `None` for a process that is gone, and for a session that began outside
/// of this pid namespace (`docker run`, kernel threads), which the kernel calls 0: rustix's `getsid` knows no 0.
pub(crate) fn session(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // state ppid pgrp session
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(3)?.parse().ok().filter(|session| *session != 0)
}

/// From a line of `stat`; the name in parentheses may hold anything, so count from its last parenthesis.
fn faults(stat: &str) -> Usage {
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let mut fields = after_name.split_ascii_whitespace().map(|f| f.parse().unwrap_or(0));
    // state ppid pgrp session tty tpgid flags minflt cminflt majflt
    let minor_faults = fields.nth(7).unwrap_or(0);
    let major_faults = fields.nth(1).unwrap_or(0);
    Usage { minor_faults, major_faults, ..Usage::default() }
}

fn switches(status: &str) -> (u64, u64) {
    let value = |key: &str| {
        status.lines().find_map(|l| l.strip_prefix(key)).and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    };
    (value("voluntary_ctxt_switches:"), value("nonvoluntary_ctxt_switches:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses_and_spaces() {
        let usage = faults("12 (a ) b) S 1 12 12 0 -1 4194560 345 1 6 0 10 20");
        assert_eq!((usage.minor_faults, usage.major_faults), (345, 6));
    }

    #[test]
    fn switches_of_a_thread_are_read_by_name() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n";
        assert_eq!(switches(status), (7, 8));
    }

    #[test]
    fn a_session_is_that_of_the_kernel_and_none_where_the_kernel_says_zero() {
        // This test's own session may have begun outside of a container; a child's begins here.
        let mut child = std::process::Command::new("setsid").args(["sleep", "1000"]).spawn().unwrap();
        let pid = child.id();
        let begun = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            session(pid) == Some(pid)
        });
        child.kill().unwrap();
        assert!(begun, "{:?}", session(pid));
        assert_eq!(session(pid), Some(pid), "a process that was not buried yet");
        child.wait().unwrap();
        // The init process of a container or a machine, and the kernel's own threads, where they can be seen.
        for of_the_kernel in [0, 2, u32::MAX] {
            assert_ne!(session(of_the_kernel), Some(0));
        }
        assert_eq!((session(0), session(u32::MAX)), (None, None));
    }

    #[test]
    fn a_living_process_has_faults_and_a_missing_one_has_none() {
        assert!(of(std::process::id()).minor_faults > 0);
        assert_eq!(of(u32::MAX).minor_faults, 0);
    }
}
