//! From a file, or a text, to a dataflow that can be run.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use dora_protocol::dataflow::{Dataflow, Location};

use crate::{
    annotations::{self, Annotations},
    check, emit,
    error::{About, Errors, NotYet, Notes, Pos, Problem, Report, Warning},
    form, limits, modules, operators,
    raw::{self, RawDataflow},
    resolve::{self, Surroundings},
    schema, types,
    yaml::{self, Yaml},
};

const DEFAULT_HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// A descriptor without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run. A node of a kind that cannot be run yet is an [`Executable`] with an empty path; a fatal
    /// [`NotYet`] names it.
    ///
    /// [`Executable`]: dora_protocol::dataflow::NodeKind::Executable
    pub dataflow: Dataflow,
    /// Keys that are understood but do nothing yet, in the order of the file.
    pub not_yet: Vec<NotYet>,
    /// Worth showing, in the order of the file.
    pub warnings: Vec<Warning>,
    /// Types that do not fit; errors where types are strict.
    pub type_warnings: Vec<Warning>,
    /// A sentence for each input whose type is known from its source only.
    pub inferred_types: Vec<String>,
    /// The text as it was read.
    pub text: String,
    /// Period of the health report.
    pub health_check_interval: Duration,
    /// Type warnings count as errors.
    pub strict_types: bool,
    /// What the file says beside what is run.
    pub annotations: Annotations,
    /// Without modules.
    tree: Yaml,
}

impl Loaded {
    /// What keeps this dataflow from running, if anything does.
    pub fn fatal(&self) -> impl Iterator<Item = &NotYet> {
        self.not_yet.iter().filter(|entry| entry.fatal)
    }

    /// The descriptor without modules, as YAML that means the same beside the original file.
    pub fn flat_yaml(&self) -> String {
        emit::document(&self.tree)
    }
}

/// What the command line adds to a descriptor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The `--env` values: they win over the `env` of the dataflow and lose to that of a node.
    pub env_overrides: &'a [(String, String)],
    /// Type problems are errors, whatever the file says about `strict_types`.
    pub strict_types: bool,
}

/// Reads, checks and resolves the descriptor at `path`. The working directory is that of the file.
///
/// # Errors
/// Every problem found. When the file cannot be read, that is the only one.
pub fn load(path: &Path, env_overrides: &[(String, String)]) -> Result<Loaded, Errors> {
    load_with(path, &Options { env_overrides, ..Options::default() })
}

/// [`load`] with everything that the command line can say.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, options: &Options<'_>) -> Result<Loaded, Errors> {
    let (name, text, working_dir) = text_at(path)?;
    read(&name, text, &working_dir, options)
}

/// Name, text and folder of a file.
pub(crate) fn text_at(path: &Path) -> Result<(String, String, PathBuf), Errors> {
    let name = path.display().to_string();
    let bytes =
        bytes_of(path).map_err(|error| alone(&name, Pos::default(), format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        alone(&name, end_of(good), "the file is not UTF-8 text from here on".to_owned())
    })?;
    let absolute = std::path::absolute(path)
        .map_err(|error| alone(&name, Pos::default(), format!("the working directory is gone: {error}")))?;
    let working_dir = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    Ok((name, text, working_dir))
}

/// At most one byte more than a descriptor may have, so that a device or a huge file does not fill the memory.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.is_dir() {
        return Err(std::io::Error::other("it is a directory"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limits::TEXT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn alone(file: &str, pos: Pos, message: String) -> Errors {
    let at = Location { file: file.to_owned(), line: pos.line, column: pos.column };
    Errors(vec![Problem { at, node: None, field: None, message, hints: Vec::new() }])
}

fn end_of(text: &[u8]) -> Pos {
    let line = text.iter().filter(|&&b| b == b'\n').count() + 1;
    let last = text.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    // Bytes that continue a character do not count.
    let column = last.iter().filter(|&&b| b & 0xC0 != 0x80).count() + 1;
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos { file: 0, line: clamp(line), column: clamp(column) }
}

/// Checks and resolves `text`, which messages call `file_name`.
///
/// # Errors
/// Every problem found.
pub fn parse_str(
    file_name: &str,
    text: impl Into<String>,
    working_dir: &Path,
    env_overrides: &[(String, String)],
) -> Result<Loaded, Errors> {
    read(file_name, text.into(), working_dir, &Options { env_overrides, ..Options::default() })
}

fn read(file_name: &str, text: String, working_dir: &Path, options: &Options<'_>) -> Result<Loaded, Errors> {
    let mut report = Report::new(file_name);
    let Some(tree) = yaml::parse(&text, &mut report) else {
        return Err(report.into_errors());
    };
    form::check(&tree, &schema::DATAFLOW, &mut report);
    mean(tree, text, working_dir, options, false, report)
}

/// From a tree that was looked at to what it means. `open`: parameters of modules may be missing.
pub(crate) fn mean(
    tree: Yaml,
    text: String,
    working_dir: &Path,
    options: &Options<'_>,
    open: bool,
    mut report: Report,
) -> Result<Loaded, Errors> {
    let file = PathBuf::from(report.file(0));
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let around = Surroundings {
        name: stem.as_deref().unwrap_or("dataflow"),
        working_dir,
        overrides: options.env_overrides,
        lookup: &|name| std::env::var(name).ok(),
    };
    let shown_dir = file.parent().map(Path::to_owned).unwrap_or_default();
    let expanded = modules::expand(tree, working_dir, shown_dir.clone(), open, &mut report);
    if let Some((key, nodes)) = expanded.tree.entry("nodes")
        && nodes.list().len() > limits::NODES
    {
        let message = format!("{} nodes; a dataflow may have at most {}", nodes.list().len(), limits::NODES);
        report.error(key.pos, About::default(), message, &[]);
        return Err(report.into_errors());
    }
    let mut raw = raw::read(&expanded.tree);
    raw.strict_types |= options.strict_types;
    let checked = check::check(&raw, &expanded.malformed, &mut report);
    check::not_yet::collect(&raw, &checked.kinds, &mut report);
    let mut dataflow = resolve::resolve(&raw, &checked, &around, &mut report);
    let folders = type_folders(&raw, working_dir, &shown_dir);
    let types = types::check(&raw, &dataflow, &expanded.port_types, &folders, &mut report);
    if !report.errors.is_empty() {
        return Err(report.into_errors());
    }
    dataflow.descriptor = raw.yaml.to_json();
    if let (Some(json), false) = (dataflow.descriptor.as_object_mut(), types.own_types.is_empty()) {
        json.insert("types".to_owned(), types.own_types.into());
    }
    let health_check_interval = raw.health_check_interval.unwrap_or(DEFAULT_HEALTH_CHECK_INTERVAL);
    let strict_types = raw.strict_types;
    let annotations = annotations::collect(&raw);
    operators::keep_inside(&raw, &mut dataflow, &mut report);
    let Notes { not_yet, warnings, type_warnings } = report.finish()?;
    Ok(Loaded {
        dataflow,
        not_yet,
        warnings,
        type_warnings,
        inferred_types: types.inferred,
        text,
        health_check_interval,
        strict_types,
        annotations,
        tree: expanded.tree,
    })
}

/// Where the user's types are, with the names for messages.
fn type_folders(raw: &RawDataflow<'_>, working_dir: &Path, shown_dir: &Path) -> Vec<(PathBuf, String)> {
    let further = raw::texts(raw.yaml, "type_paths").into_iter().map(|at| at.value);
    let all = std::iter::once("types".to_owned()).chain(further);
    all.map(|path| (working_dir.join(&path), shown_dir.join(&path).display().to_string())).collect()
}
