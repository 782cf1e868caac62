//! All types there are: the standard ones, and the user's own in `types/<prefix>/<category>/v<n>.yml`.
//!
//! Both come in one format and through one reader. What a type is made of is worked out once, when all are read: a field
//! may be of a type that stands further down or in another file. Names are bound by URN, or by a short name where only
//! one type has it; a type of the same file comes first.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value as Json;

use super::{bind::Binder, files, shape::Shape};
use crate::{
    error::{About, Report},
    raw,
    suggest::did_you_mean,
    yaml::Yaml,
};

/// The types by URN.
#[derive(Debug, Default)]
pub(super) struct Library {
    types: BTreeMap<String, Type>,
}

#[derive(Debug)]
pub(super) struct Type {
    pub(super) shape: Shape,
    /// Names of parameters.
    pub(super) params: Vec<String>,
    /// Keys that its messages carry.
    pub(super) metadata: Vec<String>,
}

impl Library {
    /// The standard types and those in `folders`. What is wrong with a file is reported.
    pub(super) fn read(folders: &[(PathBuf, String)], report: &mut Report) -> Self {
        let mut written = files::standard();
        let mut files = 0;
        for (folder, name) in folders {
            files::user(folder, name, &mut files, &mut written, report);
        }
        let mut binder = Binder::new(&written, report);
        let order: Vec<String> = binder.by_urn.keys().cloned().collect();
        let mut types = BTreeMap::new();
        for urn in order {
            let (pos, result) = binder.shape_of(&urn);
            let (shape, yaml) = match (result, binder.by_urn.get(&urn)) {
                (Ok(shape), Some(written)) => (shape, &written.yaml),
                (Err(Some(wrong)), _) => {
                    let field = format!("types.{}", short(&wrong.of));
                    let about = About { node: None, field: Some(&field) };
                    report.error(wrong.pos.unwrap_or(pos), about, wrong.message, &wrong.hints);
                    continue;
                }
                (Err(None), _) | (Ok(_), None) => continue,
            };
            let names = |list: &str, key: &str| -> Vec<String> {
                let items = yaml.get(list).map(Yaml::list).unwrap_or_default();
                items.iter().filter_map(|item| raw::text(item, key)).map(|at| at.value).collect()
            };
            let (params, metadata) = (names("params", "name"), names("metadata", "key"));
            types.insert(urn, Type { shape, params, metadata });
        }
        Self { types }
    }

    pub(super) fn get(&self, base: &str) -> Option<&Type> {
        self.types.get(base)
    }

    /// What was probably meant by a name that is none.
    pub(super) fn suggestion(&self, typed: &str) -> String {
        let known = self.types.keys().map(String::as_str);
        let base = typed.split('[').next().unwrap_or(typed);
        let mut short = known.clone().filter(|urn| short(urn).eq_ignore_ascii_case(short(base)));
        match (short.next(), short.next()) {
            (Some(only), None) => format!("did you mean \"{only}\"?"),
            _ => did_you_mean(base, known).replace('`', "\""),
        }
    }

    /// What nodes need to compare a type of the user's own with a message.
    pub(super) fn own_shape(&self, base: &str) -> Option<Json> {
        if base.starts_with("std/") {
            return None;
        }
        self.types.get(base).map(|t| t.shape.to_json())
    }
}

/// The last part of a URN.
pub(super) fn short(urn: &str) -> &str {
    urn.rsplit('/').next().unwrap_or(urn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{form, schema, types::files::STANDARD, yaml};

    #[test]
    fn the_standard_types_are_without_fault() {
        let mut report = Report::new("std");
        for (_, text) in STANDARD {
            let tree = yaml::parse(text, &mut report).expect("a tree");
            form::check(&tree, &schema::TYPE_FILE, &mut report);
        }
        let library = Library::read(&[], &mut report);
        report.finish().expect("no errors");
        assert_eq!(library.types.len(), 27);
        let fields = |base: &str| library.get(base).map(|t| t.shape.fields());
        for (base, number) in [
            ("std/core/v1/Bool", 0),
            ("std/math/v1/Pose", 9),
            ("std/control/v1/Odometry", 1 + 9 + 1 + 8 + 1),
            ("std/vision/v1/Detection", 1 + 6),
        ] {
            assert_eq!(fields(base), Some(number), "{base}");
        }
    }
}
