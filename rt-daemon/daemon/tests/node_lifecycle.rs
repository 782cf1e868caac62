//! Whole runs with real processes: what nodes, their neighbours and the report see of each kind of end.

mod roles;
mod support;

use std::time::Duration;

use dora_daemon::{
    control::Control,
    options::{RunEvent, RunOptions},
};
use dora_protocol::{
    dataflow::{NodeKind, Source},
    log::LogLevel,
    node_link::VERSION,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use support::{Act, BEGIN, NodeExt, ROLE, hasty, node as role, patient, program_node, run, run_and};
use tokio::sync::mpsc;

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{BEGIN}");
    roles::play(&role);
    // Past the test harness, whose words would be among those of the node.
    std::process::exit(0);
}

#[test]
fn two_nodes_exchange_messages_and_the_report_counts_them() {
    let outcome =
        run(vec![role("a", "sender").output("out"), role("b", "receiver").reads("in", 0, 0)], patient());
    let report = outcome.report();
    assert_eq!(report.failure(), None, "{:#?}", outcome.events);
    let edge = &report.edges[0];
    assert_eq!((edge.from.as_str(), edge.to.as_str(), edge.policy), ("a/out", "b/in", "backpressure"));
    assert_eq!((edge.sent, edge.taken, edge.overwritten, edge.queued), (100, 100, 0, 0));
    assert_eq!((edge.latency.count, report.nodes[0].outputs[0].sent), (100, 100));
    assert!(report.start_ms.unwrap() > 0.0 && report.first_message_ms.unwrap() >= report.start_ms.unwrap());
    assert_eq!(outcome.printed("b"), ["received 100", "closed 0"]);
    assert!(outcome.printed("a").contains(&"reader gone 0 0".to_owned()));
    assert!(outcome.node("b").max_rss_mb > 0.0 && outcome.node("b").exit == "0");
}

#[test]
fn a_missing_program_is_refused_before_anything_starts() {
    let mut missing = program_node("b", "no-such-program", vec![]).reads("in", 0, 0);
    missing.build = vec!["cargo build".into()];
    let outcome = run(vec![role("a", "speaker").output("out"), missing], patient());
    let text = outcome.result.as_ref().unwrap_err().to_string();
    for part in ["flow.yml:3:5", "`b`", "no-such-program", "dora build"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!outcome.folder.path().join("out").exists(), "nothing was started");
}

#[test]
fn a_file_that_is_no_program_fails_its_node_and_the_others_run_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noise");
    std::fs::write(&file, [0x7f, 1, 2, 3]).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let broken = program_node("a", &file.display().to_string(), vec![]).output("out");
    let outcome = run(vec![broken, role("b", "listener").reads("in", 0, 0)], patient());
    let error = outcome.node("a").error.clone().unwrap();
    assert!(error.contains("failed to start") && error.contains("architecture"), "{error}");
    assert_eq!(outcome.node("b").error, None);
    assert!(
        outcome.printed("b")[0].starts_with("failed a [0] failed to start"),
        "{:?}",
        outcome.printed("b")
    );
}

#[test]
fn a_node_that_exits_at_once_completes_the_barrier_and_its_reader_learns_why() {
    let outcome = run(
        vec![role("a", "exits at once").output("out"), role("b", "listener").reads("in", 0, 0)],
        patient(),
    );
    let failed = outcome.node("a");
    assert_eq!(failed.error.as_deref(), Some("exited with code 3 before it connected to dora"));
    assert!(failed.stderr_tail.iter().any(|l| l == "no camera found"), "{:?}", failed.stderr_tail);
    assert_eq!(
        outcome.printed("b"),
        ["failed a [0] exited with code 3 before it connected to dora", "closed 0"]
    );
    assert_eq!(outcome.report().failure().unwrap().matches(": ").count(), 1);
}

#[test]
fn a_node_that_never_connects_is_killed_after_its_startup_timeout() {
    let mut silent = role("a", "never connects").output("out");
    silent.startup_timeout = Some(Duration::from_millis(300));
    let outcome = run(vec![silent, role("b", "listener").reads("in", 0, 0)], patient());
    let failed = outcome.node("a");
    assert!(failed.error.as_ref().unwrap().contains("startup_timeout of 300ms"), "{failed:?}");
    assert_eq!(failed.exit, "signal SIGKILL");
    assert_eq!(outcome.printed("b").last().unwrap(), "closed 0");
}

