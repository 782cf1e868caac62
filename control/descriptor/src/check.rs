//! Rules about one node at a time: its name, what kind it is, which keys that kind has.
//!
//! | file | rules about |
//! |---|---|
//! | `check/ports.rs` | inputs, outputs and the maps that refer to them |
//! | `check/rt.rs` | scheduling |
//! | `check/operators.rs` | operators |
//! | `check/ros2.rs` | `ros2` blocks |
//! | `check/not_yet.rs` | keys whose behaviour comes later |

pub(crate) mod not_yet;
pub(crate) mod operators;
pub(crate) mod ports;
pub(crate) mod ros2;
pub(crate) mod rt;

pub(crate) use operators::misplaced as misplaced_in_operator;

use std::collections::{BTreeMap, BTreeSet};

use dora_protocol::{IdError, NodeId};

use crate::{
    error::{About, Pos, Report},
    raw::{self, RawDataflow, RawNode},
    suggest::{listed, shown},
    values,
    yaml::Yaml,
};

/// What a node is, by the key that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Path,
    Module,
    Hub,
    Operators,
    Ros2,
    Custom,
}

const SOURCES: [(&str, Kind); 7] = [
    ("path", Kind::Path),
    ("module", Kind::Module),
    ("hub", Kind::Hub),
    ("operator", Kind::Operators),
    ("operators", Kind::Operators),
    ("ros2", Kind::Ros2),
    ("custom", Kind::Custom),
];

const ALWAYS: [&str; 6] = ["id", "name", "description", "env", "deploy", "_unstable_deploy"];
const FAULT: [&str; 8] = [
    "restart_policy",
    "max_restarts",
    "restart_delay",
    "max_restart_delay",
    "restart_window",
    "health_check_timeout",
    "startup_timeout",
    "finish_grace_secs",
];
const PROCESS: [&str; 4] = ["cpu_affinity", "rt", "wcet", "shared_memory_pool_size"];
const LOG_FILE: [&str; 2] = ["max_log_size", "max_rotated_files"];
const PORTS: [&str; 11] = [
    "inputs",
    "outputs",
    "output_layout",
    "output_framing",
    "output_types",
    "input_types",
    "output_metadata",
    "pattern",
    "send_stdout_as",
    "send_logs_as",
    "min_log_level",
];
const PROGRAM: [&str; 8] = ["path", "path_sha256", "args", "build", "git", "branch", "tag", "rev"];

/// Keys that a node of this kind may have.
pub(crate) fn allowed(kind: Kind) -> Vec<&'static str> {
    let groups: &[&[&str]] = match kind {
        Kind::Path => &[&PROGRAM, &FAULT, &PROCESS, &LOG_FILE, &PORTS],
        Kind::Module => &[&["module", "inputs", "params", "build"]],
        Kind::Hub => &[&["hub", "args"], &FAULT, &PROCESS, &LOG_FILE, &PORTS],
        Kind::Operators => &[&["operator", "operators"], &FAULT, &PROCESS, &LOG_FILE],
        Kind::Ros2 => &[&["ros2", "args"], &FAULT, &PROCESS, &LOG_FILE, &PORTS],
        Kind::Custom => &[&["custom", "build"], &FAULT, &PROCESS, &LOG_FILE, &PORTS],
    };
    let mut keys: Vec<&str> =
        ALWAYS.into_iter().chain(groups.iter().flat_map(|g| g.iter().copied())).collect();
    keys.sort_unstable();
    keys
}

/// What the rules found out about the nodes, by position in the list.
pub(crate) struct Checked {
    /// `None`: not exactly one kind, which has been reported.
    pub(crate) kinds: Vec<Option<Kind>>,
    /// Outputs that cannot be known from this file (modules, hub) or that are partly malformed.
    pub(crate) open_outputs: Vec<bool>,
}

/// Is it a module, and nothing else?
pub(crate) fn is_module(node: &RawNode<'_>) -> bool {
    SOURCES.into_iter().all(|(key, kind)| node.has(key) == (kind == Kind::Module))
}

/// The rules for a module node, which is gone once it is expanded.
pub(crate) fn module_node(node: &RawNode<'_>, report: &mut Report) {
    let about = About { node: Some(node.name()), field: None };
    keys_of_kind(node, Kind::Module, about, report);
    source_rules(node, Kind::Module, about, report);
    both(node.yaml, "deploy", "_unstable_deploy", about, report);
}

