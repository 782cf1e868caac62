//! The daemon without the rights for real time. A binary of its own: the rights of the whole process are lowered.

mod support;

use dora_daemon::{
    DaemonError,
    options::{RtMode, RunEvent, RunOptions},
};
use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::{CapabilitySet, capabilities, set_capabilities},
};
use support::{NodeExt, ROLE, node as role, node::TestNode, patient, run};

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    if std::env::var(ROLE).is_ok() {
        println!("{}", support::BEGIN);
        TestNode::connect();
        std::process::exit(0);
    }
}

/// From here on the calling thread, and those that it starts, may not ask for a real-time priority.
fn give_up_priorities() {
    let limit = getrlimit(Resource::Rtprio);
    setrlimit(Resource::Rtprio, rustix::process::Rlimit { current: Some(0), ..limit }).unwrap();
    let mut rights = capabilities(None).unwrap();
    rights.effective -= CapabilitySet::SYS_NICE;
    set_capabilities(None, rights).unwrap();
}

#[test]
fn a_watching_thread_without_its_priority_stops_a_strict_start() {
    give_up_priorities();
    let outcome = run(vec![role("a", "plain").output("o")], RunOptions { rt: RtMode::Strict, ..patient() });
    let error = outcome.result.as_ref().unwrap_err();
    assert!(matches!(error, DaemonError::RealTime(_)));
    for part in ["dora: scheduling fifo 10: not permitted", "(fix: sudo setcap", "--rt=best-effort"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!outcome.events.iter().any(|e| matches!(e, RunEvent::Started { .. })));
    let refused = "refused: the real-time set-up";
    assert!(outcome.printed("a").iter().any(|line| line.starts_with(refused)), "{:?}", outcome.printed("a"));
}

#[test]
fn best_effort_watches_without_priority_and_says_so() {
    give_up_priorities();
    let mut hangs = role("a", "plain").output("o");
    hangs.health_check_timeout = Some(std::time::Duration::from_secs(100));
    let outcome = run(vec![hangs], RunOptions { rt: RtMode::BestEffort, ..patient() });
    let report = outcome.report();
    assert!(
        report.warnings.iter().any(|w| w.starts_with("dora: scheduling fifo 10")),
        "{:?}",
        report.warnings
    );
    let table = report.rt_table.as_ref().unwrap();
    // The other test's thread may be there, too; this run asked nothing of it.
    let watch = table.threads.iter().find(|t| t.name == "dora-rt" && t.ok.is_some()).unwrap();
    assert_eq!((watch.policy.as_str(), watch.ok), ("OTHER", Some(false)));
    assert_eq!(table.problems.iter().filter(|p| p.what.starts_with("scheduling")).count(), 1);
}
