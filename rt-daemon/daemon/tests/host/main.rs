//! The daemon as a process, against a coordinator that the test plays.

mod coordinator;
#[path = "../support/mod.rs"]
mod support;

use coordinator::{Connection, Daemon, PATIENCE, SOCKET, spawn_command, stop_command};
use dora_daemon::host::{EndRequest, HostError};
use dora_protocol::{
    DataflowId, NodeId,
    control::NodeStatus,
    daemon_link::{DaemonCommand, DaemonEvent, DaemonReply, DataflowRecord, ParamChange},
    dataflow::NodeKind,
    node_link::{ToDaemon, ToNode, VERSION},
};
use futures::{SinkExt, StreamExt};
use support::{NodeExt, ROLE, node as role, node::TestNode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};
use uuid::Uuid;

/// Not a test of its own: the entry of the processes that the tests start.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    println!("{}", support::BEGIN);
    let (node, _) = TestNode::connect();
    println!("pid {}", std::process::id());
    match role.as_str() {
        "stays" => node.print_frames(|text| text == "stop"),
        "goes" => {}
        "fails" => std::process::exit(9),
        other => panic!("no such role: {other}"),
    }
    support::node::say(&node.socket, &ToDaemon::Done);
}

fn flow(number: u128) -> DataflowId {
    DataflowId::from_u128(number)
}

fn stays(id: &str) -> dora_protocol::dataflow::Node {
    role(id, "stays").output("out")
}

/// What is to be known again of the only dataflow.
fn known(connection: &Connection) -> (DataflowRecord, bool, Vec<(NodeStatus, Option<u32>)>) {
    let [running] = &connection.status.running[..] else { panic!("{:?}", connection.status) };
    let nodes = running.running_nodes.iter().map(|node| (node.status, node.pid)).collect();
    (running.record.clone(), running.spawned, nodes)
}

#[tokio::test]
async fn ten_lost_connections_change_nothing_for_a_dataflow_and_each_report_tells_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    let register = connection.register.clone();
    assert_eq!(register.as_ref().unwrap().labels["gpu"], "yes");
    assert!(connection.status.running.is_empty() && connection.status.finished.is_empty());
    let record = connection.spawn(flow(1), vec![stays("a"), stays("b")], folder.path()).await;
    let mut before = None;
    for n in 0..10 {
        drop(connection);
        connection = daemon.connection().await;
        assert_eq!(connection.register, register, "the same process says the same of itself");
        let now = known(&connection);
        assert_eq!((&now.0, now.1), (&record, true), "{n}");
        assert_eq!(now.2.len(), 2, "{now:?}");
        assert!(now.2.iter().all(|(status, pid)| *status == NodeStatus::Running && pid.is_some()), "{now:?}");
        assert_eq!(*before.get_or_insert(now.clone()), now, "{n}");
    }
    assert_eq!(connection.ask(stop_command(flow(1))).await, Ok(DaemonReply::Done));
    assert_eq!(connection.finished(flow(1)).await, None);
    assert!(connection.lines(flow(1)).iter().any(|line| line.contains("stopping all nodes")));
    drop(connection);
    let connection = daemon.connection().await;
    assert!(connection.status.running.is_empty());
    assert_eq!(connection.status.finished[0].dataflow_id, flow(1));
}

