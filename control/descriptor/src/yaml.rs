//! YAML text into a tree in which everything knows its place.
//!
//! The text is not trusted. Four bounds keep the cost of any input proportional to its length:
//!
//! 1. At most [`limits::TEXT`] bytes of text.
//! 2. At most [`limits::LEVELS`] levels, so no later walk over the tree can exhaust the stack.
//! 3. At most [`limits::VALUES`] values *after* aliases have been copied, so an alias bomb ends early.
//! 4. At most [`limits::COPIED`] bytes copied by aliases.
//!
//! Duplicate keys are errors. Scalars keep their text as written (`1.10` stays `1.10`); whether a plain scalar
//! is a number is decided by who reads it.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::error::{About, At, Pos, Report};
use crate::limits;
use crate::suggest::shown;

/// A value with its position.
#[derive(Clone, Debug)]
pub(crate) struct Yaml {
    pub(crate) pos: Pos,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `text` as written; `plain` without quotes, so it may be a number, a bool or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Yaml>),
    /// In the order of the file, without duplicates.
    Map(Vec<(At<String>, Yaml)>),
}

impl Yaml {
    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Yaml> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value.
    pub(crate) fn entry(&self, key: &str) -> Option<&(At<String>, Yaml)> {
        self.map().iter().find(|(name, _)| name.value == key)
    }

    /// Entries of a map; nothing for anything else.
    pub(crate) fn map(&self) -> &[(At<String>, Yaml)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// Elements of a list; nothing for anything else.
    pub(crate) fn list(&self) -> &[Yaml] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// Text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Nothing was written, or `~`, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Yaml> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// Sets a key, in its place or at the end. Nothing happens to what is no map.
    pub(crate) fn set(&mut self, key: At<String>, value: Yaml) {
        let Value::Map(entries) = &mut self.value else { return };
        match entries.iter_mut().find(|(name, _)| name.value == key.value) {
            Some((_, old)) => *old = value,
            None => entries.push((key, value)),
        }
    }

    /// A text that nobody takes for a number.
    pub(crate) fn of_text(pos: Pos, text: impl Into<String>) -> Self {
        Self { pos, value: Value::Scalar { text: text.into(), plain: false } }
    }

    /// The value as JSON. Plain scalars become what the YAML 1.2 core schema says; numbers that JSON would
    /// change (`1.10`, `0o17`) stay text.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::List(items) => Json::Array(items.iter().map(Yaml::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|(k, v)| (k.value.clone(), v.to_json())).collect())
            }
            Value::Scalar { .. } if self.is_null() => Json::Null,
            Value::Scalar { text, plain } => scalar_to_json(text, *plain),
        }
    }
}

fn scalar_to_json(text: &str, plain: bool) -> serde_json::Value {
    use serde_json::Value as Json;
    match text {
        _ if !plain => Json::from(text),
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        _ => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) if number.to_string() == text => Json::Number(number),
            _ => Json::from(text),
        },
    }
}

/// Parses the document of a descriptor. `None` means that `report` has an error that says why.
pub(crate) fn parse(text: &str, report: &mut Report) -> Option<Yaml> {
    parse_file(text, 0, report)
}

/// Parses the document in file number `file` of the report.
pub(crate) fn parse_file(text: &str, file: u16, report: &mut Report) -> Option<Yaml> {
    if text.len() > limits::TEXT {
        let message =
            format!("the file has {} bytes; a descriptor may have at most {}", text.len(), limits::TEXT);
        report.error(Pos { file, ..Pos::default() }, About::default(), message, &[]);
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { file, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(syntax_error(&error, text, file)),
        };
        if let Err(Stop { pos, message, hint }) = step {
            report.error(pos, About::default(), message, &[hint]);
            return None;
        }
    }
    for (pos, key, first) in std::mem::take(&mut builder.duplicates) {
        let message = format!("key `{}` is given twice; first on line {}", shown(&key), first.line);
        report.error(pos, About::default(), message, &[]);
    }
    if builder.root.is_none() {
        let message = "the file is empty; a dataflow needs at least `nodes:`";
        report.error(Pos { file, line: 1, column: 1 }, About::default(), message, &[]);
    }
    builder.root
}

fn syntax_error(error: &ScanError, text: &str, file: u16) -> Stop {
    let at = error.marker();
    let pos = position(file, at.line(), at.col());
    let (line, info) = (text.lines().nth(at.line().saturating_sub(1)).unwrap_or(""), error.info());
    let hint = if line.contains('\t') || info.contains("found a tab") {
        "YAML does not allow tabs for indentation; use spaces".to_owned()
    } else if info.contains("mapping values are not allowed") {
        "check the indentation, and quote a text that contains `: `".to_owned()
    } else if info.contains("quoted scalar") {
        "a quote is opened there and not closed".to_owned()
    } else if info.contains("expected ',' or") {
        "a bracket is opened before and not closed, or a comma is missing".to_owned()
    } else if info.contains("unknown anchor") {
        let alias: String = line.chars().skip(at.col()).take_while(|c| !" ,]}".contains(*c)).collect();
        format!(
            "`{}` repeats what an anchor `&…` of that name marks further up, and there is none",
            shown(&alias)
        )
    } else {
        String::new()
    };
    Stop { pos, message: format!("not valid YAML: {info}"), hint }
}

