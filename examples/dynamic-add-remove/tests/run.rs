//! The script as a user runs it: each step says what it should, and nothing is left running.

use std::{net::TcpStream, path::Path};

#[path = "../../support/dora.rs"]
#[expect(dead_code, reason = "each example uses its part")]
mod dora;
#[path = "../../support/script.rs"]
mod script;

#[test]
fn filter_is_added_exchanged_removed_and_put_in_the_way_of_running_nodes() {
    let binaries =
        Path::new(env!("CARGO_BIN_EXE_dynamic-filter")).parent().expect("a binary lies in a folder");
    let port = script::free_port();
    let said = script::Copy::new(
        "dynamic-add-remove",
        "dynamic-add-remove",
        &dora::dora(binaries),
        &[("../../target/release", binaries.to_str().expect("UTF-8 path"))],
    )
    .env("DORA_COORDINATOR_PORT", &port.to_string())
    .run();
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    // In this order.
    let mut rest = said.out.as_str();
    for expected in [
        "node `filter` added",
        "sender/value -> filter/input",
        "filter/output -> receiver/filtered",
        "  receiver says: filtered: ",
        "node `filter` replaced",
        "  filter says: passes on every 5. number",
        "filter/output -x- receiver/filtered",
        "  receiver says: `filtered` is closed",
        "node `filter` removed",
        "  filter says: passes on every 3. number",
        "value <- filter/output",
        "sender\nreceiver\nfilter\n",
        "sender\nreceiver\n",
        "stopped the daemon and the coordinator",
    ] {
        let at = rest.find(expected);
        let at = at
            .unwrap_or_else(|| panic!("`{expected}` does not come in its turn:\n{}\n{}", said.out, said.err));
        rest = &rest[at + expected.len()..];
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the coordinator still runs");
}

#[test]
fn script_leaves_a_coordinator_alone_that_ran_before() {
    let binaries =
        Path::new(env!("CARGO_BIN_EXE_dynamic-filter")).parent().expect("a binary lies in a folder");
    let dora = dora::dora(binaries);
    let port = script::free_port();
    // A script of the same surroundings that fails on its way: the sender is not there.
    let mut copy =
        script::Copy::new("dynamic-add-remove", "left-alone", &dora, &[("../../target/release", "nowhere")])
            .env("DORA_COORDINATOR_PORT", &port.to_string());
    let folder = copy.folder();
    let run = |command: &str| {
        let home = folder.parent().expect("the copy has a folder");
        std::process::Command::new(&dora)
            .args(command.split(' '))
            .env("HOME", home.join("home"))
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("DORA_COORDINATOR_PORT", port.to_string())
            .output()
            .expect("dora starts")
    };
    assert!(run("up").status.success());
    let said = copy.run();
    let still_there = run("status").status.success();
    assert!(run("down").status.success());
    assert!(said.code == Some(1) && said.err.contains("nowhere"), "{said:?}");
    assert!(still_there, "{said:?}");
}
