//! Why a run could not be carried out.
//!
//! These are failures of the run as a whole: nothing was started, or everything that was started has been ended
//! again. A node that fails while the others go on is no error here; it is a row of the report.

use std::{io, path::PathBuf};

use dora_protocol::{NodeId, dataflow::Location};

use crate::report::RtProblem;

/// Why a dataflow was not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Some programs cannot be started; all of them are named. No process was started.
    #[error("{}", join(.0))]
    Programs(Vec<ProgramError>),
    /// Shared memory or descriptors could not be had. No process was started.
    #[error("failed to create {what}: {source}")]
    Segment {
        /// Which object, of which node.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A fresh segment could not be opened. No process was started.
    #[error("failed to open {what}: {source}")]
    Open {
        /// Which object, of which node.
        what: String,
        /// What is wrong with it.
        source: lockfree_ipc::OpenError,
    },
    /// The folder for the log files cannot be used. No process was started.
    #[error("failed to create the log folder {}: {source}", path.display())]
    LogFolder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// `--rt` was asked for and not everything was granted. All nodes have been ended again.
    #[error("{}", real_time(.0))]
    RealTime(Vec<RtProblem>),
    /// The daemon's own machinery could not be started.
    #[error("failed to start {what}: {source}")]
    Machinery {
        /// Which part.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why the program of one node cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no such file anywhere it could be.
    #[error("{at}: node `{node}`: there is no program `{path}`; searched {searched}{hint}")]
    Missing {
        /// Where the node stands in the file.
        at: Box<Location>,
        /// The node.
        node: NodeId,
        /// As written.
        path: String,
        /// All places.
        searched: String,
        /// What to do about it.
        hint: String,
    },
    /// There is a file, but it is not a program.
    #[error(
        "{at}: node `{node}`: `{}` is not executable; make it so with `chmod +x {}`", file.display(), file.display()
    )]
    NotExecutable {
        /// Where the node stands in the file.
        at: Box<Location>,
        /// The node.
        node: NodeId,
        /// The file.
        file: PathBuf,
    },
    /// The program that runs the node's script is missing.
    #[error("{at}: node `{node}`: `{script}` needs `{interpreter}`, which is not in {searched}; {hint}")]
    Interpreter {
        /// Where the node stands in the file.
        at: Box<Location>,
        /// The node.
        node: NodeId,
        /// The script as written.
        script: String,
        /// `python3` or `uv`.
        interpreter: &'static str,
        /// All places.
        searched: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// `dora build --uv` has not been run.
    #[error(
        "{at}: node `{node}` has `build:` lines, so under `--uv` it runs in an environment of its own, but there is \
         none in {}; make it with `dora build --uv`", folder.display()
    )]
    NoEnvironment {
        /// Where the node stands in the file.
        at: Box<Location>,
        /// The node.
        node: NodeId,
        /// Where the environment should be.
        folder: PathBuf,
    },
    /// There is no such conda environment, or none with an interpreter in it.
    #[error(
        "{at}: node `{node}`: there is no conda environment `{name}` with a `bin/python`; searched {searched}; make it with \
         `conda create -n {name} python`, or give its folder"
    )]
    NoConda {
        /// Where the node stands in the file.
        at: Box<Location>,
        /// The node.
        node: NodeId,
        /// As written.
        name: String,
        /// All places.
        searched: String,
    },
    /// `path: shell` without permission.
    #[error(
        "{at}: node `{node}` runs a shell command, which is not allowed by default; allow it with \
         `--allow-shell-nodes` or DORA_ALLOW_SHELL_NODES=true if you trust the descriptor"
    )]
    ShellNotAllowed {
        /// Where the node stands in the file.
        at: Box<Location>,
        /// The node.
        node: NodeId,
    },
}

fn join(errors: &[ProgramError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn real_time(problems: &[RtProblem]) -> String {
    let mut text = String::from("the real-time set-up is incomplete, so nothing was started:");
    for problem in problems {
        text.push_str(&format!("\n  {}", sentence(problem)));
    }
    text.push_str("\nrun with `--rt=best-effort` to go on without what is missing");
    text
}

/// `node: what: reason (fix: …)`
pub(crate) fn sentence(problem: &RtProblem) -> String {
    let fix = problem.fix.as_ref().map(|f| format!(" (fix: {f})")).unwrap_or_default();
    format!("{}: {}: {}{fix}", problem.node, problem.what, problem.reason)
}