#[test]
fn dependents_of_a_killed_node_learn_it_and_run_on() {
    let outcome = run_and(
        vec![role("a", "speaker").output("out"), role("b", "listener").reads("in", 0, 0)],
        patient(),
        Act::KillPrinted,
    );
    assert_eq!(outcome.node("a").error.as_deref(), Some("ended by signal SIGKILL"));
    assert_eq!(outcome.printed("b"), ["failed a [0] ended by signal SIGKILL", "closed 0"]);
    assert_eq!(outcome.node("b").error, None);
}

#[test]
fn a_reader_that_was_killed_is_taken_off_its_sender() {
    let outcome = run_and(
        vec![role("a", "sender").output("out"), role("b", "speaker").output("o").reads("in", 0, 0)],
        patient(),
        Act::KillPrinted,
    );
    assert_eq!(outcome.printed("a").last().unwrap(), "reader gone 0 0");
    assert_eq!(outcome.report().failure().unwrap(), "b: ended by signal SIGKILL");
}

#[test]
fn garbage_on_the_socket_disconnects_that_node_only() {
    let outcome =
        run(vec![role("a", "garbage").output("out"), role("b", "listener").reads("in", 0, 0)], patient());
    let error = outcome.node("a").error.clone().unwrap();
    assert!(error.contains("sent a frame of 4294967295 bytes"), "{error}");
    assert!(outcome.system().iter().any(|t| t.contains("node `a`") && t.contains("disconnected")));
    assert_eq!(outcome.node("b").error, None);
    assert_eq!(outcome.printed("b").last().unwrap(), "closed 0");
}

#[test]
fn another_version_is_refused_and_both_are_named() {
    let outcome = run(vec![role("a", "wrong version").output("out")], patient());
    let error = outcome.node("a").error.clone().unwrap();
    assert!(
        error.contains(&format!("version {}", VERSION + 1)) && error.contains(&format!("version {VERSION}"))
    );
    assert_eq!(outcome.printed("a"), [format!("refused: {error}")]);
}

#[test]
fn stop_after_reaches_every_node_as_an_event() {
    let options = RunOptions { stop_after: Some(Duration::from_millis(50)), ..patient() };
    let outcome = run(vec![role("a", "storer").output("o"), role("b", "listener")], options);
    assert_eq!(outcome.report().failure(), None);
    assert_eq!(outcome.printed("a"), ["reply 1 Ok(None)", "stop"]);
    assert_eq!(outcome.printed("b"), ["stop"]);
}

#[test]
fn a_node_that_ignores_stop_and_sigterm_is_killed_and_reported_as_such() {
    let outcome = run_and(
        vec![role("a", "deaf").output("o")],
        hasty(),
        Act::OnLine("running", || Control::Stop { grace: None }),
    );
    let node = outcome.node("a");
    assert_eq!(node.exit, "signal SIGKILL");
    assert!(node.error.as_ref().unwrap().contains("killed by dora"), "{node:?}");
    let steps: Vec<_> = ["stopping", "SIGTERM", "sending SIGKILL"]
        .map(|w| outcome.system().iter().position(|t| t.contains(w)))
        .into();
    assert!(steps.is_sorted() && steps.iter().all(Option::is_some), "{:?}", outcome.system());
}

#[test]
fn the_second_request_kills_at_once_and_is_no_failure() {
    let outcome = run_and(
        vec![role("a", "deaf").output("o"), role("b", "listener").reads("in", 0, 0)],
        patient(),
        Act::OnLine("running", || Control::Kill),
    );
    assert_eq!(outcome.node("a").exit, "signal SIGKILL");
    assert_eq!(outcome.report().failure(), None, "{:#?}", outcome.report().nodes);
}

#[test]
fn what_failed_before_the_user_killed_it_stays_a_failure() {
    let outcome = run_and(
        vec![role("a", "exits at once").output("out"), role("b", "hangs when told").reads("in", 0, 0)],
        patient(),
        Act::OnLine("running", || Control::Kill),
    );
    let failure = outcome.report().failure().unwrap();
    assert_eq!(failure, "a: exited with code 3 before it connected to dora");
}

