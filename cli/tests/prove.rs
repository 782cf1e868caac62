//! `dora prove` on real processes: the real-time API is clean, and each thing that does not belong on a hot path is found
//! where it was planted.
//!
//! A node is this very binary, started again with [`ROLE`] in its environment. What is checked are counts, never times: a
//! slow machine only takes longer to get the messages together.
#![cfg(target_os = "linux")]

#[path = "cli/support.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{hint::black_box, sync::mpsc, thread};

use dora_node_api::{
    DoraNode,
    rt::{Event, RtNode},
};
use rustix::thread::{CapabilitySet, capabilities};
use serde_json::Value;
use support::{Ended, Project};

const ROLE: &str = "PROVE_ROLE";
/// What a node does beside its work, for each message.
const PLANT: &str = "PROVE_PLANT";

/// Not a test of its own: the entry of the processes that the tests start.
#[test]
fn plays_its_role() -> eyre::Result<()> {
    match std::env::var(ROLE).as_deref() {
        Err(_) => Ok(()),
        Ok("ticker") => ticker(),
        Ok("reader") => reader(),
        Ok("elsewhere") => elsewhere(),
        Ok("familiar") => familiar(),
        Ok("short") => short(),
        Ok(other) => eyre::bail!("no such role: {other}"),
    }
}

/// What was planted.
fn plant() -> eyre::Result<Box<dyn FnMut()>> {
    Ok(match std::env::var(PLANT).as_deref() {
        Err(_) => Box::new(|| {}),
        Ok("allocation") => Box::new(|| drop(black_box(Box::new(7u64)))),
        Ok("system call") => Box::new(|| {
            black_box(std::process::id());
        }),
        // So large that the C library maps it anew each time.
        Ok("page fault") => Box::new(|| black_box(&mut vec![0u8; 64 << 20])[1 << 20] = 1),
        Ok("lock") => {
            let (question, asked) = mpsc::sync_channel(1);
            let (reply, answer) = mpsc::sync_channel(1);
            thread::spawn(move || asked.iter().try_for_each(|()| reply.send(())));
            Box::new(move || {
                // The other thread lives as long as this one asks.
                question.send(()).unwrap();
                answer.recv().unwrap();
            })
        }
        Ok(other) => eyre::bail!("no such plant: {other}"),
    })
}

/// Sends a number at each tick.
fn ticker() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    let (tick, number) = (node.timer("tick")?, node.output::<u64>("number", 1)?);
    let mut extra = plant()?;
    loop {
        match node.wait() {
            Event::Tick(at) if at == tick => {
                extra();
                node.send(&number, &[at.count])?;
            }
            Event::Stop(_) | Event::Closed => return Ok(()),
            _ => {}
        }
    }
}

/// Reads the numbers, and answers each.
fn reader() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    let (number, sum) = (node.input::<u64>("number")?, node.output::<u64>("sum", 1)?);
    let mut total = 0;
    loop {
        match node.wait() {
            Event::Input(input) if input == number => {
                total += node.read(&number)?.iter().sum::<u64>();
                node.send(&sum, &[total])?;
            }
            Event::Stop(_) | Event::Closed => return Ok(()),
            _ => {}
        }
    }
}

/// Handles its messages on another thread than the one that initialised it.
fn elsewhere() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    let work = move || while !matches!(node.wait(), Event::Stop(_) | Event::Closed) {};
    thread::spawn(work).join().map_err(|_| eyre::eyre!("the other thread failed"))
}

/// The same as a ticker, with the API that is made for convenience.
fn familiar() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    while let Some(event) = events.recv() {
        if matches!(event, dora_node_api::Event::Input { .. }) {
            node.send_output("number".into(), Default::default(), 5u64)?;
        }
    }
    Ok(())
}

/// Ends after a few ticks.
fn short() -> eyre::Result<()> {
    let mut node = RtNode::init_from_env()?;
    for _ in 0..5 {
        node.wait();
    }
    Ok(())
}

/// A node of the role `role` with `plant`; `rest` are its other lines, indented by 4.
fn node(id: &str, role: &str, plant: &str, rest: &str) -> String {
    let program = std::env::current_exe().expect("a path").display().to_string();
    let plant = if plant.is_empty() { String::new() } else { format!(", {PLANT}: {plant}") };
    format!(
        "  - id: {id}\n    path: {program}\n    args: --exact plays_its_role --nocapture --quiet\n    \
         env: {{ {ROLE}: {role}{plant} }}\n{rest}"
    )
}

