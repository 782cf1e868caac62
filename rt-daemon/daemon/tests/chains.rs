//! Chains of a dataflow that changes while it runs, with nodes that are written against the node library: each message that
//! is taken at the end is in the row of the chain, whoever takes it.

mod support;

use std::{future::Future, time::Duration};

use dora_daemon::report::ChainReport;
use dora_node_api::{DoraNode, Event, EventStream, IntoArrow, MetadataParameters, into_vec};
use dora_protocol::{
    dataflow::{Chain, Dataflow, EnvValue, Input, Source},
    policy::OnMiss,
};
use lockfree_ipc::Miss;
use support::{
    NodeExt, Outcome, ROLE,
    drive::{Driver, drive_here},
    node as role, patient,
};

/// Read after each change: far more than queues hold.
const READ: usize = 150;

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{}", support::BEGIN);
    if role == "misses at its end" {
        return misses_at_its_end();
    }
    let (node, events) = DoraNode::init_from_env().unwrap();
    println!("pid {}", std::process::id());
    println!("up {}", node.restart_count());
    match role.as_str() {
        "source" => source(node, events),
        "sink" => sink(events, None),
        "relay" => sink(events, Some(node)),
        other => panic!("no such role: {other}"),
    }
    std::process::exit(0);
}

fn send(node: &mut DoraNode, number: u64) {
    node.send_output("o".into(), MetadataParameters::default(), vec![number].into_arrow()).unwrap();
}

fn source(mut node: DoraNode, mut events: EventStream) {
    for number in 0.. {
        send(&mut node, number);
        if matches!(events.recv_timeout(Duration::from_millis(1)), None | Some(Event::Stop(_))) {
            return;
        }
    }
}

fn sink(mut events: EventStream, mut relay: Option<DoraNode>) {
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } if id.as_str() == "in" => {
                let number = into_vec::<u64>(&data).unwrap()[0];
                println!("read {number}");
                relay.iter_mut().for_each(|node| send(node, number));
            }
            _ => {}
        }
    }
}

/// Is late for a message when it is told to end, and has no time left to call for attention.
fn misses_at_its_end() {
    let (mut node, _) = support::node::TestNode::connect();
    println!("up {}", node.setup.run.restart_count);
    let mut log = node.status().miss_log();
    node.print_frames(|text| text == "stop");
    log.record(&Miss { chain: Some(0), latency_ns: 2_000_000, limit_ns: 1_000_000, ..Miss::default() });
    std::process::exit(0);
}

fn chain(name: &str, from: (u32, u32), to: (u32, u32), within: Duration) -> Chain {
    Chain { name: name.into(), from, to, within, on_miss: OnMiss::Warn }
}

/// `a` → `r` → `b`, and two chains over all of it: one that holds, and one that nothing could hold.
fn flow(folder: &std::path::Path) -> Dataflow {
    let nodes = vec![
        role("a", "source").output("o"),
        role("r", "relay").reads("in", 0, 0).output("o"),
        role("b", "sink").reads("in", 1, 0),
    ];
    let mut flow = support::dataflow(nodes, folder);
    let (from, to) = ((0, 0), (2, 0));
    flow.chains = vec![
        chain("reflex", from, to, Duration::from_secs(1000)),
        chain("hopeless", from, to, Duration::from_nanos(1)),
    ];
    flow
}

fn drive<F, Fut>(edit: impl FnOnce(&mut Dataflow), script: F) -> Outcome
where
    F: FnOnce(Driver) -> Fut,
    Fut: Future<Output = Driver>,
{
    let folder = tempfile::tempdir().unwrap();
    let mut flow = flow(folder.path());
    edit(&mut flow);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (result, events) = runtime.block_on(drive_here(flow, patient(), script));
    Outcome { result, events, folder }
}

/// Waits until `b` has read so many further messages.
async fn reads(driver: &mut Driver, node: &str) {
    let mut from = driver.seen.len();
    for _ in 0..READ {
        driver.line(&mut from, node, |line| line.starts_with("read ")).await;
    }
}

