//! Connections break, daemons and coordinators come back: nothing that runs is forgotten, and nothing that is over is shown as running.

mod support;

use dora_protocol::{
    control::{ControlReply, ControlRequest, DataflowEntry, DataflowStatus, Delivery},
    daemon_link::{DaemonCommand, DaemonEvent, DaemonFrame},
};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use support::{Client, Coordinator, FakeDaemon, PATIENCE, TWO, open, options, register};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

/// What must not differ after a restart.
fn rows(list: &[DataflowEntry]) -> Vec<String> {
    let row = |e: &DataflowEntry| {
        format!("{} {:?} {} {} {:?} {}", e.id.uuid, e.id.name, e.status, e.nodes, e.error, e.created_ms)
    };
    list.iter().map(row).collect()
}

fn set(id: Uuid, key: &str, value: serde_json::Value) -> ControlRequest {
    ControlRequest::SetParam { dataflow_id: id, node_id: "a".parse().unwrap(), key: key.into(), value }
}

/// Three dataflows: one runs and was changed, one has ended, one has failed.
async fn three(client: &mut Client, daemon: &FakeDaemon) -> Uuid {
    let running = client.start_and_wait(Some("arm"), TWO).await;
    let add = ControlRequest::AddNode { dataflow_id: running, node: "id: f\npath: ./f".into(), file: None };
    client.ask(add).await.unwrap();
    client.ask(set(running, "gain", json!(1))).await.unwrap();
    let ended = client.start_and_wait(Some("ended"), TWO).await;
    client
        .ask(ControlRequest::Stop { dataflow_uuid: ended, grace_duration: None, force: false })
        .await
        .unwrap();
    let failed = client.start_and_wait(None, TWO).await;
    let events = daemon.world.lock().unwrap().end(failed, Some("a: exited with code 3"));
    events.into_iter().for_each(|event| daemon.say(event));
    client
        .list_until(|list| {
            list.iter().all(|entry| entry.status != DataflowStatus::Pending) && list[2].status.has_ended()
        })
        .await;
    running
}

#[tokio::test]
async fn a_coordinator_with_an_empty_store_learns_everything_from_the_daemon() {
    let first = Coordinator::in_memory().await;
    let mut daemon = FakeDaemon::connected(None, first.address).await;
    let mut client = Client::connect(first.address).await;
    let running = three(&mut client, &daemon).await;
    let before = rows(&client.list().await);
    first.stop().await;
    let second = Coordinator::in_memory().await;
    daemon.connect(second.address).await;
    let mut client = Client::connect(second.address).await;
    assert_eq!(rows(&client.list().await), before);
    let Ok(ControlReply::DataflowInfo(info)) =
        client.ask(ControlRequest::Info { dataflow_uuid: running }).await
    else {
        panic!("no info")
    };
    assert_eq!(info.changes, ["node `f` added"]);
    let get =
        ControlRequest::GetParam { dataflow_id: running, node_id: "a".parse().unwrap(), key: "gain".into() };
    assert!(matches!(client.ask(get).await, Ok(ControlReply::ParamValue { value, .. }) if value == json!(1)));
    // And it is as usable as ever.
    let add = ControlRequest::AddNode { dataflow_id: running, node: "id: g\npath: ./g".into(), file: None };
    client.ask(add).await.unwrap();
    let stop = ControlRequest::StopByName { name: "arm".into(), grace_duration: None, force: false };
    assert!(matches!(client.ask(stop).await, Ok(ControlReply::DataflowStopped { .. })));
}

#[tokio::test]
async fn a_coordinator_with_its_store_waits_for_the_daemon_and_then_shows_the_same_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.redb");
    let first = Coordinator::with_store(&path).await;
    let mut daemon = FakeDaemon::connected(None, first.address).await;
    let mut client = Client::connect(first.address).await;
    let running = three(&mut client, &daemon).await;
    let before = rows(&client.list().await);
    first.stop().await;
    let second = Coordinator::with_store(&path).await;
    let mut client = Client::connect(second.address).await;
    let list = client.list().await;
    assert_eq!(list[0].status, DataflowStatus::Recovering);
    assert_eq!(rows(&list)[1..], before[1..]);
    let early = ControlRequest::RestartNode {
        dataflow_id: running,
        node_id: "a".parse().unwrap(),
        grace_duration: None,
    };
    let error = client.ask(early).await.unwrap_err();
    assert!(error.contains("not been reported by its daemon yet"), "{error}");
    daemon.connect(second.address).await;
    assert_eq!(rows(&client.list().await), before);
}