const TICKS: &str = "    inputs: { tick: dora/timer/millis/1 }\n";
const RT: &str = "    rt: { policy: fifo, priority: 7 }\n";

fn ticking(plant: &str, rt: &str) -> String {
    node("ticker", "ticker", plant, &format!("{TICKS}    outputs: [number]\n{rt}"))
}

/// 600 messages of these nodes.
fn prove(nodes: &[String], flags: &[&str]) -> (Ended, Value) {
    prove_long(nodes, &[&["--messages", "600"], flags].concat())
}

/// `dora prove --json` on these nodes: how it ended, and what it says.
fn prove_long(nodes: &[String], flags: &[&str]) -> (Ended, Value) {
    let flow = Project::new(&format!("nodes:\n{}", nodes.concat()));
    let flags = [&["prove", "flow.yml", "--json", "--for", "100s", "--warm-up", "500ms"], flags].concat();
    let ended = flow.dora(&flags);
    let document = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error} in {ended:#?}"));
    (ended, document)
}

fn row<'a>(document: &'a Value, node: &str) -> &'a Value {
    let rows = document["nodes"].as_array().expect("a list");
    rows.iter().find(|row| row["node"] == node).unwrap_or_else(|| panic!("no {node} in {document:#}"))
}

/// The thread that handles the messages.
fn data<'a>(document: &'a Value, node: &str) -> &'a Value {
    let threads = row(document, node)["threads"].as_array().expect("a list");
    threads.iter().find(|thread| thread["role"] == "data").unwrap_or_else(|| panic!("{document:#}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn taken(document: &Value, node: &str) -> u64 {
    number(&row(document, node)["taken"])
}

/// Memory can be locked, and system calls be counted.
fn has_all_rights(document: &Value) -> bool {
    let may_lock = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::IPC_LOCK));
    let counted = counts_system_calls(document);
    if !may_lock {
        println!("skipped: needs CAP_IPC_LOCK");
    }
    may_lock && counted
}

fn counts_system_calls(document: &Value) -> bool {
    let rows = document["nodes"].as_array().expect("a list");
    let all = |row: &Value| data(document, row["node"].as_str().unwrap())["system_calls"]["all"].is_u64();
    let counted = rows.iter().filter(|row| row["threads"] != Value::Array(vec![])).all(all);
    if !counted {
        println!("skipped: needs CAP_PERFMON");
    }
    counted
}

#[test]
fn real_time_api_is_clean_through_real_processes() {
    // With a deadline there is something for the daemon's real-time thread to watch.
    let rest = format!(
        "    inputs: {{ number: {{ source: ticker/number, deadline: 50ms }} }}\n    outputs: [sum]\n{RT}"
    );
    let reader = node("reader", "reader", "", &rest);
    let (ended, document) = prove_long(&[ticking("", RT), reader], &["--messages", "6000"]);
    for node in ["ticker", "reader"] {
        let calls = &data(&document, node)["allocator"];
        for kind in ["allocations", "reallocations", "frees"] {
            assert_eq!(number(&calls[kind]), 0, "{node}: {ended:#?}");
        }
        assert!(taken(&document, node) >= 1000, "{document:#}");
    }
    if !has_all_rights(&document) {
        return;
    }
    assert!(number(&data(&document, "dora")["voluntary_switches"]) > 0, "it watches: {document:#}");
    for node in ["ticker", "reader", "dora"] {
        let (row, thread) = (row(&document, node), data(&document, node));
        let messages = number(&row["taken"]) + number(&row["sent"]);
        // The kernel itself causes one now and then when it moves a page of a machine that is short of memory.
        let faults = number(&thread["minor_faults"]) + number(&thread["major_faults"]);
        assert!(faults <= messages / 1000, "{document:#}");
        assert_eq!(number(&thread["locks_that_slept"]), 0, "{document:#}");
        if faults == 0 {
            assert_eq!(row["verdict"], "clean", "{document:#}");
        }
        // It sleeps once and wakes once for the two messages of a tick; a few more when a wake-up was for nothing.
        let calls = number(&thread["system_calls"]["all"]);
        assert!(calls > 0 && calls <= messages + messages / 10, "{calls} in {messages}: {document:#}");
    }
    let broken = document["broken"].as_array().is_some_and(|broken| !broken.is_empty());
    assert_eq!(ended.code, Some(i32::from(broken)), "{ended:#?}");
}

