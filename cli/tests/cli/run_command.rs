//! `dora run` with shell nodes: what is shown where, how it is stopped, and what the exit code says.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ended, Project};

const SHORT: &str = "\
nodes:
  - id: talker
    path: shell
    args: echo hello; echo trouble >&2
";

/// Says `up` and waits. `trap` is what it does on SIGTERM.
fn waiter(trap: &str) -> Project {
    Project::new(&format!(
        "nodes:\n  - id: waiter\n    path: shell\n    args: \"trap '{trap}' TERM; echo up $$; while :; do sleep 0.05; done\"\n"
    ))
}

/// A running `dora`, the line with which the node says that it is up already read.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    node: Pid,
}

impl Running {
    fn start(project: &Project) -> Self {
        let mut child = project
            .command(&["run", "flow.yml", "--allow-shell-nodes"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dora starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let up = lines
            .by_ref()
            .map(|line| line.expect("stdout is text"))
            .find(|line| line.contains("waiter: up "))
            .expect("the node says that it is up");
        let pid = up.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a process id");
        Self { child, lines, node: Pid::from_raw(pid).expect("not zero") }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("dora still runs");
    }

    fn end(mut self) -> Ended {
        let out: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        let output = self.child.wait_with_output().expect("dora ends");
        let node_lives = rustix::process::test_kill_process(self.node).is_ok();
        assert!(!node_lives, "the node outlived dora");
        let code = output.status.code();
        Ended { code, out: out.join("\n"), err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}

#[test]
fn output_of_nodes_and_the_report_are_shown_on_stdout() {
    let ended = Project::new(SHORT).dora(&["run", "flow.yml", "--allow-shell-nodes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for word in ["stdout talker: hello\n", "talker: trouble\n", "flow: ran ", "talker  0 "] {
        assert!(ended.out.contains(word), "no `{word}` in: {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "no colours without a terminal");
}

#[test]
fn shell_nodes_need_permission_by_flag_or_environment() {
    let project = Project::new(SHORT);
    let ended = project.dora(&["run", "flow.yml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("flow.yml:2:") && ended.err.contains("--allow-shell-nodes"), "{}", ended.err);
    let mut allowed = project.command(&["run", "flow.yml"]);
    let ended = Ended::from(allowed.env("DORA_ALLOW_SHELL_NODES", "true").output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn json_report_is_alone_on_stdout_and_logs_are_on_stderr() {
    let args = ["run", "flow.yml", "--allow-shell-nodes", "--report", "json"];
    let ended = Project::new(SHORT).dora(&args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).expect("stdout is one JSON document");
    assert_eq!(report["nodes"][0]["node"], "talker");
    assert_eq!(report["nodes"][0]["exit"], "0");
    assert!(ended.err.contains("talker: hello\n"), "{}", ended.err);
}

#[test]
fn json_log_format_leaves_nothing_but_json_lines_on_stdout() {
    let args = ["run", "flow.yml", "--allow-shell-nodes", "--build", "--log-format", "json"];
    let ended = Project::new(&format!("{SHORT}    build: echo building\n")).dora(&args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<serde_json::Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(
        lines.iter().any(|line| line["message"] == "hello" && line["node_id"] == "talker"),
        "{}",
        ended.out
    );
    assert!(ended.err.contains("talker: building\n") && ended.err.contains("flow: ran "), "{}", ended.err);
}

#[test]
fn log_filter_hides_what_a_node_prints() {
    let args = ["run", "flow.yml", "--allow-shell-nodes", "--log-filter", "talker=warn,nobody=info"];
    let ended = Project::new(SHORT).dora(&args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.out.contains("talker: hello"), "{}", ended.out);
    assert!(ended.err.contains("node `nobody`, which is not in the dataflow"), "{}", ended.err);
}

#[test]
fn quiet_shows_nothing_that_nodes_print_and_the_files_have_it_all() {
    let yaml = format!("{SHORT}  - id: bad\n    path: shell\n    args: echo broken >&2; exit 3\n");
    let run = ["run", "flow.yml", "--allow-shell-nodes"];
    for (flag, variable) in
        [(&["--quiet"][..], None), (&[], Some("true")), (&["--report", "json"], Some("1"))]
    {
        let project = Project::new(&yaml);
        let mut command = project.command(&[&run[..], flag].concat());
        command.envs(variable.map(|value| ("DORA_QUIET", value)));
        let ended = Ended::from(command.output().expect("dora starts"));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let shown = format!("{}{}", ended.out, ended.err);
        assert!(!shown.contains("hello") && !shown.contains("trouble"), "{flag:?}: {shown}");
        let own = ["all nodes are ready", "node `bad` exited with code 3", "    | broken"];
        assert!(own.iter().all(|text| shown.contains(text)), "what dora says is shown: {shown}");
        let files = project.dora(&["logs", "--local"]).out;
        assert!(files.contains("hello") && files.contains("trouble") && files.contains("broken"), "{files}");
    }
    let project = Project::new(&yaml);
    let mut command = project.command(&run);
    let ended = Ended::from(command.env("DORA_QUIET", "false").output().expect("dora starts"));
    assert!(ended.out.contains("talker: hello"), "{ended:?}");
    let ended = Ended::from(command.env("DORA_QUIET", "perhaps").output().expect("dora starts"));
    assert!(ended.code == Some(2) && ended.err.contains("--quiet"), "{ended:?}");
}

#[test]
fn env_reaches_all_nodes_and_a_nodes_own_value_wins() {
    let project = Project::new(
        "\
env: { A: file, B: file }
nodes:
  - id: talker
    path: shell
    args: echo a=$A b=$B c=$C
    env: { C: node }
",
    );
    let flags = ["--env", "B=flag", "--env", "C=flag"];
    let ended = project.dora(&[&["run", "flow.yml", "--allow-shell-nodes"], &flags[..]].concat());
    assert!(ended.out.contains("talker: a=file b=flag c=node\n"), "{ended:?}");
}

#[test]
fn failed_node_is_exit_code_1_with_its_last_words() {
    let yaml = "nodes:\n  - id: bad\n    path: shell\n    args: echo cannot open arm >&2; exit 3\n";
    let ended = Project::new(yaml).dora(&["run", "flow.yml", "--allow-shell-nodes", "--report", "none"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in ["[ERROR]\n1 of 1 nodes failed\n", "  bad: ", "    | cannot open arm\n", "hint: "] {
        assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
    }
    assert!(!ended.out.contains("flow: ran"), "{}", ended.out);
}

#[test]
fn stop_after_ends_an_endless_dataflow_with_success() {
    let args = ["run", "flow.yml", "--allow-shell-nodes", "--stop-after", "300ms"];
    let ended = waiter("exit 0").dora(&args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("flow: ran "), "{}", ended.out);
}

#[test]
fn first_interrupt_stops_gracefully_and_is_success() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let project = waiter("echo bye; exit 0");
        let running = Running::start(&project);
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{signal:?}: {ended:?}");
        assert!(ended.out.contains("flow: ran "), "{signal:?}: {}", ended.out);
    }
}

#[test]
fn second_interrupt_ends_a_node_that_does_not_listen_and_is_success() {
    let project = waiter("echo deaf");
    let mut running = Running::start(&project);
    running.signal(Signal::INT);
    // Two signals of one kind at once are one signal: the second is for after dora has acted on the first.
    let stopping =
        running.lines.by_ref().map_while(Result::ok).find(|line| line.contains("stopping all nodes"));
    assert!(stopping.is_some(), "dora says what it does about the first interrupt");
    running.signal(Signal::INT);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("signal SIGKILL"), "{}", ended.out);
}