#[tokio::test]
async fn parameters_set_while_the_daemon_was_away_reach_it_when_it_is_back() {
    let coordinator = Coordinator::in_memory().await;
    let mut daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let id = client.start_and_wait(None, TWO).await;
    for (key, value) in [("kept", 1), ("changed", 1), ("deleted", 1)] {
        client.ask(set(id, key, json!(value))).await.unwrap();
    }
    daemon.disconnect().await;
    let until_gone = async {
        while !matches!(
            client.ask(ControlRequest::DaemonConnected).await,
            Ok(ControlReply::DaemonConnected(false))
        ) {}
    };
    tokio::time::timeout(PATIENCE, until_gone).await.unwrap();
    for value in 2..40 {
        let reply = client.ask(set(id, "changed", json!(value))).await;
        assert!(matches!(reply, Ok(ControlReply::ParamSet(Delivery::Stored))), "{reply:?}");
    }
    client.ask(set(id, "new", json!(null))).await.unwrap();
    let delete =
        ControlRequest::DeleteParam { dataflow_id: id, node_id: "a".parse().unwrap(), key: "deleted".into() };
    client.ask(delete).await.unwrap();
    let error = client
        .ask(ControlRequest::Stop { dataflow_uuid: id, grace_duration: None, force: false })
        .await
        .unwrap_err();
    assert!(error.contains("is not connected to the coordinator"), "{error}");
    assert_eq!(client.list().await[0].status, DataflowStatus::Running, "its nodes go on running");
    daemon.connect(coordinator.address).await;
    loop {
        if let DaemonCommand::StateCatchUp { entries, .. } = daemon.command().await
            && entries.len() > 1
        {
            let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
            assert_eq!(keys, ["changed", "deleted", "new"], "what is the same is not sent again");
            break;
        }
    }
    // The answer of the daemon to the next change comes after the catch-up.
    client.ask(set(id, "last", json!(1))).await.unwrap();
    let (parameters, _) = daemon.parameters(id);
    let expected = json!({ "a": { "kept": 1, "changed": 39, "new": null, "last": 1 } });
    assert_eq!(serde_json::to_value(parameters).unwrap(), expected);
}

