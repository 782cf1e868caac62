//! Runs the model tests of `src/loom_tests.rs`, which need the crate built with `--cfg loom`.

use std::{path::Path, process::Command};

#[test]
fn every_interleaving_of_the_models_holds() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--lib", "--release", "--package", "lockfree-ipc", "loom_tests"])
        .current_dir(here)
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", here.join("../target/loom"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo can be started");
    assert!(
        status.success(),
        "a model failed; RUSTFLAGS='--cfg loom' cargo test --release -p lockfree-ipc --lib loom_tests"
    );
}