fn row<'a>(outcome: &'a Outcome, name: &str) -> &'a ChainReport {
    let rows = &outcome.report().chains;
    assert_eq!(rows.iter().filter(|row| row.name == name).count(), 1, "{rows:?}");
    rows.iter().find(|row| row.name == name).unwrap()
}

/// Messages that were taken at the end of the chains, by all processes together.
fn taken(outcome: &Outcome) -> u64 {
    outcome.report().edges.iter().filter(|edge| edge.to == "b/in").map(|edge| edge.taken).sum()
}

/// Every message taken is in both rows, also those whose beginning has ended meanwhile.
fn assert_counted(outcome: &Outcome) {
    assert_eq!(outcome.report().failure(), None);
    for name in ["reflex", "hopeless"] {
        let row = row(outcome, name);
        assert_eq!((row.traced, row.untraced), (taken(outcome), 0), "{row:?}");
        assert_eq!(row.latency.count, row.traced, "percentiles are those of all processes: {row:?}");
        assert_eq!(row.missed, if name == "reflex" { 0 } else { row.traced }, "{row:?}");
    }
}

fn version(flow: &mut Dataflow, node: usize, version: &str) {
    flow.nodes[node].env.insert("VERSION".into(), EnvValue::Text(version.into()));
}

#[test]
fn a_chain_is_watched_on_whichever_of_its_nodes_is_restarted() {
    let outcome = drive(
        |_| (),
        |mut driver| async move {
            reads(&mut driver, "b").await;
            for node in ["r", "b", "a", "b"] {
                driver.restart(node).await.unwrap();
                reads(&mut driver, "b").await;
            }
            // More inputs than its status page has room for: the next process gets a new one.
            let mut more = driver.flow.clone();
            for n in 0..16 {
                more.nodes[2] =
                    more.nodes[2].clone().input(&format!("t{n}"), Source::Timer { period_ns: 1_000_000_000 });
            }
            driver.apply(more, &[]).await.unwrap();
            driver.restart("b").await.unwrap();
            reads(&mut driver, "b").await;
            driver.stop();
            driver
        },
    );
    assert_counted(&outcome);
    assert!(taken(&outcome) >= 6 * READ as u64 && row(&outcome, "reflex").ended.is_none());
    assert!(outcome.report().misses.iter().all(|miss| miss.chain.as_deref() == Some("hopeless")));
    assert_eq!(outcome.report().misses.len(), 10, "those of former pages are not forgotten");
}

#[test]
fn a_chain_is_watched_on_whichever_of_its_nodes_is_replaced() {
    let outcome = drive(
        |_| (),
        |mut driver| async move {
            reads(&mut driver, "b").await;
            for node in ["a", "r", "b"] {
                driver.apply(driver.flow.clone(), &[node]).await.unwrap();
                reads(&mut driver, "b").await;
            }
            // All of them at once, with other numbers for the ends.
            let mut next = driver.flow.clone();
            (0..3).for_each(|node| version(&mut next, node, "2"));
            next.nodes[0] = next.nodes[0].clone().output("other");
            next.nodes[0].outputs.swap(0, 1);
            next.nodes[1].inputs[0].source = Source::Output { node: 0, output: 1 };
            let first = Input {
                id: "first".into(),
                source: Source::Timer { period_ns: 1_000_000_000 },
                ..next.nodes[2].inputs[0].clone()
            };
            next.nodes[2].inputs.insert(0, first);
            next.chains.iter_mut().for_each(|chain| (chain.from, chain.to) = ((0, 1), (2, 1)));
            driver.apply(next, &[]).await.unwrap();
            reads(&mut driver, "b").await;
            for node in ["a", "b"] {
                driver.restart(node).await.unwrap();
                reads(&mut driver, "b").await;
            }
            driver.stop();
            driver
        },
    );
    assert_counted(&outcome);
    assert!(taken(&outcome) >= 7 * READ as u64 && row(&outcome, "reflex").ended.is_none());
    assert!(
        !outcome.report().warnings.iter().any(|text| text.contains("chain")),
        "{:?}",
        outcome.report().warnings
    );
}

