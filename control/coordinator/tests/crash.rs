//! The coordinator as a process of its own that is killed with SIGKILL, again and again.
//!
//! Without the harness, because this program is both the test and, with `COORDINATOR_STORE` in its environment, the coordinator.

mod support;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use dora_coordinator::{Options, Server, StoreChoice};
use dora_protocol::control::{ControlReply, ControlRequest, DataflowEntry, DataflowStatus};
use serde_json::json;
use support::{Client, FakeDaemon, TWO, options};

const STORE: &str = "COORDINATOR_STORE";
const NAME: &str = "killed_coordinators_are_replaced_by_ones_that_know_the_same";
const ROUNDS: u32 = 10;

fn main() {
    // Test runners ask which tests there are.
    let given = |flag: &str| std::env::args().any(|arg| arg == flag);
    if given("--list") {
        if !given("--ignored") {
            println!("{NAME}: test");
        }
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::var_os(STORE) {
        Some(path) => runtime.block_on(coordinator(options(StoreChoice::RedbAt(path.into())))),
        None => {
            runtime.block_on(killed_coordinators_are_replaced_by_ones_that_know_the_same());
            println!("test {NAME} ... ok");
        }
    }
}

async fn coordinator(options: Options) {
    let server = Server::bind(&options).await.unwrap();
    println!("{}", server.local_addr());
    server.run(std::future::pending()).await.unwrap();
}

/// Killed when dropped.
struct Process(Child);

impl Process {
    fn start(store: &Path) -> (Self, SocketAddr) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(STORE, store)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let process = Self(child);
        (process, line.trim().parse().expect("the coordinator must say where it listens"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `Child::kill` is SIGKILL.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn rows(list: &[DataflowEntry]) -> Vec<String> {
    list.iter()
        .map(|e| format!("{} {:?} {} {} {:?}", e.id.uuid, e.id.name, e.status, e.nodes, e.error))
        .collect()
}

async fn killed_coordinators_are_replaced_by_ones_that_know_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("c.redb");
    let mut daemon = FakeDaemon::new(None);
    let mut expected: Vec<String> = Vec::new();
    let mut arm = None;
    for round in 0..ROUNDS {
        let (process, address) = Process::start(&store);
        let mut client = Client::connect(address).await;
        daemon.connect(address).await;
        let before = client.list().await;
        assert_eq!(rows(&before), expected, "round {round}: the list must be as before the kill");
        assert!(before.iter().all(|entry| entry.status != DataflowStatus::Recovering));
        match arm {
            None => arm = Some(client.start_and_wait(Some("arm"), TWO).await),
            Some(id) => {
                let key = || "round".to_owned();
                let node_id = || "a".parse().unwrap();
                let get = ControlRequest::GetParam { dataflow_id: id, node_id: node_id(), key: key() };
                let value = client.ask(get).await;
                assert!(
                    matches!(&value, Ok(ControlReply::ParamValue { value, .. }) if *value == json!(round - 1)),
                    "round {round}: {value:?}"
                );
                let node = format!("id: n{round}\npath: ./n");
                client.ask(ControlRequest::AddNode { dataflow_id: id, node, file: None }).await.unwrap();
            }
        }
        let set = ControlRequest::SetParam {
            dataflow_id: arm.unwrap(),
            node_id: "a".parse().unwrap(),
            key: "round".into(),
            value: json!(round),
        };
        client.ask(set).await.unwrap();
        let short = client.start_and_wait(None, TWO).await;
        if round % 2 == 0 {
            client
                .ask(ControlRequest::Stop { dataflow_uuid: short, grace_duration: None, force: false })
                .await
                .unwrap();
        }
        expected = rows(&client.list().await);
        // At once after the last answer: what is not on the disk yet, the daemon knows.
        drop(process);
    }
    let (_process, address) = Process::start(&store);
    let mut client = Client::connect(address).await;
    daemon.connect(address).await;
    assert_eq!(rows(&client.list().await), expected);
    let restart = ControlRequest::RestartByName {
        name: "arm".into(),
        grace_duration: None,
        force: false,
        original: false,
    };
    let restarted = client.ask(restart).await;
    let Ok(ControlReply::DataflowRestarted { kept_changes, .. }) = restarted else { panic!("{restarted:?}") };
    assert_eq!(kept_changes.len() as u32, ROUNDS - 1);
}
