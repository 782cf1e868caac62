//! `dora graph` and `dora validate --rt` on `examples/inverted-pendulum`, as its README has them.

use std::fs;

use crate::support::{Ended, Project};

const PENDULUM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/inverted-pendulum/dataflow.yml");

/// What a run of the pendulum could have measured.
const PROFILE: &str = r#"{ "version": 1, "dataflow": "dataflow", "rt": "strict", "seconds": 10.0, "nodes": {
  "plant": { "events": 20000, "p999_us": 20.0, "max_us": 30.0, "lost": 0, "outputs": { "state": 10000, "pose": 10000 } },
  "controller": { "events": 10000, "p999_us": 10.0, "max_us": 15.0, "lost": 0, "outputs": { "force": 10000 } },
  "camera": { "events": 300, "p999_us": 900.0, "max_us": 1000.0, "lost": 0, "outputs": { "frame": 300 } },
  "hog": { "events": 300, "p999_us": 28000.0, "max_us": 29000.0, "lost": 0, "outputs": {} }
} }"#;

/// A folder to work in; its own descriptor is not used.
fn project() -> Project {
    let project = Project::new("nodes: []\n");
    fs::write(project.path("profile.json"), PROFILE).expect("profile.json is written");
    project
}

#[track_caller]
fn says(ended: &Ended, code: i32, lines: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for line in lines {
        assert!(ended.out.lines().any(|found| found == *line), "no line `{line}` in\n{}", ended.out);
    }
}

#[test]
fn the_graph_of_the_pendulum_has_its_timers_nodes_edges_and_the_deadline() {
    let ended = project().dora(&["graph", PENDULUM, "--mermaid"]);
    let expected = r#"flowchart LR
  v0(["timer 1 ms"])
  v1(["timer 33.33 ms"])
  v2["plant<br/>fifo 70<br/>core 1"]
  v3["controller<br/>fifo 80<br/>core 1"]
  v4["camera<br/>core 0"]
  v5["hog<br/>core 0"]
  v0 -->|"tick"| v2
  v3 -->|"force"| v2
  v2 -->|"state<br/>≤ 500 us"| v3
  v1 -->|"tick"| v4
  v2 -->|"pose"| v4
  v4 -->|"frame"| v5
"#;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), expected), "{ended:?}");
}

#[test]
fn the_page_of_the_pendulum_shows_each_box_and_arrow_once_and_loads_nothing() {
    let project = project();
    let ended = project.dora(&["graph", PENDULUM, "--output", "page.html"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "page.html\n"), "{ended:?}");
    let page = fs::read_to_string(project.path("page.html")).expect("it was written");
    let named: Vec<&str> =
        page.split("data-name=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut expected = vec![
        "1 ms",
        "33.33 ms",
        "plant",
        "controller",
        "camera",
        "hog",
        "1 ms → plant",
        "controller → plant",
        "plant → controller",
        "33.33 ms → camera",
        "plant → camera",
        "camera → hog",
    ];
    let mut found = named.clone();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for detail in ["deadline&#9;500 us", "scheduling&#9;fifo 80, parks", "largest message&#9;2097152 bytes"] {
        assert!(page.contains(detail), "no `{detail}`");
    }
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let left = page.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
        assert!(!left.contains(outside), "the page loads something: `{outside}`");
    }
}

#[test]
fn without_handler_times_the_deadline_of_the_pendulum_is_not_judged() {
    let ended = project().dora(&["validate", PENDULUM, "--rt"]);
    says(
        &ended,
        0,
        &[
            "plant          1        70        -   1 ms      -         ?",
            "controller     1        80        -   1 ms      -         ?",
            "? deadline of `controller/state`: 500 us cannot be judged: its handler time is not known (`wcet:`, or \
             `--profile` with a file of `dora run --profile`)",
            "Of 1 deadlines and chains 0 hold, 0 cannot hold, 1 cannot be judged.",
        ],
    );
}

#[test]
fn with_measured_handler_times_the_deadline_of_the_pendulum_holds_until_hops_are_too_long() {
    let project = project();
    let args = ["validate", PENDULUM, "--rt", "--profile", "profile.json"];
    // Hop and blocking are 50 and 100 us. The controller: 100 + 15. The plant: 100 + 30, and the controller for its two
    // inputs in that time. A state is taken when whatever the controller does is done.
    says(
        &project.dora(&args),
        0,
        &[
            "plant          1        70  30 us measured      1 ms    6.0 %    175 us",
            "controller     1        80  15 us measured      1 ms    1.5 %    115 us",
            "✔ deadline of `controller/state`: at most 150 us of 500 us",
            "Every deadline and chain holds (1 of 1), if what is assumed is so.",
        ],
    );
    let ended = project.dora(&[&args[..], &["--hop", "600us"]].concat());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.out.contains("✘ deadline of `controller/state`: up to 715 us, 215 us more than 500 us"),
        "{ended:?}"
    );
    assert!(ended.err.contains("cannot be held: deadline of `controller/state`"), "{ended:?}");
    let ended = project.dora(&[&args[..], &["--suggest", "--cores", "2"]].concat());
    says(
        &ended,
        0,
        &[
            "    rt: { policy: fifo, priority: 80 }",
            "# ✔ deadline of `controller/state`: at most 150 us of 500 us",
        ],
    );
}
