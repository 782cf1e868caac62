//! A node that sends to itself through shared memory, with a thread in the place of its daemon.

mod rewire;

use std::{
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread::JoinHandle,
    time::Duration,
};

use dora_protocol::{
    metadata::{MetadataParameters, Parameter},
    node_link::{
        InputEdge, InputSource, InputWiring, MAX_FDS, MAX_FRAME, NodeEnv, NodeRunConfig, OutputEdge,
        OutputWiring, Setup, ToDaemon, ToNode, VERSION,
    },
    policy::QueuePolicy,
    rt::WaitPolicy,
};
use lockfree_ipc::{ArenaSpec, EdgeSpec, MAX_HELD, Policy, arena, clock, doorbell, edge, fdpass, status};
use serde_json::{Value, json};

use super::DoraNode;
use crate::{
    DataSample, DoraArray, Event, EventStream, IntoArrow, PatternError, StopCause, TryRecvError, into_vec,
};

/// The daemon's side of the socket. What the node said is collected until it is gone.
struct Daemon {
    socket: UnixStream,
    heard: JoinHandle<Vec<ToDaemon>>,
    /// What it gave the node: doorbell, eventfd, status page, arena to write, arena to read, edge.
    fds: Vec<OwnedFd>,
}

impl Daemon {
    fn tell(&self, word: &ToNode, fds: &[impl AsFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        fdpass::send_frame(self.socket.as_fd(), &serde_json::to_vec(word).unwrap(), &fds).unwrap();
    }
}

const NONE: &[OwnedFd] = &[];

fn hear(socket: &UnixStream) -> Option<ToDaemon> {
    let (body, _) = fdpass::recv_frame(socket.as_fd(), MAX_FRAME, MAX_FDS).ok()??;
    Some(serde_json::from_slice(&body).unwrap())
}

fn spec() -> EdgeSpec {
    let arena = ArenaSpec { outstanding: 64 + 2 * MAX_HELD, ..ArenaSpec::default() };
    EdgeSpec { limit: 16, policy: Policy::DropOldest, arena }
}

fn setup(timer: bool) -> (Setup, Vec<OwnedFd>) {
    let memory = arena::create(&spec().arena, [3; 16]).unwrap();
    let edge = edge::create(&spec()).unwrap();
    let fds = vec![
        doorbell::create().unwrap(),
        doorbell::create_eventfd().unwrap(),
        status::create(1 + u32::from(timer), 1).unwrap(),
        memory.write,
        memory.read,
        edge,
    ];
    let node: crate::dora_core::config::NodeId = "loop".parse().unwrap();
    let input = |id: &str, source| InputWiring {
        id: id.into(),
        source,
        queue_size: 16,
        policy: QueuePolicy::DropOldest,
        input_timeout_ns: None,
        deadline_ns: None,
        on_miss: Default::default(),
    };
    let mut inputs = vec![input(
        "in",
        InputSource::Edges {
            edges: vec![InputEdge {
                number: 0,
                sender: Some(node.clone()),
                edge: 5,
                arena: 4,
                closed: false,
            }],
        },
    )];
    if timer {
        inputs.push(input("tick", InputSource::Timer { period_ns: 1_000_000 }));
    }
    let reader = OutputEdge {
        number: 0,
        receiver: node.clone(),
        input: "in".into(),
        edge: 5,
        doorbell: 0,
        eventfd: 1,
    };
    let output = OutputWiring {
        origins: None,
        id: "out".into(),
        arena: 3,
        max_message_bytes: None,
        depth: None,
        edges: vec![reader],
    };
    let setup = Setup {
        chains: Vec::new(),
        attention: None,
        run: NodeRunConfig {
            dataflow_id: uuid::Uuid::nil(),
            node_id: node,
            inputs: inputs.iter().map(|input| input.id.clone()).collect(),
            outputs: vec!["out".into()],
            restart_count: 2,
        },
        doorbell: 0,
        eventfd: 1,
        status: 2,
        inputs,
        outputs: vec![output],
        exit_when_nodes_finish: false,
        rt: None,
        wait: WaitPolicy::Park,
        descriptor: json!({"nodes": []}),
    };
    (setup, fds)
}

/// A node whose output `out` is its own input `in`.
fn joined(timer: bool) -> (DoraNode, EventStream, Daemon) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let listening = ours.try_clone().unwrap();
    let (started, start) = std::sync::mpsc::channel();
    let heard = std::thread::spawn(move || {
        let mut heard = Vec::new();
        while let Some(word) = hear(&listening) {
            if matches!(word, ToDaemon::Hello { .. } | ToDaemon::Ready { .. }) {
                started.send(()).unwrap();
            }
            heard.push(word);
        }
        heard
    });
    let mut daemon = Daemon { socket: ours, heard, fds: Vec::new() };
    let env = NodeEnv {
        version: VERSION,
        dataflow_id: uuid::Uuid::nil(),
        node_id: "loop".parse().unwrap(),
        socket_fd: theirs.as_raw_fd(),
    };
    // The node takes the socket over.
    assert_eq!(theirs.into_raw_fd(), env.socket_fd);
    let joining = std::thread::spawn(move || DoraNode::join(&serde_json::to_string(&env).unwrap()));
    start.recv().unwrap();
    let (setup, fds) = setup(timer);
    daemon.tell(&ToNode::Setup(Box::new(setup)), &fds);
    daemon.fds = fds;
    start.recv().unwrap();
    daemon.tell(&ToNode::Start { epoch_ns: clock::monotonic_ns() }, NONE);
    let (node, events) = joining.join().unwrap().unwrap();
    (node, events, daemon)
}

