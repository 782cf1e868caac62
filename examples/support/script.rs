//! Runs the `run.sh` of an example with the `dora` and the nodes of this build, and reads back what it says.
//!
//! It runs in a copy of the example, with a home folder, a folder for sockets and a coordinator's port of its own.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A copy of an example.
pub(crate) struct Copy {
    folder: PathBuf,
    command: Command,
}

/// What a script left behind.
#[derive(Debug)]
pub(crate) struct Said {
    /// Exit code of the script.
    pub(crate) code: Option<i32>,
    /// What it printed, and `dora` in it.
    pub(crate) out: String,
    /// Errors, and what builds print.
    pub(crate) err: String,
}

impl Copy {
    /// Copies the descriptors and the script of `example` (a folder beside this one). Of the texts in them the first of each of
    /// `changes` becomes the second. `name` tells the copies of one test binary apart.
    pub(crate) fn new(example: &str, name: &str, dora: &Path, changes: &[(&str, &str)]) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(example);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        for sub in ["home", "run", "example"] {
            fs::create_dir_all(folder.join(sub)).expect("the target folder is writable");
        }
        for entry in fs::read_dir(&from).expect("the example is there") {
            let file = entry.expect("the example is readable").path();
            if file.extension().is_some_and(|kind| kind == "yml" || kind == "sh") {
                let mut text = fs::read_to_string(&file).expect("a text file");
                for (old, new) in changes {
                    text = text.replace(old, new);
                }
                let to = folder.join("example").join(file.file_name().expect("a file has a name"));
                fs::write(to, text).expect("the target folder is writable");
            }
        }
        let mut command = Command::new("sh");
        command.arg("run.sh").current_dir(folder.join("example")).stdin(Stdio::null());
        for (variable, _) in std::env::vars_os() {
            let variable = variable.to_string_lossy();
            let proxy = variable.to_ascii_lowercase().ends_with("_proxy");
            // Cargo describes this test to its processes; a cargo below would take that for its own.
            let cargo = variable.starts_with("CARGO_PKG_") || variable == "CARGO_TARGET_DIR";
            if proxy || cargo || variable.starts_with("DORA_") {
                command.env_remove(&*variable);
            }
        }
        command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
        command.env("DORA", dora).env("DORA_COORDINATOR_PORT", free_port().to_string());
        command.env("HOME", folder.join("home")).env("XDG_RUNTIME_DIR", folder.join("run"));
        Self { folder, command }
    }

    /// A variable for the script.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Where the copy lies.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.join("example")
    }

    /// Runs the script to its end.
    pub(crate) fn run(&mut self) -> Said {
        let output = self.command.output().expect("there is a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a port").port()
}
