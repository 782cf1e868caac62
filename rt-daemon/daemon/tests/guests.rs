//! Dynamic nodes: they take their place through the socket of the daemon, leave it, are killed, and come again.

mod support;

use std::{os::unix::net::UnixStream, path::Path, time::Duration};

use dora_daemon::{
    control::NodeStatus,
    options::{Listener, RunOptions},
};
use dora_protocol::{
    dataflow::{Node, NodeKind},
    node_link::{ENV_NODE_CONFIG, ToNode},
};
use support::{
    NodeExt, Outcome, ROLE,
    drive::{Driver, drive_here},
    live::Live,
    node as role,
    node::TestNode,
    patient, program_node,
};

const SOCKET: &str = "DORA_TEST_SOCKET";
const PLACE: &str = "DORA_TEST_PLACE";

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn plays_its_role() {
    if let Ok(role) = std::env::var(ROLE) {
        println!("{}", support::BEGIN);
        if support::live::play(&role) {
            std::process::exit(0);
        }
        panic!("no such role: {role}");
    }
    let (Ok(socket), Ok(place)) = (std::env::var(SOCKET), std::env::var(PLACE)) else { return };
    let mut live = Live::on(TestNode::attach(Path::new(&socket), &place).unwrap());
    // Sends one message, says hello by that, and stays.
    live.send(0, 1000, 200);
    while !live.obey(Duration::from_millis(5)).iter().any(|heard| heard == "stop" || heard == "gone") {
        live.take();
    }
    live.done();
    std::process::exit(0);
}

fn dynamic(id: &str) -> Node {
    let mut node = program_node(id, "", vec![]);
    node.kind = NodeKind::Dynamic;
    node
}

/// `d` reads from `a` and sends to `b`.
fn nodes() -> Vec<Node> {
    vec![
        role("a", "beat").output("o"),
        dynamic("d").reads("in", 0, 0).output("o"),
        role("b", "collect").reads("in", 1, 0),
    ]
}

/// As `drive`, with a listener in a folder of its own.
fn drive_with_listener<F, Fut>(nodes: Vec<Node>, script: F) -> Outcome
where
    F: FnOnce(Driver, std::path::PathBuf) -> Fut,
    Fut: Future<Output = Driver>,
{
    let folder = tempfile::tempdir().unwrap();
    let flow = support::dataflow(nodes, folder.path());
    let path = folder.path().join("run/daemon-1.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (result, events) = runtime.block_on(async {
        let listener = Listener::bind(&path).unwrap();
        let options = RunOptions { listener: Some(listener), ..patient() };
        drive_here(flow, options, |driver| script(driver, path.clone())).await
    });
    Outcome { result, events, folder }
}

/// A process that takes the place `d`.
fn guest(path: &Path) -> std::process::Child {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "plays_its_role", "--quiet"]).env_remove(ENV_NODE_CONFIG);
    command.env(SOCKET, path).env(PLACE, "d").stdout(std::process::Stdio::null()).spawn().unwrap()
}

async fn is(driver: &mut Driver, status: NodeStatus) {
    for _ in 0..6000 {
        if driver.node("d").await.status == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("`d` never was {status:?}");
}

async fn refused(path: &Path, place: &'static str) -> String {
    let path = path.to_owned();
    let asked = tokio::task::spawn_blocking(move || TestNode::attach(&path, place).map(drop));
    asked.await.unwrap().unwrap_err()
}

#[test]
fn a_killed_dynamic_node_frees_its_place_and_the_next_one_takes_it() {
    let outcome = drive_with_listener(nodes(), |mut driver, path| async move {
        driver.pid("b", 0).await;
        is(&mut driver, NodeStatus::Detached).await;
        let unknown = refused(&path, "nobody").await;
        assert!(unknown.contains("there is `d` of `flow`"), "{unknown}");
        for n in 0..5 {
            let mut child = guest(&path);
            driver.next_line("b", |line| line == "read in d 1000").await;
            is(&mut driver, NodeStatus::Running).await;
            let taken = refused(&path, "d").await;
            assert!(taken.contains("is taken; free: none"), "{taken}");
            child.kill().unwrap();
            child.wait().unwrap();
            is(&mut driver, NodeStatus::Detached).await;
            assert!(driver.seen.len() > n);
        }
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    let told = outcome.printed("b");
    assert_eq!(told.iter().filter(|line| *line == "read in d 1000").count(), 5);
    let last = told.iter().rposition(|line| line == "read in d 1000").unwrap();
    assert!(!told[..last].iter().any(|line| line == "closed in"), "{told:?}");
    for edge in &outcome.report().edges {
        assert_eq!(edge.sent, edge.taken + edge.overwritten + edge.flushed + edge.queued, "{edge:?}");
    }
}

#[test]
fn nobody_waits_for_a_dynamic_node_and_it_ends_with_the_others() {
    let mut nodes = nodes();
    nodes[2] = role("b", "collect");
    let outcome = drive_with_listener(nodes, |mut driver, path| async move {
        // More than fit into a `backpressure` queue that nobody reads.
        driver.pid("a", 0).await;
        while driver.node("a").await.sent < 300 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut child = guest(&path);
        is(&mut driver, NodeStatus::Running).await;
        while driver.node("d").await.taken == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        driver.stop_node("a").await.unwrap();
        driver.stop_node("b").await.unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "{ended}");
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert!(outcome.system().iter().any(|text| text.contains("all nodes that dora has started have ended")));
}

#[test]
fn who_leaves_in_good_order_closes_its_outputs_and_the_next_one_opens_them() {
    let outcome = drive_with_listener(nodes(), |mut driver, path| async move {
        driver.pid("b", 0).await;
        let mut from = driver.seen.len();
        for _ in 0..3 {
            let path = path.clone();
            let visit = tokio::task::spawn_blocking(move || {
                let mut live = Live::on(TestNode::attach(&path, "d").unwrap());
                live.send(0, 7, 8);
                live.done();
            });
            visit.await.unwrap();
            driver.line(&mut from, "b", |line| line == "closed in").await;
        }
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
    assert_eq!(outcome.printed("b").iter().filter(|line| *line == "read in d 7").count(), 3);
}

#[test]
fn garbage_and_silence_at_the_door_cost_nothing() {
    let outcome = drive_with_listener(nodes(), |mut driver, path| async move {
        use std::io::Write;
        driver.pid("b", 0).await;
        let mut silent = Vec::new();
        for n in 0..100 {
            let mut stream = UnixStream::connect(&path).unwrap();
            // Whoever is refused meanwhile has hung up.
            match n % 4 {
                0 => drop(stream.write_all(&[0xff; 100])),
                1 => drop(stream.write_all(&[3, 0, 0, 0, 0, 0, 0, 0, b'x', b'y', b'z'])),
                2 => drop(stream.write_all(&[9, 0, 0])),
                _ => {}
            }
            if n % 10 == 3 {
                silent.push((n, stream));
            }
        }
        let mut child = guest(&path);
        driver.next_line("b", |line| line == "read in d 1000").await;
        child.kill().unwrap();
        child.wait().unwrap();
        // Everybody is told why.
        for (n, stream) in silent {
            let told = tokio::task::spawn_blocking(move || support::node::hear(&stream.into()));
            let why = if n % 4 == 3 { "say its name" } else { "no message of its protocol" };
            match told.await.unwrap() {
                Some((ToNode::Refused { reason }, _)) => assert!(reason.contains(why), "{n}: {reason}"),
                other => panic!("{n}: {other:?}"),
            }
        }
        driver.stop();
        driver
    });
    assert_eq!(outcome.report().failure(), None);
}
