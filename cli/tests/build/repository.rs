//! A git repository in a temporary folder.

use std::{fs, path::PathBuf, process::Command};

/// Gone when dropped.
pub(crate) struct Repository {
    dir: tempfile::TempDir,
}

impl Repository {
    /// With branch `main` and one commit in it: an executable `tool` that prints `text` and its folder.
    pub(crate) fn new(text: &str) -> Self {
        let this = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        this.git(&["init", "--quiet", "--initial-branch", "main"]);
        this.commit_tool(text);
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs git and gives what it printed.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let own =
            ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "protocol.file.allow=always"];
        let mut command = Command::new("git");
        command.args(own).args(args).current_dir(self.dir.path());
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        let output = command.output().expect("git is installed");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Changes what `tool` prints, commits that, and gives the commit.
    #[track_caller]
    pub(crate) fn commit_tool(&self, text: &str) -> String {
        self.commit("tool", &format!("#!/bin/sh\necho {text} in $PWD\n"))
    }

    /// Commits an executable file.
    #[track_caller]
    pub(crate) fn commit(&self, name: &str, content: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.path(name), content).expect("a file");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("executable");
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", name]);
        self.git(&["rev-parse", "HEAD"])
    }
}
