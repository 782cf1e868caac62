//! Work of the kernel that can be sent to other cores: device interrupts and work queues.

use super::{
    Change, Context, Finding, Fix, Level, list,
    machine::{cores_of_mask, mask},
};
use crate::readback::core_list;

/// Names that a sentence still bears.
const NAMED: usize = 4;
const NO_CORE_LEFT: &str = "Every core is a real-time core: none is left for them.";

/// Interrupts of devices that go to real-time cores: number and name.
fn on_real_time_cores(context: &Context) -> Vec<(String, String)> {
    let wanted = |number: &String| {
        let folder = format!("proc/irq/{number}");
        let cores =
            |file: &str| context.machine.read(&format!("{folder}/{file}")).filter(|text| !text.is_empty());
        let cores = cores("effective_affinity_list").or_else(|| cores("smp_affinity_list"))?;
        let hits = core_list(&cores).iter().any(|core| context.scope.cores.contains(core));
        // The handler of a device is a folder; an interrupt without one never comes.
        let names = context.machine.names(&folder);
        let device =
            names.into_iter().find(|name| context.machine.path(&format!("{folder}/{name}")).is_dir())?;
        hits.then(|| (number.clone(), device))
    };
    let numbers = context.machine.names("proc/irq").into_iter().filter(|name| name.parse::<u32>().is_ok());
    numbers.collect::<Vec<_>>().iter().filter_map(wanted).collect()
}

pub(super) fn affinity(context: &Context) -> Finding {
    const WHY: &str = "A device interrupt runs before any thread, whatever its priority.";
    let finding = |level, found: String| Finding::new("irq-affinity", level, found, WHY);
    if context.machine.names("proc/irq").is_empty() {
        return finding(Level::Unknown, "/proc/irq cannot be read.".into());
    }
    let cores = list(&context.scope.cores);
    let found = on_real_time_cores(context);
    if found.is_empty() {
        return finding(Level::Ok, format!("No device interrupts core {cores}."));
    }
    let mut names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).take(NAMED).collect();
    let more = format!("{} more", found.len().saturating_sub(NAMED));
    if found.len() > NAMED {
        names.push(&more);
    }
    let sentence =
        format!("Device interrupts that go to core {cores}: {} ({}).", found.len(), names.join(", "));
    let rest = list(&context.housekeeping());
    if rest.is_empty() {
        return finding(Level::Warn, format!("{sentence} {NO_CORE_LEFT}"));
    }
    let path = |number: &str| format!("/proc/irq/{number}/smp_affinity_list");
    let mut fix = context.boot_with("irqaffinity", &rest);
    let now = found.iter().map(|(number, _)| Change::FileNow { path: path(number), value: rest.clone() });
    fix.changes.extend(now);
    let numbers: Vec<&str> = found.iter().map(|(number, _)| number.as_str()).collect();
    fix.how = format!(
        "for i in {}; do echo {rest} | sudo tee /proc/irq/$i/smp_affinity_list; done, and for good: {}",
        numbers.join(" "),
        fix.how
    );
    fix.undo = Some(format!("write {} there, remove the argument and reboot", list(&context.online)));
    finding(Level::Warn, sentence).fixed_by(fix)
}

pub(super) fn balancer(context: &Context) -> Finding {
    const WHY: &str = "irqbalance moves interrupts back to cores from which they were taken.";
    let finding = |level, found: &str| Finding::new("irqbalance", level, found, WHY);
    let mut processes =
        context.machine.names("proc").into_iter().filter(|name| name.parse::<u32>().is_ok()).peekable();
    if processes.peek().is_none() {
        return finding(Level::Unknown, "/proc shows no process.");
    }
    let runs = processes
        .any(|pid| context.machine.read(&format!("proc/{pid}/comm")).as_deref() == Some("irqbalance"));
    if !runs {
        return finding(Level::Ok, "irqbalance does not run.");
    }
    finding(Level::Warn, "irqbalance runs.").fixed_by(Fix::new(
        "sudo systemctl disable --now irqbalance.service",
        "sudo systemctl enable --now irqbalance.service",
        vec![Change::StopService("irqbalance.service")],
    ))
}

pub(super) fn work_queues(context: &Context) -> Finding {
    const WHY: &str = "Kernel workers that may run anywhere also run on the core of the loop.";
    const FILE: &str = "/sys/devices/virtual/workqueue/cpumask";
    let finding = |level, found: String| Finding::new("workqueue-mask", level, found, WHY);
    let Some(text) = context.machine.read(FILE) else {
        return finding(Level::Unknown, format!("{FILE} cannot be read."));
    };
    let cores = cores_of_mask(&text);
    let hit: Vec<usize> = context.scope.cores.iter().copied().filter(|core| cores.contains(core)).collect();
    if hit.is_empty() {
        return finding(
            Level::Ok,
            format!("Kernel workers stay away from core {}.", list(&context.scope.cores)),
        );
    }
    let sentence = format!("Kernel workers may use core {}.", list(&hit));
    let rest = context.housekeeping();
    if rest.is_empty() {
        return finding(Level::Warn, format!("{sentence} {NO_CORE_LEFT}"));
    }
    let value = mask(&rest);
    finding(Level::Warn, sentence).fixed_by(Fix::new(
        format!("echo {value} | sudo tee {FILE}"),
        format!("echo {text} | sudo tee {FILE}"),
        vec![Change::File { path: FILE.into(), value }],
    ))
}
