//! `dora build`: runs the `build:` lines of every node, in the order of the file.
//!
//! Each line is one command, split like a shell would split it but run without one, in the working directory and
//! with the environment that the node will have. `pip` is the one of the interpreter that will run the node: while a
//! virtual environment is active never that of another place, whatever `PATH` says. Output goes to stderr as it comes,
//! each line behind the name of its node, so that stdout stays free. The first command that fails ends the build.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
};

use dora_daemon::environment::{self, Env};
use dora_protocol::dataflow::{Dataflow, Node};

use super::{load_to_use, warn_not_yet};
use crate::{
    args::{BuildArgs, given},
    error::{CliError, CliResult},
};

/// `dora build`
pub(crate) fn run(args: &BuildArgs) -> CliResult {
    let mut flags = given(&[
        (args.strict_types, "--strict-types"),
        (args.parallel, "--parallel"),
        (args.offline, "--offline"),
        (args.coordinator_addr.is_some(), "--coordinator-addr"),
        (args.coordinator_port.is_some(), "--coordinator-port"),
    ]);
    flags.extend(args.sources.given());
    warn_not_yet(&flags);
    let loaded = load_to_use(&args.path, &[])?;
    let commands = all(&loaded.dataflow, args.uv)?;
    println!("built {}: {commands} commands", loaded.dataflow.name);
    Ok(())
}

/// Runs every build line of `dataflow`; returns how many there were.
///
/// # Errors
/// The first command that cannot be started or fails. What ran before it is not undone.
pub(crate) fn all(dataflow: &Dataflow, uv: bool) -> CliResult<usize> {
    let host = environment::of_host();
    let mut commands = 0;
    for node in &dataflow.nodes {
        let (env, warnings) = environment::additions(node, &host);
        if !node.build.is_empty() {
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
        for line in &node.build {
            commands += usize::from(command(node, line, &env, &dataflow.working_dir, uv)?);
        }
    }
    Ok(commands)
}

/// Runs one line. `false` when there is nothing in it to run.
fn command(node: &Node, line: &str, env: &Env, dir: &Path, uv: bool) -> CliResult<bool> {
    let failed =
        |why: String| CliError::new(format!("{}: node `{}`: build line `{line}` {why}", node.at, node.id));
    let words = shlex::split(line).ok_or_else(|| failed("has an unbalanced quote".to_owned()))?;
    let venv = env.get("VIRTUAL_ENV").cloned().or_else(|| std::env::var("VIRTUAL_ENV").ok());
    let venv = venv.filter(|folder| !folder.is_empty()).map(|folder| Path::new(&folder).join("bin"));
    let words = if uv { through_uv(words) } else { in_environment(words, venv.as_deref()) };
    let Some((program, arguments)) = words.split_first() else { return Ok(false) };
    eprintln!("{}: $ {}", node.id, if uv { words.join(" ") } else { line.to_owned() });
    let mut command = Command::new(program);
    command.args(arguments).envs(env).current_dir(dir);
    if let Some(venv) = &venv {
        command.env("PATH", before_path(venv, env)?);
    }
    match stream(command, node.id.as_str()) {
        Ok(status) if status.success() => Ok(true),
        Ok(status) => Err(match (arguments, &venv) {
            ([m, pip, ..], Some(venv)) if !uv && m == "-m" && pip == "pip" => {
                let hint =
                    format!("the active environment is {}; if it has no pip, use `--uv`", venv.display());
                failed(format!("ended with {}", ending(status))).hint(hint)
            }
            _ => failed(format!("ended with {}", ending(status))),
        }),
        Err(error) => Err(failed("cannot be run".to_owned())
            .caused_by(&error)
            .hint(format!("`{program}` must be in PATH or in {}", dir.display()))),
    }
}

/// `pip …` and `pip3 …` become `uv pip …`.
fn through_uv(mut words: Vec<String>) -> Vec<String> {
    if let Some(first) = words.first_mut()
        && (first == "pip" || first == "pip3")
    {
        "pip".clone_into(first);
        words.insert(0, "uv".to_owned());
    }
    words
}

/// In a virtual environment `pip …` becomes `<its python> -m pip …`: an environment without pip says so, and nothing is
/// installed in another one.
fn in_environment(mut words: Vec<String>, bin: Option<&Path>) -> Vec<String> {
    let pip = words.first().is_some_and(|first| first == "pip" || first == "pip3");
    let python = bin.map(|bin| bin.join("python")).filter(|python| pip && python.is_file());
    if let Some(python) = python {
        words.splice(0..1, [python.to_string_lossy().into_owned(), "-m".into(), "pip".into()]);
    }
    words
}

/// `PATH` with the programs of the virtual environment first, as an activated one has it.
fn before_path(bin: &Path, env: &Env) -> CliResult<OsString> {
    let path = env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let places = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(places).map_err(|error| {
        CliError::new(format!("VIRTUAL_ENV names a folder that cannot be in PATH: {}", bin.display()))
            .caused_by(&error)
    })
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Runs a command and passes on what it prints, line by line, behind `name`.
fn stream(mut command: Command, name: &str) -> io::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(|| out.map(|pipe| pass_on(pipe, name)));
        scope.spawn(|| err.map(|pipe| pass_on(pipe, name)));
        child.wait()
    })
}

/// Ends when the pipe does. That nobody reads our stderr is no reason to fail the build.
fn pass_on(pipe: impl Read, name: &str) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let text = String::from_utf8_lossy(&line);
        writeln!(io::stderr(), "{name}: {}", text.trim_end_matches(['\n', '\r'])).unwrap_or_default();
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_lines_go_through_uv_and_nothing_else_does() {
        for (line, expected) in [
            ("pip install -e .", "uv pip install -e ."),
            ("pip3 install x", "uv pip install x"),
            ("cargo build", "cargo build"),
            ("echo pip", "echo pip"),
        ] {
            let words = through_uv(shlex::split(line).unwrap());
            assert_eq!(words.join(" "), expected);
        }
    }
}
