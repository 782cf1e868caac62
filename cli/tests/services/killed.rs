//! Coordinator and daemon killed with SIGKILL.

use crate::{
    counting,
    pair::{Pair, kill, lives, wait},
    visit,
};

/// How far the checker of a dataflow has come.
fn reached(pair: &Pair, dataflow: &str) -> u64 {
    let said = pair.said(dataflow);
    assert!(!said.iter().any(|line| line.starts_with("gap")), "{said:?}");
    said.iter().filter_map(|line| line.strip_prefix("reached ")?.parse().ok()).max().unwrap_or(0)
}

#[test]
fn a_coordinator_that_was_killed_comes_back_to_the_same_list_and_no_message_was_missed() {
    let pair = Pair::up(&counting());
    pair.start("it");
    pair.start("other");
    pair.good(&["stop", "other"]);
    let before = pair.list();
    assert_eq!(before.len(), 2, "{before:?}");
    wait("the first messages", || reached(&pair, "it") > 0);
    let (nodes, daemon) = (pair.pids("it"), pair.daemon());
    for _ in 0..3 {
        kill(pair.coordinator());
        let lost = pair.dora(&["list"]);
        assert!(lost.code == Some(1) && lost.err.contains("dora up"), "{lost:?}");
        pair.good(&["up"]);
        wait("the same list", || pair.list() == before);
        assert_eq!(pair.daemon(), daemon);
        let now = reached(&pair, "it");
        wait("more messages", || reached(&pair, "it") > now);
        assert_eq!(pair.pids("it"), nodes, "the nodes are the same");
    }
    let stopped = pair.dora(&["stop", "it"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(nodes.iter().all(|pid| !lives(*pid)));
}

#[test]
fn a_dynamic_node_finds_its_place_after_each_of_ten_lost_coordinators() {
    let late = "  - id: late\n    path: dynamic\n    inputs: { n: source/n }\n";
    let pair = Pair::up(&(counting() + late));
    pair.start("it");
    for n in 0..10 {
        kill(pair.coordinator());
        if n % 2 == 0 {
            pair.good(&["up"]);
        }
        // Every other time nobody is there for the daemon to speak to.
        wait("a free place", || {
            let guest = visit(&pair, &[]);
            let said = String::from_utf8_lossy(&guest.stderr);
            // The daemon may not have heard yet that the visitor before has gone.
            let is_fine = guest.status.success() || said.contains("is taken");
            assert!(is_fine, "{n}: {said}\nthe daemon: {}", pair.daemon_log());
            guest.status.success()
        });
        if n % 2 == 1 {
            pair.good(&["up"]);
        }
    }
    assert!(reached(&pair, "it") > 0);
}

#[test]
fn a_coordinator_that_comes_back_with_an_empty_store_is_told_everything() {
    let pair = Pair::up(&counting());
    pair.start("it");
    let before = pair.list();
    pair.good(&["param", "set", "source", "gain", "7"]);
    kill(pair.coordinator());
    pair.good(&["up", "--recreate-store"]);
    wait("the same list", || pair.list() == before);
    assert_eq!(pair.good(&["param", "get", "source", "gain"]).trim(), "7");
    pair.good(&["restart", "it"]);
    assert!(pair.list().iter().any(|row| row.contains("Running")), "its descriptor was known, too");
}

#[test]
fn nothing_survives_a_daemon_that_was_killed_and_the_next_one_works() {
    let pair = Pair::up(&counting());
    pair.start("it");
    wait("the nodes' ids", || pair.pids("it").len() == 2);
    let nodes = pair.pids("it");
    kill(pair.daemon());
    wait("the end of the nodes", || nodes.iter().all(|pid| !lives(*pid)));
    let up = pair.good(&["up"]);
    assert!(up.contains("the coordinator runs already") && up.contains("started the daemon"), "{up}");
    pair.start("next");
    let folder = pair.project.path("run/dora");
    let left: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(
        left,
        [format!("daemon-{}.sock", pair.port).as_str()],
        "the next one has taken over what is left"
    );
    assert!(pair.list().iter().any(|row| row.contains("next") && row.contains("Running")));
}

#[test]
fn down_ends_a_daemon_whose_coordinator_is_gone() {
    let pair = Pair::up(&counting());
    pair.start("it");
    wait("the nodes' ids", || pair.pids("it").len() == 2);
    let (nodes, daemon) = (pair.pids("it"), pair.daemon());
    kill(pair.coordinator());
    let down = pair.good(&["down"]);
    assert!(down.contains("there was no coordinator"), "{down}");
    assert!(!lives(daemon) && nodes.iter().all(|pid| !lives(*pid)));
}
