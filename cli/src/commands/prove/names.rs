//! The system calls that are told apart, and what each is to the promise of a hot path.
//!
//! A class is counted by a tracepoint of its own with a filter in the kernel, never as a difference of two counters that are
//! read one after the other: so no count is ever too high, and "0" means that there was none.

use libc::c_long;

/// What a system call is on a hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The thread sleeps until something comes: this is what waiting is.
    Sleep,
    /// It wakes a reader that sleeps.
    Wake,
    /// It slept on a lock, or waited for another thread of its own process.
    Lock,
    /// It reads what the kernel has counted for it: once a second, and for each missed deadline.
    Accounting,
    /// Nothing that belongs on a hot path.
    Other,
}

/// Where a row is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tracepoint {
    /// `raw_syscalls:sys_enter`
    Any,
    /// `syscalls:sys_enter_<name>`
    Of(&'static str),
}

/// One counter.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) tracepoint: Tracepoint,
    /// In the kernel's filter language; see Documentation/trace/events.rst, section 5.
    pub(super) filter: String,
}

/// `futex` with FUTEX_PRIVATE_FLAG is between threads of one process: a mutex, a condition variable. Our doorbells are between
/// processes and never have the flag. WAIT 0, WAIT_BITSET 9, LOCK_PI 6, LOCK_PI2 13, WAIT_REQUEUE_PI 11; 256 is a clock flag.
const LOCKS: [u32; 9] = [128, 384, 137, 393, 134, 141, 139, 395, 397];
const SLEEPS: [u32; 4] = [0, 256, 9, 265];
const WAKES: [u32; 2] = [1, 10];
const UNLOCKS: [u32; 2] = [129, 138];

/// The name of the row of locks that slept.
pub(super) const LOCK: &str = "lock";

/// Told apart by their arguments, so not by number below.
const SPLIT: [(&str, c_long); 3] =
    [("futex", libc::SYS_futex), ("read", libc::SYS_read), ("write", libc::SYS_write)];

/// Ways to sleep beside `futex`.
const SLEEPING: &[(&str, c_long)] = &[
    ("clock_nanosleep", libc::SYS_clock_nanosleep),
    ("nanosleep", libc::SYS_nanosleep),
    ("epoll_pwait", libc::SYS_epoll_pwait),
    ("epoll_pwait2", libc::SYS_epoll_pwait2),
    ("ppoll", libc::SYS_ppoll),
    ("pselect6", libc::SYS_pselect6),
    #[cfg(target_arch = "x86_64")]
    ("epoll_wait", libc::SYS_epoll_wait),
    #[cfg(target_arch = "x86_64")]
    ("poll", libc::SYS_poll),
    #[cfg(target_arch = "x86_64")]
    ("select", libc::SYS_select),
];

const ACCOUNTING: &[(&str, c_long)] =
    &[("getrusage", libc::SYS_getrusage), ("pread64", libc::SYS_pread64), ("getcpu", libc::SYS_getcpu)];

/// Worth a name, because it is what one looks for.
const OTHERS: &[(&str, c_long)] = &[
    ("mmap", libc::SYS_mmap),
    ("munmap", libc::SYS_munmap),
    ("mremap", libc::SYS_mremap),
    ("mprotect", libc::SYS_mprotect),
    ("madvise", libc::SYS_madvise),
    ("brk", libc::SYS_brk),
    ("openat", libc::SYS_openat),
    ("close", libc::SYS_close),
    ("writev", libc::SYS_writev),
    ("pwrite64", libc::SYS_pwrite64),
    ("ioctl", libc::SYS_ioctl),
    ("sendto", libc::SYS_sendto),
    ("sendmsg", libc::SYS_sendmsg),
    ("recvfrom", libc::SYS_recvfrom),
    ("recvmsg", libc::SYS_recvmsg),
    ("clock_gettime", libc::SYS_clock_gettime),
    ("sched_yield", libc::SYS_sched_yield),
    ("getpid", libc::SYS_getpid),
    ("gettid", libc::SYS_gettid),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("rt_sigaction", libc::SYS_rt_sigaction),
    ("tgkill", libc::SYS_tgkill),
    ("fcntl", libc::SYS_fcntl),
    ("fstat", libc::SYS_fstat),
    ("newfstatat", libc::SYS_newfstatat),
    ("lseek", libc::SYS_lseek),
    ("readv", libc::SYS_readv),
    ("accept4", libc::SYS_accept4),
    ("connect", libc::SYS_connect),
    ("shutdown", libc::SYS_shutdown),
    ("getrandom", libc::SYS_getrandom),
    ("prctl", libc::SYS_prctl),
    ("sched_getaffinity", libc::SYS_sched_getaffinity),
    ("sched_setaffinity", libc::SYS_sched_setaffinity),
    ("timerfd_settime", libc::SYS_timerfd_settime),
    ("statx", libc::SYS_statx),
    ("clone3", libc::SYS_clone3),
    ("restart_syscall", libc::SYS_restart_syscall),
];

