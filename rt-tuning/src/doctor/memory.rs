//! Memory that the kernel rearranges behind the programs: huge pages and swap.

use super::{Change, Context, Finding, Fix, Level};

pub(super) fn huge_pages(context: &Context) -> Finding {
    const WHY: &str = "Assembling huge pages moves memory and stops the threads that use it; `--rt` turns it off for its own processes only.";
    const FOLDER: &str = "/sys/kernel/mm/transparent_hugepage";
    let finding = |level, found: String| Finding::new("huge-pages", level, found, WHY);
    let chosen = |file: &str| {
        let text = context.machine.read(&format!("{FOLDER}/{file}"))?;
        Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
    };
    let Some(enabled) = chosen("enabled") else {
        if context.machine.exists("sys/kernel/mm") {
            return finding(Level::Ok, "This kernel has no transparent huge pages.".into());
        }
        return finding(Level::Unknown, format!("{FOLDER}/enabled cannot be read."));
    };
    let defrag = chosen("defrag").unwrap_or_default();
    if enabled != "always" && (enabled == "never" || defrag != "always") {
        return finding(Level::Ok, format!("Transparent huge pages are set to `{enabled}`."));
    }
    let file = |name: &str| Change::File { path: format!("{FOLDER}/{name}"), value: "never".into() };
    let fix = Fix::new(
        format!("echo never | sudo tee {FOLDER}/{{enabled,defrag}}"),
        format!("echo {enabled} | sudo tee {FOLDER}/enabled; echo {defrag} | sudo tee {FOLDER}/defrag"),
        vec![file("enabled"), file("defrag")],
    );
    let found = format!("Transparent huge pages are set to `{enabled}`, and to assemble them `{defrag}`.");
    finding(Level::Warn, found).fixed_by(fix)
}

pub(super) fn swap(context: &Context) -> Finding {
    const WHY: &str = "Locked memory is not swapped, but a machine that swaps stalls everything that is not locked, files and programs included.";
    let finding = |level, found: String| Finding::new("swap", level, found, WHY);
    let Some(text) = context.machine.read("proc/swaps") else {
        return finding(Level::Unknown, "/proc/swaps cannot be read.".into());
    };
    let areas: Vec<&str> =
        text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next()).collect();
    if areas.is_empty() {
        return finding(Level::Ok, "There is no swap.".into());
    }
    let old = context.machine.number::<u32>("proc/sys/vm/swappiness").unwrap_or(60);
    if old <= 1 {
        return finding(
            Level::Ok,
            format!("There is swap ({}), used only in need (vm.swappiness={old}).", areas.join(", ")),
        );
    }
    finding(Level::Warn, format!("There is swap ({}), and vm.swappiness is {old}.", areas.join(", ")))
        .fixed_by(Fix::new(
            "sudo sysctl vm.swappiness=1 (or without swap: sudo swapoff -a)",
            format!("sudo sysctl vm.swappiness={old}"),
            vec![Change::Sysctl { key: "vm.swappiness", value: "1".into() }],
        ))
}
