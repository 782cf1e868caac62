//! `source: [a/x, b/y]`: one input that reads several outputs, in every place that follows edges.

mod support;

use std::time::Duration;

use dora_descriptor::{
    Loaded,
    graph::Graph,
    load,
    timing::{Options, Outcome, analyse},
};
use dora_protocol::dataflow::Source;
use support::{bad, good};

/// Two senders, and a reader whose input `i` has this source; `more` goes to the end of the reader.
fn reader(source: &str, more: &str) -> String {
    format!(
        "nodes:\n  - {{ id: a, path: x, outputs: [x, z] }}\n  - {{ id: b, path: x, outputs: [y] }}\n  \
         - id: r\n    path: x\n    inputs:\n      i: {{ source: {source}, queue_size: 3 }}\n    {more}\n"
    )
}

fn sources(loaded: &Loaded, node: usize) -> Vec<Source> {
    loaded.dataflow.nodes[node].inputs[0].sources().cloned().collect()
}

fn output(node: u32, output: u32) -> Source {
    Source::Output { node, output }
}

#[test]
fn an_input_reads_all_outputs_of_its_list_in_their_order() {
    let loaded = good(&reader("[b/y, a/x, a/z]", ""));
    assert_eq!(sources(&loaded, 2), [output(1, 0), output(0, 0), output(0, 1)]);
    assert_eq!(loaded.dataflow.nodes[2].inputs[0].queue_size, 3);
    let one = good(&reader("[dora/timer/millis/5]", ""));
    assert_eq!(sources(&one, 2), [Source::Timer { period_ns: 5_000_000 }], "one in a list is one");
}

#[test]
fn a_wrong_list_is_refused_with_the_place_of_each_mistake() {
    let places = bad(&reader("[a/x, c/x, b/yy]", ""));
    for part in [
        "flow.yml:7:26: node `r`: i: source node `c` does not exist",
        "flow.yml:7:31: node `r`: i: output `yy` does not exist on node `b`",
        "did you mean `y`?",
    ] {
        assert!(places.contains(part), "{places}\nwithout\n{part}");
    }
    for (source, said) in [
        ("[]", "flow.yml:7:20: node `r`: inputs.i.source: the list is empty"),
        ("[a/x, a/x]", "flow.yml:7:26: node `r`: i: `a/x` is listed twice"),
        ("[a/x, dora/timer/hz/1]", "`dora/timer/hz/1` is no output of a node"),
        ("[dora/logs/info, a/x]", "`dora/logs/info` is no output of a node"),
        ("[a/x, [b/y]]", "expected a text, found a list"),
        ("{ x: a/x }", "expected a text or a list of texts, found a map"),
    ] {
        let message = bad(&reader(source, ""));
        assert!(message.contains(said), "{source}\nsays\n{message}\nwithout\n{said}");
    }
    let short = bad("nodes:\n  - { id: a, path: x, outputs: [x], inputs: { i: [a/x] } }\n");
    assert!(short.contains("write `i: { source: [a/x] }`"), "{short}");
}

#[test]
fn every_source_must_fit_the_type_of_the_input() {
    let text = "nodes:
  - { id: a, path: x, outputs: [x], output_types: { x: std/core/v1/UInt8 } }
  - { id: b, path: x, outputs: [y], output_types: { y: std/core/v1/String } }
  - id: r
    path: x
    inputs: { i: { source: [a/x, b/y] } }
    input_types: { i: std/core/v1/UInt64 }
";
    let loaded = good(text);
    let warnings: Vec<String> = loaded.type_warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("upstream b/y declares \"std/core/v1/String\""), "{warnings:?}");
}

#[test]
fn the_graph_has_an_edge_from_every_source() {
    let graph = Graph::new(&good(&reader("[a/x, b/y]", "")));
    let edges: Vec<(&str, &str)> = graph
        .edges
        .iter()
        .map(|edge| (graph.vertices[edge.from].title.as_str(), edge.output.as_str()))
        .collect();
    assert_eq!(edges, [("a", "x"), ("b", "y")]);
}

#[test]
fn a_chain_may_lead_through_any_source() {
    let text = reader("[a/x, b/y]", "\nchains:\n  - { from: b/y, to: r/i, within: 1ms }");
    let loaded = good(&text);
    let graph = Graph::new(&loaded);
    assert_eq!(graph.chains[0].edges, [1], "the edge from `b` alone");
    let elsewhere = bad(&reader("[a/x, b/y]", "\nchains:\n  - { from: a/z, to: r/i, within: 1ms }"));
    assert!(elsewhere.contains("no way leads"), "{elsewhere}");
}

#[test]
fn the_response_time_counts_what_comes_from_every_source() {
    let text = "nodes:
  - { id: a, path: x, wcet: 1us, cpu_affinity: [1], rt: { policy: fifo, priority: 50 }, inputs: { t: dora/timer/millis/1 }, outputs: [x] }
  - { id: b, path: x, wcet: 1us, cpu_affinity: [2], rt: { policy: fifo, priority: 50 }, inputs: { t: dora/timer/millis/1 }, outputs: [y] }
  - { id: r, path: x, wcet: 100us, cpu_affinity: [3], rt: { policy: fifo, priority: 50 }, inputs: { i: { source: SOURCE } } }
";
    let options = Options { hop: Duration::ZERO, blocking: Duration::ZERO, profile: None };
    let response = |source: &str| {
        let loaded = good(&text.replace("SOURCE", source));
        let analysis = analyse(&loaded.dataflow, &loaded.annotations, &options);
        let node = analysis.nodes.into_iter().find(|node| node.node == "r").expect("it is in the file");
        node.response
    };
    assert_eq!(response("[a/x]"), Outcome::Bounded(Duration::from_micros(100)));
    assert_eq!(response("[a/x, b/y]"), Outcome::Bounded(Duration::from_micros(200)));
}

#[test]
fn lists_go_in_and_out_of_modules() {
    let dir = tempfile::tempdir().unwrap();
    let module = "module: { name: m, inputs: [p], inputs_optional: [q], outputs: [o] }
nodes:
  - { id: n, path: n.py, inputs: { i: { source: [_mod/p, own/w, _mod/q], queue_size: 2 } }, outputs: [o] }
  - { id: own, path: o.py, outputs: [w] }
";
    let flow = "nodes:
  - { id: a, path: x, outputs: [x, z] }
  - { id: b, path: x, outputs: [y] }
  - id: m
    module: m.yml
    inputs: { p: { source: [a/x, b/y], queue_size: 7, queue_policy: backpressure } }
  - { id: r, path: x, inputs: { i: { source: [m/o, a/z] } } }
";
    std::fs::write(dir.path().join("m.yml"), module).unwrap();
    std::fs::write(dir.path().join("flow.yml"), flow).unwrap();
    let loaded = load(&dir.path().join("flow.yml"), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(sources(&loaded, 2), [output(0, 0), output(1, 0), output(3, 0)]);
    assert_eq!(sources(&loaded, 4), [output(2, 0), output(0, 1)]);
    let again = good(&loaded.flat_yaml());
    for node in 0..loaded.dataflow.nodes.len() {
        let inputs = |loaded: &Loaded| {
            format!(
                "{:?}",
                loaded.dataflow.nodes[node]
                    .inputs
                    .iter()
                    .map(|input| {
                        (
                            input.id.clone(),
                            input.sources().cloned().collect::<Vec<_>>(),
                            input.queue_size,
                            input.policy,
                        )
                    })
                    .collect::<Vec<_>>()
            )
        };
        assert_eq!(inputs(&again), inputs(&loaded), "{}", loaded.flat_yaml());
    }
}