#[test]
fn a_stop_before_the_start_ends_nodes_that_wait_for_it() {
    let mut silent = role("a", "never connects").output("out");
    silent.env.insert("X".into(), dora_protocol::dataflow::EnvValue::Text("y".into()));
    let printer = program_node("c", "sh", vec!["-c".into(), "echo up".into()]);
    let outcome = run_and(
        vec![silent, role("b", "listener").reads("in", 0, 0), printer],
        patient(),
        Act::OnLine("up", || Control::Stop { grace: None }),
    );
    assert_eq!(outcome.report().failure(), None, "{:#?}", outcome.report().nodes);
    assert_eq!((outcome.node("a").exit.as_str(), outcome.report().start_ms), ("signal SIGTERM", None));
}

#[test]
fn what_nodes_print_is_read_shown_and_kept() {
    let outcome = run(vec![role("a", "talker").output("o")], patient());
    let mut printed = outcome.printed("a");
    printed.sort();
    assert_eq!(printed, ["bad \u{fffd} byte", "last without newline", "plain", "structured", "to stderr"]);
    let file = std::fs::read_to_string(outcome.log_file("a")).unwrap();
    let lines = file.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let texts = ["plain", "structured", "to stderr", "bad \u{fffd} byte", "last without newline"];
    let lines: Vec<_> = lines.filter(|l| texts.iter().any(|t| l["message"] == *t)).collect();
    assert_eq!(lines.len(), 5);
    let structured = lines.iter().find(|l| l["message"] == "structured").unwrap();
    assert_eq!((&structured["level"], &structured["fields"]["a"]), (&"info".into(), &1.into()));
    assert_eq!(lines.iter().filter(|l| l["stream"] == "stderr").count(), 1);
}

#[test]
fn lines_below_the_minimum_level_are_not_kept() {
    let mut quiet = role("a", "talker").output("o");
    quiet.log.min_level = Some(LogLevel::Info);
    let outcome = run(vec![quiet], patient());
    assert_eq!(outcome.printed("a"), ["structured"]);
    assert_eq!(std::fs::read_to_string(outcome.log_file("a")).unwrap().lines().count(), 1);
}

#[test]
fn a_log_input_gets_the_lines_of_others_and_closes_when_they_have_ended() {
    let logs = Source::Logs { level: LogLevel::Info, node: None };
    let outcome =
        run(vec![role("a", "talker").output("o"), role("b", "listener").input("logs", logs)], patient());
    assert_eq!(outcome.printed("b"), ["closed 0"]);
    let edge = &outcome.report().edges[0];
    assert_eq!((edge.from.as_str(), edge.sent), ("dora/logs", 1));
}

#[test]
fn printed_lines_can_be_an_output() {
    let mut talker = role("a", "talker").output("o");
    talker.log.stdout_as = Some("o".into());
    let mut reader = role("b", "prints what it reads").reads("in", 0, 0);
    reader.inputs[0].queue_size = 100;
    let outcome = run(vec![talker, reader], patient());
    let printed = outcome.printed("b");
    for line in ["closed 0", "read plain", "read to stderr", "read last without newline"] {
        assert!(printed.iter().any(|p| p == line), "{printed:?}");
    }
}

#[test]
fn an_output_of_printed_lines_ends_with_the_last_line_and_not_when_the_node_closes_its_outputs() {
    let mut talker = role("a", "talks to the end").output("o");
    talker.log.stdout_as = Some("o".into());
    let mut reader = role("b", "prints what it reads").reads("in", 0, 0);
    reader.inputs[0].queue_size = 100;
    let outcome = run(vec![talker, reader], patient());
    let printed = outcome.printed("b");
    for line in ["closed 0", "read first", "read last words"] {
        assert!(printed.iter().any(|p| p == line), "`{line}` is missing: {printed:?}");
    }
}

#[test]
fn shell_nodes_end_the_start_barrier_by_their_exit() {
    let mut shell = program_node("s", "", vec![]).output("out");
    shell.kind = NodeKind::Shell { command: "echo hello; sleep 0.1".into() };
    let options = RunOptions { allow_shell_nodes: true, ..patient() };
    let outcome = run(vec![shell, role("b", "listener").reads("in", 0, 0)], options);
    assert_eq!(outcome.report().failure(), None);
    assert_eq!((outcome.printed("s"), outcome.printed("b")), (vec!["hello".into()], vec!["closed 0".into()]));
}

