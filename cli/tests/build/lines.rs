//! Build lines: what runs beside what, what a failure says, and how a build ends.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    eventually, lives,
    repository::Repository,
    support::{Ended, Project},
    text,
};

/// Nodes without a program to speak of, with these build lines.
fn flow(nodes: &[(&str, &str)]) -> String {
    let node = |(id, build): &(&str, &str)| {
        format!(
            "  - id: {id}\n    path: shell\n    args: 'true'\n    build: |\n      {}\n",
            build.replace('\n', "\n      ")
        )
    };
    format!("nodes:\n{}", nodes.iter().map(node).collect::<String>())
}

/// Says that it is there and waits for the other: only possible when both run at the same time.
fn meet(own: &str, other: &str) -> String {
    format!("sh -c 'touch {own}; for i in $(seq 600); do test -e {other} && exit 0; sleep 0.1; done; exit 9'")
}

fn single_core() -> bool {
    std::thread::available_parallelism().map_or(1, usize::from) < 2
}

#[test]
fn nodes_that_share_a_folder_are_built_one_after_the_other_in_the_order_of_the_file() {
    let project = Project::new(&flow(&[
        ("a", "sh -c 'echo a1 >> log; sleep 0.3'\nsh -c 'echo a2 >> log'"),
        ("b", "sh -c 'echo b1 >> log'"),
        ("c", "sh -c 'echo c1 >> log'"),
    ]));
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "built flow: 4 commands\n"), "{ended:?}");
    assert_eq!(text(project.path("log")), "a1\na2\nb1\nc1\n");
}

