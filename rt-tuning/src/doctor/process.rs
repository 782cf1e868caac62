//! Rights of this process: priority, locked memory, budget of its control group, slack of its timers.

use std::thread;

use super::{Change, Context, Finding, Fix, Level};
use crate::{
    TuningError,
    rights::{self, CAP_IPC_LOCK, CAP_SYS_NICE},
    sched::{self, Policy},
};

/// Highest priority that `rt:` uses when nothing else is said; a limit below it refuses ordinary descriptors.
const USUAL_PRIORITY: u64 = 80;
const UNDO_RIGHTS: &str = "remove the line (or `sudo setcap -r <program>`) and log in anew";

/// Asks the kernel for SCHED_FIFO 1 on a thread of its own: rights alone do not tell (control groups, seccomp).
///
/// # Errors
/// The kernel's refusal with its fix.
pub fn try_fifo() -> Result<(), TuningError> {
    let tried =
        thread::Builder::new().spawn(|| sched::set_current(Policy::Fifo, 1)).map(thread::JoinHandle::join);
    match tried {
        Ok(Ok(result)) => result,
        _ => Err(TuningError::new("scheduling fifo 1", "no thread could be started to try it")),
    }
}

fn capable(context: &Context, capability: u32) -> Option<bool> {
    let status = context.machine.read("proc/self/status")?;
    Some(rights::effective(&status)? >> capability & 1 == 1)
}

/// Soft limit of `/proc/self/limits`; `Some(None)` = unlimited.
fn limit(context: &Context, name: &str) -> Option<Option<u64>> {
    let text = context.machine.read("proc/self/limits")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let soft = line.split_ascii_whitespace().next()?;
    if soft == "unlimited" { Some(None) } else { Some(Some(soft.parse().ok()?)) }
}

pub(super) fn priority(context: &Context) -> Finding {
    const WHY: &str = "Without SCHED_FIFO every other program is as important as the loop.";
    let finding = |level, found: String| Finding::new("rt-priority", level, found, WHY);
    let rights = || Fix::new(rights::priority_fix(), UNDO_RIGHTS, vec![Change::Rights]);
    let (capable, limit) = (capable(context, CAP_SYS_NICE), limit(context, "Max realtime priority"));
    match (&context.tried, capable, limit) {
        (Some(Err(error)), Some(true), _) => {
            let fix = error.fix.as_deref().map(|fix| Fix::by_hand(fix, None));
            finding(Level::Bad, format!("This process has CAP_SYS_NICE, and yet SCHED_FIFO is refused: {}.", error.reason))
                .maybe_fixed_by(fix)
        }
        (_, Some(true), _) => finding(Level::Ok, "This process may use every real-time priority (CAP_SYS_NICE).".into()),
        (_, _, Some(None)) => finding(Level::Ok, "This process may use every real-time priority (`ulimit -r`).".into()),
        (_, _, Some(Some(0))) => {
            finding(Level::Bad, "SCHED_FIFO is refused: no CAP_SYS_NICE, and `ulimit -r` is 0.".into()).fixed_by(rights())
        }
        (Some(Err(error)), _, Some(Some(_))) => {
            finding(Level::Bad, format!("SCHED_FIFO is refused: {}.", error.reason)).fixed_by(rights())
        }
        (_, _, Some(Some(top))) if top < USUAL_PRIORITY => {
            finding(Level::Warn, format!("Real-time priorities end at {top} (`ulimit -r`); descriptors usually ask for {USUAL_PRIORITY}."))
                .fixed_by(rights())
        }
        (_, _, Some(Some(top))) => finding(Level::Ok, format!("This process may use real-time priorities up to {top}.")),
        (_, _, None) => finding(Level::Unknown, "/proc/self/limits and /proc/self/status cannot be read.".into()),
    }
}

