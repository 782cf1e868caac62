//! Compilers for operators in C and C++, and the examples.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Is this program there? Says so when it is not.
pub(crate) fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

/// What a command printed that has to end well.
#[track_caller]
pub(crate) fn good(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_name() {
            name if name == "build" || name == "out" => {}
            name if entry.path().is_dir() => copy(&entry.path(), &to.join(name)),
            name => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}

/// The headers of one of the APIs.
fn include(api: &str) -> PathBuf {
    root().join("node-apis").join(api).join("include")
}

/// Makes an example in a copy of its folder, with these flags for the compiler; gives the copy.
#[track_caller]
pub(crate) fn make_example(dir: &Path, name: &str, flags: &str) -> PathBuf {
    let folder = dir.join(name);
    copy(&root().join("examples").join(name), &folder);
    let mut make = Command::new("make");
    make.current_dir(&folder).arg(format!("DORA_OPERATOR_INCLUDE={}", include("operator").display()));
    make.arg(format!("DORA_CXX_INCLUDE={}", include("cxx").display()));
    good(make.arg(format!("CPPFLAGS=-Werror {flags}")));
    folder
}

/// Compiles one file of `tests/c` to a library, and gives its name as a descriptor has it.
#[track_caller]
pub(crate) fn compile(dir: &Path, compiler: &str, file: &str, flags: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let mut command = Command::new(compiler);
    command.args(["-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
    command.arg("-I").arg(include("operator")).arg("-I").arg(include("cxx"));
    if Path::new(file).extension() == Some(OsStr::new("cc")) {
        command.arg("-std=c++17");
    }
    command.args(flags.split_whitespace());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(file));
    good(command.arg("-o").arg(dir.join(format!("{DLL_PREFIX}compiled{DLL_SUFFIX}"))));
    dir.join("compiled").display().to_string()
}
