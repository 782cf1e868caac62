//! What every store promises.

use std::collections::BTreeMap;

use dora_protocol::{
    DataflowId,
    control::{DaemonId, DataflowResult, DataflowStatus},
    daemon_link::DataflowRecord,
};
use serde_json::json;

#[cfg(feature = "redb-backend")]
use super::RedbStore;
use super::{Contents, MemoryStore, Store, StoredFlow, StoredParameters, Write};

fn id(n: u128) -> DataflowId {
    DataflowId::from_u128(n)
}

fn flow(name: &str) -> StoredFlow {
    StoredFlow {
        record: DataflowRecord {
            name: Some(name.into()),
            live: "nodes: []".into(),
            ..DataflowRecord::default()
        },
        nodes: vec!["n".parse().unwrap()],
        status: DataflowStatus::Running,
        spawned: true,
        daemon: Some(DaemonId { machine_id: Some("A".into()), uuid: id(77) }),
        result: Some(DataflowResult { error: Some("boom".into()), nodes: Vec::new() }),
        updated_ms: 5,
    }
}

fn parameters(value: i32) -> StoredParameters {
    let of_node = BTreeMap::from([("gain".to_owned(), json!({ "v": [value, null, 1.5] }))]);
    StoredParameters { sequence: 3, values: BTreeMap::from([("n".parse().unwrap(), of_node)]) }
}

/// `again` gives the store as the next process would see it.
fn keeps_its_promises<S: Store>(mut store: S, again: impl Fn(S) -> S) {
    assert_eq!(store.load().unwrap(), Contents::new());
    let all = [
        Write::Flow(id(2), flow("two").into()),
        Write::Flow(id(1), flow("one").into()),
        Write::Parameters(id(1), parameters(4)),
        // Of a dataflow that is not there: not shown, no harm.
        Write::Parameters(id(9), parameters(9)),
    ];
    store.write(&all).unwrap();
    store.write(&[]).unwrap();
    let mut store = again(store);
    let expected =
        vec![(id(1), flow("one"), parameters(4)), (id(2), flow("two"), StoredParameters::default())];
    assert_eq!(store.load().unwrap(), expected, "in the order of ids, parameters with their dataflow");
    let newer = [Write::Flow(id(1), flow("uno").into()), Write::Parameters(id(1), parameters(5))];
    store.write(&newer).unwrap();
    store.delete(id(2)).unwrap();
    store.delete(id(2)).unwrap();
    let mut store = again(store);
    assert_eq!(store.load().unwrap(), vec![(id(1), flow("uno"), parameters(5))]);
    store.delete(id(1)).unwrap();
    store.write(&[Write::Flow(id(1), flow("one").into())]).unwrap();
    let expected = vec![(id(1), flow("one"), StoredParameters::default())];
    assert_eq!(again(store).load().unwrap(), expected, "parameters go with their dataflow");
}

#[test]
fn the_store_in_memory_keeps_its_promises() {
    keeps_its_promises(MemoryStore::default(), |store| store);
}

#[cfg(feature = "redb-backend")]
#[test]
fn the_store_in_a_file_keeps_its_promises_across_processes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.redb");
    keeps_its_promises(RedbStore::open(&path).unwrap(), |store| {
        drop(store);
        RedbStore::open(&path).unwrap()
    });
}
