//! The rules about types, edge by edge, on a dataflow whose names are bound.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use dora_protocol::dataflow::{Dataflow, Input, Source};
use serde_json::Value as Json;

use super::{
    flow::{self, Rule},
    library::Library,
    metadata,
    urn::Urn,
};
use crate::{
    error::{About, At, Pos, Report},
    limits,
    modules::{PortType, TypeOf},
    raw::{self, RawDataflow, RawNode, RawPorts},
    resolve::{all_ports, prefixed},
    suggest::{listed, shown},
    yaml::Yaml,
};

/// What a timer sends: the number of the tick.
const TIMER: &str = "std/core/v1/UInt64";
/// What log lines are.
const TEXT: &str = "std/core/v1/String";

/// What the rules found out besides problems.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// A sentence per input whose type is known from its source only.
    pub(crate) inferred: Vec<String>,
    /// Definitions of the user's types in use, for nodes.
    pub(crate) own_types: serde_json::Map<String, Json>,
}

/// An annotation.
#[derive(Clone)]
struct Typed {
    /// As written.
    text: String,
    /// `None`: it is no type, which was reported.
    urn: Option<Urn>,
}

/// An output as others see it.
struct Out {
    typed: Option<Typed>,
    metadata: Option<BTreeSet<String>>,
}

struct Check<'r> {
    library: Library,
    rules: Vec<Rule>,
    strict: bool,
    /// Looks at rules that are left; 0: said that there are too many.
    budget: usize,
    /// Where the rules stand.
    rules_at: Pos,
    report: &'r mut Report,
    found: Found,
}

/// Applies the rules. `folders` have the user's types, with their names for messages.
pub(crate) fn check(
    raw: &RawDataflow<'_>,
    dataflow: &Dataflow,
    ports: &[PortType],
    folders: &[(PathBuf, String)],
    report: &mut Report,
) -> Found {
    let annotated = |ports: &RawPorts<'_>| !(ports.output_types.is_empty() && ports.input_types.is_empty());
    let rules = raw.yaml.get("type_rules").map(Yaml::list).unwrap_or_default();
    let used = raw.nodes.iter().any(|node| all_ports(node).any(|(_, ports)| annotated(ports)));
    let present = folders.iter().any(|(folder, _)| folder.is_dir());
    if !used && rules.is_empty() && !present && ports.is_empty() {
        return Found::default();
    }
    let library = Library::read(folders, report);
    let mut check = Check {
        library,
        rules: Vec::new(),
        strict: raw.strict_types,
        budget: limits::TYPE_STEPS,
        rules_at: raw.yaml.entry("type_rules").map_or(raw.yaml.pos, |(key, _)| key.pos),
        report,
        found: Found::default(),
    };
    check.rules(rules);
    let outputs: Vec<BTreeMap<String, Out>> = raw.nodes.iter().map(|node| check.outputs(node)).collect();
    for (at, node) in raw.nodes.iter().enumerate() {
        if let Some(resolved) = dataflow.nodes.get(at) {
            let bound = resolved.inputs.iter().map(|input| (input.id.as_str(), input)).collect();
            check.inputs(node, &bound, dataflow, &outputs);
        }
    }
    check.modules(ports, raw, &outputs);
    check.found
}

