//! Runs the model tests of `src/operators/loom_tests.rs`, which need the crate built with `--cfg loom`.

use std::{path::Path, process::Command};

#[test]
fn every_interleaving_of_the_threads_of_a_flow_holds() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--lib", "--release", "--package", "dora-rt", "loom_tests"])
        .current_dir(here)
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", here.join("../../target/loom"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo can be started");
    assert!(
        status.success(),
        "a model failed; RUSTFLAGS='--cfg loom' cargo test --release -p dora-rt --lib loom_tests"
    );
}
