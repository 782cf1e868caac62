//! Who may import whom: no crate reaches, even indirectly, what its tier must not know.
#![expect(clippy::disallowed_methods, reason = "tests run above the wall")]

use std::{collections::BTreeSet, process::Command};

/// A name, or the beginning of one when it ends in `*`.
type Forbidden = &'static [&'static str];

const OURS: Forbidden = &["dora-*", "lockfree-ipc", "rt-tuning", "bench-support"];
const ARROW: Forbidden = &["arrow", "arrow-*"];
const YAML: Forbidden = &[
    "serde_yaml*",
    "serde-yaml*",
    "serde_yml",
    "serde_norway",
    "saphyr*",
    "yaml-*",
    "libyaml*",
    "unsafe-libyaml*",
];
const ASYNC: Forbidden = &["tokio", "tokio-*", "zenoh", "zenoh-*"];
const TEXT: Forbidden = &["serde", "serde_*", "tracing", "tracing-*"];

/// Everything that `package` is built from, itself included; without tests and build scripts.
fn reached(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", package, "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn forbids(rule: &str, name: &str) -> bool {
    rule.strip_suffix('*').map_or(rule == name, |start| name.starts_with(start))
}

fn broken(reached: &BTreeSet<String>, forbidden: &[Forbidden], except: &[&str]) -> Vec<String> {
    let is_forbidden = |name: &&String| {
        !except.contains(&name.as_str())
            && forbidden.iter().copied().flatten().any(|rule| forbids(rule, name))
    };
    reached.iter().filter(is_forbidden).cloned().collect()
}

fn check(package: &str, forbidden: &[Forbidden], except: &[&str]) {
    let reached = reached(package);
    assert!(reached.contains(package), "{reached:?}");
    let except: Vec<&str> = except.iter().copied().chain([package]).collect();
    let broken = broken(&reached, forbidden, &except);
    assert!(
        broken.is_empty(),
        "{package} reaches {broken:?}; `cargo tree -p {package} -e normal -i <name>` shows how"
    );
}

#[test]
fn shared_memory_knows_nothing_of_ours() {
    check("lockfree-ipc", &[OURS, ASYNC, TEXT, ARROW], &[]);
}

#[test]
fn tuning_knows_nothing_of_ours() {
    check("rt-tuning", &[OURS, ASYNC, TEXT, ARROW], &[]);
}

#[test]
fn the_real_time_tier_knows_only_memory_and_tuning() {
    check("dora-rt", &[OURS, ASYNC, TEXT, ARROW, YAML], &["lockfree-ipc", "rt-tuning"]);
}

#[test]
fn the_daemon_gets_a_resolved_graph_and_never_looks_inside_a_payload() {
    check("dora-daemon", &[&["dora-descriptor", "dora-coordinator", "dora-arrow-codec"], ARROW, YAML], &[]);
}

#[test]
fn the_protocol_is_plain_data() {
    check("dora-protocol", &[OURS, ASYNC, ARROW, YAML], &[]);
}

#[test]
fn the_coordinator_has_no_part_in_the_machine() {
    let machine: Forbidden = &["lockfree-ipc", "rt-tuning", "dora-rt", "dora-daemon", "dora-arrow-codec"];
    check("dora-coordinator", &[machine, ARROW], &[]);
}

#[test]
fn the_descriptor_does_not_wait_for_anything() {
    check("dora-descriptor", &[ASYNC], &[]);
}

#[test]
fn nodes_stay_small() {
    for package in [
        "dora-arrow-codec",
        "dora-log-utils",
        "dora-node-api",
        "dora-node-api-c",
        "dora-python",
        "dora-operator-api",
    ] {
        check(
            package,
            &[&["dora-rt", "dora-daemon", "dora-coordinator", "dora-descriptor"], ASYNC, YAML],
            &[],
        );
    }
}

#[test]
fn the_process_of_operators_has_neither_the_daemon_nor_what_it_waits_with() {
    check("dora-runtime", &[&["dora-daemon", "dora-coordinator", "dora-descriptor"], ASYNC, YAML], &[]);
}

#[test]
fn the_check_sees_what_is_there() {
    assert_eq!(broken(&reached("dora-descriptor"), &[&["dora-proto*"]], &[]), ["dora-protocol"]);
    assert_eq!(broken(&reached("dora-rt"), &[OURS], &["dora-rt", "rt-tuning"]), ["lockfree-ipc"]);
    assert!(broken(&reached("dora-daemon"), &[ASYNC], &[]).contains(&"tokio".to_owned()));
}
