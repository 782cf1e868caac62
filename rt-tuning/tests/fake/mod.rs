//! Folders with the files of machines that never were.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rt_tuning::{
    TuningError,
    doctor::{self, Context, Finding, Machine},
};

/// The files of one machine, gone when dropped.
pub(crate) struct Fake {
    dir: tempfile::TempDir,
}

const ALL_CAPABILITIES: &str = "Name:\tdora\nCapEff:\t000001ffffffffff\n";
const NO_CAPABILITIES: &str = "Name:\tdora\nCapEff:\t0000000000000000\n";

impl Fake {
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Four cores, of which 2 and 3 are kept for real-time work by every means there is.
    pub(crate) fn tuned() -> Self {
        Self::empty()
            .with("proc/cmdline", "quiet isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3 irqaffinity=0,1\n")
            .with("proc/self/status", ALL_CAPABILITIES)
            .with("proc/self/limits", "Max realtime timeout      unlimited   unlimited   us\n")
            .with("proc/self/cgroup", "0::/system.slice/dora.service\n")
            .with("proc/self/timerslack_ns", "50000\n")
            .with("proc/sys/kernel/version", "#1 SMP PREEMPT_RT Thu Jan 1 UTC\n")
            .with("proc/sys/kernel/osrelease", "6.12.0-rt\n")
            .with("proc/sys/kernel/sched_rt_runtime_us", "950000\n")
            .with("proc/sys/kernel/sched_rt_period_us", "1000000\n")
            .with("proc/cpuinfo", "processor : 0\nflags : fpu sse sse2\n")
            .with(
                "proc/stat",
                "cpu 9 0 0 9 0 0 0 0 0 0\ncpu2 1000 0 0 9000 0 0 0 0 0 0\ncpu3 1 0 0 9 0 0 0 0 0 0\n",
            )
            .with("proc/swaps", "Filename Type Size Used Priority\n")
            .with("proc/1/comm", "systemd\n")
            .with("proc/irq/30/effective_affinity_list", "0\n")
            .with("proc/irq/30/nvme0q1/keep", "")
            .with("sys/kernel/realtime", "1\n")
            .with("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n")
            .with("sys/kernel/mm/transparent_hugepage/defrag", "always defer madvise [never]\n")
            .with("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n")
            .with("sys/devices/virtual/workqueue/cpumask", "3\n")
            .with("sys/devices/system/cpu/online", "0-3\n")
            .with("sys/devices/system/cpu/isolated", "2-3\n")
            .with("sys/devices/system/cpu/nohz_full", "2-3\n")
            .per_core(|core| {
                vec![
                    ("cpufreq/scaling_governor", "performance".into()),
                    ("cpuidle/state0/name", "POLL".into()),
                    ("cpuidle/state0/latency", "0".into()),
                    ("cpuidle/state1/name", "C1".into()),
                    ("cpuidle/state1/latency", "2".into()),
                    ("cpuidle/state2/name", "C6".into()),
                    ("cpuidle/state2/latency", "200".into()),
                    ("cpuidle/state2/disable", "1".into()),
                    ("topology/thread_siblings_list", core.to_string()),
                ]
            })
    }

    /// Four hardware threads of two cores (0 with 2, 1 with 3), as a distribution installs it, and an ordinary user.
    pub(crate) fn laptop() -> Self {
        Self::tuned()
            .without("sys/kernel/realtime")
            .with("proc/cmdline", "quiet splash\n")
            .with("proc/self/status", NO_CAPABILITIES)
            .with(
                "proc/self/limits",
                "Max locked memory         8388608   8388608   bytes\nMax realtime priority     0   0\n\
                 Max realtime timeout      200000   unlimited   us\n",
            )
            .with("proc/self/cgroup", "2:cpu,cpuacct:/user.slice\n0::/user.slice\n")
            .with("sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.rt_runtime_us", "0\n")
            .with("proc/self/timerslack_ns", "1000000\n")
            .with("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Thu Jan 1 UTC\n")
            .with("sys/kernel/debug/sched/preempt", "none (voluntary) full\n")
            .with("proc/sys/kernel/sched_rt_runtime_us", "100000\n")
            .with("proc/swaps", "Filename Type Size Used Priority\n/dev/dm-1 partition 8388604 0 -2\n")
            .with("proc/sys/vm/swappiness", "60\n")
            .with("proc/812/comm", "irqbalance\n")
            .with("proc/irq/30/effective_affinity_list", "3\n")
            .with("proc/irq/30/smp_affinity_list", "0-3\n")
            .with("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n")
            .with("sys/kernel/mm/transparent_hugepage/defrag", "always defer [madvise] never\n")
            .with("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")
            .with("sys/devices/system/clocksource/clocksource0/available_clocksource", "hpet acpi_pm\n")
            .with("sys/devices/virtual/workqueue/cpumask", "f\n")
            .with("sys/devices/system/cpu/isolated", "\n")
            .with("sys/devices/system/cpu/nohz_full", "(null)\n")
            .per_core(|core| {
                vec![
                    ("cpufreq/scaling_governor", "powersave".into()),
                    ("cpuidle/state2/name", "C10".into()),
                    ("cpuidle/state2/latency", "890".into()),
                    ("cpuidle/state2/disable", "0".into()),
                    ("topology/thread_siblings_list", format!("{},{}", core % 2, core % 2 + 2)),
                    ("online", "1".into()),
                ]
            })
    }

    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(path, text).expect("the file is written");
        self
    }

    pub(crate) fn without(self, path: &str) -> Self {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap_or_default();
        self
    }

    fn per_core(mut self, files: impl Fn(usize) -> Vec<(&'static str, String)>) -> Self {
        for core in 0..4 {
            for (file, text) in files(core) {
                self = self.with(&format!("sys/devices/system/cpu/cpu{core}/{file}"), &text);
            }
        }
        self
    }

    /// Replaces the text of every file.
    pub(crate) fn all_files(self, text: &str) -> Self {
        fn replace(folder: &Path, text: &str) {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() { replace(&path, text) } else { fs::write(path, text).expect("written") }
            }
        }
        replace(self.dir.path(), text);
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn try_context(&self, cores: Option<&[usize]>) -> Result<Context, TuningError> {
        Context::new(Machine::at(self.dir.path()), cores, None)
    }

    pub(crate) fn context(&self, cores: Option<&[usize]>) -> Context {
        self.try_context(cores).expect("the cores run")
    }

    pub(crate) fn findings(&self, cores: Option<&[usize]>) -> Vec<Finding> {
        doctor::examine(&self.context(cores))
    }

    pub(crate) fn finding(&self, check: &str) -> Finding {
        self.findings(None).into_iter().find(|finding| finding.check == check).expect("there is such a check")
    }
}
