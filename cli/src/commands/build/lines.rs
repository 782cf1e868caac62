//! The `build:` lines of the nodes.
//!
//! Each line is one command, split like a shell would split it but run without one, in the working directory and with the
//! environment that the node will have. `pip` is the one of the interpreter that will run the node: while a virtual
//! environment is active never that of another place, whatever `PATH` says.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use dora_daemon::environment::{self, Env};
use dora_protocol::dataflow::Location;
use tokio::{process::Command, sync::Mutex};

use super::{Context, Failed, place, process};
use crate::error::CliError;

/// Nodes whose lines run one after the other.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) nodes: Vec<NodeLines>,
}

/// What is to be run for one node.
#[derive(Debug)]
pub(super) struct NodeLines {
    pub(super) node: String,
    pub(super) at: Location,
    /// On top of ours.
    pub(super) env: Env,
    /// About the environment.
    pub(super) warnings: Vec<String>,
    pub(super) dir: PathBuf,
    /// Its own virtual environment, made before its first line.
    pub(super) managed: Option<PathBuf>,
    pub(super) lines: Vec<Line>,
}

/// One command.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// As written.
    pub(super) text: String,
    /// At least one.
    pub(super) words: Vec<String>,
}

impl Line {
    pub(super) fn is_pip(&self) -> bool {
        self.pip().is_some()
    }

    /// Which word calls pip: the first, or the one behind the `env -C <folder>` that lines of a module get.
    fn pip(&self) -> Option<usize> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let at = if let ["env", "-C", _, ..] = words[..] { 3 } else { 0 };
        matches!(words.get(at), Some(&("pip" | "pip3"))).then_some(at)
    }
}

/// Two pips in one environment get into each other's way.
static SHARED_ENVIRONMENT: Mutex<()> = Mutex::const_new(());

/// Runs the lines of some nodes, one after the other.
pub(super) async fn lane(lane: Lane, mut context: Context) -> Result<(), Failed> {
    for node in lane.nodes {
        let Some(_slot) = context.slot().await else { return Err(Failed::Stopped) };
        let began = Instant::now();
        for warning in &node.warnings {
            context.console.line("warning", warning);
        }
        let env = node.environment(&mut context).await?;
        for line in &node.lines {
            node.run(line, &env, &mut context).await?;
        }
        context.console.line(&node.node, &format!("built in {:.1} s", began.elapsed().as_secs_f64()));
    }
    Ok(())
}

impl NodeLines {
    /// The environment of the lines; makes the virtual environment of the node when there is none.
    async fn environment(&self, context: &mut Context) -> Result<Env, Failed> {
        let host = environment::of_host();
        let mut env = self.env.clone();
        if let Some(folder) = &self.managed {
            if !folder.join("bin/python").exists() {
                self.make_environment(folder, context).await?;
            }
            environment::activate(&mut env, &host, folder);
        } else if let Some(folder) = active(&env, &host) {
            environment::activate(&mut env, &host, &folder);
        }
        Ok(env)
    }

    async fn make_environment(&self, folder: &Path, context: &mut Context) -> Result<(), Failed> {
        let failed = |what: String| {
            CliError::new(format!(
                "{}: node `{}`: its environment {} {what}",
                self.at,
                self.node,
                folder.display()
            ))
        };
        // What an interrupted build left is no environment.
        if folder.exists() {
            fs::remove_dir_all(folder)
                .map_err(|error| failed("cannot be made anew".to_owned()).caused_by(&error))?;
        }
        if let Some(root) = folder.ancestors().find(|folder| folder.ends_with(".dora")).and_then(Path::parent)
        {
            place::hidden(root)?;
        }
        let console = context.console.clone();
        console.line(&self.node, &format!("$ uv venv {}", folder.display()));
        let _step = console.step(format!("{}: uv venv", self.node));
        let mut command = Command::new("uv");
        command.arg("venv").arg(folder).envs(&self.env).env_remove("VIRTUAL_ENV").current_dir(&self.dir);
        let finished = process::run(command, &self.node, context).await.map_err(|broken| {
            broken.or(|error| failed("needs `uv`, which cannot be run".to_owned()).caused_by(&error))
        })?;
        if !finished.status.success() {
            return Err(failed(format!("cannot be made: `uv venv` {}", finished.text())).into());
        }
        if !folder.join("bin/python").exists() {
            return Err(failed("has no `bin/python`, though `uv venv` made it".to_owned()).into());
        }
        Ok(())
    }

