//! The environment of a node: what the host has, what the descriptor adds, and what it may not touch.
//!
//! Values are expanded exactly once and here, on the machine that runs the node; they stay text throughout, so
//! `"1.10"` reaches the node as `1.10`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use dora_protocol::{
    dataflow::{EnvValue, Node, NodeKind},
    env::is_reserved,
    operator::{ENV_RUNTIME_CONFIG, Operator, OperatorSource, RuntimeConfig},
};

use crate::conda;

/// Environment variables by name.
pub type Env = BTreeMap<String, String>;

/// The environment of this process, as far as it is text. Variables that are not UTF-8 are left out.
pub fn of_host() -> Env {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// The virtual environment that `dora build --uv` makes for a Python node with `build:` lines, and that such a node runs
/// in under `--uv`. `None` for other nodes. `working_dir` is that of the dataflow.
pub fn managed_python(node: &Node, working_dir: &Path) -> Option<PathBuf> {
    match &node.kind {
        NodeKind::Executable { path, .. } if path.ends_with(".py") && !node.build.is_empty() => {
            Some(working_dir.join(".dora/python-envs").join(node.id.as_str()))
        }
        // One with a conda environment has its own.
        NodeKind::Runtime { operators } if !node.build.is_empty() && conda::wanted(operators).is_none() => {
            let python = |operator: &Operator| matches!(operator.source, OperatorSource::Python { .. });
            let folder = || working_dir.join(".dora/python-envs").join(node.id.as_str());
            operators.iter().any(python).then(folder)
        }
        _ => None,
    }
}

/// Sets what an activated virtual environment sets: `VIRTUAL_ENV`, and its programs first in `PATH`. `host` has what
/// `env` does not override.
pub fn activate(env: &mut Env, host: &Env, folder: &Path) {
    put_first(env, host, folder);
    env.insert("VIRTUAL_ENV".to_owned(), folder.display().to_string());
}

/// Puts the programs of an environment first in `PATH`.
pub(crate) fn put_first(env: &mut Env, host: &Env, folder: &Path) {
    let path = env.get("PATH").or_else(|| host.get("PATH")).map(String::as_str).unwrap_or_default();
    let bin = folder.join("bin").display().to_string();
    let path = if path.is_empty() { bin } else { format!("{bin}:{path}") };
    env.insert("PATH".to_owned(), path);
}

/// What the descriptor sets for `node`, on top of the inherited environment, and a sentence for each value that
/// could not be set as written. The same for the node itself and for its `build:` lines.
///
/// `$VAR` and `${VAR}` take their values from `host`, see [`of_host`]. Names that are reserved (those that dora sets
/// itself, and those that would make the dynamic loader run other code) are left out.
pub fn additions(node: &Node, host: &Env) -> (Env, Vec<String>) {
    let mut env = Env::new();
    let mut warnings = Vec::new();
    for (name, value) in &node.env {
        if is_reserved(name) {
            warnings.push(format!("{}: `env: {name}` is reserved by dora and was dropped", node.at));
            continue;
        }
        match value {
            EnvValue::Text(text) => {
                let (text, unknown) = expand(text, |var| host.get(var).cloned());
                for var in unknown {
                    warnings.push(format!(
                        "{}: `env: {name}` uses `${var}`, which is not set here; left as it is",
                        node.at
                    ));
                }
                env.insert(name.clone(), text);
            }
            EnvValue::FromHost(var) => match host.get(var) {
                Some(text) => {
                    env.insert(name.clone(), text.clone());
                }
                None => warnings.push(format!(
                    "{}: `env: {name}` takes the value of `{var}`, which is not set on this machine; not set",
                    node.at
                )),
            },
        }
    }
    // Plain data always is JSON.
    if let Some(config) = RuntimeConfig::of(node).and_then(|config| serde_json::to_string(&config).ok()) {
        env.insert(ENV_RUNTIME_CONFIG.to_owned(), config);
    }
    (env, warnings)
}

/// Replaces `$VAR` and `${VAR}`; `$$` is a dollar sign. Returns the names that `lookup` did not know; those stay
/// as they were written.
pub(crate) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let (name, consumed) = match after.strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 2),
                None => ("", 0),
            },
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        if let Some(literal) = after.strip_prefix('$') {
            out.push('$');
            rest = literal;
            continue;
        }
        match (name.is_empty(), lookup(name)) {
            (false, Some(value)) => out.push_str(&value),
            (false, None) => {
                unknown.push(name.to_owned());
                out.push_str(&rest[dollar..dollar + 1 + consumed]);
            }
            (true, _) => out.push_str(&rest[dollar..dollar + 1 + consumed]),
        }
        rest = &after[consumed..];
    }
    out.push_str(rest);
    (out, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/ada".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_expanded_once_and_unknown_ones_stay() {
        let table = [
            ("plain", "plain", vec![]),
            ("$HOME/x", "/home/ada/x", vec![]),
            ("${HOME}x", "/home/adax", vec![]),
            ("a${EMPTY}b", "ab", vec![]),
            ("$NOPE-1", "$NOPE-1", vec!["NOPE"]),
            ("${NOPE}", "${NOPE}", vec!["NOPE"]),
            ("cost: 5$", "cost: 5$", vec![]),
            ("$$HOME", "$HOME", vec![]),
            ("${HOME", "${HOME", vec![]),
            ("$ x", "$ x", vec![]),
        ];
        for (text, expected, names) in table {
            let (out, unknown) = expand(text, lookup);
            assert_eq!(
                (out.as_str(), unknown),
                (expected, names.iter().map(ToString::to_string).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn active_environment_comes_first_in_the_path_whoever_set_it() {
        let host = Env::from([("PATH".into(), "/bin".into())]);
        for (own, expected) in [(None, "/v/bin:/bin"), (Some("/own"), "/v/bin:/own"), (Some(""), "/v/bin")] {
            let mut env: Env = own.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
            activate(&mut env, &host, Path::new("/v"));
            assert_eq!((env["PATH"].as_str(), env["VIRTUAL_ENV"].as_str()), (expected, "/v"));
        }
    }

    #[test]
    fn reserved_names_are_dropped_with_a_warning_and_numbers_stay_text() {
        let mut node = crate::testing::node("a", "true");
        node.env.insert("LD_PRELOAD".into(), EnvValue::Text("evil.so".into()));
        node.env.insert("DORA_ZENOH_LISTEN".into(), EnvValue::Text("x".into()));
        node.env.insert("VERSION".into(), EnvValue::Text("1.10".into()));
        node.env.insert("WHO".into(), EnvValue::FromHost("HOME".into()));
        node.env.insert("GONE".into(), EnvValue::FromHost("NOPE".into()));
        let host = Env::from([("HOME".into(), "/home/ada".into())]);
        let (env, warnings) = additions(&node, &host);
        assert_eq!(env, Env::from([("VERSION".into(), "1.10".into()), ("WHO".into(), "/home/ada".into())]));
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("LD_PRELOAD")));
    }
}