#[test]
fn edges_and_nodes_on_the_way_come_and_go_and_the_chain_stays() {
    let outcome = drive(
        // So that nobody ends when it is cut off.
        |flow| {
            let keep = Source::Timer { period_ns: 1_000_000_000_000 };
            (1..3).for_each(|n| flow.nodes[n] = flow.nodes[n].clone().input("keep", keep.clone()));
        },
        |mut driver| async move {
            reads(&mut driver, "b").await;
            let plain = driver.flow.clone();
            // A filter between `r` and `b`, then a second way beside it, then only that.
            let mut filtered = plain.clone();
            filtered.nodes.push(role("f", "relay").reads("in", 1, 0).output("o"));
            let (direct, through) =
                (Source::Output { node: 1, output: 0 }, Source::Output { node: 3, output: 0 });
            filtered.nodes[2].inputs[0].source = through.clone();
            let mut both = filtered.clone();
            both.nodes[2].inputs[0].more_sources = vec![direct.clone()];
            for flow in [filtered, both, plain.clone()] {
                driver.apply(flow, &[]).await.unwrap();
                reads(&mut driver, "b").await;
            }
            // Cut and joined again: nothing comes meanwhile.
            let mut cut = plain.clone();
            cut.nodes[1].inputs.remove(0);
            driver.apply(cut, &[]).await.unwrap();
            driver.apply(plain, &[]).await.unwrap();
            reads(&mut driver, "b").await;
            driver.stop();
            driver
        },
    );
    assert_counted(&outcome);
    assert!(taken(&outcome) >= 5 * READ as u64 && row(&outcome, "reflex").ended.is_none());
}

#[test]
fn a_chain_that_loses_an_end_has_ended_with_what_it_counted_and_may_come_again() {
    let outcome = drive(
        |_| (),
        |mut driver| async move {
            reads(&mut driver, "b").await;
            let plain = driver.flow.clone();
            let mut without = plain.clone();
            without.nodes.remove(2);
            without.chains.clear();
            driver.apply(without.clone(), &[]).await.unwrap();
            // Another node in that place is none where chains end.
            without.nodes.push(role("c", "sink").reads("in", 1, 0));
            driver.apply(without, &[]).await.unwrap();
            reads(&mut driver, "c").await;
            let mut again = plain.clone();
            again.nodes.push(role("c", "sink").reads("in", 1, 0));
            again.chains.truncate(1);
            driver.apply(again, &[]).await.unwrap();
            reads(&mut driver, "b").await;
            driver.stop();
            driver
        },
    );
    assert_eq!(outcome.report().failure(), None);
    let (reflex, hopeless) = (row(&outcome, "reflex"), row(&outcome, "hopeless"));
    assert_eq!((reflex.traced + reflex.untraced, reflex.untraced), (taken(&outcome), 0), "{reflex:?}");
    assert!(reflex.ended.is_none() && reflex.traced >= hopeless.traced + READ as u64, "{reflex:?}");
    assert!(hopeless.traced >= READ as u64 && hopeless.missed == hopeless.traced, "{hopeless:?}");
    let ended = hopeless.ended.as_ref().unwrap();
    assert!(ended.reason == "node `b` was removed" && ended.at_s > 0.0, "{ended:?}");
    let said = format!("{} messages were traced, {0} of them late", hopeless.traced);
    let warnings = &outcome.report().warnings;
    assert!(
        warnings
            .iter()
            .any(|text| text.starts_with("chain `hopeless` ended after ") && text.ends_with(&said)),
        "{warnings:?}"
    );
}

