//! Clients, a coordinator and a daemon over real sockets: what a user does from start to clean.

mod support;

use std::time::Duration;

use dora_protocol::{
    control::{ControlReply, ControlRequest, DataflowStatus, Delivery, Event, Mapping},
    daemon_link::{DaemonCommand, DaemonEvent},
    log::{LogLevel, LogMessage},
};
use serde_json::json;
use support::{Client, Coordinator, FakeDaemon, TWO, start_request};

async fn all() -> (Coordinator, FakeDaemon, Client) {
    let coordinator = Coordinator::in_memory().await;
    let daemon = FakeDaemon::connected(None, coordinator.address).await;
    let client = Client::connect(coordinator.address).await;
    (coordinator, daemon, client)
}

fn line(level: &str, text: &str) -> LogMessage {
    LogMessage {
        build_id: None,
        dataflow_id: None,
        node_id: Some("a".into()),
        daemon_id: None,
        level: level.into(),
        target: None,
        module_path: None,
        file: None,
        line: None,
        message: text.into(),
        timestamp: "2026-01-01T00:00:00Z".into(),
        fields: None,
    }
}

#[tokio::test]
async fn a_dataflow_is_started_listed_stopped_and_cleaned() {
    let (_coordinator, _daemon, mut client) = all().await;
    let id = client.start_and_wait(Some("arm"), TWO).await;
    let list = client.list_until(|list| list[0].cpu_usage.is_some()).await;
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].id.uuid, list[0].id.name.as_deref()), (id, Some("arm")));
    assert_eq!((list[0].status, list[0].nodes, list[0].cpu_usage), (DataflowStatus::Running, 2, Some(3.0)));
    assert_eq!(list[0].memory_bytes, Some(2 << 20));
    let nodes = client.ask(ControlRequest::GetNodeInfo).await.unwrap();
    let ControlReply::NodeInfoList(nodes) = nodes else { panic!("{nodes:?}") };
    let names: Vec<&str> = nodes.iter().map(|node| node.state.node_id.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(nodes[0].state.restart_count, 2);
    let stopped = client
        .ask(ControlRequest::StopByName { name: "arm".into(), grace_duration: None, force: false })
        .await;
    let Ok(ControlReply::DataflowStopped { uuid, result }) = stopped else { panic!("{stopped:?}") };
    assert_eq!((uuid, result.error, result.nodes.len()), (id, None, 2));
    assert_eq!(client.list().await[0].status, DataflowStatus::Finished);
    // Once more is no error: it is stopped.
    let again =
        client.ask(ControlRequest::Stop { dataflow_uuid: id, grace_duration: None, force: true }).await;
    assert!(matches!(again, Ok(ControlReply::DataflowStopped { .. })), "{again:?}");
    let cleaned = client.ask(ControlRequest::Clean).await;
    let Ok(ControlReply::CleanResult { cleaned, failed }) = cleaned else { panic!("{cleaned:?}") };
    assert_eq!((cleaned.len(), failed.len()), (1, 0));
    assert!(client.list().await.is_empty());
    let gone = client.ask(ControlRequest::Info { dataflow_uuid: id }).await.unwrap_err();
    assert!(gone.contains("no dataflow with ID"), "{gone}");
}

#[tokio::test]
async fn what_cannot_be_started_leaves_nothing_behind() {
    let coordinator = Coordinator::in_memory().await;
    let mut client = Client::connect(coordinator.address).await;
    let error = client.start(None, TWO).await.unwrap_err();
    assert!(error.contains("no daemon is connected") && error.contains("dora up"), "{error}");
    let daemon = FakeDaemon::connected(None, coordinator.address).await;
    let error = client.start(None, "nodes: [{ id: a, path: ./a, inputs: { x: q/y } }]").await.unwrap_err();
    assert!(error.starts_with("flow.yml:1:"), "{error}");
    daemon.world.lock().unwrap().refuse = Some("shell nodes are not allowed here".into());
    let error = client.start(Some("arm"), TWO).await.unwrap_err();
    assert_eq!(error, "shell nodes are not allowed here");
    daemon.world.lock().unwrap().refuse = None;
    assert!(client.list().await.is_empty());
    client.start_and_wait(Some("arm"), TWO).await;
    let error = client.start(Some("arm"), TWO).await.unwrap_err();
    assert!(error.contains("`arm` is running already"), "{error}");
    let split = TWO.replace("- id: b", "- id: b\n    deploy: { machine: far }");
    let error = client.start(None, &split).await.unwrap_err();
    assert!(error.contains("machine `far`"), "{error}");
    assert_eq!(client.list().await.len(), 1);
}

