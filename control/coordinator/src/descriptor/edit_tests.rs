//! Edits as tables: before, change, after.

use proptest::prelude::*;

use super::*;

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

fn mapping(from: &str, to: &str) -> Mapping {
    let ((source_node, source_output), (target_node, target_input)) =
        (from.split_once('/').unwrap(), to.split_once('/').unwrap());
    Mapping {
        source_node: node(source_node),
        source_output: source_output.parse().unwrap(),
        target_node: node(target_node),
        target_input: target_input.parse().unwrap(),
    }
}

fn entry(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn three() -> Value {
    json!({
        "nodes": [
            { "id": "a", "outputs": ["x", "y"] },
            { "id": "b", "inputs": { "t": "dora/timer/millis/5", "in": "a/x" } },
            { "id": "c", "inputs": {
                "fan": { "source": ["a/x", "b/z"], "queue_size": 3 },
                "logs": "dora/logs/info/a", "all": "dora/logs/info" } }
        ],
        "chains": [{ "from": "a/x", "to": "c/fan", "within": "1ms" }, { "from": "b/z", "to": "c/fan", "within": "1ms" }]
    })
}

fn after(change: &Edit) -> Value {
    let mut descriptor = three();
    let said = edit(&mut descriptor, change).unwrap();
    assert!(said.is_some(), "{change:?} did nothing");
    descriptor
}

#[test]
fn a_removed_node_takes_its_edges_its_logs_and_its_chains_with_it_and_nothing_else() {
    let left = after(&Edit::Remove(node("a")));
    assert_eq!(
        left,
        json!({
            "nodes": [
                { "id": "b", "inputs": { "t": "dora/timer/millis/5" } },
                { "id": "c", "inputs": { "fan": { "source": "b/z", "queue_size": 3 }, "all": "dora/logs/info" } }
            ],
            "chains": [{ "from": "b/z", "to": "c/fan", "within": "1ms" }]
        })
    );
}

#[test]
fn a_connection_makes_the_input_or_joins_its_sources() {
    let made = after(&Edit::Connect(mapping("a/y", "b/new")));
    assert_eq!(made["nodes"][1]["inputs"]["new"], "a/y");
    let joined = after(&Edit::Connect(mapping("a/y", "b/in")));
    assert_eq!(joined["nodes"][1]["inputs"]["in"], json!({ "source": ["a/x", "a/y"] }));
    let third = after(&Edit::Connect(mapping("a/y", "c/fan")));
    assert_eq!(
        third["nodes"][2]["inputs"]["fan"],
        json!({ "source": ["a/x", "b/z", "a/y"], "queue_size": 3 })
    );
    let to_source = after(&Edit::Connect(mapping("b/z", "a/first")));
    assert_eq!(to_source["nodes"][0]["inputs"], json!({ "first": "b/z" }));
}

#[test]
fn a_connection_that_is_there_is_left_alone() {
    let mut descriptor = three();
    assert_eq!(edit(&mut descriptor, &Edit::Connect(mapping("a/x", "b/in"))), Ok(None));
    assert_eq!(descriptor, three());
}

#[test]
fn a_disconnected_input_keeps_its_other_sources_and_goes_with_the_last() {
    let left = after(&Edit::Disconnect(mapping("a/x", "c/fan")));
    assert_eq!(left["nodes"][2]["inputs"]["fan"], json!({ "source": "b/z", "queue_size": 3 }));
    let gone = after(&Edit::Disconnect(mapping("a/x", "b/in")));
    assert_eq!(gone["nodes"][1]["inputs"], json!({ "t": "dora/timer/millis/5" }));
}

#[test]
fn operators_have_inputs_of_their_own() {
    let mut descriptor = json!({ "nodes": [
        { "id": "s", "outputs": ["x"] },
        { "id": "one", "operator": { "python": "o.py" } },
        { "id": "many", "operators": [{ "id": "p", "inputs": {} }, { "id": "q" }] }
    ]});
    for (to, pointer) in [
        ("one/in", "/nodes/1/operator/inputs/in"),
        ("many/p/in", "/nodes/2/operators/0/inputs/in"),
        ("many/q/in", "/nodes/2/operators/1/inputs/in"),
    ] {
        edit(&mut descriptor, &Edit::Connect(mapping("s/x", to))).unwrap();
        assert_eq!(descriptor.pointer(pointer), Some(&json!("s/x")), "{to}");
    }
    edit(&mut descriptor, &Edit::Remove(node("s"))).unwrap();
    assert!(!descriptor.to_string().contains("s/x"), "{descriptor}");
}

#[test]
fn what_does_not_fit_is_named() {
    let table: [(Edit, &str); 9] = [
        (Edit::Add(entry(json!({ "id": "a" }))), "a node `a` already"),
        (Edit::Add(entry(json!({ "path": "x" }))), "no `id`"),
        (Edit::Remove(node("q")), "no node `q`; it has a, b, c"),
        (Edit::Replace(node("a"), entry(json!({ "id": "b" }))), "must have the same id"),
        (Edit::Replace(node("q"), entry(json!({ "id": "q" }))), "no node `q`"),
        (Edit::Connect(mapping("q/x", "a/in")), "no node `q`"),
        (Edit::Connect(mapping("a/x", "q/in")), "no node `q`"),
        (Edit::Disconnect(mapping("a/y", "b/in")), "no edge a/y -> b/in"),
        (Edit::Disconnect(mapping("a/x", "b/none")), "no edge a/x -> b/none"),
    ];
    for (change, part) in table {
        let error = edit(&mut three(), &change).unwrap_err();
        assert!(error.contains(part), "{change:?}: {error}");
    }
    let mut broken = json!({ "nodes": 5 });
    assert!(edit(&mut broken, &Edit::Remove(node("a"))).is_err());
}

/// Anything that JSON can say, with the words that mean something here.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("a/x".to_owned()),
        Just("dora/logs/info/a".to_owned()),
        Just("a".to_owned()),
        Just("dynamic".to_owned()),
        "\\PC{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let key = prop_oneof![
        Just("id".to_owned()),
        Just("path".to_owned()),
        Just("inputs".to_owned()),
        Just("outputs".to_owned()),
        Just("operator".to_owned()),
        Just("operators".to_owned()),
        Just("source".to_owned()),
        Just("nodes".to_owned()),
        Just("chains".to_owned()),
        Just("deploy".to_owned()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_descriptor_and_no_entry_makes_an_edit_panic(descriptor in anything(), entry in anything()) {
        let entry = match entry {
            Value::Object(map) => map,
            other => Map::from_iter([("id".to_owned(), "n".into()), ("inputs".to_owned(), other)]),
        };
        let edits = [
            Edit::Add(entry.clone()),
            Edit::Replace(node("a"), entry),
            Edit::Connect(mapping("a/x", "c/fan")),
            Edit::Connect(mapping("a/x", "n/o/in")),
            Edit::Disconnect(mapping("a/x", "n/in")),
            Edit::Remove(node("a")),
        ];
        let with_nodes = json!({ "nodes": [descriptor.clone(), { "id": "a", "path": "./a", "outputs": ["x"] }] });
        for start in [descriptor, with_nodes, three()] {
            let mut now = start;
            for change in &edits {
                let mut next = now.clone();
                if edit(&mut next, change).is_ok() {
                    now = next;
                }
                let live = serde_json::to_string_pretty(&now).unwrap();
                let record = dora_protocol::daemon_link::DataflowRecord {
                    working_dir: "/nowhere".into(),
                    live,
                    ..Default::default()
                };
                // Good or not, it is an answer.
                drop(super::super::resolve(&record));
                drop(crate::placement::wishes(&now));
            }
        }
    }
}
