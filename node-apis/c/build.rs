//! Gives the shared library a name of its own, so that programs look for it by name and not by the path it was linked from.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdora_node_api_c.so");
    }
}
