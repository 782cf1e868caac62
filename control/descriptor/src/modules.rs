//! Modules: the nodes of other files take the place of `module:` nodes before anything else is looked at.
//!
//! ```text
//! load ─► scopes, one per use of a file ─► header: ports and outputs ─► flatten: one list of nodes
//!            params put in                                                sources: names
//! ```
//!
//! What comes out is the tree of a descriptor without modules. Every value keeps its place in the file it was written
//! in, so later rules report positions of module files without knowing of modules. A module that cannot be read stays
//! in the tree, and that is an error.

mod alone;
mod flatten;
mod header;
mod load;
pub(crate) mod params;
mod paths;
mod sources;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub use alone::{ModuleSummary, check_module};
pub(crate) use load::read_text;

use crate::{
    error::{At, Pos, Report},
    form,
    yaml::{Value, Yaml},
};
use flatten::Flatten;
use load::{Entry, Loader, Scope};
use sources::Sources;

/// Two types that meet at a port of a module.
#[derive(Debug)]
pub(crate) struct PortType {
    /// Module, or node inside of it.
    pub(crate) module: String,
    pub(crate) port: String,
    /// An input; otherwise an output.
    pub(crate) input: bool,
    pub(crate) from: TypeOf,
    /// What it must fit, and where that stands.
    pub(crate) to: At<String>,
}

/// Where a type comes from.
#[derive(Debug)]
pub(crate) enum TypeOf {
    /// It is written there.
    Urn(At<String>),
    /// Of this output, if it has one.
    Output(String),
}

/// A descriptor without modules.
#[derive(Debug)]
pub(crate) struct Expanded {
    pub(crate) tree: Yaml,
    pub(crate) port_types: Vec<PortType>,
    /// Nodes, by position, in which something is malformed.
    pub(crate) malformed: BTreeSet<Pos>,
}

/// Expands the modules of a descriptor in `base`, which messages call `shown_base`. `open`: parameters may be missing.
pub(crate) fn expand(
    tree: Yaml,
    base: &Path,
    shown_base: PathBuf,
    open: bool,
    report: &mut Report,
) -> Expanded {
    let mut malformed = form::malformed_nodes(&tree, report);
    let nodes = tree.get("nodes").map(Yaml::list).unwrap_or_default();
    if nodes.iter().all(|node| node.get("module").is_none()) {
        return Expanded { tree, port_types: Vec::new(), malformed };
    }
    let mut loader = Loader::new(base, shown_base, open, report);
    let entries = loader.entries(nodes, "", Path::new(""), &mut Vec::new());
    let base = loader.base().to_owned();
    let folders = std::mem::take(&mut loader.folders);
    let full = loader.full;
    header::ids(&entries, report);
    let root = Scope { entries, ..Scope::default() };
    gather_malformed(&root, report, &mut malformed);
    let mut flatten =
        Flatten { base: base.clone(), report, nodes: Vec::new(), port_types: Vec::new(), values: 0, text: 0 };
    if !full {
        flatten.root(&root);
    }
    let full = full || flatten.is_full();
    let Flatten { nodes, port_types, .. } = flatten;
    let mut flat = tree.clone();
    if full {
        // Of a bomb only that it is one is worth saying.
        let pos = tree.pos;
        let nodes = Yaml { pos, value: Value::List(Vec::new()) };
        let value = Value::Map(vec![(At { pos, value: "nodes".to_owned() }, nodes)]);
        return Expanded { tree: Yaml { pos, value }, port_types: Vec::new(), malformed };
    }
    if let Some(place) = flat.get_mut("nodes") {
        place.value = Value::List(nodes);
    }
    chains(&mut flat, &Sources::new(&root), report);
    type_paths(&mut flat, &base, &folders);
    Expanded { tree: flat, port_types, malformed }
}

/// Nodes with errors so far, in module files.
fn gather_malformed(root: &Scope, report: &Report, malformed: &mut BTreeSet<Pos>) {
    if report.errors.is_empty() {
        return;
    }
    let wrong: BTreeSet<&str> = report.errors.iter().map(|problem| problem.at.file.as_str()).collect();
    let mut open = vec![root];
    while let Some(scope) = open.pop() {
        for entry in &scope.entries {
            match entry {
                Entry::Node(node) if node.pos.file > 0 && wrong.contains(report.file(node.pos.file)) => {
                    malformed.insert(node.pos);
                }
                Entry::Node(_) => {}
                Entry::Module { scope, .. } => open.push(scope),
            }
        }
    }
}

/// Ends of chains that name ports of modules.
fn chains(tree: &mut Yaml, sources: &Sources<'_>, report: &mut Report) {
    let Some(Yaml { value: Value::List(chains), .. }) = tree.get_mut("chains") else { return };
    for chain in chains {
        for key in ["from", "to"] {
            let Some(place) = chain.get_mut(key) else { continue };
            let Some(text) = place.text().map(str::to_owned) else { continue };
            let end = At { pos: place.pos, value: text };
            let flat = match key {
                "from" => sources.begin_of_chain(&end, report),
                _ => sources.end_of_chain(&end, report),
            };
            if let Some(flat) = flat {
                *place = Yaml::of_text(end.pos, flat);
            }
        }
    }
}

/// Types beside a module file are types of the flat dataflow.
fn type_paths(tree: &mut Yaml, base: &Path, folders: &[PathBuf]) {
    let found: Vec<PathBuf> = folders
        .iter()
        .filter(|dir| !dir.as_os_str().is_empty())
        .map(|dir| dir.join("types"))
        .filter(|types| base.join(types).is_dir())
        .collect();
    if found.is_empty() {
        return;
    }
    let pos = tree.pos;
    let mut paths = tree.get("type_paths").map(Yaml::list).unwrap_or_default().to_vec();
    for path in found {
        let path = path.to_string_lossy();
        if !paths.iter().any(|known| known.text() == Some(&path)) {
            paths.push(Yaml::of_text(pos, path));
        }
    }
    tree.set(At { pos, value: "type_paths".to_owned() }, Yaml { pos, value: Value::List(paths) });
}