/// Counters of a thread whose calls are told apart: together they count each call once.
pub(super) fn rows() -> Vec<Row> {
    let row = |name, class, tracepoint, filter| Row { name, class, tracepoint, filter };
    let of = Tracepoint::Of;
    let known = [&LOCKS[..], &SLEEPS, &WAKES, &UNLOCKS].concat();
    let mut rows = vec![
        row("futex", Class::Sleep, of("futex"), one_of("op", &SLEEPS)),
        row("futex to wake", Class::Wake, of("futex"), one_of("op", &WAKES)),
        row(LOCK, Class::Lock, of("futex"), one_of("op", &LOCKS)),
        row("unlock", Class::Lock, of("futex"), one_of("op", &UNLOCKS)),
        row("futex, other", Class::Other, of("futex"), none_of("op", &known)),
        // An eventfd: how a reader with a poll loop of its own is woken, and how it takes notice.
        row("write of 8 bytes", Class::Wake, of("write"), "count == 8".to_owned()),
        row("write", Class::Other, of("write"), "count != 8".to_owned()),
        row("read of 8 bytes", Class::Wake, of("read"), "count == 8".to_owned()),
        row("read", Class::Other, of("read"), "count != 8".to_owned()),
    ];
    let by_number = [(SLEEPING, Class::Sleep), (ACCOUNTING, Class::Accounting), (OTHERS, Class::Other)];
    let mut numbers: Vec<c_long> = SPLIT.iter().map(|(_, number)| *number).collect();
    for (calls, class) in by_number {
        for (name, number) in calls {
            rows.push(row(name, class, Tracepoint::Any, format!("id == {number}")));
            numbers.push(*number);
        }
    }
    rows.push(row("another", Class::Other, Tracepoint::Any, none_of("id", &numbers)));
    rows
}

fn one_of(field: &str, values: &[u32]) -> String {
    values.iter().map(|value| format!("{field} == {value}")).collect::<Vec<_>>().join(" || ")
}

fn none_of(field: &str, values: &[impl std::fmt::Display]) -> String {
    values.iter().map(|value| format!("{field} != {value}")).collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The filter language as far as it is used here.
    fn passes(filter: &str, value: i64) -> bool {
        let holds = |term: &str| {
            let number = term.rsplit(' ').next().and_then(|n| n.parse::<i64>().ok()).expect("a number");
            if term.contains("==") { value == number } else { value != number }
        };
        if filter.contains("||") { filter.split(" || ").any(holds) } else { filter.split(" && ").all(holds) }
    }

    #[test]
    fn each_call_is_counted_by_exactly_one_row() {
        let rows = rows();
        for id in 0..600 {
            let hits =
                rows.iter().filter(|r| r.tracepoint == Tracepoint::Any && passes(&r.filter, id)).count();
            let split = SPLIT.iter().any(|(_, number)| *number == id);
            assert_eq!(hits, usize::from(!split), "system call {id}");
        }
        for (name, _) in SPLIT {
            for value in 0..600 {
                let hits =
                    rows.iter().filter(|r| r.tracepoint == Tracepoint::Of(name) && passes(&r.filter, value));
                assert_eq!(hits.count(), 1, "{name} with {value}");
            }
        }
    }

    #[test]
    fn a_doorbell_is_no_lock_and_a_mutex_is_one() {
        let rows = rows();
        let class = |op: i64| {
            let row = rows.iter().find(|r| r.tracepoint == Tracepoint::Of("futex") && passes(&r.filter, op));
            row.expect("every operation has a row").class
        };
        let (bitset, private) = (libc::FUTEX_WAIT_BITSET, libc::FUTEX_PRIVATE_FLAG);
        assert_eq!(class(bitset.into()), Class::Sleep);
        assert_eq!(class(libc::FUTEX_WAKE.into()), Class::Wake);
        assert_eq!(class((bitset | private).into()), Class::Lock);
        assert_eq!(class((libc::FUTEX_WAIT | private).into()), Class::Lock);
        assert_eq!(class((libc::FUTEX_LOCK_PI | private).into()), Class::Lock);
    }
}
