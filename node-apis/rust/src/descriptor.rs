//! What a node can know of its dataflow: its own inputs and outputs, and the descriptor as the user wrote it.
//!
//! The descriptor was checked before the node was started, so it is read here with leave: what this version does
//! not understand is skipped, and all of it is there as JSON ([`Descriptor`] dereferences to it). A node needs no
//! YAML for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Deref,
    time::Duration,
};

pub use dora_protocol::policy::QueuePolicy;
use dora_protocol::{
    DataId, NodeId,
    log::LogLevel,
    node_link::{InputSource, InputWiring, Setup},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Inputs and outputs of this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeRunConfig {
    /// Inputs by name.
    pub inputs: BTreeMap<DataId, Input>,
    /// Names of the outputs.
    pub outputs: BTreeSet<DataId>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// Where its messages come from.
    pub mapping: InputMapping,
    /// Messages that it holds before the policy acts.
    pub queue_size: Option<usize>,
    /// It counts as closed after this many seconds without a message.
    pub input_timeout: Option<f64>,
    /// What happens when it holds more.
    pub queue_policy: Option<QueuePolicy>,
}

/// Where the messages of an input come from. Reads, and is written to JSON, as in a descriptor: `camera/image`,
/// `dora/timer/millis/20`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputMapping {
    /// The node's own clock.
    Timer {
        /// Time between ticks.
        interval: Duration,
    },
    /// Log lines of other nodes.
    Logs(LogSubscriptionFilter),
    /// The output of a node.
    User(UserInputMapping),
}

/// Which log lines an input gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogSubscriptionFilter {
    /// Least severe level; `None` is everything.
    pub min_level: Option<LogLevel>,
    /// Of this node; `None` is all.
    pub node_filter: Option<NodeId>,
}

/// An output of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserInputMapping {
    /// The node.
    pub source: NodeId,
    /// Its output.
    pub output: DataId,
}

/// The descriptor of the dataflow: its nodes, and (by dereferencing) all of it as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// The nodes in the order of the file.
    pub nodes: Vec<Node>,
    json: Value,
}

/// A node of the descriptor. What is not here is in the JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// A name for people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Program or script.
    pub path: Option<String>,
    /// Arguments, as one line.
    pub args: Option<String>,
    /// Environment.
    pub env: Option<BTreeMap<String, Value>>,
    /// Inputs by name.
    pub inputs: BTreeMap<DataId, Input>,
    /// Types of inputs, where given.
    pub input_types: BTreeMap<DataId, String>,
    /// Names of the outputs.
    pub outputs: BTreeSet<DataId>,
    /// Types of outputs, where given.
    pub output_types: BTreeMap<DataId, String>,
}

impl NodeRunConfig {
    /// What the daemon says about this node. Names of the outputs that feed it come from the descriptor; without
    /// one they are empty.
    pub(crate) fn of(setup: &Setup, descriptor: Option<&Descriptor>) -> Self {
        let node = descriptor.and_then(|descriptor| descriptor.node(&setup.run.node_id));
        let input = |wiring: &InputWiring| {
            let written = node.and_then(|node| node.inputs.get(&wiring.id));
            let mapping = written.map_or_else(|| wired(wiring), |input| input.mapping.clone());
            let input = Input {
                mapping,
                queue_size: Some(wiring.queue_size as usize),
                input_timeout: wiring.input_timeout_ns.map(|ns| ns as f64 * 1e-9),
                queue_policy: Some(wiring.policy),
            };
            (wiring.id.clone(), input)
        };
        Self {
            inputs: setup.inputs.iter().map(input).collect(),
            outputs: setup.run.outputs.iter().cloned().collect(),
        }
    }
}

fn wired(wiring: &InputWiring) -> InputMapping {
    match &wiring.source {
        InputSource::Timer { period_ns } => {
            InputMapping::Timer { interval: Duration::from_nanos(*period_ns) }
        }
        InputSource::Edges { edges } => match edges.first().and_then(|edge| edge.sender.clone()) {
            Some(source) => InputMapping::User(UserInputMapping { source, output: "".into() }),
            None => InputMapping::Logs(LogSubscriptionFilter::default()),
        },
    }
}

impl Descriptor {
    /// `None` for null: there is no descriptor, as in a test.
    pub(crate) fn read(json: Value) -> Option<Self> {
        if json.is_null() {
            return None;
        }
        let nodes = json.get("nodes").and_then(Value::as_array).into_iter().flatten();
        Some(Self { nodes: nodes.filter_map(Node::read).collect(), json })
    }

    /// The node of that name.
    pub(crate) fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }
}

impl Deref for Descriptor {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.json
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl Node {
    fn read(json: &Value) -> Option<Self> {
        let id = json.get("id")?.as_str()?.parse().ok()?;
        let text = |key: &str| json.get(key).map(plain);
        let entries = |key: &str| json.get(key).and_then(Value::as_object).into_iter().flatten();
        let types = |key: &str| {
            let typed =
                entries(key).filter_map(|(name, urn)| Some((name.as_str().into(), urn.as_str()?.into())));
            typed.collect()
        };
        let inputs =
            entries("inputs").filter_map(|(name, input)| Some((name.as_str().into(), Input::read(input)?)));
        let outputs = json.get("outputs").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            id,
            name: text("name"),
            description: text("description"),
            path: text("path"),
            args: text("args"),
            env: json.get("env").and_then(Value::as_object).map(|env| env.clone().into_iter().collect()),
            inputs: inputs.collect(),
            input_types: types("input_types"),
            outputs: outputs.filter_map(|name| Some(name.as_str()?.into())).collect(),
            output_types: types("output_types"),
        })
    }
}

