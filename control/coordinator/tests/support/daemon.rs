//! A daemon that only pretends: every node is ready at once and ends when it is told to.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use dora_protocol::{
    DataflowId,
    control::{
        DORA_VERSION, DataflowResult, Method, NodeMetrics, NodeOutcome, NodeState, NodeStatus, Outcome,
        Request, Response,
    },
    daemon_link::{
        DaemonCommand, DaemonEvent, DaemonFrame, DaemonReply, EventReply, FinishedDataflow, FromDaemon,
        Parameters, Register, RunningDataflow, ToDaemonLink,
    },
    dataflow::Dataflow,
};
use futures::{SinkExt, StreamExt};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{PATIENCE, Socket, open};

pub fn register(machine: Option<&str>, instance: Uuid) -> Register {
    Register {
        dora_version: DORA_VERSION.into(),
        instance,
        machine_id: machine.map(str::to_owned),
        labels: BTreeMap::new(),
    }
}

/// What it has, across connections.
#[derive(Default)]
pub struct World {
    pub running: BTreeMap<DataflowId, (RunningDataflow, Dataflow)>,
    pub finished: Vec<FinishedDataflow>,
    /// Answer to `Spawn`, `Apply`, …: refused with this.
    pub refuse: Option<String>,
    /// `Spawn` is accepted and no result follows.
    pub slow_start: bool,
    /// Commands are not answered at all.
    pub deaf: bool,
}

/// A process: the same one connects again and again.
pub struct FakeDaemon {
    pub instance: Uuid,
    pub machine: Option<String>,
    pub world: Arc<Mutex<World>>,
    /// Everything but heartbeats.
    pub commands: mpsc::UnboundedReceiver<DaemonCommand>,
    heard: mpsc::UnboundedSender<DaemonCommand>,
    events: Option<mpsc::UnboundedSender<DaemonEvent>>,
    task: Option<JoinHandle<()>>,
}

impl FakeDaemon {
    pub fn new(machine: Option<&str>) -> Self {
        let (heard, commands) = mpsc::unbounded_channel();
        Self {
            instance: Uuid::new_v4(),
            machine: machine.map(str::to_owned),
            world: Arc::default(),
            commands,
            heard,
            events: None,
            task: None,
        }
    }

    /// Connects, registers and reports; returns when the coordinator has accepted both.
    pub async fn connect(&mut self, address: SocketAddr) {
        self.disconnect().await;
        let mut socket = open(address, "/api/daemon").await;
        let event = DaemonEvent::Register(register(self.machine.as_deref(), self.instance));
        send(&mut socket, None, event).await;
        let id = match answer(&mut socket).await {
            Ok(EventReply::Registered { daemon_id, .. }) => daemon_id,
            other => panic!("{other:?}"),
        };
        let report = {
            let world = self.world.lock().unwrap();
            DaemonEvent::StatusReport {
                running_dataflows: world.running.values().map(|(running, _)| running.clone()).collect(),
                finished_dataflows: world.finished.clone(),
            }
        };
        send(&mut socket, Some(&id), report).await;
        let mut early = Vec::new();
        loop {
            match next(&mut socket).await.expect("the coordinator hung up on the report") {
                ToDaemonLink::Response(response) => {
                    assert!(
                        matches!(response.outcome, Outcome::Result(EventReply::Accepted)),
                        "{response:?}"
                    );
                    break;
                }
                ToDaemonLink::Command(request) => early.push(request),
            }
        }
        let (events, inbox) = mpsc::unbounded_channel();
        let (world, heard) = (self.world.clone(), self.heard.clone());
        let link = Link { socket, id, world, heard };
        self.task = Some(tokio::spawn(link.run(early, inbox)));
        self.events = Some(events);
    }

    pub async fn connected(machine: Option<&str>, address: SocketAddr) -> Self {
        let mut daemon = Self::new(machine);
        daemon.connect(address).await;
        daemon
    }

    /// Breaks the connection, as a cut cable would.
    pub async fn disconnect(&mut self) {
        self.events = None;
        if let Some(task) = self.task.take() {
            task.abort();
            drop(task.await);
        }
    }

    pub fn say(&self, event: DaemonEvent) {
        self.events.as_ref().expect("connected").send(event).expect("the link must live");
    }

    /// The next command that is not a heartbeat.
    pub async fn command(&mut self) -> DaemonCommand {
        timeout(PATIENCE, self.commands.recv())
            .await
            .expect("a command must come")
            .expect("the link must live")
    }

    pub fn parameters(&self, id: DataflowId) -> (Parameters, u64) {
        let world = self.world.lock().unwrap();
        let (running, _) = &world.running[&id];
        (running.parameters.clone(), running.parameter_sequence)
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn send(socket: &mut Socket, id: Option<&dora_protocol::control::DaemonId>, event: DaemonEvent) {
    let params = DaemonFrame { daemon_id: id.cloned(), event };
    let frame = FromDaemon::Event(Request { id: Uuid::new_v4(), method: Method::DaemonEvent, params });
    put(socket, &frame).await;
}

async fn put(socket: &mut Socket, frame: &FromDaemon) {
    let text = serde_json::to_string(frame).unwrap();
    // The coordinator may have ended; the test looks for that elsewhere.
    drop(socket.send(Message::text(text)).await);
}

async fn next(socket: &mut Socket) -> Option<ToDaemonLink> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => {
                return Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")));
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            _ => return None,
        }
    }
}

async fn answer(socket: &mut Socket) -> Result<EventReply, String> {
    loop {
        match timeout(PATIENCE, next(socket))
            .await
            .expect("an answer must come")
            .expect("the coordinator hung up")
        {
            ToDaemonLink::Response(response) => return response.outcome.into(),
            ToDaemonLink::Command(_) => {}
        }
    }
}