#[test]
fn a_chain_whose_beginning_is_removed_ends_and_its_end_goes_on_without_it() {
    let outcome = drive(
        |flow| {
            flow.nodes.push(role("x", "source").output("o"));
            flow.nodes[2].inputs[0].more_sources = vec![Source::Output { node: 3, output: 0 }];
            flow.nodes[2].restart.policy = dora_protocol::policy::RestartPolicy::OnFailure;
        },
        |mut driver| async move {
            reads(&mut driver, "b").await;
            let mut without = driver.flow.clone();
            without.nodes.remove(0);
            without.nodes[0].inputs.clear();
            without.nodes[1].inputs[0].source = Source::Output { node: 0, output: 0 };
            without.nodes[1].inputs[0].more_sources = vec![Source::Output { node: 2, output: 0 }];
            without.chains.clear();
            driver.apply(without, &[]).await.unwrap();
            reads(&mut driver, "b").await;
            driver.restart("b").await.unwrap();
            reads(&mut driver, "b").await;
            driver.stop();
            driver
        },
    );
    assert_eq!(outcome.report().failure(), None);
    for name in ["reflex", "hopeless"] {
        let row = row(&outcome, name);
        assert_eq!(row.ended.as_ref().unwrap().reason, "node `a` was removed");
        assert!(row.traced > 0 && row.untraced > 0, "`x` is no beginning: {row:?}");
        assert!(row.traced + row.untraced <= taken(&outcome) - READ as u64, "it counted on: {row:?}");
    }
}

#[test]
fn a_chain_that_comes_later_is_watched_when_its_nodes_are_replaced_with_it_and_else_that_is_said() {
    let outcome = drive(
        |flow| flow.chains.clear(),
        |mut driver| async move {
            reads(&mut driver, "b").await;
            let mut wanted = driver.flow.clone();
            wanted.chains = vec![chain("late", (0, 0), (2, 0), Duration::from_secs(1000))];
            driver.apply(wanted.clone(), &[]).await.unwrap();
            reads(&mut driver, "b").await;
            driver.apply(wanted.clone(), &["a", "b"]).await.unwrap();
            reads(&mut driver, "b").await;
            // Another bound, which nothing can hold.
            wanted.chains[0].within = Duration::from_nanos(1);
            wanted.chains[0].on_miss = OnMiss::Stop;
            driver.apply(wanted.clone(), &[]).await.unwrap();
            reads(&mut driver, "b").await;
            driver.apply(wanted, &["b"]).await.unwrap();
            driver
        },
    );
    let [first, second] = &outcome.report().chains[..] else { panic!("{:?}", outcome.report().chains) };
    assert!(first.traced > 0 && first.missed == 0, "{first:?}");
    assert_eq!(first.ended.as_ref().unwrap().reason, "it is not in the dataflow any more");
    assert!(second.missed > 0 && second.within_us < 1.0 && second.ended.is_none(), "{second:?}");
    let told: Vec<_> = outcome
        .report()
        .warnings
        .iter()
        .filter(|text| text.starts_with("chain `late` is not watched"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("replace `a`") && told[1].contains("replace `b`"), "{told:?}");
    let failure = outcome.report().failure().unwrap();
    assert!(failure.contains("b: missed a deadline: chain `late`"), "{failure}");
}

#[test]
fn a_miss_that_must_not_be_is_heard_though_its_process_ends_with_it() {
    let outcome = drive(
        |flow| {
            flow.nodes[2] = role("b", "misses at its end").reads("in", 1, 0);
            flow.chains[0].on_miss = OnMiss::Stop;
        },
        |mut driver| async move {
            let mut from = 0;
            driver.line(&mut from, "b", |line| line == "up 0").await;
            driver.apply(driver.flow.clone(), &["b"]).await.unwrap_err();
            driver
        },
    );
    let failure = outcome.report().failure().unwrap();
    assert!(failure.contains("b: missed a deadline: chain `reflex`: 2.00 ms until `b/in` took"), "{failure}");
}

#[test]
fn a_chain_of_nodes_that_are_not_there_is_refused() {
    drive(
        |_| (),
        |mut driver| async move {
            driver.pid("b", 0).await;
            for (from, to) in [((9, 0), (2, 0)), ((0, 9), (2, 0)), ((0, 0), (9, 0)), ((0, 0), (2, 9))] {
                let mut wrong = driver.flow.clone();
                wrong.chains.push(chain("wrong", from, to, Duration::from_secs(1)));
                let error = driver.apply(wrong, &[]).await.unwrap_err();
                assert!(error.contains("an end of chain `wrong` does not exist"), "{error}");
            }
            driver.stop();
            driver
        },
    );
}
