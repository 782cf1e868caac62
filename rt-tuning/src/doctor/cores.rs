//! The cores: clock rate, sleep, and who else runs there.

use std::fs::OpenOptions;

use super::{Change, Context, Finding, Fix, Level, list};
use crate::readback::core_list;

/// Leaving an idle state may take this long without mattering at 1 kHz, in microseconds.
const SHALLOW_US: u64 = 10;
const ONLY_CORE: &str = "This machine has a single core: nothing can be moved away from it.";

pub(super) fn governor(context: &Context) -> Finding {
    const WHY: &str = "A core that is slowed down when idle is slow exactly when the next message comes.";
    const RULE: &str = "ACTION==\"add|change\", SUBSYSTEM==\"cpu\", TEST==\"cpufreq/scaling_governor\", ATTR{cpufreq/scaling_governor}=\"performance\"";
    let finding = |level, found: String| Finding::new("cpu-governor", level, found, WHY);
    let path = |core: usize| format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
    let all: Vec<(usize, String)> =
        context.wide().iter().filter_map(|&core| Some((core, context.machine.read(&path(core))?))).collect();
    if all.is_empty() {
        let found = "No clock rate is to be set here (no cpufreq): firmware or the host of the virtual machine decides.";
        return finding(Level::Unknown, found.into());
    }
    let slow: Vec<&(usize, String)> = all.iter().filter(|(_, name)| name != "performance").collect();
    let Some((_, old)) = slow.first() else {
        return finding(Level::Ok, "The cores keep their full clock rate (`performance`).".into());
    };
    let names: Vec<String> = slow.iter().map(|(core, name)| format!("{core} ({name})")).collect();
    let mut changes = vec![Change::Udev(RULE.into())];
    changes.extend(
        slow.iter().map(|(core, _)| Change::FileNow { path: path(*core), value: "performance".into() }),
    );
    let fix = Fix::new(
        "sudo cpupower frequency-set -g performance",
        format!("sudo cpupower frequency-set -g {old}"),
        changes,
    );
    finding(Level::Warn, format!("These cores lower their clock rate when idle: {}.", names.join(", ")))
        .fixed_by(fix)
}

pub(super) fn idle_states(context: &Context) -> Finding {
    const WHY: &str = "A core that sleeps deeply needs up to hundreds of microseconds to wake up.";
    const DEVICE: &str = "/dev/cpu_dma_latency";
    const RULE: &str = "KERNEL==\"cpu_dma_latency\", GROUP=\"realtime\", MODE=\"0660\"";
    let finding = |level, found: String| Finding::new("idle-states", level, found, WHY);
    let deepest = context.wide().iter().filter_map(|&core| deepest(context, core)).max();
    if let Some((us, name)) = &deepest
        && *us <= SHALLOW_US
    {
        return finding(Level::Ok, format!("The deepest idle state, {name}, is left in {us} us."));
    }
    let writable = OpenOptions::new().write(true).open(context.machine.path(DEVICE));
    let (level, state) = match &deepest {
        Some((us, name)) => (Level::Warn, format!("The deepest idle state, {name}, takes {us} us to leave")),
        None => (
            Level::Unknown,
            "The kernel manages no idle states here (the host or the firmware may)".to_owned(),
        ),
    };
    match writable {
        Ok(_) if deepest.is_some() => {
            finding(Level::Ok, format!("{state}; `--rt` can forbid it ({DEVICE})."))
        }
        Ok(_) => finding(level, format!("{state}; {DEVICE} can be held.")),
        Err(error) if context.machine.exists(DEVICE) => {
            finding(level, format!("{state}, and {DEVICE} cannot be held: {error}.")).fixed_by(Fix::new(
                format!("the udev rule `{RULE}` and membership of the group realtime"),
                "remove the rule",
                vec![Change::Udev(RULE.into()), Change::Rights],
            ))
        }
        Err(_) if deepest.is_none() => finding(level, format!("{state}, and there is no {DEVICE}.")),
        Err(_) => finding(level, format!("{state}, and there is no {DEVICE}."))
            .fixed_by(context.boot_with("processor.max_cstate", "1")),
    }
}

/// Slowest state that a core may enter: microseconds to leave it, and its name.
fn deepest(context: &Context, core: usize) -> Option<(u64, String)> {
    let folder = format!("sys/devices/system/cpu/cpu{core}/cpuidle");
    let state = |name: &String| {
        let read = |file: &str| context.machine.read(&format!("{folder}/{name}/{file}"));
        (name.starts_with("state") && read("disable").as_deref() != Some("1"))
            .then(|| Some((read("latency")?.parse().ok()?, read("name")?)))
            .flatten()
    };
    context.machine.names(&folder).iter().filter_map(state).max()
}

