//! A coordinator played by the test, frame by frame.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use dora_daemon::{
    host::{self, EndRequest, HostError, HostOptions},
    options::RtMode,
};
use dora_protocol::{
    DataflowId,
    control::{DaemonId, Method, Outcome, Request, Response},
    daemon_link::{
        COORDINATOR_HEARTBEAT, DaemonCommand, DaemonEvent, DaemonReply, DataflowRecord, EventReply,
        FinishedDataflow, FromDaemon, Register, RunningDataflow, ToDaemonLink,
    },
    dataflow::{Dataflow, Node},
};
use futures::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use uuid::Uuid;

/// Longer than anything takes on a machine that does ten other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// In the folder of a [`Daemon`].
pub(crate) const SOCKET: &str = "dora/daemon-1.sock";

/// A daemon in this process, and the port that it looks for its coordinator at.
pub(crate) struct Daemon {
    pub(crate) listener: TcpListener,
    pub(crate) end: mpsc::UnboundedSender<EndRequest>,
    running: JoinHandle<Result<(), HostError>>,
    /// Of the socket of dynamic nodes.
    pub(crate) folder: tempfile::TempDir,
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = options(listener.local_addr().unwrap(), folder.path());
        let (end, requests) = mpsc::unbounded_channel();
        Self { listener, end, running: tokio::spawn(host::serve(options, requests)), folder }
    }

    /// The next connection, up to and including the answer to its status report.
    pub(crate) async fn connection(&self) -> Connection {
        self.connection_with(None).await
    }

    /// As `connection`, with a command that is said in one breath with the answer to `Register`.
    pub(crate) async fn connection_with(&self, early: Option<&str>) -> Connection {
        let (stream, _) =
            timeout(PATIENCE, self.listener.accept()).await.expect("the daemon connects").unwrap();
        let socket = timeout(PATIENCE, accept_async(stream)).await.expect("it speaks").unwrap();
        let daemon_id = DaemonId { machine_id: Some("arm".to_owned()), uuid: Uuid::from_u128(7) };
        let mut connection = Connection {
            socket,
            beat: Instant::now(),
            events: Vec::new(),
            status: Status::default(),
            register: None,
        };
        let (id, event) = connection.next_event(None).await;
        let DaemonEvent::Register(register) = event else { panic!("first comes Register, not {event:?}") };
        connection.register = Some(register);
        let dora_version = "1".to_owned();
        connection.answer(id, EventReply::Registered { daemon_id: daemon_id.clone(), dora_version }).await;
        if let Some(early) = early {
            connection.text(early).await;
        }
        let (id, event) = connection.next_event(Some(&daemon_id)).await;
        let DaemonEvent::StatusReport { running_dataflows, finished_dataflows } = event else {
            panic!("second comes the status report, not {event:?}")
        };
        connection.status = Status { running: running_dataflows, finished: finished_dataflows };
        connection.answer(id, EventReply::Accepted).await;
        connection
    }

    pub(crate) async fn ended(self) -> Result<(), HostError> {
        timeout(PATIENCE, self.running).await.expect("the daemon ends").unwrap()
    }
}

fn options(coordinator: SocketAddr, folder: &Path) -> HostOptions {
    // Nobody reads what it says; it goes on all the same.
    let (sayings, _) = mpsc::channel(1);
    HostOptions {
        coordinator,
        token: None,
        listen: folder.join(SOCKET),
        machine_id: Some("arm".to_owned()),
        labels: [("gpu".to_owned(), "yes".to_owned())].into(),
        rt: RtMode::Off,
        allow_shell_nodes: false,
        quiet: false,
        sayings,
    }
}

#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) running: Vec<RunningDataflow>,
    pub(crate) finished: Vec<FinishedDataflow>,
}

/// One connection of the daemon.
pub(crate) struct Connection {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// Our last sign of life.
    beat: Instant,
    /// What the daemon told while something else was waited for.
    events: Vec<DaemonEvent>,
    pub(crate) status: Status,
    pub(crate) register: Option<Register>,
}