impl Check<'_> {
    fn problem(&mut self, pos: Pos, about: About<'_>, message: String, hints: &[String]) {
        self.report.type_problem(self.strict, pos, about, message, hints);
    }

    /// As [`flow::refused`], as long as that does not take too long.
    fn refused(&mut self, from: &Urn, to: &Urn) -> Option<Vec<String>> {
        if self.budget == 0 {
            return None;
        }
        let refused = flow::refused(from, to, &self.rules, &self.library, &mut self.budget);
        if self.budget > 0 {
            return refused;
        }
        let about = About { node: None, field: Some("type_rules") };
        let message = "with so many rules the types of this dataflow cannot be compared in reasonable time";
        self.report.error(
            self.rules_at,
            about,
            message,
            &["use fewer rules, or fewer different types".to_owned()],
        );
        None
    }

    fn rules(&mut self, rules: &[Yaml]) {
        let about = About { node: None, field: Some("type_rules") };
        if let Some(rule) = rules.get(limits::TYPE_RULES) {
            let message = format!("{} rules; there may be at most {}", rules.len(), limits::TYPE_RULES);
            self.report.error(rule.pos, about, message, &[]);
            return;
        }
        for rule in rules {
            let (Some(from), Some(to)) = (raw::text(rule, "from"), raw::text(rule, "to")) else { continue };
            let from_urn = self.typed(&from, about, "in `from`").urn;
            let to_urn = self.typed(&to, about, "in `to`").urn;
            let (Some(from_urn), Some(to_urn)) = (from_urn, to_urn) else { continue };
            let shapes = self.library.get(&from_urn.base).zip(self.library.get(&to_urn.base));
            let structs =
                shapes.filter(|(given, wanted)| given.shape.fields() > 0 && wanted.shape.fields() > 0);
            let lacks = structs.map(|(given, wanted)| given.shape.lacks(&wanted.shape));
            if let Some(lacks) = lacks.filter(|lacks| !lacks.is_empty()) {
                let message = format!("a \"{from_urn}\" cannot stand for a \"{to_urn}\"");
                self.problem(from.pos, about, message, &flow::some(lacks));
            }
            self.keep_own(&from_urn);
            self.rules.push(Rule { from: from_urn, to: to_urn });
        }
    }

    /// Takes an annotation apart and looks it up; `place` ends the sentence.
    fn typed(&mut self, at: &At<String>, about: About<'_>, place: &str) -> Typed {
        let text = shown(&at.value);
        let urn = match Urn::parse(&at.value) {
            Ok(urn) => urn,
            Err(why) => {
                let hint =
                    if self.report.suggests() { self.library.suggestion(&at.value) } else { String::new() };
                self.problem(at.pos, about, format!("`{text}` {place}: {why}"), &[hint]);
                return Typed { text, urn: None };
            }
        };
        let Some(known) = self.library.get(&urn.base) else {
            let hint =
                if self.report.suggests() { self.library.suggestion(&at.value) } else { String::new() };
            self.problem(at.pos, about, format!("unknown type \"{text}\" {place}"), &[hint]);
            return Typed { text, urn: None };
        };
        let strange = urn.params.keys().find(|key| !known.params.contains(key));
        if let Some(key) = strange.cloned() {
            let known = known.params.clone();
            let all = listed(known.iter().map(String::as_str));
            let hint =
                if known.is_empty() { "it has no parameters".to_owned() } else { format!("it has {all}") };
            let message = format!("\"{}\" {place} has no parameter `{}`", shown(&urn.base), shown(&key));
            self.problem(at.pos, about, message, &[hint]);
        }
        self.keep_own(&urn);
        Typed { text, urn: Some(urn) }
    }

    /// A type of the user's own goes to the nodes with its definition.
    fn keep_own(&mut self, urn: &Urn) {
        if let Some(shape) = self.library.own_shape(&urn.base) {
            self.found.own_types.insert(urn.base.clone(), shape);
        }
    }

    /// The outputs of a node with their types, checked one by one.
    fn outputs(&mut self, node: &RawNode<'_>) -> BTreeMap<String, Out> {
        let about = About { node: Some(node.name()), field: None };
        let mut all = BTreeMap::new();
        let parts: Vec<_> = all_ports(node).collect();
        let yamls = std::iter::once(node.yaml).chain(node.operators.iter().map(|operator| operator.yaml));
        for ((operator, ports), yaml) in parts.into_iter().zip(yamls) {
            let pattern = raw::text(yaml, "pattern").map(|at| at.value);
            let types: BTreeMap<&str, &Yaml> =
                ports.output_types.iter().map(|(name, urn)| (name.value.as_str(), urn)).collect();
            let lines: BTreeSet<&str> = [&ports.stdout_as, &ports.logs_as]
                .into_iter()
                .flatten()
                .map(|at| at.value.as_str())
                .collect();
            let declared: BTreeSet<&str> = ports.outputs.iter().map(|output| output.value.as_str()).collect();
            // A name that is no output was reported; its type is looked at all the same.
            for (name, urn) in
                ports.output_types.iter().filter(|(name, _)| !declared.contains(name.value.as_str()))
            {
                let place = format!("on output \"{}\"", shown(&name.value));
                text_of(urn).iter().for_each(|at| drop(self.typed(at, about.field("output_types"), &place)));
            }
            for output in &declared {
                let written = types.get(output).and_then(|urn| text_of(urn));
                let mut typed = written.as_ref().map(|at| {
                    self.typed(at, about.field("output_types"), &format!("on output \"{output}\""))
                });
                if typed.is_none() && lines.contains(output) {
                    typed = Some(built_in(TEXT));
                }
                let metadata = metadata::of_output(ports, output, pattern.as_deref());
                if let (Some(Typed { urn: Some(urn), .. }), Some(given)) = (&typed, &metadata) {
                    let urn = urn.clone();
                    let at = written.as_ref().map_or(node.pos, |at| at.pos);
                    self.metadata(&urn, given, at, about, &format!("output \"{output}\""));
                }
                all.insert(prefixed(operator, output), Out { typed, metadata });
            }
        }
        all
    }

    fn metadata(&mut self, urn: &Urn, given: &BTreeSet<String>, pos: Pos, about: About<'_>, place: &str) {
        let Some(known) = self.library.get(&urn.base) else { return };
        if let Some(key) = metadata::missing(&known.metadata, given).map(str::to_owned) {
            let message =
                format!("messages of type \"{}\" carry the metadata key `{}`", urn.base, shown(&key));
            let hint = format!("add it to `output_metadata` of {place}");
            self.problem(pos, about.field("output_metadata"), message, &[hint]);
        }
    }

    /// Compares what every input of a node expects with what comes.
    fn inputs(
        &mut self,
        node: &RawNode<'_>,
        bound: &BTreeMap<&str, &Input>,
        dataflow: &Dataflow,
        outputs: &[BTreeMap<String, Out>],
    ) {
        let about = About { node: Some(node.name()), field: None };
        for (operator, ports) in all_ports(node) {
            let types: BTreeMap<&str, &Yaml> =
                ports.input_types.iter().map(|(name, urn)| (name.value.as_str(), urn)).collect();
            let declared: BTreeSet<&str> =
                ports.inputs.iter().map(|input| input.name.value.as_str()).collect();
            for (name, urn) in
                ports.input_types.iter().filter(|(name, _)| !declared.contains(name.value.as_str()))
            {
                let place = format!("on input \"{}\"", shown(&name.value));
                text_of(urn).iter().for_each(|at| drop(self.typed(at, about.field("input_types"), &place)));
            }
            for input in &ports.inputs {
                let name = input.name.value.as_str();
                let written = types.get(name).and_then(|urn| text_of(urn));
                let wanted = written.as_ref().map(|at| {
                    self.typed(at, about.field("input_types"), &format!("on input \"{}\"", shown(name)))
                });
                let flat = prefixed(operator, name);
                let Some(bound) = bound.get(flat.as_str()) else { continue };
                let pos = written.as_ref().map_or(input.name.pos, |at| at.pos);
                for source in bound.sources() {
                    let (label, out) = upstream(source, dataflow, outputs);
                    let given = match (source, out) {
                        (Source::Timer { .. }, _) => Some(built_in(TIMER)),
                        (Source::Logs { .. }, _) => Some(built_in(TEXT)),
                        (Source::Output { .. }, out) => out.and_then(|out| out.typed.clone()),
                    };
                    self.edge(&flat, wanted.clone(), given, source, &label, pos, about, out);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "both ends of an edge, and where it stands")]
    fn edge(
        &mut self,
        input: &str,
        wanted: Option<Typed>,
        given: Option<Typed>,
        source: &Source,
        label: &str,
        pos: Pos,
        about: About<'_>,
        out: Option<&Out>,
    ) {
        let expected = match (wanted, given) {
            (None, Some(Typed { urn: Some(urn), .. })) => {
                if matches!(source, Source::Output { .. }) {
                    let node = about.node.unwrap_or("?");
                    self.found.inferred.push(format!("inferred {urn} on {node}/{input} (from {label})"));
                }
                Some(urn)
            }
            (Some(wanted), None) if self.strict => {
                let message = format!(
                    "input \"{input}\" expects type \"{}\" but upstream {label} has no type annotation",
                    wanted.text
                );
                self.problem(pos, about, message, &[]);
                wanted.urn
            }
            (Some(Typed { urn: Some(wanted), text }), Some(Typed { urn: Some(given), text: declared })) => {
                if let Some(hints) = self.refused(&given, &wanted) {
                    let provides = match source {
                        Source::Timer { .. } => "a timer provides".to_owned(),
                        Source::Logs { .. } => "log lines are".to_owned(),
                        Source::Output { .. } => format!("upstream {label} declares"),
                    };
                    let message = format!(
                        "type mismatch on input \"{input}\": {provides} \"{declared}\", but expected \"{text}\""
                    );
                    self.problem(pos, about, message, &hints);
                }
                Some(wanted)
            }
            (wanted, _) => wanted.and_then(|wanted| wanted.urn),
        };
        if let (Some(urn), Some(given)) = (expected, out.and_then(|out| out.metadata.as_ref())) {
            // Of its own type the sender was told already.
            let own =
                out.and_then(|out| out.typed.as_ref()?.urn.as_ref()).is_some_and(|own| own.base == urn.base);
            if !own {
                self.metadata(&urn, given, pos, about, label);
            }
        }
    }

    /// What headers of modules declare, against what is outside and inside.
    fn modules(&mut self, ports: &[PortType], raw: &RawDataflow<'_>, outputs: &[BTreeMap<String, Out>]) {
        let index: BTreeMap<&str, usize> =
            raw.nodes.iter().enumerate().map(|(at, node)| (node.name(), at)).collect();
        for port in ports {
            let about = About { node: Some(&port.module), field: None };
            let noun = if port.input { "input" } else { "output" };
            let place = format!("on {noun} \"{}\"", shown(&port.port));
            let (given, label) = match &port.from {
                TypeOf::Urn(at) => (Some(self.typed(at, about, &place)), "it"),
                TypeOf::Output(source) => {
                    let out = source.split_once('/').and_then(|(node, output)| {
                        outputs.get(*index.get(node)?)?.get(output)?.typed.clone()
                    });
                    let given = if source.starts_with("dora/timer/") { Some(built_in(TIMER)) } else { out };
                    (given, source.as_str())
                }
            };
            let wanted = self.typed(&port.to, about, &place);
            let (Some(Typed { urn: Some(given), text }), Some(urn)) = (given, wanted.urn) else { continue };
            if let Some(hints) = self.refused(&given, &urn) {
                let message = format!(
                    "type mismatch {place}: {label} declares \"{text}\", but expected \"{}\"",
                    wanted.text
                );
                let pos = match &port.from {
                    TypeOf::Urn(at) => at.pos,
                    TypeOf::Output(_) => port.to.pos,
                };
                self.problem(pos, about, message, &hints);
            }
        }
    }
}

fn text_of(yaml: &Yaml) -> Option<At<String>> {
    yaml.text().map(|text| At { pos: yaml.pos, value: text.to_owned() })
}

fn built_in(base: &str) -> Typed {
    Typed { text: base.to_owned(), urn: Some(Urn::of(base)) }
}

/// Name of a source, and the output behind it.
fn upstream<'o>(
    source: &Source,
    dataflow: &Dataflow,
    outputs: &'o [BTreeMap<String, Out>],
) -> (String, Option<&'o Out>) {
    let Source::Output { node, output } = source else { return ("dora".to_owned(), None) };
    let Some(sender) = dataflow.nodes.get(*node as usize) else { return (String::new(), None) };
    let Some(output) = sender.outputs.get(*output as usize) else { return (sender.id.to_string(), None) };
    let out = outputs.get(*node as usize).and_then(|all| all.get(output.id.as_str()));
    (format!("{}/{}", sender.id, output.id), out)
}