#[tokio::test]
async fn a_daemon_that_comes_back_as_a_new_process_gets_its_dataflows_again_once() {
    let coordinator = Coordinator::in_memory().await;
    let mut old = FakeDaemon::connected(Some("A"), coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let id = client.start_and_wait(Some("arm"), TWO).await;
    old.disconnect().await;
    drop(old);
    let until_gone = async {
        while !matches!(
            client.ask(ControlRequest::DaemonConnected).await,
            Ok(ControlReply::DaemonConnected(false))
        ) {}
    };
    tokio::time::timeout(PATIENCE, until_gone).await.unwrap();
    let mut new = FakeDaemon::connected(Some("A"), coordinator.address).await;
    let DaemonCommand::Spawn { dataflow_id, record, .. } = new.command().await else { panic!("no Spawn") };
    assert_eq!((dataflow_id, record.name.as_deref()), (id, Some("arm")));
    client.list_until(|list| list[0].status == DataflowStatus::Running).await;
    new.disconnect().await;
    tokio::time::timeout(PATIENCE, async {
        while !matches!(
            client.ask(ControlRequest::DaemonConnected).await,
            Ok(ControlReply::DaemonConnected(false))
        ) {}
    })
    .await
    .unwrap();
    let _third = FakeDaemon::connected(Some("A"), coordinator.address).await;
    let list = client.list_until(|list| list[0].status == DataflowStatus::Failed).await;
    assert!(list[0].error.as_ref().is_some_and(|error| error.contains("twice within 30 s")), "{list:?}");
}

#[tokio::test]
async fn a_daemon_that_ends_in_good_order_takes_its_dataflows_with_it() {
    let coordinator = Coordinator::in_memory().await;
    let daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    client.start_and_wait(None, TWO).await;
    daemon.say(DaemonEvent::Exit);
    let list = client.list_until(|list| list[0].status == DataflowStatus::Failed).await;
    assert_eq!(list[0].error.as_deref(), Some("its daemon has ended"));
}

#[tokio::test]
async fn what_ended_while_the_link_was_down_is_shown_as_it_ended() {
    let coordinator = Coordinator::in_memory().await;
    let mut daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let id = client.start_and_wait(None, TWO).await;
    let waiting = client.send(ControlRequest::WaitForFinish { dataflow_id: id }).await;
    daemon.disconnect().await;
    daemon.world.lock().unwrap().end(id, Some("b: ended by signal SIGSEGV"));
    daemon.connect(coordinator.address).await;
    let Ok(ControlReply::DataflowStopped { result, .. }) = client.answer(waiting).await else {
        panic!("no end")
    };
    assert_eq!(result.error.as_deref(), Some("b: ended by signal SIGSEGV"));
}

#[tokio::test]
async fn ten_reconnections_lose_nothing() {
    let coordinator = Coordinator::in_memory().await;
    let mut daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let id = client.start_and_wait(Some("arm"), TWO).await;
    for n in 0..10 {
        // The old connection may still be open when the new one comes: it is replaced.
        daemon.connect(coordinator.address).await;
        client.ask(set(id, "n", json!(n))).await.unwrap();
        assert_eq!(client.list().await[0].status, DataflowStatus::Running);
    }
    assert_eq!(serde_json::to_value(daemon.parameters(id).0).unwrap(), json!({ "a": { "n": 9 } }));
}

/// Sends one event as JSON and gives what comes back: an answer's text, or how the connection was closed.
async fn daemon_frame(socket: &mut support::Socket, params: serde_json::Value) -> String {
    let frame = json!({ "id": Uuid::new_v4(), "method": "daemon_event", "params": params }).to_string();
    socket.send(Message::text(frame)).await.unwrap();
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something must come back");
        match message {
            Some(Ok(Message::Text(text))) if text.contains("daemon_command") => {}
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(Message::Close(Some(frame)))) => return format!("closed: {}", frame.reason),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return format!("closed: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_daemon_that_breaks_the_rules_is_refused_with_the_reason() {
    let coordinator = Coordinator::in_memory().await;
    let frame = |event: DaemonEvent| serde_json::to_value(DaemonFrame { daemon_id: None, event }).unwrap();
    let good = || register(Some("B"), Uuid::new_v4());
    let versioned = dora_protocol::daemon_link::Register { dora_version: "99.0.0".into(), ..good() };
    let long = dora_protocol::daemon_link::Register { machine_id: Some("m".repeat(300)), ..good() };
    let heartbeat = DaemonEvent::Heartbeat { ft_stats: Default::default() };
    for (event, part) in [
        (DaemonEvent::Register(versioned), "99.0.0"),
        (DaemonEvent::Register(long), "300 bytes"),
        (heartbeat.clone(), "first frame must be `Register`"),
    ] {
        let mut socket = open(coordinator.address, "/api/daemon").await;
        let said = daemon_frame(&mut socket, frame(event)).await;
        assert!(said.contains(part), "{part}: {said}");
    }
    let mut twice = open(coordinator.address, "/api/daemon").await;
    let first = daemon_frame(&mut twice, frame(DaemonEvent::Register(good()))).await;
    assert!(first.contains("Registered"), "{first}");
    let taken = daemon_frame(
        &mut open(coordinator.address, "/api/daemon").await,
        frame(DaemonEvent::Register(good())),
    )
    .await;
    assert!(taken.contains("machine id `B` is connected already"), "{taken}");
    let second = daemon_frame(&mut twice, frame(DaemonEvent::Register(good()))).await;
    assert!(second.contains("closed"), "{second}");
    let mut other = open(coordinator.address, "/api/daemon").await;
    daemon_frame(&mut other, frame(DaemonEvent::Register(register(Some("C"), Uuid::new_v4())))).await;
    let liar = json!({ "daemon_id": { "machine_id": "X", "uuid": Uuid::new_v4() }, "event": { "Heartbeat": { "ft_stats": {
        "restarts": 0, "health_check_kills": 0, "startup_kills": 0, "input_timeouts": 0, "circuit_breaker_recoveries": 0,
        "dropped_messages": 0, "lost_backpressure_messages": 0 } } } });
    let said = daemon_frame(&mut other, liar).await;
    assert!(said.contains("another daemon id"), "{said}");
}

#[tokio::test]
async fn several_daemons_are_chosen_by_deploy() {
    let coordinator = Coordinator::start(options(dora_coordinator::StoreChoice::Memory)).await;
    let _default = FakeDaemon::connected(None, coordinator.address).await;
    let mut far = FakeDaemon::connected(Some("far"), coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let machines = client.ask(ControlRequest::ConnectedMachines).await;
    let Ok(ControlReply::ConnectedDaemons(machines)) = machines else { panic!("{machines:?}") };
    let names: Vec<Option<&str>> =
        machines.iter().map(|daemon| daemon.daemon_id.machine_id.as_deref()).collect();
    assert_eq!(names, [None, Some("far")]);
    let here = client.start_and_wait(None, TWO).await;
    let there = client.start_and_wait(None, &format!("{TWO}deploy: {{ machine: far }}\n")).await;
    assert!(matches!(far.command().await, DaemonCommand::Spawn { dataflow_id, .. } if dataflow_id == there));
    let of = |list: &[DataflowEntry], id| {
        list.iter().find(|entry| entry.id.uuid == id).and_then(|entry| entry.daemon.clone()?.machine_id)
    };
    let list = client.list().await;
    assert_eq!((of(&list, here), of(&list, there)), (None, Some("far".to_owned())));
}
