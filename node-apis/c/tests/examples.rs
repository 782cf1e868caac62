//! The examples in C and C++: built by their own Makefiles against an installed dora, run, and compared with what they should
//! say. Also by CMake, and with static libraries.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use support::{copy_files, folder, good, has_sanitizers, install, root, run, tool};

/// A copy of an example, beside an installed dora and the fragment of its Makefile.
fn example(name: &str, test: &str) -> (PathBuf, PathBuf) {
    let root = root();
    let place = folder(test);
    let prefix = place.join("dora");
    install(&prefix);
    let copy = place.join("examples").join(name);
    copy_files(&root.join("examples").join(name), &copy);
    copy_files(&root.join("node-apis/c"), &place.join("node-apis/c"));
    (copy, prefix)
}

/// Makes and runs an example.
#[track_caller]
fn makes_and_runs(name: &str, test: &str, variables: &[String]) {
    let tools = [("make", "make"), ("pkg-config", "pkg-config"), ("c++", "a C++ compiler")];
    if tools.into_iter().any(|(name, what)| tool(name, what).is_none()) {
        return;
    }
    let (copy, prefix) = example(name, test);
    let mut make = Command::new("make");
    make.current_dir(&copy).arg(format!("DORA_PREFIX={}", prefix.display())).args(variables);
    let printed = good(&mut make);
    assert!(!printed.contains("warning"), "{printed}");
    let expected = fs::read_to_string(copy.join("expected.txt")).expect("expected.txt");
    run(&copy.join("dataflow.yml"), &[]).is(&expected);
}

#[test]
fn c_dataflow_prints_ten_squares() {
    makes_and_runs("c-dataflow", "c-dataflow", &[]);
}

#[test]
fn cxx_dataflow_gets_a_reply_to_every_request() {
    makes_and_runs("c++-dataflow", "cxx-dataflow", &[]);
}

#[test]
fn cxx_arrow_dataflow_doubles_arrays_without_the_arrow_library() {
    makes_and_runs("c++-arrow-dataflow", "cxx-arrow-dataflow", &["ARROW=no".into()]);
}

#[test]
fn cxx_arrow_dataflow_doubles_arrays_with_the_arrow_library() {
    // Of pyarrow, say: DORA_TEST_ARROW="-std=c++20 -I…/include -L… -l:libarrow.so.2100 -Wl,-rpath,…"
    let flags = std::env::var("DORA_TEST_ARROW").ok();
    let installed = || Command::new("pkg-config").args(["--exists", "arrow"]).status();
    match flags {
        Some(flags) => {
            let (compile, link): (Vec<&str>, Vec<&str>) = flags.split_whitespace().partition(|flag| {
                !flag.starts_with("-l") && !flag.starts_with("-L") && !flag.starts_with("-W")
            });
            let variables = [
                "ARROW=no".into(),
                format!("CXXFLAGS=-O1 -DWITH_ARROW -Wall {} -std=c++20", compile.join(" ")),
                format!("LDLIBS={}", link.join(" ")),
            ];
            makes_and_runs("c++-arrow-dataflow", "cxx-arrow-library", &variables);
        }
        None if installed().is_ok_and(|status| status.success()) => {
            makes_and_runs("c++-arrow-dataflow", "cxx-arrow-library", &["ARROW=yes".into()]);
        }
        None => {
            println!("skipped: needs the Arrow C++ library in pkg-config, or its flags in DORA_TEST_ARROW")
        }
    }
}

#[test]
fn sanitizers_find_nothing_in_the_examples() {
    if has_sanitizers(support::Language::Cxx) {
        let flags = |name: &str| format!("{name}=-g -O1 {} -fno-sanitize-recover", support::SANITIZERS);
        makes_and_runs("c-dataflow", "c-dataflow-asan", &[flags("CFLAGS")]);
        makes_and_runs("c++-dataflow", "cxx-dataflow-asan", &[flags("CXXFLAGS")]);
        makes_and_runs(
            "c++-arrow-dataflow",
            "cxx-arrow-dataflow-asan",
            &[flags("CXXFLAGS"), "ARROW=no".into()],
        );
    }
}

