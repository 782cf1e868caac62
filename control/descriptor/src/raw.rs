//! The descriptor as typed: nothing bound, nothing defaulted, every value with its place.
//!
//! Reads a tree that `form` has looked at. What is malformed there was reported there, and is absent here.

use std::time::Duration;

use dora_protocol::dataflow::EnvValue;

use crate::{
    error::{At, Pos},
    values,
    yaml::{Value, Yaml},
};

/// Top level.
#[derive(Debug)]
pub(crate) struct RawDataflow<'a> {
    pub(crate) yaml: &'a Yaml,
    pub(crate) nodes: Vec<RawNode<'a>>,
    pub(crate) env: Vec<(At<String>, EnvValue)>,
    pub(crate) chains: Vec<RawChain>,
    pub(crate) strict_types: bool,
    pub(crate) exit_when_nodes_finish: bool,
    pub(crate) health_check_interval: Option<Duration>,
}

/// One entry of `nodes`.
#[derive(Debug)]
pub(crate) struct RawNode<'a> {
    pub(crate) yaml: &'a Yaml,
    pub(crate) pos: Pos,
    /// As written; `None` when it is missing or not a text.
    pub(crate) id: Option<At<String>>,
    /// `path` and `args`, from the node or from its `custom` block.
    pub(crate) path: Option<At<String>>,
    pub(crate) args: Option<At<String>>,
    pub(crate) env: Vec<(At<String>, EnvValue)>,
    /// Inputs, outputs and what refers to them; empty for operator nodes.
    pub(crate) ports: RawPorts<'a>,
    pub(crate) operators: Vec<RawOperator<'a>>,
    pub(crate) rt: Option<At<RawRt>>,
}

/// One operator.
#[derive(Debug)]
pub(crate) struct RawOperator<'a> {
    pub(crate) yaml: &'a Yaml,
    pub(crate) id: Option<At<String>>,
    pub(crate) ports: RawPorts<'a>,
}

/// What a node or an operator receives and sends.
#[derive(Debug, Default)]
pub(crate) struct RawPorts<'a> {
    pub(crate) inputs: Vec<RawInput>,
    pub(crate) outputs: Vec<At<String>>,
    pub(crate) layout: Vec<(At<String>, RawLayout)>,
    pub(crate) framing: Vec<(At<String>, String)>,
    pub(crate) output_types: &'a [(At<String>, Yaml)],
    pub(crate) input_types: &'a [(At<String>, Yaml)],
    pub(crate) output_metadata: &'a [(At<String>, Yaml)],
    pub(crate) stdout_as: Option<At<String>>,
    pub(crate) logs_as: Option<At<String>>,
}

/// One input, short or long form.
#[derive(Debug)]
pub(crate) struct RawInput {
    pub(crate) name: At<String>,
    /// More than one is a fan-in; none was reported.
    pub(crate) sources: Vec<At<String>>,
    pub(crate) queue_size: Option<At<u64>>,
    pub(crate) queue_policy: Option<At<String>>,
    pub(crate) input_timeout: Option<At<Duration>>,
    pub(crate) deadline: Option<At<Duration>>,
    pub(crate) on_miss: Option<At<String>>,
    pub(crate) triggers: Option<bool>,
}

/// One entry of `chains`.
#[derive(Debug)]
pub(crate) struct RawChain {
    pub(crate) pos: Pos,
    pub(crate) name: Option<At<String>>,
    pub(crate) from: Option<At<String>>,
    pub(crate) to: Option<At<String>>,
    pub(crate) within: Option<At<Duration>>,
    pub(crate) on_miss: Option<At<String>>,
}

/// One entry of `output_layout`.
#[derive(Debug)]
pub(crate) struct RawLayout {
    pub(crate) max_message_bytes: Option<u64>,
    pub(crate) depth: Option<u64>,
}

/// An `rt` block.
#[derive(Debug, Default)]
pub(crate) struct RawRt {
    pub(crate) policy: Option<String>,
    pub(crate) priority: Option<At<u64>>,
    pub(crate) wait: Option<At<String>>,
    pub(crate) runtime: Option<At<Duration>>,
    pub(crate) deadline: Option<At<Duration>>,
    pub(crate) period: Option<At<Duration>>,
    pub(crate) lock_memory: Option<bool>,
}

impl RawNode<'_> {
    /// Position of a key of this node, or of the node.
    pub(crate) fn pos_of(&self, key: &str) -> Pos {
        self.yaml.entry(key).map_or(self.pos, |(name, _)| name.pos)
    }

    /// Is the key written?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.yaml.get(key).is_some()
    }

    /// The name, for messages.
    pub(crate) fn name(&self) -> &str {
        self.id.as_ref().map_or("?", |id| &id.value)
    }
}

/// The whole file.
pub(crate) fn read(tree: &Yaml) -> RawDataflow<'_> {
    let nodes = tree.get("nodes").map(Yaml::list).unwrap_or_default();
    RawDataflow {
        yaml: tree,
        nodes: nodes.iter().filter(|node| matches!(node.value, Value::Map(_))).map(node).collect(),
        env: env(tree, "env"),
        chains: tree.get("chains").map(Yaml::list).unwrap_or_default().iter().map(chain).collect(),
        strict_types: flag(tree, "strict_types").unwrap_or(false),
        exit_when_nodes_finish: flag(tree, "exit_when_nodes_finish").unwrap_or(false),
        health_check_interval: duration(tree, "health_check_interval").map(|at| at.value),
    }
}

