//! Parameters: `$PARAM_SPEED`, `${PARAM_SPEED}` and `${_param.speed}` in the texts of a module's nodes.
//!
//! A text is replaced before it is read as anything, so a parameter can be a `queue_size` or part of a timer. What was
//! put in is not looked at again, and one text cannot grow beyond [`limits::PARAMETER`] bytes, however modules are nested.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    check::ports::hints,
    error::{About, At, Report},
    limits,
    raw::{self, RawNode},
    suggest::{did_you_mean, listed, shown},
    yaml::{Value, Yaml},
};

/// Keys of a node and of an operator that are no place for parameters.
const VERBATIM: [&str; 3] = ["id", "name", "description"];

/// The parameters of one use of a module.
#[derive(Debug, Default)]
pub(super) struct Params {
    /// By name in capitals.
    values: BTreeMap<String, At<String>>,
    /// All that the header of the module lists, as written there; `None`: it lists none, so any may be given.
    declared: Option<Vec<String>>,
    /// Nobody gave any: the module is looked at by itself.
    pub(super) open: bool,
    /// Bytes of text that they were put into.
    written: Cell<usize>,
}

impl Params {
    /// Those of a module node. Names that differ in case only are reported.
    pub(super) fn of(node: &Yaml, about: About<'_>, report: &mut Report) -> Self {
        let mut values = BTreeMap::new();
        for (name, value) in node.get("params").map(Yaml::map).unwrap_or_default() {
            let Some(text) = value.text() else { continue };
            let value = At { pos: name.pos, value: text.to_owned() };
            if values.insert(name.value.to_uppercase(), value).is_some() {
                let message = format!("two names for `$PARAM_{}`", shown(&name.value.to_uppercase()));
                report.error(name.pos, about.field("params"), message, &[]);
            }
        }
        Self { values, declared: None, open: false, written: Cell::new(0) }
    }

    /// Compares what the module node gives with what the `module` block of the file lists, and puts in the defaults.
    pub(super) fn declare(&mut self, header: &Yaml, node: &RawNode<'_>, report: &mut Report) {
        let Some(list) = header.get("params") else { return };
        let in_header = About { node: None, field: Some("module.params") };
        let mut declared: Vec<String> = Vec::new();
        for entry in list.list() {
            let Some(name) = raw::text(entry, "name") else { continue };
            if !is_name(&name.value) {
                let message = format!("`{}`: only letters, digits and `_` are allowed", shown(&name.value));
                report.error(name.pos, in_header, message, &[]);
            } else if declared.iter().any(|known| known.eq_ignore_ascii_case(&name.value)) {
                let message = format!("two names for `$PARAM_{}`", shown(&name.value.to_uppercase()));
                report.error(name.pos, in_header, message, &[]);
            }
            let capitals = name.value.to_uppercase();
            match raw::text(entry, "default") {
                _ if self.values.contains_key(&capitals) => {}
                Some(default) => _ = self.values.insert(capitals, default),
                None if self.open => {}
                None => {
                    let message = format!("parameter `{}` of the module is not given", shown(&name.value));
                    let hint = format!(
                        "it is listed without default at {}; write `params: {{ {}: … }}`",
                        report.location(name.pos),
                        shown(&name.value)
                    );
                    let about = About { node: Some(node.name()), field: Some("params") };
                    report.error(node.pos_of("params"), about, message, &[hint]);
                }
            }
            declared.push(name.value);
        }
        let about = About { node: Some(node.name()), field: Some("params") };
        for (name, _) in node.yaml.get("params").map(Yaml::map).unwrap_or_default() {
            if !declared.iter().any(|known| known.eq_ignore_ascii_case(&name.value)) {
                let message = format!("the module has no parameter `{}`", shown(&name.value));
                report.error(name.pos, about, message, &hints(&name.value, &names(&declared), "parameters"));
            }
        }
        self.declared = Some(declared);
    }

