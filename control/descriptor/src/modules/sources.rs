//! Names in one file: what `camera/image` in a module is called once all nodes are in one list.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    header::{blocks, inputs_of},
    load::{Entry, Scope},
};
use crate::{
    check::ports::hints,
    error::{About, At, Report},
    raw,
    suggest::{listed, shown},
    yaml::Yaml,
};

/// The nodes that a file can name.
pub(super) struct Sources<'s> {
    prefix: &'s str,
    nodes: BTreeSet<&'s str>,
    modules: BTreeMap<&'s str, &'s Scope>,
}

impl<'s> Sources<'s> {
    pub(super) fn new(scope: &'s Scope) -> Self {
        let mut this = Self { prefix: &scope.prefix, nodes: BTreeSet::new(), modules: BTreeMap::new() };
        for entry in &scope.entries {
            match entry {
                Entry::Node(node) => {
                    this.nodes.insert(node.get("id").and_then(Yaml::text).unwrap_or("?"));
                }
                Entry::Module { id, scope, .. } => {
                    this.modules.insert(id, scope);
                }
            }
        }
        this
    }

    /// The descriptor itself, not a module.
    pub(super) fn is_root(&self) -> bool {
        self.prefix.is_empty()
    }

    /// A source as the flat list has it; `None` when there is none, which is reported.
    pub(super) fn flat(
        &self,
        source: &At<String>,
        node: &str,
        input: &str,
        report: &mut Report,
    ) -> Option<String> {
        let about = About { node: Some(node), field: Some(input) };
        let text = source.value.as_str();
        let Some((from, output)) = text.split_once('/') else { return Some(text.to_owned()) };
        if from == "dora" {
            return self.built_in(source, output, about, report);
        }
        if from == "_mod" && self.is_root() {
            return Some(text.to_owned());
        }
        if self.nodes.contains(from) {
            return Some(format!("{}{text}", self.prefix));
        }
        if let Some(module) = self.modules.get(from) {
            return self.output_of(module, from, output, source, about, report);
        }
        let around =
            self.modules.iter().find(|(id, _)| from.strip_prefix(**id).is_some_and(|s| s.starts_with('.')));
        if let Some((id, module)) = around {
            let message = format!("`{}` is inside of module `{id}` and not visible here", shown(from));
            report.error(source.pos, about, message, &[outputs_hint(id, module)]);
            return None;
        }
        Some(format!("{}{text}", self.prefix))
    }

    fn output_of(
        &self,
        module: &Scope,
        id: &str,
        output: &str,
        source: &At<String>,
        about: About<'_>,
        report: &mut Report,
    ) -> Option<String> {
        if let Some(found) = module.outputs.get(output) {
            // Absent where the header is wrong, which was reported there.
            return found.clone();
        }
        let known: BTreeSet<&str> = module.outputs.keys().map(String::as_str).collect();
        let message = format!("module `{id}` has no output `{}`", shown(output));
        let hints = if report.suggests() { hints(output, &known, "outputs").to_vec() } else { Vec::new() };
        report.error(source.pos, about, message, &hints);
        None
    }

    /// `logs/info/<node>` names a node, too.
    fn built_in(
        &self,
        source: &At<String>,
        rest: &str,
        about: About<'_>,
        report: &mut Report,
    ) -> Option<String> {
        let text = &source.value;
        let mut parts = rest.splitn(3, '/');
        let (Some("logs"), Some(level), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Some(text.clone());
        };
        if let Some(module) = self.modules.get(name) {
            let message = format!("`{}` is a module, and only nodes have logs", shown(name));
            let nodes = module.entries.iter().filter_map(|entry| match entry {
                Entry::Node(node) => node.get("id").and_then(Yaml::text),
                Entry::Module { .. } => None,
            });
            let names: Vec<String> = nodes.take(10).map(|node| format!("{name}.{node}")).collect();
            let hint = format!("its nodes are {}", listed(names.iter().map(String::as_str)));
            report.error(source.pos, about, message, &[hint]);
            return None;
        }
        Some(format!("dora/logs/{level}/{}{name}", self.prefix))
    }

    /// Where a chain begins, if that is an output of a module. It may also name what is inside of one.
    pub(super) fn begin_of_chain(&self, end: &At<String>, report: &mut Report) -> Option<String> {
        let about = About { node: None, field: Some("chains") };
        let (from, output) = end.value.split_once('/')?;
        let module = self.modules.get(from)?;
        self.output_of(module, from, output, end, about, report)
    }

    /// Where a chain ends, if that is an input of a module: what reads it, if that is one node.
    pub(super) fn end_of_chain(&self, end: &At<String>, report: &mut Report) -> Option<String> {
        let about = About { node: None, field: Some("chains") };
        let (node, port) = end.value.split_once('/')?;
        let module = self.modules.get(node)?;
        let mut readers = Vec::new();
        readers_of(module, port, &mut readers);
        match readers.as_slice() {
            [one] => return Some(one.clone()),
            [] => {
                let message = format!("nothing in module `{node}` reads an input `{}`", shown(port));
                report.error(end.pos, about, message, &[]);
            }
            several => {
                let names = listed(several.iter().take(10).map(String::as_str));
                let message =
                    format!("input `{}` goes to {} nodes of the module", shown(port), several.len());
                report.error(end.pos, about, message, &[format!("name one: {names}")]);
            }
        }
        None
    }

    /// A port that may be absent feeds one that must not be.
    pub(super) fn optional_into_required(
        &self,
        port: &At<String>,
        input: &Yaml,
        node: &str,
        report: &mut Report,
    ) {
        let ports = raw::sources(input).into_iter().find(|source| source.value.starts_with("_mod/"));
        let Some(source) = ports else { return }; // Reported when it was looked up.
        let about = About { node: Some(node), field: Some(&port.value) };
        let message = format!(
            "`{}` may be absent, and nothing is wired to it, but this input is required",
            shown(&source.value)
        );
        report.error(source.pos, about, message, &["list it under `inputs` of the module".to_owned()]);
    }
}

/// The inputs inside that a port of the module feeds.
fn readers_of(module: &Scope, port: &str, readers: &mut Vec<String>) {
    for entry in &module.entries {
        let (Entry::Node(node) | Entry::Module { node, .. }) = entry;
        let id = node.get("id").and_then(Yaml::text).unwrap_or("?");
        for block in blocks(node) {
            let several = node.get("operators").is_some() && !std::ptr::eq(block, node);
            let operator = block.get("id").and_then(Yaml::text).filter(|_| several);
            let operator = operator.map(|id| format!("{id}/")).unwrap_or_default();
            for (input, value) in inputs_of(block) {
                let from_port = |source: &At<String>| source.value.strip_prefix("_mod/") == Some(port);
                let fed = raw::sources(value).iter().any(from_port);
                match entry {
                    Entry::Module { scope, .. } if fed => readers_of(scope, &input.value, readers),
                    Entry::Node(_) if fed => {
                        readers.push(format!("{}{id}/{operator}{}", module.prefix, input.value));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn outputs_hint(id: &str, module: &Scope) -> String {
    if module.outputs.is_empty() {
        return format!("module `{id}` has no outputs");
    }
    let names: Vec<String> = module.outputs.keys().take(20).map(|name| format!("{id}/{name}")).collect();
    format!("what can be read is {}", listed(names.iter().map(String::as_str)))
}
