//! Environment variables that a descriptor may not set.

/// Set by dora itself, or a way to run foreign code inside a node. `DORA_ZENOH_*` are reserved, too.
const RESERVED: [&str; 11] = [
    "DORA_NODE_CONFIG",
    "DORA_RUNTIME_CONFIG",
    "ZENOH_CONFIG",
    "DORA_RUN_PARENT_PID",
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "DYLD_LIBRARY_PATH",
    "DORA_AUTH_TOKEN",
    "DORA_ALLOW_SHELL_NODES",
];

/// Variables that are expanded inside `path:` of a node.
pub const IN_PATH: [&str; 5] = ["HOME", "USER", "PWD", "DORA_WORKSPACE", "CARGO_MANIFEST_DIR"];

/// Is this name not the descriptor's to set?
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("DORA_ZENOH_")
}
