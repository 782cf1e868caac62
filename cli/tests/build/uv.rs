//! `--uv`: environments of their own. `uv` is a script that says what it was asked to do, so none has to be installed.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{Ended, Project};

const FLOW: &str = "
nodes:
  - id: brain
    path: brain.py
    build: pip install -q think
";

/// Makes environments with an interpreter that names itself, and names the environment it is asked to install into.
const UV: &str = r#"#!/bin/sh
if test "$1" = venv; then
  mkdir -p "$2/bin"
  printf '#!/bin/sh\necho "interpreter of $VIRTUAL_ENV got $2, first in PATH is ${PATH%%%%:*}"\n' > "$2/bin/python"
  chmod +x "$2/bin/python"
fi
echo "uv $1 $2 $3 $4 for $VIRTUAL_ENV"
"#;

fn project() -> Project {
    let project = Project::new(FLOW);
    fs::write(project.path("brain.py"), "").unwrap();
    fs::create_dir(project.path("bin")).unwrap();
    fs::write(project.path("bin/uv"), UV).unwrap();
    fs::set_permissions(project.path("bin/uv"), fs::Permissions::from_mode(0o755)).unwrap();
    project
}

fn dora(project: &Project, args: &[&str]) -> Ended {
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    Ended::from(project.command(args).env("PATH", path).env_remove("VIRTUAL_ENV").output().unwrap())
}

fn environment(project: &Project) -> String {
    let folder = fs::canonicalize(project.path(".")).unwrap();
    folder.join(".dora/python-envs/brain").display().to_string()
}

#[test]
fn python_node_with_build_lines_gets_an_environment_and_runs_in_it() {
    let project = project();
    let built = dora(&project, &["build", "--uv", "flow.yml"]);
    assert_eq!((built.code, built.out.as_str()), (Some(0), "built flow: 1 command\n"), "{built:?}");
    let environment = environment(&project);
    let expected = format!("brain: uv pip install -q think for {environment}");
    assert!(built.err.contains(&expected), "{built:?}");
    let run = dora(&project, &["run", "--uv", "flow.yml"]);
    let expected = format!("interpreter of {environment} got");
    assert!(run.code == Some(0) && run.out.contains(&expected), "{run:?}");
    assert!(run.out.contains(&format!("brain.py, first in PATH is {environment}/bin")), "{run:?}");
}

#[test]
fn environment_is_kept_on_later_builds_and_made_anew_when_it_was_left_half_made() {
    let project = project();
    let folder = project.path(".dora/python-envs/brain");
    fs::create_dir_all(folder.join("lib")).unwrap();
    assert_eq!(dora(&project, &["build", "--uv", "flow.yml"]).code, Some(0));
    assert!(!folder.join("lib").exists(), "a folder without interpreter is no environment");
    fs::write(folder.join("installed"), "").unwrap();
    let built = dora(&project, &["build", "--uv", "flow.yml"]);
    assert!(built.code == Some(0) && !built.err.contains("uv venv"), "{built:?}");
    assert!(folder.join("installed").exists());
}

#[test]
fn node_whose_environment_is_missing_asks_for_a_build() {
    let project = project();
    let run = dora(&project, &["run", "--uv", "flow.yml"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    for word in ["flow.yml:3:", "node `brain`", ".dora/python-envs/brain", "dora build --uv"] {
        assert!(run.err.contains(word), "no `{word}` in: {}", run.err);
    }
}

#[test]
fn uv_that_is_not_installed_is_said_before_any_line_runs() {
    let project = project();
    fs::remove_file(project.path("bin/uv")).unwrap();
    let command = project.command(&["build", "--uv", "flow.yml"]).env("PATH", project.path("bin")).output();
    let ended = Ended::from(command.unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("node `brain`") && ended.err.contains("install uv"), "{}", ended.err);
    assert!(!project.path(".dora").exists());
}

#[test]
fn pip_lines_of_a_module_go_through_uv_in_the_folder_of_the_module() {
    let project = project();
    fs::create_dir(project.path("mods")).unwrap();
    fs::write(project.path("mods/brain.py"), "").unwrap();
    let module = "module: { name: m }\nnodes:\n  - { id: brain, path: brain.py, build: pip install think }\n";
    fs::write(project.path("mods/m.yml"), module).unwrap();
    fs::write(project.path("flow.yml"), "nodes:\n  - { id: m, module: mods/m.yml }\n").unwrap();
    let built = dora(&project, &["build", "--uv", "flow.yml"]);
    assert_eq!((built.code, built.out.as_str()), (Some(0), "built flow: 1 command\n"), "{built:?}");
    let environment = fs::canonicalize(project.path(".")).unwrap().join(".dora/python-envs/m.brain");
    assert!(built.err.contains("env -C mods uv pip install think"), "{built:?}");
    let installed = format!("m.brain: uv pip install think  for {}", environment.display());
    assert!(built.err.contains(&installed), "{built:?}");
}
