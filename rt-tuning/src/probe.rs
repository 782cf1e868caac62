//! What this machine cannot do for real-time threads, in sentences with the fix.
//!
//! Each look reads one or two files; rights are tried on a thread of their own rather than guessed. What a file says
//! becomes a [`Finding`] in a function without side effects. A file that a system does not have gives no finding.

use std::{fs, path::Path, thread};

pub use crate::types::Finding;
use crate::{
    TuningError, rights,
    sched::{self, Policy},
    throttle,
};

/// Looks at everything. Takes a few milliseconds, changes nothing that outlives the call.
pub fn findings() -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let mut found =
        vec![priority(&try_fifo()), memory(rights::has(rights::CAP_IPC_LOCK), rights::memory_limit())];
    found.extend(throttle::runtime_ns_period_ns().ok().map(|(runtime, period)| throttling(runtime, period)));
    found.extend(
        read("/proc/sys/kernel/version").map(|v| preemption(&v, read("/sys/kernel/realtime").as_deref())),
    );
    found.extend(governors(&read_governors()));
    found.extend(read("/sys/kernel/mm/transparent_hugepage/enabled").map(|text| huge_pages(&text)));
    found.extend(
        read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
            .map(|name| clock_source(&name)),
    );
    found.push(idle_states(Path::new("/dev/cpu_dma_latency").exists(), &writable("/dev/cpu_dma_latency")));
    found.extend(read("/sys/devices/system/cpu/isolated").map(|list| isolation(&list)));
    found
}

fn good(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { ok: true, what, detail: detail.into(), fix: None }
}

fn bad(what: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { ok: false, what, detail: detail.into(), fix: Some(fix.into()) }
}

fn try_fifo() -> Result<(), TuningError> {
    let tried =
        thread::Builder::new().spawn(|| sched::set_current(Policy::Fifo, 1)).map(thread::JoinHandle::join);
    match tried {
        Ok(Ok(result)) => result,
        _ => Err(TuningError::new("scheduling fifo 1", "no thread could be started to try it")),
    }
}

fn priority(tried: &Result<(), TuningError>) -> Finding {
    match tried {
        Ok(()) => good("real-time priority", "This process may use SCHED_FIFO."),
        Err(TuningError { reason, fix, .. }) => Finding {
            ok: false,
            what: "real-time priority",
            detail: format!("SCHED_FIFO is refused: {reason}."),
            fix: fix.clone(),
        },
    }
}

fn memory(capable: bool, limit: Option<u64>) -> Finding {
    const WHAT: &str = "memory lock";
    match limit {
        _ if capable => good(WHAT, "This process may lock all its memory (CAP_IPC_LOCK)."),
        None => good(WHAT, "This process may lock all its memory (`ulimit -l` is unlimited)."),
        Some(bytes) => bad(
            WHAT,
            format!("Only {} KiB may be locked (`ulimit -l`), so memory stays unlocked.", bytes / 1024),
            rights::memory_fix(),
        ),
    }
}

fn throttling(runtime: Option<u64>, period: u64) -> Finding {
    const WHAT: &str = "real-time throttling";
    let ms = |ns: u64| ns as f64 / 1e6;
    match runtime {
        None => bad(
            WHAT,
            "It is off: a real-time thread that never sleeps takes its core for good, and the machine may hang.",
            "sudo sysctl kernel.sched_rt_runtime_us=950000",
        ),
        Some(runtime) if runtime < period / 2 => bad(
            WHAT,
            format!("Real-time threads get only {} ms in every {} ms.", ms(runtime), ms(period)),
            "sudo sysctl kernel.sched_rt_runtime_us=950000",
        ),
        Some(runtime) => good(
            WHAT,
            format!(
                "A real-time thread that never sleeps may be stopped for {} ms in every {} ms; threads that sleep are \
                 not concerned.",
                ms(period.saturating_sub(runtime)),
                ms(period)
            ),
        ),
    }
}

