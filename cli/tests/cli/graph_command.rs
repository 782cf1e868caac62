//! `dora graph` as a user meets it. What is in the picture is tested where it is drawn.

use std::fs;

use crate::support::Project;

const FLOW: &str = "\
nodes:
  - id: camera
    path: camera
    inputs: { tick: dora/timer/millis/20 }
    outputs: [image]
  - id: plot
    path: plot
    inputs: { image: camera/image }
";

#[test]
fn a_page_is_written_beside_where_the_command_runs() {
    let project = Project::new(FLOW);
    let ended = project.dora(&["graph", "flow.yml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "flow-graph.html\n"), "{ended:?}");
    let page = fs::read_to_string(project.path("flow-graph.html")).expect("it was written");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("data-name=\"camera\""), "{page}");
    let ended = project.dora(&["graph", "flow.yml", "-o", "other.html"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(project.path("other.html")).expect("written"), page);
}

#[test]
fn mermaid_goes_to_stdout_and_no_file_is_written() {
    let project = Project::new(FLOW);
    let ended = project.dora(&["graph", "flow.yml", "--mermaid"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("flowchart LR\n"), "{}", ended.out);
    assert!(ended.out.contains("v1 -->|\"image\"| v2"), "{}", ended.out);
    assert!(!project.path("flow-graph.html").exists());
}

#[test]
fn a_broken_descriptor_is_explained_and_nothing_is_drawn() {
    let project = Project::new(&FLOW.replace("camera/image", "kamera/image"));
    let ended = project.dora(&["graph", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("flow.yml:8:") && ended.err.contains("kamera"), "{}", ended.err);
    assert!(!project.path("flow-graph.html").exists());
}

#[test]
fn a_page_that_cannot_be_written_or_shown_is_an_error() {
    let project = Project::new(FLOW);
    let ended = project.dora(&["graph", "flow.yml", "--output", "no/such/page.html"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no/such/page.html"), "{}", ended.err);
    assert_eq!(project.dora(&["graph", "flow.yml", "--mermaid", "--open"]).code, Some(2));
    // Nothing to open it with.
    let output =
        project.command(&["graph", "flow.yml", "--open"]).env("PATH", "").output().expect("dora starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("flow-graph.html") && err.contains("open the file yourself"), "{err}");
}
