//! The header of a module, against what is inside of it and what is outside.

use std::collections::{BTreeMap, BTreeSet};

use dora_protocol::{DataId, NodeId};

use super::load::Entry;
use crate::{
    check::{ports::hints, refused},
    error::{About, At, Report},
    raw::{self, RawNode},
    suggest::{listed, shown},
    yaml::{Value, Yaml},
};

/// What a module takes and gives.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) inputs: Vec<At<String>>,
    pub(super) optional: Vec<At<String>>,
    pub(super) outputs: Vec<At<String>>,
    pub(super) input_types: BTreeMap<String, At<String>>,
    pub(super) output_types: BTreeMap<String, At<String>>,
}

impl Header {
    /// Names of all inputs.
    fn ports(&self) -> BTreeSet<&str> {
        self.inputs.iter().chain(&self.optional).map(|port| port.value.as_str()).collect()
    }
}

/// Reads the header of a module file, and checks it by itself.
pub(super) fn read(tree: &Yaml, report: &mut Report) -> Header {
    let Some(yaml) = tree.get("module") else { return Header::default() };
    let types = |key| {
        let entries = yaml.get(key).map(Yaml::map).unwrap_or_default().iter();
        let typed = entries.filter_map(|(name, urn)| {
            Some((name.value.clone(), At { pos: name.pos, value: urn.text()?.to_owned() }))
        });
        typed.collect()
    };
    let header = Header {
        name: raw::text(yaml, "name").map(|at| at.value).unwrap_or_default(),
        inputs: raw::texts(yaml, "inputs"),
        optional: raw::texts(yaml, "inputs_optional"),
        outputs: raw::texts(yaml, "outputs"),
        input_types: types("input_types"),
        output_types: types("output_types"),
    };
    let about = About { node: None, field: Some("module") };
    for lists in [&[&header.inputs, &header.optional][..], &[&header.outputs]] {
        let mut seen = BTreeSet::new();
        for port in lists.iter().copied().flatten() {
            if let Err(error) = port.value.parse::<DataId>() {
                report.error(port.pos, about, refused(&error), &[]);
            } else if port.value.contains('/') {
                let message = format!("`{}`: a port has no `/` in its name", shown(&port.value));
                report.error(port.pos, about, message, &[]);
            } else if !seen.insert(port.value.as_str()) {
                let message = format!("`{}` is listed twice", shown(&port.value));
                report.error(port.pos, about, message, &[]);
            }
        }
    }
    let outputs: BTreeSet<&str> = header.outputs.iter().map(|port| port.value.as_str()).collect();
    for (types, ports, noun) in
        [(&header.input_types, &header.ports(), "inputs"), (&header.output_types, &outputs, "outputs")]
    {
        for (name, at) in types.iter().filter(|(name, _)| !ports.contains(name.as_str())) {
            let message = format!("`{}` is not among the {noun} of the module", shown(name));
            report.error(at.pos, about, message, &hints(name, ports, noun));
        }
    }
    header
}

/// Names of modules and nodes must differ; names of nodes among each other are looked at when all is flat.
pub(super) fn ids(entries: &[Entry], report: &mut Report) {
    let mut modules = BTreeMap::new();
    let mut nodes = BTreeMap::new();
    for entry in entries {
        let (node, module) = match entry {
            Entry::Node(node) => (node, false),
            Entry::Module { node, .. } => (node, true),
        };
        let Some(id) = raw::text(node, "id") else { continue };
        if let Err(error) = id.value.parse::<NodeId>()
            && module
        {
            report.error(id.pos, About::default(), refused(&error), &[]);
        }
        let taken = modules.get(&id.value).or_else(|| nodes.get(&id.value).filter(|_| module));
        if let Some(first) = taken {
            let about = About { node: Some(&id.value), field: Some("id") };
            let first: &crate::error::Pos = first;
            let message = format!("the id is taken: line {} has a node of that name", first.line);
            report.error(id.pos, about, message, &[]);
        }
        if module {
            modules.insert(id.value, id.pos);
        } else {
            nodes.insert(id.value, id.pos);
        }
    }
}

/// The inputs of a module node are ports, and all that are required are there.
pub(super) fn wired(header: &Header, node: &RawNode<'_>, report: &mut Report) {
    let about = About { node: Some(node.name()), field: Some("inputs") };
    let ports = header.ports();
    for input in &node.ports.inputs {
        if !ports.contains(input.name.value.as_str()) {
            let message = format!("the module has no input `{}`", shown(&input.name.value));
            report.error(input.name.pos, about, message, &hints(&input.name.value, &ports, "inputs"));
        }
    }
    let wired: BTreeSet<&str> = node.ports.inputs.iter().map(|input| input.name.value.as_str()).collect();
    for port in &header.inputs {
        if !wired.contains(port.value.as_str()) {
            let message = format!("input `{}` of the module is not wired", shown(&port.value));
            let hint = format!(
                "it is required by {}; write `{}: <node>/<output>`, or list it under `inputs_optional` there",
                report.location(port.pos),
                shown(&port.value)
            );
            report.error(node.pos_of("inputs"), about, message, &[hint]);
        }
    }
}

