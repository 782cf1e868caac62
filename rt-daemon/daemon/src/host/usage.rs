//! What nodes cost the machine, from `/proc`: all processes of a node's group together.
//!
//! One walk over `/proc` serves all nodes of all dataflows. A process counts for a node when it is the node or is in the
//! process group that the node leads; what left that group is not seen. Takes some milliseconds on a busy machine, so it
//! is done outside of the runtime.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Instant,
};

/// Costs of a node between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// Percent of one core; may exceed 100. 0 at the first look.
    pub(super) cpu_percent: f64,
    /// Resident.
    pub(super) memory_bytes: u64,
    /// Bytes per second from disks; `None` when the kernel does not tell, and at the first look.
    pub(super) read_per_s: Option<f64>,
    /// Bytes per second to disks.
    pub(super) write_per_s: Option<f64>,
}

/// Counts of a node since its start.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    cpu_ticks: u64,
    resident_pages: u64,
    read_bytes: Option<u64>,
    write_bytes: Option<u64>,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        self.cpu_ticks += other.cpu_ticks;
        self.resident_pages += other.resident_pages;
        self.read_bytes = sum(self.read_bytes, other.read_bytes);
        self.write_bytes = sum(self.write_bytes, other.write_bytes);
    }
}

/// Remembers the last look, for rates.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last: BTreeMap<u32, Counts>,
    last_at: Option<Instant>,
}

impl Meter {
    /// Looks at the nodes with these process ids. One that is gone costs nothing.
    pub(super) fn look(&mut self, leaders: &BTreeSet<u32>) -> BTreeMap<u32, Cost> {
        let now = Instant::now();
        let counts = walk(leaders);
        let seconds = self.last_at.map(|at| now.duration_since(at).as_secs_f64()).unwrap_or_default();
        let costs = counts.iter().map(|(pid, now)| (*pid, cost(self.last.get(pid), now, seconds))).collect();
        (self.last, self.last_at) = (counts, Some(now));
        costs
    }
}

fn cost(before: Option<&Counts>, now: &Counts, seconds: f64) -> Cost {
    let memory_bytes = now.resident_pages * rustix::param::page_size() as u64;
    let Some(before) = before.filter(|_| seconds > 0.0) else {
        return Cost { memory_bytes, ..Cost::default() };
    };
    // A member of the group that has ended and was inherited by somebody else takes its counts with it.
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    Cost {
        cpu_percent: rate(before.cpu_ticks, now.cpu_ticks) / ticks_per_s * 100.0,
        memory_bytes,
        read_per_s: before.read_bytes.zip(now.read_bytes).map(|(before, now)| rate(before, now)),
        write_per_s: before.write_bytes.zip(now.write_bytes).map(|(before, now)| rate(before, now)),
    }
}

fn walk(leaders: &BTreeSet<u32>) -> BTreeMap<u32, Counts> {
    let mut counts = BTreeMap::new();
    if leaders.is_empty() {
        return counts;
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((group, mut own)) = parse_stat(&stat) else { continue };
        let Some(leader) = [pid, group].into_iter().find(|id| leaders.contains(id)) else { continue };
        // Not readable after a change of user, for instance.
        if let Ok(io) = fs::read_to_string(format!("/proc/{pid}/io")) {
            (own.read_bytes, own.write_bytes) = parse_io(&io);
        }
        counts.entry(leader).or_insert_with(Counts::default).add(own);
    }
    counts
}

/// Process group and counts; `None` for one that has ended and waits to be buried. The name in parentheses may hold anything, so count from its last parenthesis.
fn parse_stat(stat: &str) -> Option<(u32, Counts)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    if matches!(fields.first()?, &"Z" | &"X") {
        return None;
    }
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime priority nice threads
    // itrealvalue starttime vsize rss
    let cpu_ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    let group = u32::try_from(number(2)?).ok()?;
    Some((group, Counts { cpu_ticks, resident_pages: number(21)?, ..Counts::default() }))
}

fn parse_io(io: &str) -> (Option<u64>, Option<u64>) {
    let value = |key: &str| io.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    (value("read_bytes:"), value("write_bytes:"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses_and_spaces() {
        let stat =
            "12 (a ) b) S 1 77 12 0 -1 4194560 345 1 6 0 10 20 3 4 20 0 1 0 5 1000 42 18446744073709551615";
        let (group, counts) = parse_stat(stat).unwrap();
        assert_eq!((group, counts.cpu_ticks, counts.resident_pages), (77, 37, 42));
        assert!(parse_stat(&stat.replacen(") S", ") Z", 1)).is_none(), "the dead cost nothing");
        assert!(parse_stat("12 (x) S 1").is_none() && parse_stat("").is_none());
        assert_eq!(
            parse_io("rchar: 1\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n"),
            (Some(5), Some(6))
        );
        assert_eq!(parse_io(""), (None, None));
    }

    #[test]
    fn rates_are_per_second_and_a_count_that_falls_is_no_cost() {
        let counts =
            |ticks, read| Counts { cpu_ticks: ticks, resident_pages: 2, read_bytes: read, write_bytes: None };
        let ticks_per_s = rustix::param::clock_ticks_per_second();
        let over_two_seconds = cost(Some(&counts(0, Some(100))), &counts(ticks_per_s, Some(300)), 2.0);
        assert_eq!((over_two_seconds.cpu_percent, over_two_seconds.read_per_s), (50.0, Some(100.0)));
        assert_eq!(over_two_seconds.write_per_s, None);
        let fallen = cost(Some(&counts(9, None)), &counts(1, Some(3)), 1.0);
        assert_eq!((fallen.cpu_percent, fallen.read_per_s), (0.0, None));
        let first = cost(None, &counts(9, Some(1)), 1.0);
        assert_eq!((first.cpu_percent, first.read_per_s), (0.0, None));
        assert_eq!(first.memory_bytes, 2 * rustix::param::page_size() as u64);
    }

    #[test]
    fn all_processes_of_a_group_count_as_its_leader() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 1000 & sleep 1000 & wait"])
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = shell.id();
        let alone = Meter::default().look(&BTreeSet::from([std::process::id()]));
        assert!(!alone.contains_key(&pid) && alone[&std::process::id()].memory_bytes > 0);
        let members = || {
            let entries = fs::read_dir("/proc").unwrap().flatten();
            let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
            stats.filter_map(|stat| parse_stat(&stat)).filter(|(group, _)| *group == pid).count()
        };
        while members() < 3 {
            std::thread::yield_now();
        }
        let together = Meter::default().look(&BTreeSet::from([pid]))[&pid].memory_bytes;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let of_the_leader = parse_stat(&stat).unwrap().1.resident_pages * rustix::param::page_size() as u64;
        assert!(together > of_the_leader, "{together} {of_the_leader}");
        let group = rustix::process::Pid::from_raw(pid as i32).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
        // Killed is not gone yet, and what the shell had started may be ours to bury now.
        let begin = std::time::Instant::now();
        while !crate::spawn::reap_group(group) || !Meter::default().look(&BTreeSet::from([pid])).is_empty() {
            assert!(begin.elapsed() < std::time::Duration::from_secs(60), "the group is still counted");
            std::thread::yield_now();
        }
    }
}
