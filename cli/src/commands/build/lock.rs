//! The lockfile: `--write-lockfile` notes the commit of every repository, `--locked` uses these commits and no others.
//!
//! What is pinned is what the descriptor asks for. When the descriptor asks for something else than it did, `--locked` says so
//! instead of guessing: a pin that is missing, one that nobody uses, and one that contradicts `rev:`.

use std::{fs, io::Write as _, path::PathBuf};

use dora_descriptor::{Lockfile, Pin};
use dora_protocol::dataflow::{Dataflow, GitRef, GitSource, Location};

use super::{
    git,
    sources::{Fetch, What},
};
use crate::{
    args::SourceArgs,
    error::{CliError, CliResult},
};

/// What the flags ask for. By default nothing is pinned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locking {
    locked: bool,
    write: bool,
    path: PathBuf,
}

impl Locking {
    /// Reads the flags.
    ///
    /// # Errors
    /// `--hub-override`, which nothing can be done with, and `--lockfile` without a flag that says what for.
    pub(crate) fn of(args: &SourceArgs, dataflow: &Dataflow) -> CliResult<Self> {
        if let Some((package, _)) = args.hub_override.first() {
            let message =
                format!("`--hub-override {package}=…` needs the node hub, which this version cannot reach");
            return Err(CliError::new(message)
                .hint("give the folder as `path:` or `git:` of the node instead of `hub:`"));
        }
        if args.lockfile.is_some() && !args.locked && !args.write_lockfile {
            return Err(CliError::new("`--lockfile` alone does nothing")
                .hint("add `--locked` to use it, or `--write-lockfile` to write it"));
        }
        let beside = || dataflow.working_dir.join(format!("{}.dora-lock.yaml", dataflow.name));
        Ok(Self {
            locked: args.locked,
            write: args.write_lockfile,
            path: args.lockfile.clone().unwrap_or_else(beside),
        })
    }

    /// Under `--locked`: binds every repository to its commit.
    ///
    /// # Errors
    /// A lockfile that cannot be read or does not fit the dataflow; all differences at once.
    pub(super) fn pin(&self, fetches: &mut [Fetch]) -> CliResult {
        if !self.locked {
            return Ok(());
        }
        if !self.path.exists() {
            let message = format!("`--locked` needs {}, which does not exist", self.path.display());
            return Err(CliError::new(message).hint("`dora build --write-lockfile` writes it"));
        }
        let lockfile = Lockfile::read(&self.path).map_err(|errors| CliError::from_error(&errors))?;
        let mut problems = Vec::new();
        let mut used = Vec::new();
        for fetch in fetches {
            let What::Git(source) = &fetch.what else { continue };
            used.push(source.clone());
            match lockfile.pin(source) {
                None => problems.push(format!(
                    "{}: {} ({}) is not pinned in {}",
                    fetch.place(),
                    fetch.text(),
                    wanted(source),
                    self.path.display()
                )),
                Some(pin) if contradicts(source, pin) => problems.push(format!(
                    "{}: node `{}` wants {} of `{}`, and commit {} is pinned",
                    pin.at,
                    fetch.node(),
                    wanted(source),
                    source.url,
                    pin.commit
                )),
                Some(pin) => fetch.pin = Some(pin.commit.clone()),
            }
        }
        let unused = lockfile.git.iter().filter(|pin| !used.contains(&pin.source));
        problems.extend(
            unused.map(|pin| {
                format!("{}: no node uses `{}` ({})", pin.at, pin.source.url, wanted(&pin.source))
            }),
        );
        if problems.is_empty() {
            return Ok(());
        }
        let hint =
            "the descriptor has changed since; `dora build --write-lockfile` pins what it asks for now";
        Err(CliError::new(format!("the lockfile does not match the dataflow\n{}", problems.join("\n")))
            .hint(hint))
    }

    /// Under `--write-lockfile`: notes where the clones are now.
    ///
    /// # Errors
    /// A clone that git cannot read, or a file that cannot be written; then the old one is as it was.
    pub(super) fn write(&self, fetches: &[Fetch]) -> CliResult {
        if !self.write {
            return Ok(());
        }
        let mut pins: Vec<Pin> = Vec::new();
        for fetch in fetches {
            let What::Git(source) = &fetch.what else { continue };
            let commit = git::head(&fetch.to).map_err(|why| {
                CliError::new(format!(
                    "{}: the commit of {} cannot be told: {why}",
                    fetch.place(),
                    fetch.text()
                ))
            })?;
            pins.push(Pin { source: source.clone(), commit, at: Location::default() });
        }
        let count = pins.len();
        self.replace(&Lockfile { git: pins }.text()).map_err(|error| {
            CliError::new(format!("failed to write {}", self.path.display())).caused_by(&error)
        })?;
        let noun = if count == 1 { "repository" } else { "repositories" };
        eprintln!("pinned {count} {noun} in {}", self.path.display());
        Ok(())
    }

    /// Whole or not at all.
    fn replace(&self, text: &str) -> std::io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), PathBuf::from);
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        fresh.write_all(text.as_bytes())?;
        // Readable like any other file of the project, and not like a secret.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(fresh.path(), readable)?;
        fresh.persist(&self.path)?;
        Ok(())
    }
}

/// A `rev:` says already which commit it is.
fn contradicts(source: &GitSource, pin: &Pin) -> bool {
    matches!(&source.want, GitRef::Rev(rev) if !pin.commit.starts_with(&rev.to_ascii_lowercase()))
}

/// For messages: ``branch `main` ``.
pub(super) fn wanted(source: &GitSource) -> String {
    match &source.want {
        GitRef::Default => "default branch".to_owned(),
        GitRef::Branch(name) => format!("branch `{name}`"),
        GitRef::Tag(name) => format!("tag `{name}`"),
        GitRef::Rev(rev) => format!("commit `{rev}`"),
    }
}