    async fn run(&self, line: &Line, env: &Env, context: &mut Context) -> Result<(), Failed> {
        let failed = |why: String| {
            CliError::new(format!("{}: node `{}`: build line `{}` {why}", self.at, self.node, line.text))
        };
        let uv = context.options.uv;
        let venv = env.get("VIRTUAL_ENV").map(PathBuf::from);
        let words = if uv { through_uv(line) } else { in_environment(line, venv.as_deref()) };
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        let _alone = if line.is_pip() && self.managed.is_none() {
            Some(SHARED_ENVIRONMENT.lock().await)
        } else {
            None
        };
        let shown = if uv { words.join(" ") } else { line.text.clone() };
        let console = context.console.clone();
        console.line(&self.node, &format!("$ {shown}"));
        let _step = console.step(format!("{}: {shown}", self.node));
        // Looked up in the PATH that the line gets, not in ours.
        let found = if program.contains('/') { None } else { process::find(program, &whole(env)) };
        let mut command = Command::new(found.as_deref().unwrap_or(Path::new(program)));
        command.args(arguments).envs(env).current_dir(&self.dir);
        let finished = process::run(command, &self.node, context).await.map_err(|broken| {
            broken.or(|error| {
                failed("cannot be run".to_owned())
                    .caused_by(&error)
                    .hint(format!("`{program}` must be in PATH or in {}", self.dir.display()))
            })
        })?;
        if finished.status.success() {
            return Ok(());
        }
        let error = failed(finished.text());
        Err(match venv {
            Some(venv) if !uv && line.is_pip() => error
                .hint(format!("the active environment is {}; if it has no pip, use `--uv`", venv.display())),
            _ => error,
        }
        .into())
    }
}

fn whole(env: &Env) -> Env {
    let mut whole = environment::of_host();
    whole.extend(env.clone());
    whole
}

/// The virtual environment that the node or we were started in.
fn active(env: &Env, host: &Env) -> Option<PathBuf> {
    let folder = env.get("VIRTUAL_ENV").or_else(|| host.get("VIRTUAL_ENV"))?;
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}

/// `pip …` and `pip3 …` become `uv pip …`.
fn through_uv(line: &Line) -> Vec<String> {
    let mut words = line.words.clone();
    if let Some(at) = line.pip() {
        words.splice(at..=at, ["uv".to_owned(), "pip".to_owned()]);
    }
    words
}

/// In a virtual environment `pip …` becomes `<its python> -m pip …`: an environment without pip says so, and nothing is
/// installed in another one.
fn in_environment(line: &Line, venv: Option<&Path>) -> Vec<String> {
    let mut words = line.words.clone();
    let python = venv.map(|venv| venv.join("bin/python"));
    if let (Some(at), Some(python)) = (line.pip(), python.filter(|python| python.is_file())) {
        words.splice(at..=at, [python.to_string_lossy().into_owned(), "-m".into(), "pip".into()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_lines_go_through_uv_and_nothing_else_does() {
        for (text, expected) in [
            ("pip install -e .", "uv pip install -e ."),
            ("pip3 install x", "uv pip install x"),
            ("cargo build", "cargo build"),
            ("echo pip", "echo pip"),
            ("env -C sub pip install x", "env -C sub uv pip install x"),
            ("env -C sub make", "env -C sub make"),
            ("env -C pip", "env -C pip"),
        ] {
            let line = Line { text: text.to_owned(), words: shlex::split(text).unwrap() };
            assert_eq!(through_uv(&line).join(" "), expected);
        }
    }
}
