//! Operators in C and C++: the examples, and every function of the headers, used and misused. With the sanitizer for undefined
//! behaviour where the compiler has it.

#[path = "support/native.rs"]
mod native;
mod support;

use std::{fs, path::Path, process::Command};

use native::{compile, good, has, make_example, root};
use support::{run, run_file};

/// Flags of the sanitizer, if the compiler has it.
fn sanitizer(dir: &Path, compiler: &str) -> &'static str {
    const FLAGS: &str = "-fsanitize=undefined -fno-sanitize-recover=all";
    let source = dir.join("probe.c");
    fs::write(&source, "int probe(int a) { return a + 1; }\n").unwrap();
    let mut probe = Command::new(compiler);
    probe.args(FLAGS.split(' ')).args(["-shared", "-fPIC", "-o"]).arg(dir.join("probe.so")).arg(&source);
    if probe.output().is_ok_and(|output| output.status.success()) { FLAGS } else { "" }
}

/// Makes an example in a copy of its folder, runs it, and compares what it says.
fn example(name: &str, compiler: &str) {
    if !has("make") || !has(compiler) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = make_example(dir.path(), name, sanitizer(dir.path(), compiler));
    let ended = run_file(&folder.join("dataflow.yml"));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    for line in fs::read_to_string(folder.join("expected.txt")).unwrap().lines() {
        ended.has(line);
    }
}

/// Compiles one file of `tests/c` to a library, and gives its name as a descriptor has it.
fn compiled(dir: &Path, compiler: &str, file: &str) -> Option<String> {
    has(compiler).then(|| compile(dir, compiler, file, sanitizer(dir, compiler)))
}

#[test]
fn the_c_example_counts_what_a_real_time_operator_sends() {
    example("c-operator-dataflow", "cc");
}

#[test]
fn the_cxx_example_works_with_the_bridge_and_in_one_file() {
    example("c++-operator-dataflow", "c++");
}

#[test]
fn every_function_of_the_c_header_works_and_wrong_use_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compiled(dir.path(), "cc", "surface.c") else { return };
    // From Rust through C to Rust: the same buffer, and its metadata.
    let ended = run(&format!(
        "  - id: rt
    operators:
      - {{ id: a, shared-library: LIBRARY, inputs: {{ large: dora/timer/millis/20 }}, outputs: [out] }}
      - {{ id: b, shared-library: {library}, inputs: {{ check: rt/a/out }}, outputs: [out, small] }}
      - {{ id: c, shared-library: LIBRARY, inputs: {{ compare: rt/b/out }} }}
"
    ));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.has("says: 4194304 bytes, the same buffer");
    ended.has("says: kept 4194304 bytes, the last is 7");
}

#[test]
fn what_a_cxx_operator_returns_or_throws_fails_it_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compiled(dir.path(), "c++", "throws.cc") else { return };
    for (input, words) in [
        ("error", "an error in its own words"),
        ("throw", "an exception in its own words"),
        ("number", "an exception that is no std::exception"),
    ] {
        let ended = run(&format!(
            "  - id: rt\n    operators: [{{ id: culprit, shared-library: {library}, inputs: {{ {input}: dora/timer/millis/5 }} }}]\n"
        ));
        assert_ne!(ended.code, Some(0), "{}", ended.text);
        ended.has("operator `culprit` failed");
        ended.has(words);
    }
}

#[test]
fn the_headers_have_the_sizes_of_the_rust_side() {
    use dora_operator_api::abi;
    let dir = tempfile::tempdir().unwrap();
    if !has("cc") {
        return;
    }
    let sizes = [
        ("Vec_uint8_t", size_of::<abi::Bytes>()),
        ("DoraInitResult_t", size_of::<abi::InitResult>()),
        ("OnEventResult_t", size_of::<abi::OnEventResult>()),
        ("RawEvent_t", size_of::<abi::RawEvent>()),
        ("Input_t", size_of::<abi::Input>()),
        ("Output_t", size_of::<abi::Output>()),
        ("SendOutput_t", size_of::<abi::SendOutput>()),
        ("DoraMessageFunctions_t", size_of::<abi::MessageFunctions>()),
        ("DoraRtSetup_t", size_of::<abi::RtSetup>()),
        ("DoraRtEvent_t", size_of::<abi::RtEvent>()),
        ("DoraRtOutbox_t", size_of::<abi::RtOutbox>()),
    ];
    let asserts: String = sizes
        .iter()
        .map(|(name, size)| format!("_Static_assert(sizeof({name}) == {size}, \"{name}\");\n"))
        .collect();
    let offsets = format!(
        "_Static_assert(offsetof(RawEvent_t, error_input) == {}, \"\");\n_Static_assert(offsetof(DoraRtEvent_t, missed) == {}, \"\");\n",
        std::mem::offset_of!(abi::RawEvent, error_input),
        std::mem::offset_of!(abi::RtEvent, missed)
    );
    let source = dir.path().join("sizes.c");
    fs::write(&source, format!("#include \"operator_api.h\"\n{asserts}{offsets}")).unwrap();
    let mut command = Command::new("cc");
    command
        .args(["-std=c11", "-fsyntax-only", "-I"])
        .arg(root().join("node-apis/operator/include"))
        .arg(source);
    good(&mut command);
}
