//! What the figures were measured on.

use std::{collections::BTreeMap, fs};

/// Facts about this machine, by name, in the order they are printed.
pub fn facts() -> BTreeMap<&'static str, String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned())
    };
    let one = |path: &str| fs::read_to_string(path).map(|s| s.trim().to_owned()).ok();
    let or = |value: Option<String>, otherwise: &str| value.unwrap_or_else(|| otherwise.to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = |name: &str| or(one(&format!("/proc/sys/kernel/{name}")), "?");
    let flags = field("flags").unwrap_or_default();
    let virt = flags.split(' ').any(|f| f == "hypervisor");
    BTreeMap::from([
        ("cpu", or(field("model name"), std::env::consts::ARCH)),
        ("cores", format!("{cores}{}", if virt { ", virtual" } else { "" })),
        ("kernel", format!("{} {}", kernel("osrelease"), kernel("version"))),
        ("governor", or(one("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "none visible")),
        ("idle driver", or(one("/sys/devices/system/cpu/cpuidle/current_driver"), "none visible")),
        ("preempt_rt", or(one("/sys/kernel/realtime"), "0")),
        ("clocksource", or(one("/sys/devices/system/clocksource/clocksource0/current_clocksource"), "?")),
        ("thp", or(one("/sys/kernel/mm/transparent_hugepage/enabled"), "?")),
        ("rt throttling", throttling()),
        ("load", or(one("/proc/loadavg"), "?")),
    ])
}

fn throttling() -> String {
    match rt_tuning::throttle::runtime_ns_period_ns() {
        Ok((Some(runtime), period)) => format!("{} of {} ms", runtime / 1_000_000, period / 1_000_000),
        Ok((None, _)) => "off".to_owned(),
        Err(e) => format!("unknown ({e})"),
    }
}
