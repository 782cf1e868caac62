//! `dora new`, and that what comes out of it builds, passes its own test and runs, each with one command.
//!
//! The Python templates are run in `node-apis/python/tests/test_new.py`, where there is an interpreter with the module.

#[path = "cli/support.rs"]
mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use support::{Ended, Project};

/// A folder to make projects in.
fn place() -> Project {
    Project::new("nodes: []\n")
}

/// Everything in a folder, by name.
fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[track_caller]
fn refused(place: &Project, args: &[&str], words: &[&str]) {
    let before = entries(&place.path("."));
    let ended = place.dora(&[&["new"], args].concat());
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{args:?}: {ended:?}");
    for word in words.iter().chain(&["[ERROR]", "hint: "]) {
        assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
    }
    assert_eq!(entries(&place.path(".")), before, "{args:?} left something");
}

#[test]
fn name_that_cannot_be_one_is_refused_with_one_that_can() {
    let place = place();
    refused(&place, &["my robot"], &["`my robot`", "letters, digits", "`my-robot` can"]);
    refused(&place, &["../x"], &["`../x`", "`x` can"]);
    refused(&place, &["2fast", "--kind", "node"], &["begin with a letter", "`node-2fast` can"]);
    refused(&place, &["test"], &["taken", "`test-dataflow` can"]);
    refused(&place, &["pyarrow", "--lang", "python"], &["taken", "`pyarrow-dataflow` can"]);
}

#[test]
fn unknown_language_is_refused_with_the_known_ones() {
    let place = place();
    let ended = place.dora(&["new", "robot", "--lang", "cobol"]);
    assert_eq!(ended.code, Some(2));
    for lang in ["rust", "python", "c", "cxx"] {
        assert!(ended.err.contains(lang), "no `{lang}` in: {}", ended.err);
    }
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let place = place();
    fs::create_dir(place.path("robot")).unwrap();
    fs::write(place.path("robot/README.md"), "mine").unwrap();
    fs::write(place.path("robot-2"), "").unwrap();
    refused(&place, &["robot"], &["`robot`", "nothing is overwritten", "`robot-3`"]);
    assert_eq!(fs::read_to_string(place.path("robot/README.md")).unwrap(), "mine");
    refused(&place, &["robot-2"], &["`robot-2` exists"]);
    fs::create_dir(place.path("empty")).unwrap();
    assert_eq!(place.dora(&["new", "empty"]).code, Some(0));
    assert!(place.path("empty/dataflow.yml").exists());
}

#[test]
fn path_that_is_no_checkout_is_refused() {
    let place = place();
    refused(
        &place,
        &["robot", "--path", "."],
        &["no checkout of dora", "node-apis/rust/Cargo.toml", "DORA_CHECKOUT"],
    );
    refused(&place, &["robot", "--lang", "python", "--path", "nowhere"], &["nowhere", "node-apis/python"]);
    refused(&place, &["robot", "--lang", "c", "--path", "."], &["node-apis/c/install.sh"]);
}