/// One entry of `nodes`.
pub(crate) fn node(yaml: &Yaml) -> RawNode<'_> {
    let custom = yaml.get("custom");
    let mut ports = ports(yaml);
    let mut variables = env(yaml, "env");
    if let Some(custom) = custom {
        ports.inputs.extend(inputs(custom));
        ports.outputs.extend(texts(custom, "outputs"));
        variables.extend(env(custom, "envs"));
    }
    let in_custom = |key| custom.and_then(|custom| text(custom, key));
    let single = yaml.get("operator").into_iter().filter(|op| matches!(op.value, Value::Map(_)));
    let several = yaml.get("operators").map(Yaml::list).unwrap_or_default();
    RawNode {
        yaml,
        pos: yaml.pos,
        id: text(yaml, "id"),
        path: text(yaml, "path").or_else(|| in_custom("path")).or_else(|| in_custom("source")),
        args: text(yaml, "args").or_else(|| in_custom("args")),
        env: variables,
        ports,
        operators: single.chain(several).map(operator).collect(),
        rt: yaml.get("rt").map(|block| At { pos: block.pos, value: rt(block) }),
    }
}

fn operator(yaml: &Yaml) -> RawOperator<'_> {
    RawOperator { yaml, id: text(yaml, "id"), ports: ports(yaml) }
}

fn ports(yaml: &Yaml) -> RawPorts<'_> {
    let entries = |key| yaml.get(key).map(Yaml::map).unwrap_or_default();
    RawPorts {
        inputs: inputs(yaml),
        outputs: texts(yaml, "outputs"),
        layout: entries("output_layout").iter().map(|(name, value)| (name.clone(), layout(value))).collect(),
        framing: entries("output_framing")
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned())))
            .collect(),
        output_types: entries("output_types"),
        input_types: entries("input_types"),
        output_metadata: entries("output_metadata"),
        stdout_as: text(yaml, "send_stdout_as"),
        logs_as: text(yaml, "send_logs_as"),
    }
}

fn inputs(yaml: &Yaml) -> Vec<RawInput> {
    let entries = yaml.get("inputs").map(Yaml::map).unwrap_or_default();
    entries
        .iter()
        .map(|(name, value)| RawInput {
            name: name.clone(),
            sources: sources(value),
            queue_size: int(value, "queue_size"),
            queue_policy: text(value, "queue_policy"),
            input_timeout: duration(value, "input_timeout"),
            deadline: duration(value, "deadline"),
            on_miss: text(value, "on_miss"),
            triggers: flag(value, "triggers"),
        })
        .collect()
}

/// Where an input comes from: short form, long form, or a list in the long form.
pub(crate) fn sources(input: &Yaml) -> Vec<At<String>> {
    match text_of(input).or_else(|| text(input, "source")) {
        Some(one) => vec![one],
        None => texts(input, "source"),
    }
}

fn chain(yaml: &Yaml) -> RawChain {
    RawChain {
        pos: yaml.pos,
        name: text(yaml, "name"),
        from: text(yaml, "from"),
        to: text(yaml, "to"),
        within: duration(yaml, "within"),
        on_miss: text(yaml, "on_miss"),
    }
}

fn layout(yaml: &Yaml) -> RawLayout {
    RawLayout {
        max_message_bytes: size(yaml, "max_message_bytes").map(|at| at.value),
        depth: int(yaml, "depth").map(|at| at.value),
    }
}

fn rt(yaml: &Yaml) -> RawRt {
    RawRt {
        policy: text(yaml, "policy").map(|at| at.value),
        priority: int(yaml, "priority"),
        wait: text(yaml, "wait"),
        runtime: duration(yaml, "runtime"),
        deadline: duration(yaml, "deadline"),
        period: duration(yaml, "period"),
        lock_memory: flag(yaml, "lock_memory"),
    }
}

fn env(yaml: &Yaml, key: &str) -> Vec<(At<String>, EnvValue)> {
    let entries = yaml.get(key).map(Yaml::map).unwrap_or_default();
    let value = |yaml: &Yaml| match yaml.text() {
        Some(text) => Some(EnvValue::Text(text.to_owned())),
        None => text(yaml, "__dora_env").map(|at| EnvValue::FromHost(at.value)),
    };
    entries.iter().filter_map(|(name, yaml)| Some((name.clone(), value(yaml)?))).collect()
}

fn text_of(yaml: &Yaml) -> Option<At<String>> {
    yaml.text().map(|text| At { pos: yaml.pos, value: text.to_owned() })
}

/// The text behind a key.
pub(crate) fn text(yaml: &Yaml, key: &str) -> Option<At<String>> {
    yaml.get(key).and_then(text_of)
}

/// The texts of the list behind a key.
pub(crate) fn texts(yaml: &Yaml, key: &str) -> Vec<At<String>> {
    yaml.get(key).map(Yaml::list).unwrap_or_default().iter().filter_map(text_of).collect()
}

fn parsed<T>(yaml: &Yaml, key: &str, parse: impl Fn(&str) -> Option<T>) -> Option<At<T>> {
    let At { pos, value } = text(yaml, key)?;
    parse(&value).map(|value| At { pos, value })
}

/// The bool behind a key.
pub(crate) fn flag(yaml: &Yaml, key: &str) -> Option<bool> {
    parsed(yaml, key, |text| values::boolean(text).ok()).map(|at| at.value)
}

/// The integer behind a key.
pub(crate) fn int(yaml: &Yaml, key: &str) -> Option<At<u64>> {
    parsed(yaml, key, |text| values::integer(text, 0, u64::MAX).ok())
}

/// The duration behind a key.
pub(crate) fn duration(yaml: &Yaml, key: &str) -> Option<At<Duration>> {
    parsed(yaml, key, |text| values::duration(text).ok())
}

/// The number of bytes behind a key.
pub(crate) fn size(yaml: &Yaml, key: &str) -> Option<At<u64>> {
    parsed(yaml, key, |text| values::size(text).ok())
}
