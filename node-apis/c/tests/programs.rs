//! Programs in C and C++ that use every function, rightly and wrongly, each without a dataflow: events come from a file.
//!
//! They run as they are and under the address and undefined-behaviour sanitizers, which also look for leaks.

mod support;

use std::{fs, path::Path, process::Command};

use support::{Language, SANITIZERS, compile, folder, good, has_sanitizers};

fn source(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Compiles a program, runs it on the events of a file, and returns what it sent.
#[track_caller]
fn sent(test: &str, language: Language, program: &str, events: &str, flags: &[&str]) -> Option<String> {
    let compiler = language.compiler()?;
    let folder = folder(test);
    let (binary, outputs) = (folder.join("program"), folder.join("outputs.jsonl"));
    compile(compiler, &source(program), &binary, flags);
    let mut command = Command::new(&binary);
    command.env_remove("DORA_NODE_CONFIG").env("DORA_TEST_WITH_INPUTS", source(events));
    command.env("DORA_TEST_WRITE_OUTPUTS_TO", &outputs).env("DORA_TEST_NO_OUTPUT_TIME_OFFSET", "1");
    good(&mut command);
    Some(fs::read_to_string(outputs).expect("outputs"))
}

#[track_caller]
fn surface(test: &str, language: Language, program: &str, flags: &[&str]) {
    if let Some(sent) = sent(test, language, program, "c/surface.json", flags) {
        let read = |lines: &str| -> Vec<serde_json::Value> {
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        };
        assert_eq!(read(&sent), read(include_str!("c/surface.expected.jsonl")));
    }
}

#[test]
fn every_function_of_the_c_api_does_what_the_header_says() {
    surface("surface", Language::C, "c/surface.c", &["-std=c11"]);
}

#[test]
fn every_function_of_the_cxx_api_does_what_the_header_says() {
    surface("surface-cxx", Language::Cxx, "cxx/surface.cc", &["-std=c++17"]);
    surface("surface-cxx20", Language::Cxx, "cxx/surface.cc", &["-std=c++20", "-O2"]);
}

#[test]
fn wrong_use_ends_in_an_error_and_everything_works_afterwards() {
    sent("misuse", Language::C, "c/misuse.c", "c/misuse.json", &["-std=c11"]);
}

#[test]
fn sanitizers_find_nothing_in_right_and_wrong_use_from_c() {
    if has_sanitizers(Language::C) {
        surface("surface-asan", Language::C, "c/surface.c", &["-std=c11", SANITIZERS]);
        sent("misuse-asan", Language::C, "c/misuse.c", "c/misuse.json", &["-std=c11", SANITIZERS]);
    }
}

#[test]
fn sanitizers_find_nothing_in_the_cxx_api() {
    if has_sanitizers(Language::Cxx) {
        surface("surface-cxx-asan", Language::Cxx, "cxx/surface.cc", &["-std=c++17", SANITIZERS]);
    }
}

#[test]
fn events_of_other_sources_come_in_one_stream_with_those_of_the_dataflow() {
    let seen = |test: &str, flags: &[&str]| {
        let sent = sent(test, Language::Cxx, "cxx/merge.cc", "cxx/merge.json", flags);
        assert!(sent.is_none_or(|sent| sent.lines().count() == 10), "every input was answered");
    };
    seen("merge", &["-std=c++17"]);
    if has_sanitizers(Language::Cxx) {
        seen("merge-asan", &["-std=c++20", SANITIZERS]);
    }
}

#[test]
fn headers_stand_alone_in_every_standard_without_a_warning() {
    let folder = folder("headers");
    let check = |language: Language, file: &str, standards: &[&str], text: &str| {
        let path = folder.join(file);
        fs::write(&path, text).expect("a source");
        for standard in standards {
            let Some(compiler) = language.compiler() else { return };
            compile(compiler, &path, &folder.join("program"), &[&format!("-std={standard}")]);
        }
    };
    let c = "#include <node_api.h>\n#include <node_api.h>\n\nint main(void) {\n    return dora_last_error_code();\n}\n";
    check(Language::C, "c.c", &["c99", "c11", "c17"], c);
    check(Language::Cxx, "c.cc", &["c++17", "c++20"], &c.replace("(void)", "()"));
    let cxx = "#include <dora-node-api.h>\n#include <node_api.h>\n\nint main() {\n    return rust::Str(\"\").size() != 0;\n}\n";
    check(Language::Cxx, "cxx.cc", &["c++17", "c++20"], cxx);
}

#[test]
fn shared_library_exports_the_functions_of_the_header_and_no_others() {
    let Some(mut nm) = support::tool("nm", "binutils") else { return };
    let library = support::library().join("libdora_node_api_c.so");
    let listed = good(nm.args(["--dynamic", "--defined-only"]).arg(library));
    let mut exported: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    exported.sort_unstable();
    let header = include_str!("../include/node_api.h");
    let mut declared: Vec<&str> = Vec::new();
    for line in header.lines().filter(|line| !line.starts_with([' ', '/', '#', '}']) && line.contains('(')) {
        let name = line.split('(').next().and_then(|start| start.split([' ', '*']).next_back());
        declared.extend(name.filter(|name| name.contains("dora")));
    }
    declared.sort_unstable();
    assert!(declared.len() > 60, "the header is not understood: {declared:?}");
    assert_eq!(exported, declared);
}