fn received(events: &mut EventStream) -> (MetadataParameters, DoraArray) {
    match events.recv_timeout(Duration::from_secs(60)) {
        Some(Event::Input { id, metadata, data }) => {
            assert_eq!(id.as_str(), "in");
            (metadata.parameters, data)
        }
        other => panic!("{other:?}"),
    }
}

fn every_parameter() -> MetadataParameters {
    MetadataParameters::from([
        ("bool".to_owned(), Parameter::Bool(true)),
        ("int".to_owned(), Parameter::Integer(i64::MIN)),
        ("float".to_owned(), Parameter::Float(0.1)),
        ("text".to_owned(), Parameter::String("é".into())),
        ("ints".to_owned(), Parameter::ListInt(vec![1, -2])),
        ("floats".to_owned(), Parameter::ListFloat(vec![])),
        ("texts".to_owned(), Parameter::ListString(vec!["a".into(), String::new()])),
        ("time".to_owned(), Parameter::Timestamp(chrono::DateTime::from_timestamp(1, 999).unwrap())),
    ])
}

#[test]
fn arrays_of_every_kind_arrive_with_every_kind_of_parameter() {
    let (mut node, mut events, _daemon) = joined(false);
    let nested: Value = json!([{"a": [1, null], "b": "x"}, null]);
    let nested = crate::integration_testing::json::to_array(&nested, None).unwrap();
    let arrays = [
        ().into_arrow(),
        true.into_arrow(),
        7i8.into_arrow(),
        vec![1u64; 10_000].into_arrow(),
        vec![0.5f64, -0.5].into_arrow(),
        "text".into_arrow(),
        "long ".repeat(1000).into_arrow(),
        vec!["a".to_owned(), String::new()].into_arrow(),
        dora_arrow_codec::internal::wrap(nested),
    ];
    for (number, array) in arrays.iter().enumerate() {
        let params = if number % 2 == 0 { every_parameter() } else { MetadataParameters::new() };
        node.send_output("out".into(), params.clone(), array.clone()).unwrap();
        let (found, data) = received(&mut events);
        let data = dora_arrow_codec::internal::to_data(&data);
        assert_eq!((data, found), (dora_arrow_codec::internal::to_data(array), params));
    }
    assert!(events.is_empty() && events.drain_drop_counts().is_empty());
}