#[test]
fn with_parallel_nodes_of_one_folder_are_built_side_by_side() {
    if single_core() {
        println!("skipped: needs two cores");
        return;
    }
    let project = Project::new(&flow(&[("a", &meet("a", "b")), ("b", &meet("b", "a"))]));
    let ended = project.dora(&["build", "--parallel", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn clones_are_built_side_by_side_without_being_asked_to() {
    if single_core() {
        println!("skipped: needs two cores");
        return;
    }
    let (one, two) = (Repository::new("one"), Repository::new("two"));
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name).display().to_string();
    let node = |id: &str, url: &str, build: &str| {
        format!("  - id: {id}\n    git: {url}\n    path: ./tool\n    build: {build}\n")
    };
    let project = Project::new(&format!(
        "nodes:\n{}{}",
        node("a", &one.url(), &meet(&file("a"), &file("b"))),
        node("b", &two.url(), &meet(&file("b"), &file("a")))
    ));
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn failing_line_ends_what_runs_beside_it_and_its_last_lines_are_in_the_error() {
    if single_core() {
        println!("skipped: needs two cores");
        return;
    }
    let project = Project::new(&flow(&[
        ("slow", "sh -c 'echo $$ > pid; sleep 600'\ntouch after"),
        (
            "bad",
            "sh -c 'while ! test -s pid; do sleep 0.05; done; seq 100; echo no such header: arm.h >&2; exit 3'",
        ),
    ]));
    let ended = project.dora(&["build", "--parallel", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let error = ended.err.split("[ERROR]").nth(1).expect("an error");
    for word in ["node `bad`", "exit code 3", "its last lines:", "  no such header: arm.h", "\n  100\n"] {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
    assert!(!error.contains("\n  50\n"), "only the last lines: {error}");
    assert!(ended.err.contains("bad: 50\n"), "everything was shown as it came");
    assert!(!lives(&text(project.path("pid"))), "the other node's command still runs");
    assert!(!project.path("after").exists());
}

#[test]
fn interrupt_ends_the_command_with_everything_it_started() {
    let line = "sh -c 'sleep 600 & echo $! > child; echo $$ > leader; wait'";
    for signal in ["INT", "TERM"] {
        let project = Project::new(&flow(&[("a", &format!("{line}\ntouch after"))]));
        let dora = project
            .command(&["build", "flow.yml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dora starts");
        eventually("the build line never began", || !text(project.path("leader")).is_empty());
        let (leader, child) = (text(project.path("leader")), text(project.path("child")));
        assert!(lives(&leader) && lives(&child));
        let killed = Command::new("kill").args([format!("-{signal}"), dora.id().to_string()]).status();
        assert!(killed.expect("kill").success());
        let ended = Ended::from(dora.wait_with_output().expect("dora ends"));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("interrupted"), "{ended:?}");
        eventually("the command outlived the build", || !lives(&leader));
        eventually("what the command started outlived the build", || !lives(&child));
        assert!(!project.path("after").exists());
    }
}

#[test]
fn command_that_ignores_the_request_is_killed() {
    let project =
        Project::new(&flow(&[("a", "sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done'")]));
    let dora = project.command(&["build", "flow.yml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut dora = dora.expect("dora starts");
    eventually("the build line never began", || !text(project.path("pid")).is_empty());
    assert!(Command::new("kill").args(["-INT", &dora.id().to_string()]).status().expect("kill").success());
    assert_eq!(dora.wait().expect("dora ends").code(), Some(1));
    let pid = text(project.path("pid"));
    eventually("it still runs", || !lives(&pid));
}

#[test]
fn line_that_leaves_a_server_behind_does_not_hang_the_build() {
    let project = Project::new(&flow(&[("a", "sh -c 'sleep 600 & echo $! > pid; echo started'")]));
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("a: started"), "{ended:?}");
    let pid = text(project.path("pid"));
    assert!(lives(&pid), "a line may start a compiler cache");
    assert!(Command::new("kill").arg(pid.trim()).status().expect("kill").success());
}

#[test]
fn line_has_no_terminal_to_ask_on() {
    let line = "sh -c 'echo $$ > pid; cut -d\" \" -f6,7 /proc/$$/stat > session; cat'";
    let project = Project::new(&flow(&[("a", line)]));
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let pid = text(project.path("pid"));
    assert_eq!(
        text(project.path("session")).trim(),
        format!("{} 0", pid.trim()),
        "its session, and its terminal"
    );
}

#[test]
fn quotes_that_do_not_match_are_all_told_before_any_line_runs() {
    let project = Project::new(&flow(&[("a", "touch built\necho 'oops"), ("b", "echo \"oops")]));
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in ["flow.yml:2:", "node `a`", "node `b`", "unbalanced quote"] {
        assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
    }
    assert!(!project.path("built").exists());
}

#[test]
fn long_and_binary_output_is_passed_on_in_parts() {
    let line = "sh -c 'head -c 300000 /dev/zero | tr \"\\\\0\" x; echo; printf \"a\\\\377b\\\\n 10%%\\\\r 99%%\\\\n\"'";
    let project = Project::new(&flow(&[("a", line)]));
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.err.matches('x').count(), 300_000 + line.matches('x').count());
    assert!(ended.err.contains("a: a\u{fffd}b\n") && ended.err.contains("a:  99%\n"), "not as expected");
}

#[test]
fn other_build_in_the_folder_is_waited_for() {
    let repository = Repository::new("one");
    let project =
        Project::new(&format!("nodes:\n  - id: arm\n    git: {}\n    path: ./tool\n", repository.url()));
    fs::create_dir_all(project.path(".dora")).unwrap();
    let lock = fs::File::create(project.path(".dora/lock")).unwrap();
    lock.lock().unwrap();
    let dora = project.command(&["build", "flow.yml"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut dora = dora.expect("dora starts");
    let mut said = String::new();
    let pipe = dora.stderr.as_mut().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(pipe), &mut said).unwrap();
    assert!(said.contains("another build works in"), "{said}");
    assert!(!project.path(".dora/git").exists());
    drop(lock);
    let ended = dora.wait_with_output().unwrap();
    assert!(ended.status.success() && project.path(".dora/git").is_dir());
}

#[test]
fn types_that_do_not_fit_are_a_warning_and_with_strict_types_an_error_before_any_line_runs() {
    let project = Project::new(
        "nodes:
  - id: a
    path: shell
    args: 'true'
    build: touch built
    outputs: [x]
    output_types: { x: std/core/v1/String }
  - id: b
    path: shell
    args: 'true'
    inputs: { x: a/x }
    input_types: { x: std/core/v1/UInt64 }
",
    );
    let strict = project.dora(&["build", "--strict-types", "flow.yml"]);
    assert!(strict.code == Some(1) && strict.err.contains("[ERROR]"), "{strict:?}");
    assert!(!project.path("built").exists());
    let lax = project.dora(&["build", "flow.yml"]);
    assert!(lax.code == Some(0) && lax.err.contains("warning"), "{lax:?}");
    assert!(project.path("built").exists());
}
