//! Files with types: the standard ones, which are part of the program, and `types/<prefix>/<category>/v<n>.yml`.

use std::path::{Path, PathBuf};

use super::{
    shape::Shape,
    urn::{Urn, is_version},
};
use crate::{
    error::{About, At, Pos, Report},
    form, limits,
    modules::read_text,
    schema,
    suggest::shown,
    yaml::{self, Yaml},
};

pub(super) const STANDARD: [(&str, &str); 5] = [
    ("std/core/v1", include_str!("std/core.yml")),
    ("std/math/v1", include_str!("std/math.yml")),
    ("std/control/v1", include_str!("std/control.yml")),
    ("std/media/v1", include_str!("std/media.yml")),
    ("std/vision/v1", include_str!("std/vision.yml")),
];

/// A type as it stands in its file.
pub(super) struct Written {
    /// `std/media/v1`
    pub(super) prefix: String,
    pub(super) name: At<String>,
    pub(super) yaml: Yaml,
}

/// The types of our own.
pub(super) fn standard() -> Vec<Written> {
    let mut all = Vec::new();
    // Our own files: a test sees to it that nothing is wrong with them.
    let mut report = Report::new("std");
    for (prefix, text) in STANDARD {
        if let Some(tree) = yaml::parse(text, &mut report) {
            gather(prefix, &tree, &mut all);
        }
    }
    all
}

fn gather(prefix: &str, tree: &Yaml, all: &mut Vec<Written>) {
    for (name, yaml) in tree.get("types").map(Yaml::map).unwrap_or_default() {
        all.push(Written { prefix: prefix.to_owned(), name: name.clone(), yaml: yaml.clone() });
    }
}

/// Reads the files below `folder`, which messages call `name`.
pub(super) fn user(
    folder: &Path,
    name: &str,
    files: &mut usize,
    all: &mut Vec<Written>,
    report: &mut Report,
) {
    let mut open = vec![(folder.to_owned(), Vec::<String>::new())];
    let mut entries = 0;
    while let Some((dir, segments)) = open.pop() {
        let Ok(listing) = std::fs::read_dir(&dir) else { continue };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        entries += paths.len();
        if entries > limits::TYPE_ENTRIES || *files > limits::TYPE_FILES {
            let message = format!(
                "`{name}` has more than {} files or {} entries",
                limits::TYPE_FILES,
                limits::TYPE_ENTRIES
            );
            report.error(Pos::default(), About { node: None, field: Some("types") }, message, &[]);
            return;
        }
        for path in paths {
            let Some(stem) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else {
                continue;
            };
            if path.is_dir() {
                if segments.len() < limits::TYPE_FOLDERS {
                    let own =
                        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    open.push((path, segments.iter().cloned().chain([own]).collect()));
                }
                continue;
            }
            if !path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml") {
                continue;
            }
            *files += 1;
            let below = path.strip_prefix(folder).unwrap_or(&path);
            let shown_name = Path::new(name).join(below).display().to_string();
            let prefix: Vec<&str> = segments.iter().map(String::as_str).chain([stem.as_str()]).collect();
            user_file(&path, shown_name, &prefix, all, report);
        }
    }
}

fn user_file(path: &Path, name: String, prefix: &[&str], all: &mut Vec<Written>, report: &mut Report) {
    let Some(number) = report.add_file(name) else { return };
    let top = Pos { file: number, ..Pos::default() };
    let joined = prefix.join("/");
    let hint = ["types stand in `types/<prefix>/<category>/v<n>.yml`".to_owned()];
    match prefix {
        ["std", ..] => {
            let message = "types below `std` are reserved for the standard types";
            return report.error(top, About::default(), message, &hint);
        }
        [first @ .., version] if first.len() >= 2 && is_version(version) => {}
        // Perhaps it is there for somebody else.
        _ => {
            let message = format!("`{}` is no place for types, so the file is not read", shown(&joined));
            return report.warn(top, About::default(), message, &hint);
        }
    }
    let text = match read_text(path, limits::TYPE_FILE) {
        Ok(text) => text,
        Err(why) => return report.error(top, About::default(), why, &[]),
    };
    let Some(tree) = yaml::parse_file(&text, number, report) else { return };
    form::check(&tree, &schema::TYPE_FILE, report);
    for (name, _) in tree.get("types").map(Yaml::map).unwrap_or_default() {
        if Urn::parse(&format!("{joined}/{}", name.value)).is_err() || name.value.contains('[') {
            let message = format!("`{}` cannot be the name of a type", shown(&name.value));
            report.error(name.pos, About { node: None, field: Some("types") }, message, &[]);
        } else if Shape::primitive(&name.value).is_some() {
            let message = format!("`{}` is the name of an Arrow type", shown(&name.value));
            report.error(name.pos, About { node: None, field: Some("types") }, message, &[]);
        }
    }
    gather(&joined, &tree, all);
}
