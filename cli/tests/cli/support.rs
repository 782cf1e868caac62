//! A folder with a descriptor in it, and the real `dora` binary to run on it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

/// A descriptor in a folder of its own, gone when dropped.
pub(crate) struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    /// Writes `yaml` to `flow.yml`.
    pub(crate) fn new(yaml: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("flow.yml"), yaml).expect("flow.yml is written");
        Self { dir }
    }

    /// A file of the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `dora <args>` in the folder, with nothing in the environment that changes its behaviour.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dora"));
        command.args(args).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("DORA_")) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs `dora <args>` to its end.
    pub(crate) fn dora(&self, args: &[&str]) -> Ended {
        Ended::from(self.command(args).output().expect("dora starts"))
    }
}

/// What a finished `dora` left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("stdout is text"),
            err: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }
}
