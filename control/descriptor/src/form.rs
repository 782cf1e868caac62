//! Does the file have the form of the schema? Unknown keys, wrong kinds of values, numbers out of range.
//!
//! After this pass `raw` can read without asking: what is malformed has been reported here and reads as absent.

use std::collections::BTreeSet;

use crate::{
    check,
    error::{About, Pos, Report},
    schema::{Kind, Level, OPERATOR},
    suggest::{did_you_mean, listed, shown},
    values,
    yaml::{Value, Yaml},
};

/// Checks `yaml` against `level` and reports every difference.
pub(crate) fn check(yaml: &Yaml, level: &'static Level, report: &mut Report) {
    Walk { report, node: None, path: Vec::new(), open: false }.object(yaml, level);
}

/// The same for a module whose parameters are not known: a scalar with one of them may be anything.
pub(crate) fn check_open(yaml: &Yaml, level: &'static Level, report: &mut Report) {
    Walk { report, node: None, path: Vec::new(), open: true }.object(yaml, level);
}

struct Walk<'r> {
    report: &'r mut Report,
    /// The node that is being looked at.
    node: Option<String>,
    /// Keys from the node (or the top) down to here.
    path: Vec<String>,
    /// Parameters of a module have no values.
    open: bool,
}

impl Walk<'_> {
    fn error(&mut self, pos: Pos, message: String, hints: &[String]) {
        let field = self.path.join(".");
        let field = (!field.is_empty()).then_some(field);
        let about = About { node: self.node.as_deref(), field: field.as_deref() };
        self.report.error(pos, about, message, hints);
    }

    fn object(&mut self, yaml: &Yaml, level: &'static Level) {
        let Value::Map(entries) = &yaml.value else {
            if self.report.counts_only() {
                return;
            }
            let message = format!("expected {} with keys such as {}", level.name, some_names(level));
            return self.error(yaml.pos, format!("{message}, found {}", found(yaml)), &[]);
        };
        for (name, value) in entries {
            match level.key(&name.value) {
                Some(key) => {
                    self.path.push(name.value.clone());
                    self.value(value, &key.kind);
                    self.path.pop();
                }
                None => self.unknown(name.pos, &name.value, level),
            }
        }
        for key in level.keys.iter().filter(|key| key.required && yaml.get(key.name).is_none()) {
            self.error(yaml.pos, format!("{} needs `{}`", level.name, key.name), &[]);
        }
    }

    fn unknown(&mut self, pos: Pos, name: &str, level: &'static Level) {
        if self.report.counts_only() {
            return;
        }
        let mut hints = Vec::new();
        if let Some(hint) =
            std::ptr::eq(level, &OPERATOR).then(|| check::misplaced_in_operator(name)).flatten()
        {
            hints.push(hint);
        } else if self.report.suggests() {
            hints.push(did_you_mean(name, level.names()));
        }
        if name == "<<" {
            hints = vec!["merge keys are not part of YAML 1.2; aliases of whole values are".to_owned()];
        }
        let mut allowed: Vec<&str> = level.names().collect();
        allowed.sort_unstable();
        hints.push(format!("allowed here: {}", allowed.join(", ")));
        self.error(pos, format!("unknown key `{}` in {}", shown(name), level.name), &hints);
    }

    fn value(&mut self, yaml: &Yaml, kind: &'static Kind) {
        match kind {
            Kind::Any => {}
            // A key with nothing behind it is an empty list or map.
            Kind::List(_) | Kind::Map(_) if yaml.is_null() => {}
            Kind::Object(level) => self.object(yaml, level),
            Kind::List(kind) => self.list(yaml, kind),
            Kind::Map(kind) => self.map(yaml, kind),
            Kind::OneOrMore(kind) => self.one_or_more(yaml, kind),
            Kind::Either(_, level) if matches!(yaml.value, Value::Map(_)) => self.object(yaml, level),
            Kind::Either(_, level) if matches!(yaml.value, Value::List(_)) => {
                self.list_in_short_form(yaml, level)
            }
            Kind::Either(kind, _) => self.value(yaml, kind),
            _ => self.scalar(yaml, kind),
        }
    }

    fn list(&mut self, yaml: &Yaml, kind: &'static Kind) {
        let Value::List(items) = &yaml.value else {
            let hint = match yaml.text() {
                Some(text) => format!("write `- {}` on a line of its own", shown(text)),
                None => "a list has a `-` before each of its entries".to_owned(),
            };
            return self.error(yaml.pos, format!("expected a list, found {}", found(yaml)), &[hint]);
        };
        for (number, item) in items.iter().enumerate() {
            let top = self.node.is_none() && self.path == ["nodes"];
            if top {
                let named = item.get("id").and_then(Yaml::text).map(str::to_owned);
                self.node = Some(named.unwrap_or_else(|| format!("#{}", number + 1)));
                let path = std::mem::take(&mut self.path);
                self.value(item, kind);
                self.path = path;
                self.node = None;
            } else {
                self.value(item, kind);
            }
        }
    }

    /// A list where a text or an object is expected: right only behind the one key of the object that takes lists.
    fn list_in_short_form(&mut self, yaml: &Yaml, level: &'static Level) {
        let takes_lists = level.keys.iter().find(|key| matches!(key.kind, Kind::OneOrMore(_)));
        let hint = takes_lists.zip(self.path.last()).map(|(key, name)| {
            let items: Vec<String> = yaml.list().iter().filter_map(Yaml::text).take(5).map(shown).collect();
            format!("write `{name}: {{ {}: [{}] }}`", key.name, items.join(", "))
        });
        self.error(yaml.pos, "expected a text, found a list".to_owned(), &[hint.unwrap_or_default()]);
    }

    fn one_or_more(&mut self, yaml: &Yaml, kind: &'static Kind) {
        match &yaml.value {
            Value::List(items) if items.is_empty() => {
                self.error(yaml.pos, "the list is empty".to_owned(), &["name at least one".to_owned()]);
            }
            Value::List(items) => items.iter().for_each(|item| self.value(item, kind)),
            Value::Map(_) => {
                self.error(yaml.pos, "expected a text or a list of texts, found a map".to_owned(), &[]);
            }
            Value::Scalar { .. } => self.scalar(yaml, kind),
        }
    }

    fn map(&mut self, yaml: &Yaml, kind: &'static Kind) {
        let Value::Map(entries) = &yaml.value else {
            let message = format!("expected `name: value` entries, found {}", found(yaml));
            let hint = match yaml.value {
                Value::List(_) => "write one `name: value` per line, without `-`",
                _ => "",
            };
            return self.error(yaml.pos, message, &[hint.to_owned()]);
        };
        for (name, value) in entries {
            self.path.push(shown(&name.value));
            self.value(value, kind);
            self.path.pop();
        }
    }

    fn scalar(&mut self, yaml: &Yaml, kind: &'static Kind) {
        let Value::Scalar { text, .. } = &yaml.value else {
            return self.error(yaml.pos, format!("expected {}, found {}", expected(kind), found(yaml)), &[]);
        };
        if yaml.is_null() {
            let message = format!("nothing is written here; expected {}", expected(kind));
            return self.error(yaml.pos, message, &["remove the key to get its default".to_owned()]);
        }
        if text.contains('\0') {
            return self.error(yaml.pos, "a text must not contain a NUL character".to_owned(), &[]);
        }
        if self.open && crate::modules::params::mentions_one(text) {
            return;
        }
        if let Err((why, hint)) = fits(text, kind) {
            self.error(yaml.pos, format!("`{}`: {why}", shown(text)), &[hint]);
        }
    }
}

