//! The background processes: started, stopped, killed, spoken to in other tongues.
//!
//! A node is this very binary, started again with [`ROLE`] in its environment.

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

mod killed;
mod matrix;
#[path = "../cli/pair.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod pair;
mod strangers;
mod up_down;

use dora_node_api::{DoraNode, Event};
use pair::SAYS;

/// Says which node this process is.
const ROLE: &str = "NODE_ROLE";

/// Not a test of its own: the entry of the processes that the tests start.
#[test]
fn plays_its_role() -> eyre::Result<()> {
    let Ok(role) = std::env::var(ROLE) else { return Ok(()) };
    match role.as_str() {
        "source" => source(),
        "checker" => checker(),
        "guest" => guest(),
        other => eyre::bail!("no such role: {other}"),
    }
}

/// Prints a line for the test, on a line of its own: the harness may have left its line open.
fn say(what: &str) {
    println!("\n{SAYS}{what}");
}

/// Tells the test our process id: in the log, and at once by a file.
fn announce(role: &str) -> eyre::Result<()> {
    say(&format!("pid {}", std::process::id()));
    Ok(std::fs::write(format!("alive_{role}_{}", std::process::id()), "")?)
}

/// Counts its ticks.
fn source() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    announce("source")?;
    let mut sent = 0_u64;
    loop {
        match events.recv() {
            Some(Event::Input { .. }) => {
                node.send_output("n".into(), Default::default(), sent)?;
                sent += 1;
            }
            Some(Event::Stop(_)) | None => return Ok(()),
            Some(_) => {}
        }
    }
}

/// Expects every number, and says how far it is at each hundredth.
fn checker() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    announce("checker")?;
    let mut next = 0_u64;
    loop {
        match events.recv() {
            Some(Event::Input { data, .. }) => {
                let n = u64::try_from(&data)?;
                if n != next {
                    say(&format!("gap: {n} instead of {next}"));
                }
                next = n + 1;
                if next.is_multiple_of(100) {
                    say(&format!("reached {next}"));
                }
            }
            Some(Event::Stop(_)) | None => return Ok(()),
            Some(_) => {}
        }
    }
}

/// Takes its place, hears one number, and goes.
fn guest() -> eyre::Result<()> {
    let (node, mut events) = DoraNode::init_from_node_id("late".parse()?)?;
    loop {
        match events.recv() {
            Some(Event::Input { .. }) => break,
            Some(Event::Stop(_)) | None => eyre::bail!("nothing was heard"),
            Some(_) => {}
        }
    }
    drop((node, events));
    Ok(())
}

/// A dynamic node comes, hears a message, and goes. `wrapper` is the beginning of its command line.
fn visit(pair: &pair::Pair, wrapper: &[&str]) -> std::process::Output {
    let own = std::env::current_exe().expect("a path");
    let mut words = wrapper.iter().map(std::ffi::OsStr::new).chain([own.as_os_str()]);
    std::process::Command::new(words.next().expect("a program"))
        .args(words)
        .args(["--exact", "plays_its_role", "--nocapture"])
        .env(ROLE, "guest")
        .env("XDG_RUNTIME_DIR", pair.project.path("run"))
        .env("DORA_DAEMON_LOCAL_LISTEN_PORT", pair.port.to_string())
        .output()
        .expect("it starts")
}

/// A node of the role `role`; `rest` are its other lines, indented by 4.
fn node(id: &str, role: &str, rest: &str) -> String {
    let program = std::env::current_exe().expect("a path").display().to_string();
    format!(
        "  - id: {id}\n    path: {program}\n    args: --exact plays_its_role --nocapture --quiet\n    \
         env: {{ {ROLE}: {role} }}\n{rest}"
    )
}

/// One node counts at 500 Hz, the other checks that nothing is missing.
fn counting() -> String {
    let source = "    inputs: { tick: dora/timer/millis/2 }\n    outputs: [n]\n";
    let checker = "    inputs: { n: { source: source/n, queue_policy: backpressure } }\n";
    format!("nodes:\n{}{}", node("source", "source", source), node("checker", "checker", checker))
}