#[test]
fn every_way_of_sending_arrives() {
    let (mut node, mut events, _daemon) = joined(false);
    let params = every_parameter;
    for len in [3, 100_000] {
        let bytes = vec![9u8; len];
        node.send_output_bytes("out".into(), params(), len, &bytes).unwrap();
        node.send_output_raw("out".into(), params(), len, |to| to.fill(9)).unwrap();
        let mut loaned = node.allocate_data_sample(len).unwrap();
        assert!(loaned.is_zero_copy());
        loaned.fill(9);
        node.send_output_sample("out".into(), params(), Some(loaned)).unwrap();
        node.send_output_sample("out".into(), params(), Some(DataSample::from(&bytes[..]))).unwrap();
        let encoded = node.sample_allocator().encode_arrow(&bytes.clone().into_arrow()).unwrap();
        node.send_output_encoded("out".into(), params(), encoded).unwrap();
        let array = dora_arrow_codec::internal::to_data(&bytes.clone().into_arrow());
        node.send_array_data(&"out".into(), &params(), &array).unwrap();
        node.send_values(&"out".into(), &params(), dora_protocol::wire_type::UINT8, &bytes).unwrap();
        for _ in 0..7 {
            let (found, data) = received(&mut events);
            assert_eq!(found, params());
            assert!(into_vec::<u8>(&data).unwrap() == bytes);
        }
    }
    let texts = vec!["a".to_owned(), "b".to_owned()];
    let encoded = node.sample_allocator().encode_arrow(&texts.clone().into_arrow()).unwrap();
    node.send_output_encoded("out".into(), MetadataParameters::new(), encoded).unwrap();
    let received = dora_arrow_codec::internal::to_data(&received(&mut events).1);
    assert_eq!(received, dora_arrow_codec::internal::to_data(&texts.into_arrow()));
}

#[test]
fn a_wait_that_was_too_short_is_no_event() {
    let (mut node, mut events, daemon) = joined(false);
    let short = Duration::from_millis(1);
    assert_eq!(events.recv_within(short).unwrap_err(), TryRecvError::Empty);
    node.send_output("out".into(), MetadataParameters::new(), 5u8).unwrap();
    assert!(matches!(events.recv_within(Duration::from_secs(60)), Ok(Event::Input { .. })));
    daemon.tell(&ToNode::Stop, NONE);
    assert!(matches!(events.recv_within(Duration::from_secs(60)), Ok(Event::Stop(_))));
    assert_eq!(events.recv_within(short).unwrap_err(), TryRecvError::Closed);
}

#[test]
fn a_loan_with_more_parameters_than_it_has_room_for_is_copied() {
    let (mut node, mut events, _daemon) = joined(false);
    let params = MetadataParameters::from([("long".to_owned(), Parameter::String("x".repeat(5000)))]);
    let mut loaned = node.allocate_data_sample_for(&"out".into(), 5000).unwrap();
    loaned.fill(4);
    node.send_output_sample("out".into(), params.clone(), Some(loaned)).unwrap();
    let (found, data) = received(&mut events);
    assert_eq!(found, params);
    assert_eq!(into_vec::<u8>(&data).unwrap(), vec![4; 5000]);
}

