//! A running dataflow is changed: what the daemon is sent, what is kept, and that a refused change leaves nothing.

mod support;

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{ControlReply, ControlRequest, Mapping, TopologyChange},
    daemon_link::DaemonCommand,
    dataflow::Dataflow,
};
use support::{Client, Coordinator, FakeDaemon, TWO};

struct Running {
    _coordinator: Coordinator,
    daemon: FakeDaemon,
    client: Client,
    id: DataflowId,
}

impl Running {
    async fn new(descriptor: &str) -> Self {
        let coordinator = Coordinator::in_memory().await;
        let mut daemon = FakeDaemon::connected(None, coordinator.address).await;
        let mut client = Client::connect(coordinator.address).await;
        let id = client.start_and_wait(Some("arm"), descriptor).await;
        assert!(matches!(daemon.command().await, DaemonCommand::Spawn { .. }));
        Self { _coordinator: coordinator, daemon, client, id }
    }

    /// The nodes with their edges, as the daemon has them: `b: in<-a/x`.
    fn wired(&self) -> Vec<String> {
        let world = self.daemon.world.lock().unwrap();
        shown(&world.running[&self.id].1)
    }

    async fn stored(&mut self) -> (Vec<String>, Vec<String>) {
        match self.client.ask(ControlRequest::Info { dataflow_uuid: self.id }).await {
            Ok(ControlReply::DataflowInfo(info)) => {
                let nodes = info.descriptor["nodes"].as_array().unwrap();
                (nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect(), info.changes)
            }
            other => panic!("{other:?}"),
        }
    }

    fn add(&self, node: &str) -> ControlRequest {
        ControlRequest::AddNode { dataflow_id: self.id, node: node.into(), file: Some("n.yml".into()) }
    }

    fn mapping(from: &str, to: &str) -> Mapping {
        let (from, to) = (from.split_once('/').unwrap(), to.split_once('/').unwrap());
        Mapping {
            source_node: from.0.parse().unwrap(),
            source_output: from.1.into(),
            target_node: to.0.parse().unwrap(),
            target_input: to.1.into(),
        }
    }

    fn connect(&self, from: &str, to: &str) -> ControlRequest {
        ControlRequest::AddMapping { dataflow_id: self.id, mapping: Self::mapping(from, to) }
    }

    fn disconnect(&self, from: &str, to: &str) -> ControlRequest {
        ControlRequest::RemoveMapping { dataflow_id: self.id, mapping: Self::mapping(from, to) }
    }

    fn replace(&self, node: &str, entry: &str) -> ControlRequest {
        ControlRequest::ReplaceNode {
            dataflow_id: self.id,
            node_id: node.parse().unwrap(),
            node: entry.into(),
            file: None,
            grace_duration: None,
        }
    }

    fn remove(&self, node: &str) -> ControlRequest {
        let node_id = node.parse().unwrap();
        ControlRequest::RemoveNode {
            dataflow_id: self.id,
            node_id,
            grace_duration: Some(Duration::from_secs(1)),
        }
    }

    fn patch(&self, patch: &str) -> ControlRequest {
        ControlRequest::ApplyPatch {
            dataflow_id: self.id,
            patch: patch.into(),
            file: None,
            grace_duration: None,
        }
    }
}

