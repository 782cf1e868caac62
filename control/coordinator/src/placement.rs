//! Which daemon runs a dataflow. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What one node asks of the machine it runs on (`deploy:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wish {
    /// Machine id.
    pub(crate) machine: Option<String>,
    /// Labels that the daemon must have.
    pub(crate) labels: BTreeMap<String, String>,
}

/// A daemon that could be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a, T> {
    /// Returned when it is.
    pub(crate) key: T,
    /// `--machine-id`
    pub(crate) machine: Option<&'a str>,
    /// `--labels`
    pub(crate) labels: &'a BTreeMap<String, String>,
}

/// The different wishes of the nodes of a descriptor, flat and as JSON.
pub(crate) fn wishes(descriptor: &Value) -> BTreeSet<Wish> {
    let default = block(descriptor);
    let nodes = descriptor.get("nodes").and_then(Value::as_array);
    nodes.into_iter().flatten().map(|node| wish(block(node), default)).collect()
}

fn block(of: &Value) -> Option<&Value> {
    ["deploy", "_unstable_deploy"].iter().find_map(|key| of.get(key))
}

fn wish(own: Option<&Value>, default: Option<&Value>) -> Wish {
    let find = |key: &str| [own, default].into_iter().flatten().find_map(|block| block.get(key));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let labels = find("labels").and_then(Value::as_object);
    Wish {
        machine: find("machine").map(text),
        labels: labels.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect(),
    }
}

/// The one daemon that fits all wishes.
///
/// # Errors
/// A sentence for the user when there is none, or when it is not clear which.
pub(crate) fn choose<T: Copy>(wishes: &BTreeSet<Wish>, daemons: &[Candidate<'_, T>]) -> Result<T, String> {
    if daemons.is_empty() {
        return Err(
            "no daemon is connected to the coordinator; start one with `dora up` or `dora daemon`".into()
        );
    }
    let machines: BTreeSet<&str> = wishes.iter().filter_map(|wish| wish.machine.as_deref()).collect();
    if machines.len() > 1 {
        return Err(format!(
            "the nodes are deployed to several machines ({}); splitting one dataflow over machines is not there yet, so give \
             all of them the same `deploy: machine`",
            machines.into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    let machine = machines.first().copied();
    let fits = |daemon: &&Candidate<'_, T>| {
        machine.is_none_or(|machine| daemon.machine == Some(machine))
            && wishes.iter().flat_map(|wish| &wish.labels).all(|(k, v)| daemon.labels.get(k) == Some(v))
    };
    let fitting: Vec<_> = daemons.iter().filter(fits).collect();
    let named = |list: &[Candidate<'_, T>]| {
        let names = list.iter().map(|daemon| daemon.machine.unwrap_or("the one without a machine id"));
        names.collect::<Vec<_>>().join(", ")
    };
    match (fitting.as_slice(), machine) {
        ([], Some(machine)) if !daemons.iter().any(|daemon| daemon.machine == Some(machine)) => Err(format!(
            "the dataflow is deployed to machine `{machine}`, whose daemon is not connected (connected: {}); start it there with \
             `dora daemon --machine-id {machine} --coordinator-addr …`",
            named(daemons)
        )),
        ([], _) => Err(format!(
            "no connected daemon has all the labels that `deploy:` asks for ({}); they are given with `dora daemon --labels`",
            labels_of(wishes)
        )),
        ([one], _) => Ok(one.key),
        (several, _) => several.iter().find(|daemon| daemon.machine.is_none()).map(|daemon| daemon.key).ok_or_else(|| {
            format!(
                "several daemons are connected ({}) and none of them is the default; name one with `deploy: machine`",
                named(daemons)
            )
        }),
    }
}

fn labels_of(wishes: &BTreeSet<Wish>) -> String {
    let all: BTreeSet<String> =
        wishes.iter().flat_map(|wish| &wish.labels).map(|(k, v)| format!("{k}={v}")).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(deploy: Value) -> Value {
        json!({ "id": "n", "deploy": deploy })
    }

    #[test]
    fn a_dataflow_goes_to_the_daemon_that_all_its_nodes_ask_for() {
        let arm = BTreeMap::from([("arch".to_owned(), "arm".to_owned())]);
        let none = BTreeMap::new();
        let daemon = |key: u8, machine: Option<&'static str>| Candidate {
            key,
            machine,
            labels: if machine == Some("A") { &arm } else { &none },
        };
        let (default, a, b) = (daemon(0, None), daemon(1, Some("A")), daemon(2, Some("B")));
        let only = |nodes: &[Value]| wishes(&json!({ "nodes": nodes }));
        /// Nodes, daemons; the one chosen, or a part of the error.
        type Row<'a> = (&'a [Value], &'a [&'a Candidate<'a, u8>], Result<u8, &'static str>);
        let table: [Row<'_>; 11] = [
            (&[], &[], Err("no daemon is connected")),
            (&[json!({})], &[&default], Ok(0)),
            (&[json!({})], &[&a], Ok(1)),
            (&[json!({})], &[&a, &default], Ok(0)),
            (&[json!({})], &[&a, &b], Err("several daemons")),
            (&[node(json!({"machine": "B"})), json!({})], &[&default, &b], Ok(2)),
            (&[node(json!({"machine": "B"}))], &[&default, &a], Err("machine `B`")),
            (
                &[node(json!({"machine": "A"})), node(json!({"machine": "B"}))],
                &[&a, &b],
                Err("several machines (A, B)"),
            ),
            (&[node(json!({"labels": {"arch": "arm"}}))], &[&default, &a, &b], Ok(1)),
            (&[node(json!({"labels": {"arch": "x86"}}))], &[&default, &a], Err("arch=x86")),
            (&[node(json!({"machine": "A", "labels": {"arch": "arm"}}))], &[&a], Ok(1)),
        ];
        for (nodes, daemons, expected) in table {
            let daemons: Vec<_> = daemons.iter().map(|daemon| (*daemon).clone()).collect();
            match (choose(&only(nodes), &daemons), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{nodes:?}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{nodes:?}: {error}"),
                (found, expected) => panic!("{nodes:?}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn the_deploy_block_of_the_dataflow_holds_for_nodes_without_one() {
        let descriptor =
            json!({"deploy": {"machine": "A"}, "nodes": [{}, {"_unstable_deploy": {"machine": "B"}}]});
        let machines: Vec<_> = wishes(&descriptor).into_iter().filter_map(|wish| wish.machine).collect();
        assert_eq!(machines, ["A", "B"]);
    }
}
