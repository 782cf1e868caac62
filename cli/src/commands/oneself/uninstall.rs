//! `dora self uninstall`: by the package manager that installed it, else by itself.
//!
//! A Python package is removed only when this very file belongs to it: another `dora` on the machine is none of our business.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{PACKAGE, environment_python, program};
use crate::{
    args::SelfUninstallArgs,
    display::out::print,
    error::{CliError, CliResult},
};

/// Prints where the files of the package named by its argument lie.
const FILES: &str = "import sys, importlib.metadata as m\n\
                     print(*(f.locate() for f in m.distribution(sys.argv[1]).files or ()), sep='\\n')";

/// `dora self uninstall`
pub(super) fn run(args: &SelfUninstallArgs) -> CliResult {
    let program = program()?;
    if !args.force && !confirmed(&program)? {
        return print("nothing was removed\n");
    }
    match owner(&program) {
        Some(python) => remove_package(&python)?,
        None => self_replace::self_delete().map_err(|error| cannot_remove(&program).caused_by(&error))?,
    }
    print(&format!("removed {}\n", program.display()))
}

fn confirmed(program: &Path) -> CliResult<bool> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(CliError::new(
            "removing this program needs a confirmation, which requires an interactive terminal",
        )
        .hint("`dora self uninstall --force` does not ask"));
    }
    let question = format!("Remove {}?", program.display());
    inquire::Confirm::new(&question)
        .with_default(false)
        .prompt()
        .map_err(|error| CliError::new("nothing was removed").caused_by(&error))
}

/// The Python whose package this file belongs to.
fn owner(program: &Path) -> Option<PathBuf> {
    let python = environment_python(program).unwrap_or_else(|| PathBuf::from("python3"));
    let mut list = Command::new(&python);
    list.args(["-c", FILES, PACKAGE]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = list.output().ok().filter(|output| output.status.success())?;
    let files = String::from_utf8_lossy(&output.stdout);
    files.lines().any(|file| std::fs::canonicalize(file).is_ok_and(|file| file == program)).then_some(python)
}

fn remove_package(python: &Path) -> CliResult {
    let mut uv = Command::new("uv");
    uv.args(["pip", "uninstall", "--python"]).arg(python).arg(PACKAGE);
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "uninstall", "--yes", PACKAGE]);
    for command in [&mut uv, &mut pip] {
        if command.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    Err(CliError::new(format!("neither uv nor pip could uninstall the package `{PACKAGE}`"))
        .hint(format!("see what they say: {} -m pip uninstall {PACKAGE}", python.display())))
}

fn cannot_remove(program: &Path) -> CliError {
    CliError::new(format!("failed to remove {}", program.display()))
        .hint("may you write to its folder? Otherwise remove it with sudo")
}
