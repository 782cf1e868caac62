//! Programs in the words that authors of `dora-node-api` 1.1 use. They have to compile as they are: a node moves here by
//! changing its dependency and nothing else. What they do is tested elsewhere; here they run once, alone.
#![expect(
    clippy::unnecessary_to_owned,
    clippy::cmp_owned,
    clippy::unnecessary_fallible_conversions,
    reason = "node code is written like this, and has to compile"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use dora_node_api::{
    DataSample, DataflowId, DoraArray, DoraEvent, DoraNode, DoraNodeBuilder, EncodedSample, Event,
    EventStream, FIN, FLUSH, GOAL_ID, GOAL_STATUS, GOAL_STATUS_ABORTED, GOAL_STATUS_CANCELED,
    GOAL_STATUS_SUCCEEDED, InputState, InputTracker, IntoArrow, Metadata, MetadataParameters, NodeError,
    NodeResult, Parameter, PatternError, REQUEST_ID, SEGMENT_ID, SEQ, SESSION_ID, SampleAllocator, StopCause,
    StreamSegment, TryRecvError, ZERO_COPY_THRESHOLD,
    dora_core::{
        config::{DataId, NodeId, OperatorId},
        uhlc,
    },
    futures::{self, FutureExt, SinkExt, StreamExt, TryStreamExt, future, stream},
    get_bool_param, get_integer_param, get_string_param,
    integration_testing::{
        IntegrationTestInput, OutputJson, OutputReceiver, OutputSender, TestingInput, TestingOptions,
        TestingOutput, drain_outputs,
        integration_testing_format::{IncomingEvent, InputData, RecordingStatus, TimedIncomingEvent},
        output_channel, setup_integration_testing,
    },
    into_vec,
    merged::{Either, MergeExternal, MergeExternalSend, MergedEvent},
    metadata, serde_json, uuid,
};

fn all_ways_to_join() -> NodeResult<()> {
    DoraNode::init_from_env()?;
    DoraNode::init_from_env_force()?;
    DoraNode::init_from_node_id(NodeId::from("late".to_string()))?;
    DoraNode::init_flexible("late".parse().map_err(|error| NodeError::Init(format!("{error}")))?)?;
    DoraNode::init_interactive()?;
    let builder: DoraNodeBuilder = DoraNode::builder();
    builder.node_id("late".to_string().into()).dynamic().daemon_port(53_291).build()?;
    Ok(())
}

#[test]
fn names_read_like_strings() -> eyre::Result<()> {
    let id = DataId::from("arm/joint_1".to_owned());
    let as_string: &String = &id;
    let as_str: &str = &id;
    assert_eq!((as_string.as_str(), as_str), (id.as_str(), "arm/joint_1"));
    assert!(id.starts_with("arm") && id.ends_with("_1") && id.contains('/') && id.len() == 11);
    assert_eq!(id.split('/').next_back(), Some("joint_1"));
    let (by_ref, string): (&str, &String) = (id.as_ref(), id.as_ref());
    assert_eq!(by_ref, string);
    assert_eq!(String::from(id.clone()), *id);
    let names: BTreeSet<DataId> = [id.clone()].into();
    assert!(
        names.contains("arm/joint_1") && names.contains(&"arm/joint_1".to_string()) && names.contains(&id)
    );
    let by_name: HashMap<DataId, u32> = HashMap::from([(id.clone(), 1)]);
    assert_eq!(by_name.get("arm/joint_1"), by_name.get(&id.to_string()));
    assert_eq!(BTreeMap::from([("arm/joint_1".to_string(), 2)]).get(&*id), Some(&2));
    let (node, again): (NodeId, NodeId) = ("n".parse()?, "n".to_string().into());
    let text: &str = node.as_ref();
    assert!(node == again && node.to_string() == text);
    let operator = OperatorId::from("op".to_string());
    assert_eq!(format!("{operator} {id} {}", NodeId::try_from("n".to_string())?), "op arm/joint_1 n");
    let error: Box<dyn std::error::Error + Send + Sync> = "a b".parse::<DataId>().unwrap_err().into();
    assert!(error.to_string().contains("a b"));
    Ok(())
}

