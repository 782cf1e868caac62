//! The dataflow as a user runs it: real processes, real time. The limits are those of the pendulum (tens of
//! milliseconds), not those of the machine.

#[path = "../../support/dora.rs"]
mod dora;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const PLANT: &str = env!("CARGO_BIN_EXE_pendulum-plant");

#[test]
fn pendulum_stands_beside_a_node_that_hogs_the_machine() {
    let run = dora::run(HERE, PLANT, "stands", &["--rt=best-effort", "--stop-after", "4s"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.line("plant", "the pendulum stood for ").is_some(), "{run:#?}");
    for to in ["plant/force", "controller/state", "camera/pose", "hog/frame"] {
        let edge = run.row("edges", "to", to);
        let count = |key: &str| edge[key].as_u64().unwrap_or_else(|| panic!("{key}: {edge}"));
        assert!(count("taken") > 0, "{edge}");
        assert_eq!(
            count("sent"),
            count("taken") + count("overwritten") + count("flushed") + count("queued"),
            "every message is accounted for: {edge}"
        );
    }
    let camera = &run.row("nodes", "node", "camera")["outputs"][0];
    assert_eq!(camera["copied"], 0, "pictures are written in place: {camera}");
    assert_eq!(camera["bytes"].as_u64(), camera["sent"].as_u64().map(|sent| sent * 2_073_600), "{camera}");
}

#[test]
fn pendulum_falls_when_its_controller_is_late_and_the_report_shows_why() {
    let delay = ["--rt=best-effort", "--stop-after", "4s", "--env", "CONTROLLER_DELAY_MS=90"];
    let run = dora::run(HERE, PLANT, "falls", &delay);
    assert_eq!(run.code, Some(0), "a pole that fell is no failed node: {run:#?}");
    assert!(run.line("plant", "the pendulum FELL after ").is_some(), "{run:#?}");
    let state = run.row("edges", "to", "controller/state");
    assert!(
        state["overwritten"].as_u64() > state["taken"].as_u64(),
        "it saw a part of the states only: {state}"
    );
}
