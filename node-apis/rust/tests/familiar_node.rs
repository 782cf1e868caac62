//! Nodes as people write them compile against this crate, and behave in a test as they do in a dataflow.

use std::{collections::BTreeMap, time::Duration};

use dora_node_api::{
    self, DoraArray, DoraEvent, DoraNode, Event, EventStream, InputTracker, IntoArrow, Metadata,
    MetadataParameters, NodeError, Parameter, PatternError, StopCause, StreamSegment, TryRecvError,
    dora_core::config::{DataId, NodeId, OperatorId},
    futures::{self, StreamExt},
    integration_testing::{
        OutputJson, TestingInput, TestingOptions, TestingOutput, drain_outputs, output_channel,
        setup_integration_testing,
    },
    into_vec,
    merged::{Either, MergeExternal, MergeExternalSend, MergedEvent},
    serde_json::{self, json},
};

fn start(events: serde_json::Value) -> (DoraNode, EventStream, impl FnOnce() -> Vec<OutputJson>) {
    let input = json!({"id": "node", "outputs": ["out", "other"], "events": events});
    let (sender, mut receiver) = output_channel();
    let (node, events) = DoraNode::init_testing(
        TestingInput::Input(serde_json::from_value(input).unwrap()),
        TestingOutput::ToChannel(sender),
        TestingOptions { skip_output_time_offsets: true },
    )
    .unwrap();
    (node, events, move || drain_outputs(&mut receiver))
}

fn input(id: &str, data: serde_json::Value) -> serde_json::Value {
    json!({"type": "Input", "time_offset_secs": 0, "id": id, "data": data})
}

fn with(mut event: serde_json::Value, key: &str, value: serde_json::Value) -> serde_json::Value {
    event[key] = value;
    event
}

fn stop() -> serde_json::Value {
    json!({"type": "Stop", "time_offset_secs": 0})
}

fn name(event: &Event) -> String {
    match event {
        Event::Input { id, .. } => id.to_string(),
        Event::InputClosed { id } => format!("{id} closed"),
        Event::Stop(_) => "stop".into(),
        other => format!("{other:?}"),
    }
}

/// A node in the usual form.
fn familiar() -> eyre::Result<u32> {
    let output = DataId::from("out".to_owned());
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut handled = 0;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, metadata, data } => match id.as_str() {
                "tick" => {
                    let parameters: MetadataParameters = metadata.parameters;
                    node.send_output(output.clone(), parameters, 5u64.into_arrow())?;
                    handled += 1;
                }
                "text" => {
                    let text: &str = TryFrom::try_from(&data)?;
                    node.send_output(output.clone(), Default::default(), format!("{text}!").into_arrow())?;
                    handled += 1;
                }
                other => eprintln!("ignoring unexpected input {other}"),
            },
            Event::Stop(_) => {}
            other => eprintln!("received unexpected event: {other:?}"),
        }
    }
    Ok(handled)
}

#[test]
fn a_node_written_for_a_dataflow_runs_in_a_test() {
    let events =
        json!([input("tick", json!(null)), input("text", json!("hi")), input("odd", json!(1)), stop()]);
    let file = std::env::temp_dir().join(format!("events-{}.json", DoraNode::new_request_id()));
    std::fs::write(&file, json!({"id": "node", "events": events}).to_string()).unwrap();
    let (sender, mut receiver) = output_channel();
    setup_integration_testing(
        TestingInput::FromJsonFile(file.clone()),
        TestingOutput::ToChannel(sender),
        TestingOptions { skip_output_time_offsets: true },
    );
    assert_eq!(familiar().unwrap(), 2);
    std::fs::remove_file(&file).unwrap();
    let outputs = json!(drain_outputs(&mut receiver));
    let expected = json!([
        {"id": "out", "data": [5], "data_type": "UInt64"},
        {"id": "out", "data": ["hi!"], "data_type": "Utf8"},
    ]);
    assert_eq!(outputs, expected);
}

#[test]
fn after_stop_the_stream_ends_and_stays_ended() {
    let (_node, mut events, _) = start(json!([input("a", json!(1)), stop(), input("late", json!(2))]));
    assert!(!events.is_empty());
    assert_eq!(name(&events.recv().unwrap()), "a");
    assert!(matches!(events.recv(), Some(Event::Stop(StopCause::Manual))));
    assert!(events.recv().is_none() && events.recv().is_none());
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Closed);
    assert!(events.drain().is_none() && events.is_empty());
}

