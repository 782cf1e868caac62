//! `DORA_RUNTIME_TYPE_CHECK` on a node that sends something else than its output declares.

use dora_node_api::{DoraNode, Event, MetadataParameters, Parameter, REQUEST_ID};

use crate::{node, project, said, say, support::Ended};

/// A request of another type, a number as declared, and two texts.
pub(crate) fn sender() -> eyre::Result<()> {
    let (mut node, _events) = DoraNode::init_from_env()?;
    let request = MetadataParameters::from([(REQUEST_ID.to_owned(), Parameter::String("1".into()))]);
    node.send_output("speed".into(), request, "request")?;
    node.send_output("speed".into(), Default::default(), 1.5)?;
    for _ in 0..2 {
        if let Err(error) = node.send_output("speed".into(), Default::default(), "fast") {
            say(&format!("refused: {error}"));
        }
    }
    node.send_output_bytes("raw".into(), Default::default(), 1, &[1])?;
    Ok(())
}

pub(crate) fn reader() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    while let Some(event) = events.recv() {
        if let Event::Input { data, .. } = event {
            say(&data.type_name());
        }
    }
    Ok(())
}

/// A handle of the real-time API is compared when it is made.
pub(crate) fn rt_sender() -> eyre::Result<()> {
    let mut node = dora_node_api::rt::RtNode::init_from_env()?;
    match node.output::<u64>("speed", 1) {
        Ok(_) => say("opened"),
        Err(error) => say(&format!("refused: {error}")),
    }
    node.log("warning", "a line of the node");
    Ok(())
}

#[test]
fn a_real_time_handle_of_another_type_than_declared_is_refused_at_the_start() {
    let types = "    outputs: [speed]\n    output_types: { speed: std/core/v1/Float64 }\n";
    let flow = project(&[node("sender", "mislabelled rt", types)]);
    for (mode, expected) in [("error", "refused: "), ("warn", "opened"), ("off", "opened")] {
        let variable = format!("DORA_RUNTIME_TYPE_CHECK={mode}");
        let ended = flow.dora(&["run", "flow.yml", "--env", &variable]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(said(&ended.out, "sender")[0].starts_with(expected), "{mode}: {ended:?}");
        let warned = ended.out.contains("output `speed` is annotated as `std/core/v1/Float64`");
        assert_eq!(warned, mode != "off", "{mode}: {ended:?}");
        assert!(
            ended.out.lines().any(|line| line.contains("WARN") && line.contains("a line of the node")),
            "{ended:?}"
        );
    }
}

fn run(mode: &str) -> Ended {
    let types = "    output_types: { speed: std/core/v1/Float64, raw: \"std/media/v1/CompressedImage[format=png]\" }\n";
    let flow = project(&[
        node("sender", "mislabelled", &format!("    outputs: [speed, raw]\n{types}")),
        node("reader", "type reader", "    inputs: { speed: sender/speed }\n"),
    ]);
    let variable = format!("DORA_RUNTIME_TYPE_CHECK={mode}");
    let ended = flow.dora(&["run", "flow.yml", "--env", &variable]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

fn warnings(ended: &Ended) -> usize {
    ended
        .out
        .matches("output `speed` is annotated as `std/core/v1/Float64`, but what was sent is Utf8")
        .count()
}

#[test]
fn error_refuses_what_is_not_declared_and_sends_the_rest() {
    let ended = run("error");
    let refused = said(&ended.out, "sender");
    assert_eq!(refused.len(), 2, "{ended:?}");
    assert!(
        refused.iter().all(|line| line.starts_with("refused: output error: output `speed`")),
        "{refused:?}"
    );
    assert_eq!(said(&ended.out, "reader"), ["Utf8", "Float64"], "{ended:?}");
}

#[test]
fn warn_says_it_once_and_sends_everything() {
    let ended = run("warn");
    assert_eq!(warnings(&ended), 1, "{ended:?}");
    assert_eq!(said(&ended.out, "reader"), ["Utf8", "Float64", "Utf8", "Utf8"], "{ended:?}");
}

#[test]
fn off_and_what_is_no_mode_compare_nothing() {
    for (mode, complains) in [("off", false), ("sometimes", true)] {
        let ended = run(mode);
        assert_eq!((warnings(&ended), said(&ended.out, "reader").len()), (0, 4), "{ended:?}");
        let complaint = "`DORA_RUNTIME_TYPE_CHECK` is `sometimes`";
        assert_eq!(ended.out.contains(complaint), complains, "{ended:?}");
    }
}