impl Connection {
    async fn frame(&mut self) -> FromDaemon {
        let begin = Instant::now();
        loop {
            if self.beat.elapsed() >= COORDINATOR_HEARTBEAT {
                self.beat = Instant::now();
                let id = Uuid::new_v4();
                let params = DaemonCommand::Heartbeat;
                let beat = ToDaemonLink::Command(Request { id, method: Method::DaemonCommand, params });
                self.text(&serde_json::to_string(&beat).unwrap()).await;
            }
            assert!(begin.elapsed() < PATIENCE, "the daemon says nothing");
            let Ok(message) = timeout(COORDINATOR_HEARTBEAT, self.socket.next()).await else { continue };
            match message.expect("the connection stays").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn next_event(&mut self, of: Option<&DaemonId>) -> (Uuid, DaemonEvent) {
        match self.frame().await {
            FromDaemon::Event(Request { id, method, params }) => {
                assert_eq!((method, params.daemon_id.as_ref()), (Method::DaemonEvent, of));
                (id, params.event)
            }
            FromDaemon::Response(response) => panic!("nothing was asked: {response:?}"),
        }
    }

    async fn answer(&mut self, id: Uuid, reply: EventReply) {
        let response = Response { id, outcome: Outcome::Result(reply) };
        self.text(&serde_json::to_string(&ToDaemonLink::Response(response)).unwrap()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn ask(&mut self, command: DaemonCommand) -> Result<DaemonReply, String> {
        let id = Uuid::new_v4();
        let request = Request { id, method: Method::DaemonCommand, params: command };
        self.text(&serde_json::to_string(&ToDaemonLink::Command(request)).unwrap()).await;
        self.answered(id).await
    }

    pub(crate) async fn answered(&mut self, id: Uuid) -> Result<DaemonReply, String> {
        loop {
            match self.frame().await {
                FromDaemon::Response(response) => {
                    assert_eq!(response.id, id);
                    return response.outcome.into();
                }
                FromDaemon::Event(request) => self.events.push(request.params.event),
            }
        }
    }

    /// The next event that is one of those wanted, told before or later. Others are kept.
    pub(crate) async fn event<T>(&mut self, mut wanted: impl FnMut(&DaemonEvent) -> Option<T>) -> T {
        if let Some(at) = self.events.iter().position(|event| wanted(event).is_some()) {
            return wanted(&self.events.remove(at)).expect("just found");
        }
        loop {
            match self.frame().await {
                FromDaemon::Event(request) => match wanted(&request.params.event) {
                    Some(found) => return found,
                    None => self.events.push(request.params.event),
                },
                FromDaemon::Response(response) => panic!("nothing was asked: {response:?}"),
            }
        }
    }

    /// Starts nodes, and waits until all of them are ready.
    pub(crate) async fn spawn(&mut self, id: DataflowId, nodes: Vec<Node>, folder: &Path) -> DataflowRecord {
        let record = DataflowRecord { name: Some(format!("flow of {id}")), ..DataflowRecord::default() };
        let command = spawn_command(id, crate::support::dataflow(nodes, folder), &record);
        assert_eq!(self.ask(command).await, Ok(DaemonReply::Done));
        let spawned = self.event(|event| match event {
            DaemonEvent::SpawnResult { dataflow_id, result, .. } if *dataflow_id == id => {
                Some(result.clone())
            }
            _ => None,
        });
        assert_eq!(spawned.await, Ok(()));
        record
    }

    /// Waits for the end of a dataflow; why it failed.
    pub(crate) async fn finished(&mut self, id: DataflowId) -> Option<String> {
        let finished = self.event(|event| match event {
            DaemonEvent::AllNodesFinished { dataflow_id, result } if *dataflow_id == id => {
                Some(result.clone())
            }
            _ => None,
        });
        finished.await.error
    }

    /// All lines of a dataflow that were told so far.
    pub(crate) fn lines(&self, id: DataflowId) -> Vec<String> {
        let lines = self.events.iter().filter_map(|event| match event {
            DaemonEvent::Log { dataflow_id, messages, .. } if *dataflow_id == id => Some(messages),
            _ => None,
        });
        lines.flatten().map(|line| line.message.clone()).collect()
    }
}

pub(crate) fn spawn_command(id: DataflowId, dataflow: Dataflow, record: &DataflowRecord) -> DaemonCommand {
    DaemonCommand::Spawn {
        dataflow_id: id,
        dataflow: Box::new(dataflow),
        record: Box::new(record.clone()),
        parameters: Default::default(),
        parameter_sequence: 0,
    }
}

pub(crate) fn stop_command(id: DataflowId) -> DaemonCommand {
    DaemonCommand::StopDataflow { dataflow_id: id, grace_duration: Some(PATIENCE), force: false }
}