#[test]
fn events_that_are_not_due_are_not_there_yet() {
    let later = with(input("later", json!(1)), "time_offset_secs", json!(0.05));
    let (_node, mut events, _) = start(json!([input("now", json!(1)), later]));
    let there: Vec<_> = events.drain().unwrap().iter().map(name).collect();
    assert_eq!(there, ["now"]);
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
    assert!(events.drain().unwrap().is_empty());
    let timeout = events.recv_timeout(Duration::from_millis(1));
    assert!(matches!(timeout, Some(Event::Error(text)) if text.contains("1ms")));
    assert!(matches!(
        futures::executor::block_on(events.recv_async_timeout(Duration::from_millis(1))),
        Some(Event::Error(_))
    ));
    assert_eq!(name(&events.recv().unwrap()), "later");
    assert!(events.recv().is_none());
}

#[test]
fn async_code_gets_the_same_events() {
    let later = with(input("b", json!(1)), "time_offset_secs", json!(0.01));
    let (_node, mut events, _) = start(json!([input("a", json!(1)), later, stop()]));
    let seen = futures::executor::block_on(async {
        let first = events.recv_async().await.unwrap();
        let second = events.recv_async_timeout(Duration::from_secs(60)).await.unwrap();
        let rest: Vec<Event> = events.collect().await;
        [vec![first, second], rest].concat_names()
    });
    assert_eq!(seen, ["a", "b", "stop"]);
}

trait Names {
    fn concat_names(self) -> Vec<String>;
}

impl<const N: usize> Names for [Vec<Event>; N] {
    fn concat_names(self) -> Vec<String> {
        self.iter().flatten().map(name).collect()
    }
}

#[test]
fn what_is_seen_while_waiting_for_a_response_comes_later_in_order() {
    let answer =
        |id: &str| with(input("answer", json!(1)), "metadata", json!({"request_id": {"String": id}}));
    let (_node, mut events, _) =
        start(json!([input("a", json!(1)), answer("other"), answer("mine"), answer("third"), stop()]));
    let server: NodeId = "server".parse().unwrap();
    let wait = Duration::from_secs(60);
    let reply = futures::executor::block_on(events.recv_service_response("mine", &server, wait)).unwrap();
    assert_eq!(name(&reply), "answer");
    // Seen and kept: found at once.
    let kept =
        futures::executor::block_on(events.recv_service_response("other", &server, Duration::ZERO)).unwrap();
    assert_eq!(name(&kept), "answer");
    let ended =
        futures::executor::block_on(events.recv_service_response("never", &server, wait)).unwrap_err();
    assert_eq!(ended, PatternError::StreamEnded);
    let rest: Vec<_> = std::iter::from_fn(|| events.recv()).map(|event| name(&event)).collect();
    assert_eq!(rest, ["a", "answer", "stop"], "nothing was lost, and the stop is still there");
}

#[test]
fn only_a_terminal_status_ends_the_wait_for_a_result() {
    let goal = |status: &str| {
        let metadata = json!({"goal_id": {"String": "g"}, "goal_status": {"String": status}});
        with(input("result", json!(status)), "metadata", metadata)
    };
    let (_node, mut events, _) = start(json!([goal("running"), goal("aborted"), stop()]));
    let server: NodeId = "server".parse().unwrap();
    let result = events.recv_action_result("g", &server, Duration::from_secs(60));
    let Event::Input { data, .. } = futures::executor::block_on(result).unwrap() else { panic!("no input") };
    assert_eq!(<&str>::try_from(&data).unwrap(), "aborted");
    let Some(Event::Input { data, .. }) = events.recv() else { panic!("the feedback is lost") };
    assert_eq!(<&str>::try_from(&data).unwrap(), "running");
}

#[test]
fn a_response_that_does_not_come_in_time_is_a_timeout() {
    let later = with(input("a", json!(1)), "time_offset_secs", json!(0.03));
    let (_node, mut events, _) = start(json!([later]));
    let server: NodeId = "server".parse().unwrap();
    let wait = events.recv_service_response("x", &server, Duration::from_millis(1));
    assert_eq!(futures::executor::block_on(wait).unwrap_err(), PatternError::Timeout);
    assert_eq!(name(&events.recv().unwrap()), "a");
}