/// Text as it stands in the file, whatever YAML takes it for.
fn plain(json: &Value) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

impl Input {
    /// One input as a descriptor writes it.
    pub(crate) fn read(json: &Value) -> Option<Self> {
        let source = json.as_str().or_else(|| json.get("source")?.as_str())?;
        let policy = json.get("queue_policy").and_then(Value::as_str);
        Some(Self {
            mapping: InputMapping::read(source)?,
            queue_size: json.get("queue_size").and_then(Value::as_u64).and_then(|n| n.try_into().ok()),
            input_timeout: json.get("input_timeout").and_then(Value::as_f64),
            queue_policy: policy.and_then(|name| serde_json::from_value(name.into()).ok()),
        })
    }
}

impl InputMapping {
    fn read(source: &str) -> Option<Self> {
        let (node, output) = source.split_once('/')?;
        if node != "dora" {
            return Some(Self::User(UserInputMapping { source: node.parse().ok()?, output: output.into() }));
        }
        let mut parts = output.split('/');
        match parts.next()? {
            "timer" => Some(Self::Timer { interval: interval(parts.next()?, parts.next()?)? }),
            "logs" => Some(Self::Logs(LogSubscriptionFilter {
                min_level: parts
                    .next()
                    .and_then(|level| level.parse().ok())
                    .filter(|l| *l != LogLevel::Stdout),
                node_filter: parts.next().and_then(|node| node.parse().ok()),
            })),
            _ => None,
        }
    }
}

fn interval(unit: &str, number: &str) -> Option<Duration> {
    if unit == "hz" {
        let hertz = number.parse::<f64>().ok().filter(|hertz| *hertz > 0.0)?;
        return Duration::try_from_secs_f64(1.0 / hertz).ok();
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "nanos" => Duration::from_nanos(number),
        "micros" => Duration::from_micros(number),
        "millis" => Duration::from_millis(number),
        "secs" => Duration::from_secs(number),
        _ => return None,
    })
}

impl fmt::Display for InputMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(UserInputMapping { source, output }) => write!(f, "{source}/{output}"),
            Self::Timer { interval } => {
                let ns = interval.as_nanos();
                let units = [(1_000_000_000, "secs"), (1_000_000, "millis"), (1_000, "micros")];
                let fits = units.into_iter().find(|(scale, _)| ns >= *scale && ns.is_multiple_of(*scale));
                let (scale, unit) = fits.unwrap_or((1, "nanos"));
                write!(f, "dora/timer/{unit}/{}", ns / scale)
            }
            Self::Logs(LogSubscriptionFilter { min_level, node_filter }) => {
                f.write_str("dora/logs")?;
                let level = min_level.unwrap_or(LogLevel::Stdout);
                match node_filter {
                    Some(node) => write!(f, "/{level}/{node}"),
                    None if min_level.is_some() => write!(f, "/{level}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Serialize for InputMapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_descriptor_is_its_nodes_and_all_of_its_json() {
        let json = json!({"nodes": [
            {"id": "cam", "path": "cam.py", "outputs": ["image"], "output_types": {"image": "std/core/v1/UInt8"}},
            {"id": "a/b"},
            {"id": "view", "name": "Viewer", "args": 3, "env": {"A": 1}, "anything": [1],
             "inputs": {"tick": "dora/timer/hz/50",
                        "image": {"source": "cam/image", "queue_size": 2, "queue_policy": "backpressure"}}},
        ], "exit_when_nodes_finish": true});
        let descriptor = Descriptor::read(json.clone()).unwrap();
        assert_eq!((*descriptor).clone(), json);
        assert_eq!(serde_json::to_value(&descriptor).unwrap(), json);
        assert_eq!(descriptor.nodes.len(), 2, "a node without a valid id is skipped");
        let view = descriptor.node(&"view".parse().unwrap()).unwrap();
        assert_eq!((view.name.as_deref(), view.args.as_deref()), (Some("Viewer"), Some("3")));
        let image = &view.inputs["image"];
        assert_eq!((image.queue_size, image.queue_policy), (Some(2), Some(QueuePolicy::Backpressure)));
        let source = UserInputMapping { source: "cam".parse().unwrap(), output: "image".into() };
        assert_eq!(image.mapping, InputMapping::User(source));
        let tick = InputMapping::Timer { interval: Duration::from_millis(20) };
        assert_eq!(view.inputs["tick"].mapping, tick);
        assert_eq!(descriptor.nodes[0].output_types["image"], "std/core/v1/UInt8");
    }

    #[test]
    fn no_descriptor_and_an_odd_one_are_no_reason_to_fail() {
        assert_eq!(Descriptor::read(Value::Null), None);
        for odd in
            [json!(3), json!({"nodes": 3}), json!({"nodes": [3, {"id": 4}, {"id": "n", "inputs": [1]}]})]
        {
            assert!(Descriptor::read(odd).unwrap().nodes.iter().all(|node| node.inputs.is_empty()));
        }
    }

    #[test]
    fn sources_read_as_they_were_written() {
        for text in [
            "cam/image",
            "op/node/out",
            "dora/timer/millis/20",
            "dora/timer/secs/1",
            "dora/timer/micros/250",
            "dora/timer/nanos/1",
            "dora/logs",
            "dora/logs/warn",
            "dora/logs/info/cam",
        ] {
            let mapping = InputMapping::read(text).unwrap();
            assert_eq!(mapping.to_string(), text);
            assert_eq!(serde_json::to_value(&mapping).unwrap(), text);
        }
        for text in
            ["", "cam", "dora/timer", "dora/timer/hz/0", "dora/timer/hz/nan", "dora/timer/days/1", "dora/x"]
        {
            assert_eq!(InputMapping::read(text), None, "{text}");
        }
    }
}