fn knows_itself(node: &DoraNode) -> eyre::Result<()> {
    let (id, dataflow): (&NodeId, &DataflowId) = (node.id(), node.dataflow_id());
    node.log_info(&format!("{id} in {}", dataflow.simple()));
    let config = node.node_config();
    for (name, input) in &config.inputs {
        let depth: Option<usize> = input.queue_size;
        node.log_debug(&format!("{name} from {} {depth:?} {:?}", input.mapping, input.input_timeout));
    }
    assert!(
        config.inputs.keys().all(|name| config.inputs.contains_key(name))
            && !config.inputs.contains_key("none")
    );
    let outputs: BTreeSet<DataId> = config.outputs.clone();
    assert!(outputs.iter().all(|output| config.outputs.contains(output)));
    serde_json::to_string(&config.clone())?;
    let (_, _, _): (bool, u32, usize) = (node.is_restart(), node.restart_count(), node.zero_copy_threshold());
    let time: uhlc::Timestamp = node.timestamp();
    node.log_trace(&format!("{time} {:?}", time.get_time().to_system_time()));
    if let Ok(descriptor) = node.dataflow_descriptor() {
        serde_json::to_string(descriptor)?;
        for node in &descriptor.nodes {
            println!("{} {:?} {:?} {:?}", node.id, node.name, node.path, node.inputs.keys().next());
        }
    }
    Ok(())
}

fn logs(node: &DoraNode) {
    node.log("info", "text", None);
    node.log("warn", "text", Some("target"));
    let fields = BTreeMap::from([("k".to_string(), "v".to_string())]);
    node.log_with_fields("error", "text", None, Some(&fields));
    node.log_error("text");
    node.log_warn("text");
}

/// Every kind of event by name; `false` at the end.
fn handles(event: Option<Event>) -> bool {
    match event {
        None | Some(Event::Stop(StopCause::Manual | StopCause::AllInputsClosed)) => return false,
        Some(Event::Input { id, metadata, data }) => println!("{id} {} {}", data.len(), metadata.timestamp()),
        Some(Event::InputClosed { id } | Event::InputRecovered { id }) => println!("{id}"),
        Some(Event::NodeRestarted { id }) => println!("{id}"),
        Some(Event::NodeFailed { affected_input_ids, error, source_node_id }) => {
            println!("{source_node_id} {error} {affected_input_ids:?}");
        }
        Some(Event::ParamUpdate { key, value }) => println!("{key} {}", serde_json::Value::to_string(&value)),
        Some(Event::ParamDeleted { key }) => println!("{key}"),
        Some(Event::Reload { operator_id }) => println!("{:?}", operator_id.map(|id| id.to_string())),
        Some(Event::Error(text)) => println!("{text}"),
        Some(other) => println!("{other:?}"),
    }
    true
}

fn receives(events: &mut EventStream) {
    match events.try_recv() {
        Ok(event) => println!("{event:?}"),
        Err(TryRecvError::Empty | TryRecvError::Closed) => {}
    }
    let drops: HashMap<DataId, u64> = events.drain_drop_counts();
    println!("{drops:?} {}", events.is_empty());
    handles(events.recv_timeout(Duration::from_millis(1)));
    let _all: Vec<DoraEvent> = events.drain().unwrap_or_default();
    while handles(events.recv()) {}
}

