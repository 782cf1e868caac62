//! Files of known machines go in, findings come out. Each test builds `/proc` and `/sys` of a machine that never was.
#![cfg(target_os = "linux")]

mod fake;

use fake::Fake;
use rt_tuning::doctor::{Chosen, Level};

#[test]
fn a_tuned_machine_has_nothing_but_ok() {
    let tuned = Fake::tuned();
    let context = tuned.context(None);
    assert_eq!((context.scope.cores.as_slice(), context.scope.chosen), (&[2, 3][..], Chosen::Isolated));
    for finding in tuned.findings(None) {
        assert_eq!((finding.level, &finding.fix), (Level::Ok, &None), "{finding:?}");
    }
}

#[test]
fn an_untuned_laptop_is_told_everything_with_a_fix_for_each() {
    let laptop = Fake::laptop();
    let expected = [
        ("rt-priority", Level::Bad, "`ulimit -r` is 0"),
        ("rt-group-budget", Level::Bad, "`/user.slice` has no budget"),
        ("rt-time-limit", Level::Warn, "200000 us"),
        ("memory-lock", Level::Bad, "8192 KiB"),
        ("kernel-preemption", Level::Bad, "voluntary"),
        ("rt-throttling", Level::Bad, "100 ms in every 1000 ms"),
        ("virtual-machine", Level::Ok, "Nothing says"),
        ("steal-time", Level::Ok, "0.00 %"),
        ("cpu-governor", Level::Warn, "0 (powersave), 1 (powersave), 2 (powersave), 3 (powersave)"),
        ("idle-states", Level::Warn, "C10, takes 890 us"),
        ("isolated-cores", Level::Warn, "Not isolated: core 1,3."),
        ("tickless-cores", Level::Warn, "With a scheduler tick: core 1,3."),
        ("rcu-callbacks", Level::Warn, "Not spared the callbacks of RCU: core 1,3."),
        ("smt-siblings", Level::Warn, "Cores 1,3 are hardware threads"),
        ("irq-affinity", Level::Warn, "core 1,3: 1 (nvme0q1)."),
        ("irqbalance", Level::Warn, "irqbalance runs"),
        ("workqueue-mask", Level::Warn, "Kernel workers may use core 1,3"),
        ("huge-pages", Level::Warn, "`always`"),
        ("swap", Level::Warn, "/dev/dm-1), and vm.swappiness is 60"),
        ("clock-source", Level::Bad, "`hpet` is slow"),
        ("timer-slack", Level::Warn, "1000000 ns"),
    ];
    let findings = laptop.findings(None);
    assert_eq!(findings.len(), expected.len());
    for (finding, (check, level, words)) in findings.iter().zip(expected) {
        assert_eq!((finding.check, finding.level), (check, level), "{finding:?}");
        assert!(finding.found.contains(words), "{words:?} in {:?}", finding.found);
        assert_eq!(finding.fix.is_some(), level > Level::Ok, "{finding:?}");
    }
}

#[test]
fn a_virtual_machine_is_seen_by_flag_vendor_or_device_tree_and_its_stolen_time_is_judged() {
    let level = |fake: &Fake, check: &str| fake.finding(check).level;
    let by_flag = Fake::tuned().with("proc/cpuinfo", "processor : 0\nflags : fpu hypervisor sse\n");
    let by_vendor = Fake::tuned().with("sys/class/dmi/id/sys_vendor", "QEMU\n");
    let by_tree = Fake::tuned().with("proc/device-tree/compatible", "linux,dummy-virt\0");
    for fake in [by_flag, by_vendor, by_tree] {
        let finding = fake.finding("virtual-machine");
        assert!(finding.level == Level::Warn && finding.fix.is_none(), "{finding:?}");
    }
    let stolen =
        |ticks: u64| Fake::tuned().with("proc/stat", &format!("cpu2 1000 0 0 9000 0 0 0 {ticks} 0 0\n"));
    assert_eq!(level(&stolen(0), "steal-time"), Level::Ok);
    assert_eq!(level(&stolen(20), "steal-time"), Level::Warn);
    assert_eq!(level(&stolen(2000), "steal-time"), Level::Bad);
}

#[test]
fn preemption_is_told_from_the_mode_that_is_in_force_then_from_what_it_was_told_or_built_with() {
    const VERSION: &str = "proc/sys/kernel/version";
    const DYNAMIC: &str = "#1 SMP PREEMPT_DYNAMIC Thu Jan 1 UTC";
    const MODE: &str = "sys/kernel/debug/sched/preempt";
    let judged = |fake: Fake| {
        let finding = fake.finding("kernel-preemption");
        (finding.level, finding.fix.map(|fix| fix.how).unwrap_or_default())
    };
    let base = || Fake::tuned().without("sys/kernel/realtime").without("boot");
    assert_eq!(judged(base().with(VERSION, "#1 SMP PREEMPT_RT Thu")).0, Level::Ok);
    let full = judged(base().with(VERSION, DYNAMIC).with(MODE, "none voluntary (full) lazy\n"));
    assert!(full.0 == Level::Warn && full.1.contains("PREEMPT_RT"), "{full:?}");
    let lazy = judged(base().with(VERSION, DYNAMIC).with(MODE, "none voluntary full (lazy)\n"));
    assert_eq!(lazy, (Level::Warn, "boot with preempt=full".into()));
    let told = base().with(VERSION, DYNAMIC).with("proc/cmdline", "quiet preempt=none isolcpus=2,3");
    assert!(judged(told).1.starts_with("replace preempt=none"));
    let built = base()
        .with(VERSION, DYNAMIC)
        .with("proc/sys/kernel/osrelease", "6.1.0\n")
        .with("boot/config-6.1.0", "# CONFIG_PREEMPT is not set\nCONFIG_PREEMPT_VOLUNTARY=y\n");
    assert_eq!(judged(built), (Level::Bad, "boot with preempt=full".into()));
    assert_eq!(judged(base().with(VERSION, DYNAMIC)).0, Level::Unknown);
    assert_eq!(judged(base().with(VERSION, "#1 SMP Thu")).0, Level::Bad);
}