    /// Of a parameter that a text mentions: does the module list it? If it lists none, it may.
    fn is_declared(&self, name: &str) -> bool {
        self.declared.as_ref().is_none_or(|all| all.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// As variables of the nodes: `PARAM_SPEED` and its value.
    pub(super) fn variables(&self) -> impl Iterator<Item = (At<String>, Yaml)> {
        self.values.iter().map(|(name, value)| {
            let key = At { pos: value.pos, value: format!("PARAM_{name}") };
            (key, Yaml::of_text(value.pos, &*value.value))
        })
    }

    /// A node with its parameters put in.
    pub(super) fn node(&self, node: &Yaml, about: About<'_>, report: &mut Report) -> Yaml {
        let Value::Map(entries) = &node.value else { return node.clone() };
        let entries = entries.iter().map(|(key, value)| {
            let value = match (key.value.as_str(), &value.value) {
                (name, _) if VERBATIM.contains(&name) => value.clone(),
                ("operator", Value::Map(_)) => self.node(value, about, report),
                ("operators", Value::List(items)) => {
                    let items = items.iter().map(|item| self.node(item, about, report)).collect();
                    Yaml { pos: value.pos, value: Value::List(items) }
                }
                _ => self.value(value, about, report),
            };
            (key.clone(), value)
        });
        Yaml { pos: node.pos, value: Value::Map(entries.collect()) }
    }

    /// A value with its parameters put in.
    pub(super) fn value(&self, yaml: &Yaml, about: About<'_>, report: &mut Report) -> Yaml {
        let value = match &yaml.value {
            Value::List(items) => {
                Value::List(items.iter().map(|item| self.value(item, about, report)).collect())
            }
            Value::Map(entries) => Value::Map(
                entries.iter().map(|(key, value)| (key.clone(), self.value(value, about, report))).collect(),
            ),
            Value::Scalar { text, plain } if mentions_one(text) => {
                let text = self.text(&At { pos: yaml.pos, value: text.clone() }, about, report);
                // An empty parameter is an empty text, not a missing one.
                let null = matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
                Value::Scalar { plain: *plain && !null, text }
            }
            same @ Value::Scalar { .. } => same.clone(),
        };
        Yaml { pos: yaml.pos, value }
    }

    fn text(&self, at: &At<String>, about: About<'_>, report: &mut Report) -> String {
        if self.open {
            let all = std::iter::successors(
                next(&at.value).map(|found| (found, at.value.as_str())),
                |(found, text)| {
                    let rest = &text[found.end..];
                    next(rest).map(|found| (found, rest))
                },
            );
            for (found, _) in all.filter(|(found, _)| !self.is_declared(&found.name)) {
                self.unset(at, &found.name, about, report);
            }
            // Whatever the parameter is, a timer has to be written like one.
            let timer = at.value.starts_with("dora/timer/");
            return if timer { "dora/timer/millis/1".to_owned() } else { at.value.clone() };
        }
        let mut out = String::new();
        let mut rest = at.value.as_str();
        if self.written.get() > limits::EXPANDED {
            return out; // Said when it happened.
        }
        while let Some(found) = next(rest) {
            out.push_str(&rest[..found.start]);
            match self.values.get(&found.name) {
                Some(value) => out.push_str(&value.value),
                // One that is listed and has no value was reported at the module node.
                None if self.declared.is_some() && self.is_declared(&found.name) => {}
                None => self.unset(at, &found.name, about, report),
            }
            rest = &rest[found.end..];
            if out.len() > limits::PARAMETER {
                let message = format!("more than {} bytes once the parameters are put in", limits::PARAMETER);
                report.error(at.pos, about, message, &[]);
                return String::new();
            }
        }
        out += rest;
        self.written.set(self.written.get() + out.len());
        if self.written.get() > limits::EXPANDED {
            let message =
                format!("the parameters blow this module up to more than {} bytes of text", limits::EXPANDED);
            report.error(at.pos, about, message, &[]);
        }
        out
    }

    fn unset(&self, at: &At<String>, name: &str, about: About<'_>, report: &mut Report) {
        let name = name.to_lowercase();
        if let Some(declared) = &self.declared {
            let message = format!("`{}` is not among the parameters of the module", shown(&name));
            return report.error(at.pos, about, message, &hints(&name, &names(declared), "parameters"));
        }
        let known: Vec<String> = self.values.keys().map(|name| name.to_lowercase()).collect();
        let known = known.iter().map(String::as_str);
        let given = if known.len() == 0 {
            format!("the module node gives no parameters; write `params: {{ {name}: … }}`")
        } else {
            format!("the module node gives {}", listed(known.clone().take(20)))
        };
        let hint = if report.suggests() { did_you_mean(&name, known) } else { String::new() };
        let message = format!("parameter `{}` is not set", shown(&name));
        report.error(at.pos, about, message, &[hint, given]);
    }
}

/// Letters, digits, `_`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn names(all: &[String]) -> BTreeSet<&str> {
    all.iter().map(String::as_str).collect()
}

/// Does the text have a parameter in it?
pub(crate) fn mentions_one(text: &str) -> bool {
    next(text).is_some()
}

struct Found {
    start: usize,
    end: usize,
    /// In capitals.
    name: String,
}

/// The first parameter in `text`.
fn next(text: &str) -> Option<Found> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (start, _) in text.match_indices('$') {
        let rest = &text[start + 1..];
        let braced = ["{_param.", "{PARAM_"].iter().find_map(|open| rest.strip_prefix(open));
        let (name, after) = match (braced, rest.strip_prefix("PARAM_")) {
            (Some(inside), _) => match inside.split_once('}') {
                Some((name, after)) => (name, after),
                None => continue,
            },
            (None, Some(inside)) => inside.split_at(inside.find(|c| !word(c)).unwrap_or(inside.len())),
            (None, None) => continue,
        };
        if !name.is_empty() && name.chars().all(word) {
            return Some(Found { start, end: text.len() - after.len(), name: name.to_uppercase() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Pos;

    fn put_in(text: &str) -> (String, usize) {
        let value = |text: &str| At { pos: Pos::default(), value: text.to_owned() };
        let values = [("SPEED", "2.0"), ("A_1", "$PARAM_SPEED")];
        let values = values.map(|(name, text)| (name.to_owned(), value(text))).into();
        let mut report = Report::new("f.yml");
        let params = Params { values, ..Params::default() };
        let text = params.text(&value(text), About::default(), &mut report);
        (text, report.errors.len())
    }

    #[test]
    fn all_three_spellings_are_replaced_once_and_the_rest_stays() {
        for (text, expected, errors) in [
            ("--speed $PARAM_SPEED,x", "--speed 2.0,x", 0),
            ("${PARAM_SPEED}m ${_param.speed}", "2.0m 2.0", 0),
            ("$PARAM_A_1", "$PARAM_SPEED", 0),
            ("$HOME $PARAM_ ${_param.} ${PARAM_SPEED $", "$HOME $PARAM_ ${_param.} ${PARAM_SPEED $", 0),
            ("é$PARAM_SPEEDé", "é2.0é", 0),
            ("$PARAM_SPED", "", 1),
        ] {
            assert_eq!(put_in(text), (expected.to_owned(), errors), "{text}");
        }
    }
}