fn position(file: u16, line: usize, column_from_0: usize) -> Pos {
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos { file, line: clamp(line), column: clamp(column_from_0.saturating_add(1)) }
}

/// Why the rest of the file is not looked at.
struct Stop {
    pos: Pos,
    message: String,
    hint: String,
}

/// A list or map whose end has not been seen yet.
struct Open {
    pos: Pos,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Yaml>),
    Map { entries: Vec<(At<String>, Yaml)>, seen: BTreeMap<String, Pos>, key: Option<At<String>> },
}

/// Anchored value with what a copy of it costs.
struct Anchored {
    yaml: Yaml,
    values: usize,
    bytes: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    file: u16,
    open: Vec<Open>,
    root: Option<Yaml>,
    anchors: BTreeMap<usize, Anchored>,
    values: usize,
    copied: usize,
    documents: usize,
    duplicates: Vec<(Pos, String, Pos)>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let pos = position(self.file, span.start.line(), span.start.col());
        let stop = |message: &str, hint: &str| Stop { pos, message: message.into(), hint: hint.into() };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(stop("a descriptor is one YAML document", "remove the second `---`"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, pos)?;
                let as_text =
                    tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                if tag.is_some() && !as_text {
                    return Err(stop("tags have no meaning in a descriptor", "remove the word with the `!`"));
                }
                let plain = style == ScalarStyle::Plain && !as_text;
                let value = Value::Scalar { text: text.into_owned(), plain };
                return self.close(Yaml { pos, value }, anchor);
            }
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) if tag.is_some() => {
                let _: usize = anchor;
                return Err(stop("tags have no meaning in a descriptor", "remove the word with the `!`"));
            }
            Event::SequenceStart(anchor, _) => self.push(pos, anchor, OpenKind::List(Vec::new()))?,
            Event::MappingStart(anchor, _) => {
                let kind = OpenKind::Map { entries: Vec::new(), seen: BTreeMap::new(), key: None };
                self.push(pos, anchor, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { pos, anchor, kind }) = self.open.pop() else { return Ok(()) };
                // Most lists and maps are short, and a growing `Vec` has room for at least four.
                let value = match kind {
                    OpenKind::List(mut items) => {
                        items.shrink_to_fit();
                        Value::List(items)
                    }
                    OpenKind::Map { mut entries, .. } => {
                        entries.shrink_to_fit();
                        Value::Map(entries)
                    }
                };
                return self.close(Yaml { pos, value }, anchor);
            }
            Event::Alias(anchor) => return self.alias(anchor, pos),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn push(&mut self, pos: Pos, anchor: usize, kind: OpenKind) -> Result<(), Stop> {
        self.count(1, pos)?;
        if self.open.len() >= limits::LEVELS {
            let message = format!("nested deeper than {} levels", limits::LEVELS);
            return Err(Stop { pos, message, hint: String::new() });
        }
        self.open.push(Open { pos, anchor, kind });
        Ok(())
    }

    fn count(&mut self, values: usize, pos: Pos) -> Result<(), Stop> {
        self.values += values;
        if self.values > limits::VALUES {
            let message = format!("more than {} values, aliases included", limits::VALUES);
            return Err(Stop { pos, message, hint: String::new() });
        }
        Ok(())
    }

    /// Copies an anchored value, with the position of the alias at its top.
    fn alias(&mut self, anchor: usize, pos: Pos) -> Result<(), Stop> {
        let Some(found) = self.anchors.get(&anchor) else {
            let message = "an alias cannot refer to the value it stands in".to_owned();
            return Err(Stop { pos, message, hint: String::new() });
        };
        let (values, bytes, depth) = (found.values, found.bytes, found.depth);
        self.count(values, pos)?;
        self.copied += bytes;
        if self.copied > limits::COPIED || self.open.len() + depth > limits::LEVELS {
            let message = "aliases blow this file up beyond what a descriptor may be".to_owned();
            return Err(Stop { pos, message, hint: String::new() });
        }
        let mut yaml = self.anchors[&anchor].yaml.clone();
        yaml.pos = pos;
        self.close(yaml, 0)
    }

    /// A value is complete: remember it if it has an anchor, and put it where it belongs.
    fn close(&mut self, yaml: Yaml, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            let (values, bytes, depth) = size(&yaml);
            // The remembered copy is a copy like any other.
            self.copied += bytes;
            self.count(values, yaml.pos)?;
            if self.copied > limits::COPIED {
                let message = "anchors blow this file up beyond what a descriptor may be".to_owned();
                return Err(Stop { pos: yaml.pos, message, hint: String::new() });
            }
            self.anchors.insert(anchor, Anchored { yaml: yaml.clone(), values, bytes, depth });
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(yaml),
            Some(OpenKind::List(items)) => items.push(yaml),
            Some(OpenKind::Map { key: key @ None, .. }) => {
                let Value::Scalar { text, .. } = yaml.value else {
                    let message = "a key must be a name, not a list or a map".to_owned();
                    return Err(Stop { pos: yaml.pos, message, hint: String::new() });
                };
                *key = Some(At { pos: yaml.pos, value: text });
            }
            Some(OpenKind::Map { key, entries, seen }) => {
                let Some(name) = key.take() else { return Ok(()) };
                if let Some(first) = seen.get(&name.value) {
                    self.duplicates.push((name.pos, name.value, *first));
                } else {
                    seen.insert(name.value.clone(), name.pos);
                    entries.push((name, yaml));
                }
            }
        }
        Ok(())
    }
}

