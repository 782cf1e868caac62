//! The operator APIs of C and C++ as they are installed: the examples, compiled with what pkg-config and CMake say of a prefix
//! that was moved, run, and compared with what they should say. What is wrong in operators is looked for in `rt-daemon/runtime/tests`.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use support::{copy_files, folder, good, install, root, run, tool};

const C: &str = "c-operator-dataflow";
const CXX: &str = "c++-operator-dataflow";

/// An installed dora that was moved, with nothing in it to link with, and copies of both examples; `None` where a tool is missing.
fn place(test: &str, finder: (&str, &str)) -> Option<(PathBuf, PathBuf)> {
    let tools = [finder, ("cc", "a C compiler"), ("c++", "a C++ compiler")];
    if tools.into_iter().any(|(name, what)| tool(name, what).is_none()) {
        return None;
    }
    let place = folder(test);
    install(&place.join("dora"));
    let prefix = place.join("moved");
    fs::rename(place.join("dora"), &prefix).expect("the prefix moves");
    for library in ["a", "so"] {
        let library = prefix.join(format!("lib/libdora_node_api_c.{library}"));
        if library.exists() {
            fs::remove_file(library).expect("the library of nodes");
        }
    }
    let examples = root().join("examples");
    copy_files(&examples.join(C), &place.join(C));
    copy_files(&examples.join(CXX), &place.join(CXX));
    copy_files(&examples.join(CXX).join("text"), &place.join(CXX).join("text"));
    for example in [C, CXX] {
        fs::create_dir(place.join(example).join("build")).expect("a folder");
    }
    Some((place, prefix))
}

/// Runs both examples.
#[track_caller]
fn both_run(place: &Path) {
    for example in [C, CXX] {
        let expected = fs::read_to_string(place.join(example).join("expected.txt")).expect("expected.txt");
        run(&place.join(example).join("dataflow.yml"), &[]).is(&expected);
    }
}

/// What pkg-config says of a package of this prefix.
#[track_caller]
fn asked(prefix: &Path, arguments: &[&str]) -> String {
    let mut ask = Command::new("pkg-config");
    ask.env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig")).args(arguments);
    good(&mut ask).trim().to_owned()
}

#[test]
fn pkg_config_has_the_headers_and_the_bridge_of_operators_and_nothing_to_link() {
    let Some((place, prefix)) = place("operators-pkg-config", ("pkg-config", "pkg-config")) else { return };
    let compile = |compiler: &str, package: &str, folder: &str, sources: &[&str], library: &str| {
        let folder = place.join(folder);
        let flags = asked(&prefix, &["--cflags", package]);
        assert_eq!(asked(&prefix, &["--libs", package]), "", "operators link with nothing");
        let mut command = Command::new(compiler);
        command.current_dir(&folder).args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Itext"]);
        command.args(flags.split_whitespace()).args(sources).arg("-o").arg(format!("build/lib{library}.so"));
        good(&mut command);
    };
    for operator in ["sensor", "counter", "printer"] {
        compile("cc", "dora-operator-api-c", C, &[&format!("{operator}.c")], operator);
    }
    let bridge = asked(&prefix, &["--variable=bridge", "dora-operator-api-cxx"]);
    compile("c++", "dora-operator-api-cxx", CXX, &["text/operator.cc", &bridge], "text");
    compile("c++", "dora-operator-api-cxx", CXX, &["repeat.cc"], "repeat");
    both_run(&place);
}

const PROJECT: &str = "cmake_minimum_required(VERSION 3.21)
project(operators LANGUAGES C CXX)
set(CMAKE_C_STANDARD 11)
find_package(dora-operator-api-cxx REQUIRED)
find_package(dora-operator-api-c REQUIRED)
foreach(operator sensor counter printer)
  add_library(${operator} MODULE c-operator-dataflow/${operator}.c)
  target_link_libraries(${operator} PRIVATE dora-operator-api-c::dora-operator-api-c)
  set_target_properties(${operator} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/c-operator-dataflow/build)
endforeach()
add_library(text MODULE c++-operator-dataflow/text/operator.cc ${dora-operator-api-cxx_CXX_BRIDGE_FILES})
target_include_directories(text PRIVATE c++-operator-dataflow/text)
add_library(repeat MODULE c++-operator-dataflow/repeat.cc)
foreach(operator text repeat)
  target_link_libraries(${operator} PRIVATE dora-operator-api-cxx::dora-operator-api-cxx)
  set_target_properties(${operator} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/c++-operator-dataflow/build)
endforeach()
";

#[test]
fn cmake_finds_the_packages_of_operators_and_refuses_a_newer_version() {
    let Some((place, prefix)) = place("operators-cmake", ("cmake", "CMake")) else { return };
    let project = place.join("CMakeLists.txt");
    fs::write(&project, PROJECT).expect("a project");
    let configure = || {
        let mut cmake = Command::new("cmake");
        cmake.arg("-S").arg(&place).arg("-B").arg(place.join("build"));
        cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
        cmake
    };
    good(&mut configure());
    let printed = good(Command::new("cmake").arg("--build").arg(place.join("build")));
    assert!(!printed.contains("warning"), "{printed}");
    both_run(&place);
    for package in ["dora-operator-api-c", "dora-operator-api-cxx"] {
        let newer = PROJECT.replace(&format!("{package} REQUIRED"), &format!("{package} 99.0 REQUIRED"));
        fs::write(&project, newer).expect("a project");
        let output = configure().output().expect("cmake");
        let said = support::both(&output);
        assert!(!output.status.success() && said.contains("99.0"), "{package}: {said}");
    }
}
