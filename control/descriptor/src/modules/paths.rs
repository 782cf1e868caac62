//! Paths of a module, as seen from the folder of the dataflow.
//!
//! A program of a module lies beside its file; a flat dataflow knows only its own folder. A path with a slash or an
//! extension is one of a file, and so is a bare name for which there is a file; other bare names (`python`, `ros2`) are
//! looked for in `PATH` and stay as they are.

use std::path::{Component, Path, PathBuf};

use crate::check::is_url;

/// `path` of a node in a module whose folder is `dir`, relative to `base`.
pub(super) fn program(base: &Path, dir: &Path, path: &str) -> String {
    let bare = !path.contains('/') && Path::new(path).extension().is_none();
    let elsewhere = matches!(path, "" | "dynamic" | "shell")
        || path.starts_with(['/', '$', '~'])
        || path.starts_with("dora/")
        || is_url(path)
        || (bare && !base.join(dir).join(path).is_file());
    if elsewhere { path.to_owned() } else { file(dir, path) }
}

/// A file of a module whose folder is `dir`.
pub(super) fn file(dir: &Path, path: &str) -> String {
    if dir.as_os_str().is_empty() || path.is_empty() || path.starts_with(['/', '$']) || is_url(path) {
        return path.to_owned();
    }
    // `dir` has no links in it, so leaving it upwards is taking a name away.
    let mut joined = dir.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if joined.file_name().is_some() => {
                joined.pop();
            }
            other => joined.push(other),
        }
    }
    joined.to_string_lossy().into_owned()
}

/// A conda environment of a module whose folder is `dir`: a folder has a slash, a name stays.
pub(super) fn conda_env(dir: &Path, name: &str) -> String {
    if !name.contains('/') {
        return name.to_owned();
    }
    let folder = file(dir, name);
    if folder.contains('/') { folder } else { format!("./{folder}") }
}

/// A build line that runs in `dir`.
pub(super) fn build_line(dir: &Path, line: &str) -> String {
    let dir = dir.to_string_lossy();
    match shlex::try_quote(&dir) {
        Ok(quoted) if !dir.is_empty() => format!("env -C {quoted} {line}"),
        _ => line.to_owned(),
    }
}

/// The folder of `file`, which lies below `base`; both without links.
pub(super) fn folder(base: &Path, file: &Path) -> PathBuf {
    let below = file.strip_prefix(base).unwrap_or(file);
    below.parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_module_are_found_from_the_dataflow_and_commands_stay() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("m")).unwrap();
        std::fs::write(base.path().join("m/tool"), "").unwrap();
        for (path, expected) in [
            ("filter.py", "m/filter.py"),
            ("./run", "m/run"),
            ("../common/x.py", "common/x.py"),
            ("../../x.py", "../x.py"),
            ("tool", "m/tool"),
            ("python", "python"),
            ("/usr/bin/env", "/usr/bin/env"),
            ("$HOME/x", "$HOME/x"),
            ("https://example.com/x", "https://example.com/x"),
            ("dynamic", "dynamic"),
            ("shell", "shell"),
        ] {
            assert_eq!(program(base.path(), Path::new("m"), path), expected, "{path}");
        }
        assert_eq!(program(base.path(), Path::new(""), "x.py"), "x.py");
        assert_eq!(file(Path::new("a/b"), "libop"), "a/b/libop");
        for (name, expected) in
            [("arm", "arm"), ("./env", "m/env"), ("../env", "./env"), ("/opt/env", "/opt/env")]
        {
            assert_eq!(conda_env(Path::new("m"), name), expected, "{name}");
        }
        assert_eq!(build_line(Path::new("a b"), "make all"), "env -C 'a b' make all");
        assert_eq!(build_line(Path::new(""), "make all"), "make all");
    }
}
