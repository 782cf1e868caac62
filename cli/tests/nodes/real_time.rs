//! What `rt:` asks for, and what the node's own thread has, as the kernel says it.

use std::fs;

use dora_node_api::{DoraNode, Event};
use rustix::thread::{CapabilitySet, capabilities};

use crate::{node as role, project, said, say};

/// Prints what `/proc` says of the thread that initialised the node, and of its process.
pub(crate) fn node() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    if !matches!(events.recv(), Some(Event::Input { .. })) {
        eyre::bail!("no tick");
    }
    let stat = fs::read_to_string("/proc/thread-self/stat")?;
    // The name of the thread may hold spaces; it ends with the last parenthesis. Field 3 follows.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    say(&format!("rt_priority {} policy {}", fields[40 - 3], fields[41 - 3]));
    let status = fs::read_to_string("/proc/self/status")?;
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or("none");
    say(&format!("locked {}", !field("VmLck:").starts_with("0 ")));
    say(&format!("thp {}", field("THP_enabled:")));
    let tid = rustix::thread::gettid().as_raw_nonzero();
    say(&format!("slack {}", fs::read_to_string(format!("/proc/{tid}/timerslack_ns"))?.trim()));
    Ok(())
}

#[test]
fn the_thread_of_a_node_has_what_its_descriptor_asks_for() {
    if !capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::SYS_NICE)) {
        println!("skipped: needs CAP_SYS_NICE");
        return;
    }
    let rest = "    inputs: { tick: dora/timer/millis/10 }\n    rt: { policy: rr, priority: 7 }\n";
    let flow = project(&[role("arm", "real time", rest)]);
    let ended = flow.dora(&["run", "flow.yml", "--rt=best-effort", "--report", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = said(&ended.err, "arm");
    // `SCHED_RR` is 2. A thread under a real-time policy has no slack, whatever was set; without the right to do so
    // the kernel shows 0 or what was set.
    assert_eq!(said[0], "rt_priority 7 policy 2", "{ended:?}");
    assert!(matches!(said[2].as_str(), "thp 0" | "thp none"), "{ended:?}");
    assert!(matches!(said[3].as_str(), "slack 0" | "slack 1"), "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).expect("a JSON report");
    let problems = report["rt_table"]["problems"].as_array().expect("a list");
    let lock_refused = problems.iter().any(|p| p["node"] == "arm" && p["what"] == "memory lock");
    assert_eq!(said[1], format!("locked {}", !lock_refused), "{ended:?}");
}
