//! Compiles what a node in C does per message, as such a node would be compiled.

fn main() {
    println!("cargo:rerun-if-changed=src/node.c");
    println!("cargo:rerun-if-changed=../../node-apis/c/include/node_api.h");
    cc::Build::new()
        .file("src/node.c")
        .include("../../node-apis/c/include")
        .std("c11")
        .opt_level(2)
        .warnings(true)
        .extra_warnings(true)
        .compile("bench_c_node");
}