pub(super) fn siblings(context: &Context) -> Finding {
    const WHY: &str =
        "Two hardware threads share one core: what runs on the sibling slows the loop down at any moment.";
    let finding = |level, found: String| Finding::new("smt-siblings", level, found, WHY);
    let rt = &context.scope.cores;
    let path = |core: usize| format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    if !rt.iter().any(|&core| context.machine.exists(&path(core))) {
        return finding(
            Level::Unknown,
            "The kernel does not tell which cores are hardware threads of one core.".into(),
        );
    }
    let shared: Vec<usize> = rt.iter().copied().filter(|&core| context.siblings(core).len() > 1).collect();
    let Some(&first) = shared.first() else {
        return finding(Level::Ok, format!("Core {} shares no execution units with another.", list(rt)));
    };
    let isolated = context.isolated();
    let siblings = context.siblings(first);
    let mut leave_empty: Vec<usize> =
        shared.iter().flat_map(|&core| context.siblings(core).split_off(1)).collect();
    leave_empty.sort_unstable();
    leave_empty.dedup();
    if shared
        .iter()
        .flat_map(|&core| context.siblings(core))
        .all(|core| isolated.binary_search(&core).is_ok())
    {
        let found = format!(
            "Cores {} are hardware threads of one core and all isolated: use only one of each.",
            list(&siblings)
        );
        return finding(Level::Ok, found);
    }
    let sibling = format!("/sys/devices/system/cpu/cpu{}/online", leave_empty[0]);
    let file = |core: usize, value: &str| Change::File {
        path: format!("/sys/devices/system/cpu/cpu{core}/online"),
        value: value.into(),
    };
    // Core 0 usually cannot be switched off; what is left then is the switch for the whole machine.
    let fix = if leave_empty.contains(&0) {
        Fix::by_hand("boot with nosmt", Some("remove it and reboot"))
    } else {
        Fix::new(
            format!("echo 0 | sudo tee {sibling}"),
            format!("echo 1 | sudo tee {sibling}"),
            leave_empty.iter().map(|&core| file(core, "0")).collect(),
        )
    };
    finding(Level::Warn, format!("Cores {} are hardware threads of one core.", list(&siblings))).fixed_by(fix)
}

/// What isolation, tickless cores and RCU have in common: some list of cores must cover the real-time ones. `yes` and
/// `no` are what is said of these cores.
fn covered(
    context: &Context,
    finding: Finding,
    have: &[usize],
    argument: &str,
    yes: &str,
    no: &str,
) -> Finding {
    let rt = &context.scope.cores;
    let missing: Vec<usize> = rt.iter().copied().filter(|core| !have.contains(core)).collect();
    if missing.is_empty() {
        return Finding { level: Level::Ok, found: format!("{yes}: core {}.", list(rt)), ..finding };
    }
    if context.online.len() == 1 {
        return Finding { level: Level::Warn, found: ONLY_CORE.into(), ..finding };
    }
    let mut wanted: Vec<usize> = have.iter().chain(rt).copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    if context.online.iter().all(|core| wanted.contains(core)) {
        let found = "Every core is named as a real-time core: one must be left for the rest.";
        return Finding { level: Level::Warn, found: found.into(), ..finding };
    }
    // Interrupts of drivers that spread their own can be kept away by this flag alone.
    let flags = if argument == "isolcpus" { "managed_irq,domain," } else { "" };
    let fix = context.boot_with(argument, &format!("{flags}{}", list(&wanted)));
    let found = format!("{no}: core {}.", list(&missing));
    Finding { level: Level::Warn, found, ..finding }.fixed_by(fix)
}

pub(super) fn isolation(context: &Context) -> Finding {
    const WHY: &str = "The scheduler places no other program on an isolated core; `wait: spin` and tails below some 100 us need one.";
    let finding = Finding::new("isolated-cores", Level::Unknown, "", WHY);
    if !context.machine.exists("sys/devices/system/cpu/isolated") {
        return Finding { found: "/sys/devices/system/cpu/isolated cannot be read.".into(), ..finding };
    }
    covered(context, finding, &context.isolated(), "isolcpus", "Isolated", "Not isolated")
}

fn tickless_cores(context: &Context) -> Option<Vec<usize>> {
    context.machine.read("sys/devices/system/cpu/nohz_full").map(|text| core_list(&text))
}

pub(super) fn tickless(context: &Context) -> Finding {
    const WHY: &str = "Elsewhere the scheduler's tick interrupts a busy core 100 to 1000 times a second.";
    let finding = Finding::new("tickless-cores", Level::Unknown, "", WHY);
    match tickless_cores(context) {
        None => Finding {
            found: "This kernel was built without nohz_full (CONFIG_NO_HZ_FULL), or does not tell.".into(),
            ..finding
        },
        Some(cores) => covered(
            context,
            finding,
            &cores,
            "nohz_full",
            "Without a scheduler tick while one thread runs",
            "With a scheduler tick",
        ),
    }
}

pub(super) fn callbacks(context: &Context) -> Finding {
    const WHY: &str = "RCU callbacks of the whole kernel run on a core unless they are moved off it.";
    let finding = Finding::new("rcu-callbacks", Level::Unknown, "", WHY);
    if context.arguments.is_empty() {
        return Finding { found: "/proc/cmdline cannot be read.".into(), ..finding };
    }
    // Cores under nohz_full are moved by that alone.
    let mut cores = tickless_cores(context).unwrap_or_default();
    match context.argument("rcu_nocbs") {
        Some("all") => cores.extend(&context.online),
        Some(text) => cores.extend(core_list(text)),
        None => {}
    }
    cores.sort_unstable();
    cores.dedup();
    covered(
        context,
        finding,
        &cores,
        "rcu_nocbs",
        "Spared the callbacks of RCU",
        "Not spared the callbacks of RCU",
    )
}