#[tokio::test]
async fn a_dataflow_that_does_not_come_up_is_failed_and_says_why() {
    let (_coordinator, daemon, mut client) = all().await;
    daemon.world.lock().unwrap().slow_start = true;
    let id = client.start(None, TWO).await.unwrap();
    assert_eq!(client.list().await[0].status, DataflowStatus::Pending);
    let waiting = client.send(ControlRequest::WaitForSpawn { dataflow_id: id }).await;
    daemon.say(DaemonEvent::SpawnResult {
        dataflow_id: id,
        result: Err("a: no such program ./a".into()),
        rt_table: None,
    });
    let error = client.answer(waiting).await.unwrap_err();
    assert!(error.contains("no such program ./a"), "{error}");
    let entry = &client.list().await[0];
    assert_eq!((entry.status, entry.spawned), (DataflowStatus::Failed, false));
    assert_eq!(entry.error.as_deref(), Some("a: no such program ./a"));
}

#[tokio::test]
async fn a_restart_keeps_name_changes_and_parameters_and_original_drops_the_changes() {
    let (_coordinator, _daemon, mut client) = all().await;
    let old = client.start_and_wait(Some("arm"), TWO).await;
    let mapping = Mapping {
        source_node: "a".parse().unwrap(),
        source_output: "y".into(),
        target_node: "b".parse().unwrap(),
        target_input: "more".into(),
    };
    client.ask(ControlRequest::AddMapping { dataflow_id: old, mapping }).await.unwrap();
    let set = ControlRequest::SetParam {
        dataflow_id: old,
        node_id: "a".parse().unwrap(),
        key: "gain".into(),
        value: json!(2.5),
    };
    client.ask(set).await.unwrap();
    let again = |id, original| ControlRequest::Restart {
        dataflow_uuid: id,
        grace_duration: None,
        force: false,
        original,
    };
    let restarted = client.ask(again(old, false)).await;
    let Ok(ControlReply::DataflowRestarted { old_uuid, new_uuid, kept_changes }) = restarted else {
        panic!("{restarted:?}")
    };
    assert_eq!((old_uuid, kept_changes), (old, vec!["a/y -> b/more".to_owned()]));
    assert_ne!(new_uuid, old);
    client.ask(ControlRequest::WaitForSpawn { dataflow_id: new_uuid }).await.unwrap();
    let get =
        ControlRequest::GetParam { dataflow_id: new_uuid, node_id: "a".parse().unwrap(), key: "gain".into() };
    let value = client.ask(get).await;
    assert!(
        matches!(&value, Ok(ControlReply::ParamValue { value, .. }) if *value == json!(2.5)),
        "{value:?}"
    );
    let inputs =
        async |client: &mut Client, id| match client.ask(ControlRequest::Info { dataflow_uuid: id }).await {
            Ok(ControlReply::DataflowInfo(info)) => {
                (info.entry.id.name, info.descriptor["nodes"][1]["inputs"].to_string())
            }
            other => panic!("{other:?}"),
        };
    let (name, wired) = inputs(&mut client, new_uuid).await;
    assert_eq!((name.as_deref(), wired.as_str()), (Some("arm"), r#"{"in":"a/x","more":"a/y"}"#));
    let restarted = client.ask(again(new_uuid, true)).await;
    let Ok(ControlReply::DataflowRestarted { new_uuid, kept_changes, .. }) = restarted else {
        panic!("{restarted:?}")
    };
    assert!(kept_changes.is_empty());
    assert_eq!(inputs(&mut client, new_uuid).await.1, r#"{"in":"a/x"}"#);
}

#[tokio::test]
async fn the_first_subscriber_gets_what_was_printed_before_and_the_filter_is_the_coordinators() {
    let (coordinator, daemon, mut client) = all().await;
    let id = client.start_and_wait(None, TWO).await;
    let messages =
        vec![line("INFO", "early"), line("DEBUG", "hidden"), line("stdout", "hidden"), line("ERROR", "bad")];
    daemon.say(DaemonEvent::Log { dataflow_id: id, messages, dropped: 3 });
    // Both went the same way, so the lines are there when the metrics are.
    daemon.say(DaemonEvent::NodeMetrics { dataflow_id: id, nodes: Vec::new() });
    client.list_until(|list| list[0].cpu_usage.is_none()).await;
    let subscribed =
        client.ask(ControlRequest::LogSubscribe { dataflow_id: id, level: LogLevel::Info }).await;
    assert!(matches!(subscribed, Ok(ControlReply::LogSubscribed { .. })), "{subscribed:?}");
    assert!(matches!(client.event().await, Event::Dropped { count: 3, .. }));
    let mut texts = Vec::new();
    for _ in 0..2 {
        let Event::Log(line) = client.event().await else { panic!("no log") };
        assert_eq!(line.dataflow_id, Some(id.to_string()));
        texts.push(line.message);
    }
    assert_eq!(texts, ["early", "bad"]);
    let mut second = Client::connect(coordinator.address).await;
    second.ask(ControlRequest::LogSubscribe { dataflow_id: id, level: LogLevel::Stdout }).await.unwrap();
    let messages = vec![line("DEBUG", "fine"), line("WARN", "late")];
    daemon.say(DaemonEvent::Log { dataflow_id: id, messages, dropped: 0 });
    for (client, expected) in [(&mut client, vec!["late"]), (&mut second, vec!["fine", "late"])] {
        for text in expected {
            let event = client.event().await;
            assert!(matches!(&event, Event::Log(line) if line.message == text), "{text}: {event:?}");
        }
    }
    let events = daemon.world.lock().unwrap().end(id, Some("a: exited with code 3"));
    events.into_iter().for_each(|event| daemon.say(event));
    for client in [&mut client, &mut second] {
        let event = client.event().await;
        let Event::Finished { result, .. } = event else { panic!("{event:?}") };
        assert_eq!(result.error.as_deref(), Some("a: exited with code 3"));
    }
}

#[tokio::test]
async fn parameters_are_stored_told_and_bounded() {
    let (_coordinator, daemon, mut client) = all().await;
    let id = client.start_and_wait(None, TWO).await;
    let node = || "a".parse().unwrap();
    let set = |key: &str, value| ControlRequest::SetParam {
        dataflow_id: id,
        node_id: node(),
        key: key.into(),
        value,
    };
    let reply = client.ask(set("gain", json!({ "p": [1, null] }))).await;
    assert!(matches!(reply, Ok(ControlReply::ParamSet(Delivery::Delivered))), "{reply:?}");
    client.ask(set("off", json!(null))).await.unwrap();
    let (told, sequence) = daemon.parameters(id);
    assert_eq!(
        serde_json::to_value(told).unwrap(),
        json!({ "a": { "gain": { "p": [1, null] }, "off": null } })
    );
    assert_eq!(sequence, 2);
    let all = client.ask(ControlRequest::GetParams { dataflow_id: id, node_id: node() }).await;
    assert!(matches!(&all, Ok(ControlReply::ParamList { params }) if params.len() == 2), "{all:?}");
    let delete = || ControlRequest::DeleteParam { dataflow_id: id, node_id: node(), key: "gain".into() };
    assert!(matches!(client.ask(delete()).await, Ok(ControlReply::ParamDeleted(Delivery::Delivered))));
    assert!(client.ask(delete()).await.unwrap_err().starts_with("param not found"));
    for (request, part) in [
        (set(&"k".repeat(257), json!(1)), "257 bytes"),
        (set("", json!(1)), "must not be empty"),
        (set("k", json!("x".repeat(70_000))), "bytes as JSON"),
    ] {
        let error = client.ask(request).await.unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let other = ControlRequest::GetParams { dataflow_id: id, node_id: "q".parse().unwrap() };
    let error = client.ask(other).await.unwrap_err();
    assert!(error.contains("no node `q`; it has a, b"), "{error}");
}

#[tokio::test]
async fn logs_of_all_nodes_or_of_one_are_read_by_the_daemon() {
    let (_coordinator, _daemon, mut client) = all().await;
    let id = client.start_and_wait(Some("arm"), TWO).await;
    let logs = |uuid, name: Option<&str>, node: Option<&str>| ControlRequest::Logs {
        uuid,
        name: name.map(str::to_owned),
        node: node.map(|node| node.parse().unwrap()),
        tail: Some(5),
    };
    for (request, lines) in [(logs(Some(id), None, None), 2), (logs(None, Some("arm"), Some("b")), 1)] {
        let reply = client.ask(request).await;
        assert!(
            matches!(&reply, Ok(ControlReply::Logs { text, .. }) if text.lines().count() == lines),
            "{reply:?}"
        );
    }
    for request in [logs(None, None, None), logs(Some(id), Some("arm"), None), logs(None, Some("leg"), None)]
    {
        client.ask(request).await.unwrap_err();
    }
}

#[tokio::test]
async fn two_clients_do_not_get_each_others_answers_and_a_client_that_leaves_harms_nobody() {
    let (coordinator, _daemon, mut first) = all().await;
    let mut second = Client::connect(coordinator.address).await;
    let id = first.start_and_wait(Some("arm"), TWO).await;
    let waiting = second.send(ControlRequest::WaitForFinish { dataflow_id: id }).await;
    let mut third = Client::connect(coordinator.address).await;
    third.send(ControlRequest::WaitForFinish { dataflow_id: id }).await;
    third.ask_and_leave(ControlRequest::LogSubscribe { dataflow_id: id, level: LogLevel::Stdout }).await;
    let mut asked = Vec::new();
    for _ in 0..50 {
        asked.push((
            first.send(ControlRequest::List).await,
            second.send(ControlRequest::DaemonConnected).await,
        ));
    }
    for (of_first, of_second) in asked {
        assert!(matches!(first.answer(of_first).await, Ok(ControlReply::DataflowList(_))));
        assert!(matches!(second.answer(of_second).await, Ok(ControlReply::DaemonConnected(true))));
    }
    first.ask(ControlRequest::Stop { dataflow_uuid: id, grace_duration: None, force: false }).await.unwrap();
    let finished = second.answer(waiting).await;
    assert!(matches!(finished, Ok(ControlReply::DataflowStopped { uuid, .. }) if uuid == id), "{finished:?}");
}

#[tokio::test]
async fn destroy_ends_daemons_and_coordinator_and_answers_first() {
    let (coordinator, mut daemon, mut client) = all().await;
    let id = client.start_and_wait(None, TWO).await;
    let mut waiting = Client::connect(coordinator.address).await;
    let finish = waiting.send(ControlRequest::WaitForFinish { dataflow_id: id }).await;
    // Taken in before the end, because what came after it is answered.
    assert_eq!(waiting.list().await.len(), 1);
    assert!(matches!(daemon.command().await, DaemonCommand::Spawn { .. }));
    assert!(matches!(client.ask(ControlRequest::Destroy).await, Ok(ControlReply::DestroyOk)));
    assert!(matches!(daemon.command().await, DaemonCommand::Destroy));
    let finished = waiting.answer(finish).await;
    assert!(matches!(finished, Ok(ControlReply::DataflowStopped { .. })), "{finished:?}");
    coordinator.ended().await;
    assert!(client.frame().await.is_none(), "the connection must be closed");
}

#[tokio::test]
async fn a_coordinator_that_is_told_to_end_says_so_to_those_who_wait_and_lets_the_dataflows_go_on() {
    let (coordinator, daemon, mut client) = all().await;
    let id = client.start_and_wait(None, TWO).await;
    let waiting = client.send(ControlRequest::WaitForFinish { dataflow_id: id }).await;
    // Taken in before the end, because this one is answered.
    let list = client.send(ControlRequest::List).await;
    assert!(matches!(client.answer(list).await, Ok(ControlReply::DataflowList(_))));
    coordinator.stop().await;
    let told = client.answer(waiting).await;
    assert!(matches!(told, Ok(ControlReply::CoordinatorStopped)), "{told:?}");
    assert!(client.frame().await.is_none(), "the connection must be closed");
    assert!(daemon.world.lock().unwrap().running.contains_key(&id));
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_holds_up_nobody_else() {
    let (_coordinator, daemon, mut client) = all().await;
    let id = client.start_and_wait(None, TWO).await;
    daemon.world.lock().unwrap().deaf = true;
    let stop = client
        .send(ControlRequest::Stop { dataflow_uuid: id, grace_duration: Some(Duration::ZERO), force: true })
        .await;
    for _ in 0..20 {
        let list = client.send(ControlRequest::List).await;
        assert!(matches!(client.answer(list).await, Ok(ControlReply::DataflowList(_))), "before {stop}");
    }
    assert_eq!(client.list().await[0].status, DataflowStatus::Stopping);
}

#[tokio::test]
async fn requests_that_come_later_say_so_and_the_connection_stays() {
    let (_coordinator, _daemon, mut client) = all().await;
    let start = serde_json::to_value(ControlRequest::Start(Box::new(start_request(None, TWO)))).unwrap();
    assert!(start.get("Start").is_some(), "requests are externally tagged: {start}");
    for name in ["Build", "WaitForBuild", "TopicSubscribe", "TopicPublish", "GetTraces", "GetTraceSpans"] {
        let error = client.ask_raw(json!({ name: {} })).await.unwrap_err();
        assert!(error.contains(name) && error.contains("not there yet"), "{error}");
    }
    let error = client.ask_raw(json!("Fly")).await.unwrap_err();
    assert_eq!(error, "unknown request `Fly`");
    assert!(client.list().await.is_empty());
}

impl Client {
    async fn ask_and_leave(mut self, request: ControlRequest) {
        self.send(request).await;
        drop(self);
    }

    async fn ask_raw(&mut self, params: serde_json::Value) -> Result<ControlReply, String> {
        use futures::SinkExt;
        let id = uuid::Uuid::new_v4();
        let frame = json!({ "id": id, "method": "control", "params": params }).to_string();
        self.socket.send(tokio_tungstenite::tungstenite::Message::text(frame)).await.unwrap();
        self.answer(id).await
    }
}
