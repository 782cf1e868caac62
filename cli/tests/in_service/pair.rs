//! A coordinator and a daemon of the test's own.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Ended, Project};

/// Both, in the background; gone when dropped.
pub(crate) struct Pair {
    project: Project,
    port: u16,
}

impl Pair {
    /// Starts both; `flow.yml` in the working folder is `yaml`.
    pub(crate) fn up(yaml: &str) -> Self {
        let project = Project::new(yaml);
        for folder in ["home", "run"] {
            fs::create_dir(project.path(folder)).expect("a folder");
        }
        // Nobody has it now; that somebody takes it in the next moment shows as an error of `up`.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let pair = Self { project, port };
        let up = pair.dora(&["up"]);
        assert_eq!(up.code, Some(0), "{up:?}");
        pair
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.project.path(name), text).expect("a file");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("HOME", self.project.path("home")).env("XDG_RUNTIME_DIR", self.project.path("run"));
        command.env("DORA_COORDINATOR_PORT", self.port.to_string());
        command
    }

    /// Runs `dora <args>` to its end.
    pub(crate) fn dora(&self, args: &[&str]) -> Ended {
        Ended::from(self.command(args).stdin(Stdio::null()).output().expect("dora starts"))
    }

    /// As [`Pair::dora`], where it must succeed; what is on stdout.
    pub(crate) fn good(&self, args: &[&str]) -> String {
        let ended = self.dora(args);
        assert_eq!(ended.code, Some(0), "dora {}: {}\n{}", args.join(" "), ended.err, ended.out);
        ended.out
    }

    /// One JSON document on stdout.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.good(args)).expect("one JSON document")
    }

    /// One JSON object per line.
    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        self.good(args).lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dora starts")
    }

    /// Waits until a node of the dataflow has printed this.
    pub(crate) fn wait_for_line(&self, dataflow: &str, text: &str) {
        wait(&format!("`{text}` in the logs"), || self.good(&["logs", dataflow]).contains(text));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let down = self.dora(&["down", "--force"]);
        if !thread::panicking() {
            assert_eq!(down.code, Some(0), "{down:?}");
        }
    }
}

/// Waits for a minute at most.
pub(crate) fn wait(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} did not come");
        thread::sleep(Duration::from_millis(50));
    }
}
