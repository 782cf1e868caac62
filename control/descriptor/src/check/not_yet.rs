//! Keys that are understood but whose behaviour comes later: each use is reported, none is ignored in silence.

use crate::{
    check::Kind,
    error::Report,
    raw::{self, RawDataflow, RawNode},
    yaml::Yaml,
};

/// Keys of a node that change nothing yet.
const NODE_KEYS: [(&str, &str); 3] = [
    ("shared_memory_pool_size", "has no effect: memory grows on demand; `output_layout` reserves it"),
    ("deploy", "has no effect yet: every node runs on this machine"),
    ("_unstable_deploy", "has no effect yet: every node runs on this machine"),
];

/// Reports everything in the file that does nothing yet.
pub(crate) fn collect(raw: &RawDataflow<'_>, kinds: &[Option<Kind>], report: &mut Report) {
    top_level(raw, report);
    for (node, kind) in raw.nodes.iter().zip(kinds) {
        let id = node.id.as_ref().map(|id| id.value.as_str());
        if let Some(kind) = kind {
            source(node, *kind, id, report);
        }
        for (key, what) in NODE_KEYS.iter().filter(|(key, _)| node.has(key)) {
            report.not_yet(node.pos_of(key), id, key, what, false);
        }
        ports(node.yaml, id, report);
        for operator in &node.operators {
            ports(operator.yaml, id, report);
        }
    }
}

fn top_level(raw: &RawDataflow<'_>, report: &mut Report) {
    let mut note = |key: &str, what: &str| {
        if let Some((name, _)) = raw.yaml.entry(key) {
            report.not_yet(name.pos, None, key, what, false);
        }
    };
    note("deploy", "has no effect yet: every node runs on this machine");
    note("_unstable_deploy", "has no effect yet: every node runs on this machine");
    for key in ["debug", "_unstable_debug"] {
        if raw.yaml.get(key).is_some_and(inspection) {
            note(key, "has no effect yet: topics cannot be inspected");
        }
    }
}

/// Is debug inspection switched on in this block?
pub(crate) fn inspection(block: &Yaml) -> bool {
    let on = |key| raw::flag(block, key) == Some(true);
    on("enable_debug_inspection") || on("publish_all_messages_to_zenoh")
}

/// What a node is made of, where that cannot be started yet.
fn source(node: &RawNode<'_>, kind: Kind, id: Option<&str>, report: &mut Report) {
    let mut fatal = |key: &str, what: &str| report.not_yet(node.pos_of(key), id, key, what, true);
    match kind {
        Kind::Hub => fatal("hub", "cannot be run yet"),
        Kind::Ros2 => fatal("ros2", "cannot be run yet: there is no ROS 2 bridge"),
        // A module that is still there could not be read, which is an error.
        Kind::Path | Kind::Custom | Kind::Module | Kind::Operators => {}
    }
}

fn ports(yaml: &Yaml, id: Option<&str>, report: &mut Report) {
    for (name, value) in yaml.get("output_framing").map(Yaml::map).unwrap_or_default() {
        if value.text() == Some("arrow-ipc") {
            let what = "arrow-ipc has no effect yet: the raw layout is sent";
            report.not_yet(name.pos, id, "output_framing", what, false);
        }
    }
}