#[test]
fn every_way_of_sending_gives_the_array_it_says() {
    let (mut node, _events, outputs) = start(json!([]));
    let out = || DataId::from("out");
    node.send_output(out(), MetadataParameters::new(), vec![1.5f32, 2.5]).unwrap();
    node.send_output_bytes(out(), MetadataParameters::new(), 3, b"abc").unwrap();
    node.send_output_raw(out(), MetadataParameters::new(), 2, |to| to.copy_from_slice(&[7, 8])).unwrap();
    let doubles = dora_node_api::ArrowTypeInfo::primitive::<f64>(1);
    node.send_typed_output(out(), doubles, MetadataParameters::new(), 8, |to| {
        to.copy_from_slice(&2.5f64.to_ne_bytes());
    })
    .unwrap();
    let mut sample = node.allocate_data_sample(2).unwrap();
    sample.copy_from_slice(&[1, 2]);
    node.send_output_sample(out(), MetadataParameters::new(), Some(sample)).unwrap();
    node.send_output_sample(out(), MetadataParameters::new(), None).unwrap();
    let encoded =
        node.sample_allocator().encode_arrow(&vec!["a".to_owned(), "b".to_owned()].into_arrow()).unwrap();
    node.send_output_encoded(out(), MetadataParameters::new(), encoded).unwrap();
    let mut segment = StreamSegment::with_session_id("s".into());
    node.send_stream_chunk(out(), &mut segment, true, true).unwrap();
    let id = node.send_service_request(out(), MetadataParameters::new(), ()).unwrap();

    let outputs = outputs();
    let data: Vec<_> =
        outputs.iter().map(|output| (output["data"].clone(), output["data_type"].clone())).collect();
    let expected = [
        (json!([1.5, 2.5]), json!("Float32")),
        (json!([97, 98, 99]), json!("UInt8")),
        (json!([7, 8]), json!("UInt8")),
        (json!([2.5]), json!("Float64")),
        (json!([1, 2]), json!("UInt8")),
        (json!([]), json!("Null")),
        (json!(["a", "b"]), json!("Utf8")),
        (json!([true]), json!("Boolean")),
        (json!([]), json!("Null")),
    ];
    assert_eq!(data, expected);
    assert_eq!(outputs[7]["metadata"]["fin"], json!({"Bool": true}));
    assert_eq!(outputs[8]["metadata"]["request_id"], json!({"String": id}));
}

#[test]
fn undeclared_outputs_are_ignored_and_closed_ones_refused() {
    let (mut node, _events, outputs) = start(json!([]));
    node.send_output("undeclared".into(), MetadataParameters::new(), 1u8).unwrap();
    assert!(!node.validate_output(&"undeclared".into()) && node.validate_output(&"out".into()));
    let unknown = node.close_outputs(vec!["out".into(), "undeclared".into()]).unwrap_err();
    assert!(unknown.to_string().contains("undeclared"));
    node.send_output("out".into(), MetadataParameters::new(), 1u8).expect("a refused batch closes nothing");
    node.close_outputs(vec!["out".into()]).unwrap();
    let closed = node.send_output("out".into(), MetadataParameters::new(), 2u8).unwrap_err();
    assert!(matches!(&closed, NodeError::Output(text) if text.contains("`out`")), "{closed}");
    node.send_output("other".into(), MetadataParameters::new(), 3u8).unwrap();
    let sent: Vec<_> = outputs().iter().map(|output| output["id"].clone()).collect();
    assert_eq!(sent, ["out", "other"]);
}

#[test]
fn lengths_that_disagree_are_refused() {
    let (mut node, _events, outputs) = start(json!([]));
    let params = MetadataParameters::new;
    assert!(node.send_output_bytes("out".into(), params(), 4, b"abc").is_err());
    let ints = dora_node_api::ArrowTypeInfo::primitive::<u32>(2);
    assert!(node.send_typed_output("out".into(), ints, params(), 7, |_| {}).is_err());
    assert!(node.allocate_data_sample_for(&"nowhere".into(), 1).is_err());
    assert!(outputs().is_empty());
}

#[test]
fn parameters_of_every_kind_reach_the_node_and_go_on() {
    let parameters = MetadataParameters::from([
        ("bool".to_owned(), Parameter::Bool(true)),
        ("int".to_owned(), Parameter::Integer(-1)),
        ("float".to_owned(), Parameter::Float(0.5)),
        ("text".to_owned(), Parameter::String("x".into())),
        ("ints".to_owned(), Parameter::ListInt(vec![1, 2])),
        ("floats".to_owned(), Parameter::ListFloat(vec![1.5])),
        ("texts".to_owned(), Parameter::ListString(vec!["a".into()])),
    ]);
    let event = with(input("in", json!([1, 2])), "metadata", serde_json::to_value(&parameters).unwrap());
    let (mut node, mut events, outputs) = start(json!([event]));
    let Some(Event::Input { metadata, data, .. }) = events.recv() else { panic!("no input") };
    assert_eq!(metadata.parameters, parameters);
    assert_eq!((metadata.missed_ticks(), metadata.open_telemetry_context()), (0, String::new()));
    assert_eq!(into_vec::<i64>(&data).unwrap(), [1, 2]);
    node.send_output("out".into(), metadata.parameters, data).unwrap();
    assert_eq!(outputs()[0]["metadata"], serde_json::to_value(&parameters).unwrap());
}

