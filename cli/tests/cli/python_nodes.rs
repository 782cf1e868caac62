//! Python nodes as a user runs them: which interpreter, which pip, and where a traceback goes.
//!
//! The environments are made of scripts that say that they were called, so no Python is needed but for the last test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Ended, Project};

const FLOW: &str = "
nodes:
  - id: brain
    path: brain.py
    build: pip install -q think
";

/// A folder that looks like a virtual environment; `names` are programs in it that print who they are and their
/// arguments.
fn environment(project: &Project, folder: &str, names: &[&str]) -> PathBuf {
    let bin = project.path(folder).join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    for name in names {
        program(&bin.join(name), &format!("echo {folder}/{name} called with \"$@\""));
    }
    project.path(folder)
}

fn program(file: &Path, line: &str) {
    fs::write(file, format!("#!/bin/sh\n{line}\n")).expect("a script");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// `dora <args>`, with `venv` active and `elsewhere` in PATH before everything else.
fn dora(project: &Project, args: &[&str], venv: &Path, elsewhere: &Path) -> Ended {
    let path = std::env::var("PATH").expect("PATH");
    let mut command = project.command(args);
    command.env("VIRTUAL_ENV", venv).env("PATH", format!("{}:{path}", elsewhere.join("bin").display()));
    Ended::from(command.output().expect("dora starts"))
}

fn brain() -> Project {
    let project = Project::new(FLOW);
    fs::write(project.path("brain.py"), "").expect("brain.py");
    project
}

#[test]
fn build_lines_take_pip_from_the_active_environment_and_not_from_the_path() {
    let project = brain();
    let venv = environment(&project, "venv", &["python", "python3", "pip"]);
    let other = environment(&project, "other", &["python", "python3", "pip"]);
    let built = dora(&project, &["build", "flow.yml"], &venv, &other);
    assert_eq!(built.code, Some(0), "{built:?}");
    assert!(built.err.contains("brain: venv/python called with -m pip install -q think"), "{built:?}");
}

#[test]
fn environment_without_pip_fails_the_build_with_the_way_out_instead_of_installing_elsewhere() {
    let project = brain();
    let venv = environment(&project, "venv", &[]);
    program(&venv.join("bin/python"), "echo no module named pip >&2; exit 1");
    let other = environment(&project, "other", &["pip"]);
    let built = dora(&project, &["build", "flow.yml"], &venv, &other);
    assert_eq!(built.code, Some(1), "{built:?}");
    assert!(!built.err.contains("other/pip"), "{built:?}");
    for part in ["brain", "pip install -q think", "exit code 1", "--uv"] {
        assert!(built.err.contains(part), "`{part}` is missing: {built:?}");
    }
}

#[test]
fn nodes_run_in_the_interpreter_of_the_active_environment_or_through_uv() {
    let project = Project::new(&FLOW.replace("    build: pip install -q think\n", ""));
    fs::write(project.path("brain.py"), "").expect("brain.py");
    let venv = environment(&project, "venv", &["python3"]);
    let other = environment(&project, "other", &["python3", "uv"]);
    let run = dora(&project, &["run", "flow.yml"], &venv, &other);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("venv/python3 called with -u") && run.out.contains("brain.py"), "{run:?}");
    let run = dora(&project, &["run", "--uv", "flow.yml"], &venv, &other);
    assert!(run.out.contains("other/uv called with run python -u"), "{run:?}");
}

#[test]
fn traceback_of_a_failing_node_reaches_the_terminal_and_the_log_and_the_exit_code() {
    let found = Command::new("python3").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!("skipped: needs python3");
        return;
    }
    let project = brain();
    fs::write(project.path("brain.py"), "def think():\n    raise ValueError('no idea')\nthink()\n")
        .expect("brain.py");
    let run = project.dora(&["run", "flow.yml"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let parts = ["Traceback (most recent call last)", "brain.py\", line 2, in think", "ValueError: no idea"];
    for part in parts {
        assert!(run.out.contains(part), "`{part}` is not shown: {run:?}");
    }
    assert!(run.err.contains("brain") && run.err.contains("exited with code 1"), "{run:?}");
    let runs = fs::read_dir(project.path("out")).expect("out/").map(|entry| entry.expect("an entry").path());
    let logs: String =
        runs.map(|dir| fs::read_to_string(dir.join("log_brain.jsonl")).unwrap_or_default()).collect();
    for part in ["Traceback (most recent call last)", "ValueError: no idea"] {
        assert!(logs.contains(part), "`{part}` is not in the log: {logs}");
    }
}
