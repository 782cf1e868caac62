//! Compilers, the library of this build, and the `dora` of this build.
//!
//! A test that needs a tool which is not there prints `skipped: …` and ends well.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The folder with the library of this build: where cargo puts it beside the tests.
pub(crate) fn library() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let folder = test.parent().expect("a folder").to_owned();
    assert!(
        folder.join("libdora_node_api_c.so").exists(),
        "no libdora_node_api_c.so in {}",
        folder.display()
    );
    folder
}

/// A tool, if it is there; otherwise says that the test is skipped.
pub(crate) fn tool(name: &str, what: &str) -> Option<Command> {
    let found = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: needs {what} (`{name}`)");
    }
    found.then(|| Command::new(name))
}

/// Which compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Cxx,
}

impl Language {
    pub(crate) fn compiler(self) -> Option<Command> {
        match self {
            Language::C => tool(&env::var("CC").unwrap_or_else(|_| "cc".into()), "a C compiler"),
            Language::Cxx => tool(&env::var("CXX").unwrap_or_else(|_| "c++".into()), "a C++ compiler"),
        }
    }
}

/// Flags for the sanitizers of C and C++; without them where the compiler has none.
pub(crate) const SANITIZERS: &str = "-fsanitize=address,undefined";

/// A folder of this test's own, emptied.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c-{name}"));
    fs::remove_dir_all(&folder)
        .or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
        .expect("an old folder goes");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Output of a command that has to end well.
#[track_caller]
pub(crate) fn good(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} ended with {}:\n{}", output.status, both(&output));
    both(&output)
}

/// What a command printed.
pub(crate) fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Compiles one source with warnings as errors against the headers and the shared library of this build.
#[track_caller]
pub(crate) fn compile(mut compiler: Command, source: &Path, program: &Path, flags: &[&str]) {
    let (root, library) = (root(), library());
    compiler
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-g", "-D_GNU_SOURCE"])
        .args(flags);
    for include in ["node-apis/c/include", "node-apis/cxx/include"] {
        compiler.arg("-I").arg(root.join(include));
    }
    compiler.arg(source).arg("-o").arg(program).arg("-L").arg(&library);
    compiler.arg(format!("-Wl,-rpath,{}", library.display())).args(["-ldora_node_api_c", "-pthread"]);
    good(&mut compiler);
}

/// Can this compiler make and this machine run a program with sanitizers?
pub(crate) fn has_sanitizers(language: Language) -> bool {
    let Some(mut compiler) = language.compiler() else { return false };
    let folder = folder(&format!("sanitizers-{language:?}"));
    let (source, program) = (folder.join("try.cc"), folder.join("try"));
    fs::write(&source, "int main() { return 0; }\n").expect("a source");
    let made = compiler.arg(SANITIZERS).args(["-x", if language == Language::C { "c" } else { "c++" }]);
    let made = made.arg(&source).arg("-o").arg(&program).output().is_ok_and(|output| output.status.success());
    let runs = made && Command::new(&program).status().is_ok_and(|status| status.success());
    if !runs {
        println!("skipped: needs a compiler with {SANITIZERS}");
    }
    runs
}

/// `target/<profile>/dora`, built if it is not there yet.
pub(crate) fn dora() -> PathBuf {
    let profile = library().parent().expect("the folder of the profile").to_owned();
    let dora = profile.join("dora");
    if !dora.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-p", "dora-cli", "--target-dir"]).arg(profile.parent().expect("target folder"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        good(&mut build);
    }
    dora
}

/// What a run of a dataflow left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// `--report json`
    pub(crate) report: Value,
    /// `node: message`, in the order of arrival.
    pub(crate) lines: Vec<String>,
}

impl Run {
    /// Exit code 0, every line of `expected` is there, and no edge lost a message.
    #[track_caller]
    pub(crate) fn is(&self, expected: &str) {
        assert_eq!(self.code, Some(0), "{self:#?}");
        for line in expected.lines() {
            assert!(self.lines.iter().any(|printed| printed == line), "`{line}` is missing: {self:#?}");
        }
        for edge in self.report["edges"].as_array().expect("edges in the report") {
            assert!(edge["taken"] == edge["sent"] && edge["sent"].as_u64() > Some(0), "{edge}: {self:#?}");
        }
    }
}

/// `dora run <descriptor> --report json`.
pub(crate) fn run(descriptor: &Path, environment: &[(&str, &OsStr)]) -> Run {
    let mut command = Command::new(dora());
    command.arg("run").arg(descriptor).args(["--report", "json", "--log-format", "json"]);
    command.envs(environment.iter().copied());
    let output = command.output().expect("dora starts");
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", both(&output)));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let logged = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = |line: Value| {
        let (node, message) = (line["node_id"].as_str(), line["message"].as_str());
        format!("{}: {}", node.unwrap_or("dora"), message.unwrap_or_default())
    };
    Run { code: output.status.code(), report, lines: logged.map(line).collect() }
}

/// Copies the files of an example, not its folders.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target folder is writable");
    for entry in fs::read_dir(from).expect("the example") {
        let entry = entry.expect("an entry");
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// Installs the library of this build with `install.sh`.
pub(crate) fn install(prefix: &Path) {
    let mut command = Command::new(root().join("node-apis/c/install.sh"));
    good(command.arg("--prefix").arg(prefix).arg("--from").arg(library()));
}
