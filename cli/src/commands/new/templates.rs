//! The templates, which are folders under `cli/templates/`, and what is filled into them.

use std::path::Path;

use super::names;
use crate::args::{NewKind, NewLang};

/// Name in the project, and text.
type File = (&'static str, &'static str);

/// A project to be.
pub(super) struct Template {
    lang: NewLang,
    files: &'static [File],
}

macro_rules! files {
    ($folder:literal: $($name:literal from $source:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $folder, "/", $source)))),*]
    };
}

const RUST_DATAFLOW: &[File] = files!("rust-dataflow":
    "Cargo.toml" from "Cargo.toml.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "src/lib.rs" from "src/lib.rs",
    "src/bin/talker.rs" from "src/bin/talker.rs",
    "src/bin/listener.rs" from "src/bin/listener.rs",
    "tests/nodes.rs" from "tests/nodes.rs",
);
const RUST_NODE: &[File] = files!("rust-node":
    "Cargo.toml" from "Cargo.toml.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "src/lib.rs" from "src/lib.rs",
    "src/main.rs" from "src/main.rs",
    "tests/node.rs" from "tests/node.rs",
);
const PYTHON_DATAFLOW: &[File] = files!("python-dataflow":
    "pyproject.toml" from "pyproject.toml.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "talker.py" from "talker.py",
    "listener.py" from "listener.py",
    "tests/test_nodes.py" from "tests/test_nodes.py",
);
const PYTHON_NODE: &[File] = files!("python-node":
    "pyproject.toml" from "pyproject.toml.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "node.py" from "node.py",
    "tests/test_node.py" from "tests/test_node.py",
);

const C_DATAFLOW: &[File] = files!("c-dataflow":
    "Makefile" from "Makefile.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "talker.c" from "talker.c",
    "listener.c" from "listener.c",
    "tests/talker.json" from "tests/talker.json",
    "tests/talker.expected.txt" from "tests/talker.expected.txt",
    "tests/listener.json" from "tests/listener.json",
    "tests/listener.expected.txt" from "tests/listener.expected.txt",
);
const C_NODE: &[File] = files!("c-node":
    "Makefile" from "Makefile.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "node.c" from "node.c",
    "tests/events.json" from "tests/events.json",
    "tests/expected.txt" from "tests/expected.txt",
);
const CXX_DATAFLOW: &[File] = files!("cxx-dataflow":
    "Makefile" from "Makefile.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "talker.cc" from "talker.cc",
    "listener.cc" from "listener.cc",
    "tests/talker.json" from "tests/talker.json",
    "tests/talker.expected.txt" from "tests/talker.expected.txt",
    "tests/listener.json" from "tests/listener.json",
    "tests/listener.expected.txt" from "tests/listener.expected.txt",
);
const CXX_NODE: &[File] = files!("cxx-node":
    "Makefile" from "Makefile.in",
    "README.md" from "README.md",
    "dataflow.yml" from "dataflow.yml",
    ".gitignore" from "gitignore",
    "node.cc" from "node.cc",
    "tests/events.json" from "tests/events.json",
    "tests/expected.txt" from "tests/expected.txt",
);

impl Template {
    /// The template of a kind and a language.
    pub(super) fn of(kind: NewKind, lang: NewLang) -> Self {
        let files = match (lang, kind) {
            (NewLang::Rust, NewKind::Dataflow) => RUST_DATAFLOW,
            (NewLang::Rust, NewKind::Node) => RUST_NODE,
            (NewLang::Python, NewKind::Dataflow) => PYTHON_DATAFLOW,
            (NewLang::Python, NewKind::Node) => PYTHON_NODE,
            (NewLang::C, NewKind::Dataflow) => C_DATAFLOW,
            (NewLang::C, NewKind::Node) => C_NODE,
            (NewLang::Cxx, NewKind::Dataflow) => CXX_DATAFLOW,
            (NewLang::Cxx, NewKind::Node) => CXX_NODE,
        };
        Self { lang, files }
    }

