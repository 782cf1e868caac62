//! Nodes on the real library in dataflows that the real `dora` runs: what only shows when all parts work together.
//!
//! A node is this very binary, started again with [`ROLE`] in its environment.

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

mod async_stream;
mod deadlines;
mod extension_table;
mod held_messages;
mod orphan;
mod real_time;
mod type_check;

use support::{Ended, Project};

/// Says which node this process is.
const ROLE: &str = "NODE_ROLE";
/// Begins each line that a node prints for its test.
const SAYS: &str = "says: ";

/// Not a test of its own: the entry of the processes that the tests start.
#[test]
fn plays_its_role() -> eyre::Result<()> {
    let Ok(role) = std::env::var(ROLE) else { return Ok(()) };
    match role.as_str() {
        "async sender" => async_stream::sender(),
        "async merger" => async_stream::merger(),
        "async waiter" => async_stream::waiter(),
        "deadline source" => deadlines::source(),
        "deadline relay" => deadlines::relay(),
        "deadline slow" => deadlines::slow(),
        "extension storer" => extension_table::storer(),
        "extension user" => extension_table::user(),
        "hoarder" => held_messages::hoarder(),
        "hoarded" => held_messages::sender(),
        "orphan" => orphan::node(),
        "real time" => real_time::node(),
        "mislabelled rt" => type_check::rt_sender(),
        "mislabelled" => type_check::sender(),
        "type reader" => type_check::reader(),
        other => eyre::bail!("no such role: {other}"),
    }
}

/// A node of the role `role`; `rest` are its other lines, indented by 4.
fn node(id: &str, role: &str, rest: &str) -> String {
    let program = std::env::current_exe().expect("a path").display().to_string();
    format!(
        "  - id: {id}\n    path: {program}\n    args: --exact plays_its_role --nocapture --quiet\n    \
         env: {{ {ROLE}: {role} }}\n{rest}"
    )
}

fn project(nodes: &[String]) -> Project {
    Project::new(&format!("nodes:\n{}", nodes.concat()))
}

/// What node `id` printed for its test, in order, from the lines of the log.
fn said(log: &str, id: &str) -> Vec<String> {
    let mark = format!("{id}: {SAYS}");
    let of_node = |line: &str| Some(line.split_once(&mark)?.1.to_owned());
    log.lines().filter_map(of_node).collect()
}

/// Prints a line for the test.
fn say(what: &str) {
    // A line of its own: the harness may have left its line open.
    println!("\n{SAYS}{what}");
}