pub(super) fn memory_lock(context: &Context) -> Finding {
    const WHY: &str =
        "Memory that is not locked can be taken away, and costs a page fault in the middle of the loop.";
    let finding = |level, found: String| Finding::new("memory-lock", level, found, WHY);
    match (capable(context, CAP_IPC_LOCK), limit(context, "Max locked memory")) {
        (Some(true), _) => finding(Level::Ok, "This process may lock all its memory (CAP_IPC_LOCK).".into()),
        (_, Some(None)) => {
            finding(Level::Ok, "This process may lock all its memory (`ulimit -l` is unlimited).".into())
        }
        (_, Some(Some(bytes))) => finding(
            Level::Bad,
            format!("Only {} KiB may be locked (`ulimit -l`), so all memory stays unlocked.", bytes / 1024),
        )
        .fixed_by(Fix::new(rights::memory_fix(), UNDO_RIGHTS, vec![Change::Rights])),
        (_, None) => {
            finding(Level::Unknown, "/proc/self/limits and /proc/self/status cannot be read.".into())
        }
    }
}

pub(super) fn time_limit(context: &Context) -> Finding {
    const WHY: &str =
        "The kernel kills a real-time thread that has used this much CPU time without sleeping.";
    let finding = |level, found: String| Finding::new("rt-time-limit", level, found, WHY);
    match limit(context, "Max realtime timeout") {
        Some(None) => {
            finding(Level::Ok, "The CPU time of real-time threads is not limited (RLIMIT_RTTIME).".into())
        }
        Some(Some(us)) => finding(
            Level::Warn,
            format!("A real-time thread may run for {us} us without sleeping (RLIMIT_RTTIME)."),
        )
        .fixed_by(Fix::by_hand(
            "`ulimit -R unlimited` where the program is started, or LimitRTTIME=infinity in its systemd unit",
            Some("remove the line and start the program anew"),
        )),
        None => finding(Level::Unknown, "/proc/self/limits has no realtime timeout.".into()),
    }
}

pub(super) fn group_budget(context: &Context) -> Finding {
    const WHY: &str =
        "With CONFIG_RT_GROUP_SCHED a control group without budget refuses SCHED_FIFO even to root.";
    let finding = |level, found: String| Finding::new("rt-group-budget", level, found, WHY);
    let Some(groups) = context.machine.read("proc/self/cgroup") else {
        return finding(Level::Unknown, "/proc/self/cgroup cannot be read.".into());
    };
    let group = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "cpu").then_some((controllers, path))
    });
    let Some((controllers, path)) = group else {
        return finding(
            Level::Ok,
            "No control group of version 1 limits the CPU time of real-time threads.".into(),
        );
    };
    let file = format!("/sys/fs/cgroup/{controllers}{}/cpu.rt_runtime_us", path.trim_end_matches('/'));
    match context.machine.number::<i64>(&file) {
        None => finding(
            Level::Ok,
            format!("The control group `{path}` has no budget for real-time threads that could run out."),
        ),
        Some(0) => {
            // A group cannot have more than its parent has left; half leaves room for others.
            let fix = Fix::new(
                format!("echo 475000 | sudo tee {file}"),
                format!("echo 0 | sudo tee {file}"),
                vec![Change::FileNow { path: file, value: "475000".into() }],
            );
            finding(Level::Bad, format!("The control group `{path}` has no budget for real-time threads."))
                .fixed_by(fix)
        }
        Some(us) => finding(
            Level::Ok,
            format!("The control group `{path}` gives real-time threads {} ms per period.", us as f64 / 1e3),
        ),
    }
}

pub(super) fn timer_slack(context: &Context) -> Finding {
    const WHY: &str = "The kernel may delay timers of ordinary threads by this much; FIFO, RR and DEADLINE threads have no slack.";
    let finding = |level, found: String| Finding::new("timer-slack", level, found, WHY);
    match context.machine.number::<u64>("proc/self/timerslack_ns") {
        Some(ns @ ..=50_000) => {
            finding(Level::Ok, format!("{ns} ns for ordinary threads; `--rt` sets 1 ns for its nodes."))
        }
        Some(ns) => finding(
            Level::Warn,
            format!("{ns} ns, more than the usual 50000 ns; inherited from whoever started this."),
        )
        .fixed_by(Fix::by_hand(
            "start from another shell, or TimerSlackNSec=50us in the systemd unit",
            Some("remove the line"),
        )),
        None => finding(Level::Unknown, "/proc/self/timerslack_ns cannot be read.".into()),
    }
}