#[test]
fn a_test_with_a_mistake_names_the_event() {
    let bad =
        json!({"id": "n", "events": [stop(), with(input("i", json!(["x"])), "data_type", json!("Int8"))]});
    let (sender, _receiver) = output_channel();
    let error = DoraNode::init_testing(
        TestingInput::Input(serde_json::from_value(bad).unwrap()),
        TestingOutput::ToChannel(sender),
        TestingOptions::default(),
    )
    .map(|_| ())
    .unwrap_err()
    .to_string();
    assert!(error.contains("event 1") && error.contains("`i`"), "{error}");
}

#[test]
fn outputs_have_a_time_unless_it_is_unwanted() {
    let file = std::env::temp_dir().join(format!("outputs-{}.jsonl", DoraNode::new_request_id()));
    let input = json!({"id": "n", "events": []});
    let (mut node, _events) = DoraNode::init_testing(
        TestingInput::Input(serde_json::from_value(input).unwrap()),
        TestingOutput::ToFile(file.clone()),
        TestingOptions::default(),
    )
    .unwrap();
    node.send_output("anything".into(), MetadataParameters::new(), 1u8).unwrap();
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(line["time_offset_secs"].is_f64() && line["id"] == "anything", "{line}");
}

#[test]
fn other_streams_can_be_merged_in() {
    let (_node, events, _) = start(json!([input("a", json!(1)), stop()]));
    let merged =
        events.merge_external(futures::stream::iter([1, 2])).merge_external(futures::stream::iter(["x"]));
    let items: Vec<String> = futures::executor::block_on(
        merged
            .map(|item| match item {
                MergedEvent::Dora(event) => name(&event),
                MergedEvent::External(Either::First(number)) => number.to_string(),
                MergedEvent::External(Either::Second(text)) => text.to_owned(),
            })
            .collect(),
    );
    let of = |wanted: &[&str]| items.iter().filter(|item| wanted.contains(&item.as_str())).count();
    assert_eq!((items.len(), of(&["a", "stop"]), of(&["1", "2"]), of(&["x"])), (5, 2, 2, 1));
}

#[test]
fn a_merged_stream_can_go_to_another_thread() {
    let (_node, events, _) = start(json!([input("a", json!(1)), stop()]));
    let merged = events.merge_external_send(futures::stream::iter([1]));
    let count = std::thread::spawn(move || futures::executor::block_on(merged.count()));
    assert_eq!(count.join().unwrap(), 3);
}

#[test]
fn the_extension_table_of_a_test_is_the_node_s_own() {
    let (mut node, _events, _) = start(json!([]));
    node.extension_store("ns", "k", vec![1]).unwrap();
    assert_eq!(node.extension_load("ns", "k", false).unwrap(), Some(vec![1]));
    assert_eq!(node.extension_load("ns", "k", true).unwrap(), Some(vec![1]));
    assert_eq!(node.extension_load("ns", "k", false).unwrap(), None);
    node.extension_store("ns", "k", vec![2]).unwrap();
    node.extension_drop("ns", "k").unwrap();
    assert_eq!(node.extension_load("ns", "k", false).unwrap(), None);
    assert!(node.extension_request("ns", vec![]).unwrap_err().to_string().contains("ns"));
    assert!(dora_node_api::event_stream::extensions::drain_dropped_keys("ns").is_empty());
}

#[test]
fn a_node_knows_itself() {
    let (node, _events, _) = start(json!([]));
    assert_eq!(node.id().as_str(), "node");
    assert_eq!(node.node_config().outputs, [DataId::from("other"), DataId::from("out")].into());
    assert!(!node.is_restart() && node.restart_count() == 0);
    assert!(node.dataflow_descriptor().unwrap_err().to_string().contains("descriptor"));
    assert!(node.timestamp() < node.timestamp());
    assert_eq!(node.zero_copy_threshold(), dora_node_api::ZERO_COPY_THRESHOLD);
    node.log("warning", "text", Some("target"));
    node.log_with_fields("info", "text", None, Some(&BTreeMap::from([("k".to_owned(), "v".to_owned())])));
    node.log_error("e");
    node.log_warn("w");
    node.log_info("i");
    node.log_debug("d");
    node.log_trace("t");
}

fn movable<T: Send>() {}

#[test]
fn node_and_stream_can_move_to_another_thread() {
    movable::<DoraNode>();
    movable::<EventStream>();
    movable::<DoraArray>();
    movable::<DoraEvent>();
    movable::<Metadata>();
    movable::<InputTracker>();
    movable::<OperatorId>();
}