fn shown(dataflow: &Dataflow) -> Vec<String> {
    let source = |source: &dora_protocol::dataflow::Source| match source {
        dora_protocol::dataflow::Source::Output { node, output } => {
            let node = &dataflow.nodes[*node as usize];
            format!("{}/{}", node.id, node.outputs[*output as usize].id)
        }
        dora_protocol::dataflow::Source::Timer { period_ns } => format!("{}ms", period_ns / 1_000_000),
        dora_protocol::dataflow::Source::Logs { .. } => "logs".into(),
    };
    dataflow
        .nodes
        .iter()
        .map(|node| {
            let inputs = node.inputs.iter().map(|input| {
                format!("{}<-{}", input.id, input.sources().map(source).collect::<Vec<_>>().join("+"))
            });
            format!("{}: {}", node.id, inputs.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn change(reply: Result<ControlReply, String>) -> TopologyChange {
    match reply {
        Ok(
            ControlReply::NodeAdded(change)
            | ControlReply::NodeRemoved(change)
            | ControlReply::NodeReplaced(change)
            | ControlReply::MappingAdded(change)
            | ControlReply::MappingRemoved(change)
            | ControlReply::PatchApplied(change),
        ) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_and_edges_come_and_go_and_the_daemon_gets_the_whole_new_dataflow() {
    let mut flow = Running::new(TWO).await;
    let added = flow.client.ask(flow.add("id: f\npath: ./f\noutputs: [out]\n")).await;
    assert!(matches!(added, Ok(ControlReply::NodeAdded(_))), "{added:?}");
    change(flow.client.ask(flow.connect("a/x", "f/in")).await);
    change(flow.client.ask(flow.connect("f/out", "b/in")).await);
    assert_eq!(flow.wired(), ["a: tick<-10ms", "b: in<-a/x+f/out", "f: in<-a/x"]);
    let nothing = change(flow.client.ask(flow.connect("f/out", "b/in")).await);
    assert!(nothing.changes.is_empty(), "{nothing:?}");
    change(flow.client.ask(flow.disconnect("a/x", "b/in")).await);
    assert_eq!(flow.wired(), ["a: tick<-10ms", "b: in<-f/out", "f: in<-a/x"]);
    let (nodes, changes) = flow.stored().await;
    assert_eq!(nodes, ["a", "b", "f"]);
    assert_eq!(changes, ["node `f` added", "a/x -> f/in", "f/out -> b/in", "a/x -x- b/in"]);
    change(flow.client.ask(flow.remove("f")).await);
    assert_eq!(flow.wired(), ["a: tick<-10ms", "b: "]);
    assert_eq!(flow.client.list().await[0].nodes, 2);
    // The name is free again.
    change(flow.client.ask(flow.add("{ id: f, path: ./other, inputs: { i: a/y } }")).await);
    assert_eq!(flow.wired(), ["a: tick<-10ms", "b: ", "f: i<-a/y"]);
}

#[tokio::test]
async fn one_patch_puts_a_filter_between_two_nodes() {
    let mut flow = Running::new(TWO).await;
    let patch = "
add: [{ id: f, path: ./f, outputs: [out] }]
disconnect: [a/x -> b/in]
connect: [a/x -> f/in, f/out -> b/in]
";
    let done = change(flow.client.ask(flow.patch(patch)).await);
    assert_eq!(done.changes.len(), 4);
    assert_eq!(flow.wired(), ["a: tick<-10ms", "b: in<-f/out", "f: in<-a/x"]);
    let DaemonCommand::Apply { record, .. } = flow.daemon.command().await else { panic!("no Apply") };
    assert_eq!(record.generation, 1);
    assert!(flow.daemon.commands.try_recv().is_err(), "it must be one step for the daemon");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_the_daemon_hears_of_it() {
    let mut flow = Running::new(TWO).await;
    let before = flow.wired();
    for (request, part) in [
        (flow.add("id: a\npath: ./x"), "a node `a` already"),
        (flow.add("id: n\npath: ./x\ninputs: { i: q/x }"), "`q`"),
        (flow.add("id: n\npath: ./x\ninputs: { i: a/nope }"), "output `nope`"),
        (flow.add("path: ./x"), "no `id`"),
        (flow.add("id: [n"), "n.yml:"),
        (flow.add("id: n\npath: ./x\ndeploy: { machine: far }"), "machine `far`"),
        (flow.connect("q/x", "b/in"), "no node `q`"),
        (flow.connect("a/nope", "b/in"), "output `nope`"),
        (flow.connect("a/x", "a/tick"), "tick"),
        (flow.disconnect("a/y", "b/in"), "no edge a/y -> b/in"),
        (flow.remove("q"), "no node `q`; it has a, b"),
        (flow.replace("b", "id: c\npath: ./c"), "must have the same id"),
        (flow.replace("b", "id: b\npath: ./c"), "must be those that are wired now (in: a/x)"),
        (
            flow.replace("a", "id: a\npath: ./c\ninputs: { tick: dora/timer/millis/10 }\noutputs: [y]"),
            "output `x`",
        ),
        (flow.patch("add: [{ id: f, path: ./f }]\nconnect: [f/none -> b/in]"), "output `none`"),
        (flow.patch("nonsense: 5"), "`nonsense` is not known"),
    ] {
        let error = flow.client.ask(request.clone()).await.unwrap_err();
        assert!(error.contains(part), "{request:?}: {error}");
    }
    assert_eq!(flow.wired(), before);
    assert!(flow.daemon.commands.try_recv().is_err(), "the daemon was told something");
    assert!(flow.stored().await.1.is_empty());
}

#[tokio::test]
async fn a_change_that_the_daemon_refuses_is_not_kept() {
    let mut flow = Running::new(TWO).await;
    flow.daemon.world.lock().unwrap().refuse = Some("no program ./f".into());
    let error = flow.client.ask(flow.add("id: f\npath: ./f")).await.unwrap_err();
    assert_eq!(error, "no program ./f");
    flow.daemon.world.lock().unwrap().refuse = None;
    assert_eq!(flow.stored().await.0, ["a", "b"]);
    change(flow.client.ask(flow.add("id: f\npath: ./f")).await);
    assert_eq!(flow.stored().await.0, ["a", "b", "f"]);
}

#[tokio::test]
async fn a_node_is_replaced_by_another_program_with_the_same_inputs() {
    let mut flow = Running::new(TWO).await;
    let entry = "id: b\npath: ./better\ninputs: { in: { source: a/x, queue_size: 3 } }\noutputs: [z]";
    change(flow.client.ask(flow.replace("b", entry)).await);
    let DaemonCommand::Apply { replace, dataflow, .. } = flow.daemon.command().await else {
        panic!("no Apply")
    };
    assert_eq!(replace, vec!["b".parse::<dora_protocol::NodeId>().unwrap()]);
    assert_eq!(dataflow.nodes[1].outputs.len(), 1);
}

#[tokio::test]
async fn changes_from_many_clients_are_carried_out_one_after_the_other_and_none_is_lost() {
    let mut flow = Running::new(TWO).await;
    let address = flow._coordinator.address;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let request = flow.add(&format!("id: n{n}\npath: ./n\ninputs: {{ i: a/x }}"));
        tasks.spawn(async move { Client::connect(address).await.ask(request).await });
    }
    while let Some(done) = tasks.join_next().await {
        change(done.unwrap());
    }
    assert_eq!(flow.wired().len(), 22, "{:?}", flow.wired());
    assert_eq!(flow.stored().await.0.len(), 22);
    let generation = flow.daemon.world.lock().unwrap().running[&flow.id].0.record.generation;
    assert_eq!(generation, 20);
}

#[tokio::test]
async fn nodes_are_restarted_and_stopped_by_their_daemon() {
    let mut flow = Running::new(TWO).await;
    let (id, node) = (flow.id, || "a".parse().unwrap());
    let restarted = flow
        .client
        .ask(ControlRequest::RestartNode { dataflow_id: id, node_id: node(), grace_duration: None })
        .await;
    assert!(matches!(restarted, Ok(ControlReply::NodeRestarted { .. })), "{restarted:?}");
    let stopped = flow
        .client
        .ask(ControlRequest::StopNode { dataflow_id: id, node_id: node(), grace_duration: None })
        .await;
    assert!(matches!(stopped, Ok(ControlReply::NodeStopped { clean_stop: true, .. })), "{stopped:?}");
    let unknown =
        ControlRequest::StopNode { dataflow_id: id, node_id: "q".parse().unwrap(), grace_duration: None };
    let error = flow.client.ask(unknown).await.unwrap_err();
    assert!(error.contains("no node `q`"), "{error}");
    let reload = ControlRequest::Reload { dataflow_id: id, node_id: node(), operator_id: None };
    assert!(matches!(flow.client.ask(reload).await, Ok(ControlReply::DataflowReloaded { .. })));
    flow.client
        .ask(ControlRequest::Stop { dataflow_uuid: id, grace_duration: None, force: false })
        .await
        .unwrap();
    let error = flow.client.ask(flow.add("id: f\npath: ./f")).await.unwrap_err();
    assert!(error.contains("no running dataflow with ID"), "{error}");
}