/// Builds the CMake example in a folder of its own and runs it.
#[track_caller]
fn cmake_builds_and_runs(test: &str, arguments: impl FnOnce(&Path) -> Vec<String>) -> Option<PathBuf> {
    tool("cmake", "CMake")?;
    tool("c++", "a C++ compiler")?;
    let place = folder(test);
    let prefix = place.join("dora");
    install(&prefix);
    let flow = place.join("flow");
    copy_files(&root().join("examples/cmake-dataflow"), &flow);
    let build = place.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(root().join("examples/cmake-dataflow")).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_RUNTIME_OUTPUT_DIRECTORY={}", flow.join("bin").display()));
    good(configure.args(arguments(&prefix)));
    let printed = good(Command::new("cmake").arg("--build").arg(&build));
    assert!(!printed.contains("warning"), "{printed}");
    let expected = fs::read_to_string(flow.join("expected.txt")).expect("expected.txt");
    let run = run(&flow.join("dataflow.yml"), &[]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    for line in expected.lines() {
        assert!(run.lines.iter().any(|printed| printed == line), "`{line}` is missing: {run:#?}");
    }
    Some(flow.join("bin/sink"))
}

/// Does the program load the shared library?
fn is_shared(program: &Path) -> bool {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    String::from_utf8_lossy(&output.stdout).contains("libdora_node_api_c.so")
}

#[test]
fn cmake_finds_the_installed_packages_static_and_shared() {
    let found = |prefix: &Path| format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    if let Some(sink) = cmake_builds_and_runs("cmake-static", |prefix| vec![found(prefix)]) {
        assert!(!is_shared(&sink), "the default is the static library");
    }
    let shared = |prefix: &Path| vec![found(prefix), "-DBUILD_SHARED_LIBS=ON".into()];
    if let Some(sink) = cmake_builds_and_runs("cmake-shared", shared) {
        assert!(is_shared(&sink));
    }
}

#[test]
fn cmake_takes_the_libraries_of_a_checkout() {
    let arguments = |_: &Path| {
        let library = support::library();
        vec![
            format!("-DDORA_ROOT_DIR={}", root().display()),
            format!("-DDORA_LINK_DIR={}", library.display()),
        ]
    };
    cmake_builds_and_runs("cmake-checkout", arguments);
}

#[test]
fn package_for_another_machine_and_an_older_one_are_refused_by_cmake() {
    let Some(mut cmake) = tool("cmake", "CMake") else { return };
    let place = folder("cmake-refuses");
    let prefix = place.join("dora");
    install(&prefix);
    let config = prefix.join("lib/cmake/dora-node-api-c/dora-node-api-c-config.cmake");
    let text = fs::read_to_string(&config).expect("the package");
    let project = |body: &str| {
        let text = format!("cmake_minimum_required(VERSION 3.21)\nproject(p LANGUAGES C)\n{body}\n");
        fs::write(place.join("CMakeLists.txt"), text).expect("a project");
    };
    let failed = |cmake: &mut Command| {
        let output = cmake.arg("-S").arg(&place).arg("-B").arg(place.join("build"));
        let output = output.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())).output().expect("cmake");
        assert!(!output.status.success(), "{}", support::both(&output));
        // CMake breaks its lines.
        support::both(&output).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    project("find_package(dora-node-api-c 99.0 REQUIRED)");
    assert!(failed(&mut cmake).contains("99.0"));
    fs::write(&config, text.replace("STREQUAL \"Linux\"", "STREQUAL \"Plan9\"")).expect("the package");
    project("find_package(dora-node-api-c REQUIRED)");
    let said = failed(&mut Command::new("cmake"));
    assert!(said.contains("this dora-node-api-c is for"), "{said}");
}

#[test]
fn pkg_config_links_statically_when_asked_to() {
    let tools = [("pkg-config", "pkg-config"), ("cc", "a C compiler")];
    if tools.into_iter().any(|(name, what)| tool(name, what).is_none()) {
        return;
    }
    let place = folder("pkg-config");
    let prefix = place.join("moved/dora");
    install(&place.join("dora"));
    fs::create_dir_all(place.join("moved")).expect("a folder");
    fs::rename(place.join("dora"), &prefix).expect("the prefix moves");
    // Only the static library is left to link with.
    fs::remove_file(prefix.join("lib/libdora_node_api_c.so")).expect("the shared library");
    let mut ask = Command::new("pkg-config");
    ask.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args([
        "--static",
        "--cflags",
        "--libs",
        "dora-node-api-c",
    ]);
    let flags = good(&mut ask);
    let program = place.join("node");
    let mut cc = Command::new("cc");
    cc.arg(root().join("examples/c-dataflow/node.c")).arg("-o").arg(&program).args(flags.split_whitespace());
    good(&mut cc);
    assert!(!is_shared(&program));
    let output =
        Command::new(&program).stdin(std::process::Stdio::null()).env_remove("DORA_NODE_CONFIG").output();
    let said = support::both(&output.expect("the node starts"));
    assert!(said.contains("DORA_NODE_CONFIG"), "a node without a dataflow says what is missing: {said}");
}
