//! The coordinator, its daemon and its store, and a ledger of what was asked and answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dora_protocol::{
    DataflowId,
    control::{ControlReply, ControlRequest, DataflowStatus},
    daemon_link::{DaemonCommand, DaemonEvent, DataflowRecord},
    log::LogLevel,
};
use uuid::Uuid;

use super::{
    super::{Effect, Input, Launch, Limits, Now, State, Waiter},
    Step,
    model::{Daemon, Said},
};
use crate::{
    descriptor,
    store::{Contents, StoredFlow, StoredParameters, Write},
};

pub(super) const TWO: &str = "
nodes:
  - { id: a, path: ./a, inputs: { tick: dora/timer/millis/10 }, outputs: [x] }
  - { id: b, path: ./b, inputs: { in: a/x } }
";

pub(super) fn launch(name: Option<&str>) -> Launch {
    let record = DataflowRecord {
        name: name.map(str::to_owned),
        file: "flow.yml".into(),
        working_dir: "/robot".into(),
        original: TWO.into(),
        live: TWO.into(),
        ..DataflowRecord::default()
    };
    let resolved = descriptor::resolve(&record).unwrap();
    Launch { record, resolved }
}

#[derive(Debug)]
pub(super) struct Sim {
    pub(super) state: State,
    pub(super) now: Now,
    store: BTreeMap<DataflowId, StoredFlow>,
    parameters: BTreeMap<DataflowId, StoredParameters>,
    daemon: Daemon,
    numbers: u64,
    client: u64,
    /// Requests and how many answers each has had.
    asked: BTreeMap<Waiter, u32>,
    pub(super) replies: Vec<(Waiter, Result<ControlReply, String>)>,
    /// Those whose client has left.
    forgotten: BTreeSet<u64>,
}

const LIMITS: Limits = Limits { spawn_result: Some(Duration::from_secs(300)) };

