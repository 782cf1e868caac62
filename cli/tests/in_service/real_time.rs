//! `dora start --rt`: real-time set-up of one dataflow, asked for when it is started.

use std::{fs, thread};

use dora_node_api::{DoraNode, Event};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set},
};

use crate::{
    node as role,
    pair::{Pair, SAYS, kill, wait},
};

/// Says which policy and priority its main thread has.
pub(crate) fn node() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let stat = fs::read_to_string("/proc/thread-self/stat")?;
    // The name of the thread may hold spaces; it ends with the last parenthesis. Field 3 follows.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    println!("\n{SAYS}priority {} policy {}", fields[40 - 3], fields[41 - 3]);
    while !matches!(events.recv(), Some(Event::Stop(_)) | None) {}
    Ok(())
}

fn arm() -> String {
    let rest = "    inputs: { tick: dora/timer/millis/100 }\n    rt: { policy: rr, priority: 7 }\n";
    format!("nodes:\n{}", role("arm", "real time", rest))
}

/// What the arm says of itself when it has what it asks for; `SCHED_RR` is 2.
const GRANTED: &str = "priority 7 policy 2";
const ORDINARY: &str = "priority 0 policy 0";

fn has(rights: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|own| own.effective.contains(rights))
}

/// A pair whose processes, whoever the user is, may have neither priorities nor locked memory.
fn pair_without_rights(yaml: String) -> Pair {
    // Of the thread alone, and of what it starts.
    let up = thread::spawn(move || {
        for right in [CapabilitySet::SYS_NICE, CapabilitySet::IPC_LOCK] {
            // Who may not give rights up has none.
            remove_capability_from_bounding_set(right).unwrap_or_default();
        }
        for resource in [Resource::Rtprio, Resource::Memlock] {
            let limit = getrlimit(resource);
            setrlimit(resource, Rlimit { current: Some(0), ..limit }).expect("a lower limit");
        }
        Pair::up(&yaml)
    });
    up.join().expect("a pair")
}

#[test]
fn real_time_of_one_dataflow_is_its_own_and_outlives_restart_coordinator_and_daemon() {
    if !has(CapabilitySet::SYS_NICE) {
        println!("skipped: needs CAP_SYS_NICE");
        return;
    }
    let pair = Pair::up(&arm());
    let started = pair.good(&["start", "flow.yml", "--name", "arm", "--detach", "--rt=best-effort"]);
    let row = |table: &str, node: &str| {
        let row = table.lines().find(|line| line.starts_with(node) && line.contains(" RR "));
        row.map(str::to_owned).unwrap_or_else(|| panic!("no real-time thread of `{node}` in\n{table}"))
    };
    assert!(row(&started, "arm").contains(" 7 "), "{started}");
    assert!(
        started.trim_end().rsplit('\n').next().is_some_and(|last| last.starts_with("dataflow started: "))
    );
    pair.wait_for_line("arm", GRANTED);

    let plain = pair.good(&["start", "flow.yml", "--name", "plain", "--detach"]);
    assert_eq!(plain.lines().count(), 2, "nothing was asked for, so there is no table: {plain}");
    pair.wait_for_line("plain", ORDINARY);
    pair.good(&["stop", "plain"]);

    pair.good(&["restart", "arm"]);
    pair.wait_for_line("arm", GRANTED);
    kill(pair.coordinator());
    pair.good(&["up"]);
    wait("the dataflow", || pair.list().iter().any(|row| row.contains("arm") && row.contains("Running")));
    pair.good(&["restart", "arm"]);
    pair.wait_for_line("arm", GRANTED);

    let lost = pair.pids_of_running();
    kill(pair.daemon());
    wait("the end of its nodes", || !lost.iter().any(|pid| crate::pair::lives(*pid)));
    pair.good(&["up"]);
    wait("a new process", || {
        pair.pids_of_running().iter().any(|pid| !lost.contains(pid) && crate::pair::lives(*pid))
    });
    wait("its words", || pair.dora(&["logs", "arm"]).out.contains(SAYS));
    let said = pair.good(&["logs", "arm"]);
    assert!(!said.contains(ORDINARY) && said.contains(GRANTED), "{said}");
}

#[test]
fn what_is_granted_starts_under_strict_and_the_report_keeps_the_proof() {
    if !has(CapabilitySet::SYS_NICE | CapabilitySet::IPC_LOCK) {
        println!("skipped: needs CAP_SYS_NICE and CAP_IPC_LOCK");
        return;
    }
    let pair = Pair::up(&arm());
    let started = pair.good(&["start", "flow.yml", "--name", "arm", "--detach", "--rt"]);
    let uuid = started.trim_end().rsplit(' ').next().expect("a UUID");
    pair.wait_for_line("arm", GRANTED);
    pair.good(&["stop", "arm"]);
    let file = pair.project.path("out").join(uuid).join("report.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!((&report["rt"], &report["rt_table"]["problems"]), (&"strict".into(), &serde_json::json!([])));
    let threads = report["rt_table"]["threads"].as_array().expect("rows");
    assert!(threads.iter().any(|row| row["node"] == "arm" && row["policy"] == "RR" && row["ok"] == true));
    assert!(
        report["timers"].as_array().is_some_and(|timers| !timers.is_empty()),
        "how late its ticks were: {text}"
    );
}

#[test]
fn what_is_not_granted_refuses_a_strict_start_with_table_reason_and_fix() {
    let pair = pair_without_rights(arm());
    for flags in [&["--detach"][..], &["--attach"]] {
        let ended = pair.dora(&[&["start", "flow.yml", "--rt"], flags].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for part in ["scheduling rr 7", "(fix: ", "--rt=best-effort"] {
            assert!(ended.err.contains(part), "`{part}` is missing: {ended:?}");
        }
        let row = ended.out.lines().find(|line| line.starts_with("arm ") && line.contains("✗"));
        assert!(row.is_some_and(|row| row.contains("OTHER")), "{flags:?}: {ended:?}");
        assert!(!ended.out.contains("dataflow started"), "{ended:?}");
    }
    assert!(pair.list().iter().all(|row| row.contains("Failed")), "{:?}", pair.list());
}

#[test]
fn what_is_not_granted_is_told_and_a_best_effort_start_goes_on() {
    let pair = pair_without_rights(arm());
    let started = pair.good(&["start", "flow.yml", "--name", "arm", "--detach", "--rt=best-effort"]);
    assert!(
        started.contains("✗ arm: scheduling rr 7: ") && started.contains("dataflow started"),
        "{started}"
    );
    pair.wait_for_line("arm", ORDINARY);
    // The daemon takes no part in it for the others.
    pair.good(&["start", "flow.yml", "--name", "plain", "--detach"]);
}
