//! Names become indices: the last step from what was typed to a [`Dataflow`].
//!
//! Outputs are numbered first, over all nodes, then every input looks its source up. A node whose form is broken
//! or whose outputs stand in another file (module, hub) accepts any output name, so that one mistake is reported
//! once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use dora_protocol::{
    DataId, NodeId,
    dataflow::{Dataflow, GitRef, GitSource, Input, Node, NodeKind, NodeLog, Output, Restart, Source},
    policy::{QueuePolicy, RestartPolicy},
};

use crate::{
    chains,
    check::{Checked, Kind, not_yet, ports, rt},
    env::{self, Env},
    error::{About, At, Report},
    operators,
    raw::{self, RawDataflow, RawInput, RawNode, RawPorts},
    suggest::{did_you_mean, listed, shown},
    timer::{self, BuiltIn},
    values,
};

const DEFAULT_QUEUE: u32 = 10;
const DEFAULT_ROTATED: u64 = 5;

/// Where a dataflow comes from and what surrounds it.
pub(crate) struct Surroundings<'a> {
    pub(crate) name: &'a str,
    pub(crate) working_dir: &'a Path,
    pub(crate) overrides: &'a [(String, String)],
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// Binds every name. What cannot be bound is reported, and the result must not be used then.
pub(crate) fn resolve(
    raw: &RawDataflow<'_>,
    checked: &Checked,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Dataflow {
    let mut nodes = Vec::new();
    let mut shared = Env::new();
    env::merge(&mut shared, &raw.env, About::default(), report);
    shared.extend(env::overrides(around.overrides, report));
    if env::too_large(&shared, raw.nodes.len()) {
        let message = "the variables, copied to every node, are more than a machine can hold";
        report.error(raw.yaml.pos, About { node: None, field: Some("env") }, message, &[]);
        shared.clear();
    }
    for node in &raw.nodes {
        nodes.push(node_without_inputs(node, &shared, around, report));
    }
    let mut wiring = Wiring::new(raw, checked, &nodes);
    let inputs: Vec<Vec<Input>> = raw.nodes.iter().map(|node| wiring.inputs(node, report)).collect();
    for ((node, inputs), implied) in nodes.iter_mut().zip(inputs).zip(wiring.implied) {
        node.inputs = inputs;
        node.outputs.extend(implied);
    }
    let debug = ["debug", "_unstable_debug"].iter().filter_map(|key| raw.yaml.get(key));
    Dataflow {
        name: around.name.to_owned(),
        working_dir: around.working_dir.to_owned(),
        chains: chains::resolve(raw, &nodes, report),
        nodes,
        exit_when_nodes_finish: raw.exit_when_nodes_finish,
        debug_inspection: debug.into_iter().any(not_yet::inspection),
        // Once everything else has been looked at: with errors nobody gets to see it.
        descriptor: serde_json::Value::Null,
    }
}

/// A node id for a node whose own id was refused (and reported).
fn id_of(node: &RawNode<'_>) -> NodeId {
    node.name().parse().unwrap_or_else(|_| NodeId::from("invalid".to_owned()))
}

fn node_without_inputs(
    node: &RawNode<'_>,
    shared: &Env,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Node {
    let about = About { node: Some(node.name()), field: None };
    let mut env = shared.clone();
    env::merge(&mut env, &node.env, about, report);
    let time = |key: &str| raw::duration(node.yaml, key).map(|at| at.value);
    let mut build = raw::text(node.yaml, "build").map(|text| values::lines(&text.value)).unwrap_or_default();
    for operator in &node.operators {
        build.extend(raw::text(operator.yaml, "build").iter().flat_map(|text| values::lines(&text.value)));
    }
    let cores = node.yaml.get("cpu_affinity").map(crate::yaml::Yaml::list).unwrap_or_default();
    let core = |text: &str| values::integer(text, 0, u32::MAX.into()).ok().and_then(|n| n.try_into().ok());
    Node {
        id: id_of(node),
        at: report.location(node.pos),
        kind: operators::kind(node, about, report).unwrap_or_else(|| kind(node, around, about, report)),
        git: git(node),
        path_sha256: raw::text(node.yaml, "path_sha256").map(|digest| digest.value.to_ascii_lowercase()),
        working_dir: None,
        build,
        env,
        inputs: Vec::new(),
        outputs: outputs(node, report),
        rt: node.rt.as_ref().map(|at| rt::resolve(&at.value)),
        cpu_affinity: cores.iter().filter_map(|core_yaml| core_yaml.text().and_then(core)).collect(),
        restart: restart(node, time),
        health_check_timeout: time("health_check_timeout"),
        startup_timeout: time("startup_timeout"),
        finish_grace: time("finish_grace_secs"),
        log: log(node),
    }
}

fn kind(node: &RawNode<'_>, around: &Surroundings<'_>, about: About<'_>, report: &mut Report) -> NodeKind {
    let args = node.args.as_ref().map_or("", |args| args.value.as_str());
    match &node.path {
        Some(path) if path.value == "dynamic" => NodeKind::Dynamic,
        Some(path) if path.value == "shell" => NodeKind::Shell { command: args.to_owned() },
        path => NodeKind::Executable {
            // Empty for the kinds that come later; a fatal `NotYet` goes with each of them.
            path: path
                .as_ref()
                .map(|p| env::expand_path(p, around.lookup, about, report))
                .unwrap_or_default(),
            args: values::words(args).unwrap_or_default(),
        },
    }
}

/// Where the node comes from; that at most one of the three is written has been checked.
fn git(node: &RawNode<'_>) -> Option<GitSource> {
    let text = |key: &str| raw::text(node.yaml, key).map(|at| at.value);
    let branch = text("branch").map(GitRef::Branch);
    let want = branch.or_else(|| text("tag").map(GitRef::Tag)).or_else(|| text("rev").map(GitRef::Rev));
    Some(GitSource { url: text("git")?, want: want.unwrap_or(GitRef::Default) })
}

fn restart(node: &RawNode<'_>, time: impl Fn(&str) -> Option<Duration>) -> Restart {
    let policy = raw::text(node.yaml, "restart_policy");
    Restart {
        policy: match policy.as_ref().map(|policy| policy.value.as_str()) {
            Some("on-failure") => RestartPolicy::OnFailure,
            Some("always") => RestartPolicy::Always,
            _ => RestartPolicy::Never,
        },
        max_restarts: raw::int(node.yaml, "max_restarts").and_then(|n| n.value.try_into().ok()).unwrap_or(0),
        delay: time("restart_delay"),
        max_delay: time("max_restart_delay"),
        window: time("restart_window"),
    }
}

/// The log settings of a node; of an operator node those of the operator that has them.
fn log(node: &RawNode<'_>) -> NodeLog {
    let blocks: Vec<(&crate::yaml::Yaml, Option<&str>)> = std::iter::once((node.yaml, None))
        .chain(node.operators.iter().map(|op| (op.yaml, op.id.as_ref().map(|id| id.value.as_str()))))
        .collect();
    let several = node.has("operators");
    let text = |key: &str| blocks.iter().find_map(|(yaml, op)| Some((raw::text(yaml, key)?.value, *op)));
    let output = |key: &str| {
        let (name, operator) = text(key)?;
        let name = if several { prefixed(operator, &name) } else { name };
        name.parse::<DataId>().ok()
    };
    let rotated = blocks.iter().find_map(|(yaml, _)| raw::int(yaml, "max_rotated_files"));
    NodeLog {
        stdout_as: output("send_stdout_as"),
        logs_as: output("send_logs_as"),
        min_level: text("min_log_level").and_then(|(level, _)| level.parse().ok()),
        max_size: blocks.iter().find_map(|(yaml, _)| raw::size(yaml, "max_log_size")).map(|size| size.value),
        max_rotated: rotated.map_or(DEFAULT_ROTATED, |n| n.value).try_into().unwrap_or(u32::MAX),
    }
}

/// Ports of the node itself and of its operators, with the prefix that others address them by.
pub(crate) fn all_ports<'n, 'a>(
    node: &'n RawNode<'a>,
) -> impl Iterator<Item = (Option<&'n str>, &'n RawPorts<'a>)> {
    let several = node.has("operators");
    let operators = node.operators.iter().map(move |operator| {
        let id = operator.id.as_ref().map(|id| id.value.as_str()).filter(|_| several);
        (id, &operator.ports)
    });
    std::iter::once((None, &node.ports)).chain(operators)
}

pub(crate) fn prefixed(operator: Option<&str>, name: &str) -> String {
    operator.map_or_else(|| name.to_owned(), |operator| format!("{operator}/{name}"))
}

fn outputs(node: &RawNode<'_>, report: &Report) -> Vec<Output> {
    let mut all = Vec::new();
    for (operator, ports) in all_ports(node) {
        let layouts: BTreeMap<&str, _> = ports.layout.iter().map(|(k, v)| (k.value.as_str(), v)).collect();
        let framings: BTreeMap<&str, _> = ports.framing.iter().map(|(k, v)| (k.value.as_str(), v)).collect();
        for name in &ports.outputs {
            let layout = layouts.get(name.value.as_str());
            let framing = framings.get(name.value.as_str());
            all.push(Output {
                id: DataId::from(prefixed(operator, &name.value)),
                at: report.location(name.pos),
                max_message_bytes: layout.and_then(|layout| layout.max_message_bytes),
                depth: layout.and_then(|layout| layout.depth).and_then(|depth| depth.try_into().ok()),
                arrow_ipc: framing.is_some_and(|framing| framing.as_str() == "arrow-ipc"),
            });
        }
    }
    all
}

/// Who has which outputs.
struct Wiring<'r> {
    /// First node of that name.
    nodes: BTreeMap<&'r str, u32>,
    /// Per node: output name to index.
    outputs: Vec<BTreeMap<String, u32>>,
    /// Accepts any output name.
    open: &'r [bool],
    /// Ids of operators, for hints.
    operators: Vec<BTreeSet<&'r str>>,
    kinds: &'r [Option<Kind>],
    /// Outputs that others read from an open node, without a declaration here.
    implied: Vec<Vec<Output>>,
}

impl<'r> Wiring<'r> {
    fn new(raw: &'r RawDataflow<'_>, checked: &'r Checked, resolved: &[Node]) -> Self {
        let mut nodes = BTreeMap::new();
        for (index, node) in (0..).zip(&raw.nodes) {
            if let Some(id) = &node.id {
                nodes.entry(id.value.as_str()).or_insert(index);
            }
        }
        let named = |node: &Node| {
            (0..).zip(&node.outputs).map(|(index, output)| (output.id.to_string(), index)).collect()
        };
        let ids = |node: &'r RawNode<'_>| {
            node.operators.iter().filter_map(|op| op.id.as_ref()).map(|id| id.value.as_str()).collect()
        };
        Self {
            nodes,
            outputs: resolved.iter().map(named).collect(),
            open: &checked.open_outputs,
            operators: raw.nodes.iter().map(ids).collect(),
            kinds: &checked.kinds,
            implied: raw.nodes.iter().map(|_| Vec::new()).collect(),
        }
    }

    fn inputs(&mut self, node: &RawNode<'_>, report: &mut Report) -> Vec<Input> {
        let mut all = Vec::new();
        for (operator, ports) in all_ports(node) {
            for input in &ports.inputs {
                let about = About { node: Some(node.name()), field: Some(&input.name.value) };
                let mut bound = self.sources(input, node, about, report).into_iter();
                if let Some(first) = bound.next() {
                    timer_options(input, &first, about, report);
                    all.push(resolved_input(operator, input, (first, bound.collect()), report));
                }
            }
        }
        all
    }

    /// Everything that one input reads. Several must be outputs, each of them once.
    fn sources(
        &mut self,
        input: &RawInput,
        node: &RawNode<'_>,
        about: About<'_>,
        report: &mut Report,
    ) -> Vec<Source> {
        let (mut all, mut known) = (Vec::new(), BTreeSet::new());
        let several = input.sources.len() > 1;
        for source in &input.sources {
            let Some(bound) = self.source(source, node, about, report) else { continue };
            let (what, hint) = match &bound {
                Source::Output { node, output } if known.insert((*node, *output)) => {
                    all.push(bound);
                    continue;
                }
                Source::Output { .. } => ("is listed twice", ""),
                _ if several => (
                    "is no output of a node",
                    "only outputs can be listed together; give this an input of its own",
                ),
                _ => {
                    all.push(bound);
                    continue;
                }
            };
            let message = format!("`{}` {what}", shown(&source.value));
            report.error(source.pos, about, message, &[hint.to_owned()]);
        }
        all
    }

    /// Binds `<node>/<output>` or a built-in source; reports why not.
    fn source(
        &mut self,
        source: &At<String>,
        reader: &RawNode<'_>,
        about: About<'_>,
        report: &mut Report,
    ) -> Option<Source> {
        let text = source.value.as_str();
        let Some((from, output)) = text.split_once('/') else {
            let message = format!("`{}` is not a source; expected `<node>/<output>`", shown(text));
            let hint = self.hint_for_bare_name(text);
            report.error(source.pos, about, message, &[hint]);
            return None;
        };
        match from {
            "dora" => self.built_in(source, output, reader, about, report),
            "_mod" => {
                let message = format!("`{}` is a port of a module, and this file is not one", shown(text));
                report.error(source.pos, about, message, &[]);
                None
            }
            _ => self.output(source, from, output, about, report),
        }
    }

    fn hint_for_bare_name(&self, name: &str) -> String {
        let Some(&index) = self.nodes.get(name) else { return String::new() };
        match self.outputs[index as usize].keys().next() {
            Some(first) => format!("`{name}` is a node; one of its outputs is `{name}/{first}`"),
            None => format!("`{name}` is a node, but it declares no outputs"),
        }
    }

    fn built_in(
        &self,
        source: &At<String>,
        rest: &str,
        reader: &RawNode<'_>,
        about: About<'_>,
        report: &mut Report,
    ) -> Option<Source> {
        match timer::built_in(rest) {
            Ok(BuiltIn::Timer { period_ns }) => Some(Source::Timer { period_ns }),
            Ok(BuiltIn::Logs { level, node: None }) => Some(Source::Logs { level, node: None }),
            Ok(BuiltIn::Logs { level, node: Some(name) }) => {
                if !self.nodes.contains_key(name.as_str()) {
                    self.no_such_node(source, &name, about, report);
                    return None;
                }
                if name == reader.name() {
                    report.warn(source.pos, about, "a node never receives its own log lines", &[]);
                }
                Some(Source::Logs { level, node: Some(name.parse().ok()?) })
            }
            Err((message, hint)) => {
                report.error(source.pos, about, message, &[hint]);
                None
            }
        }
    }

    fn no_such_node(&self, source: &At<String>, name: &str, about: About<'_>, report: &mut Report) {
        let mut hints = Vec::new();
        if report.suggests() {
            let known = self.nodes.keys().copied();
            let nearest = did_you_mean(name, known.clone());
            let all = || format!("the nodes are {}", listed(known.take(20)));
            hints.push(if nearest.is_empty() { all() } else { nearest });
        }
        report.error(source.pos, about, format!("source node `{}` does not exist", shown(name)), &hints);
    }

    fn output(
        &mut self,
        source: &At<String>,
        from: &str,
        output: &str,
        about: About<'_>,
        report: &mut Report,
    ) -> Option<Source> {
        let Some(&node) = self.nodes.get(from) else {
            self.no_such_node(source, from, about, report);
            return None;
        };
        let at = node as usize;
        if let Some(&index) = self.outputs[at].get(output) {
            return Some(Source::Output { node, output: index });
        }
        if self.open[at] && output.parse::<DataId>().is_ok() {
            return Some(self.imply(node, output, report));
        }
        let hints = if report.suggests() { self.hints_for_output(at, from, output) } else { Vec::new() };
        let message = format!("output `{}` does not exist on node `{from}`", shown(output));
        report.error(source.pos, about, message, &hints);
        None
    }

    fn hints_for_output(&self, node: usize, from: &str, output: &str) -> Vec<String> {
        let known: BTreeSet<&str> = self.outputs[node].keys().map(String::as_str).collect();
        let [nearest, all] = ports::hints(output, &known, "outputs");
        let behind = |name: &&str| name.split_once('/').is_some_and(|(_, name)| name == output);
        let operators = &self.operators[node];
        let several = self.kinds[node] == Some(Kind::Operators) && known.iter().any(behind);
        if several || operators.contains(output) {
            vec![format!("`{from}` has several operators: write `{from}/<operator>/<output>`"), all]
        } else {
            vec![nearest, all]
        }
    }

    fn imply(&mut self, node: u32, output: &str, report: &Report) -> Source {
        let at = node as usize;
        let index = u32::try_from(self.outputs[at].len()).unwrap_or(u32::MAX);
        self.outputs[at].insert(output.to_owned(), index);
        self.implied[at].push(Output {
            id: DataId::from(output),
            at: report.location(crate::error::Pos::default()),
            max_message_bytes: None,
            depth: None,
            arrow_ipc: false,
        });
        Source::Output { node, output: index }
    }
}

/// Options that a timer has no use for.
fn timer_options(input: &RawInput, source: &Source, about: About<'_>, report: &mut Report) {
    if !matches!(source, Source::Timer { .. }) {
        return;
    }
    if let Some(timeout) = &input.input_timeout {
        report.warn(timeout.pos, about, "`input_timeout` has no effect: a timer never falls silent", &[]);
    }
    if let Some(policy) = input.queue_policy.as_ref().filter(|policy| policy.value == "backpressure") {
        report.warn(policy.pos, about, "`backpressure` has no effect: nothing slows a timer down", &[]);
    }
}

fn resolved_input(
    operator: Option<&str>,
    input: &RawInput,
    (source, more_sources): (Source, Vec<Source>),
    report: &Report,
) -> Input {
    let size = input.queue_size.as_ref().map_or(DEFAULT_QUEUE, |n| n.value.try_into().unwrap_or(u32::MAX));
    let backpressure = input.queue_policy.as_ref().is_some_and(|policy| policy.value == "backpressure");
    Input {
        id: DataId::from(prefixed(operator, &input.name.value)),
        at: report.location(input.name.pos),
        source,
        more_sources,
        queue_size: size.max(1),
        policy: if backpressure { QueuePolicy::Backpressure } else { QueuePolicy::DropOldest },
        input_timeout: input.input_timeout.as_ref().map(|at| at.value),
        deadline: input.deadline.as_ref().map(|at| at.value),
        on_miss: chains::on_miss(input.on_miss.as_ref()),
    }
}