/// `_mod/<port>` is declared; a port that nobody reads is a warning.
pub(super) fn used(header: &Header, entries: &[Entry], report: &mut Report) {
    let ports = header.ports();
    let mut used = BTreeSet::new();
    for entry in entries {
        let (Entry::Node(node) | Entry::Module { node, .. }) = entry;
        let id = node.get("id").and_then(Yaml::text).unwrap_or("?");
        for (name, value) in blocks(node).into_iter().flat_map(inputs_of) {
            for source in raw::sources(value) {
                let Some(port) = source.value.strip_prefix("_mod/") else { continue };
                used.insert(port.to_owned());
                if !ports.contains(port) {
                    let about = About { node: Some(id), field: Some(&name.value) };
                    let message = format!("the module has no input `{}`", shown(port));
                    report.error(source.pos, about, message, &hints(port, &ports, "inputs"));
                }
            }
        }
    }
    for port in header.inputs.iter().chain(&header.optional).filter(|port| !used.contains(&port.value)) {
        let about = About { node: None, field: Some("module") };
        let message = format!("no node reads input `_mod/{}`", shown(&port.value));
        report.warn(port.pos, about, message, &[]);
    }
}

/// Who has the outputs of the module; exactly one node each.
pub(super) fn outputs(
    header: &Header,
    entries: &[Entry],
    prefix: &str,
    report: &mut Report,
) -> BTreeMap<String, Option<String>> {
    let mut producers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::Node(node) => {
                let id = node.get("id").and_then(Yaml::text).unwrap_or("?");
                for (operator, name) in outputs_of(node) {
                    let operator = operator.map(|id| format!("{id}/")).unwrap_or_default();
                    producers.entry(name.clone()).or_default().push(format!("{prefix}{id}/{operator}{name}"));
                }
            }
            Entry::Module { scope, .. } => {
                for (name, flat) in &scope.outputs {
                    producers.entry(name.clone()).or_default().extend(flat.clone());
                }
            }
        }
    }
    let known: BTreeSet<&str> = producers.keys().map(String::as_str).collect();
    let about = About { node: None, field: Some("module") };
    let mut resolved = BTreeMap::new();
    for output in &header.outputs {
        let found = producers.get(&output.value).map(Vec::as_slice).unwrap_or_default();
        match found {
            [one] => {
                resolved.insert(output.value.clone(), Some(one.clone()));
                continue;
            }
            [] if known.contains(output.value.as_str()) => {}
            [] => {
                let message = format!("no node of the module has an output `{}`", shown(&output.value));
                report.error(output.pos, about, message, &hints(&output.value, &known, "nodes' outputs"));
            }
            several => {
                let inside = several.iter().map(|flat| flat.strip_prefix(prefix).unwrap_or(flat));
                let names = listed(inside.take(5));
                let message =
                    format!("{} nodes have an output `{}`: {names}", several.len(), shown(&output.value));
                report.error(
                    output.pos,
                    about,
                    message,
                    &["an output of a module has one source".to_owned()],
                );
            }
        }
        resolved.insert(output.value.clone(), None);
    }
    resolved
}

/// The parts of a node that have inputs and outputs: itself and its operators.
pub(super) fn blocks(node: &Yaml) -> Vec<&Yaml> {
    let several = node.get("operators").map(Yaml::list).unwrap_or_default();
    let others = ["operator", "custom"].iter().filter_map(|key| node.get(key));
    std::iter::once(node).chain(others).chain(several).collect()
}

/// Inputs by name.
pub(super) fn inputs_of(block: &Yaml) -> &[(At<String>, Yaml)] {
    block.get("inputs").map(Yaml::map).unwrap_or_default()
}

/// Outputs of a node, with the operator whose name is part of the address.
fn outputs_of(node: &Yaml) -> Vec<(Option<String>, String)> {
    let mut all = Vec::new();
    let mut add = |operator: Option<&str>, block: &Yaml| {
        let names = raw::texts(block, "outputs").into_iter();
        all.extend(names.map(|name| (operator.map(str::to_owned), name.value)));
    };
    let plain = ["operator", "custom"].iter().filter_map(|key| node.get(key));
    std::iter::once(node).chain(plain).for_each(|block| add(None, block));
    for operator in node.get("operators").map(Yaml::list).unwrap_or_default() {
        if matches!(operator.value, Value::Map(_)) {
            add(Some(operator.get("id").and_then(Yaml::text).unwrap_or("?")), operator);
        }
    }
    all
}
