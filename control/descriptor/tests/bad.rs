//! `bad/*.yml`: files with mistakes, each with what a user must read about it beside it (`bad/*.txt`), word by word.
//!
//! `DORA_WRITE_BAD=1 cargo test -p dora-descriptor --test bad` writes the texts anew. Read the difference before it is kept: the
//! test knows what is said, and only a reader knows whether it helps.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use dora_descriptor::{Errors, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

/// Names, without the ending, of the files with this ending.
fn names(ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let named = paths.filter(|path| path.extension().is_some_and(|found| found == ending));
    named.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

fn errors(name: &str) -> Option<Errors> {
    load(&folder().join(format!("{name}.yml")), &[]).err()
}

/// Where a bad file says something else than the text beside it.
fn difference(said: &str, wanted: &str) -> String {
    let mut text = String::new();
    let (said, wanted): (Vec<&str>, Vec<&str>) = (said.lines().collect(), wanted.lines().collect());
    for line in wanted.iter().filter(|line| !said.contains(line)) {
        writeln!(text, "  - {line}").unwrap();
    }
    for line in said.iter().filter(|line| !wanted.contains(line)) {
        writeln!(text, "  + {line}").unwrap();
    }
    text
}

#[test]
fn every_mistake_is_told_as_written_beside_it() {
    let write = std::env::var_os("DORA_WRITE_BAD").is_some();
    let mut wrong = String::new();
    for name in names("yml") {
        let Some(errors) = errors(&name) else {
            writeln!(wrong, "{name}.yml is accepted").unwrap();
            continue;
        };
        let said = errors.to_string().replace(&format!("{}/", folder().display()), "") + "\n";
        let beside = folder().join(format!("{name}.txt"));
        if write {
            std::fs::write(&beside, &said).unwrap();
        }
        let wanted = std::fs::read_to_string(&beside).unwrap_or_default();
        if said != wanted {
            writeln!(wrong, "{name}.yml says something else:\n{}", difference(&said, &wanted)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn there_are_at_least_sixty_of_them_and_each_has_its_text() {
    let (files, texts) = (names("yml"), names("txt"));
    assert!(files.len() >= 60, "{} files", files.len());
    let alone: Vec<&String> = files.symmetric_difference(&texts).collect();
    assert!(alone.is_empty(), "without the other half: {alone:?}");
}

#[test]
fn every_message_has_file_line_and_column() {
    for name in names("yml") {
        for problem in errors(&name).iter().flat_map(|errors| &errors.0) {
            let at = &problem.at;
            assert!(at.line > 0 && at.column > 0, "{name}.yml: {problem}");
            assert!(at.file.ends_with(".yml"), "{name}.yml: {problem}");
        }
    }
}