/// Values, bytes of text, levels. Depth is bounded by [`limits::LEVELS`], so recursion is safe.
pub(crate) fn size(yaml: &Yaml) -> (usize, usize, usize) {
    let add =
        |(v, b, d): (usize, usize, usize), (v2, b2, d2): (usize, usize, usize)| (v + v2, b + b2, d.max(d2));
    match &yaml.value {
        Value::Scalar { text, .. } => (1, text.len(), 0),
        Value::List(items) => {
            let (v, b, d) = items.iter().map(size).fold((1, 0, 0), add);
            (v, b, d + 1)
        }
        Value::Map(entries) => {
            let sizes = entries.iter().map(|(key, value)| {
                let (v, b, d) = size(value);
                (v, b + key.value.len(), d)
            });
            let (v, b, d) = sizes.fold((1, 0, 0), add);
            (v, b, d + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let mut report = Report::new("f.yml");
        let tree = parse(text, &mut report);
        let errors = report.finish().expect_err("must be refused");
        drop(tree);
        errors.to_string()
    }

    fn read(text: &str) -> Yaml {
        let mut report = Report::new("f.yml");
        let tree = parse(text, &mut report).expect("a tree");
        report.finish().expect("no errors");
        tree
    }

    #[test]
    fn positions_count_from_one_and_in_characters() {
        let tree = read("a:\n  - é: x\n    key: [1, two]\n");
        let item = &tree.get("a").unwrap().list()[0];
        assert_eq!(item.get("é").unwrap().pos, Pos { file: 0, line: 2, column: 8 });
        assert_eq!(item.get("key").unwrap().list()[1].pos, Pos { file: 0, line: 3, column: 14 });
    }

    #[test]
    fn a_duplicate_key_names_both_places() {
        let text = refused("a: 1\nb: 2\na: 3\n");
        assert_eq!(text, "f.yml:3:1: key `a` is given twice; first on line 1");
    }

    #[test]
    fn an_alias_stands_for_its_anchor() {
        let tree = read("a: &x [1, 2]\nb: *x\n");
        assert_eq!(tree.get("b").unwrap().list().len(), 2);
        assert_eq!(tree.get("b").unwrap().pos.line, 2);
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_grows() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..20 {
            let previous = format!("*a{},", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(refused(&text).contains("values, aliases included"));
        let wide = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(100_000));
        assert!(refused(&wide).contains("blow this file up"));
        assert!(refused("a: &a [*a]\n").contains("cannot refer to the value it stands in"));
    }

    #[test]
    fn deep_nesting_is_refused_in_every_notation() {
        let block: String = (0..200).map(|depth| " ".repeat(depth) + "a:\n").collect();
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), block] {
            let refused = refused(&text);
            assert!(refused.contains("deeper") || refused.contains("recursion"), "{refused}");
        }
    }

    #[test]
    fn oddities_are_refused_with_their_place() {
        for (text, said) in [
            ("", "the file is empty"),
            ("a: 1\n---\nb: 2\n", "one YAML document"),
            ("a: !thing x\n", "tags have no meaning"),
            ("[a]: b\n", "a key must be a name"),
            ("a: b: c\n", "check the indentation"),
            ("a:\n\t- b\n", "tabs"),
            ("a: \"open\n", "not valid YAML"),
        ] {
            assert!(refused(text).contains(said), "{text:?}: {}", refused(text));
        }
        assert!(refused(&"#".repeat(limits::TEXT + 1)).contains("at most"));
    }

    #[test]
    fn json_keeps_strings_strings_and_numbers_exact() {
        let tree = read("a: 1.10\nb: '1'\nc: 5\nd: true\ne: ~\nf: 0.5\ng: 0o17\n");
        let expected = serde_json::json!(
            {"a": "1.10", "b": "1", "c": 5, "d": true, "e": null, "f": 0.5, "g": "0o17"});
        assert_eq!(tree.to_json(), expected);
    }
}