fn preemption(version: &str, realtime: Option<&str>) -> Finding {
    const WHAT: &str = "kernel preemption";
    const FIX: &str =
        "a PREEMPT_RT kernel (Ubuntu: `pro enable realtime-kernel`, Debian: linux-image-rt-amd64)";
    let words: Vec<&str> = version.split_ascii_whitespace().collect();
    if realtime.map(str::trim) == Some("1") || words.contains(&"PREEMPT_RT") {
        return good(WHAT, "The kernel is PREEMPT_RT.");
    }
    if words.contains(&"PREEMPT_DYNAMIC") {
        let detail = "The kernel is PREEMPT_DYNAMIC: how long it can hold off a real-time thread depends on `preempt=`.";
        return bad(WHAT, detail, format!("boot with preempt=full, or {FIX}"));
    }
    if words.contains(&"PREEMPT") {
        return bad(
            WHAT,
            "The kernel is PREEMPT, not PREEMPT_RT: drivers can hold off a real-time thread.",
            FIX,
        );
    }
    bad(
        WHAT,
        "The kernel does not preempt itself: a long system call of anybody delays real-time threads.",
        FIX,
    )
}

/// `core: governor` of every core that has one, ascending.
fn read_governors() -> Vec<(usize, String)> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let governor = |core: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        fs::read_to_string(path).ok().map(|name| (core, name.trim().to_owned()))
    };
    crate::readback::core_list(&online).into_iter().filter_map(governor).collect()
}

fn governors(cores: &[(usize, String)]) -> Option<Finding> {
    const WHAT: &str = "CPU governor";
    let slow: Vec<String> = cores
        .iter()
        .filter(|(_, name)| name != "performance")
        .map(|(core, name)| format!("{core} ({name})"))
        .collect();
    if cores.is_empty() {
        return None;
    }
    if slow.is_empty() {
        return Some(good(WHAT, "Every core keeps its full clock rate (`performance`)."));
    }
    let detail = format!("These cores lower their clock rate when idle: {}.", slow.join(", "));
    Some(bad(WHAT, detail, "sudo cpupower frequency-set -g performance"))
}

fn huge_pages(enabled: &str) -> Finding {
    const WHAT: &str = "transparent huge pages";
    if enabled.contains("[always]") {
        let detail = "The kernel assembles huge pages behind every process (`always`). dora turns this off for itself \
                      and its real-time nodes; other processes can still cause compaction.";
        return bad(
            WHAT,
            detail,
            "echo never | sudo tee /sys/kernel/mm/transparent_hugepage/{enabled,defrag}",
        );
    }
    good(WHAT, format!("Set to {}.", enabled.trim()))
}

fn clock_source(name: &str) -> Finding {
    const WHAT: &str = "clock source";
    match name.trim() {
        name @ ("tsc" | "arch_sys_counter" | "kvm-clock") => {
            good(WHAT, format!("`{name}` is read without a system call."))
        }
        name => bad(
            WHAT,
            format!("`{name}` costs a system call and up to microseconds at every look at the clock."),
            "boot with clocksource=tsc tsc=reliable, if the processor's TSC is invariant",
        ),
    }
}

fn writable(path: &str) -> Result<(), String> {
    fs::OpenOptions::new().write(true).open(path).map(drop).map_err(|error| error.to_string())
}

fn idle_states(exists: bool, writable: &Result<(), String>) -> Finding {
    const WHAT: &str = "idle states";
    match writable {
        Ok(()) => good(WHAT, "/dev/cpu_dma_latency can be held, so cores need not sleep deeply."),
        Err(reason) => bad(
            WHAT,
            format!(
                "/dev/cpu_dma_latency cannot be held ({reason}): a core may need 100 us and more to wake up."
            ),
            if exists {
                "the udev rule `KERNEL==\"cpu_dma_latency\", GROUP=\"realtime\", MODE=\"0660\"` and membership of that group"
            } else {
                "in a container: --device /dev/cpu_dma_latency; otherwise boot with idle=poll or max_cstate=1"
            },
        ),
    }
}

fn isolation(list: &str) -> Finding {
    const WHAT: &str = "isolated cores";
    match list.trim() {
        "" => bad(
            WHAT,
            "No core is kept free of other work. Needed for `wait: spin`, and for tails below some 100 us.",
            "boot with isolcpus=<cores> nohz_full=<cores> rcu_nocbs=<cores>",
        ),
        cores => good(WHAT, format!("Cores {cores} are kept free of other work.")),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