    /// The files of a project named `name`. `api` is the folder of the node API, when it shall not be the published one.
    pub(super) fn files(&self, name: &str, api: Option<&Path>) -> Vec<(String, String)> {
        let dora = match self.lang {
            NewLang::Rust => rust_api(api),
            NewLang::Python => python_api(api),
            NewLang::C | NewLang::Cxx => c_api(api),
        };
        let fill = |text: &str| {
            text.replace("__NAME__", name)
                .replace("__CRATE__", &names::module(name))
                .replace("__DORA__", &dora)
        };
        self.files.iter().map(|(file, text)| ((*file).to_owned(), fill(text))).collect()
    }

    /// What the user does next.
    pub(super) fn next(&self) -> &'static [&'static str] {
        match self.lang {
            NewLang::Rust => &["dora build dataflow.yml", "dora run dataflow.yml", "cargo test"],
            NewLang::Python => &["dora build dataflow.yml", "dora run dataflow.yml", "pytest"],
            NewLang::C | NewLang::Cxx => &["dora build dataflow.yml", "dora run dataflow.yml", "make test"],
        }
    }
}

/// A line of `[dependencies]`.
fn rust_api(api: Option<&Path>) -> String {
    match api {
        // Debug text of a string is a TOML string, for every path that is text.
        Some(folder) => format!("dora-node-api = {{ path = {:?} }}", folder.to_string_lossy()),
        None => format!(
            "# The version of the `dora` that wrote this. `dora-node-api = {{ path = \"…/node-apis/rust\" }}` takes a checkout.\n\
             dora-node-api = \"{}\"",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

/// An entry of `dependencies`.
fn python_api(api: Option<&Path>) -> String {
    match api {
        Some(folder) => format!("\"dora-rs @ file://{}\",", url_path(&folder.to_string_lossy())),
        None => format!(
            "# The version of the `dora` that wrote this. `dora-rs @ file:///…/node-apis/python` takes a checkout.\n    \
             \"dora-rs>={}\",",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

/// The value of a variable of make: where `install.sh` lies. Nothing when pkg-config is to find dora.
fn c_api(api: Option<&Path>) -> String {
    // What make would take for the start of a variable or of a comment.
    api.map(|folder| folder.to_string_lossy().replace('$', "$$").replace('#', "\\#")).unwrap_or_default()
}

/// Percent-encoded.
fn url_path(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_and_every_descriptor_is_right() {
        for kind in [NewKind::Dataflow, NewKind::Node] {
            for lang in [NewLang::Rust, NewLang::Python, NewLang::C, NewLang::Cxx] {
                let template = Template::of(kind, lang);
                for api in [None, Some(Path::new("/a b/\"x\""))] {
                    let files = template.files("my-robot", api);
                    for (file, text) in &files {
                        assert!(
                            !["__NAME__", "__CRATE__", "__DORA__"].iter().any(|mark| text.contains(mark)),
                            "{file}"
                        );
                    }
                    let (_, yaml) = files.iter().find(|(file, _)| file == "dataflow.yml").unwrap();
                    let loaded =
                        dora_descriptor::parse_str("dataflow.yml", yaml.as_str(), Path::new("/"), &[])
                            .unwrap();
                    assert!(loaded.not_yet.is_empty() && loaded.warnings.is_empty(), "{kind:?} {lang:?}");
                    assert_eq!(loaded.dataflow.nodes.len(), if kind == NewKind::Dataflow { 3 } else { 1 });
                }
            }
        }
    }

    #[test]
    fn paths_with_odd_characters_are_quoted() {
        let path = Path::new("/a b/\"x\"");
        assert_eq!(rust_api(Some(path)), r#"dora-node-api = { path = "/a b/\"x\"" }"#);
        assert_eq!(python_api(Some(path)), r#""dora-rs @ file:///a%20b/%22x%22","#);
        assert_eq!(c_api(Some(Path::new("/a#b/$x"))), "/a\\#b/$$x");
        assert_eq!(c_api(None), "");
    }
}
