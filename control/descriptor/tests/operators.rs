//! Runtime nodes: what their operators load, and which edges the daemon never hears of.

use std::path::Path;

use dora_descriptor::{Loaded, parse_str};
use dora_protocol::{
    dataflow::{NodeKind, Source},
    operator::{Operator, OperatorSource, RuntimeConfig},
    policy::QueuePolicy,
};

fn load(text: &str) -> Result<Loaded, String> {
    parse_str("flow.yml", text, Path::new("/work"), &[]).map_err(|errors| errors.to_string())
}

fn operators(loaded: &Loaded, node: usize) -> &[Operator] {
    let NodeKind::Runtime { operators } = &loaded.dataflow.nodes[node].kind else { panic!("no runtime") };
    operators
}

const PIPELINE: &str = "\
nodes:
- id: cam
  path: cam
  outputs: [image]
- id: rt
  operators:
  - id: a
    shared-library: a
    inputs: { image: cam/image, tick: dora/timer/millis/20 }
    outputs: [x, y]
  - id: b
    shared-library: b
    inputs:
      i: { source: rt/a/y, queue_size: 3, queue_policy: backpressure }
      j: { source: cam/image, deadline: 5ms }
    outputs: [z]
- id: sink
  path: sink
  inputs: { i: rt/b/z }
";

#[test]
fn an_edge_between_operators_of_one_node_is_theirs_and_all_others_are_the_nodes() {
    let loaded = load(PIPELINE).unwrap();
    let node = &loaded.dataflow.nodes[1];
    let names: Vec<&str> = node.inputs.iter().map(|input| input.id.as_str()).collect();
    assert_eq!(names, ["a/image", "a/tick", "b/j"], "an inner edge reached the node");
    let [a, b] = operators(&loaded, 1) else { panic!("two operators") };
    assert_eq!(a.source, OperatorSource::SharedLibrary { path: "a".into() });
    assert_eq!(a.outputs.iter().map(|o| (o.id.as_str(), o.output)).collect::<Vec<_>>(), [("x", 0), ("y", 1)]);
    let inputs: Vec<_> = b.inputs.iter().map(|i| (i.id.as_str(), i.outside, i.inside.as_slice())).collect();
    assert_eq!(inputs, [("i", None, &[1][..]), ("j", Some(2), &[])]);
    assert_eq!((b.inputs[0].queue_size, b.inputs[0].policy), (3, QueuePolicy::Backpressure));
    assert_eq!((a.budget_ns, b.budget_ns), (Some(20_000_000), Some(5_000_000)));
    assert_eq!(loaded.dataflow.nodes[2].inputs[0].source, Source::Output { node: 1, output: 2 });
}

#[test]
fn the_configuration_survives_the_way_through_the_environment() {
    let loaded = load(PIPELINE).unwrap();
    let config = RuntimeConfig::of(&loaded.dataflow.nodes[1]).unwrap();
    let text = serde_json::to_string(&config).unwrap();
    let read: RuntimeConfig = serde_json::from_str(&text).unwrap();
    assert_eq!((read.operators, read.inputs), (config.operators, config.inputs));
    assert!(RuntimeConfig::of(&loaded.dataflow.nodes[0]).is_none());
}

#[test]
fn a_single_operator_needs_no_name_and_its_ports_have_no_prefix() {
    let text = "nodes:\n- id: a\n  operator: { python: { source: x.py }, inputs: { t: dora/timer/secs/1, back: a/o }, outputs: [o] }\n";
    let loaded = load(text).unwrap();
    let [op] = operators(&loaded, 0) else { panic!("one operator") };
    assert_eq!(
        (op.id.as_str(), &op.source),
        ("op", &OperatorSource::Python { source: "x.py".into(), conda_env: None })
    );
    assert_eq!(op.inputs[1].inside, [0], "an edge to itself stays inside");
    assert_eq!(loaded.dataflow.nodes[0].inputs.len(), 1);
}

#[test]
fn what_feeds_an_input_from_both_sides_is_divided() {
    let text = "nodes:
- { id: cam, path: cam, outputs: [image] }
- id: rt
  operators:
  - { id: a, python: a.py, inputs: { t: dora/timer/secs/1 }, outputs: [x] }
  - { id: b, python: b.py, inputs: { i: { source: [rt/a/x, cam/image] } } }
";
    let loaded = load(text).unwrap();
    let b = &operators(&loaded, 1)[1];
    assert_eq!((b.inputs[0].outside, b.inputs[0].inside.as_slice()), (Some(1), &[0][..]));
    let input = &loaded.dataflow.nodes[1].inputs[1];
    assert_eq!((&input.source, input.more_sources.len()), (&Source::Output { node: 0, output: 0 }, 0));
}

