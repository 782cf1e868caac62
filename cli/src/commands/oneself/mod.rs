//! `dora self`: this program itself.

mod uninstall;
mod update;

use std::path::{Path, PathBuf};

use crate::{
    args::SelfCommand,
    error::{CliError, CliResult},
};

/// Under this name the program may be installed as a Python package.
const PACKAGE: &str = "dora-rs-cli";

/// `dora self`
pub(crate) fn run(command: &SelfCommand) -> CliResult {
    match command {
        SelfCommand::Update(args) => update::run(args),
        SelfCommand::Uninstall(args) => uninstall::run(args),
    }
}

/// The file of this program.
fn program() -> CliResult<PathBuf> {
    let file = std::env::current_exe().and_then(std::fs::canonicalize);
    file.map_err(|error| CliError::new("cannot find the file of this program").caused_by(&error))
}

/// The Python of the environment that `program` lies in, if it lies in one.
fn environment_python(program: &Path) -> Option<PathBuf> {
    let bin = program.parent()?;
    bin.parent()?.join("pyvenv.cfg").is_file().then(|| bin.join("python"))
}
