//! Commands of the lifecycle with a real coordinator, a real daemon and real nodes.
//!
//! A node is this very binary, started again with [`ROLE`] in its environment. Every test has a pair of its own: home folder,
//! runtime folder and port.

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

mod attached;
mod chains;
mod changes;
mod flood;
mod lifecycle;
#[path = "../cli/pair.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod pair;
mod real_time;
#[path = "../lifecycle/terminal.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod terminal;

use dora_node_api::{DoraNode, Event};
use pair::wait;

/// Says which node this process is.
const ROLE: &str = "NODE_ROLE";

/// Not a test of its own: the entry of the processes that the tests start.
#[test]
fn plays_its_role() -> eyre::Result<()> {
    let Ok(role) = std::env::var(ROLE) else { return Ok(()) };
    match role.as_str() {
        "ticker" => ticker(u64::MAX),
        "ticker of three" => ticker(3),
        "listener" => listener(),
        "passer" => chains::passer(),
        "real time" => real_time::node(),
        "flood" => flood::node(),
        "punctual" => flood::punctual(),
        "failing" => {
            eprintln!("no camera there");
            std::process::exit(3)
        }
        other => eyre::bail!("no such role: {other}"),
    }
}

/// Sends a number for each tick, and says what its parameters are.
fn ticker(most: u64) -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    println!("\nticker is up");
    let mut sent = 0_u64;
    while sent < most {
        match events.recv() {
            Some(Event::Input { .. }) => {
                node.send_output("number".into(), Default::default(), sent)?;
                sent += 1;
            }
            Some(Event::ParamUpdate { key, value }) => println!("{key} is {value}"),
            Some(Event::ParamDeleted { key }) => println!("{key} is gone"),
            Some(Event::Stop(_)) | None => break,
            Some(_) => {}
        }
    }
    Ok(())
}

/// Says which inputs have begun and ended.
fn listener() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    println!("\nlistener is up");
    let mut heard = std::collections::BTreeSet::new();
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, .. } if heard.insert(id.to_string()) => println!("first of {id}"),
            Event::InputClosed { id } => println!("{id} is closed"),
            Event::Stop(_) => break,
            _ => {}
        }
    }
    Ok(())
}

/// A node of this role; `rest` are its other lines, indented by 4.
fn node(id: &str, role: &str, rest: &str) -> String {
    let program = std::env::current_exe().expect("a path").display().to_string();
    format!(
        "  - id: {id}\n    path: {program}\n    args: --exact plays_its_role --nocapture --quiet\n    \
         env: {{ {ROLE}: {role} }}\n{rest}"
    )
}

/// `ticker` ticks, `listener` listens to it.
fn flow() -> String {
    format!(
        "nodes:\n{}{}",
        ticker_node("ticker"),
        node("listener", "listener", "    inputs: { a: ticker/number }\n")
    )
}

fn ticker_node(role: &str) -> String {
    node("ticker", role, "    inputs: { tick: dora/timer/millis/20 }\n    outputs: [number]\n")
}

/// A node for `--from-yaml`: the same, without the list.
fn alone(id: &str, role: &str, rest: &str) -> String {
    node(id, role, rest).replacen("  - ", "    ", 1).lines().map(|line| format!("{}\n", &line[4..])).collect()
}
