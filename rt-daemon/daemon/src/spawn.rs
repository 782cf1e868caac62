//! Starting node processes, and getting rid of them.
//!
//! All of them are started by one thread that lives as long as this process: the kernel sends the parent-death
//! signal when the *thread* that forked ends, not the process. That thread is created before anything here is
//! pinned, so that a node without `cpu_affinity` may run on every core that this process was given.
//!
//! 1. A node leads a session and process group of its own; ending it means ending the group.
//! 2. A node inherits three standard streams and one socket. Every other descriptor of this process is
//!    close-on-exec.
//! 3. The group is killed before its leader is reaped, so the number cannot have been given to anybody else.
//!
//! If this process is killed with SIGKILL, every node gets SIGKILL from the kernel, and what nodes had started gets
//! it from `guard`.

#![expect(unsafe_code, reason = "code between fork and exec, prctl and wait4, which no safe API offers")]

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, mpsc},
};

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
};

use crate::exit::Exit;

/// What to start.
pub(crate) struct Request {
    pub(crate) file: PathBuf,
    pub(crate) args: Vec<String>,
    /// Set on top of the inherited environment.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) working_dir: PathBuf,
    /// The node's end of its socketpair; it appears in the node under the same number.
    pub(crate) socket: OwnedFd,
    /// Allowed cores; `None` = all that this process may use.
    pub(crate) cpus: Option<libc::cpu_set_t>,
}

/// A process that was started.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

struct Job {
    request: Request,
    reply: oneshot::Sender<io::Result<Process>>,
}

/// The spawning thread.
#[derive(Clone)]
pub(crate) struct Spawner(mpsc::Sender<Job>);

impl Spawner {
    /// The one of this process; created on first use. Makes this process the one that orphaned descendants are
    /// handed to, so that they can be found and ended.
    pub(crate) fn get() -> io::Result<Self> {
        static SPAWNER: OnceLock<Spawner> = OnceLock::new();
        if let Some(spawner) = SPAWNER.get() {
            return Ok(spawner.clone());
        }
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        crate::guard::start()?;
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("dora-spawner".into()).spawn(move || {
            for Job { request, reply } in jobs {
                if let Err(Ok(unwanted)) = reply.send(start(request)) {
                    // The run was dropped while we forked.
                    kill_group(unwanted.pid, Signal::KILL);
                    reap(unwanted.pid);
                }
            }
        })?;
        // Two threads may get here at once; the loser's thread ends with its channel.
        Ok(SPAWNER.get_or_init(|| Spawner(sender)).clone())
    }

    /// Starts a process.
    ///
    /// # Errors
    /// What `fork`, `exec` or one of the steps between them said.
    pub(crate) async fn spawn(&self, request: Request) -> io::Result<Process> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| io::Error::other("the spawning thread has ended");
        self.0.send(Job { request, reply }).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }
}

fn start(request: Request) -> io::Result<Process> {
    let Request { file, args, env, working_dir, socket, cpus } = request;
    let parent = std::process::id() as libc::pid_t;
    let number = socket.as_raw_fd();
    let image = Image::new(&file, &args, &env)?;
    let mut command = Command::new(&file);
    command.current_dir(&working_dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: the closure only makes system calls that are async-signal-safe, and neither allocates nor locks;
    // `number` stays open in the parent until `socket` is dropped below, after the fork.
    unsafe {
        command.pre_exec(move || {
            before_exec(parent, number, cpus.as_ref())?;
            Err(image.execute())
        });
    }
    let mut child = command.spawn()?;
    drop(socket);
    let pid = Pid::from_child(&child);
    crate::guard::add(pid);
    let pipes = child.stdout.take().zip(child.stderr.take());
    let opened = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from);
    match (opened, pipes) {
        (Ok(pidfd), Some((stdout, stderr))) => {
            Ok(Process { pid, pidfd, stdout: stdout.into(), stderr: stderr.into() })
        }
        (opened, _) => {
            kill_group(pid, Signal::KILL);
            reap(pid);
            Err(opened.err().unwrap_or_else(|| io::Error::other("the process has no output pipes")))
        }
    }
}

/// Arguments of `execve`, made before the fork.
///
/// `Command` itself ends in `execvp`, which hands a file that the kernel does not take to `/bin/sh`: the user of a
/// program for another machine would read complaints of the shell.
struct Image {
    file: CString,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    /// What the pointers point into.
    _texts: Vec<CString>,
}

// SAFETY: the pointers lead into heap memory that `_texts` owns and nothing changes.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    fn new(file: &Path, args: &[String], env: &BTreeMap<String, String>) -> io::Result<Self> {
        let mut merged: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        merged.extend(env.iter().map(|(k, v)| (k.into(), v.into())));
        let mut texts = vec![CString::new(file.as_os_str().as_bytes())?];
        for arg in args {
            texts.push(CString::new(arg.as_str())?);
        }
        let first_env = texts.len();
        for (key, value) in merged {
            texts.push(CString::new([key.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let list = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self {
            file: texts[0].clone(),
            argv: list(&texts[..first_env]),
            envp: list(&texts[first_env..]),
            _texts: texts,
        })
    }

    /// Returns only when the kernel refuses.
    fn execute(&self) -> io::Error {
        // SAFETY: the path is NUL-terminated; both lists end with a null pointer and hold NUL-terminated texts.
        unsafe { libc::execve(self.file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Runs in the child. Only async-signal-safe calls from here on.
fn before_exec(parent: libc::pid_t, socket: RawFd, cpus: Option<&libc::cpu_set_t>) -> io::Result<()> {
    let check = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: plain system calls on integers; `cpus` points to a whole `cpu_set_t`, whose size is passed.
    unsafe {
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0))?;
        // The parent may have died before the line above; then no signal will ever come.
        if libc::getppid() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // From here to exec the socket is inheritable, in this process only.
        check(libc::fcntl(socket, libc::F_SETFD, 0))?;
        if let Some(cpus) = cpus {
            check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cpus))?;
        }
    }
    Ok(())
}

/// A connected pair for a node: our end, and the node's under a number that its own descriptors will not reach
/// soon. Both are close-on-exec until the node's process clears the flag for itself.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let theirs = rustix::io::fcntl_dupfd_cloexec(theirs.as_fd(), 200)?;
    Ok((ours, theirs))
}

