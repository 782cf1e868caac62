//! Is there a machine below this one, and what does it take?

use super::{Context, Finding, Level, Machine};

/// Share of the time since the boot that the host may have taken before it is worth a word, and before it is bad.
const STEAL_WARN: f64 = 0.001;
const STEAL_BAD: f64 = 0.01;

/// Makers whose machines are virtual.
const VIRTUAL: [&str; 10] = [
    "QEMU",
    "KVM",
    "VMware",
    "VirtualBox",
    "Xen",
    "Amazon EC2",
    "Google Compute",
    "Virtual Machine",
    "Firecracker",
    "OpenStack",
];

/// What tells that this is a virtual machine; `None` when nothing does.
fn sign(machine: &Machine) -> Option<String> {
    if let Some(kind) = machine.read("sys/hypervisor/type") {
        return Some(kind);
    }
    for file in ["product_name", "sys_vendor"] {
        let name = machine.read(&format!("sys/class/dmi/id/{file}")).unwrap_or_default();
        if VIRTUAL.iter().any(|known| name.contains(known)) {
            return Some(name);
        }
    }
    let tree = machine.read("proc/device-tree/compatible").unwrap_or_default();
    if tree.contains("dummy-virt") || machine.exists("proc/device-tree/hypervisor") {
        return Some("device tree".into());
    }
    let info = machine.read("proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags"))?;
    flags
        .split_ascii_whitespace()
        .any(|flag| flag == "hypervisor")
        .then(|| "hypervisor flag of the processor".into())
}

pub(super) fn virtual_machine(context: &Context) -> Finding {
    const WHY: &str = "The host can take the core at any moment, and nothing inside can prevent or bound it.";
    let finding = |level, found: String| Finding::new("virtual-machine", level, found, WHY);
    match sign(&context.machine) {
        Some(sign) => finding(
            Level::Warn,
            format!("This is a virtual machine ({sign}); pin its cores on the host, or use real hardware."),
        ),
        None if context.machine.exists("proc/cpuinfo") => {
            finding(Level::Ok, "Nothing says that this is a virtual machine.".into())
        }
        None => finding(Level::Unknown, "/proc/cpuinfo cannot be read.".into()),
    }
}

/// Ticks since the boot that the host took from `core`, and all ticks.
pub(super) fn stolen(machine: &Machine, core: usize) -> Option<(u64, u64)> {
    let stat = machine.read("proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let ticks: Vec<u64> =
        line.split_ascii_whitespace().take(8).filter_map(|text| text.parse().ok()).collect();
    Some((*ticks.get(7)?, ticks.iter().sum()))
}

pub(super) fn steal(context: &Context) -> Finding {
    const WHY: &str =
        "Stolen time is time in which the host ran something else although this machine had work to do.";
    let finding = |level, found: String| Finding::new("steal-time", level, found, WHY);
    let shares = context.wide().iter().filter_map(|&core| {
        let (stolen, all) = stolen(&context.machine, core)?;
        Some((core, stolen as f64 / all.max(1) as f64))
    });
    let Some((core, share)) = shares.max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return finding(Level::Unknown, "/proc/stat does not tell.".into());
    };
    let level = match share {
        share if share > STEAL_BAD => Level::Bad,
        share if share > STEAL_WARN => Level::Warn,
        _ => Level::Ok,
    };
    finding(level, format!("The host took {:.2} % of the time of core {core} since the boot.", share * 100.0))
}
