//! `dora expand`, and `dora validate` and `dora run` on what has modules and types.

use std::fs;

use crate::support::Project;

const FLOW: &str = "\
nodes:
  - id: talk
    module: mods/talk.yml
    params: { word: hello }
  - id: last
    path: shell
    args: 'true'
    inputs: { said: talk/said }
";
const MODULE: &str = "\
module: { name: talk, inputs_optional: [loud], outputs: [said] }
nodes:
  - id: say
    path: shell
    args: echo $PARAM_WORD from $$PARAM_WORD
    inputs: { loud: _mod/loud }
    outputs: [said]
";

fn project(flow: &str, module: &str) -> Project {
    let project = Project::new(flow);
    fs::create_dir(project.path("mods")).unwrap();
    fs::write(project.path("mods/talk.yml"), module).unwrap();
    project
}

#[test]
fn flat_yaml_on_stdout_is_a_dataflow_that_runs_the_same() {
    let project = project(FLOW, MODULE);
    let ended = project.dora(&["expand", "flow.yml"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.out.contains("id: talk.say") && ended.out.contains("said: talk.say/said"), "{}", ended.out);
    fs::write(project.path("flat.yml"), &ended.out).unwrap();
    for file in ["flow.yml", "flat.yml"] {
        let ran = project.dora(&["run", file, "--allow-shell-nodes", "--report", "none"]);
        assert_eq!(ran.code, Some(0), "{file}: {ran:?}");
        assert!(ran.out.contains("talk.say") && ran.out.contains("hello from"), "{file}: {}", ran.out);
    }
    let again = project.dora(&["expand", "flat.yml"]);
    assert_eq!(again.out, ended.out, "what is flat stays as it is");
}

#[test]
fn mistake_in_a_module_is_shown_in_its_own_file() {
    let project = project(FLOW, &MODULE.replace("outputs: [said]\n", "otputs: [said]\n"));
    for command in [&["validate", "flow.yml"][..], &["expand", "flow.yml"], &["run", "flow.yml"]] {
        let ended = project.dora(command);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{command:?}: {ended:?}");
        assert!(ended.err.contains("mods/talk.yml:7:5: node `say`: unknown key `otputs`"), "{}", ended.err);
    }
}

#[test]
fn module_by_itself_says_what_it_takes_and_gives_or_what_is_wrong() {
    let good = project(FLOW, MODULE).dora(&["expand", "--module", "mods/talk.yml"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    let expected = "Module `talk` OK: 1 node.\n  inputs: none\n  optional inputs: loud\n  outputs: said\n";
    assert_eq!(good.out, expected);
    let bad = project(FLOW, &MODULE.replace("_mod/loud", "_mod/lod")).dora(&[
        "expand",
        "--module",
        "mods/talk.yml",
    ]);
    assert_eq!((bad.code, bad.out.as_str()), (Some(1), ""), "{bad:?}");
    assert!(
        bad.err.contains("talk.yml:6:21: node `say`: loud: the module has no input `lod`"),
        "{}",
        bad.err
    );
}

#[test]
fn types_are_listed_and_strict_ones_decide_the_exit_code() {
    let flow = "\
nodes:
  - { id: a, path: x, outputs: [o, p], output_types: { o: std/core/v1/Bool, p: std/core/v1/Int8 } }
  - { id: b, path: x, inputs: { i: a/o, j: a/p }, input_types: { i: std/core/v1/Int8 } }
";
    let project = Project::new(flow);
    let mismatch = "flow.yml:3:69: node `b`: type mismatch on input \"i\": upstream a/o declares";
    let loose = project.dora(&["validate", "flow.yml"]);
    assert_eq!(loose.code, Some(0), "{loose:?}");
    for part in ["inferred std/core/v1/Int8 on b/j (from a/p)", "Type warnings:\n  - ", mismatch] {
        assert!(loose.out.contains(part), "{part}: {}", loose.out);
    }
    let strict = project.dora(&["validate", "flow.yml", "--strict-types"]);
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(strict.err.contains(mismatch), "{}", strict.err);
    let good = Project::new(&flow.replace("i: std/core/v1/Int8", "i: std/core/v1/Bool"));
    let good = good.dora(&["validate", "flow.yml", "--strict-types"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.out.ends_with("All type annotations OK.\n"), "{}", good.out);
}
