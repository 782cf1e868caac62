//! Environment variables: names that may be set, values merged by precedence, and `$VAR` inside `path`.

use std::collections::BTreeMap;

use dora_protocol::{
    dataflow::EnvValue,
    env::{IN_PATH, is_reserved},
};

use crate::{
    error::{About, At, Pos, Report},
    limits,
    suggest::shown,
};

/// Names to values.
pub(crate) type Env = BTreeMap<String, EnvValue>;

/// Adds checked entries to `env`; a later call wins over an earlier one.
pub(crate) fn merge(
    env: &mut Env,
    entries: &[(At<String>, EnvValue)],
    about: About<'_>,
    report: &mut Report,
) {
    for (name, value) in entries {
        if !accepted(&name.value, name.pos, about, report) {
            continue;
        }
        if let EnvValue::FromHost(variable) = value
            && let Err(why) = well_formed(variable)
        {
            report.error(name.pos, about.field("env"), format!("`__dora_env`: {why}"), &[]);
            continue;
        }
        env.insert(name.value.clone(), value.clone());
    }
}

/// Checks the `--env` values of the command line.
pub(crate) fn overrides(values: &[(String, String)], report: &mut Report) -> Env {
    let about = About { node: None, field: Some("--env") };
    let mut env = Env::new();
    for (name, value) in values {
        if value.contains('\0') {
            report.error(
                Pos::default(),
                about,
                format!("the value of `{}` has a NUL character", shown(name)),
                &[],
            );
        } else if accepted(name, Pos::default(), about, report) {
            env.insert(name.clone(), EnvValue::Text(value.clone()));
        }
    }
    env
}

/// Would a copy for each of `nodes` be more than anyone means, or this process can hold?
pub(crate) fn too_large(shared: &Env, nodes: usize) -> bool {
    /// What an entry of a map costs besides its text.
    const ENTRY: usize = 128;
    let size = |(name, value): (&String, &EnvValue)| match value {
        EnvValue::Text(text) | EnvValue::FromHost(text) => name.len() + text.len() + ENTRY,
    };
    shared.iter().map(size).sum::<usize>().saturating_mul(nodes) > limits::VARIABLES
}

fn accepted(name: &str, pos: Pos, about: About<'_>, report: &mut Report) -> bool {
    let about = if about.field.is_some() { about } else { about.field("env") };
    if let Err(why) = well_formed(name) {
        report.error(pos, about, why, &[]);
        return false;
    }
    if is_reserved(name) {
        report.warn(pos, about, format!("`{name}` is reserved and is not passed on to the node"), &[]);
        return false;
    }
    true
}

fn well_formed(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("the name of a variable is empty".to_owned())
    } else if name.contains(|c: char| c == '=' || c == '\0' || c.is_whitespace()) {
        Err(format!("`{}` is not a variable name: no `=`, no white space, no NUL", shown(name)))
    } else {
        Ok(())
    }
}

/// Expands `$NAME` and `${NAME}` of the variables that are allowed in `path`; the rest stays as it is, and a
/// warning says so.
pub(crate) fn expand_path(
    path: &At<String>,
    lookup: &dyn Fn(&str) -> Option<String>,
    about: About<'_>,
    report: &mut Report,
) -> String {
    let mut expanded = String::new();
    let mut rest = path.value.as_str();
    while let Some(start) = rest.find('$') {
        expanded.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some((name, length)) = variable(rest) else {
            expanded.push('$');
            rest = &rest[1..];
            continue;
        };
        let value = if IN_PATH.contains(&name) { lookup(name).filter(|v| !v.contains('\0')) } else { None };
        match value {
            Some(value) => expanded.push_str(&value),
            None => {
                let why = if IN_PATH.contains(&name) { "is not set" } else { "is not expanded in `path`" };
                let hint = format!("expanded are {}", IN_PATH.map(|name| format!("${name}")).join(", "));
                let message = format!("`${name}` {why} and stays as it is");
                report.warn(path.pos, about.field("path"), message, &[hint]);
                expanded.push_str(&rest[..length]);
            }
        }
        rest = &rest[length..];
    }
    expanded + rest
}

/// Name and length of the reference that `text` starts with.
fn variable(text: &str) -> Option<(&str, usize)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, length) = if let Some(inside) = text.strip_prefix("${") {
        let end = inside.find('}')?;
        (&inside[..end], end + 3)
    } else {
        let name = &text[1..];
        let end = name.find(|c| !word(c)).unwrap_or(name.len());
        (&name[..end], end + 1)
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && name.chars().all(word)).then_some((name, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(path: &str) -> (String, usize) {
        let mut report = Report::new("f.yml");
        let lookup = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        let at = At { pos: Pos { file: 0, line: 1, column: 1 }, value: path.to_owned() };
        let expanded = expand_path(&at, &lookup, About::default(), &mut report);
        (expanded, report.warnings.len())
    }

    #[test]
    fn known_variables_expand_in_paths_and_others_stay_with_a_warning() {
        for (path, expanded, warnings) in [
            ("$HOME/bin/x", "/home/me/bin/x", 0),
            ("${HOME}bin", "/home/mebin", 0),
            ("$USER/x", "$USER/x", 1),
            ("$OTHER/${ELSE}", "$OTHER/${ELSE}", 2),
            ("a$", "a$", 0),
            ("$1 ${ $$HOME", "$1 ${ $/home/me", 0),
            ("plain", "plain", 0),
        ] {
            assert_eq!(expand(path), (expanded.to_owned(), warnings), "{path}");
        }
    }
}
