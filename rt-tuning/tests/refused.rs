//! Without rights every refusal names its reason and its fix. Runs for real: as root, this program starts itself
//! again as the user `nobody`.
#![cfg(target_os = "linux")]

use std::{env, io::ErrorKind, os::unix::process::CommandExt, process::Command, time::Duration};

use rt_tuning::{
    TuningError,
    doctor::{self, Context, Level, Machine, Request},
    latency::CpuDmaLatency,
    memory,
    sched::{self, Policy},
};

const AGAIN: &str = "RT_TUNING_TEST_UNPRIVILEGED";
const NOBODY: u32 = 65534;
const SHORT: Duration = Duration::from_millis(100);

fn check(error: &TuningError, reason: &[&str], fix: &[&str]) {
    let (has, text) =
        (|text: &str, words: &[&str]| words.iter().all(|word| text.contains(word)), error.to_string());
    assert!(has(&error.reason, reason), "reason {reason:?} in: {text}");
    assert!(has(error.fix.as_deref().unwrap_or_default(), fix), "fix {fix:?} in: {text}");
    println!("{text}");
}

fn everything_is_refused_with_reason_and_fix() {
    let setcap = &["sudo setcap cap_sys_nice,cap_ipc_lock+ep ", "/etc/security/limits.conf"];
    for policy in [Policy::Fifo, Policy::Rr] {
        let error = sched::set_current(policy, 80).unwrap_err();
        check(&error, &["CAP_SYS_NICE", "`ulimit -r`) is 0"], setcap);
    }
    let deadline = Policy::Deadline { runtime_ns: 100_000, deadline_ns: 1_000_000, period_ns: 1_000_000 };
    check(&sched::set_current(deadline, 0).unwrap_err(), &["CAP_SYS_NICE"], setcap);
    check(&memory::lock_all().unwrap_err(), &["CAP_IPC_LOCK", "`ulimit -l`", "64 KiB"], setcap);
    let error = CpuDmaLatency::hold(0).unwrap_err();
    assert!(error.fix.is_some() && error.reason.contains("/dev/cpu_dma_latency"), "{error}");

    // What needs no right is granted.
    sched::set_current(Policy::Other, 0).unwrap();
    memory::disable_thp().unwrap();
    rt_tuning::clock::set_timer_slack(1).unwrap();

    let context = Context::new(Machine::at("/"), None, Some(doctor::try_fifo())).unwrap();
    let findings = doctor::examine(&context);
    for check in ["rt-priority", "memory-lock"] {
        let finding = findings.iter().find(|finding| finding.check == check).unwrap();
        assert!(finding.level == Level::Bad && finding.fix.is_some(), "{finding:?}");
    }
    let measured = doctor::measure(&Request::new(sched::allowed_current(), SHORT), &mut |_| ()).unwrap();
    assert!(!measured.fifo && measured.limited.len() == 3, "{:?}", measured.limited);
    assert!(
        measured.cores.iter().all(|core| core.timer.count() > 0 && core.wake.count() > 0),
        "{measured:?}"
    );
}

#[test]
fn an_ordinary_user_is_told_the_reason_and_the_fix() {
    use rustix::process::{Resource, Rlimit, getuid, setrlimit};
    if env::var_os(AGAIN).is_some() {
        return everything_is_refused_with_reason_and_fix();
    }
    if !getuid().is_root() {
        println!("skipped: needs root to become another user");
        return;
    }
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "an_ordinary_user_is_told_the_reason_and_the_fix", "--nocapture"]);
    again.env(AGAIN, "1").current_dir("/").uid(NOBODY).gid(NOBODY);
    // Lowering limits of this process is for good; it has no other test that needs them.
    setrlimit(Resource::Memlock, Rlimit { current: Some(64 << 10), maximum: Some(64 << 10) }).unwrap();
    setrlimit(Resource::Rtprio, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    let output = match again.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("skipped: needs a build folder that other users can reach");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}
