//! From the text of a record to what a daemon runs.

use std::collections::BTreeSet;

use dora_protocol::{
    NodeId,
    daemon_link::DataflowRecord,
    dataflow::{Dataflow, Node, NodeKind},
};
use serde_json::Value;

use crate::placement::{self, Wish};

/// Keys that the descriptor says have no effect, and that have one here.
const OURS: [&str; 4] = ["deploy", "_unstable_deploy", "debug", "_unstable_debug"];

/// A descriptor and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// For the daemon.
    pub(crate) dataflow: Dataflow,
    /// Flat, as JSON, keys in their order.
    pub(crate) value: Value,
    /// For the user, a sentence each.
    pub(crate) warnings: Vec<String>,
    /// Where its nodes want to run.
    pub(crate) wishes: BTreeSet<Wish>,
}

impl Resolved {
    /// Names of the nodes in the order of the file.
    pub(crate) fn node_ids(&self) -> Vec<NodeId> {
        self.dataflow.nodes.iter().map(|node| node.id.clone()).collect()
    }
}

/// Resolves the live descriptor of a record. Costs time in proportion to the text.
///
/// # Errors
/// Everything that is wrong with it, as text for the user.
pub(crate) fn resolve(record: &DataflowRecord) -> Result<Resolved, String> {
    let file = match (record.file.is_empty(), record.generation) {
        (true, _) => "dataflow.yml".to_owned(),
        (false, 0) => record.file.clone(),
        // The places in it are not those of the user's file.
        (false, _) => format!("{} (live)", record.file),
    };
    let mut loaded =
        dora_descriptor::parse_str(&file, record.live.as_str(), &record.working_dir, &record.env)
            .map_err(|errors| errors.to_string())?;
    // A daemon has a place where dynamic nodes attach; what is said of them holds for `dora run`.
    let dynamic = |node: &Option<String>| {
        let mut nodes = loaded.dataflow.nodes.iter();
        nodes.any(|n| n.kind == NodeKind::Dynamic && node.as_deref() == Some(n.id.as_str()))
    };
    let stops = |entry: &&dora_descriptor::NotYet| !(entry.field == "path" && dynamic(&entry.node));
    let fatal: Vec<String> = loaded.fatal().filter(stops).map(ToString::to_string).collect();
    if !fatal.is_empty() {
        return Err(fatal.join("\n"));
    }
    let mut value = loaded.dataflow.descriptor.clone();
    if let Some(map) = value.as_object_mut() {
        // Put there for the nodes; no key of a descriptor.
        map.shift_remove("types");
    }
    for node in &mut loaded.dataflow.nodes {
        if let Some(prepared) = record.prepared.get(&node.id) {
            if let Some(dir) = &prepared.working_dir {
                node.working_dir = Some(dir.clone());
            }
            match &mut node.kind {
                NodeKind::Executable { path, .. } => {
                    if let Some(program) = &prepared.path {
                        path.clone_from(program);
                    }
                }
                NodeKind::Runtime { operators } => {
                    for operator in operators {
                        if let Some(file) = prepared.operators.get(&operator.id) {
                            operator.source.path_mut().clone_from(file);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    if let Some(node) = loaded.dataflow.nodes.iter().find(|node| is_not_fetched(node)) {
        return Err(format!(
            "{}: node `{}` comes from another place and was not fetched; `dora build` fetches it, and `dora start` takes what is there. \
             To a running dataflow a node is added by the path of its program",
            node.at, node.id
        ));
    }
    loaded.dataflow.debug_inspection |= record.debug;
    if let Some(exit) = record.exit_when_nodes_finish {
        loaded.dataflow.exit_when_nodes_finish = exit;
    }
    let not_yet = loaded.not_yet.iter().filter(|entry| !entry.fatal && !OURS.contains(&entry.field.as_str()));
    let mut warnings: Vec<String> = not_yet.map(ToString::to_string).collect();
    warnings.extend(loaded.warnings.iter().chain(&loaded.type_warnings).map(ToString::to_string));
    let wishes = placement::wishes(&value);
    Ok(Resolved { dataflow: loaded.dataflow, value, warnings, wishes })
}

/// Its program is in a repository or behind a URL, and nobody said where it was put.
fn is_not_fetched(node: &Node) -> bool {
    let url = |path: &str| {
        let start = path.get(..8).unwrap_or(path).to_ascii_lowercase();
        start.starts_with("http://") || start.starts_with("https://")
    };
    let from_url = match &node.kind {
        NodeKind::Executable { path, .. } => url(path),
        NodeKind::Runtime { operators } => operators.iter().any(|operator| url(operator.source.path())),
        _ => false,
    };
    from_url || (node.git.is_some() && node.working_dir.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn record(live: &str) -> DataflowRecord {
        DataflowRecord {
            file: "flow.yml".into(),
            working_dir: "/robot".into(),
            live: live.into(),
            ..DataflowRecord::default()
        }
    }

    #[test]
    fn a_descriptor_that_went_through_json_means_the_same() {
        let yaml = "
nodes:
  - id: z
    path: ./z
    args: --gain 1.10 'a b'
    restart_policy: on-failure
    restart_delay: 1.50
    env: { A: \"1.10\", B: true, C: '007' }
    inputs:
      zulu: dora/timer/millis/10
      alpha: { source: [a/x, b/y], queue_size: 3 }
      mike: dora/timer/hz/50
    outputs: [q]
  - id: a
    path: dynamic
    outputs: [x]
  - id: b
    path: shell
    args: \"echo \\\"hi\\\" \\u00e9\"
    outputs: [y]
chains:
  - { from: a/x, to: z/alpha, within: 5ms }
";
        let first = resolve(&record(yaml)).unwrap();
        let text = serde_json::to_string_pretty(&first.value).unwrap();
        let second = resolve(&record(&text)).unwrap();
        let without_places = |resolved: &Resolved| {
            let mut json = serde_json::to_value(&resolved.dataflow).unwrap();
            fn strip(value: &mut Value) {
                match value {
                    Value::Object(map) => {
                        map.remove("at");
                        map.values_mut().for_each(strip);
                    }
                    Value::Array(items) => items.iter_mut().for_each(strip),
                    _ => {}
                }
            }
            strip(&mut json);
            json
        };
        assert_eq!(without_places(&first), without_places(&second));
        let order: Vec<&str> =
            second.dataflow.nodes[0].inputs.iter().map(|input| input.id.as_str()).collect();
        assert_eq!(order, ["zulu", "alpha", "mike"], "the order of inputs is the order of delivery");
    }

    #[test]
    fn what_was_prepared_and_said_on_the_command_line_reaches_the_daemon() {
        let mut record = record("nodes: [{ id: a, path: ./a }]");
        let prepared = dora_protocol::control::Prepared {
            working_dir: Some("/clone".into()),
            path: Some("/clone/a".into()),
            ..Default::default()
        };
        record.prepared = BTreeMap::from([("a".parse().unwrap(), prepared)]);
        record.debug = true;
        record.exit_when_nodes_finish = Some(true);
        let dataflow = resolve(&record).unwrap().dataflow;
        assert!(dataflow.debug_inspection && dataflow.exit_when_nodes_finish);
        assert_eq!(dataflow.nodes[0].working_dir.as_deref(), Some("/clone".as_ref()));
        let expected = NodeKind::Executable { path: "/clone/a".into(), args: Vec::new() };
        assert_eq!(dataflow.nodes[0].kind, expected);
    }

    #[test]
    fn a_node_from_elsewhere_that_nobody_fetched_is_refused() {
        for source in [
            "git: https://example.org/r, path: ./a",
            "path: 'HTTPS://example.org/a'",
            "operator: { shared-library: 'https://example.org/a' }",
        ] {
            let mut record = record(&format!("nodes: [{{ id: a, {source} }}]"));
            let error = resolve(&record).unwrap_err();
            assert!(error.contains("was not fetched") && error.contains("dora build"), "{error}");
            let prepared = dora_protocol::control::Prepared {
                working_dir: Some("/clone".into()),
                path: Some("/clone/a".into()),
                operators: [("op".parse().unwrap(), "/build/a".into())].into(),
            };
            record.prepared = BTreeMap::from([("a".parse().unwrap(), prepared)]);
            resolve(&record).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error =
            resolve(&record("nodes:\n  - id: a\n    path: ./a\n    inputs: { x: b/y }\n")).unwrap_err();
        assert!(error.starts_with("flow.yml:4:"), "{error}");
    }
}
