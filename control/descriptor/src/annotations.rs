//! What the file says beside what is run: for commands that explain a dataflow (`dora validate --rt`, `dora graph`).
//!
//! The daemon needs none of it, so it is no part of [`Dataflow`](dora_protocol::dataflow::Dataflow).

use std::{collections::BTreeMap, time::Duration};

use crate::{
    error::At,
    raw::{self, RawDataflow, RawNode, RawPorts},
    yaml::Yaml,
};

/// Of each node, by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(pub BTreeMap<String, NodeNotes>);

/// Of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNotes {
    /// `wcet`: longest CPU time that handling one event takes.
    pub wcet: Option<Duration>,
    /// Machine that it shall run on, its own or that of the dataflow.
    pub machine: Option<String>,
    /// `triggers` of the inputs that have it.
    pub triggers: BTreeMap<String, bool>,
    /// Type per output that has one.
    pub output_types: BTreeMap<String, String>,
    /// Type per input that has one.
    pub input_types: BTreeMap<String, String>,
    /// Ids of its operators, in the order of the file. A single `operator` without id is `op`.
    pub operators: Vec<String>,
    /// `name`.
    pub name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// What kind it is: `path`, `module`, `operators`, …
    pub source: Option<&'static str>,
}

impl Annotations {
    /// Those of the node, empty where it has none.
    pub fn of(&self, node: &str) -> NodeNotes {
        self.0.get(node).cloned().unwrap_or_default()
    }
}

/// Reads them. Of two nodes with one id (an error elsewhere) the first counts.
pub(crate) fn collect(raw: &RawDataflow<'_>) -> Annotations {
    let default = machine(raw.yaml);
    let mut all = BTreeMap::new();
    for node in &raw.nodes {
        if let Some(id) = &node.id {
            all.entry(id.value.clone()).or_insert_with(|| notes(node, default.as_ref()));
        }
    }
    Annotations(all)
}

fn machine(yaml: &Yaml) -> Option<String> {
    let block = ["deploy", "_unstable_deploy"].iter().find_map(|key| yaml.get(key))?;
    raw::text(block, "machine").map(|at| at.value)
}

fn notes(node: &RawNode<'_>, default_machine: Option<&String>) -> NodeNotes {
    const SOURCES: [&str; 7] = ["path", "module", "hub", "operator", "operators", "ros2", "custom"];
    let text = |key: &str| raw::text(node.yaml, key).map(|at| at.value);
    let mut notes = NodeNotes {
        wcet: raw::duration(node.yaml, "wcet").map(|at| at.value),
        machine: machine(node.yaml).or_else(|| default_machine.cloned()),
        operators: node
            .operators
            .iter()
            .map(|op| op.id.as_ref().map_or("op", |id| &id.value).to_owned())
            .collect(),
        name: text("name"),
        description: text("description"),
        source: SOURCES.into_iter().find(|key| node.has(key)),
        ..NodeNotes::default()
    };
    ports(&mut notes, "", &node.ports);
    for operator in &node.operators {
        let id = operator.id.as_ref().filter(|_| node.has("operators"));
        ports(&mut notes, &id.map_or_else(String::new, |id| format!("{}/", id.value)), &operator.ports);
    }
    notes
}

fn ports(notes: &mut NodeNotes, prefix: &str, ports: &RawPorts<'_>) {
    let types = |entries: &[(At<String>, Yaml)]| -> Vec<(String, String)> {
        let entry = |(name, value): &(At<String>, Yaml)| {
            Some((format!("{prefix}{}", name.value), value.text()?.to_owned()))
        };
        entries.iter().filter_map(entry).collect()
    };
    notes.output_types.extend(types(ports.output_types));
    notes.input_types.extend(types(ports.input_types));
    let triggers = ports.inputs.iter();
    notes.triggers.extend(triggers.filter_map(|i| Some((format!("{prefix}{}", i.name.value), i.triggers?))));
}
