//! Reads the files of modules, as deep as they are nested.
//!
//! Module files are no more trusted than the descriptor. Bounds on what a dataflow may become keep a bomb of nested
//! modules cheap: see [`limits`]. A file is read once.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    header::{self, Header},
    params::Params,
    paths,
};
use crate::{
    check,
    error::{About, At, Pos, Report},
    form, limits,
    raw::{self, RawNode},
    schema,
    suggest::shown,
    yaml::{self, Value, Yaml},
};

/// The nodes of one file in one place.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// In front of the names of its nodes: empty, or `nav.`.
    pub(super) prefix: String,
    /// Folder of the file, from that of the dataflow.
    pub(super) dir: PathBuf,
    pub(super) header: Header,
    pub(super) build: Option<At<String>>,
    pub(super) params: Params,
    pub(super) entries: Vec<Entry>,
    /// Declared outputs and the node that has them, such as `nav.planner/cmd`. `None`: reported.
    pub(super) outputs: BTreeMap<String, Option<String>>,
}

#[derive(Debug)]
pub(super) enum Entry {
    /// A node, or a module that could not be read.
    Node(Yaml),
    Module {
        node: Yaml,
        id: String,
        scope: Box<Scope>,
    },
}

/// A file that was read, and where it is.
type File = Option<(Rc<Yaml>, PathBuf)>;

pub(super) struct Loader<'r> {
    /// Folder of the dataflow, without links.
    base: PathBuf,
    /// The same as the user wrote it, for messages.
    shown_base: PathBuf,
    pub(super) report: &'r mut Report,
    files: BTreeMap<PathBuf, File>,
    /// Folders with modules.
    pub(super) folders: Vec<PathBuf>,
    nodes: usize,
    values: usize,
    text: usize,
    /// A bound was exceeded, and reported.
    pub(super) full: bool,
    /// Parameters may be missing.
    open: bool,
}

impl<'r> Loader<'r> {
    pub(super) fn new(base: &Path, shown_base: PathBuf, open: bool, report: &'r mut Report) -> Self {
        Self {
            base: base.canonicalize().unwrap_or_else(|_| base.to_owned()),
            shown_base,
            report,
            files: BTreeMap::new(),
            folders: Vec::new(),
            nodes: 0,
            values: 0,
            text: 0,
            full: false,
            open,
        }
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The entries of a list of nodes; `chain` are the files that lead here.
    pub(super) fn entries(
        &mut self,
        nodes: &[Yaml],
        prefix: &str,
        dir: &Path,
        chain: &mut Vec<PathBuf>,
    ) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(nodes.len());
        for node in nodes.iter().filter(|node| matches!(node.value, Value::Map(_))) {
            let about = node.get("id").and_then(Yaml::text).unwrap_or("?");
            let flat = format!("{prefix}{about}");
            if !self.afford(node, &flat) {
                break;
            }
            let raw = raw::node(node);
            let loaded = match (&raw.id, check::is_module(&raw)) {
                (Some(id), true) => self.module(&raw, id, prefix, dir, chain),
                _ => None,
            };
            entries.push(match loaded {
                Some(scope) => {
                    Entry::Module { node: node.clone(), id: about.to_owned(), scope: Box::new(scope) }
                }
                None => Entry::Node(node.clone()),
            });
        }
        entries
    }

    /// Counts a node against the bounds.
    fn afford(&mut self, node: &Yaml, name: &str) -> bool {
        let (values, text, _) = yaml::size(node);
        self.nodes += 1;
        self.values += values;
        self.text += text + name.len();
        let what = match () {
            () if self.full => return false,
            () if self.nodes > limits::NODES => format!("more than {} nodes", limits::NODES),
            () if self.values > limits::VALUES => format!("more than {} values", limits::VALUES),
            () if self.text > limits::EXPANDED => format!("more than {} bytes of text", limits::EXPANDED),
            () => return true,
        };
        self.full = true;
        let about = About { node: Some(name), field: None };
        let message = format!("the modules blow this dataflow up to {what}");
        self.report.error(node.pos, about, message, &[]);
        false
    }

    fn module(
        &mut self,
        node: &RawNode<'_>,
        id: &At<String>,
        prefix: &str,
        dir: &Path,
        chain: &mut Vec<PathBuf>,
    ) -> Option<Scope> {
        let flat = format!("{prefix}{}", id.value);
        let about = About { node: Some(&flat), field: Some("module") };
        let written = raw::text(node.yaml, "module").filter(|path| !path.value.trim().is_empty())?;
        let (tree, path) = self.file(&written, dir, chain, about)?;
        let raw = RawNode { id: Some(At { pos: id.pos, value: flat.clone() }), ..raw::node(node.yaml) };
        check::module_node(&raw, self.report);
        let about = About { field: None, ..about };
        let mut params = Params::of(node.yaml, about, self.report);
        params.open = self.open;
        if let Some(header) = tree.get("module") {
            params.declare(header, &raw, self.report);
        }
        let tree = self.put_in(&tree, &params, &flat);
        let header = header::read(&tree, self.report);
        let dir = paths::folder(&self.base, &path);
        if !self.folders.contains(&dir) {
            self.folders.push(dir.clone());
        }
        chain.push(path);
        let prefix = format!("{flat}.");
        let nodes = tree.get("nodes").map(Yaml::list).unwrap_or_default();
        let entries = self.entries(nodes, &prefix, &dir, chain);
        chain.pop();
        header::ids(&entries, self.report);
        header::wired(&header, &raw, self.report);
        header::used(&header, &entries, self.report);
        let outputs = header::outputs(&header, &entries, &prefix, self.report);
        Some(Scope { prefix, dir, header, build: raw::text(&tree, "build"), params, entries, outputs })
    }

