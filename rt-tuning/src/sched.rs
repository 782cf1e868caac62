//! Scheduling class, priority and cores of the calling thread.
//!
//! 1. Only the calling thread changes. Its threads and children start under the ordinary scheduler
//!    (SCHED_RESET_ON_FORK), so a shell that a real-time node starts cannot take the core away from it.
//! 2. Affinity is inherited; set it before threads are started to have them all pinned.

#![expect(unsafe_code, reason = "sched_setattr has no wrapper")]

use std::io;

use rustix::{
    process::getpriority_process,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

pub use crate::types::Policy;
use crate::{TuningError, rights};

const RT_CLASSES_ALLOWED: &str = "priorities of `fifo` and `rr` go from 1 to 99";

/// Puts the calling thread under `policy`. `priority` is 1 to 99 for FIFO and RR, and ignored for the others.
///
/// # Errors
/// Without CAP_SYS_NICE: a priority above the limit (`ulimit -r`), and DEADLINE at all. With it: a cgroup without
/// real-time budget; DEADLINE beside an affinity mask, with impossible figures, or beyond what the kernel admits.
///
/// # Real time
/// One or two system calls; allocates only when it fails.
pub fn set_current(policy: Policy, priority: u8) -> Result<(), TuningError> {
    let mut attr = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    match policy {
        Policy::Fifo | Policy::Rr => {
            if !(1..=99).contains(&priority) {
                return Err(TuningError::new(label(policy, priority), RT_CLASSES_ALLOWED));
            }
            attr.sched_policy = if policy == Policy::Fifo { libc::SCHED_FIFO } else { libc::SCHED_RR } as u32;
            attr.sched_priority = priority.into();
        }
        Policy::Deadline { runtime_ns, deadline_ns, period_ns } => {
            attr.sched_policy = libc::SCHED_DEADLINE as u32;
            attr.sched_runtime = runtime_ns;
            attr.sched_deadline = deadline_ns;
            attr.sched_period = period_ns;
        }
        // Without this the call would set nice 0, which a thread with a positive nice value may not do.
        Policy::Other => attr.sched_nice = getpriority_process(None).unwrap_or(0),
    }
    // SAFETY: the kernel reads `attr.size` bytes from a live, fully initialised struct; 0 is the calling thread.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    if done == 0 { Ok(()) } else { Err(refusal(policy, priority, &io::Error::last_os_error())) }
}

fn label(policy: Policy, priority: u8) -> String {
    match policy {
        Policy::Fifo => format!("scheduling fifo {priority}"),
        Policy::Rr => format!("scheduling rr {priority}"),
        Policy::Deadline { runtime_ns, deadline_ns, period_ns } => {
            format!(
                "scheduling deadline (runtime {runtime_ns} ns, deadline {deadline_ns} ns, period {period_ns} ns)"
            )
        }
        Policy::Other => "scheduling other".into(),
    }
}

fn refusal(policy: Policy, priority: u8, error: &io::Error) -> TuningError {
    let what = label(policy, priority);
    let deadline = matches!(policy, Policy::Deadline { .. });
    match error.raw_os_error() {
        Some(libc::EPERM) if !rights::has(rights::CAP_SYS_NICE) => {
            let limit = rights::priority_limit();
            let reason = if deadline {
                "not permitted: SCHED_DEADLINE needs CAP_SYS_NICE, no limit replaces it".into()
            } else {
                format!(
                    "not permitted without CAP_SYS_NICE: the limit of real-time priority (`ulimit -r`) is {limit}"
                )
            };
            TuningError::new(what, reason).fixed_by(rights::priority_fix())
        }
        Some(libc::EPERM) if deadline => TuningError::new(
            what,
            "the kernel refuses SCHED_DEADLINE for a thread that may not run on every core",
        )
        .fixed_by("remove `cpu_affinity` from this node, or give it an exclusive cpuset"),
        Some(libc::EPERM) => {
            TuningError::new(what, "the control group of this process has no real-time budget")
                .fixed_by("write 950000 to cpu.rt_runtime_us of its cgroup, or start from the root cgroup")
        }
        Some(libc::EBUSY) => TuningError::new(
            what,
            "the kernel cannot guarantee this much CPU time beside what it has promised already",
        )
        .fixed_by("a smaller runtime, a longer period, or fewer SCHED_DEADLINE threads"),
        Some(libc::EINVAL) if deadline => {
            TuningError::new(what, "impossible figures: 1024 ns <= runtime <= deadline <= period must hold")
        }
        _ => TuningError::new(what, error.to_string()),
    }
}

/// Binds the calling thread to these cores.
///
/// # Errors
/// An empty list; a core that this machine or this process's cpuset does not have. Cores that it has are named.
///
/// # Real time
/// System calls and, for a single core, one allocation. Before the loop, not in it.
pub fn set_affinity_current(cores: &[usize]) -> Result<(), TuningError> {
    let what = format!("affinity {cores:?}");
    if cores.is_empty() {
        return Err(TuningError::new(what, "no core is named"));
    }
    if cores.iter().any(|&core| core >= CpuSet::MAX_CPU) {
        return Err(TuningError::new(what, format!("core numbers end at {}", CpuSet::MAX_CPU - 1)));
    }
    let done = if let [only] = *cores {
        core_affinity::set_for_current(core_affinity::CoreId { id: only })
    } else {
        // The kernel drops cores that do not exist as long as one does. Whoever asked for four must not get three.
        let online = online();
        let mut set = CpuSet::new();
        cores.iter().for_each(|&core| set.set(core));
        cores.iter().all(|core| online.contains(core)) && sched_setaffinity(None, &set).is_ok()
    };
    if done {
        return Ok(());
    }
    Err(TuningError::new(what, format!("this process can use only the cores {:?}", online()))
        .fixed_by("name cores from this list, or widen the cpuset (Docker: --cpuset-cpus)"))
}

/// Cores that the calling thread may use now, ascending. Allocates.
pub fn allowed_current() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

/// Cores that are running, ascending; what is allowed now when the kernel does not say.
fn online() -> Vec<usize> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cores = crate::readback::core_list(&list);
    if cores.is_empty() { allowed_current() } else { cores }
}
