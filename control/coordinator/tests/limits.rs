//! Garbage, floods and strangers: refused with the reason, and nobody else notices.

mod support;

use std::{net::SocketAddr, time::Duration};

use dora_coordinator::StoreChoice;
use dora_protocol::{
    control::{ControlReply, ControlRequest, DORA_VERSION, Event, MAX_CONTROL_FRAME},
    daemon_link::DaemonEvent,
    log::{LogLevel, LogMessage},
};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use support::{Client, Coordinator, FakeDaemon, PATIENCE, TWO, open, options, url};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::StatusCode},
};
use uuid::Uuid;

/// The next text, or the reason of the end.
async fn next(socket: &mut support::Socket) -> String {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("something must come") {
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(Message::Close(Some(frame)))) => return format!("closed: {}", frame.reason),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return "gone".to_owned(),
        }
    }
}

/// A good client among the bad ones.
async fn still_works(address: SocketAddr) {
    let mut client = Client::connect(address).await;
    assert!(client.list().await.iter().all(|entry| !entry.status.has_ended()));
}

#[tokio::test]
async fn garbage_is_answered_and_the_connection_stays_until_it_is_too_much() {
    let coordinator = Coordinator::in_memory().await;
    let _daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut good = Client::connect(coordinator.address).await;
    good.start_and_wait(None, TWO).await;
    let mut client = Client::connect(coordinator.address).await;
    for garbage in [
        "",
        "{",
        "null",
        "\u{0}\u{1}",
        "{\"id\":5}",
        "[[[[[[",
        "{\"id\":\"x\",\"method\":\"control\",\"params\":{}}",
    ] {
        client.socket.send(Message::text(garbage)).await.unwrap();
        let answer = next(&mut client.socket).await;
        assert!(answer.contains("error"), "{garbage}: {answer}");
    }
    assert_eq!(client.list().await.len(), 1, "the connection must stay");
    client.socket.send(Message::binary(vec![0_u8, 255, 3])).await.unwrap();
    assert!(next(&mut client.socket).await.contains("binary"));
    for _ in 0..20 {
        // The end may come while we are still talking.
        drop(client.socket.send(Message::text("garbage")).await);
    }
    let mut last = String::new();
    while !last.starts_with("closed") && last != "gone" {
        last = next(&mut client.socket).await;
    }
    assert!(last.contains("too many frames without sense") || last == "gone", "{last}");
    assert_eq!(good.list().await.len(), 1);
}

#[tokio::test]
async fn frames_that_are_too_large_or_torn_cut_off_only_who_sent_them() {
    let coordinator = Coordinator::in_memory().await;
    let mut good = Client::connect(coordinator.address).await;
    for route in ["/api/control", "/api/daemon"] {
        // Half a frame of a WebSocket, a frame with reserved bits, and half an HTTP request.
        for bytes in [&[0x81_u8, 0xFE, 0x10][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF], &[0x81, 0x05, b'a']] {
            let mut raw = upgraded(coordinator.address, route).await;
            raw.write_all(bytes).await.unwrap();
            drop(raw);
        }
        let mut torn = TcpStream::connect(coordinator.address).await.unwrap();
        torn.write_all(format!("GET {route} HTTP/1.1\r\nHost: x\r\nUpgr").as_bytes()).await.unwrap();
        drop(torn);
    }
    let mut client = Client::connect(coordinator.address).await;
    let huge =
        json!({ "id": Uuid::nil(), "method": "control", "params": { "x": "y".repeat(MAX_CONTROL_FRAME) } });
    drop(client.socket.send(Message::text(huge.to_string())).await);
    let end = next(&mut client.socket).await;
    assert!(end.contains("closed") || end == "gone", "{end}");
    assert!(good.list().await.is_empty());
    still_works(coordinator.address).await;
}

