//! Compiles the library that `dora prove` loads into nodes to count allocations, so that it can be embedded in `dora`.
//!
//! Cargo cannot embed a `cdylib` of the same workspace (artifact dependencies are unstable), so the compiler is called
//! directly, for the same target and with the same linker. Where `LD_PRELOAD` or the C library are of another kind, the
//! file is empty, and `dora prove` says that allocations are not counted.

use std::{env, fs, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=preload");
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name: &str| env::var(name).unwrap_or_default();
    let library = PathBuf::from(var("OUT_DIR")).join("count_allocations.so");
    // `dora self update` asks for a release for this machine.
    println!("cargo::rustc-env=DORA_TARGET={}", var("TARGET"));
    let known = ["x86_64", "aarch64", "riscv64"].contains(&var("CARGO_CFG_TARGET_ARCH").as_str());
    if var("CARGO_CFG_TARGET_OS") != "linux" || var("CARGO_CFG_TARGET_ENV") != "gnu" || !known {
        fs::write(&library, []).expect("OUT_DIR is writable");
        return;
    }
    let mut rustc = Command::new(var("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=count_allocations"]);
    rustc.args(["-Copt-level=3", "-Cpanic=abort", "-Clto=fat", "-Cstrip=symbols", "-Ccodegen-units=1"]);
    rustc.arg("--target").arg(var("TARGET")).arg("-o").arg(&library).arg("preload/count_allocations.rs");
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = std::ffi::OsString::from("-Clinker=");
        flag.push(linker);
        rustc.arg(flag);
    }
    let status = rustc.status().expect("the compiler starts");
    assert!(status.success(), "the library that counts allocations (cli/preload) did not compile");
}
