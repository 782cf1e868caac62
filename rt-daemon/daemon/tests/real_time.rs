//! `--rt`: what a node did not get stops the start, or is told, and nothing else happens.

mod support;

use dora_daemon::{
    DaemonError,
    options::{RtMode, RunEvent, RunOptions},
};
use dora_protocol::{
    node_link::ToDaemon,
    policy::RestartPolicy,
    rt::{RtSettings, SchedPolicy, SetupStep, WaitPolicy},
};
use support::{
    NodeExt, ROLE, node as role,
    node::{TestNode, say},
    patient, run,
};

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{}", support::BEGIN);
    let node = TestNode::connect_only();
    println!("told of rt: {}", node.setup.rt.is_some());
    let is_first = node.setup.run.restart_count == 0;
    let refused = SetupStep {
        what: "scheduling fifo 80".into(),
        failed: Some("EPERM".into()),
        fix: Some("setcap cap_sys_nice=ep".into()),
    };
    let (node, _) = node.ready(match role.as_str() {
        "is refused" => vec![refused],
        "asks" => vec![ask()],
        "asks once" if is_first => vec![ask()],
        _ => Vec::new(),
    });
    if role == "asks once" {
        if is_first {
            std::process::exit(3);
        }
        println!("main thread {}", rustix::thread::gettid().as_raw_nonzero());
    }
    say(&node.socket, &ToDaemon::Done);
    std::process::exit(0);
}

/// Asks the kernel for what the descriptor wishes.
fn ask() -> SetupStep {
    let result = rt_tuning::sched::set_current(rt_tuning::sched::Policy::Fifo, 80);
    let (failed, fix) = result.err().map_or((None, None), |e| (Some(e.reason), e.fix));
    SetupStep { what: "scheduling fifo 80".into(), failed, fix }
}

fn controller(what: &str) -> dora_protocol::dataflow::Node {
    let mut node = role("controller", what).output("o");
    node.rt = Some(RtSettings { policy: SchedPolicy::Fifo, priority: Some(80), ..RtSettings::default() });
    node
}

fn options(rt: RtMode) -> RunOptions {
    RunOptions { rt, ..patient() }
}

#[test]
fn strict_mode_stops_before_the_start_and_names_reason_and_fix() {
    let outcome =
        run(vec![controller("is refused"), role("other", "plain").output("o")], options(RtMode::Strict));
    let error = outcome.result.as_ref().unwrap_err();
    assert!(matches!(error, DaemonError::RealTime(_)));
    for part in ["controller", "scheduling fifo 80", "EPERM", "setcap", "--rt=best-effort"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    for node in ["controller", "other"] {
        let printed = outcome.printed(node);
        assert!(printed.last().unwrap().starts_with("refused: the real-time set-up"), "{printed:?}");
    }
    assert!(!outcome.events.iter().any(|e| matches!(e, RunEvent::Started { .. })));
}

#[test]
fn best_effort_mode_tells_and_goes_on() {
    let outcome = run(vec![controller("is refused")], options(RtMode::BestEffort));
    let report = outcome.report();
    assert_eq!((report.failure(), report.rt), (None, "best-effort"));
    assert!(
        report.warnings.iter().any(|w| w.contains("EPERM") && w.contains("setcap")),
        "{:?}",
        report.warnings
    );
    let table = report.rt_table.as_ref().unwrap();
    assert!(table.problems.iter().any(|p| p.node == "controller"));
    assert!(outcome.events.iter().any(|e| matches!(e, RunEvent::RtTable(_))));
}

#[test]
fn what_a_node_really_got_is_in_the_table() {
    let outcome = run(vec![controller("asks")], options(RtMode::BestEffort));
    let report = outcome.report();
    let table = report.rt_table.as_ref().unwrap();
    let main = table.threads.iter().find(|t| t.node == "controller" && t.ok.is_some()).unwrap();
    // Whether it is granted is the machine's affair; that the table tells the truth is ours.
    let granted = !table.problems.iter().any(|p| p.node == "controller");
    assert_eq!((main.policy == "FIFO", main.priority == 80, main.ok), (granted, granted, Some(granted)));
}

#[test]
fn the_watching_thread_is_in_the_table_with_what_it_really_got() {
    let mut node = role("a", "plain").output("o");
    node.rt = Some(RtSettings { policy: SchedPolicy::Fifo, priority: Some(4), ..RtSettings::default() });
    let outcome = run(vec![node], options(RtMode::BestEffort));
    let table = outcome.report().rt_table.as_ref().unwrap();
    let own: Vec<_> = table.threads.iter().filter(|t| t.node == "dora").collect();
    let [watch] = own.iter().filter(|t| t.ok.is_some()).collect::<Vec<_>>()[..] else { panic!("{own:?}") };
    assert_eq!(watch.name, "dora-rt");
    let granted = !table.problems.iter().any(|p| p.node == "dora" && p.what.starts_with("scheduling"));
    assert_eq!((watch.policy == "FIFO", watch.priority == 3, watch.ok), (granted, granted, Some(granted)));
    let last = rt_tuning::sched::allowed_current().last().unwrap().to_string();
    assert_eq!(watch.cpus, last, "no node is bound to it");
}

#[test]
fn without_rt_no_wish_is_passed_on_and_none_is_checked() {
    let outcome = run(vec![controller("is refused")], options(RtMode::Off));
    assert_eq!(outcome.printed("controller"), ["told of rt: false"]);
    assert!(outcome.report().rt_table.is_none() && outcome.report().warnings.is_empty());
}

#[test]
fn a_node_that_says_nothing_but_has_nothing_is_found_out() {
    let outcome = run(vec![controller("plain")], options(RtMode::Strict));
    let error = outcome.result.as_ref().unwrap_err().to_string();
    assert!(error.contains("controller: scheduling"), "{error}");
    assert_eq!(outcome.printed("controller")[0], "told of rt: true");
}

#[test]
fn a_process_that_comes_back_with_less_is_found_out_too() {
    let mut node = controller("asks once");
    node.restart.policy = RestartPolicy::OnFailure;
    node.restart.max_restarts = 1;
    let outcome = run(vec![node], options(RtMode::BestEffort));
    let report = outcome.report();
    assert_eq!((report.failure(), report.nodes[0].restarts), (None, 1));
    let last = report.warnings.last().unwrap();
    assert!(last.contains("controller") && last.contains("has OTHER 0"), "{:?}", report.warnings);
    let table = report.rt_table.as_ref().unwrap();
    let problems: Vec<_> = table.problems.iter().filter(|p| p.node == "controller").collect();
    assert_eq!(problems.len(), 1, "those of the process that is there: {problems:?}");
    let main: Vec<_> = table.threads.iter().filter(|t| t.node == "controller" && t.ok.is_some()).collect();
    let tid = outcome.printed("controller").last().unwrap().replace("main thread ", "");
    assert!(main.len() == 1 && main[0].tid.to_string() == tid && main[0].ok == Some(false), "{main:?}");
}

#[test]
fn spinning_under_a_throttled_policy_is_warned_of() {
    let mut node = controller("is refused");
    node.rt.as_mut().unwrap().wait = WaitPolicy::Spin;
    let outcome = run(vec![node], options(RtMode::BestEffort));
    let throttled =
        std::fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us").is_ok_and(|t| t.trim() != "-1");
    assert_eq!(outcome.report().warnings.iter().any(|w| w.contains("sched_rt_runtime_us")), throttled);
}