    /// The tree of a module with its parameters put in, and checked.
    fn put_in(&mut self, tree: &Yaml, params: &Params, flat: &str) -> Yaml {
        let mut tree = tree.clone();
        for key in ["nodes", "build"] {
            let Some(part) = tree.get_mut(key) else { continue };
            *part = match &part.value {
                Value::List(nodes) => {
                    let nodes = nodes.iter().map(|node| {
                        let id = node.get("id").and_then(Yaml::text).unwrap_or("?");
                        let id = format!("{flat}.{id}");
                        params.node(node, About { node: Some(&id), field: None }, self.report)
                    });
                    Yaml { pos: part.pos, value: Value::List(nodes.collect()) }
                }
                _ => params.value(part, About { node: Some(flat), field: Some(key) }, self.report),
            };
        }
        if params.open {
            form::check_open(&tree, &schema::MODULE_FILE, self.report);
        } else {
            form::check(&tree, &schema::MODULE_FILE, self.report);
        }
        tree
    }

    /// The file behind `module`, which stands in a file of `dir`.
    fn file(
        &mut self,
        written: &At<String>,
        dir: &Path,
        chain: &[PathBuf],
        about: About<'_>,
    ) -> Option<(Rc<Yaml>, PathBuf)> {
        let refuse = |report: &mut Report, message: String, hint: &str| {
            report.error(written.pos, about, message, &[hint.to_owned()]);
        };
        let text = shown(&written.value);
        if Path::new(&written.value).is_absolute() {
            let hint = "write it relative to the file it stands in";
            refuse(self.report, format!("`{text}` is an absolute path"), hint);
            return None;
        }
        let path = match self.base.join(dir).join(&written.value).canonicalize() {
            Ok(path) => path,
            Err(error) => {
                let place = self.shown_base.join(dir).join(&written.value);
                refuse(
                    self.report,
                    format!("`{}` cannot be read: {error}", shown(&place.to_string_lossy())),
                    "",
                );
                return None;
            }
        };
        if !path.starts_with(&self.base) {
            let hint = "modules lie beside the dataflow or below it";
            refuse(self.report, format!("`{text}` is outside of the folder of the dataflow"), hint);
            return None;
        }
        let names = |more: &PathBuf| {
            let all = chain.iter().chain([more]);
            let names = all.map(|path| path.strip_prefix(&self.base).unwrap_or(path).display().to_string());
            shown_chain(&names.collect::<Vec<_>>())
        };
        if chain.contains(&path) {
            refuse(self.report, format!("the modules contain each other: {}", names(&path)), "");
            return None;
        }
        if chain.len() >= limits::MODULE_LEVELS {
            let message = format!("modules nested deeper than {}: {}", limits::MODULE_LEVELS, names(&path));
            refuse(self.report, message, "");
            return None;
        }
        if let Some(known) = self.files.get(&path) {
            return known.clone();
        }
        let tree = self.read(&path, written.pos, about).map(|tree| (Rc::new(tree), path.clone()));
        self.files.insert(path, tree.clone());
        tree
    }

    /// Reads a file for the first time.
    fn read(&mut self, path: &Path, pos: Pos, about: About<'_>) -> Option<Yaml> {
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let name = self.shown_base.join(below).display().to_string();
        let text = match read_text(path, limits::MODULE_FILE) {
            Ok(text) => text,
            Err(why) => {
                self.report.error(pos, about, format!("`{}`: {why}", shown(&name)), &[]);
                return None;
            }
        };
        let Some(number) = self.report.add_file(name) else {
            self.report.error(pos, about, "too many files", &[]);
            return None;
        };
        let tree = yaml::parse_file(&text, number, self.report)?;
        if tree.get("module").is_none() {
            let hint = "a module file begins with `module: { name: …, inputs: [], outputs: [] }`".to_owned();
            let message =
                format!("`{}` is no module: it has no `module` header", shown(self.report.file(number)));
            self.report.error(pos, about, message, &[hint]);
            return None;
        }
        Some(tree)
    }
}

/// `a.yml → b.yml → a.yml`
fn shown_chain(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
    names.join(" → ")
}

/// The text of a file of at most `most` bytes, or why not.
pub(crate) fn read_text(path: &Path, most: usize) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe would have us wait for ever.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > most {
        return Err(format!("has more than {most} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}