fn sends(node: &mut DoraNode) -> NodeResult<()> {
    let out = DataId::from("out".to_owned());
    node.send_output(out.clone(), MetadataParameters::default(), ().into_arrow())?;
    node.send_output("out".into(), Default::default(), 3u64)?;
    node.send_output("out".into(), BTreeMap::new(), "text")?;
    node.send_output("out".to_string().into(), MetadataParameters::new(), String::from("text"))?;
    node.send_output(out.clone(), Default::default(), vec![1.0f32])?;
    node.send_output(out.clone(), Default::default(), vec!["a".to_string()])?;
    let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 2).unwrap_or_default();
    let array: DoraArray = day.into_arrow();
    println!("{array:?} {} {} {} {}", array.len(), array.is_empty(), array.null_count(), array.type_name());
    node.send_output(out.clone(), Default::default(), array.clone())?;
    let parameters = MetadataParameters::from([
        ("b".into(), Parameter::Bool(true)),
        ("i".into(), Parameter::Integer(1)),
        ("f".into(), Parameter::Float(1.0)),
        ("s".into(), Parameter::String("x".into())),
        ("li".into(), Parameter::ListInt(vec![1])),
        ("lf".into(), Parameter::ListFloat(vec![1.0])),
        ("ls".into(), Parameter::ListString(vec!["x".into()])),
        ("t".into(), Parameter::Timestamp(chrono::Utc::now())),
    ]);
    node.send_output_bytes(out.clone(), parameters.clone(), 3, &[1, 2, 3])?;
    node.send_output_raw(out.clone(), parameters.clone(), 3, |to| to.copy_from_slice(&[1, 2, 3]))?;
    let mut sample: DataSample = node.allocate_data_sample(2 * ZERO_COPY_THRESHOLD)?;
    sample.fill(3);
    node.send_output_sample(out.clone(), Default::default(), Some(sample))?;
    node.send_output_sample(out.clone(), Default::default(), None)?;
    let allocator: SampleAllocator = node.sample_allocator();
    let encoding = std::thread::spawn(move || allocator.encode_arrow(&vec![1u8].into_arrow()));
    let encoded: EncodedSample = encoding.join().expect("the thread does not panic")?;
    println!("{} {}", encoded.type_name(), encoded.as_bytes().len());
    node.send_output_encoded(out.clone(), parameters, encoded)?;
    SampleAllocator::heap().allocate(5)?;
    if node.validate_output(&out) {
        node.close_outputs(vec![out])?;
    }
    Ok(())
}

#[test]
fn values_come_out_as_they_went_in() -> eyre::Result<()> {
    let bytes = vec![1u8, 2].into_arrow();
    let slice: &[u8] = (&bytes).try_into()?;
    let owned: Vec<u8> = (&bytes).try_into()?;
    let numbers: Vec<f64> = into_vec(&bytes)?;
    assert_eq!((slice, numbers), (&*owned, vec![1.0, 2.0]));
    assert_eq!(u8::try_from(&7u8.into_arrow())?, 7);
    assert!(bool::try_from(&true.into_arrow())?);
    let text = "text".into_arrow();
    assert_eq!((<&str>::try_from(&text)?, String::try_from(&text)?), ("text", "text".to_string()));
    let time = chrono::NaiveDateTime::default();
    assert_eq!(chrono::NaiveDateTime::try_from(&time.into_arrow())?, time);
    Ok(())
}

async fn asks_and_answers(node: &mut DoraNode, events: &mut EventStream) -> eyre::Result<()> {
    let server = "server".parse()?;
    let request_id: String = node.send_service_request("request".into(), Default::default(), 5u8)?;
    match events.recv_service_response(&request_id, &server, Duration::from_secs(1)).await {
        Ok(Event::Input { data, metadata, .. }) => {
            node.send_service_response("response".into(), metadata.parameters, data)?;
        }
        Ok(_) | Err(PatternError::Timeout | PatternError::StreamEnded) => {}
        Err(PatternError::ServerRestarted(what) | PatternError::StreamError(what)) => println!("{what}"),
        Err(other) => println!("{other}"),
    }
    let goal_id = DoraNode::new_goal_id();
    let mut parameters = MetadataParameters::default();
    parameters.insert(GOAL_ID.to_string(), Parameter::String(goal_id.clone()));
    parameters.insert(REQUEST_ID.to_string(), Parameter::String(DoraNode::new_request_id()));
    node.send_output("goal".into(), parameters, ())?;
    if let Event::Input { metadata, .. } =
        events.recv_action_result(&goal_id, &server, Duration::from_secs(1)).await?
    {
        match get_string_param(&metadata.parameters, GOAL_STATUS) {
            Some(GOAL_STATUS_SUCCEEDED) => println!("done"),
            Some(GOAL_STATUS_ABORTED | GOAL_STATUS_CANCELED) => println!("not done"),
            _ => {}
        }
        println!("{} {}", metadata.open_telemetry_context(), metadata.metadata_version());
    }
    let mut segment = StreamSegment::with_session_id("call".to_string());
    node.send_stream_chunk("speech".into(), &mut segment, true, "chunk")?;
    node.send_output("speech".into(), segment.flush(), ())?;
    println!("{} {} {}", segment.session_id(), segment.segment_id(), segment.seq());
    let _next: i64 = segment.next_segment();
    Ok(())
}

