//! Whatever the file holds, the answer is a dataflow or an error: no panic, no hang.

use std::path::Path;

use dora_descriptor::{load, parse_str};
use proptest::prelude::*;

fn survives(text: &str) {
    match parse_str("g.yml", text, Path::new("/"), &[]) {
        Ok(loaded) => assert_eq!(loaded.text, text),
        Err(errors) => {
            assert!(!errors.0.is_empty());
            for problem in &errors.0 {
                assert!(problem.message.len() < 4000, "untrusted text in a message must be cut: {problem}");
            }
        }
    }
}

/// Pieces that a descriptor is made of, and some that break it.
fn fragment() -> impl Strategy<Value = String> {
    let known = [
        "nodes:",
        "- id: a",
        "  path: x",
        "  inputs:",
        "    i: a/o",
        "    j: {source: a/o, queue_size: 0}",
        "  outputs: [o, p]",
        "  operators:",
        "  - id: op",
        "    python: p.py",
        "  rt: {policy: fifo}",
        "  env: {A: {__dora_env: B}}",
        "&x",
        "*x",
        "- *x",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "? ",
        "|",
        ">-",
        "\t",
        "\"",
        "'",
        "!!str",
        "%YAML 1.2",
        "---",
        "...",
        "<<: *x",
        "~",
        "\u{feff}",
        "\u{0}",
        "\u{85}",
        "é",
        "#",
        "  ros2: {topic: /x, message_type: a/B}",
        "  custom: {source: x}",
        "  module: m",
        "1e999",
        "-.inf",
        "  output_layout: {o: {max_message_bytes: 99999999999999999999}}",
        "    t: dora/timer/hz/0",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn shuffled_pieces_of_descriptors_are_answered(
        pieces in prop::collection::vec((fragment(), prop::sample::select(vec!["\n", " ", "", "\n  "])), 0..40)
    ) {
        let text: String = pieces.into_iter().map(|(piece, gap)| piece + gap).collect();
        survives(&text);
    }

    #[test]
    fn a_damaged_descriptor_is_answered(
        at in 0usize..600, length in 0usize..20, with in ".{0,6}"
    ) {
        let whole = include_str!("full.yml");
        let start = whole.floor_char_boundary(at.min(whole.len()));
        let end = whole.floor_char_boundary((start + length).min(whole.len()));
        survives(&format!("{}{with}{}", &whole[..start], &whole[end..]));
    }
}

#[test]
fn every_scalar_of_a_full_descriptor_may_be_anything() {
    let whole = include_str!("full.yml");
    for wrong in
        ["[]", "{}", "~", "-1", "'\\0'", "1e400", "[[[]]]", "{a: {b: c}}", "\"\\0\"", "99999999999999999999"]
    {
        for (number, line) in whole.lines().enumerate() {
            let Some((key, _)) = line.split_once(": ") else { continue };
            let lines: Vec<String> = whole
                .lines()
                .enumerate()
                .map(|(n, line)| if n == number { format!("{key}: {wrong}") } else { line.to_owned() })
                .collect();
            survives(&lines.join("\n"));
        }
    }
}

#[test]
fn huge_files_are_answered() {
    for text in [
        "[".repeat(3_000_000),
        "a: ".repeat(1_000_000),
        format!("nodes:\n- id: {}\n  path: x\n", "x".repeat(3_000_000)),
        format!("{}: 1\n", "k".repeat(3_000_000)),
        (0..100_000).map(|n| format!("k{n}: 1\n")).collect(),
        format!("nodes:\n{}", "- id: a\n  path: x\n".repeat(50_000)),
        format!("nodes: [{}]", "*a,".repeat(1_000_000)),
        format!("nodes:\n- id: a\n  path: \"{}\"\n", "$X".repeat(500_000)),
        "x".repeat(5_000_000),
        format!(
            "nodes: [{}]\n",
            (0..40_000).map(|n| format!("{{id: n{n}, path: x, inputs: {{i: m{n}/o}}}},")).collect::<String>()
        ),
        format!(
            "nodes:\n- id: a\n  path: x\n  outputs: [{o}]\n  output_layout: {{{l}}}\n",
            o = (0..50_000).map(|n| format!("o{n},")).collect::<String>(),
            l = (0..50_000).map(|n| format!("o{n}: {{max_message_bytes: 1}},")).collect::<String>()
        ),
        format!(
            "env: {{{}}}\nnodes: [{}]\n",
            (0..50_000).map(|n| format!("E{n}: x,")).collect::<String>(),
            (0..50_000).map(|n| format!("{{id: n{n}, path: x}},")).collect::<String>()
        ),
        "a: 1\n".repeat(200_000),
    ] {
        survives(&text);
    }
}

#[test]
fn bytes_that_are_not_text_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.yml");
    for bytes in [&b"\xFF\xFE n\0o\0"[..], b"\x80", b"nodes:\n- id: \xC3", &[0; 1000]] {
        std::fs::write(&file, bytes).unwrap();
        assert!(load(&file, &[]).is_err());
    }
}
