//! The dataflow as a user runs it, and the file that it leaves.

use std::{fs, path::Path};

use dora_log_utils::{LogMessage, parse_log};

#[path = "../../support/dora.rs"]
mod dora;

fn run(name: &str, file: &Path) -> dora::Run {
    let file = format!("LOG_FILE={}", file.display());
    dora::run(env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_log-sink-file"), name, &["--env", &file])
}

#[test]
fn lines_of_both_nodes_are_in_one_file_each_in_its_order_and_none_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("all.jsonl");
    let run = run("log-sink-file", &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let text = fs::read_to_string(&file).expect("the file is there");
    let lines: Vec<LogMessage> = text.lines().map(|line| parse_log(line).expect("a log message")).collect();
    let of = |node: &str| -> Vec<&LogMessage> {
        lines.iter().filter(|line| line.node_id.as_deref() == Some(node)).collect()
    };
    for (node, plain) in [("left", 0), ("right", 3)] {
        let ticks: Vec<u64> = of(node)
            .iter()
            .filter(|line| line.message == "turned")
            .filter_map(|line| line.fields.as_ref()?["tick"].as_u64())
            .collect();
        assert_eq!(ticks, (1..=60).collect::<Vec<_>>(), "{node}");
        let warned = of(node).iter().filter(|line| line.level == "WARN").count();
        let printed = of(node).iter().filter(|line| line.level == "stdout").count();
        assert_eq!((warned, printed), (1, plain), "{node}");
    }
    assert_eq!(lines.len(), 125, "{text}");
    let said = format!("wrote 125 lines to {}, lost 0", file.display());
    assert_eq!(run.line("sink", "wrote "), Some(format!("sink: {said}").as_str()), "{run:#?}");
}

#[test]
fn a_file_that_cannot_be_written_ends_the_sink_and_the_error_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run("log-sink-file-refused", &folder.path().join("missing/all.jsonl"));
    assert_eq!(run.code, Some(1), "{run:#?}");
    let error = run.row("nodes", "node", "sink")["error"].to_string();
    assert!(error.contains("code 1"), "{error}");
    let named = run
        .lines
        .iter()
        .any(|line| line.contains("LOG_FILE: cannot write to") && line.contains("missing/all.jsonl"));
    assert!(named, "{run:#?}");
}