#[test]
fn metadata_and_its_keys_are_plain_data() -> eyre::Result<()> {
    let chunk: MetadataParameters = StreamSegment::new().chunk(true);
    assert_eq!((get_integer_param(&chunk, SEQ), get_bool_param(&chunk, FIN)), (Some(0), Some(true)));
    assert!(chunk.contains_key(SESSION_ID) && chunk.contains_key(SEGMENT_ID) && !chunk.contains_key(FLUSH));
    let stamp = uhlc::HLC::default().new_timestamp();
    let given = metadata::Metadata::from_parameters(stamp, chunk);
    let read: Metadata = serde_json::from_str(&serde_json::to_string(&given)?)?;
    assert_eq!((read.timestamp(), read.clone()), (stamp, given));
    assert!(read != Metadata::new(stamp) && read.metadata_version() == Metadata::CURRENT_VERSION);
    uuid::Uuid::new_v4();
    Ok(())
}

async fn is_a_stream(mut events: EventStream) -> eyre::Result<()> {
    let _event: Option<Event> = events.recv_async().await;
    let _event = events.recv_async_timeout(Duration::from_secs(1)).await;
    futures::select! {
        event = events.next().fuse() => println!("{event:?}"),
        () = future::ready(()).fuse() => {}
    }
    let (mut sender, receiver) = futures::channel::mpsc::channel::<u8>(1);
    sender.send(1).await?;
    drop(sender);
    let all: Vec<u8> = receiver.map(Ok::<u8, eyre::Report>).try_collect().await?;
    println!("{all:?}");
    let mut names =
        events.filter_map(|event| future::ready(matches!(event, Event::Input { .. }).then_some(())));
    while names.next().await.is_some() {}
    Ok(())
}

fn merges(events: EventStream, others: EventStream) {
    let mut merged = events.merge_external(stream::iter(vec![1u32]));
    futures::executor::block_on(async {
        while let Some(event) = merged.next().await {
            match event {
                MergedEvent::Dora(Event::Input { .. }) | MergedEvent::Dora(_) => {}
                MergedEvent::External(number) => assert_eq!(u32::max(number, 1), 1),
            }
        }
    });
    let twice =
        others.merge_external_send(stream::iter(vec![1u32])).merge_external_send(stream::iter(vec!["a"]));
    let merging = std::thread::spawn(move || {
        for event in futures::executor::block_on_stream(twice) {
            match event {
                MergedEvent::External(Either::First(number)) => assert_eq!(u32::max(number, 1), 1),
                MergedEvent::External(Either::Second(text)) => assert_eq!(str::len(text), 1),
                MergedEvent::Dora(event) => println!("{event:?}"),
            }
        }
    });
    merging.join().expect("the thread does not panic");
    assert_eq!(Either::<u8, u8>::First(1).flatten(), 1);
}

fn tracks(events: &mut EventStream, node: &DoraNode) {
    let sources = [("in".into(), node.id().clone())];
    let mut tracker = InputTracker::with_source_map(sources.into_iter().collect());
    assert!(!InputTracker::new().any_closed() && InputTracker::default().state(&"in".into()).is_none());
    while let Some(event) = events.recv() {
        if tracker.process_event(&event) && tracker.any_closed() {
            let closed: Vec<&DataId> = tracker.closed_inputs();
            println!("{closed:?} {:?}", tracker.last_value(&"in".into()).map(DoraArray::len));
        }
        if tracker.is_closed(&"in".into()) {
            assert!(matches!(tracker.state(&"in".into()), Some(InputState::Closed)));
        }
    }
}

fn uses_the_extension_table(node: &mut DoraNode) -> eyre::Result<()> {
    node.extension_store("ns", "k", vec![1])?;
    let found: Option<Vec<u8>> = node.extension_load("ns", String::from("k"), true)?;
    node.extension_drop("ns", "k")?;
    let answer: Vec<u8> = node.extension_request("ns", vec![])?;
    println!("{found:?} {answer:?} {:?}", dora_node_api::event_stream::extensions::drain_dropped_keys("ns"));
    Ok(())
}

