//! `dora doctor` without `--rt`: what `dora run` needs on this machine.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Resource, getrlimit},
};
use serde_json::json;

use super::{super::load, answer, control, json::pretty};
use crate::{
    args::DoctorArgs,
    error::{CliError, CliResult},
};

/// Descriptors that a process may have open; a node needs a handful for each of its edges.
const OPEN_FILES: u64 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Pass,
    Warn,
    Fail,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) check: &'static str,
    pub(super) detail: String,
}

impl Line {
    pub(super) fn new(level: Level, check: &'static str, detail: impl Into<String>) -> Self {
        Self { level, check, detail: detail.into() }
    }
}

pub(super) fn run(args: &DoctorArgs) -> CliResult {
    let mut lines = vec![
        Line::new(Level::Pass, "version", concat!("dora ", env!("CARGO_PKG_VERSION"))),
        memory_files(),
        shared_folder(Path::new("/dev/shm")),
        open_files(getrlimit(Resource::Nofile).current),
        program("python3", "nodes in Python need it"),
        program("uv", "only `--uv` needs it"),
    ];
    lines.extend(control::check(args)?);
    lines.extend(args.dataflow.as_deref().map(dataflow));
    let text = if args.json { as_json(&lines)? } else { as_text(&lines) };
    answer(&text)?;
    let failed: Vec<&str> =
        lines.iter().filter(|line| line.level == Level::Fail).map(|line| line.check).collect();
    if failed.is_empty() { Ok(()) } else { Err(CliError::new(format!("failed: {}", failed.join(", ")))) }
}

fn as_text(lines: &[Line]) -> String {
    let word = |level| match level {
        Level::Pass => "PASS",
        Level::Warn => "WARN",
        Level::Fail => "FAIL",
    };
    let mut out: String =
        lines.iter().map(|line| format!("{}  {}: {}\n", word(line.level), line.check, line.detail)).collect();
    out += "Real time: dora doctor --rt\n";
    out
}

fn as_json(lines: &[Line]) -> CliResult<String> {
    let line = |line: &Line| {
        let level = match line.level {
            Level::Pass => "ok",
            Level::Warn => "warn",
            Level::Fail => "bad",
        };
        json!({ "check": line.check, "level": level, "found": line.detail })
    };
    pretty(&json!({ "findings": lines.iter().map(line).collect::<Vec<_>>() }))
}

/// Messages travel in memory that has no name: the kernel must offer it.
fn memory_files() -> Line {
    const CHECK: &str = "shared memory";
    match memfd_create("dora-doctor", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING) {
        Ok(_) => Line::new(Level::Pass, CHECK, "memfd with sealing works"),
        Err(error) => {
            let fix = "Linux 3.17 is needed, and a container must not filter this system call";
            Line::new(Level::Fail, CHECK, format!("memfd_create is refused: {error}; {fix}"))
        }
    }
}

/// Not used by dora, but by Python's multiprocessing and others in nodes.
fn shared_folder(folder: &Path) -> Line {
    const CHECK: &str = "/dev/shm";
    match fs::metadata(folder) {
        Ok(found) if found.permissions().mode() & 0o7777 == 0o1777 => {
            Line::new(Level::Pass, CHECK, "mode 1777")
        }
        Ok(found) => {
            let mode = found.permissions().mode() & 0o7777;
            Line::new(
                Level::Warn,
                CHECK,
                format!(
                    "mode {mode:o}, usual is 1777: sudo chmod 1777 /dev/shm (dora itself does not use it)"
                ),
            )
        }
        Err(error) => Line::new(Level::Warn, CHECK, format!("{error} (dora itself does not use it)")),
    }
}

fn open_files(limit: Option<u64>) -> Line {
    const CHECK: &str = "open files";
    match limit {
        Some(limit) if limit < OPEN_FILES => Line::new(
            Level::Warn,
            CHECK,
            format!("at most {limit}; large dataflows need more: ulimit -n {OPEN_FILES}"),
        ),
        Some(limit) => Line::new(Level::Pass, CHECK, format!("at most {limit}")),
        None => Line::new(Level::Pass, CHECK, "no limit"),
    }
}

/// A program on PATH, with what it says of its version.
fn program(name: &'static str, need: &str) -> Line {
    let Some(path) = on_path(name) else {
        return Line::new(Level::Warn, name, format!("not on PATH; {need}"));
    };
    match Command::new(&path).arg("--version").output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Line::new(Level::Pass, name, format!("{} ({})", text.trim(), path.display()))
        }
        Ok(output) => {
            Line::new(Level::Warn, name, format!("`{} --version` failed: {}", path.display(), output.status))
        }
        Err(error) => Line::new(Level::Warn, name, format!("{} does not start: {error}", path.display())),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(runs)
}

fn dataflow(path: &Path) -> Line {
    const CHECK: &str = "dataflow";
    match load(path, &[]) {
        Ok(loaded) if loaded.not_yet.iter().any(|entry| entry.fatal) => Line::new(
            Level::Fail,
            CHECK,
            format!("{} needs what is not yet supported; see `dora validate`", path.display()),
        ),
        Ok(loaded) => Line::new(
            Level::Pass,
            CHECK,
            format!("{}, {} nodes", path.display(), loaded.dataflow.nodes.len()),
        ),
        Err(error) => {
            let text = error.to_string();
            Line::new(Level::Fail, CHECK, text.trim_start_matches("[ERROR]").trim().replace('\n', "\n      "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_open_files_are_a_warning_with_the_command() {
        assert_eq!(open_files(Some(1024)).level, Level::Pass);
        assert_eq!(open_files(None).level, Level::Pass);
        let few = open_files(Some(256));
        assert!(few.level == Level::Warn && few.detail.contains("ulimit -n"), "{few:?}");
    }

    #[test]
    fn a_shared_folder_that_is_missing_or_closed_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            shared_folder(folder.path())
        };
        assert_eq!(set(0o1777).level, Level::Pass);
        assert!(set(0o755).detail.contains("mode 755"));
        assert_eq!(shared_folder(Path::new("/nowhere/at/all")).level, Level::Warn);
    }

    #[test]
    fn a_program_that_is_missing_is_a_warning_with_its_purpose() {
        let missing = program("no-such-program-anywhere", "nobody needs it");
        assert!(missing.level == Level::Warn && missing.detail.contains("nobody needs it"), "{missing:?}");
        assert_eq!(program("sh", "").check, "sh");
    }
}