#[test]
fn nothing_that_a_node_started_stays_behind() {
    let outcome = run(vec![role("a", "leaves children").output("o")], patient());
    let children: Vec<i32> =
        outcome.printed("a").iter().filter_map(|l| l.strip_prefix("child ")?.parse().ok()).collect();
    assert_eq!(children.len(), 2);
    for child in children {
        let pid = Pid::from_raw(child).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        assert!(test_kill_process(pid).is_err(), "process {child} is still there: {status}");
    }
}

#[test]
fn a_cascade_names_the_node_that_began_it() {
    let outcome = run_and(
        vec![
            role("a", "speaker").output("out"),
            role("b", "fails when told").reads("in", 0, 0),
            role("c", "listener").reads("in", 0, 0),
        ],
        patient(),
        Act::KillPrinted,
    );
    assert_eq!(outcome.node("b").caused_by.as_deref(), Some("a"));
    assert_eq!(outcome.node("c").caused_by, None);
}

#[test]
fn a_node_behind_a_wrapper_takes_part() {
    let mut node = role("a", "exits in order").output("out");
    let NodeKind::Executable { path, args } = &node.kind else { panic!() };
    let line = format!("{path} {}; exit $?", args.join(" "));
    node.kind = NodeKind::Executable { path: "sh".into(), args: vec!["-c".into(), line] };
    let outcome = run(vec![node, role("b", "listener").reads("in", 0, 0)], patient());
    assert_eq!((outcome.report().failure(), outcome.printed("b")), (None, vec!["closed 0".into()]));
}

#[test]
fn a_straggler_is_stopped_after_its_finish_grace() {
    let mut lingers = role("b", "lingers").reads("in", 0, 0);
    lingers.finish_grace = Some(Duration::from_millis(50));
    let outcome = run(vec![role("a", "exits in order").output("out"), lingers], patient());
    assert_eq!(outcome.printed("b"), ["closed 0", "stop"]);
    assert!(outcome.system().iter().any(|t| t.contains("lingers")));
    assert_eq!(outcome.report().failure(), None);
}

#[test]
fn a_node_that_hangs_in_a_handler_is_killed_and_one_that_waits_is_not() {
    let watched = |id, role_name| {
        let mut node = role(id, role_name).output("o");
        node.health_check_timeout = Some(Duration::from_millis(100));
        node
    };
    let outcome = run(vec![watched("a", "hangs in a handler"), watched("b", "waits")], patient());
    let error = outcome.node("a").error.as_ref().unwrap();
    assert!(error.contains("health check: silent for"), "{error}");
    assert!(error.contains("health_check_timeout of 100ms"), "{error}");
    assert_eq!((outcome.node("a").exit.as_str(), &outcome.node("b").error), ("signal SIGKILL", &None));
}

#[test]
fn a_handler_far_past_its_deadline_is_warned_of() {
    let mut slow = role("a", "hangs in a handler").input("t", Source::Timer { period_ns: 1_000_000 });
    slow.inputs[0].deadline = Some(Duration::from_millis(1));
    let options = RunOptions { stop_after: Some(Duration::from_millis(400)), ..hasty() };
    let outcome = run(vec![slow], options);
    let told = |text: &&String| text.contains("node `a` has been in one handler for ");
    assert_eq!(outcome.system().iter().filter(told).count(), 1, "{:?}", outcome.system());
}

#[test]
fn dropping_the_run_ends_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let flow = support::dataflow(vec![role("a", "deaf").output("o")], folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_stop, stops) = mpsc::unbounded_channel();
    let (sender, mut events) = mpsc::channel(100);
    let pidfd = runtime.block_on(async {
        let run = dora_daemon::run(flow, patient(), stops, sender);
        tokio::pin!(run);
        loop {
            tokio::select! {
                result = &mut run => panic!("{result:?}"),
                Some(event) = events.recv() => {
                    let RunEvent::Log { message, .. } = event else { continue };
                    if let Some(pid) = message.message.strip_prefix("pid ") {
                        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
                        break pidfd_open(pid, PidfdFlags::empty()).unwrap();
                    }
                }
            }
        }
    });
    assert!(support::ends(&pidfd));
}
