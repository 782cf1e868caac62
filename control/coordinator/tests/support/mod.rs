//! A coordinator in this process, a client that speaks over a real WebSocket, and a daemon that only pretends to run things.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses its own part of this")]

mod daemon;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use dora_coordinator::{Options, Server, StoreChoice};
use dora_protocol::{
    DataflowId,
    control::{
        ControlReply, ControlRequest, DORA_VERSION, DataflowEntry, Event, Method, Outcome, Request,
        StartRequest, ToClient,
    },
};
use futures::{SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use uuid::Uuid;

pub use daemon::{FakeDaemon, register};

/// Far beyond what anything here takes; a test that reaches it has hung.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub fn options(store: StoreChoice) -> Options {
    Options { interface: Ipv4Addr::LOCALHOST.into(), port: 0, store, ..Options::default() }
}

/// A coordinator that runs as a task.
pub struct Coordinator {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Coordinator {
    pub async fn start(options: Options) -> Self {
        let server = Server::bind(&options).await.expect("the coordinator must start");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            server.run(shutdown).await.expect("the coordinator must run");
        });
        Self { address, stop: Some(stop), task }
    }

    pub async fn in_memory() -> Self {
        Self::start(options(StoreChoice::Memory)).await
    }

    pub async fn with_store(path: &Path) -> Self {
        Self::start(options(StoreChoice::RedbAt(path.to_owned()))).await
    }

    /// As SIGTERM would: dataflows go on.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, &mut self.task).await.expect("the coordinator must end when told to").unwrap();
    }

    /// Ends because a client said so.
    pub async fn ended(mut self) {
        timeout(PATIENCE, &mut self.task).await.expect("the coordinator must end after Destroy").unwrap();
    }
}

pub fn url(address: SocketAddr, route: &str) -> String {
    format!("ws://{address}{route}")
}

pub async fn open(address: SocketAddr, route: &str) -> Socket {
    connect_async(url(address, route)).await.expect("the connection must be taken").0
}

/// A client that has said Hello.
pub struct Client {
    pub socket: Socket,
    /// Events that came while an answer was waited for.
    pub events: Vec<Event>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let mut client = Self::silent(address).await;
        let hello = client.ask(ControlRequest::Hello { dora_version: DORA_VERSION.into() }).await;
        assert!(matches!(hello, Ok(ControlReply::HelloOk { .. })), "{hello:?}");
        client
    }

    /// Before Hello.
    pub async fn silent(address: SocketAddr) -> Self {
        Self { socket: open(address, "/api/control").await, events: Vec::new() }
    }

    pub async fn send(&mut self, request: ControlRequest) -> Uuid {
        let id = Uuid::new_v4();
        let frame = serde_json::to_string(&Request { id, method: Method::Control, params: request }).unwrap();
        self.socket.send(Message::text(frame)).await.expect("the coordinator must read");
        id
    }

    /// The next frame; `None` when the coordinator hung up.
    pub async fn frame(&mut self) -> Option<ToClient> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a frame must come");
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_)) | Some(Err(_)) | None => return None,
            }
        }
    }

    pub async fn answer(&mut self, id: Uuid) -> Result<ControlReply, String> {
        loop {
            match self.frame().await.expect("the coordinator hung up before it answered") {
                ToClient::Event(event) => self.events.push(event),
                ToClient::Response(response) => {
                    assert_eq!(
                        response.id, id,
                        "answers of one client come in the order it waits for them here"
                    );
                    return match response.outcome {
                        Outcome::Result(reply) => Ok(reply),
                        Outcome::Error(error) => Err(error),
                    };
                }
            }
        }
    }

    pub async fn ask(&mut self, request: ControlRequest) -> Result<ControlReply, String> {
        let id = self.send(request).await;
        self.answer(id).await
    }

    pub async fn event(&mut self) -> Event {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        match self.frame().await.expect("the coordinator hung up before the event") {
            ToClient::Event(event) => event,
            ToClient::Response(response) => panic!("an answer to nothing: {response:?}"),
        }
    }

    pub async fn start(&mut self, name: Option<&str>, descriptor: &str) -> Result<DataflowId, String> {
        match self.ask(ControlRequest::Start(Box::new(start_request(name, descriptor)))).await? {
            ControlReply::DataflowStartTriggered { uuid, .. } => Ok(uuid),
            other => panic!("{other:?}"),
        }
    }

    /// Started, and every node ready.
    pub async fn start_and_wait(&mut self, name: Option<&str>, descriptor: &str) -> DataflowId {
        let id = self.start(name, descriptor).await.unwrap();
        let spawned = self.ask(ControlRequest::WaitForSpawn { dataflow_id: id }).await;
        assert!(matches!(spawned, Ok(ControlReply::DataflowSpawned { uuid }) if uuid == id), "{spawned:?}");
        id
    }

    pub async fn list(&mut self) -> Vec<DataflowEntry> {
        match self.ask(ControlRequest::List).await {
            Ok(ControlReply::DataflowList(list)) => list,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for the list until it is as wanted.
    pub async fn list_until(&mut self, wanted: impl Fn(&[DataflowEntry]) -> bool) -> Vec<DataflowEntry> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let list = self.list().await;
            if wanted(&list) {
                return list;
            }
            assert!(tokio::time::Instant::now() < until, "the list stays {list:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub fn start_request(name: Option<&str>, descriptor: &str) -> StartRequest {
    StartRequest {
        dataflow: descriptor.into(),
        file: "flow.yml".into(),
        local_working_dir: "/robot".into(),
        name: name.map(str::to_owned),
        ..StartRequest::default()
    }
}

/// A sender and a receiver.
pub const TWO: &str = "
nodes:
  - id: a
    path: ./a
    inputs: { tick: dora/timer/millis/10 }
    outputs: [x, y]
  - id: b
    path: ./b
    inputs: { in: a/x }
";