#[test]
fn throttling_that_is_off_is_a_warning_and_the_default_is_fine() {
    let with = |runtime: &str| {
        Fake::tuned().with("proc/sys/kernel/sched_rt_runtime_us", runtime).finding("rt-throttling")
    };
    assert_eq!(with("950000\n").level, Level::Ok);
    assert_eq!(with("-1\n").level, Level::Warn);
    let none = with("0\n");
    assert!(none.level == Level::Bad && none.fix.unwrap().how.contains("sched_rt_runtime_us=950000"));
}

#[test]
fn a_priority_limit_counts_as_far_as_it_reaches() {
    let with = |limit: &str| {
        Fake::laptop()
            .with("proc/self/limits", &format!("Max realtime priority  {limit}  99\n"))
            .finding("rt-priority")
            .level
    };
    let levels = ["0", "50", "80", "unlimited"].map(with);
    assert_eq!(levels, [Level::Bad, Level::Warn, Level::Ok, Level::Ok]);
}

#[test]
fn named_cores_are_judged_and_those_that_do_not_run_are_refused_by_name() {
    let tuned = Fake::tuned();
    let context = tuned.context(Some(&[1, 1, 0]));
    assert_eq!((context.scope.cores.as_slice(), context.scope.chosen), (&[0, 1][..], Chosen::Given));
    let findings = tuned.findings(Some(&[1]));
    let isolated = findings.iter().find(|finding| finding.check == "isolated-cores").unwrap();
    // The kernel takes the last list alone: the cores that are isolated already must stay in it.
    assert!(isolated.fix.as_ref().unwrap().how.contains("isolcpus=managed_irq,domain,1-3"), "{isolated:?}");
    let error = tuned.try_context(Some(&[9])).unwrap_err();
    assert!(error.to_string().contains("core 9 does not run; these do: 0-3"), "{error}");
    assert!(tuned.try_context(Some(&[])).is_err());
}

#[test]
fn a_machine_of_one_core_is_not_told_to_isolate_it() {
    let single = Fake::laptop()
        .with("sys/devices/system/cpu/online", "0\n")
        .with("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n");
    for check in ["isolated-cores", "tickless-cores", "rcu-callbacks", "workqueue-mask"] {
        let finding = single.finding(check);
        assert!(finding.level == Level::Warn && finding.fix.is_none(), "{finding:?}");
    }
}

#[test]
fn every_core_as_real_time_core_leaves_none_and_says_so() {
    let findings = Fake::laptop().findings(Some(&[0, 1, 2, 3]));
    for check in ["isolated-cores", "irq-affinity", "workqueue-mask"] {
        let finding = findings.iter().find(|finding| finding.check == check).unwrap();
        assert!(finding.found.contains("Every core") && finding.fix.is_none(), "{finding:?}");
    }
}

#[test]
fn a_machine_without_files_is_unknown_and_never_ok_by_silence() {
    let empty = Fake::empty();
    for finding in empty.findings(None) {
        assert_eq!(
            finding.level,
            if finding.check == "isolated-cores" { Level::Unknown } else { finding.level }
        );
        assert_ne!(finding.level, Level::Ok, "{finding:?}");
        assert_ne!(finding.level, Level::Bad, "{finding:?}");
    }
}

#[test]
fn every_finding_is_a_sentence_and_every_fix_names_its_undo() {
    for fake in [Fake::laptop(), Fake::tuned(), Fake::empty()] {
        for finding in fake.findings(None) {
            assert!(finding.found.ends_with('.') && finding.why.ends_with('.'), "{finding:?}");
            assert!(
                finding
                    .fix
                    .is_none_or(|fix| !fix.how.is_empty() && fix.undo.is_some_and(|undo| !undo.is_empty()))
            );
        }
    }
}

#[test]
fn garbage_in_files_is_no_panic() {
    let mut fake = Fake::laptop();
    for garbage in [
        "",
        "\u{0}",
        "-",
        "[",
        "(",
        ")(",
        "][",
        "9999999999999999999999",
        "0-18446744073709551615",
        "a:b",
        "1:cpu:",
    ] {
        fake = fake.all_files(garbage);
        fake.try_context(None).map(|context| rt_tuning::doctor::examine(&context)).ok();
        fake.try_context(Some(&[0])).map(|context| rt_tuning::doctor::examine(&context)).ok();
    }
}
