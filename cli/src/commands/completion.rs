//! `dora completion`: a script that teaches a shell the words of this command.

use std::{env, path::Path};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{
    args::{Cli, CompletionArgs},
    display::out::print,
    error::{CliError, CliResult},
};

/// `dora completion`
pub(crate) fn run(args: &CompletionArgs) -> CliResult {
    let shell = match args.shell {
        Some(shell) => shell,
        None => detect(env::var_os("SHELL").as_deref().map(Path::new))?,
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "dora", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// The shell that the user logs in with.
fn detect(program: Option<&Path>) -> CliResult<Shell> {
    let hint = "name it: dora completion bash (or zsh, fish, elvish, powershell)";
    let Some(program) = program else {
        return Err(CliError::new("cannot tell the shell: the variable SHELL is not set").hint(hint));
    };
    Shell::from_shell_path(program).ok_or_else(|| {
        CliError::new(format!("there are no completions for `{}`", program.display())).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_is_told_from_its_path_and_else_asked_for() {
        assert_eq!(detect(Some(Path::new("/usr/bin/zsh"))).unwrap(), Shell::Zsh);
        assert_eq!(detect(Some(Path::new("/bin/bash"))).unwrap(), Shell::Bash);
        for unknown in [None, Some(Path::new("/bin/dash"))] {
            assert!(detect(unknown).unwrap_err().to_string().contains("dora completion bash"));
        }
    }

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            generate(shell, &mut Cli::command(), "dora", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["validate", "restart", "param", "hot-reload"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
