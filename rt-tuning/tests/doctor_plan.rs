//! The script with the fixes: right for its machine, harmless twice, and taken back without a trace.
#![cfg(target_os = "linux")]

mod fake;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use fake::Fake;
use rt_tuning::doctor;

const ARGUMENTS: &str = "preempt=full processor.max_cstate=1 isolcpus=managed_irq,domain,1,3 nohz_full=1,3 rcu_nocbs=1,3 irqaffinity=0,2";

/// The script for a machine, in its folder.
fn plan(fake: &Fake) -> String {
    let context = fake.context(None);
    let text = doctor::script(&context, &doctor::examine(&context));
    fs::write(fake.path("plan.sh"), &text).unwrap();
    text
}

fn bash(fake: &Fake, args: &[&str]) -> Output {
    let mut command = Command::new("bash");
    command.args(args).current_dir(fake.root()).env("ROOT", fake.root()).env_remove("SUDO_USER");
    command.stdin(Stdio::null()).output().expect("bash starts")
}

fn run(fake: &Fake, args: &[&str]) -> String {
    let output = bash(fake, &[&["plan.sh"], args].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{args:?}: {out}{err}");
    out.into_owned()
}

/// Every file with its text.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                all.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}

/// A laptop with a boot loader, and huge pages as a kernel that is written to shows them.
fn laptop_with_grub() -> Fake {
    Fake::laptop()
        .with("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n")
        .with("etc/default/grub.d/keep.cfg", "")
}

#[test]
fn script_contains_what_the_findings_call_for() {
    let text = plan(&laptop_with_grub());
    for words in [
        "@realtime  -  rtprio   99",
        "AmbientCapabilities=CAP_SYS_NICE CAP_IPC_LOCK",
        "kernel.sched_rt_runtime_us = 950000",
        "vm.swappiness = 1",
        "ATTR{cpufreq/scaling_governor}=\"performance\"",
        "w /sys/kernel/mm/transparent_hugepage/enabled - - - - never",
        "w /sys/devices/virtual/workqueue/cpumask - - - - 5",
        "write '/proc/irq/30/smp_affinity_list' '0,2'",
        "stop_service irqbalance.service",
        &format!("add_arguments '{ARGUMENTS}'"),
        "note 'find out why the kernel distrusts the TSC",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
}

#[test]
fn script_of_a_tuned_machine_changes_nothing() {
    let tuned = Fake::tuned();
    let text = plan(&tuned);
    let apply = text.split_once("\napply() {\n").unwrap().1.split_once("\n}\n").unwrap().0;
    assert_eq!(apply, "  check_root apply\n  echo 'nothing to change'");
    let before = files(tuned.root());
    assert!(run(&tuned, &["apply"]).contains("nothing to change"));
    assert_eq!(files(tuned.root()), before);
}

#[test]
fn script_without_an_argument_shows_and_changes_nothing() {
    let laptop = laptop_with_grub();
    plan(&laptop);
    let before = files(laptop.root());
    let shown = run(&laptop, &[]);
    assert!(shown.contains("nothing has been changed") && shown.contains("90-dora-realtime.conf"), "{shown}");
    assert_eq!(files(laptop.root()), before);
    assert_eq!(bash(&laptop, &["plan.sh", "aply"]).status.code(), Some(2));
}

#[test]
fn applying_twice_is_as_applying_once_and_undo_leaves_no_trace() {
    let laptop = laptop_with_grub();
    plan(&laptop);
    let before = files(laptop.root());
    run(&laptop, &["apply"]);
    let once = files(laptop.root());
    let now = |path: &str| once[path].trim().to_owned();
    assert_eq!(now("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor"), "performance");
    assert_eq!(now("sys/devices/virtual/workqueue/cpumask"), "5");
    assert_eq!(now("proc/irq/30/smp_affinity_list"), "0,2");
    assert!(now("etc/default/grub.d/90-dora-realtime.cfg").contains("$GRUB_CMDLINE_LINUX preempt=full"));
    run(&laptop, &["apply"]);
    assert_eq!(files(laptop.root()), once, "the second run changed something");
    run(&laptop, &["undo"]);
    let mut after = files(laptop.root());
    // The kernel shows `[always] madvise never` again when `always` is written; a plain file cannot.
    for file in ["enabled", "defrag"] {
        let path = format!("sys/kernel/mm/transparent_hugepage/{file}");
        let text = after.get_mut(&path).unwrap();
        assert!(before[&path].contains(&format!("[{}]", text.trim())), "{path} is now {text}");
        text.clone_from(&before[&path]);
    }
    // So it is with the newline of a value that had none.
    after.values_mut().for_each(|text| text.truncate(text.trim_end().len()));
    let before: BTreeMap<_, _> =
        before.into_iter().map(|(path, text)| (path, text.trim_end().to_owned())).collect();
    assert_eq!(after, before, "undo left something");
    run(&laptop, &["undo"]);
}

#[test]
fn the_command_line_of_a_raspberry_pi_is_changed_once_and_taken_back() {
    let board =
        Fake::laptop().with("boot/firmware/cmdline.txt", "console=tty1 root=/dev/mmcblk0p2 rootwait\n");
    plan(&board);
    let line = || fs::read_to_string(board.path("boot/firmware/cmdline.txt")).unwrap();
    run(&board, &["apply"]);
    run(&board, &["apply"]);
    assert_eq!(line(), format!("console=tty1 root=/dev/mmcblk0p2 rootwait {ARGUMENTS}\n"));
    run(&board, &["undo"]);
    assert_eq!(line(), "console=tty1 root=/dev/mmcblk0p2 rootwait\n");
}

#[test]
fn bash_and_shellcheck_find_nothing_wrong() {
    let shellcheck = Command::new("shellcheck").arg("--version").stdout(Stdio::null()).status().is_ok();
    for fake in [Fake::laptop(), laptop_with_grub(), Fake::tuned(), Fake::empty()] {
        let text = plan(&fake);
        assert!(bash(&fake, &["-n", "plan.sh"]).status.success(), "{text}");
        if shellcheck {
            let output = Command::new("shellcheck").arg(fake.path("plan.sh")).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
    if !shellcheck {
        println!("without shellcheck, which is not installed");
    }
}

#[test]
fn text_of_a_file_cannot_become_a_command() {
    let evil = Fake::laptop()
        .with("proc/cmdline", "preempt='$(touch$IFS./owned)'\n")
        .with("proc/swaps", "Filename\n/$(touch${IFS}owned)';touch${IFS}owned;' partition 1 0 -2\n")
        .with("proc/sys/kernel/osrelease", "6.1\ntouch owned\n")
        .with("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "a\ntouch owned\n");
    plan(&evil);
    for args in [&[][..], &["apply"], &["undo"]] {
        run(&evil, args);
        assert!(!evil.path("owned").exists(), "{args:?}");
    }
}
