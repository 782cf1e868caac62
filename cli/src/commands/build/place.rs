//! Where fetched things lie. A place follows from the descriptor alone, so that `dora run` finds it again without a record.

use std::{
    fs,
    path::{Path, PathBuf},
};

use dora_protocol::dataflow::{GitRef, GitSource};
use sha2::{Digest, Sha256};

use crate::error::{CliError, CliResult};

/// No name that [`tame`] makes, with a digest behind it, ends so.
const PART: &str = ".part";

/// Makes `.dora/`, which git shall not see: what is in it can be fetched and built again.
pub(super) fn hidden(working_dir: &Path) -> CliResult<PathBuf> {
    let folder = working_dir.join(".dora");
    let ignore = folder.join(".gitignore");
    fs::create_dir_all(&folder)
        .and_then(|()| if ignore.exists() { Ok(()) } else { fs::write(&ignore, "*\n") })
        .map_err(|error| CliError::new(format!("failed to write {}", folder.display())).caused_by(&error))?;
    Ok(folder)
}

/// Beside `to`, for the time until it is whole.
pub(super) fn part(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(PART);
    to.with_file_name(name)
}

/// Deletes what builds that were killed have left of clones. Only for who holds the lock.
pub(super) fn sweep(working_dir: &Path) {
    for entry in fs::read_dir(working_dir.join(".dora/git")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(PART) {
            // What cannot be deleted is in nobody's way until its name is needed, and then git says so.
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
}

/// The clone of a repository at a branch, tag or commit: one for all nodes that want the same.
pub(super) fn clone(working_dir: &Path, source: &GitSource) -> PathBuf {
    let (kind, name) = match &source.want {
        GitRef::Default => ("default", "default"),
        GitRef::Branch(name) => ("branch", name.as_str()),
        GitRef::Tag(name) => ("tag", name.as_str()),
        GitRef::Rev(name) => ("rev", name.as_str()),
    };
    let url = source.url.trim_end_matches('/');
    let repository = last_part(url.strip_suffix(".git").unwrap_or(url));
    let digest = short_digest(&[&source.url, kind, name]);
    working_dir.join(".dora/git").join(format!("{}-{}-{digest}", tame(repository), tame(name)))
}

/// The program behind a URL: one for all nodes that name it. The name stays, because its ending says what it is.
pub(super) fn program(working_dir: &Path, url: &str) -> PathBuf {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let name = match path.split_once('/') {
        Some((_, path)) => last_part(path.trim_end_matches('/')),
        None => "",
    };
    let name = Some(tame(name)).filter(|name| !name.is_empty()).unwrap_or_else(|| "program".to_owned());
    let stem = name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("program");
    working_dir.join("build").join(format!("{stem}-{}", short_digest(&[url]))).join(&name)
}

fn last_part(path: &str) -> &str {
    path.rsplit(['/', ':']).next().unwrap_or(path)
}

/// Letters, digits, `_`, `-` and inner dots, and not too many of them: a name that no file system objects to. What it
/// loses the digest beside it keeps.
fn tame(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    let end: String = name.chars().rev().take(48).collect();
    let name: String = end.chars().rev().map(keep).collect();
    name.trim_matches('.').to_owned()
}

fn short_digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex(&hash.finalize()[..4])
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str, want: GitRef) -> String {
        let path = clone(Path::new("/flow"), &GitSource { url: url.into(), want });
        path.strip_prefix("/flow/.dora/git").unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn clones_are_named_after_repository_and_reference_and_never_share_a_folder() {
        let branch = |name: &str| GitRef::Branch(name.into());
        let names = [
            git("https://example.com/robots/arm.git", GitRef::Default),
            git("https://example.com/robots/arm.git", branch("main")),
            git("https://example.com/robots/arm.git", GitRef::Tag("main".into())),
            git("git@example.com:other/arm.git", branch("main")),
            git("https://example.com/robots/arm.git", branch("a/b")),
            git("https://example.com/robots/arm.git", branch("a-b")),
        ];
        assert!(names[0].starts_with("arm-default-") && names[1].starts_with("arm-main-"), "{names:?}");
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| !name.contains('/')), "{names:?}");
    }

    #[test]
    fn hostile_names_stay_inside_of_the_folder() {
        for url in
            ["https://h/..", "https://h/../..", "https://h", "https://h/a b\n\0c", "https://h/x/?y=/../z"]
        {
            let program = program(Path::new("/flow"), url);
            assert_eq!(program.components().count(), 5, "{url}: {program:?}");
            assert!(program.components().all(|part| part.as_os_str() != ".."), "{url}: {program:?}");
            let name = git(url, GitRef::Branch("../../etc".into()));
            assert!(!name.contains('/') && name != "..", "{url}: {name}");
        }
    }

    #[test]
    fn downloaded_program_keeps_its_name_and_another_url_gets_another_folder() {
        let one = program(Path::new("/flow"), "https://example.com/v1/detect.py?token=1");
        let other = program(Path::new("/flow"), "https://example.com/v2/detect.py");
        assert_eq!(one.file_name(), other.file_name());
        assert_eq!(one.file_name().unwrap(), "detect.py");
        assert_ne!(one, other);
    }
}
