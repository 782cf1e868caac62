//! The kernel itself: can it be interrupted, does it stop real-time threads, what does a look at the clock cost.

use super::{Change, Context, Finding, Fix, Level};

const RT_KERNEL: &str = "install a PREEMPT_RT kernel (Debian: sudo apt install linux-image-rt-$(dpkg --print-architecture); \
     Ubuntu: sudo pro enable realtime-kernel)";
const RT_KERNEL_UNDO: &str = "choose the old kernel in the boot menu, or remove the package";

/// How the kernel lets itself be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    RealTime,
    Full,
    Lazy,
    Voluntary,
    None,
}

fn model(name: &str) -> Option<Model> {
    Some(match name {
        "full" => Model::Full,
        "lazy" => Model::Lazy,
        "voluntary" => Model::Voluntary,
        "none" => Model::None,
        _ => return None,
    })
}

pub(super) fn preemption(context: &Context) -> Finding {
    const WHY: &str = "A system call of anybody holds off real-time threads for as long as the kernel cannot be interrupted.";
    let finding = |level, found: &str| Finding::new("kernel-preemption", level, found, WHY);
    let rt_kernel = || Fix::by_hand(RT_KERNEL, Some(RT_KERNEL_UNDO));
    let Some(version) = context.machine.read("proc/sys/kernel/version") else {
        return finding(Level::Unknown, "/proc/sys/kernel/version cannot be read.");
    };
    let has = |word| version.split_ascii_whitespace().any(|found| found == word);
    let dynamic = has("PREEMPT_DYNAMIC");
    let model = if has("PREEMPT_RT") || context.machine.read("sys/kernel/realtime").as_deref() == Some("1") {
        Some(Model::RealTime)
    } else if dynamic {
        dynamic_model(context)
    } else {
        built_in_model(context).or(Some(if has("PREEMPT") { Model::Full } else { Model::None }))
    };
    let full = |finding: Finding| {
        finding.fixed_by(if dynamic { context.boot_with("preempt", "full") } else { rt_kernel() })
    };
    match model {
        Some(Model::RealTime) => finding(Level::Ok, "The kernel is PREEMPT_RT."),
        Some(Model::Full) => {
            finding(Level::Warn, "The kernel preempts itself (full), but drivers and interrupts can still hold off a real-time thread.")
                .fixed_by(rt_kernel())
        }
        Some(Model::Lazy) => full(finding(Level::Warn, "The kernel preempts itself lazily, and is not PREEMPT_RT.")),
        Some(Model::Voluntary) => {
            full(finding(Level::Bad, "The kernel preempts itself only at chosen points (voluntary)."))
        }
        Some(Model::None) => full(finding(Level::Bad, "The kernel does not preempt itself (none).")),
        None => full(finding(
            Level::Unknown,
            "The kernel is PREEMPT_DYNAMIC, and its mode cannot be seen: /sys/kernel/debug/sched/preempt needs root and \
             `mount -t debugfs none /sys/kernel/debug`.",
        )),
    }
}

/// The mode of a PREEMPT_DYNAMIC kernel: what it says, else what it was told, else what it was built with.
fn dynamic_model(context: &Context) -> Option<Model> {
    let now = context.machine.read("sys/kernel/debug/sched/preempt");
    let now = now.as_deref().and_then(|text| model(text.split_once('(')?.1.split_once(')')?.0));
    now.or_else(|| context.argument("preempt").and_then(model)).or_else(|| built_in_model(context))
}

fn built_in_model(context: &Context) -> Option<Model> {
    let release = context.machine.read("proc/sys/kernel/osrelease")?;
    let config = context.machine.read(&format!("boot/config-{release}"))?;
    let set = |key: &str| config.lines().any(|line| line.strip_prefix(key) == Some("=y"));
    [
        ("CONFIG_PREEMPT_RT", Model::RealTime),
        ("CONFIG_PREEMPT_LAZY", Model::Lazy),
        ("CONFIG_PREEMPT_VOLUNTARY", Model::Voluntary),
        ("CONFIG_PREEMPT_NONE", Model::None),
        ("CONFIG_PREEMPT", Model::Full),
    ]
    .into_iter()
    .find_map(|(key, model)| set(key).then_some(model))
}

pub(super) fn throttling(context: &Context) -> Finding {
    const WHY: &str = "The guard takes a core from real-time threads that never sleep; too small it stops honest loops, off it lets a mad one hang the machine.";
    let finding = |level, found: String| Finding::new("rt-throttling", level, found, WHY);
    let read = |name: &str| context.machine.number::<i64>(&format!("proc/sys/kernel/{name}"));
    let (Some(runtime), Some(period)) = (read("sched_rt_runtime_us"), read("sched_rt_period_us")) else {
        return finding(
            Level::Unknown,
            "/proc/sys/kernel/sched_rt_runtime_us and sched_rt_period_us cannot be read.".into(),
        );
    };
    let fix = || {
        let value = (period / 100 * 95).to_string();
        Fix::new(
            format!("sudo sysctl kernel.sched_rt_runtime_us={value}"),
            format!("sudo sysctl kernel.sched_rt_runtime_us={runtime}"),
            vec![Change::Sysctl { key: "kernel.sched_rt_runtime_us", value }],
        )
    };
    let ms = |us: i64| us as f64 / 1e3;
    if runtime < 0 {
        return finding(
            Level::Warn,
            "It is off: a real-time thread that never sleeps takes its core for good.".into(),
        )
        .fixed_by(fix());
    }
    if runtime < period / 2 {
        let found = format!("Real-time threads get only {} ms in every {} ms.", ms(runtime), ms(period));
        return finding(Level::Bad, found).fixed_by(fix());
    }
    let found = format!(
        "A real-time thread that never sleeps may be stopped for {} ms in every {} ms; threads that sleep are not concerned.",
        ms(period - runtime),
        ms(period)
    );
    finding(Level::Ok, found)
}

pub(super) fn clock_source(context: &Context) -> Finding {
    const WHY: &str = "Every stamp and every timer reads the clock; a slow source costs a system call and up to microseconds each time.";
    const FOLDER: &str = "sys/devices/system/clocksource/clocksource0";
    let finding = |level, found: String| Finding::new("clock-source", level, found, WHY);
    let Some(name) = context.machine.read(&format!("{FOLDER}/current_clocksource")) else {
        return finding(Level::Unknown, format!("/{FOLDER}/current_clocksource cannot be read."));
    };
    let fast = ["tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page", "riscv_clocksource"];
    if fast.contains(&name.as_str()) {
        return finding(Level::Ok, format!("`{name}` is read without a system call."));
    }
    let level =
        if ["hpet", "acpi_pm", "jiffies", "pit"].contains(&name.as_str()) { Level::Bad } else { Level::Warn };
    let others = context.machine.read(&format!("{FOLDER}/available_clocksource")).unwrap_or_default();
    let fix = if others.split_ascii_whitespace().any(|other| other == "tsc") {
        let path = format!("/{FOLDER}/current_clocksource");
        Fix::new(
            format!("echo tsc | sudo tee {path}"),
            format!("echo {name} | sudo tee {path}"),
            vec![Change::File { path, value: "tsc".into() }],
        )
    } else {
        Fix::by_hand(
            "find out why the kernel distrusts the TSC (`sudo dmesg | grep -i tsc`); only if it is sound: boot with clocksource=tsc tsc=reliable",
            Some("remove both and reboot"),
        )
    };
    finding(level, format!("`{name}` is slow to read.")).fixed_by(fix)
}