/// Takes the place `d` and leaves it again; why not, when it is not let in.
fn visit(socket: &std::path::Path) -> Result<(), String> {
    let socket = std::os::fd::OwnedFd::from(
        std::os::unix::net::UnixStream::connect(socket).map_err(|e| e.to_string())?,
    );
    support::node::say(&socket, &ToDaemon::Attach { node_id: "d".parse().unwrap(), dataflow_id: None });
    // Whoever was refused already does not hear this.
    let hello = serde_json::to_vec(&support::node::hello(VERSION)).unwrap();
    lockfree_ipc::fdpass::send_frame(std::os::fd::AsFd::as_fd(&socket), &hello, &[]).ok();
    loop {
        match support::node::hear(&socket).ok_or("it hung up")?.0 {
            ToNode::Descriptors => {}
            ToNode::Setup(_) => return Ok(()),
            ToNode::Refused { reason } => return Err(reason),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn dynamic_nodes_come_in_after_each_of_ten_lost_connections_and_while_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = Some(daemon.connection().await);
    let mut dynamic = support::program_node("d", "", Vec::new());
    dynamic.kind = NodeKind::Dynamic;
    let nodes = vec![stays("a"), dynamic.reads("in", 0, 0)];
    connection.as_mut().unwrap().spawn(flow(6), nodes, folder.path()).await;
    let socket = daemon.folder.path().join(SOCKET);
    let made = std::fs::metadata(&socket).unwrap().modified().unwrap();
    for n in 0..10 {
        connection = None;
        for _ in 0..2 {
            // The place is free again a moment after the visitor before has gone.
            let socket = socket.clone();
            let let_in = tokio::task::spawn_blocking(move || {
                let begin = std::time::Instant::now();
                loop {
                    match visit(&socket) {
                        Err(why) if why.contains("is taken") && begin.elapsed() < PATIENCE => {}
                        outcome => return outcome,
                    }
                }
            });
            assert_eq!(let_in.await.unwrap(), Ok(()), "{n}");
            if connection.is_none() {
                connection = Some(daemon.connection().await);
            }
        }
    }
    assert_eq!(std::fs::metadata(&socket).unwrap().modified().unwrap(), made, "it was bound once");
    daemon.end.send(EndRequest::Kill).unwrap();
    drop(connection);
    daemon.ended().await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn lines_and_results_of_the_time_without_a_coordinator_are_told_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    let command = spawn_command(
        flow(2),
        support::dataflow(vec![role("a", "fails").output("out")], folder.path()),
        &DataflowRecord::default(),
    );
    connection
        .text(
            &serde_json::to_string(&dora_protocol::control::Request {
                id: Uuid::from_u128(1),
                method: dora_protocol::control::Method::DaemonCommand,
                params: command,
            })
            .unwrap(),
        )
        .await;
    assert_eq!(connection.answered(Uuid::from_u128(1)).await, Ok(DaemonReply::Done));
    drop(connection);
    // The log file says when it is over.
    let file = folder.path().join("out").join(flow(2).to_string()).join("log_a.jsonl");
    timeout(PATIENCE, async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("pid ")) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the node runs");
    let mut connection = daemon.connection().await;
    while connection.status.finished.is_empty() {
        drop(connection);
        connection = daemon.connection().await;
    }
    let error = connection.status.finished[0].result.error.clone().unwrap();
    assert!(error.contains("exited with code 9"), "{error}");
    assert_eq!(connection.finished(flow(2)).await.as_ref(), Some(&error), "told again, behind its last line");
    let nodes: Vec<NodeId> = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    let logs = |max_bytes| DaemonCommand::Logs {
        dataflow_id: flow(2),
        working_dir: folder.path().to_owned(),
        nodes: nodes.clone(),
        tail: Some(2),
        max_bytes,
    };
    let Ok(DaemonReply::Logs { text, left_out_bytes: 0 }) = connection.ask(logs(1 << 20)).await else {
        panic!("no logs")
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(matches!(lines[..], [said, end] if said.contains("pid ") && end.contains("code 9")), "{text}");
    let Ok(DaemonReply::Logs { text, left_out_bytes }) = connection.ask(logs(10)).await else {
        panic!("no logs")
    };
    assert!(text.is_empty() && left_out_bytes > 0);
    assert_eq!(connection.ask(DaemonCommand::Forget { dataflow_id: flow(2) }).await, Ok(DaemonReply::Done));
    drop(connection);
    assert!(daemon.connection().await.status.finished.is_empty());
}

#[tokio::test]
async fn command_that_is_faster_than_the_status_report_is_answered_after_it() {
    let daemon = Daemon::start().await;
    let id = Uuid::from_u128(3);
    let stop = dora_protocol::control::Request {
        id,
        method: dora_protocol::control::Method::DaemonCommand,
        params: stop_command(flow(9)),
    };
    for _ in 0..5 {
        let mut connection = daemon.connection_with(Some(&serde_json::to_string(&stop).unwrap())).await;
        assert!(connection.answered(id).await.unwrap_err().contains("no running dataflow"));
    }
}

#[tokio::test]
async fn parameters_are_kept_once_each_and_told_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    connection.spawn(flow(3), vec![stays("a")], folder.path()).await;
    let change = |sequence, key: &str, value| ParamChange {
        sequence,
        node_id: "a".parse().unwrap(),
        key: key.to_owned(),
        value,
    };
    let entries =
        vec![change(1, "k", Some(1.into())), change(2, "gone", Some(true.into())), change(3, "gone", None)];
    let catch_up = |entries| DaemonCommand::StateCatchUp { dataflow_id: flow(3), entries };
    assert_eq!(connection.ask(catch_up(entries)).await, Ok(DaemonReply::Done));
    let old = vec![change(2, "k", Some(7.into()))];
    assert_eq!(connection.ask(catch_up(old)).await, Ok(DaemonReply::Done), "carried out before, so skipped");
    drop(connection);
    let connection = daemon.connection().await;
    let running = &connection.status.running[0];
    assert_eq!(running.parameter_sequence, 3);
    let of_a = &running.parameters[&"a".parse::<NodeId>().unwrap()];
    assert_eq!(of_a.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(), ["k=1"]);
    daemon.end.send(EndRequest::Kill).unwrap();
    daemon.ended().await.unwrap();
}

#[tokio::test]
async fn fifty_dataflows_run_at_once_and_destroy_leaves_none_of_their_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    for n in 0..50 {
        connection.spawn(flow(100 + n), vec![stays("a")], folder.path()).await;
    }
    let again = connection
        .ask(spawn_command(
            flow(100),
            support::dataflow(vec![stays("a")], folder.path()),
            &DataflowRecord::default(),
        ))
        .await;
    assert!(again.unwrap_err().contains("runs here already"));
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < 50 {
        let (id, nodes) = connection
            .event(|event| match event {
                DaemonEvent::NodeMetrics { dataflow_id, nodes } => Some((*dataflow_id, nodes.clone())),
                _ => None,
            })
            .await;
        let measured = nodes[0].metrics.is_some_and(|metrics| metrics.memory_bytes > 0);
        if let Some(pid) = nodes[0].pid.filter(|_| measured) {
            seen.insert(id, pid);
        }
    }
    assert_eq!(connection.ask(stop_command(flow(100))).await, Ok(DaemonReply::Done));
    assert_eq!(connection.finished(flow(100)).await, None, "one is stopped among the others");
    let unknown = connection.ask(stop_command(flow(100))).await.unwrap_err();
    assert!(unknown.contains("no running dataflow with ID"), "{unknown}");
    assert_eq!(connection.ask(DaemonCommand::Destroy).await, Ok(DaemonReply::Done));
    connection.event(|event| matches!(event, DaemonEvent::Exit).then_some(())).await;
    drop(connection);
    daemon.ended().await.unwrap();
    for pid in seen.values() {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "node {pid} is left");
    }
}

