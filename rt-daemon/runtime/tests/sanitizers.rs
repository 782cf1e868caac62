//! Operators in C and C++ under the address and undefined-behaviour sanitizers: the examples, and every function of the headers.
//!
//! `dora` is not built with them, so the runtime of the address sanitizer is loaded before everything else. It then guards what
//! `dora` allocates, too: an operator that reads past the end of a message is found. Leaks are looked for in the runtime
//! nodes alone.

#[path = "support/native.rs"]
mod native;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{ffi::OsStr, fs, path::Path, process::Command};

use native::{compile, has, make_example};
use support::{Ended, built, run_file_in};

const FLAGS: &str = "-g -fsanitize=address,undefined -fno-sanitize-recover=all";

/// What is to be loaded first, where this compiler has an address sanitizer as a library: that one, and for C++ the library that
/// throws, which the sanitizer otherwise would not find in `dora`.
fn sanitizer(compiler: &str) -> Option<String> {
    if !has(compiler) {
        return None;
    }
    let path_of = |library: &str| {
        let asked = Command::new(compiler).arg(format!("-print-file-name={library}")).output();
        String::from_utf8_lossy(&asked.expect("it was just there").stdout).trim().to_owned()
    };
    let mut first = path_of("libasan.so");
    if compiler == "c++" {
        first = format!("{first}:{}", path_of("libstdc++.so.6"));
    }
    let loads = || Command::new("true").env("LD_PRELOAD", &first).output();
    // A compiler that does not know the file gives its bare name.
    let usable = Path::new(&first).is_absolute()
        && loads().is_ok_and(|output| output.status.success() && output.stderr.is_empty());
    if !usable {
        println!("skipped: needs a `{compiler}` with libasan.so");
    }
    usable.then_some(first)
}

/// Runs a descriptor in which each node with operators gets a line that looks for leaks.
fn run_guarded(file: &Path, sanitizer: &str) -> Ended {
    let text = fs::read_to_string(file).unwrap();
    let with_leaks: String = text
        .lines()
        .map(|line| {
            let node = line.starts_with("  - id: ");
            let more = if node { "\n    env: { ASAN_OPTIONS: detect_leaks=1 }" } else { "" };
            format!("{line}{more}\n")
        })
        .collect();
    assert!(with_leaks.contains("detect_leaks=1"), "no node was found in:\n{text}");
    fs::write(file, with_leaks).unwrap();
    run_file_in(
        file,
        &[("LD_PRELOAD", OsStr::new(sanitizer)), ("ASAN_OPTIONS", OsStr::new("detect_leaks=0"))],
    )
}

#[track_caller]
fn nothing_was_found(ended: &Ended) {
    for word in ["Sanitizer", "runtime error"] {
        assert!(!ended.text.contains(word), "{}", ended.text);
    }
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}

/// An operator of `tests/c`, between two in Rust that send and compare 4 MB.
fn between(dir: &Path, sanitizer: &str, file: &str, input: &str) -> Ended {
    let compiled = compile(dir, "cc", file, FLAGS);
    let rust = built().join("operator_for_tests").display().to_string();
    let flow = dir.join("flow.yml");
    let text = format!(
        "nodes:
  - id: rt
    operators:
      - {{ id: a, shared-library: {rust}, inputs: {{ large: dora/timer/millis/20 }}, outputs: [out] }}
      - {{ id: culprit, shared-library: {compiled}, inputs: {{ {input}: rt/a/out }}, outputs: [out, small] }}
      - {{ id: c, shared-library: {rust}, inputs: {{ compare: rt/culprit/out }} }}
"
    );
    fs::write(&flow, text).unwrap();
    run_guarded(&flow, sanitizer)
}

#[test]
fn sanitizers_find_nothing_in_the_examples() {
    for (name, compiler) in [("c-operator-dataflow", "cc"), ("c++-operator-dataflow", "c++")] {
        let Some(sanitizer) = sanitizer(compiler).filter(|_| has("make")) else { continue };
        let dir = tempfile::tempdir().unwrap();
        let folder = make_example(dir.path(), name, FLAGS);
        let ended = run_guarded(&folder.join("dataflow.yml"), &sanitizer);
        nothing_was_found(&ended);
        for line in fs::read_to_string(folder.join("expected.txt")).unwrap().lines() {
            ended.has(line);
        }
    }
}

#[test]
fn sanitizers_find_nothing_in_right_and_wrong_use_of_every_function_from_c() {
    let Some(sanitizer) = sanitizer("cc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let ended = between(dir.path(), &sanitizer, "surface.c", "check");
    nothing_was_found(&ended);
    ended.has("says: 4194304 bytes, the same buffer");
}

#[test]
fn sanitizers_find_nothing_when_a_cxx_operator_throws() {
    let Some(sanitizer) = sanitizer("c++") else { return };
    for (input, words) in [("error", "an error in its own words"), ("throw", "an exception in its own words")]
    {
        let dir = tempfile::tempdir().unwrap();
        let library = compile(dir.path(), "c++", "throws.cc", FLAGS);
        let flow = dir.path().join("flow.yml");
        let text = format!(
            "nodes:\n  - id: rt\n    operators: [{{ id: culprit, shared-library: {library}, inputs: {{ {input}: dora/timer/millis/5 }} }}]\n"
        );
        fs::write(&flow, text).unwrap();
        let ended = run_guarded(&flow, &sanitizer);
        ended.has("operator `culprit` failed");
        ended.has(words);
        assert!(!ended.text.contains("Sanitizer"), "{}", ended.text);
    }
}

#[test]
fn sanitizers_see_what_an_operator_does_wrong_with_its_messages_and_its_own_memory() {
    let Some(sanitizer) = sanitizer("cc") else { return };
    for (input, found) in [
        ("past_the_end", "AddressSanitizer: heap-buffer-overflow"),
        ("given_back", "AddressSanitizer: heap-use-after-free"),
        ("never_freed", "LeakSanitizer: detected memory leaks"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let ended = between(dir.path(), &sanitizer, "memory.c", input);
        ended.has(found);
        ended.has("memory.c:");
        assert_ne!(ended.code, Some(0), "{}", ended.text);
    }
}
