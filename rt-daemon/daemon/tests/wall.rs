//! The daemon gets a resolved graph and never looks inside a payload: what it must not depend on.

use std::process::Command;

#[test]
fn the_daemon_reaches_neither_descriptor_nor_coordinator_nor_arrow() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "dora-daemon", "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"dora-protocol") && names.contains(&"lockfree-ipc"));
    for name in names {
        let forbidden =
            ["dora-descriptor", "dora-coordinator", "dora-node-api", "dora-cli", "dora-arrow-codec"];
        assert!(!forbidden.contains(&name) && !name.starts_with("arrow"), "`{name}` is behind the wall");
    }
}