impl Sim {
    pub(super) fn new() -> Self {
        let mut sim = Self {
            state: State::new(LIMITS, Now::default(), Vec::new()),
            now: Now::default(),
            store: BTreeMap::new(),
            parameters: BTreeMap::new(),
            daemon: Daemon::new(),
            numbers: 100,
            client: 1,
            asked: BTreeMap::new(),
            replies: Vec::new(),
            forgotten: BTreeSet::new(),
        };
        sim.connect();
        sim
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn input(&mut self, input: Input) {
        self.state.handle(self.now, input);
        for effect in self.state.effects() {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(waiter, result) => {
                *self.asked.get_mut(&waiter).unwrap_or_else(|| panic!("an answer to nothing: {result:?}")) +=
                    1;
                self.replies.push((waiter, *result));
            }
            Effect::Command { link, id, command } if self.daemon.link == Some(link) => {
                self.daemon.commands.push_back((id, command));
            }
            Effect::Close { link, .. } if self.daemon.link == Some(link) => self.daemon.drop_link(),
            Effect::Store(Write::Flow(id, flow)) => drop(self.store.insert(id, *flow)),
            Effect::Store(Write::Parameters(id, parameters)) => drop(self.parameters.insert(id, parameters)),
            Effect::Delete(ids, waiter) => {
                for id in &ids {
                    self.store.remove(id);
                    self.parameters.remove(id);
                }
                self.input(Input::Deleted(waiter, ids.into_iter().map(|id| (id, Ok(()))).collect()));
            }
            Effect::Command { .. }
            | Effect::Close { .. }
            | Effect::Answer { .. }
            | Effect::Event(..)
            | Effect::End => {}
        }
    }

    pub(super) fn waiter(&mut self) -> Waiter {
        let waiter = Waiter { client: self.client, id: Uuid::from_u128(self.number().into()) };
        self.asked.insert(waiter, 0);
        waiter
    }

    pub(super) fn ask(&mut self, request: ControlRequest) {
        let waiter = self.waiter();
        self.input(Input::Ask(waiter, request));
    }

    fn break_link(&mut self) {
        if let Some(link) = self.daemon.link {
            self.daemon.drop_link();
            self.input(Input::LinkGone(link));
        }
    }

    pub(super) fn connect(&mut self) {
        self.break_link();
        let link = self.number();
        self.daemon.link = Some(link);
        let register = self.daemon.register();
        self.input(Input::Register { link, id: Uuid::nil(), address: None, register });
        let event = self.daemon.report();
        let daemon = Some(self.daemon.id());
        self.input(Input::Event { link, id: Uuid::nil(), daemon, event });
    }

    pub(super) fn make_stubborn(&mut self) {
        self.daemon.stubborn = true;
    }

    fn deliver(&mut self) {
        let (Some(link), Some(said)) = (self.daemon.link, self.daemon.says.pop_front()) else { return };
        let daemon = Some(self.daemon.id());
        self.input(match said {
            Said::Answer(id, outcome) => Input::Answer { link, id, outcome },
            Said::Event(event) => Input::Event { link, id: Uuid::nil(), daemon, event },
        });
    }

    /// Time passes, a second at a time; a connected daemon is heard of.
    pub(super) fn seconds(&mut self, seconds: u16) {
        for second in 0..seconds {
            self.now.mono += Duration::from_secs(1);
            self.now.wall_ms += 1000;
            self.input(Input::Tick);
            self.daemon.commands.retain(|(_, command)| !matches!(command, DaemonCommand::Heartbeat));
            if let (Some(link), true) = (self.daemon.link, second % 5 == 0) {
                let daemon = Some(self.daemon.id());
                let event = DaemonEvent::Heartbeat { ft_stats: Default::default() };
                self.input(Input::Event { link, id: Uuid::nil(), daemon, event });
            }
        }
    }

    /// Some dataflow that the coordinator knows.
    fn flow(&self, n: usize) -> Option<DataflowId> {
        self.state.flows.keys().rev().nth(n).copied()
    }

    fn coordinator_killed(&mut self, store: bool) {
        let parameters = |id| self.parameters.get(id).cloned().unwrap_or_default();
        let contents: Contents =
            self.store.iter().map(|(id, flow)| (*id, flow.clone(), parameters(id))).collect();
        if !store {
            self.store.clear();
            self.parameters.clear();
        }
        self.daemon.drop_link();
        // Their connections are gone with it.
        self.asked.clear();
        self.state = State::new(LIMITS, self.now, if store { contents } else { Vec::new() });
    }

    pub(super) fn step(&mut self, step: &Step) {
        let a = || "a".parse().unwrap();
        let added = || "n".parse().unwrap();
        match *step {
            Step::Start { named } => {
                let waiter = self.waiter();
                self.input(Input::Start(waiter, Box::new(launch(named.then_some("arm")))));
            }
            Step::Clean => self.ask(ControlRequest::Clean),
            Step::ClientGone => {
                self.forgotten.insert(self.client);
                self.input(Input::ClientGone(self.client));
                self.client = self.number();
            }
            Step::Work => self.daemon.work(),
            Step::Deliver => self.deliver(),
            Step::Ready(n) => {
                if let Some(id) = self.daemon.running.keys().nth(n).copied() {
                    self.daemon.ready(id);
                }
            }
            Step::End(n, failed) => {
                if let Some(id) = self.daemon.running.keys().nth(n).copied() {
                    self.daemon.end(id, failed);
                }
            }
            Step::Refuse(refuses) => self.daemon.refuses = refuses,
            Step::BreakLink => self.break_link(),
            Step::Connect => self.connect(),
            Step::DaemonKilled => {
                self.daemon.running.clear();
                self.daemon.finished.clear();
                self.break_link();
                self.daemon.instance = Uuid::from_u128(self.number().into());
            }
            Step::CoordinatorKilled { store } => self.coordinator_killed(store),
            Step::Seconds(seconds) => self.seconds(seconds),
            Step::Stop(n)
            | Step::WaitForSpawn(n)
            | Step::WaitForFinish(n)
            | Step::Subscribe(n)
            | Step::AddNode(n)
            | Step::RemoveNode(n)
            | Step::RestartNode(n)
            | Step::Restart(n, _)
            | Step::SetParam(n, ..) => {
                let Some(id) = self.flow(n) else { return };
                let request = match *step {
                    Step::Stop(_) => {
                        ControlRequest::Stop { dataflow_uuid: id, grace_duration: None, force: false }
                    }
                    Step::WaitForSpawn(_) => ControlRequest::WaitForSpawn { dataflow_id: id },
                    Step::WaitForFinish(_) => ControlRequest::WaitForFinish { dataflow_id: id },
                    Step::Subscribe(_) => {
                        ControlRequest::LogSubscribe { dataflow_id: id, level: LogLevel::Info }
                    }
                    Step::AddNode(_) => {
                        let node = "{ id: n, path: ./n, inputs: { i: a/x } }".to_owned();
                        ControlRequest::AddNode { dataflow_id: id, node, file: None }
                    }
                    Step::RemoveNode(_) => {
                        ControlRequest::RemoveNode { dataflow_id: id, node_id: added(), grace_duration: None }
                    }
                    Step::RestartNode(_) => {
                        ControlRequest::RestartNode { dataflow_id: id, node_id: a(), grace_duration: None }
                    }
                    Step::Restart(_, original) => ControlRequest::Restart {
                        dataflow_uuid: id,
                        grace_duration: None,
                        force: false,
                        original,
                    },
                    Step::SetParam(_, key, Some(value)) => ControlRequest::SetParam {
                        dataflow_id: id,
                        node_id: if key == 2 { added() } else { a() },
                        key: format!("k{key}"),
                        value: value.into(),
                    },
                    Step::SetParam(_, key, None) => {
                        ControlRequest::DeleteParam { dataflow_id: id, node_id: a(), key: format!("k{key}") }
                    }
                    _ => return,
                };
                self.ask(request);
            }
        }
    }

    /// The cable is in, everything is said, carried out and heard, and time passes.
    pub(super) fn settle(&mut self) {
        self.daemon.refuses = false;
        for _ in 0..3 {
            self.connect();
            self.say_all();
            let starting: Vec<DataflowId> = self.daemon.running.keys().copied().collect();
            starting.into_iter().for_each(|id| self.daemon.ready(id));
            self.say_all();
            self.seconds(65);
            self.say_all();
        }
    }

    fn say_all(&mut self) {
        while !self.daemon.commands.is_empty() || !self.daemon.says.is_empty() {
            self.daemon.work();
            self.deliver();
        }
    }

    pub(super) fn end_everything(&mut self) {
        let running: Vec<DataflowId> = self.daemon.running.keys().copied().collect();
        running.into_iter().for_each(|id| self.daemon.end(id, false));
    }

    pub(super) fn check(&self) {
        let live: Vec<DataflowId> =
            self.state.flows.values().filter(|flow| !flow.status.has_ended()).map(|flow| flow.id).collect();
        let running: Vec<DataflowId> = self.daemon.running.keys().copied().collect();
        assert_eq!(live, running, "what is shown as running must be what runs");
        for (id, runs) in &self.daemon.running {
            let flow = &self.state.flows[id];
            assert_eq!(flow.status, DataflowStatus::Running, "{id}");
            assert_eq!(flow.record, runs.record, "{id}");
            let names: Vec<_> = runs.nodes.iter().map(|node| node.node_id.clone()).collect();
            assert_eq!(flow.node_ids, names, "{id}");
            assert_eq!(flow.parameters.values, runs.parameters, "{id}");
            // Less when changes that it missed cancelled each other out.
            assert!(runs.sequence <= flow.parameters.sequence, "{id}");
            assert!(!flow.changing && flow.changes.is_empty(), "{id}");
        }
        for (id, finished) in &self.daemon.finished {
            // One that was cleaned while the daemon could not be told is shown once more, as ended.
            let shown = self.state.flows[id].result.as_ref().unwrap();
            assert_eq!(shown.nodes, finished.result.nodes, "{id}");
            let stopped_by_us =
                shown.error.as_ref().is_some_and(|error| error.starts_with("not every node was ready"));
            assert!(stopped_by_us || shown.error == finished.result.error, "{id}: {:?}", shown.error);
        }
        for (id, flow) in &self.state.flows {
            let stored = self.store.get(id).unwrap_or_else(|| panic!("{} is not stored", flow.shown()));
            assert_eq!(
                StoredFlow { updated_ms: 0, ..stored.clone() },
                StoredFlow { updated_ms: 0, ..flow.to_store() }
            );
            let parameters = self.parameters.get(id).cloned().unwrap_or_default();
            assert_eq!(parameters, flow.parameters, "{id}");
        }
        assert_eq!(self.store.len(), self.state.flows.len(), "something is stored that is not shown");
        let names: Vec<_> =
            running.iter().filter_map(|id| self.state.flows[id].record.name.clone()).collect();
        assert!(names.len() <= 1 || names.iter().all(|name| name == "arm"), "{names:?}");
    }

    pub(super) fn check_answers(&self) {
        for (waiter, answers) in &self.asked {
            let left = self.forgotten.contains(&waiter.client);
            assert!(*answers == 1 || (left && *answers == 0), "{waiter:?} has {answers} answers");
        }
        assert!(self.state.pending.is_empty(), "{:?}", self.state.pending);
    }
}