#[tokio::test]
async fn daemon_that_is_asked_to_end_stops_its_dataflows_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    connection.spawn(flow(4), vec![stays("a")], folder.path()).await;
    daemon.end.send(EndRequest::Graceful).unwrap();
    assert_eq!(connection.finished(flow(4)).await, None, "its result comes before the farewell");
    connection.event(|event| matches!(event, DaemonEvent::Exit).then_some(())).await;
    assert!(connection.lines(flow(4)).iter().any(|line| line.contains("stopping all nodes")));
    drop(connection);
    daemon.ended().await.unwrap();
}

#[tokio::test]
async fn dataflow_that_cannot_be_started_is_told_with_the_reason_and_has_no_other_end() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    let nodes = vec![support::program_node("a", "no-such-program", Vec::new())];
    let command = spawn_command(flow(5), support::dataflow(nodes, folder.path()), &DataflowRecord::default());
    assert_eq!(connection.ask(command).await, Ok(DaemonReply::Done));
    let why = connection
        .event(|event| match event {
            DaemonEvent::SpawnResult { result, .. } => Some(result.clone()),
            _ => None,
        })
        .await
        .unwrap_err();
    assert!(why.contains("no-such-program"), "{why}");
    assert_eq!(connection.ask(DaemonCommand::Destroy).await, Ok(DaemonReply::Done));
    let ends = connection.event(|event| match event {
        DaemonEvent::AllNodesFinished { .. } => Some(true),
        DaemonEvent::Exit => Some(false),
        _ => None,
    });
    assert!(!ends.await, "it never ran, so it has not finished");
}