#[test]
fn a_full_queue_keeps_the_newest_and_counts_the_others() {
    let (mut node, mut events, _daemon) = joined(false);
    for number in 0..40u64 {
        node.send_output("out".into(), MetadataParameters::new(), number).unwrap();
    }
    let numbers: Vec<u64> = events
        .drain()
        .unwrap()
        .iter()
        .map(|event| match event {
            Event::Input { data, .. } => u64::try_from(data).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, (24..40).collect::<Vec<_>>());
    assert_eq!(events.drain_drop_counts(), [("in".into(), 24)].into());
    assert!(events.drain_drop_counts().is_empty());
}

#[test]
fn ticks_are_numbered_and_say_what_was_missed() {
    let (_node, mut events, _daemon) = joined(true);
    let mut expected = None;
    for _ in 0..5 {
        let Some(Event::Input { id, metadata, data }) = events.recv() else { panic!("no tick") };
        assert_eq!(id.as_str(), "tick");
        let number = u64::try_from(&data).unwrap();
        if let Some(expected) = expected {
            assert_eq!(number, expected + metadata.missed_ticks());
        }
        expected = Some(number + 1);
    }
}

#[test]
fn async_receiving_wakes_up_for_a_message() {
    let (mut node, mut events, _daemon) = joined(false);
    let receiving = std::thread::spawn(move || futures::executor::block_on(events.recv_async()));
    node.send_output("out".into(), MetadataParameters::new(), 5u8).unwrap();
    let Some(Event::Input { data, .. }) = receiving.join().unwrap() else { panic!("no input") };
    assert_eq!(u8::try_from(&data).unwrap(), 5);
}

#[test]
fn stop_delivers_what_is_queued_then_ends_and_the_daemon_hears_of_it() {
    let (mut node, mut events, daemon) = joined(false);
    assert!(node.is_restart() && node.restart_count() == 2);
    assert_eq!(**node.dataflow_descriptor().unwrap(), json!({"nodes": []}));
    node.send_output("out".into(), MetadataParameters::new(), 1u8).unwrap();
    daemon.tell(&ToNode::Stop, NONE);
    let (mut stopped, mut seen) = (false, 0);
    while let Some(event) = events.recv() {
        match event {
            Event::Stop(StopCause::Manual) => stopped = true,
            Event::Input { .. } => seen += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(stopped && seen == 1 && events.recv().is_none());
    drop((node, events));
    let heard = daemon.heard.join().unwrap();
    assert!(matches!(heard.last(), Some(ToDaemon::Done)), "{heard:?}");
    assert!(heard.iter().any(|word| matches!(word, ToDaemon::OutputsClosed { outputs } if *outputs == [0])));
}

#[test]
fn a_server_that_restarts_or_fails_ends_the_wait_and_the_event_stays() {
    let (_node, mut events, daemon) = joined(false);
    let server: crate::dora_core::config::NodeId = "loop".parse().unwrap();
    let mut wait = |word: ToNode| {
        daemon.tell(&word, NONE);
        let reply = events.recv_service_response("id", &server, Duration::from_secs(60));
        let error = futures::executor::block_on(reply).unwrap_err();
        (error, events.try_recv().unwrap())
    };
    let (error, kept) = wait(ToNode::NodeRestarted { node: server.clone() });
    assert_eq!(error, PatternError::ServerRestarted("loop".into()));
    assert!(matches!(kept, Event::NodeRestarted { .. }));
    let (error, kept) = wait(ToNode::NodeFailed { node: server.clone(), error: "e".into(), inputs: vec![0] });
    assert_eq!(error, PatternError::ServerGone("loop".into()));
    assert!(matches!(kept, Event::NodeFailed { affected_input_ids, .. } if affected_input_ids == ["in"]));
}

#[test]
fn closing_the_last_input_from_a_server_ends_the_wait_for_it() {
    let (_node, mut events, daemon) = joined(false);
    let server: crate::dora_core::config::NodeId = "loop".parse().unwrap();
    daemon.tell(&ToNode::InputClosed { input: 0 }, NONE);
    let reply = events.recv_action_result("id", &server, Duration::from_secs(60));
    assert_eq!(futures::executor::block_on(reply).unwrap_err(), PatternError::ServerGone("loop".into()));
    assert!(matches!(events.recv(), Some(Event::InputClosed { .. })));
}