/// A node alone, with one message at its input `in`.
fn alone() -> eyre::Result<(DoraNode, EventStream, OutputReceiver)> {
    let value = InputData::JsonObject { data: serde_json::json!([1]), data_type: None };
    let input = IncomingEvent::Input { id: "in".into(), metadata: None, data: Some(Box::new(value)) };
    let events = [input, IncomingEvent::InputClosed { id: "in".into() }, IncomingEvent::AllInputsClosed];
    let events = events.map(|event| TimedIncomingEvent { time_offset_secs: 0.0, event });
    let input = IntegrationTestInput {
        recording_status: Some(Box::new(RecordingStatus::Clean)),
        env: Some(BTreeMap::new()),
        inputs: BTreeMap::new(),
        outputs: BTreeSet::new(),
        ..IntegrationTestInput::new("alone".parse()?, events.into())
    };
    let (sender, receiver): (OutputSender, OutputReceiver) = output_channel();
    let options = TestingOptions { skip_output_time_offsets: true };
    setup_integration_testing(TestingInput::Input(input), TestingOutput::ToChannel(sender), options);
    let (node, events) = DoraNode::init_from_env()?;
    Ok((node, events, receiver))
}

#[test]
fn a_program_of_familiar_calls_runs() -> eyre::Result<()> {
    let (mut node, mut events, mut outputs) = alone()?;
    knows_itself(&node)?;
    logs(&node);
    sends(&mut node)?;
    receives(&mut events);
    let sent: Vec<OutputJson> = drain_outputs(&mut outputs);
    assert_eq!(sent.len(), 12, "{sent:?}");
    let (node, mut events, _outputs) = alone()?;
    tracks(&mut events, &node);
    futures::executor::block_on(is_a_stream(alone()?.1))?;
    merges(alone()?.1, alone()?.1);
    // These need a dataflow; here it counts that they compile.
    let asks = |mut node, mut events| async move { asks_and_answers(&mut node, &mut events).await };
    let _ = (all_ways_to_join as fn() -> _, uses_the_extension_table as fn(&mut DoraNode) -> _, &asks);
    if false {
        let (node, events, _) = alone()?;
        futures::executor::block_on(asks(node, events))?;
    }
    Ok(())
}

#[cfg(feature = "arrow-v59")]
#[test]
fn arrow_arrays_go_in_and_come_out_as_they_are() -> eyre::Result<()> {
    use dora_node_api::arrow_v59::{
        array::{Array, ArrayRef, AsArray, Float64Array, StructArray, UInt8Array},
        datatypes::{DataType, UInt8Type},
    };
    let data = DoraArray::from_array(UInt8Array::from(vec![1, 2]));
    let array: &ArrayRef = data.as_array();
    assert_eq!(array.data_type(), &DataType::UInt8);
    assert_eq!(array.as_primitive::<UInt8Type>().values()[..], [1, 2]);
    let inner: ArrayRef = data.clone().into_inner();
    let (mut node, _events, _outputs) = alone()?;
    node.send_output("out".into(), Default::default(), inner.clone())?;
    node.send_output("out".into(), Default::default(), Float64Array::from(vec![1.0]))?;
    let fields = StructArray::try_from(vec![("a", inner)])?;
    node.send_output("out".into(), Default::default(), fields)?;
    let encoded = node.sample_allocator().encode_arrow(&data)?;
    assert_eq!(encoded.data_type(), &DataType::UInt8);
    Ok(())
}

#[cfg(feature = "arrow-files")]
#[test]
fn arrow_streams_are_written_and_read() -> eyre::Result<()> {
    use dora_node_api::arrow_utils;
    let stream: Vec<u8> = arrow_utils::encode_arrow_ipc(&vec![1u8].into_arrow())?;
    let payload = arrow_utils::IpcPayload::from_vec(stream.clone());
    let (copied, in_place) =
        (arrow_utils::decode_arrow_ipc(&stream)?, arrow_utils::decode_arrow_ipc_zero_copy(payload)?);
    assert_eq!(u8::try_from(&copied)?, u8::try_from(&in_place)?);
    Ok(())
}