/// Applies every rule that does not need another node. `malformed` are nodes with errors of form.
pub(crate) fn check(raw: &RawDataflow<'_>, malformed: &BTreeSet<Pos>, report: &mut Report) -> Checked {
    ids(raw, report);
    top_level(raw, report);
    let mut checked = Checked { kinds: Vec::new(), open_outputs: Vec::new() };
    for node in &raw.nodes {
        let about = About { node: Some(node.name()), field: None };
        let broken = malformed.contains(&node.pos);
        let kind = kind_of(node, broken, about, report);
        if let Some(kind) = kind {
            keys_of_kind(node, kind, about, report);
            source_rules(node, kind, about, report);
            if kind == Kind::Ros2 {
                ros2::check(node, about, report);
            }
        }
        both(node.yaml, "deploy", "_unstable_deploy", about, report);
        operators::check(node, about, report);
        ports::check(node, raw.strict_types, about, report);
        rt::check(node, about, report);
        checked.kinds.push(kind);
        checked.open_outputs.push(broken || matches!(kind, None | Some(Kind::Module | Kind::Hub)));
    }
    checked
}

fn ids(raw: &RawDataflow<'_>, report: &mut Report) {
    let mut first: BTreeMap<&str, Pos> = BTreeMap::new();
    for id in raw.nodes.iter().filter_map(|node| node.id.as_ref()) {
        let about = About { node: Some(&id.value), field: Some("id") };
        if let Err(error) = id.value.parse::<NodeId>() {
            report.error(id.pos, About { node: None, field: None }, refused(&error), &[]);
        }
        if let Some(before) = first.get(id.value.as_str()) {
            let place = report.location(*before);
            let message = if before.file == id.pos.file {
                format!("the id is taken: line {} has a node of that name", before.line)
            } else {
                format!("the id is taken: there is a node of that name at {place}")
            };
            report.error(id.pos, about, message, &[]);
        } else {
            first.insert(&id.value, id.pos);
        }
    }
}

/// Why a name was refused; the name is cut to a line.
pub(crate) fn refused(error: &IdError) -> String {
    format!("`{}` is not a valid {}: {}", shown(&error.name), error.what, error.why)
}

fn top_level(raw: &RawDataflow<'_>, report: &mut Report) {
    let about = About::default();
    both(raw.yaml, "deploy", "_unstable_deploy", about, report);
    both(raw.yaml, "debug", "_unstable_debug", about, report);
    if let Some((key, _)) = raw.yaml.entry("communication") {
        let message = "the block of version 0 has no effect any more";
        report.warn(key.pos, about.field("communication"), message, &["remove it".to_owned()]);
    }
    for block in ["debug", "_unstable_debug"].iter().filter_map(|key| raw.yaml.get(key)) {
        let new = raw::flag(block, "enable_debug_inspection");
        let old = raw::flag(block, "publish_all_messages_to_zenoh");
        if new.is_some() && old.is_some() && new != old {
            let message = "`enable_debug_inspection` and `publish_all_messages_to_zenoh` are two names of one \
                           option and contradict each other";
            report.error(block.pos, about, message, &[]);
        }
    }
}

/// Two names of one block must not both be there.
fn both(yaml: &Yaml, one: &str, other: &str, about: About<'_>, report: &mut Report) {
    if let (Some((first, _)), Some((second, _))) = (yaml.entry(one), yaml.entry(other)) {
        let message = format!("`{one}` and `{other}` are two names of one block; keep one");
        report.error(first.pos.max(second.pos), about, message, &[]);
    }
}

fn kind_of(node: &RawNode<'_>, broken: bool, about: About<'_>, report: &mut Report) -> Option<Kind> {
    let present: Vec<(&str, Kind)> = SOURCES.into_iter().filter(|(key, _)| node.has(key)).collect();
    match present.as_slice() {
        [(_, kind)] => Some(*kind),
        // A misspelt `path` has been reported as an unknown key.
        [] if broken => None,
        [] => {
            let hint = if node.has("git") {
                "`git` says where the code is; `path` says what to start in it".to_owned()
            } else {
                format!("give one of {}", listed(SOURCES.iter().map(|(key, _)| *key)))
            };
            report.error(node.pos, about, "nothing says what to start", &[hint]);
            None
        }
        [(first, _), .., (second, _)] => {
            let message = format!("a node is one thing, but this one has `{first}` and `{second}`");
            report.error(node.pos_of(second), about, message, &[]);
            None
        }
    }
}