/// Hands a descriptor to the runtime of the calling task, which then tells when it is ready.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open for as long as it lives, always has the same number, and the `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(|e| e.into_parts().1)
}

/// Sends a signal to a whole process group. A group that is gone already is no error.
pub(crate) fn kill_group(leader: Pid, signal: Signal) {
    rustix::process::kill_process_group(leader, signal).ok();
}

/// CPU time, memory, faults and switches of a process and its threads, over its whole life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) max_rss_mb: f64,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

impl Usage {
    /// What came after `before`; time and memory count from the beginning.
    pub(crate) fn since(&self, before: &Usage) -> Usage {
        Usage {
            minor_faults: self.minor_faults.saturating_sub(before.minor_faults),
            major_faults: self.major_faults.saturating_sub(before.major_faults),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
            ..*self
        }
    }

    /// Adds that of a further process.
    pub(crate) fn add(&mut self, other: &Usage) {
        self.cpu_s += other.cpu_s;
        self.max_rss_mb = self.max_rss_mb.max(other.max_rss_mb);
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }
}

/// Takes the exit status of a process whose pidfd has become readable, or that was just killed: waits for it.
/// `None` when it is not ours to take. Its group must have been ended before.
pub(crate) fn reap(pid: Pid) -> Option<(Exit, Usage)> {
    crate::guard::remove(pid);
    let mut status = 0;
    // SAFETY: all-zero is a valid `rusage`, which is plain integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live locals of the right type.
        let result = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, 0, &mut usage) };
        match result {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return None,
            _ => break,
        }
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    let count = |n: libc::c_long| u64::try_from(n).unwrap_or(0);
    let usage = Usage {
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        max_rss_mb: usage.ru_maxrss as f64 / 1024.0,
        minor_faults: count(usage.ru_minflt),
        major_faults: count(usage.ru_majflt),
        voluntary: count(usage.ru_nvcsw),
        involuntary: count(usage.ru_nivcsw),
    };
    Some((Exit::from_status(status), usage))
}

/// Ends the descendants that left their node's process group and were handed to us when their parent ended.
/// They are known by the dataflow's id in their environment; children of the host program are left alone.
pub(crate) fn sweep_orphans(dataflow_id: &str) -> usize {
    let mut ended = 0;
    // Killing one may hand us its children.
    loop {
        let orphans: Vec<Pid> =
            children().into_iter().filter(|pid| environment_names(*pid, dataflow_id)).collect();
        if orphans.is_empty() {
            return ended;
        }
        for pid in orphans {
            rustix::process::kill_process(pid, Signal::KILL).ok();
            reap(pid);
            ended += 1;
        }
    }
}

/// Takes the exit statuses of those members of a killed group that were handed to us. Does not wait; `false` when
/// some of them are still dying.
pub(crate) fn reap_group(leader: Pid) -> bool {
    loop {
        // SAFETY: a null status is allowed; no memory is passed.
        match unsafe { libc::waitpid(-leader.as_raw_nonzero().get(), std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return false,
            -1 => return true,
            _ => {}
        }
    }
}

/// Our children, from a walk over all processes: `/proc/self/task/*/children` may leave some out while others end.
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let is_ours = |pid: &Pid| {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        // The name in parentheses may hold anything; state and parent follow it.
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.split_ascii_whitespace().nth(1) == Some(own.as_str()))
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| Pid::from_raw(e.file_name().to_str()?.parse().ok()?));
    pids.filter(is_ours).collect()
}

fn environment_names(pid: Pid, dataflow_id: &str) -> bool {
    let env = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    env.split(|b| *b == 0).any(|entry| {
        entry.starts_with(dora_protocol::node_link::ENV_NODE_CONFIG.as_bytes())
            && entry.windows(dataflow_id.len()).any(|w| w == dataflow_id.as_bytes())
    })
}

/// The set of `cores`, without those that do not exist here; the second part names these.
pub(crate) fn cpu_set(cores: &[u32], existing: &[usize]) -> (Option<libc::cpu_set_t>, Vec<u32>) {
    // SAFETY: all-zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let (known, unknown): (Vec<u32>, Vec<u32>) =
        cores.iter().copied().partition(|c| existing.contains(&(*c as usize)));
    for core in known.iter().filter(|core| **core < libc::CPU_SETSIZE as u32) {
        // SAFETY: the core is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(*core as usize, &mut set) };
    }
    ((!known.is_empty()).then_some(set), unknown)
}
