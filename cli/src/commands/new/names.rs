//! Names that Cargo, Python, make and a descriptor all accept.

use crate::{
    args::{NewKind, NewLang},
    error::{CliError, CliResult},
};

/// Longest name: it becomes part of file names.
const LONGEST: usize = 64;

/// Words of the language, and packages whose name cannot be taken a second time.
const RUST: [&str; 47] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct",
    "super", "trait", "true", "try", "type", "typeof", "unsafe", "use", "virtual", "where",
];
const RUST_PACKAGES: [&str; 12] = [
    "while",
    "yield",
    "gen",
    "test",
    "core",
    "std",
    "alloc",
    "proc_macro",
    "dora_node_api",
    "eyre",
    "serde_json",
    "build",
];
const RUST_PROGRAMS: [&str; 5] = ["talker", "listener", "deps", "examples", "incremental"];
const PYTHON: [&str; 8] =
    ["dora", "dora_rs", "pyarrow", "numpy", "pytest", "setuptools", "talker", "listener"];

/// # Errors
/// Says what is wrong, with the nearest name that is right.
pub(super) fn check(name: &str, kind: NewKind, lang: NewLang) -> CliResult {
    match problem(name, lang) {
        None => Ok(()),
        Some(why) => {
            let error = CliError::new(format!(
                "`{}` cannot be the name of a {}: {why}",
                name.escape_debug(),
                kind.word()
            ));
            Err(error.hint(format!("`{}` can", nearest(name, kind, lang))))
        }
    }
}

fn problem(name: &str, lang: NewLang) -> Option<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    if name.len() > LONGEST {
        return Some(format!("it is longer than {LONGEST} characters"));
    }
    if let Some(other) = name.chars().find(|c| !word(*c)) {
        return Some(format!(
            "it has `{}` in it; letters, digits, `-` and `_` are allowed",
            other.escape_debug()
        ));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("it does not begin with a letter".to_owned());
    }
    if name.ends_with(['-', '_']) {
        return Some("it ends with a dash".to_owned());
    }
    let module = module(name).to_ascii_lowercase();
    let taken = match lang {
        NewLang::Rust => {
            [&RUST[..], &RUST_PACKAGES, &RUST_PROGRAMS].iter().any(|names| names.contains(&module.as_str()))
        }
        NewLang::Python => PYTHON.contains(&module.as_str()),
        // The name is that of a program in a folder of its own.
        NewLang::C | NewLang::Cxx => false,
    };
    // The node is named after it, and `dora` is where timers come from.
    (taken || module == "dora").then(|| "the name is taken".to_owned())
}

/// The name as a module.
pub(super) fn module(name: &str) -> String {
    name.replace('-', "_")
}

/// The nearest name that is right.
fn nearest(name: &str, kind: NewKind, lang: NewLang) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let tame: String = name.chars().map(word).collect();
    let parts: Vec<&str> = tame.split('-').filter(|part| !part.is_empty()).collect();
    let mut tame = parts.join("-");
    tame.truncate(LONGEST / 2);
    let tame = tame.trim_matches(['-', '_']);
    let tame = match tame.chars().next() {
        None => format!("my-{}", kind.word()),
        Some(first) if first.is_ascii_alphabetic() => tame.to_owned(),
        Some(_) => format!("{}-{tame}", kind.word()),
    };
    if problem(&tame, lang).is_none() { tame } else { format!("{tame}-{}", kind.word()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_names_are_refused_and_the_proposal_is_always_right() {
        let long = "x".repeat(200);
        let names = [
            "",
            " ",
            "my robot",
            "2fast",
            "-x",
            "x-",
            "../evil",
            "a/b",
            ".",
            "..",
            "ünter",
            "test",
            "dora",
            "Dora",
            "fn",
            "dora-node-api",
            "pyarrow",
            "--",
            "_",
            "a\nb",
            "日本",
            "talker",
            long.as_str(),
            "-Z-",
        ];
        for name in names {
            for lang in [NewLang::Rust, NewLang::Python, NewLang::C, NewLang::Cxx] {
                for kind in [NewKind::Dataflow, NewKind::Node] {
                    let proposal = nearest(name, kind, lang);
                    assert_eq!(problem(&proposal, lang), None, "{name:?} became {proposal:?}");
                    if let Err(error) = check(name, kind, lang) {
                        assert!(error.to_string().contains(&format!("`{proposal}` can")), "{error}");
                    } else {
                        let free_there = ["test", "fn", "dora-node-api", "pyarrow", "talker"];
                        assert!(free_there.contains(&name), "{name:?} was accepted");
                    }
                }
            }
        }
        for good in ["robot", "my-robot_2", "R2-D2"] {
            assert!(check(good, NewKind::Dataflow, NewLang::Rust).is_ok(), "{good}");
        }
        assert_eq!(nearest("my robot!", NewKind::Dataflow, NewLang::Rust), "my-robot");
        assert_eq!(nearest("2fast", NewKind::Node, NewLang::Rust), "node-2fast");
        assert_eq!(nearest("test", NewKind::Node, NewLang::Rust), "test-node");
    }
}