#[tokio::test]
async fn what_a_coordinator_may_say_wrong_is_answered_or_ignored_and_the_connection_stays() {
    let daemon = Daemon::start().await;
    let mut connection = daemon.connection().await;
    for garbage in ["", "{}", "nonsense", "[[[[", "{\"id\":1}", "\"\\ud800\""] {
        connection.text(garbage).await;
    }
    connection.socket.send(Message::binary(vec![0xff; 4096])).await.unwrap();
    connection.socket.send(Message::Ping(vec![1].into())).await.unwrap();
    let id = Uuid::from_u128(9);
    connection.text(&format!(r#"{{"id":"{id}","method":"daemon_command","params":{{"Dance":{{}}}}}}"#)).await;
    let refused = connection.answered(id).await.unwrap_err();
    assert!(refused.contains("does not understand"), "{refused}");
    let unknown = connection.ask(stop_command(flow(9))).await.unwrap_err();
    assert!(unknown.contains("no running dataflow"), "{unknown}");
    assert_eq!(connection.ask(DaemonCommand::Destroy).await, Ok(DaemonReply::Done));
}

#[tokio::test]
async fn whatever_else_listens_at_the_port_only_delays_the_connection() {
    let daemon = Daemon::start().await;
    for answer in [&b""[..], b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", &[0xff; 300]] {
        let (mut stream, _) = timeout(PATIENCE, daemon.listener.accept()).await.unwrap().unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(answer).await.unwrap();
    }
    // Speaks WebSocket, and hangs up in the middle of a frame.
    let (stream, _) = daemon.listener.accept().await.unwrap();
    let mut socket = accept_async(stream).await.unwrap();
    assert!(socket.next().await.is_some());
    let stream = socket.get_mut();
    stream.write_all(&[0x81, 126, 0xff, 0xff, b'{']).await.unwrap();
    drop(socket);
    let connection = daemon.connection().await;
    assert!(connection.status.running.is_empty());
}

#[tokio::test]
async fn daemon_that_the_coordinator_does_not_want_ends_with_its_words() {
    let daemon = Daemon::start().await;
    let (stream, _) = daemon.listener.accept().await.unwrap();
    let mut socket = accept_async(stream).await.unwrap();
    let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("no Register") };
    let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
    let refusal = serde_json::json!({ "id": frame["id"], "error": "version 7 of the daemon does not fit 8" });
    socket.send(Message::text(refusal.to_string())).await.unwrap();
    match daemon.ended().await {
        Err(HostError::Refused { reason, .. }) => {
            assert_eq!(reason, "version 7 of the daemon does not fit 8")
        }
        other => panic!("{other:?}"),
    }
}