/// Does the text fit the kind? Otherwise what was expected, and a hint that may be empty.
fn fits(text: &str, kind: &Kind) -> Result<(), (String, String)> {
    let plain = |why: String| (why, String::new());
    match kind {
        Kind::Bool => values::boolean(text).map(drop).map_err(plain),
        Kind::Int { min, max } => values::integer(text, *min, *max).map(drop).map_err(plain),
        Kind::Duration { zero } => match values::duration(text) {
            Ok(duration) if duration.is_zero() && !zero => Err(plain("must be more than zero".to_owned())),
            Ok(_) => Ok(()),
            Err(why) => Err(plain(why)),
        },
        Kind::Size => match values::size(text) {
            Ok(0) => Err(plain("must be at least one byte".to_owned())),
            Ok(_) => Ok(()),
            Err(why) => Err(plain(why)),
        },
        Kind::Choice(words) if !words.contains(&text) => {
            let why = format!("expected one of {}", listed(words.iter().copied()));
            Err((why, did_you_mean(text, words.iter().copied())))
        }
        _ => Ok(()),
    }
}

fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "`true` or `false`",
        Kind::Int { .. } => "an integer",
        Kind::Duration { .. } => "a duration",
        Kind::Size => "a number of bytes",
        Kind::Choice(_) => "one word",
        _ => "a text",
    }
}

fn found(yaml: &Yaml) -> String {
    match &yaml.value {
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        Value::Scalar { .. } if yaml.is_null() => "nothing".to_owned(),
        Value::Scalar { text, .. } => format!("`{}`", shown(text)),
    }
}

fn some_names(level: &'static Level) -> String {
    listed(level.names().take(3))
}

/// Nodes (by position) in which something is malformed: rules that would only repeat that keep quiet.
pub(crate) fn malformed_nodes(tree: &Yaml, report: &Report) -> BTreeSet<Pos> {
    let nodes = tree.get("nodes").map(Yaml::list).unwrap_or_default();
    let mut starts: Vec<Pos> = nodes.iter().map(|node| node.pos).collect();
    starts.sort_unstable();
    let node_at = |line, column| {
        let after = starts.partition_point(|start| *start <= Pos { file: tree.pos.file, line, column });
        after.checked_sub(1).map(|index| starts[index])
    };
    let here = report.errors.iter().filter(|problem| problem.at.file == report.file(tree.pos.file));
    here.filter_map(|problem| node_at(problem.at.line, problem.at.column)).collect()
}
