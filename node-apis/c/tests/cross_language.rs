//! Arrays of every type go through nodes in several languages and come out unchanged: `examples/cross-language`. With a node
//! in Python among them they do so in `node-apis/python/tests/test_examples.py`.

mod support;

use std::{env, fs, path::PathBuf, process::Command};

use support::{Language, compile, folder, good, has_sanitizers, root, run};

/// The nodes in Rust.
fn binaries() -> PathBuf {
    let profile = support::library().parent().expect("the folder of the profile").to_owned();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "-p", "cross-language-example", "--bins", "--target-dir"]);
    build.arg(profile.parent().expect("target folder")).current_dir(root());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    good(&mut build);
    profile
}

/// Compiles the relays beside a copy of the example, and runs one of its descriptors.
#[track_caller]
fn goes_through(test: &str, descriptor: &str, flags: &[&str]) {
    let (Some(cc), Some(cxx)) = (Language::C.compiler(), Language::Cxx.compiler()) else { return };
    let place = folder(test);
    let example = root().join("examples/cross-language");
    support::copy_files(&example, &place);
    fs::create_dir(place.join("build")).expect("a folder");
    compile(cc, &place.join("relay.c"), &place.join("build/relay_c"), flags);
    compile(cxx, &place.join("relay.cc"), &place.join("build/relay_cxx"), &[&["-std=c++17"], flags].concat());
    let text = fs::read_to_string(example.join(descriptor)).expect("the descriptor");
    let text = text.replace("../../target/release", binaries().to_str().expect("UTF-8 path"));
    fs::write(place.join(descriptor), text).expect("the target folder is writable");

    let run = run(&place.join(descriptor), &[]);
    run.is("");
    let said =
        run.lines.iter().find(|line| line.starts_with("check: all ")).unwrap_or_else(|| panic!("{run:#?}"));
    let count: usize = said.split(' ').nth(2).and_then(|word| word.parse().ok()).expect("a number");
    assert!(count >= 100 && said.ends_with("arrays came through unchanged"), "{said}");
    let edges = run.report["edges"].as_array().expect("edges");
    assert!(edges.iter().all(|edge| edge["taken"] == count), "every edge carried all: {run:#?}");
}

#[test]
fn every_arrow_type_goes_through_c_and_cxx_unchanged() {
    goes_through("cross-native", "native.yml", &[]);
}

#[test]
fn sanitizers_find_nothing_when_arrays_of_every_type_go_through() {
    if has_sanitizers(Language::Cxx) {
        goes_through("cross-asan", "native.yml", &[support::SANITIZERS]);
    }
}