#[test]
fn planted_allocation_is_found_and_ends_with_exit_code_1() {
    let (ended, document) = prove(&[ticking("allocation", RT)], &[]);
    let calls = &data(&document, "ticker")["allocator"];
    let (messages, allocations) = (taken(&document, "ticker"), number(&calls["allocations"]));
    // The counters of messages and of allocations are read one after the other.
    assert!(allocations.abs_diff(messages) <= messages / 10 + 5, "{allocations} in {messages}: {document:#}");
    assert!(number(&calls["frees"]).abs_diff(allocations) <= 1, "{document:#}");
    assert_eq!(row(&document, "ticker")["verdict"], "broken", "{document:#}");
    assert_eq!(document["broken"], serde_json::json!(["ticker"]), "{document:#}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.err.contains("hot path NOT clean: ticker"), "{}", ended.err);
}

#[test]
fn planted_system_call_is_found_by_its_name() {
    let (ended, document) = prove(&[ticking("system call", RT)], &[]);
    if !counts_system_calls(&document) {
        return;
    }
    let names = &data(&document, "ticker")["system_calls"]["by_name"];
    let (messages, calls) = (taken(&document, "ticker"), number(&names["getpid"]));
    assert!(calls.abs_diff(messages) <= messages / 10 + 5, "{calls} in {messages}: {document:#}");
    assert!(row(&document, "ticker")["breaches"][0].as_str().unwrap().contains("getpid"), "{document:#}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}

#[test]
fn planted_wait_for_another_thread_is_found_as_a_lock_that_slept() {
    let (ended, document) = prove(&[ticking("lock", RT)], &[]);
    if !counts_system_calls(&document) {
        return;
    }
    assert!(number(&data(&document, "ticker")["locks_that_slept"]) > 0, "{document:#}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}

#[test]
fn nodes_without_an_rt_block_are_reported_and_only_judged_when_named() {
    let flow = || [ticking("page fault", "")];
    let (ended, document) = prove(&flow(), &[]);
    assert_eq!(
        (ended.code, &row(&document, "ticker")["verdict"]),
        (Some(0), &"reported".into()),
        "{ended:#?}"
    );
    let (ended, document) = prove(&flow(), &["--node", "ticker"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let faults = number(&data(&document, "ticker")["minor_faults"]);
    assert!(faults >= taken(&document, "ticker") / 2, "{document:#}");
    let flow = Project::new(&format!("nodes:\n{}", flow().concat()));
    let ended = flow.dora(&["prove", "flow.yml", "--node", "tocker"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("no node `tocker`; it has ticker"), "{}", ended.err);
}

#[test]
fn messages_that_another_thread_handles_prove_nothing_about_the_node() {
    let (ended, document) = prove(&[node("arm", "elsewhere", "", &format!("{TICKS}{RT}"))], &[]);
    let breaches = row(&document, "arm")["breaches"].to_string();
    assert!(breaches.contains("handled by another thread"), "{document:#}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}

#[test]
fn node_that_ends_before_its_warm_up_is_not_called_clean() {
    let (ended, document) = prove(&[node("brief", "short", "", &format!("{TICKS}{RT}"))], &[]);
    let breaches = row(&document, "brief")["breaches"].to_string();
    assert!(breaches.contains("no message after its warm-up"), "{document:#}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}

#[test]
fn verdicts_for_people_are_on_stdout_and_what_nodes_print_is_not() {
    let flow = Project::new(&format!(
        "nodes:\n{}{}",
        ticking("allocation", RT),
        node("other", "familiar", "", &format!("{TICKS}    outputs: [number]\n"))
    ));
    let ended = flow.dora(&["prove", "flow.yml", "--messages", "600", "--for", "100s", "--warm-up", "500ms"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for text in ["✘ ticker  ", " allocations per message (", "· other  ", "hot path NOT clean: ticker"] {
        assert!(ended.out.contains(text), "no `{text}` in {}", ended.out);
    }
    assert!(ended.out.starts_with("flow: counted for "), "{}", ended.out);
}
