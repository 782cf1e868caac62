//! `dora validate` and `dora build` as a user meets them: exit code, text, and where the mistake is.

use std::fs;

use crate::support::Project;

const GOOD: &str = "\
nodes:
  - id: camera
    path: shell
    args: sleep 1
    inputs:
      tick: dora/timer/millis/20
    outputs: [image]
  - id: plot
    path: shell
    args: sleep 1
    inputs:
      image: camera/image
";

/// A descriptor with one mistake in it is refused, with exit code 1, by all commands that read it.
#[track_caller]
fn refused(yaml: &str, at: &str, words: &[&str]) {
    let project = Project::new(yaml);
    for command in ["validate", "build", "run"] {
        let ended = project.dora(&[command, "flow.yml"]);
        assert_eq!(ended.code, Some(1), "{command}: {ended:?}");
        assert!(ended.err.contains("[ERROR]"), "{command}: {}", ended.err);
        assert!(ended.err.contains(at), "{command}: no {at} in: {}", ended.err);
        for word in words {
            assert!(ended.err.contains(word), "{command}: no `{word}` in: {}", ended.err);
        }
        assert_eq!(ended.out, "", "{command}");
        assert!(!ended.err.contains("backtrace") && !ended.err.contains(".rs:"), "{}", ended.err);
    }
}

#[test]
fn good_descriptor_is_confirmed_on_stdout() {
    let ended = Project::new(GOOD).dora(&["validate", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("Input/output wiring OK.\nDescriptor config OK.\n"), "{}", ended.out);
}

#[test]
fn unknown_key_is_refused_where_it_stands() {
    refused(
        &GOOD.replace("    outputs: [image]", "    output: [image]"),
        "flow.yml:7:5",
        &["output", "outputs"],
    );
}

#[test]
fn missing_source_node_is_refused_where_it_is_named() {
    refused(&GOOD.replace("camera/image", "kamera/image"), "flow.yml:12:", &["kamera", "does not exist"]);
}

#[test]
fn unknown_output_is_refused_where_it_is_named() {
    refused(&GOOD.replace("camera/image", "camera/picture"), "flow.yml:12:", &["picture", "does not exist"]);
}

#[test]
fn duplicate_id_is_refused_where_it_comes_again() {
    refused(&GOOD.replace("id: plot", "id: camera"), "flow.yml:8:", &["camera"]);
}

#[test]
fn malformed_timer_is_refused_where_it_stands() {
    refused(&GOOD.replace("millis/20", "fortnights/1"), "flow.yml:6:", &["fortnights", "millis"]);
    refused(&GOOD.replace("millis/20", "millis/0"), "flow.yml:6:", &["dora/timer"]);
}

#[test]
fn missing_file_is_named() {
    let ended = Project::new(GOOD).dora(&["validate", "nope.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("[ERROR]") && ended.err.contains("nope.yml"), "{}", ended.err);
}

#[test]
fn text_that_is_no_yaml_is_refused_with_a_position() {
    refused("nodes: [\n  - id: {\n", "flow.yml:", &[]);
    refused("just a sentence\n", "flow.yml:1:1", &[]);
}

#[test]
fn build_runs_every_line_with_the_env_of_the_node_in_its_folder() {
    let project = Project::new(
        "nodes:
  - id: camera
    path: shell
    args: 'true'
    env: { GREETING: hello world }
    build: |
      printenv GREETING
      touch 'built file'
  - id: plot
    path: shell
    args: 'true'
    build: pwd
",
    );
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("camera: hello world\n"), "{}", ended.err);
    let folder = fs::canonicalize(project.path(".")).unwrap();
    assert!(ended.err.contains(&format!("plot: {}\n", folder.display())), "{}", ended.err);
    assert!(project.path("built file").exists());
    assert_eq!(ended.out, "built flow: 3 commands\n");
}

#[test]
fn first_build_line_that_fails_ends_the_build_and_is_named() {
    let project = Project::new(
        "nodes:
  - id: camera
    path: shell
    args: 'true'
    build: |
      sh -c 'echo broken >&2; exit 7'
      touch after
",
    );
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in ["camera: broken", "[ERROR]", "flow.yml:2:", "node `camera`", "exit 7", "exit code 7"] {
        assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
    }
    assert!(!project.path("after").exists());
}

#[test]
fn build_command_that_does_not_exist_is_named_with_the_cause() {
    let project = Project::new(
        "nodes:
  - id: camera
    path: shell
    args: 'true'
    build: no-such-compiler --fast
",
    );
    let ended = project.dora(&["build", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in ["`no-such-compiler --fast` cannot be run", "Caused by:\n", "hint: "] {
        assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
    }
}

#[test]
fn flags_without_effect_are_reported_in_one_line() {
    let ended = Project::new(GOOD).dora(&[
        "build",
        "flow.yml",
        "--coordinator-addr",
        "127.0.0.1",
        "--coordinator-port",
        "6013",
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.err.lines().filter(|line| line.contains("--coordinator")).collect();
    assert_eq!(
        lines,
        ["warning: not yet supported, and without effect: --coordinator-addr, --coordinator-port"]
    );
}

#[test]
fn wrong_usage_is_exit_code_2_and_help_is_there_on_every_level() {
    let project = Project::new(GOOD);
    for args in
        [&["fly"][..], &[], &["run"], &["run", "flow.yml", "--rt=maybe"], &["validate", "flow.yml", "--x"]]
    {
        let ended = project.dora(args);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{args:?}: {ended:?}");
    }
    for args in [&["--help"][..], &["run", "--help"], &["build", "-h"], &["validate", "-h"]] {
        let ended = project.dora(args);
        assert!(ended.code == Some(0) && ended.out.contains("Usage: dora"), "{args:?}: {ended:?}");
    }
    let version = project.dora(&["-V"]);
    assert_eq!((version.code, version.out), (Some(0), format!("dora {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn unreadable_environment_value_is_an_error_and_no_silent_default() {
    let project = Project::new(GOOD);
    let output = project.command(&["run", "flow.yml"]).env("DORA_LOG_FORMAT", "xml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("xml"));
}
