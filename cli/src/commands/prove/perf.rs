//! Counts the system calls of a thread of another process, in the kernel: one `perf_event_open` counter per row of `names`.
//!
//! The thread is not stopped and not asked. While the counters are open each of its system calls is dearer, because every
//! filter of its tracepoint is applied to it; nothing else changes.
//!
//! It takes the right to do so (root, or CAP_PERFMON, and a readable tracefs for the numbers of the tracepoints). Without it
//! nothing is counted, which is never shown as 0.

#![expect(unsafe_code, reason = "perf_event_open is in no library we use")]

use std::{
    fs,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

use super::names::{Class, LOCK, Row, Tracepoint, rows};

/// The tracepoints of this kernel.
#[derive(Debug)]
pub(super) struct Probe {
    any: u64,
    /// Each with the number of its tracepoint.
    rows: Vec<(Row, u64)>,
}

impl Probe {
    /// Looks the tracepoints up, and tries one on this thread.
    ///
    /// # Errors
    /// Why system calls cannot be counted here, and what to do about it.
    pub(super) fn find() -> Result<Self, String> {
        let numbers = Numbers::open()?;
        let any = numbers.of("raw_syscalls/sys_enter")?;
        let mut found = Vec::new();
        for row in rows() {
            let number = match &row.tracepoint {
                Tracepoint::Any => any,
                Tracepoint::Of(name) => numbers.of(&format!("syscalls/sys_enter_{name}"))?,
            };
            found.push((row, number));
        }
        let probe = Self { any, rows: found };
        match probe.attach(0, true) {
            Ok(_) => Ok(probe),
            Err(error) => Err(format!("perf_event_open: {error}; needs root or CAP_PERFMON")),
        }
    }

    /// Counts the calls of thread `tid` from now on; `by_name` tells them apart.
    ///
    /// # Errors
    /// What the kernel says: the thread has ended, no right to look at it, no descriptor left.
    pub(super) fn attach(&self, tid: u32, by_name: bool) -> io::Result<Attached> {
        let all = counter(self.any, tid, None)?;
        let mut named = Vec::new();
        for (row, number) in self.rows.iter().filter(|_| by_name) {
            named.push((row.name, row.class, counter(*number, tid, Some(&row.filter))?));
        }
        Ok(Attached { all, named: by_name.then_some(named) })
    }
}

/// The counters of one thread. They can still be read when it has ended.
#[derive(Debug)]
pub(super) struct Attached {
    all: OwnedFd,
    named: Option<Vec<(&'static str, Class, OwnedFd)>>,
}

/// System calls of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SystemCalls {
    /// All of them.
    pub(crate) all: u64,
    /// By name; those that did not happen included. `None` when they were not told apart.
    pub(crate) named: Option<Vec<NamedCalls>>,
}

/// System calls of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamedCalls {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) count: u64,
}

impl Attached {
    pub(super) fn read(&self) -> io::Result<SystemCalls> {
        let one = |(name, class, fd): &(&'static str, Class, OwnedFd)| {
            Ok(NamedCalls { name, class: *class, count: value(fd)? })
        };
        let named: Option<io::Result<_>> = self.named.as_ref().map(|rows| rows.iter().map(one).collect());
        Ok(SystemCalls { all: value(&self.all)?, named: named.transpose()? })
    }
}

impl SystemCalls {
    /// Of a thread that sleeps on a futex of its own process: what would be a lock in a node is its waiting. That it takes
    /// no lock is then not seen here; for the daemon's thread the lints of its crate see to it.
    pub(super) fn with_own_bell(mut self) -> Self {
        for row in self.named.iter_mut().flatten().filter(|row| row.name == LOCK) {
            (row.name, row.class) = ("futex of its own process", Class::Sleep);
        }
        self
    }

    /// What was added since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let named = self.named.as_ref().map(|rows| {
            let old = |name| {
                let rows = before.named.iter().flatten();
                rows.filter(|row| row.name == name).map(|row| row.count).sum::<u64>()
            };
            rows.iter()
                .map(|row| NamedCalls { count: row.count.saturating_sub(old(row.name)), ..*row })
                .collect()
        });
        Self { all: self.all.saturating_sub(before.all), named }
    }
}

/// One counter, running. `tid` 0 is the calling thread.
fn counter(tracepoint: u64, tid: u32, filter: Option<&str>) -> io::Result<OwnedFd> {
    const TYPE_TRACEPOINT: u64 = 2;
    /// The first published size of `perf_event_attr`; every kernel takes it.
    const SIZE: u64 = 64;
    const CLOSE_ON_EXEC: libc::c_ulong = 8;
    const SET_FILTER: libc::Ioctl = 0x4008_2406;
    // `type` and `size` are 32 bits each; then `config`. Everything else is 0: no samples, any core, user and kernel.
    #[cfg(target_endian = "little")]
    let mut attributes = [TYPE_TRACEPOINT | SIZE << 32, tracepoint, 0, 0, 0, 0, 0, 0];
    #[cfg(target_endian = "big")]
    let mut attributes = [TYPE_TRACEPOINT << 32 | SIZE, tracepoint, 0, 0, 0, 0, 0, 0];
    // SAFETY: reads SIZE bytes from the array, and may write the size that it knows into it when it fails.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, attributes.as_mut_ptr(), tid, -1, -1, CLOSE_ON_EXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else has.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    if let Some(filter) = filter {
        let filter = std::ffi::CString::new(filter)?;
        // SAFETY: the kernel copies a NUL-terminated text.
        if unsafe { libc::ioctl(fd.as_raw_fd(), SET_FILTER, filter.as_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(fd)
}

fn value(fd: &OwnedFd) -> io::Result<u64> {
    let mut bytes = [0; 8];
    let read = rustix::io::read(fd, &mut bytes)?;
    if read == bytes.len() { Ok(u64::from_ne_bytes(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Where the numbers of tracepoints are read.
enum Numbers {
    Mounted(&'static str),
    /// A tracefs of our own that is mounted nowhere.
    Detached(OwnedFd),
}

impl Numbers {
    fn open() -> Result<Self, String> {
        let usual = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
        if let Some(at) = usual.iter().find(|at| fs::read_dir(format!("{at}/events/raw_syscalls")).is_ok()) {
            return Ok(Self::Mounted(at));
        }
        let detached = || -> rustix::io::Result<OwnedFd> {
            let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(context.as_fd())?;
            fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        };
        detached().map(Self::Detached).map_err(|error| {
            format!("/sys/kernel/tracing cannot be read ({error}); needs root, or CAP_PERFMON and a tracefs that you may read")
        })
    }

    fn of(&self, event: &str) -> Result<u64, String> {
        let path = format!("events/{event}/id");
        let text = match self {
            Self::Mounted(at) => fs::read_to_string(format!("{at}/{path}")),
            Self::Detached(root) => openat(root, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(io::Error::from)
                .and_then(|fd| {
                    let mut text = String::new();
                    fs::File::from(fd).read_to_string(&mut text).map(|_| text)
                }),
        };
        let text = text.map_err(|error| format!("this kernel has no tracepoint {event} ({error})"))?;
        text.trim().parse().map_err(|_| format!("the number of tracepoint {event} cannot be read: `{text}`"))
    }
}