fn keys_of_kind(node: &RawNode<'_>, kind: Kind, about: About<'_>, report: &mut Report) {
    let allowed = allowed(kind);
    let noun = match kind {
        Kind::Path => "a node with `path`",
        Kind::Module => "a module node",
        Kind::Hub => "a hub node",
        Kind::Operators => "an operator node",
        Kind::Ros2 => "a ROS 2 bridge node",
        Kind::Custom => "a node with `custom`",
    };
    for (key, _) in node.yaml.map() {
        let known = crate::schema::NODE.key(&key.value).is_some();
        if !known || allowed.contains(&key.value.as_str()) {
            continue;
        }
        let why = match (kind, key.value.as_str()) {
            (Kind::Operators, "inputs" | "outputs") => "inputs and outputs belong to the operators",
            (Kind::Module, "outputs") => "the outputs of a module are declared in the module file",
            (_, "params") => "only a module has parameters; use `args` or `env`",
            _ => "",
        };
        let hints = [why.to_owned(), format!("allowed here: {}", allowed.join(", "))];
        report.error(key.pos, about, format!("{noun} cannot have `{}`", key.value), &hints);
    }
}

fn source_rules(node: &RawNode<'_>, kind: Kind, about: About<'_>, report: &mut Report) {
    let refs: Vec<&str> = ["branch", "tag", "rev"].into_iter().filter(|key| node.has(key)).collect();
    if let ([first, ..], false) = (refs.as_slice(), node.has("git")) {
        report.error(node.pos_of(first), about, format!("`{first}` needs `git`"), &[]);
    }
    if let [first, second, ..] = refs.as_slice() {
        let message = format!("`{first}` and `{second}` exclude each other");
        report.error(node.pos_of(second), about, message, &[]);
    }
    for key in ["git", "hub", "module"] {
        if raw::text(node.yaml, key).is_some_and(|text| text.value.trim().is_empty()) {
            report.error(node.pos_of(key), about.field(key), "must not be empty", &[]);
        }
    }
    let path = node.path.as_ref().map(|path| path.value.as_str()).unwrap_or_default();
    if matches!(kind, Kind::Path | Kind::Custom) {
        path_rules(node, path, about, report);
    }
    if let Some(args) = node.args.as_ref().filter(|_| path != "shell")
        && let Err(why) = values::words(&args.value)
    {
        let hint = "quote words with spaces like in a shell, in pairs".to_owned();
        report.error(args.pos, about.field("args"), why, &[hint]);
    }
    digest(node.yaml, is_url(path), "`path`", about, report);
    if kind == Kind::Module {
        params(node, about, report);
    }
}

/// The rules about `path_sha256` of a node or an operator; `what` is the key that has to be a URL.
fn digest(yaml: &Yaml, is_download: bool, what: &str, about: About<'_>, report: &mut Report) {
    let Some(digest) = raw::text(yaml, "path_sha256") else { return };
    let about = about.field("path_sha256");
    if digest.value.len() != 64 || !digest.value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        report.error(digest.pos, about, "expected 64 hexadecimal digits", &[]);
    } else if !is_download {
        report.error(digest.pos, about, format!("only with a URL as {what}"), &[]);
    }
}

fn path_rules(node: &RawNode<'_>, path: &str, about: About<'_>, report: &mut Report) {
    if node.has("custom") {
        let hint = "move `path`, `args`, `inputs`, `outputs` to the node, and `envs` to its `env`".to_owned();
        report.warn(node.pos_of("custom"), about, "`custom` is deprecated", &[hint]);
    }
    let about = about.field("path");
    let Some(at) = &node.path else {
        if node.has("custom") {
            let message = "the `custom` block has no `path` (or `source`) to start";
            report.error(node.pos_of("custom"), About { field: None, ..about }, message, &[]);
        }
        return;
    };
    if path.trim().is_empty() {
        report.error(at.pos, about, "must not be empty", &[]);
    } else if path.starts_with("dora/") {
        let hint = format!("read it as an input: `inputs: {{ tick: {} }}`", shown(path));
        report.error(at.pos, about, "a built-in source is not a program", &[hint]);
    } else if path == "shell" && node.args.as_ref().is_none_or(|args| args.value.trim().is_empty()) {
        let hint = "`args` is the command line that `sh -c` gets".to_owned();
        report.error(at.pos, about, "a shell node needs `args`", &[hint]);
    }
}

fn params(node: &RawNode<'_>, about: About<'_>, report: &mut Report) {
    for (name, _) in node.yaml.get("params").map(Yaml::map).unwrap_or_default() {
        if !crate::modules::params::is_name(&name.value) {
            let message = format!("`{}`: only letters, digits and `_` are allowed", shown(&name.value));
            report.error(name.pos, about.field("params"), message, &[]);
        }
    }
}

/// An http or https address.
pub(crate) fn is_url(path: &str) -> bool {
    let lower = path.get(..8).unwrap_or(path).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}
