//! From a file, or a text, to a dataflow that can be run.

use std::{io::Read, path::Path, time::Duration};

use dora_protocol::dataflow::{Dataflow, Location};

use crate::{
    check,
    error::{Errors, NotYet, Pos, Problem, Report, Warning},
    form, raw,
    resolve::{self, Surroundings},
    schema,
    yaml::{self, MAX_BYTES},
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
    /// The text as it was read.
    pub text: String,
    /// Period of the health report.
    pub health_check_interval: Duration,
    /// Type warnings count as errors.
    pub strict_types: bool,
}

impl Loaded {
    /// What keeps this dataflow from running, if anything does.
    pub fn fatal(&self) -> impl Iterator<Item = &NotYet> {
        self.not_yet.iter().filter(|entry| entry.fatal)
    }
}

/// Reads, checks and resolves the descriptor at `path`.
///
/// `env_overrides` are the `--env` values: they win over the `env` of the dataflow and lose to that of a node.
/// The working directory is that of the file.
///
/// # Errors
/// Every problem found. When the file cannot be read, that is the only one.
pub fn load(path: &Path, env_overrides: &[(String, String)]) -> Result<Loaded, Errors> {
    let name = path.display().to_string();
    let bytes =
        read(path).map_err(|error| alone(&name, Pos::default(), format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        alone(&name, end_of(good), "the file is not UTF-8 text from here on".to_owned())
    })?;
    let absolute = std::path::absolute(path)
        .map_err(|error| alone(&name, Pos::default(), format!("the working directory is gone: {error}")))?;
    let working_dir = absolute.parent().unwrap_or(Path::new("/"));
    parse_str(&name, text, working_dir, env_overrides)
}

/// At most one byte more than a descriptor may have, so that a device or a huge file does not fill the memory.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.is_dir() {
        return Err(std::io::Error::other("it is a directory"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
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
    Pos { line: clamp(line), column: clamp(column) }
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
    let text = text.into();
    let stem = Path::new(file_name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let around = Surroundings {
        name: stem.as_deref().unwrap_or("dataflow"),
        working_dir,
        overrides: env_overrides,
        lookup: &|name| std::env::var(name).ok(),
    };
    let mut report = Report::new(file_name);
    let Some(tree) = yaml::parse(&text, &mut report) else {
        return Err(report.into_errors());
    };
    form::check(&tree, &schema::DATAFLOW, &mut report);
    let malformed = form::malformed_nodes(&tree, &report);
    let raw = raw::read(&tree);
    let checked = check::check(&raw, &malformed, &mut report);
    check::not_yet::collect(&raw, &checked.kinds, &mut report);
    let dataflow = resolve::resolve(&raw, &checked, &around, &mut report);
    let health_check_interval = raw.health_check_interval.unwrap_or(DEFAULT_HEALTH_CHECK_INTERVAL);
    let strict_types = raw.strict_types;
    let (not_yet, warnings) = report.finish()?;
    Ok(Loaded { dataflow, not_yet, warnings, text, health_check_interval, strict_types })
}
