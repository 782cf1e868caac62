//! `dora logs --local` on what `dora run` wrote, and on files that are still written to.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Ended, Project};

const FLOW: &str = "\
nodes:
  - id: camera
    path: shell
    args: |
      echo opened; sleep 0.05; echo '{\"level\":\"error\",\"timestamp\":\"2099-01-01T00:00:00Z\",\"message\":\"lens TIMEOUT\",\"target\":\"usb\"}'
  - id: arm
    path: shell
    args: echo moved >&2
";

fn ran() -> Project {
    let project = Project::new(FLOW);
    let ended = project.dora(&["run", "flow.yml", "--allow-shell-nodes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    project
}

/// The messages, in the order shown.
fn messages(ended: &Ended) -> Vec<String> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines =
        ended.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object per line"));
    lines.map(|line| line["message"].as_str().expect("a message").to_owned()).collect()
}

fn logs(project: &Project, flags: &[&str]) -> Vec<String> {
    let args = [&["logs", "--local", "--log-format", "json"], flags].concat();
    messages(&project.dora(&args))
}

/// `out/<uuid>` with this log of node `n`.
fn with_log(uuid: &str, lines: &str) -> (Project, PathBuf) {
    let project = Project::new("");
    let folder = project.path("out").join(uuid);
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("log_n.jsonl");
    fs::write(&file, lines).expect("a log");
    (project, file)
}

const UUID: &str = "01990000-0000-7000-8000-000000000001";

#[test]
fn files_of_a_run_are_merged_and_every_filter_narrows_them() {
    let project = ran();
    let all = logs(&project, &[]);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(all.last().map(String::as_str), Some("lens TIMEOUT"), "by time: {all:?}");
    assert_eq!(logs(&project, &["--all-nodes"]), all);
    for (flags, expected) in [
        (&["camera"][..], &["opened", "lens TIMEOUT"][..]),
        (&["--node", "arm"], &["moved"]),
        (&["--level", "warn"], &["lens TIMEOUT"]),
        (&["--level", "error", "--log-filter", "arm=stdout"], &["moved", "lens TIMEOUT"]),
        (&["--grep", "timeout"], &["lens TIMEOUT"]),
        (&["--grep", "USB"], &["lens TIMEOUT"]),
        (&["--grep", "ARM"], &["moved"]),
        (&["--tail", "1"], &["lens TIMEOUT"]),
        (&["camera", "--tail", "1"], &["lens TIMEOUT"]),
        (&["--until", "1h"], &[]),
        (&["--since", "1h", "--until", "0"], &["opened", "moved"]),
    ] {
        let mut shown = logs(&project, flags);
        let mut expected = expected.to_vec();
        if flags.contains(&"--until") {
            // Both nodes print at about the same time.
            shown.sort();
            expected.sort();
        }
        assert_eq!(shown, expected, "{flags:?}");
    }
}

#[test]
fn restarts_stand_among_the_lines_of_the_node_and_are_shown_as_doras() {
    let project = Project::new(
        "nodes:\n  - id: camera\n    path: shell\n    restart_policy: on-failure\n    max_restarts: 1\n    args: echo opened; exit 3\n",
    );
    let ran = project.dora(&["run", "flow.yml", "--allow-shell-nodes", "--log-format", "compact"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let again = "node `camera` exited with code 3; starting it again (restart 1)";
    let given_up = "node `camera` exited with code 3; not started again after 1 restarts (max_restarts)";
    assert!(ran.out.contains(&format!(" WARN [dora]: {again}\n")), "{ran:?}");
    assert_eq!(logs(&project, &[]), ["opened", again, "opened", given_up]);
    assert_eq!(logs(&project, &["camera", "--level", "warn"]), [again, given_up]);
    let shown = project.dora(&["logs", "--local", "camera", "--level", "error", "--log-format", "pretty"]);
    assert!(shown.out.ends_with(&format!(" ERROR  [dora] {given_up}\n")), "{shown:?}");
}

#[test]
fn formats_and_environment_are_those_of_run() {
    let project = ran();
    let compact = project.dora(&["logs", "--local", "camera", "--log-format", "compact", "--level", "error"]);
    assert!(compact.out.ends_with(" ERROR camera: lens TIMEOUT\n"), "{compact:?}");
    let mut command = project.command(&["logs", "--local", "--level", "stdout"]);
    command.envs([
        ("DORA_LOG_FORMAT", "compact"),
        ("DORA_LOG_LEVEL", "error"),
        ("DORA_LOG_FILTER", "camera=error"),
    ]);
    let ended = Ended::from(command.output().expect("dora starts"));
    assert_eq!(ended.out.lines().count(), 2, "the flag wins over DORA_LOG_LEVEL: {ended:?}");
    command.env("DORA_LOG_LEVEL", "loud");
    let ended = Ended::from(command.env_remove("x").args(["--tail", "1"]).output().expect("dora starts"));
    assert_eq!(ended.code, Some(0), "a flag that was given makes its variable unread: {ended:?}");
    let mut command = project.command(&["logs", "--local"]);
    let ended = Ended::from(command.env("DORA_LOG_LEVEL", "loud").output().expect("dora starts"));
    assert_eq!(ended.code, Some(2), "never a silent default: {ended:?}");
}

#[test]
fn rotated_files_are_read_from_the_oldest_on() {
    let lines = "for i in $(seq 1 60); do echo line $i of a log that is rotated; done";
    let project = Project::new(&format!(
        "nodes:\n  - id: talker\n    path: shell\n    max_log_size: 1KB\n    max_rotated_files: 100\n    args: \"{lines}\"\n"
    ));
    assert_eq!(project.dora(&["run", "flow.yml", "--allow-shell-nodes"]).code, Some(0));
    let folder = fs::read_dir(project.path("out"))
        .expect("out/")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.is_dir());
    let files = fs::read_dir(folder.expect("a dataflow")).expect("a folder").count();
    assert!(files > 3, "nothing was rotated: {files} files");
    let expected: Vec<String> = (1..=60).map(|i| format!("line {i} of a log that is rotated")).collect();
    assert_eq!(logs(&project, &["talker"]), expected);
    assert_eq!(logs(&project, &["talker", "--tail", "25"]), expected[35..]);
}

#[test]
fn following_shows_what_comes_across_a_rotation_and_ends_well_with_control_c() {
    let entry = |text: &str| format!("{{\"level\":\"info\",\"node_id\":\"n\",\"message\":\"{text}\"}}\n");
    let (project, file) = with_log(UUID, &(entry("old") + &entry("last")));
    let mut child = project
        .command(&["logs", "--local", "n", "--follow", "--tail", "1", "--log-format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("dora starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut next =
        || serde_json::from_str::<Value>(&lines.next().expect("a line")).expect("JSON")["message"].clone();
    assert_eq!(next(), "last");
    let append = |text: &str| {
        let mut file = File::options().create(true).append(true).open(&file).expect("the log");
        file.write_all(text.as_bytes()).expect("written");
    };
    append(&entry("first"));
    assert_eq!(next(), "first");
    append(entry("half").split_at(20).0);
    append(entry("half").split_at(20).1);
    fs::rename(&file, file.with_file_name("log_n.1.jsonl")).expect("rotated");
    append(&entry("after"));
    assert_eq!([next(), next()], ["half", "after"]);
    kill_process(Pid::from_child(&child), Signal::INT).expect("dora still runs");
    assert_eq!(child.wait().expect("dora ends").code(), Some(0));
}

#[test]
fn what_is_not_there_is_an_error_that_names_what_is() {
    let nothing = Project::new("").dora(&["logs", "--local"]);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.contains("out") && nothing.err.contains("hint:"), "{nothing:?}");
    let (project, _) = with_log(UUID, "{}\n");
    let node = project.dora(&["logs", "--local", "camera"]);
    assert_eq!(node.code, Some(1));
    assert!(node.err.contains("`camera`") && node.err.contains("logs of n"), "{node:?}");
    let dataflow = project.dora(&["logs", "--local", "robot", "n"]);
    assert!(dataflow.code == Some(1) && dataflow.err.contains(UUID), "{dataflow:?}");
}

#[test]
fn a_reader_who_has_seen_enough_ends_the_command_without_an_error() {
    let line = "{\"level\":\"info\",\"message\":\"a line that fills the pipe\"}\n";
    let (project, _) = with_log(UUID, &line.repeat(20_000));
    let mut child = project
        .command(&["logs", "--local"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dora starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    let ended = Ended::from(child.wait_with_output().expect("dora ends"));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
}

#[test]
fn without_a_coordinator_logs_come_from_the_files_that_are_here() {
    let (project, _) = with_log(UUID, "{\"level\":\"info\",\"message\":\"kept\"}\n");
    let ended = project.dora(&["logs", "--log-format", "json", "--coordinator-port", "9"]);
    assert_eq!(messages(&ended), ["kept"]);
    assert!(ended.err.contains("no coordinator at 127.0.0.1:9"), "{ended:?}");
}
