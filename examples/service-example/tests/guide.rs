//! Guides show code of the examples, and commands. Here both are compared with what there is, so that the code goes on to
//! compile and the commands to exist.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use dora_node_api::{
    DoraNode, IntoArrow, StreamSegment,
    integration_testing::{TestingInput, TestingOptions, TestingOutput, drain_outputs, output_channel},
    serde_json::{self, json},
};

#[path = "../../support/dora.rs"]
#[expect(dead_code, reason = "each example uses its part")]
mod dora;

/// Guides whose code is from the examples.
const GUIDES: [&str; 3] = ["patterns.md", "fault-tolerance.md", "debugging.md"];

/// Where it is from.
const SOURCES: [&str; 19] = [
    "action-example/dataflow.yml",
    "action-example/src/bin/action-client.rs",
    "action-example/src/bin/action-server.rs",
    "dynamic-agent-tools/probe-patch.yml",
    "dynamic-agent-tools/probe.py",
    "dynamic-agent-tools/tap-node.yml",
    "dynamic-agent-tools/tap.py",
    "error-propagation/restart.yml",
    "error-propagation/silence.yml",
    "error-propagation/src/bin/careful-robot.rs",
    "error-propagation/src/bin/faulty-sensor.rs",
    "rust-dataflow/dataflow.yml",
    "rust-dataflow/src/bin/rust-node.rs",
    "service-example/dataflow.yml",
    "service-example/src/bin/service-client.rs",
    "service-example/src/bin/service-server.rs",
    "service-example/tests/guide.rs",
    "streaming-example/generator.py",
    "streaming-example/sink.py",
];

/// All chunks of one answer.
fn answer(node: &mut DoraNode, segment: &mut StreamSegment, words: &[&str]) -> eyre::Result<()> {
    for (number, word) in words.iter().enumerate() {
        let fin = number + 1 == words.len();
        node.send_stream_chunk("chunk".into(), segment, fin, *word)?;
    }
    segment.next_segment();
    Ok(())
}

/// Breaks off what is being said.
fn interrupt(node: &mut DoraNode, segment: &mut StreamSegment, first_word: &str) -> eyre::Result<()> {
    let parameters = segment.flush();
    node.send_output("chunk".into(), parameters, first_word.into_arrow())?;
    Ok(())
}

#[test]
fn pieces_of_a_stream_are_numbered_and_an_interruption_opens_the_next_segment() {
    let (sender, mut outputs) = output_channel();
    let node = json!({"id": "speaker", "outputs": ["chunk"], "events": []});
    let (mut node, _events) = DoraNode::init_testing(
        TestingInput::Input(serde_json::from_value(node).unwrap()),
        TestingOutput::ToChannel(sender),
        TestingOptions { skip_output_time_offsets: true },
    )
    .unwrap();
    let mut segment = StreamSegment::with_session_id("talk".to_owned());
    answer(&mut node, &mut segment, &["good", "morning"]).unwrap();
    node.send_stream_chunk("chunk".into(), &mut segment, false, "as I was").unwrap();
    interrupt(&mut node, &mut segment, "yes?").unwrap();

    let chunk = |word: &str, segment: i64, seq: i64, fin: bool| {
        json!({
            "id": "chunk", "data": [word], "data_type": "Utf8",
            "metadata": {
                "session_id": {"String": "talk"}, "segment_id": {"Integer": segment}, "seq": {"Integer": seq}, "fin": {"Bool": fin},
            },
        })
    };
    let mut flush = chunk("yes?", 2, 0, false);
    flush["metadata"]["flush"] = json!({"Bool": true});
    let expected = json!([
        chunk("good", 0, 0, false),
        chunk("morning", 0, 1, true),
        chunk("as I was", 1, 0, false),
        flush
    ]);
    assert_eq!(json!(drain_outputs(&mut outputs)), expected);
}

/// Without indentation and empty lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Is this among the lines of a source? Where lines are left out, the pieces follow each other.
fn is_in(source: &str, code: &str, left_out: &str) -> bool {
    let (source, code) = (lines(source), lines(code));
    let mut rest = source.as_slice();
    code.split(|line| *line == left_out).all(|piece| {
        let at = rest.windows(piece.len()).position(|window| window == piece);
        at.inspect(|at| rest = &rest[at + piece.len()..]).is_some()
    })
}

fn read(path: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(examples.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn guide(name: &str) -> String {
    read(&format!("../docs/guide/{name}"))
}

#[test]
fn code_of_the_guides_is_that_of_the_examples() {
    let sources = SOURCES.map(read);
    for name in GUIDES {
        let text = guide(name);
        let mut blocks = 0;
        for block in text.split("```").skip(1).step_by(2) {
            let (language, code) = block.split_once('\n').expect("a block has a first line");
            let left_out = match language {
                "text" => continue,
                "rust" => "// …",
                "yaml" | "python" => "# …",
                other => panic!("{name}: a block in `{other}`"),
            };
            assert!(
                sources.iter().any(|source| is_in(source, code, left_out)),
                "{name}: no example has this:\n{code}"
            );
            blocks += 1;
        }
        assert!(blocks > 3, "{name} has {blocks} blocks of code");
    }
}

/// Every call of `dora` in a guide, as words: in a line of a block that begins with `$ dora`, or between backquotes.
fn calls(text: &str) -> BTreeSet<Vec<&str>> {
    let of_blocks = text.lines().filter_map(|line| line.strip_prefix("$ dora "));
    let between = text.lines().filter(|line| !line.starts_with("```"));
    let between = between
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter_map(|code| code.strip_prefix("dora "));
    // What stands behind a pipe is no matter of dora.
    let calls = of_blocks.chain(between).filter_map(|call| call.split('|').next());
    calls.map(|call| call.split_whitespace().collect()).collect()
}

#[test]
fn commands_and_flags_of_the_guides_exist() {
    let binaries =
        Path::new(env!("CARGO_BIN_EXE_service-client")).parent().expect("a binary lies in a folder");
    let dora = dora::dora(binaries);
    let mut checked = 0;
    for name in GUIDES {
        let text = guide(name);
        for call in calls(&text) {
            // Named as what is not there yet.
            if ["topic", "trace", "record", "replay"].contains(&call[0]) {
                continue;
            }
            let sub = ["node", "param"].contains(&call[0]) && call.len() > 1;
            let path = &call[..if sub { 2 } else { 1 }];
            let output = Command::new(&dora).args(path).arg("--help").output().expect("dora starts");
            assert!(output.status.success(), "{name}: there is no `dora {}`", path.join(" "));
            let help = String::from_utf8_lossy(&output.stdout);
            for flag in call.iter().filter(|word| word.starts_with('-')) {
                let flag = flag.split('=').next().unwrap_or_default();
                assert!(help.contains(flag), "{name}: `dora {}` has no `{flag}`", path.join(" "));
            }
            checked += 1;
        }
    }
    assert!(checked > 25, "the guides have {checked} calls of dora");
}
