//! The tests of the Python drivers beside the benchmarks: arguments, order of runs, arithmetic, pages.

use std::{path::Path, process::Command};

/// Runs a file of `unittest` tests; what it said when it failed.
fn run(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let output = match Command::new("python3").arg("-B").arg(&path).output() {
        Ok(output) => output,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: needs python3");
            return;
        }
        Err(e) => panic!("python3 does not start: {e}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file} failed:\n{said}");
    assert!(!said.contains("Ran 0 tests"), "{file} holds no test:\n{said}");
}

#[test]
fn the_comparison_of_peers_orders_counts_and_writes_as_it_says() {
    run("compare/test_compare.py");
}

#[test]
fn the_comparison_with_ros_2_reads_its_arguments_and_writes_the_same_records() {
    run("ros2/test_ros2.py");
}