struct Link {
    socket: Socket,
    id: dora_protocol::control::DaemonId,
    world: Arc<Mutex<World>>,
    heard: mpsc::UnboundedSender<DaemonCommand>,
}

impl Link {
    async fn run(
        mut self,
        early: Vec<Request<DaemonCommand>>,
        mut events: mpsc::UnboundedReceiver<DaemonEvent>,
    ) {
        for request in early {
            self.command(request).await;
        }
        loop {
            tokio::select! {
                frame = next(&mut self.socket) => match frame {
                    Some(ToDaemonLink::Command(request)) => self.command(request).await,
                    Some(ToDaemonLink::Response(_)) => {}
                    None => return,
                },
                event = events.recv() => match event {
                    Some(event) => send(&mut self.socket, Some(&self.id), event).await,
                    None => return,
                },
            }
        }
    }

    async fn command(&mut self, request: Request<DaemonCommand>) {
        let Request { id, params, .. } = request;
        if matches!(params, DaemonCommand::Heartbeat) {
            return;
        }
        drop(self.heard.send(params.clone()));
        if matches!(params, DaemonCommand::PeerDaemonDisconnected { .. }) || self.world.lock().unwrap().deaf {
            return;
        }
        let (outcome, events) = self.world.lock().unwrap().carry_out(params);
        let response = FromDaemon::Response(Response { id, outcome: Outcome::from(outcome) });
        put(&mut self.socket, &response).await;
        for event in events {
            send(&mut self.socket, Some(&self.id), event).await;
        }
    }
}

fn states(dataflow: &Dataflow) -> Vec<NodeState> {
    let state = |node: &dora_protocol::dataflow::Node| NodeState {
        node_id: node.id.clone(),
        status: NodeStatus::Running,
        pid: Some(1),
        restart_count: 2,
        broken_inputs: Vec::new(),
        pending_messages: 0,
        error: None,
        metrics: Some(NodeMetrics { cpu_usage: 1.5, memory_bytes: 1 << 20, ..NodeMetrics::default() }),
        network: None,
    };
    dataflow.nodes.iter().map(state).collect()
}

impl World {
    /// Ends a dataflow as if by itself.
    pub fn end(&mut self, id: DataflowId, error: Option<&str>) -> Vec<DaemonEvent> {
        let Some((running, dataflow)) = self.running.remove(&id) else { return Vec::new() };
        let outcome = |node: &dora_protocol::dataflow::Node| NodeOutcome {
            node_id: node.id.clone(),
            exit: Some("0".into()),
            error: None,
            caused_by: None,
        };
        let nodes = dataflow.nodes.iter().map(outcome).collect();
        let result = DataflowResult { error: error.map(str::to_owned), nodes };
        let record = running.record;
        self.finished.push(FinishedDataflow { dataflow_id: id, record, result: result.clone() });
        vec![DaemonEvent::AllNodesFinished { dataflow_id: id, result }]
    }

    fn carry_out(&mut self, command: DaemonCommand) -> (Result<DaemonReply, String>, Vec<DaemonEvent>) {
        if let Some(refusal) = &self.refuse {
            return (Err(refusal.clone()), Vec::new());
        }
        let done = Ok(DaemonReply::Done);
        match command {
            DaemonCommand::Spawn { dataflow_id, dataflow, record, parameters, parameter_sequence } => {
                let running = RunningDataflow {
                    dataflow_id,
                    record: *record,
                    spawned: !self.slow_start,
                    stopping: false,
                    running_nodes: states(&dataflow),
                    parameters,
                    parameter_sequence,
                };
                let nodes = running.running_nodes.clone();
                self.running.insert(dataflow_id, (running, *dataflow));
                let ready = vec![
                    DaemonEvent::SpawnResult { dataflow_id, result: Ok(()), rt_table: None },
                    DaemonEvent::NodeMetrics { dataflow_id, nodes },
                ];
                (done, if self.slow_start { Vec::new() } else { ready })
            }
            DaemonCommand::StopDataflow { dataflow_id, .. } => (done, self.end(dataflow_id, None)),
            DaemonCommand::Apply { dataflow_id, dataflow, record, .. } => {
                match self.running.get_mut(&dataflow_id) {
                    None => (Err("not here".into()), Vec::new()),
                    Some((running, old)) => {
                        running.running_nodes = states(&dataflow);
                        running.record = *record;
                        *old = *dataflow;
                        (Ok(DaemonReply::Applied { changes: Vec::new() }), Vec::new())
                    }
                }
            }
            DaemonCommand::StateCatchUp { dataflow_id, entries } => {
                if let Some((running, _)) = self.running.get_mut(&dataflow_id) {
                    for entry in entries {
                        if entry.sequence <= running.parameter_sequence {
                            continue;
                        }
                        running.parameter_sequence = entry.sequence;
                        let of_node = running.parameters.entry(entry.node_id).or_default();
                        match entry.value {
                            Some(value) => drop(of_node.insert(entry.key, value)),
                            None => drop(of_node.remove(&entry.key)),
                        }
                    }
                    running.parameters.retain(|_, of_node| !of_node.is_empty());
                }
                (done, Vec::new())
            }
            DaemonCommand::StopNode { .. } => (Ok(DaemonReply::NodeStopped { clean_stop: true }), Vec::new()),
            DaemonCommand::Logs { nodes, tail, .. } => {
                let text = nodes
                    .iter()
                    .map(|node| format!("{{\"node_id\":\"{node}\",\"tail\":{tail:?}}}\n"))
                    .collect();
                (Ok(DaemonReply::Logs { text, left_out_bytes: 0 }), Vec::new())
            }
            _ => (done, Vec::new()),
        }
    }
}
