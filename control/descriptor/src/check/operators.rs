//! Rules about operators: their names, what they load, and what they share with the others of their process.

use std::collections::BTreeSet;

use dora_protocol::OperatorId;

use super::{Kind, allowed, digest, is_url, refused};
use crate::{
    error::{About, At, Report},
    raw::{self, RawNode, RawOperator},
    schema::NODE,
    suggest::shown,
};

/// Keys that hold for the whole process, so that one operator of it may have them.
const ROUTED: [&str; 5] =
    ["send_stdout_as", "send_logs_as", "min_log_level", "max_log_size", "max_rotated_files"];

/// Where a key belongs that an operator does not have, but a node does.
pub(crate) fn misplaced(key: &str) -> Option<String> {
    NODE.key(key)?;
    if allowed(Kind::Operators).contains(&key) {
        return Some(format!(
            "`{key}` belongs to the node, beside `operators`, and holds for the whole process; an operator that \
             needs its own gets a node of its own"
        ));
    }
    Some(format!(
        "`{key}` is for nodes that are programs; an operator is loaded with `python` or `shared-library`"
    ))
}

/// The file or URL that a Python operator names, in the short or in the long form.
pub(crate) fn python(operator: &RawOperator<'_>) -> Option<At<String>> {
    raw::text(operator.yaml, "python").or_else(|| raw::text(operator.yaml.get("python")?, "source"))
}

/// The library that a native operator names.
pub(crate) fn library(operator: &RawOperator<'_>) -> Option<At<String>> {
    raw::text(operator.yaml, "shared-library").or_else(|| raw::text(operator.yaml, "shared_library"))
}

/// The conda environment of an operator.
pub(crate) fn conda_env(operator: &RawOperator<'_>) -> Option<At<String>> {
    raw::text(operator.yaml.get("python")?, "conda_env")
}

/// Reports what is wrong with the operators of a node.
pub(crate) fn check(node: &RawNode<'_>, about: About<'_>, report: &mut Report) {
    let several = node.has("operators");
    if several && node.operators.is_empty() && node.yaml.get("operators").is_some_and(|o| o.list().is_empty())
    {
        report.error(node.pos_of("operators"), about, "`operators` is empty", &[]);
    }
    names(node, several, about, report);
    environments(node, about, report);
    let mut routed = BTreeSet::new();
    for operator in &node.operators {
        source(operator, about, report);
        for key in ROUTED {
            if let Some((name, _)) = operator.yaml.entry(key)
                && !routed.insert(key)
            {
                let message = format!("only one operator of a node may have `{key}`");
                report.error(name.pos, about, message, &[]);
            }
        }
    }
}

fn names(node: &RawNode<'_>, several: bool, about: About<'_>, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for operator in &node.operators {
        let Some(id) = &operator.id else {
            if several {
                report.error(operator.yaml.pos, about, "an entry of `operators` needs an `id`", &[]);
            }
            continue;
        };
        if let Err(error) = id.value.parse::<OperatorId>() {
            report.error(id.pos, about, refused(&error), &[]);
        } else if !seen.insert(id.value.as_str()) {
            let message = format!("two operators are named `{}`", shown(&id.value));
            report.error(id.pos, about, message, &[]);
        }
    }
}

fn source(operator: &RawOperator<'_>, about: About<'_>, report: &mut Report) {
    let pos = operator.yaml.pos;
    let sources = ["python", "shared-library", "shared_library", "wasm"];
    let present: Vec<&str> = sources.into_iter().filter(|key| operator.yaml.get(key).is_some()).collect();
    if present.len() != 1 {
        let message = "an operator has exactly one of `python`, `shared-library`";
        report.error(pos, about, message, &[]);
    } else if present == ["wasm"] {
        report.error(pos, about, "`wasm` is reserved and cannot be used", &[]);
    }
    let written = python(operator).or_else(|| library(operator));
    if let Some(empty) = written.as_ref().filter(|path| path.value.trim().is_empty()) {
        let key = present.first().copied().unwrap_or_default();
        report.error(empty.pos, about.field(key), "must not be empty", &[]);
    }
    let is_download = written.is_some_and(|path| is_url(&path.value));
    digest(operator.yaml, is_download, "`python` or `shared-library`", about, report);
}

/// One process has one interpreter: operators that ask for an environment have to ask for the same.
fn environments(node: &RawNode<'_>, about: About<'_>, report: &mut Report) {
    let about = about.field("conda_env");
    let mut first: Option<String> = None;
    for operator in &node.operators {
        let Some(name) = conda_env(operator) else { continue };
        if name.value.trim().is_empty() {
            report.error(
                name.pos,
                about,
                "must not be empty",
                &["give the name of the environment, or its folder".to_owned()],
            );
            continue;
        }
        let wanted = first.get_or_insert_with(|| name.value.clone());
        if *wanted != name.value {
            let message = format!(
                "`{}` is another environment than `{}`, and operators of one node share one interpreter",
                shown(&name.value),
                shown(wanted)
            );
            let hint = "put it into a node of its own; an edge between the two is the same".to_owned();
            report.error(name.pos, about, message, &[hint]);
        }
    }
}