#[test]
fn without_a_checkout_the_published_version_is_taken() {
    let place = place();
    for (lang, file, line) in [
        ("rust", "Cargo.toml", format!("dora-node-api = \"{}\"", env!("CARGO_PKG_VERSION"))),
        ("python", "pyproject.toml", format!("\"dora-rs>={}\",", env!("CARGO_PKG_VERSION"))),
        // The one that pkg-config knows.
        ("c", "Makefile", "DORA_API ?= \n".to_owned()),
        ("cxx", "Makefile", "DORA_API ?= \n".to_owned()),
    ] {
        for kind in ["dataflow", "node"] {
            let name = format!("{lang}-{kind}-x");
            let ended = place.dora(&["new", &name, "--lang", lang, "--kind", kind]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let text = fs::read_to_string(place.path(&name).join(file)).unwrap();
            assert!(text.contains(&line), "{text}");
            for part in [&*format!("created {name}/"), "  dataflow.yml", "dora build dataflow.yml"] {
                assert!(ended.out.contains(part), "no `{part}` in: {}", ended.out);
            }
            let checked = place.dora(&["validate", &format!("{name}/dataflow.yml")]);
            assert!(checked.code == Some(0) && !checked.out.contains("warning"), "{checked:?}");
        }
    }
}

/// A project on the node API of this source, with what is compiled for it kept between runs.
fn rust_project(place: &Project, name: &str, kind: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut command = place.command(&["new", name, "--kind", kind]);
    let ended = Ended::from(command.env("DORA_CHECKOUT", root).output().expect("dora starts"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let folder = place.path(name);
    // The versions that were downloaded for this source: nothing else is needed.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dora-new");
    fs::create_dir_all(&target).expect("the target folder is writable");
    symlink(target, folder.join("target")).expect("a link");
    folder
}

/// A project in C or C++ on the node API of this source. That is compiled once, for both.
fn native_project(place: &Project, name: &str, lang: &str, kind: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut command = place.command(&["new", name, "--lang", lang, "--kind", kind]);
    let ended = Ended::from(command.env("DORA_CHECKOUT", root).output().expect("dora starts"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    place.path(name)
}

/// Is everything there that a template in this language needs?
fn has_tools(compiler: &str) -> bool {
    let is_there = |tool: &str| {
        let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
        if !found {
            println!("skipped: needs {tool}");
        }
        found
    };
    [compiler, "make", "pkg-config"].into_iter().all(is_there)
}

/// Runs a command of the user in the project, offline and without what cargo tells the tests.
fn in_project(folder: &Path, program: &str, args: &[&str]) -> Ended {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("CARGO_NET_OFFLINE", "true");
    // With the last one, nodes in C would load whatever library lies beside this test.
    for name in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_MANIFEST_DIR",
        "DORA_CHECKOUT",
        "LD_LIBRARY_PATH",
    ] {
        command.env_remove(name);
    }
    if folder.join("Makefile").exists() {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dora-new-c");
        command.env("DORA_INSTALL_FLAGS", "--debug").env("CARGO_TARGET_DIR", target);
    }
    Ended::from(command.output().unwrap_or_else(|error| panic!("{program}: {error}")))
}

/// Each with one command, in the order of its README.
#[track_caller]
fn builds_runs_and_passes_its_test(folder: &Path) -> Ended {
    let dora = env!("CARGO_BIN_EXE_dora");
    let built = in_project(folder, dora, &["build", "dataflow.yml"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    assert!(!built.err.contains("warning"), "it compiles with warnings: {}", built.err);
    let run = in_project(folder, dora, &["run", "dataflow.yml", "--stop-after", "3s"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let native = folder.join("Makefile").exists();
    let (program, passed) = if native { ("make", "passed") } else { (cargo.as_str(), "... ok") };
    let tested = in_project(folder, program, &["test"]);
    assert_eq!(tested.code, Some(0), "{tested:?}");
    assert!(tested.out.contains(passed) && !tested.err.contains("warning"), "{tested:?}");
    run
}

#[test]
fn rust_templates_build_run_and_pass_their_own_test() {
    let place = place();
    let run = builds_runs_and_passes_its_test(&rust_project(&place, "two-talkers", "dataflow"));
    for part in ["heard on speech-1: hello 1 from talker-1", "heard on speech-2: hello 1 from talker-2"] {
        assert!(run.out.contains(part), "no `{part}` in: {run:?}");
    }
    let run = builds_runs_and_passes_its_test(&rust_project(&place, "tick_counter", "node"));
    assert!(run.out.contains("counted ") && !run.out.contains("counted 0 "), "{run:?}");
}

/// Both templates of a language.
#[track_caller]
fn native_templates_work(lang: &str, compiler: &str) {
    if !has_tools(compiler) {
        return;
    }
    let place = place();
    let run = builds_runs_and_passes_its_test(&native_project(&place, "two-talkers", lang, "dataflow"));
    for part in ["heard on speech-1: hello 1 from talker-1", "heard on speech-2: hello 1 from talker-2"] {
        assert!(run.out.contains(part), "no `{part}` in: {run:?}");
    }
    let run = builds_runs_and_passes_its_test(&native_project(&place, "tick_counter", lang, "node"));
    assert!(run.out.contains("counted ") && !run.out.contains("counted 0 "), "{run:?}");
}

#[test]
fn c_templates_build_run_and_pass_their_own_test() {
    native_templates_work("c", "cc");
}

#[test]
fn cxx_templates_build_run_and_pass_their_own_test() {
    native_templates_work("cxx", "c++");
}
