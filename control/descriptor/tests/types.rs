//! Types: which edges are refused, and what a user must read about a type that is wrong.

use std::path::Path;

use dora_descriptor::{Errors, Loaded, Options, load_with, parse_str};
use tempfile::TempDir;

/// Two nodes: `a` sends `o`, `b` reads it as `i`. `lines` go to the end of each, `top` to the top.
fn edge(top: &str, of_a: &str, of_b: &str) -> String {
    format!(
        "{top}\nnodes:\n  - {{ id: a, path: x, outputs: [o], {of_a} }}\n  - {{ id: b, path: x, inputs: {{ i: a/o }}, {of_b} }}\n"
    )
}

fn typed(from: &str, to: &str) -> String {
    edge("", &format!("output_types: {{ o: \"{from}\" }}"), &format!("input_types: {{ i: \"{to}\" }}"))
}

fn warnings_of(loaded: &Loaded) -> String {
    loaded.type_warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn warnings(text: &str) -> String {
    match parse_str("f.yml", text, Path::new("/nowhere"), &[]) {
        Ok(loaded) => warnings_of(&loaded),
        Err(errors) => panic!("must be accepted:\n{text}\n{errors}"),
    }
}

fn errors(text: &str) -> String {
    match parse_str("f.yml", text, Path::new("/nowhere"), &[]) {
        Ok(_) => panic!("must be refused:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

fn says(message: &str, parts: &[&str], about: &str) {
    for part in parts {
        assert!(message.contains(part), "{about}\nsays\n{message}\nwithout\n{part}");
    }
}

#[test]
fn edges_that_fit_are_silent() {
    for (from, to) in [
        ("std/core/v1/Bool", "std/core/v1/Bool"),
        ("std/core/v1/UInt8", "std/core/v1/UInt64"),
        ("std/core/v1/Int16", "std/core/v1/Int64"),
        ("std/core/v1/Float32", "std/core/v1/Float64"),
        ("std/vision/v1/Detection", "std/core/v1/Bytes"),
        ("std/media/v1/Image[encoding=rgb8]", "std/media/v1/Image"),
        ("std/media/v1/Image", "std/media/v1/Image[encoding=rgb8]"),
        ("std/media/v1/Image[encoding=rgb8]", "std/media/v1/Image[encoding=rgb8]"),
    ] {
        assert_eq!(warnings(&typed(from, to)), "", "{from} to {to}");
    }
}

#[test]
fn edges_that_do_not_fit_name_both_types_and_the_reason() {
    for (from, to, parts) in [
        (
            "std/core/v1/Float64",
            "std/core/v1/Float32",
            &[
                "node `b`: type mismatch on input \"i\": upstream a/o declares \"std/core/v1/Float64\", but expected \"std/core/v1/Float32\"",
            ][..],
        ),
        ("std/core/v1/Bytes", "std/core/v1/UInt8", &["type mismatch"]),
        (
            "std/media/v1/Image[encoding=rgb8]",
            "std/media/v1/Image[encoding=bgr8]",
            &["parameter `encoding` is `rgb8` there and `bgr8` here"],
        ),
        ("std/math/v1/Vector3", "std/math/v1/Quaternion", &["hint: field `w` is missing"]),
        (
            "std/math/v1/Quaternion",
            "std/math/v1/Vector3",
            &[
                "the data would fit",
                "type_rules: [{ from: \"std/math/v1/Quaternion\", to: \"std/math/v1/Vector3\" }]",
            ],
        ),
        (
            "std/vision/v1/BoundingBox",
            "std/media/v1/PointCloud",
            &["field `points` is missing; field `width` is Float32 and not UInt32"],
        ),
    ] {
        says(&warnings(&typed(from, to)), parts, &format!("{from} to {to}"));
    }
}

#[test]
fn annotations_that_are_no_types_are_named_with_what_was_meant() {
    for (urn, parts) in [
        (
            "std/media/v1/Imaeg",
            &[
                "f.yml:3:56: node `a`: output_types: unknown type \"std/media/v1/Imaeg\" on output \"o\"",
                "did you mean \"std/media/v1/Image\"?",
            ][..],
        ),
        ("std/media/v2/Image", &["unknown type", "did you mean \"std/media/v1/Image\"?"]),
        (
            "Image",
            &["a type reads `<prefix>/<category>/v<n>/<Name>`", "did you mean \"std/media/v1/Image\"?"],
        ),
        ("std/media/v1/Image[encoding=]", &["on output \"o\": parameters read `[key=value,key=value]`"]),
        ("std/media/v1/Image[encoding=rgb8", &["the bracket with the parameters is not closed"]),
        ("std/media/v1/Image[]", &["parameters read"]),
        ("std/media/v1/Image[encodng=rgb8]", &["has no parameter `encodng`", "it has `encoding`"]),
        ("std/core/v1/Bool[x=1]", &["has no parameter `x`", "it has no parameters"]),
        ("own/robot/v1/State", &["unknown type \"own/robot/v1/State\""]),
    ] {
        let text = edge("", &format!("output_types: {{ o: \"{urn}\" }}"), "");
        says(&warnings(&text), parts, urn);
        let strict = edge("strict_types: true", &format!("output_types: {{ o: \"{urn}\" }}"), "");
        says(&errors(&strict), &parts[parts.len() - 1..], urn);
    }
    let text = edge("", "output_types: { oo: std/core/v1/Bool }", "input_types: { j: std/core/v1/Booll }");
    says(
        &warnings(&text),
        &[
            "output_types key `oo` not found in outputs list",
            "did you mean `o`?",
            "input_types key `j` not found in inputs list",
            "unknown type \"std/core/v1/Booll\" on input \"j\"",
        ],
        &text,
    );
}

#[test]
fn timers_are_numbers_and_log_lines_are_texts() {
    let reader = |source: &str, urn: &str| {
        warnings(&format!(
            "nodes:\n- {{ id: n, path: x, inputs: {{ i: {source} }}, input_types: {{ i: std/core/v1/{urn} }} }}\n"
        ))
    };
    assert_eq!(reader("dora/timer/millis/10", "UInt64"), "");
    says(
        &reader("dora/timer/millis/10", "Bool"),
        &["a timer provides \"std/core/v1/UInt64\", but expected \"std/core/v1/Bool\""],
        "timer",
    );
    assert_eq!(reader("dora/logs", "String"), "");
    says(&reader("dora/logs/info", "Float64"), &["log lines are \"std/core/v1/String\""], "logs");
    let piped = edge("", "send_stdout_as: o", "input_types: { i: std/core/v1/Int8 }");
    says(&warnings(&piped), &["upstream a/o declares \"std/core/v1/String\""], &piped);
}

#[test]
fn rules_allow_what_they_say_and_cannot_make_fields_appear() {
    let rule = |from: &str, to: &str| format!("type_rules: [{{ from: \"{from}\", to: \"{to}\" }}]");
    let with = |rule: String, from: &str, to: &str| {
        edge(&rule, &format!("output_types: {{ o: {from} }}"), &format!("input_types: {{ i: {to} }}"))
    };
    let (int, float) = ("std/core/v1/Int32", "std/core/v1/Float64");
    assert_eq!(warnings(&with(rule(int, float), int, float)), "");
    assert_eq!(warnings(&with(rule(int, float), "std/core/v1/Int16", float)), "", "two steps");
    says(&warnings(&with(rule(float, int), int, float)), &["type mismatch"], "the other way");
    let (vector, quaternion) = ("std/math/v1/Vector3", "std/math/v1/Quaternion");
    assert_eq!(warnings(&with(rule(quaternion, vector), quaternion, vector)), "");
    let text = warnings(&with(rule(vector, quaternion), vector, quaternion));
    says(
        &text,
        &[
            "type_rules: a \"std/math/v1/Vector3\" cannot stand for a \"std/math/v1/Quaternion\"",
            "field `w` is missing",
        ],
        &text,
    );
    let text = warnings(&with(rule("std/core/v1/Nit32", float), int, int));
    says(&text, &["type_rules: unknown type \"std/core/v1/Nit32\" in `from`", "did you mean"], &text);
}

#[test]
fn what_follows_from_the_source_is_told_and_is_no_warning() {
    let text = edge("", "output_types: { o: \"std/media/v1/Image[encoding=rgb8]\" }", "");
    let loaded = parse_str("f.yml", text, Path::new("/nowhere"), &[]).unwrap();
    assert_eq!(loaded.inferred_types, ["inferred std/media/v1/Image[encoding=rgb8] on b/i (from a/o)"]);
    assert_eq!((loaded.warnings.len(), loaded.type_warnings.len()), (0, 0));
}

#[test]
fn strict_types_ask_for_annotated_senders() {
    let text = edge("", "", "input_types: { i: std/core/v1/Bool }");
    assert_eq!(warnings(&text), "");
    let message = "input \"i\" expects type \"std/core/v1/Bool\" but upstream a/o has no type annotation";
    says(&errors(&format!("strict_types: true\n{text}")), &[message], &text);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.yml");
    std::fs::write(&path, &text).unwrap();
    let strict = load_with(&path, &Options { strict_types: true, ..Options::default() });
    says(&strict.map(drop).unwrap_err().to_string(), &[message], "the option does what the key does");
}

#[test]
fn operators_have_types_like_nodes() {
    let text = "nodes:
- id: rt
  operators:
  - { id: a, python: a.py, outputs: [o], output_types: { o: std/core/v1/Bool } }
  - { id: b, python: b.py, inputs: { i: rt/a/o }, input_types: { i: std/core/v1/Int8 } }
- { id: n, path: x, inputs: { i: rt/a/o } }
";
    let loaded = parse_str("f.yml", text, Path::new("/nowhere"), &[]).unwrap();
    says(
        &warnings_of(&loaded),
        &["node `rt`: type mismatch on input \"b/i\": upstream rt/a/o declares"],
        text,
    );
    assert_eq!(loaded.inferred_types, ["inferred std/core/v1/Bool on n/i (from rt/a/o)"]);
}

/// A folder with a type file per entry, `dataflow.yml` last.
fn folder(types: &[(&str, &str)], dataflow: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in types {
        let path = dir.path().join("types").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(dir.path().join("dataflow.yml"), dataflow).unwrap();
    dir
}

fn with_types(types: &[(&str, &str)], dataflow: &str) -> Result<Loaded, Errors> {
    let dir = folder(types, dataflow);
    load_with(&dir.path().join("dataflow.yml"), &Options::default())
}

const OWN: &str = "types:
  Sensor:
    arrow: Struct
    description: a reading
    params: [{ name: unit, default: celsius }]
    fields:
      - { name: temperature, type: Float32, nullable: false }
      - { name: place, type: Vector3 }
      - { name: history, type: List<Sample> }
    metadata: [{ key: frame, description: where }]
  Sample:
    arrow: Struct
    fields: [{ name: t, type: std/core/v1/UInt64 }]
  Celsius: { arrow: Float32 }
";

#[test]
fn types_of_the_user_are_found_compared_and_handed_to_the_nodes() {
    let text = |to: &str| typed("own/robot/v1/Sensor[unit=kelvin]", to);
    let load =
        |to: &str| with_types(&[("own/robot/v1.yml", OWN)], &text(to)).unwrap_or_else(|e| panic!("{e}"));
    let loaded = load("own/robot/v1/Sensor");
    assert_eq!(warnings_of(&loaded), "");
    let float = "Float64";
    assert_eq!(
        loaded.dataflow.descriptor["types"],
        serde_json::json!({ "own/robot/v1/Sensor": { "struct": {
            "temperature": "Float32",
            "place": { "struct": { "x": float, "y": float, "z": float } },
            "history": { "list": { "struct": { "t": "UInt64" } } },
        } } })
    );
    says(
        &warnings_of(&load("own/robot/v1/Sensor[unit=celsius]")),
        &["parameter `unit` is `kelvin` there"],
        "params",
    );
    says(&warnings_of(&load("own/robot/v1/Sample")), &["type mismatch", "field `t` is missing"], "struct");
    says(&warnings_of(&load("own/robot/v1/Sensr")), &["did you mean \"own/robot/v1/Sensor\"?"], "suggestion");
    let primitive =
        with_types(&[("own/robot/v1.yml", OWN)], &typed("own/robot/v1/Celsius", "std/core/v1/Float32"));
    says(&warnings_of(&primitive.unwrap()), &["type mismatch", "the data would fit"], "names count");
}

#[test]
fn metadata_that_a_type_needs_must_be_among_what_the_output_says() {
    let load = |keys: &str, pattern: &str, own: &str| {
        let text = edge(
            "",
            &format!("{own} output_metadata: {{ o: [{keys}] }}, pattern: {pattern}"),
            "input_types: { i: own/robot/v1/Call }",
        );
        let call = "types: { Call: { arrow: Utf8, metadata: [{ key: request_id }, { key: who }] } }";
        warnings_of(&with_types(&[("own/robot/v1.yml", call)], &text).unwrap_or_else(|e| panic!("{e}")))
    };
    let own = "output_types: { o: own/robot/v1/Call },";
    assert_eq!(load("who", "service-client", own), "", "a pattern brings its keys along");
    says(
        &load("who", "action-client", own),
        &["node `a`", "carry the metadata key `request_id`", "add it to `output_metadata`"],
        "own type",
    );
    assert_eq!(load("who", "action-client", own).matches("request_id").count(), 1);
    says(
        &load("request_id", "service-server", ""),
        &["node `b`", "carry the metadata key `who`", "a/o"],
        "what the reader needs",
    );
    let silent = edge("", own, "input_types: { i: own/robot/v1/Call }");
    let call = "types: { Call: { arrow: Utf8, metadata: [{ key: who }] } }";
    assert_eq!(
        warnings_of(&with_types(&[("own/robot/v1.yml", call)], &silent).unwrap()),
        "",
        "nothing said, nothing wrong"
    );
    let unknown = errors(&edge("", "pattern: service-sever", ""));
    says(&unknown, &["`service-sever`", "did you mean `service-server`?"], "pattern");
}

#[test]
fn files_with_types_that_are_wrong_are_errors_with_file_and_type() {
    let good = "nodes: []\n";
    let own = "own/x/v1.yml";
    let deep: String = (0..10)
        .map(|n| format!("  T{n}: {{ arrow: Struct, fields: [{{ name: a, type: T{} }}] }}\n", n + 1))
        .collect();
    let wide: String = (0..6)
        .map(|n| {
            let fields: String = (0..10).map(|f| format!("{{ name: f{f}, type: T{} }},", n + 1)).collect();
            format!("  T{n}: {{ arrow: Struct, fields: [{fields}] }}\n")
        })
        .collect();
    for (types, parts) in [
        (
            vec![(own, "types:\n  A: { arow: Struct }\n")],
            &["types/own/x/v1.yml:2:8: types.A: unknown key `arow` in a type", "did you mean `arrow`?"][..],
        ),
        (
            vec![(own, "types:\n  A: { arrow: Utf9 }\n")],
            &["types/own/x/v1.yml:2:15: types.A: `Utf9` is no Arrow type", "did you mean `Utf8`?"],
        ),
        (
            vec![(own, "types:\n  A: { arrow: Utf8 }\n  A: { arrow: Utf8 }\n")],
            &["types/own/x/v1.yml:3:3: key `A` is given twice"],
        ),
        (vec![(own, "types:\n  A: { arrow: Struct }\n")], &["types.A: a struct needs `fields`"]),
        (
            vec![(own, "types:\n  A: { arrow: Int8, fields: [{ name: a, type: Int8 }] }\n")],
            &["`Int8` has no fields"],
        ),
        (
            vec![(
                own,
                "types:\n  A: { arrow: Struct, fields: [{ name: a, type: Int8 }, { name: a, type: Int8 }] }\n",
            )],
            &["field `a` is listed twice"],
        ),
        (
            vec![(own, "types:\n  A: { arrow: Struct, fields: [{ name: a, type: Vector4 }] }\n")],
            &["types.A: `Vector4` is no type", "did you mean `Vector3`?"],
        ),
        (
            vec![(own, "types:\n  A: { arrow: Struct, fields: [{ name: a, type: List<Int8 }] }\n")],
            &["the bracket is not closed"],
        ),
        (
            vec![(
                own,
                "types:\n  A: { arrow: Struct, fields: [{ name: a, type: B }] }\n  B: { arrow: Struct, fields: [{ name: b, type: List<A> }] }\n",
            )],
            &["the types contain each other: A → B → A"],
        ),
        (
            vec![(own, "types:\n  Int8: { arrow: Utf8 }\n  a b: { arrow: Utf8 }\n")],
            &["`Int8` is the name of an Arrow type", "`a b` cannot be the name of a type"],
        ),
        (
            vec![
                (own, "types:\n  V: { arrow: Utf8 }\n"),
                ("own/y/v1.yml", "types:\n  V: { arrow: Int8 }\n"),
                ("own/z/v1.yml", "types:\n  A: { arrow: Struct, fields: [{ name: a, type: V }] }\n"),
            ],
            &[
                "types/own/z/v1.yml:2:49: types.A: `V` could be `own/x/v1/V`, `own/y/v1/V`",
                "write the whole URN",
            ],
        ),
        (
            vec![("std/core/v9.yml", "types: { A: { arrow: Utf8 } }\n")],
            &["types/std/core/v9.yml: types below `std` are reserved"],
        ),
        (vec![(own, "{")], &["types/own/x/v1.yml:2:1: not valid YAML"]),
        (vec![(own, &*format!("types:\n{deep}  T10: {{ arrow: Utf8 }}\n"))], &["types nested deeper than 8"]),
        (vec![(own, &*format!("types:\n{wide}  T6: {{ arrow: Utf8 }}\n"))], &["more than 4096 fields"]),
    ] {
        let dir = folder(&types, good);
        let errors = load_with(&dir.path().join("dataflow.yml"), &Options::default());
        let errors = errors.map(drop).expect_err("must be refused").to_string();
        says(&errors.replace(&format!("{}/", dir.path().display()), ""), parts, &format!("{types:?}"));
        assert!(errors.matches("is no type").count() <= 1, "told once: {errors}");
    }
}

#[test]
fn a_file_in_another_place_is_not_read_and_that_is_said() {
    for (name, place) in [("own/v1.yml", "own/v1"), ("own/x/one.yml", "own/x/one"), ("table.yml", "table")] {
        let loaded = with_types(&[(name, "columns: [a\n"), ("own/x/read.me", "{")], "nodes: []\n").unwrap();
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let parts = [&*format!("`{place}` is no place for types"), "types/<prefix>/<category>/v<n>.yml"];
        says(&warnings[0], &parts, name);
    }
}