/// A WebSocket connection with the frames left to us.
async fn upgraded(address: SocketAddr, route: &str) -> TcpStream {
    let mut raw = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {route} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(raw.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    raw
}

#[tokio::test]
async fn garbage_from_a_daemon_is_refused_and_the_others_go_on() {
    let coordinator = Coordinator::in_memory().await;
    let daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    client.start_and_wait(None, TWO).await;
    for garbage in [
        "",
        "{",
        "null",
        "{\"id\":\"00000000-0000-0000-0000-000000000000\"}",
        "{\"id\":1,\"method\":\"daemon_event\"}",
    ] {
        let mut socket = open(coordinator.address, "/api/daemon").await;
        socket.send(Message::text(garbage)).await.unwrap();
        let end = next(&mut socket).await;
        assert!(end.starts_with("closed") || end == "gone", "{garbage}: {end}");
    }
    let mut socket = open(coordinator.address, "/api/daemon").await;
    socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert!(next(&mut socket).await.contains("binary"));
    // One that has registered may say something that is not known, and stays.
    let mut other = open(coordinator.address, "/api/daemon").await;
    let register = json!({ "id": Uuid::new_v4(), "method": "daemon_event", "params": { "event": { "Register": {
        "dora_version": DORA_VERSION, "instance": Uuid::new_v4(), "machine_id": "odd" } } } });
    other.send(Message::text(register.to_string())).await.unwrap();
    assert!(next(&mut other).await.contains("Registered"));
    let unknown =
        json!({ "id": Uuid::new_v4(), "method": "daemon_event", "params": { "event": { "Sing": {} } } });
    other.send(Message::text(unknown.to_string())).await.unwrap();
    let mut answer = next(&mut other).await;
    while answer.contains("daemon_command") {
        answer = next(&mut other).await;
    }
    assert!(answer.contains("cannot be understood"), "{answer}");
    drop(daemon);
    still_works(coordinator.address).await;
}

#[tokio::test]
async fn of_three_hundred_connections_those_beyond_the_limit_are_refused_and_places_come_free() {
    let coordinator = Coordinator::in_memory().await;
    let (mut taken, mut refused) = (Vec::new(), 0);
    for _ in 0..300 {
        match connect_async(url(coordinator.address, "/api/control")).await {
            Ok((socket, _)) => taken.push(socket),
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((taken.len(), refused), (256, 44));
    // Clients leave no daemon outside.
    let _daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut of_them = Client { socket: taken.pop().unwrap(), events: Vec::new() };
    of_them.ask(ControlRequest::Hello { dora_version: DORA_VERSION.into() }).await.unwrap();
    assert!(of_them.list().await.is_empty());
    drop(taken);
    let free = async {
        while connect_async(url(coordinator.address, "/api/control")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("a place must come free");
}

#[tokio::test]
async fn a_client_says_hello_first_and_with_a_version_that_fits() {
    let coordinator = Coordinator::in_memory().await;
    let mut client = Client::silent(coordinator.address).await;
    let error = client.ask(ControlRequest::List).await.unwrap_err();
    assert!(error.contains("must be `Hello`"), "{error}");
    let error = client.ask(ControlRequest::Hello { dora_version: "77.1.2".into() }).await.unwrap_err();
    assert!(error.contains("77.1.2") && error.contains(DORA_VERSION), "{error}");
    assert!(client.frame().await.is_none(), "nothing can follow");
    still_works(coordinator.address).await;
}

#[tokio::test]
async fn too_many_unanswered_requests_are_refused_one_by_one() {
    let coordinator = Coordinator::in_memory().await;
    let daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let id = client.start_and_wait(None, TWO).await;
    for _ in 0..300 {
        client.send(ControlRequest::WaitForFinish { dataflow_id: id }).await;
    }
    for _ in 0..300 - 256 {
        let answer = next(&mut client.socket).await;
        assert!(answer.contains("too many requests"), "{answer}");
    }
    let events = daemon.world.lock().unwrap().end(id, None);
    events.into_iter().for_each(|event| daemon.say(event));
    for _ in 0..256 {
        let answer = next(&mut client.socket).await;
        assert!(answer.contains("DataflowStopped"), "{answer}");
    }
    assert!(!client.list().await.is_empty(), "all are answered, so there is room again");
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let coordinator = Coordinator::in_memory().await;
    let _daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut client = Client::connect(coordinator.address).await;
    let id = client.start_and_wait(None, TWO).await;
    let subscribe =
        || ControlRequest::LogSubscribe { dataflow_id: id, level: dora_protocol::log::LogLevel::Info };
    for _ in 0..16 {
        client.ask(subscribe()).await.unwrap();
    }
    let error = client.ask(subscribe()).await.unwrap_err();
    assert!(error.contains("16"), "{error}");
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_lines_is_told_how_many_and_holds_up_nobody() {
    const LINES: u64 = 4000;
    let coordinator = Coordinator::in_memory().await;
    let daemon = FakeDaemon::connected(None, coordinator.address).await;
    let mut good = Client::connect(coordinator.address).await;
    let id = good.start_and_wait(None, TWO).await;
    let mut slow = Client::connect(coordinator.address).await;
    let subscribe = ControlRequest::LogSubscribe { dataflow_id: id, level: LogLevel::Stdout };
    slow.ask(subscribe).await.unwrap();
    let line = LogMessage {
        build_id: None,
        dataflow_id: None,
        node_id: Some("a".into()),
        daemon_id: None,
        level: "stdout".into(),
        target: None,
        module_path: None,
        file: None,
        line: None,
        message: "x".repeat(10_000),
        timestamp: String::new(),
        fields: None,
    };
    for _ in 0..LINES / 100 {
        let messages = vec![line.clone(); 100];
        daemon.say(DaemonEvent::Log { dataflow_id: id, messages, dropped: 0 });
        assert_eq!(good.list().await.len(), 1);
    }
    let events = daemon.world.lock().unwrap().end(id, None);
    events.into_iter().for_each(|event| daemon.say(event));
    good.list_until(|list| list[0].status.has_ended()).await;
    let (mut came, mut dropped) = (0, 0);
    loop {
        match slow.event().await {
            Event::Log(_) => came += 1,
            Event::Dropped { count, .. } => dropped += count,
            Event::Finished { .. } => break,
        }
    }
    assert_eq!(came + dropped, LINES, "every line came or was counted");
    assert!(dropped > 0, "40 MB cannot have been kept for it");
}

#[tokio::test]
async fn of_many_who_start_under_one_name_at_once_one_succeeds() {
    let coordinator = Coordinator::in_memory().await;
    let _daemon = FakeDaemon::connected(None, coordinator.address).await;
    let address = coordinator.address;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        tasks.spawn(async move { Client::connect(address).await.start(Some("arm"), TWO).await });
    }
    let results = tasks.join_all().await;
    let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(good.len(), 1, "{good:?}");
    assert!(bad.iter().all(|error| error.as_ref().is_err_and(|e| e.contains("running already"))), "{bad:?}");
    assert_eq!(Client::connect(address).await.list().await.len(), 1);
}

#[tokio::test]
async fn with_a_token_only_those_who_know_it_come_in_and_health_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    let options = dora_coordinator::Options {
        auth: true,
        token_file: Some(token_file.clone()),
        ..options(StoreChoice::Memory)
    };
    let coordinator = Coordinator::start(options).await;
    let token = std::fs::read_to_string(&token_file).unwrap();
    let with = async |header: Option<String>, route: &str| {
        let mut request = url(coordinator.address, route).into_client_request().unwrap();
        if let Some(header) = header {
            request.headers_mut().insert("authorization", header.parse().unwrap());
        }
        match connect_async(request).await {
            Ok(_) => StatusCode::SWITCHING_PROTOCOLS,
            Err(Error::Http(response)) => response.status(),
            Err(error) => panic!("{error}"),
        }
    };
    for route in ["/api/control", "/api/daemon"] {
        let good = format!("Bearer {token}");
        assert_eq!(with(Some(good), route).await, StatusCode::SWITCHING_PROTOCOLS);
        for bad in [
            None,
            Some("Bearer x".to_owned()),
            Some(token.clone()),
            Some(format!("Bearer {}", "0".repeat(64))),
        ] {
            assert_eq!(with(bad, route).await, StatusCode::UNAUTHORIZED);
        }
    }
    assert!(http(coordinator.address, "/health").await.contains("200 OK"));
}

#[tokio::test]
async fn beyond_loopback_a_token_is_always_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(StoreChoice::Memory);
    options.interface = std::net::Ipv4Addr::UNSPECIFIED.into();
    options.token_file = Some(dir.path().join("token"));
    let server = dora_coordinator::Server::bind(&options).await.unwrap();
    assert!(server.needs_token());
    assert!(dir.path().join("token").exists());
}

#[tokio::test]
async fn a_web_page_cannot_connect() {
    let coordinator = Coordinator::in_memory().await;
    let mut request = url(coordinator.address, "/api/control").into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://example.org".parse().unwrap());
    match connect_async(request).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), StatusCode::FORBIDDEN),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

/// The whole answer to a GET.
async fn http(address: SocketAddr, path: &str) -> String {
    let mut raw = TcpStream::connect(address).await.unwrap();
    raw.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn health_says_ok_and_other_paths_and_plain_requests_are_refused() {
    let coordinator = Coordinator::in_memory().await;
    for path in ["/health", "/api/health"] {
        let answer = http(coordinator.address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nok"), "{answer}");
    }
    assert!(http(coordinator.address, "/").await.starts_with("HTTP/1.1 404"));
    assert!(http(coordinator.address, "/api/control").await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let coordinator = Coordinator::in_memory().await;
    let mut silent = TcpStream::connect(coordinator.address).await.unwrap();
    let mut slow = Client::silent(coordinator.address).await;
    let mut daemon = open(coordinator.address, "/api/daemon").await;
    let mut byte = [0];
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut byte)).await.expect("it must be hung up on");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert!(next(&mut slow.socket).await.contains("no Hello"));
    assert!(next(&mut daemon).await.contains("no Register"));
}

#[tokio::test]
async fn a_second_coordinator_on_the_same_port_says_so() {
    let coordinator = Coordinator::in_memory().await;
    let mut second = options(StoreChoice::Memory);
    second.port = coordinator.address.port();
    let error = dora_coordinator::Server::bind(&second).await.unwrap_err().to_string();
    assert!(
        error.contains("another coordinator may run there") && error.contains(&second.port.to_string()),
        "{error}"
    );
    let list = Client::connect(coordinator.address).await.ask(ControlRequest::List).await;
    assert!(matches!(list, Ok(ControlReply::DataflowList(_))));
}
