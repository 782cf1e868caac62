//! A tree as YAML text, in block style, that reads back as the same tree.
//!
//! Texts stay texts: what a reader of any YAML version could take for something else is quoted.

use std::fmt::Write;

use crate::yaml::{Value, Yaml};

/// Keys that mean nothing when nothing is behind them.
const NOTHING_WHEN_EMPTY: [&str; 12] = [
    "inputs",
    "outputs",
    "env",
    "params",
    "output_types",
    "input_types",
    "output_metadata",
    "output_framing",
    "cpu_affinity",
    "type_rules",
    "type_paths",
    "chains",
];

/// The text of a document. Empty fields are left out.
pub(crate) fn document(tree: &Yaml) -> String {
    let mut out = String::new();
    value(tree, 0, &mut out);
    if out.starts_with('\n') { out.split_off(1) } else { out }
}

/// Writes what stands behind a key or a dash: on the same line, or from the next one on.
fn value(yaml: &Yaml, indent: usize, out: &mut String) {
    match &yaml.value {
        Value::Scalar { text, plain } => {
            out.push(' ');
            scalar(text, *plain, indent, out);
            out.push('\n');
        }
        Value::List(items) if items.is_empty() => out.push_str(" []\n"),
        Value::List(items) => {
            out.push('\n');
            for item in items {
                margin(indent, out);
                out.push('-');
                in_list(item, indent + 2, out);
            }
        }
        Value::Map(_) => {
            let entries = kept(yaml);
            if entries.is_empty() {
                out.push_str(" {}\n");
                return;
            }
            out.push('\n');
            for (key, item) in entries {
                margin(indent, out);
                entry(key, item, indent, out);
            }
        }
    }
}

/// The first key of a map stands beside the dash.
fn in_list(item: &Yaml, indent: usize, out: &mut String) {
    let entries = kept(item);
    if entries.is_empty() {
        return value(item, indent, out);
    }
    for (number, (key, item)) in entries.into_iter().enumerate() {
        if number == 0 {
            out.push(' ');
        } else {
            margin(indent, out);
        }
        entry(key, item, indent, out);
    }
}

fn entry(key: &str, item: &Yaml, indent: usize, out: &mut String) {
    if bare(key) {
        out.push_str(key);
    } else {
        quoted(key, out);
    }
    out.push(':');
    value(item, indent + 2, out);
}

fn kept(map: &Yaml) -> Vec<(&str, &Yaml)> {
    let empty = |key: &str, yaml: &Yaml| match &yaml.value {
        Value::Scalar { .. } => yaml.is_null(),
        Value::List(items) => items.is_empty() && NOTHING_WHEN_EMPTY.contains(&key),
        Value::Map(entries) => entries.is_empty() && NOTHING_WHEN_EMPTY.contains(&key),
    };
    let entries = map.map().iter().filter(|(key, value)| !empty(&key.value, value));
    entries.map(|(key, value)| (key.value.as_str(), value)).collect()
}

fn margin(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(text: &str, plain: bool, indent: usize, out: &mut String) {
    let number = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.~".contains(&b)) && safe(text);
    if bare(text) || (plain && number) {
        out.push_str(text);
    } else if literal(text) {
        out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
        for line in text.lines() {
            out.push('\n');
            margin(indent.max(2), out);
            out.push_str(line);
        }
    } else {
        quoted(text, out);
    }
}

/// Nothing that YAML gives a meaning at the start of a plain text.
fn safe(text: &str) -> bool {
    let lone = matches!(text, "" | "-" | "..." | "---");
    !lone && !text.starts_with("- ") && !text.starts_with("---") && !text.starts_with("...")
}

/// May stand there without quotes, and nobody takes it for anything but a text.
fn bare(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./$+".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_/$".contains(c));
    let lower = text.to_ascii_lowercase();
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&lower.as_str());
    starts && !special && text.chars().all(|c| word(c) || c == ' ') && !text.ends_with(' ')
}

/// Several lines that need no escapes.
fn literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = |line: &str| {
        !line.is_empty()
            && !line.starts_with([' ', '\t'])
            && !line.ends_with([' ', '\t'])
            && line.chars().all(|c| c == ' ' || c.is_ascii_graphic())
    };
    body.contains('\n') && body.split('\n').all(plain)
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Writing to a string cannot fail.
                write!(out, "\\U{:08x}", c as u32).unwrap_or_default();
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        error::{At, Pos, Report},
        yaml::parse,
    };

    fn read(text: &str) -> Yaml {
        let mut report = Report::new("f.yml");
        let tree = parse(text, &mut report);
        report.finish().unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        tree.unwrap_or_else(|| panic!("no tree:\n{text}"))
    }

    fn tree() -> impl Strategy<Value = Yaml> {
        let at = |value| Yaml { pos: Pos::default(), value };
        let words = prop::sample::select(vec![
            "yes", "1.10", "0x1F", "~", "null", "- a", "a: b", "a #b", "[x]", "*x", "!t", "a\nb\n", "a\nb",
            "\n", " a", "a ", "é", "", "true", "012", "1_000", "12:30", "=", "-", "---", "...", "a\n\nb",
            "\u{85}", "'", "\"", "%x", "@x",
        ]);
        let text = prop_oneof![any::<String>(), words.prop_map(str::to_owned)];
        let leaf = text.prop_map(move |text| at(Value::Scalar { text, plain: false }));
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let entries = prop::collection::btree_map(any::<String>(), inner.clone(), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(move |items| at(Value::List(items))),
                entries.prop_map(move |entries| {
                    let key = |value| At { pos: Pos::default(), value };
                    at(Value::Map(entries.into_iter().map(|(k, v)| (key(k), v)).collect()))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_tree_reads_back_as_it_was(tree in tree()) {
            let text = document(&tree);
            prop_assert_eq!(read(&text).to_json(), tree.to_json(), "{}", text);
        }
    }

    #[test]
    fn numbers_stay_numbers_texts_stay_texts_and_empty_fields_go() {
        let text = "a: 1\nb: \"1\"\nc: 1.10\nd: \"true\"\ne: true\nf:\ng: \"\"\ninputs: {}\nrt: {}\nh: [x, 2, -1, .5]\n";
        let written = document(&read(text));
        let expected = "a: 1\nb: \"1\"\nc: 1.10\nd: \"true\"\ne: true\ng: \"\"\nrt: {}\nh:\n  - x\n  - 2\n  - -1\n  - .5\n";
        assert_eq!(written, expected);
    }
}