#[test]
fn python_and_native_operators_do_not_share_a_process() {
    let text = "nodes:\n- id: a\n  operators: [{id: o, python: x}, {id: p, shared-library: y}]\n";
    let error = load(text).unwrap_err();
    assert!(
        error.contains("cannot share a process") && error.contains("runtime node of their own"),
        "{error}"
    );
}

#[test]
fn a_chain_ends_where_the_daemon_can_measure_it() {
    let chain = |to: &str| format!("{PIPELINE}chains: [{{ from: cam/image, to: {to}, within: 9ms }}]\n");
    let loaded = load(&chain("rt/b/j")).unwrap();
    assert_eq!(loaded.dataflow.chains[0].to, (1, 2), "the index follows the input");
    let error = load(&chain("rt/b/i")).unwrap_err();
    assert!(error.contains("inside the runtime node `rt`"), "{error}");
    assert_eq!(load(&chain("sink/i")).unwrap().dataflow.chains[0].to, (2, 0));
}

#[test]
fn a_deadline_inside_a_process_is_warned_about() {
    let text = PIPELINE.replace("queue_size: 3", "deadline: 1ms");
    let loaded = load(&text).unwrap();
    assert!(
        loaded.warnings.iter().any(|w| w.message.contains("have no effect on an edge")),
        "{:?}",
        loaded.warnings
    );
    assert_eq!(operators(&loaded, 1)[1].budget_ns, Some(1_000_000), "it still is the budget of the operator");
}

#[test]
fn what_an_operator_reserves_for_an_output_reaches_the_output_of_the_node() {
    let text = PIPELINE.replacen(
        "    outputs: [x, y]",
        "    outputs: [x, y]\n    output_layout: { y: { max_message_bytes: 2KB, depth: 3 } }",
        1,
    );
    let loaded = load(&text).unwrap();
    let outputs = &loaded.dataflow.nodes[1].outputs;
    let reserved = |n: usize| (outputs[n].max_message_bytes, outputs[n].depth);
    assert_eq!((reserved(0), reserved(1)), ((None, None), (Some(2048), Some(3))));
    let sizes: Vec<_> = operators(&loaded, 1)[0].outputs.iter().map(|o| o.max_message_bytes).collect();
    assert_eq!(sizes, [None, Some(2048)]);
}

#[test]
fn an_operator_may_be_behind_a_url_with_a_digest_and_run_in_a_conda_environment() {
    let digest = "ABCDEF0123456789".repeat(4);
    let text = format!(
        "nodes:
- id: a
  operators:
  - {{ id: o, python: {{ source: 'https://example.com/o.py', conda_env: arm }}, path_sha256: {digest} }}
  - {{ id: p, python: p.py }}
- {{ id: b, operator: {{ shared-library: 'http://example.com/libq.so' }} }}
"
    );
    let loaded = load(&text).unwrap();
    assert_eq!(loaded.not_yet, [], "all of it has an effect");
    let [o, p] = operators(&loaded, 0) else { panic!("two operators") };
    let conda_env = Some("arm".to_owned());
    let source = OperatorSource::Python { source: "https://example.com/o.py".into(), conda_env };
    assert_eq!((&o.source, o.sha256.as_deref()), (&source, Some(digest.to_lowercase().as_str())));
    assert_eq!((p.source.path(), p.sha256.as_deref()), ("p.py", None));
    assert_eq!(operators(&loaded, 1)[0].source.path(), "http://example.com/libq.so");
}

#[test]
fn what_a_process_prints_is_an_output_of_the_operator_that_says_so() {
    let text = PIPELINE.replacen(
        "    outputs: [z]",
        "    outputs: [z, lines, logs]\n    send_stdout_as: lines\n    send_logs_as: logs",
        1,
    );
    let loaded = load(&text).unwrap();
    assert_eq!(loaded.not_yet, [], "it has an effect");
    let log = &loaded.dataflow.nodes[1].log;
    let name = |id: &Option<dora_protocol::DataId>| id.as_ref().map(ToString::to_string);
    assert_eq!((name(&log.stdout_as), name(&log.logs_as)), (Some("b/lines".into()), Some("b/logs".into())));
}
