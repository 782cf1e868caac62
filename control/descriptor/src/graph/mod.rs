//! The picture of a dataflow: who sends what to whom, how often, by when, and where it runs.
//!
//! ```text
//!   Loaded ─► Graph ─ mermaid ─► text for documents
//!                   └ layout ─ svg ─ html ─► one page that needs nothing from anywhere
//! ```
//!
//! [`Graph`] has everything that is drawn, as text; the drawings only arrange it. All of it comes from a file that somebody
//! wrote, so each drawing escapes what it prints.

mod edges;
mod html;
mod layout;
mod mermaid;
mod svg;

use std::collections::BTreeMap;

use dora_protocol::{
    dataflow::{Dataflow, Node, NodeKind, Source},
    rt::{RtSettings, SchedPolicy, WaitPolicy},
};

use crate::{
    annotations::NodeNotes,
    load::Loaded,
    timing::{Every, input_periods, nanos, time},
};
use edges::{arrows, edge, path};

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name of the dataflow.
    pub name: String,
    /// Timers by period, log sources, then nodes in the order of the file.
    pub vertices: Vec<Vertex>,
    /// In the order of the readers and their inputs.
    pub edges: Vec<Edge>,
    /// In the order of the file.
    pub chains: Vec<ChainPath>,
}

/// What a vertex stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node.
    Node,
    /// All readers of one period.
    Timer,
    /// `dora/logs…`
    Logs,
}

/// A box.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// Node id; `1 ms` for a timer.
    pub title: String,
    /// What it is.
    pub kind: Kind,
    /// What is started, cut short.
    pub subtitle: Option<String>,
    /// Short remarks: `fifo 80`, `core 1`, `machine arm`.
    pub chips: Vec<String>,
    /// Machine and core of a node that is bound to one core.
    pub place: Option<String>,
    /// Operators of a runtime node.
    pub operators: Vec<String>,
    /// Module that the node came from: what is before the last `.` of its id.
    pub group: Option<String>,
    /// For who looks closer.
    pub details: Vec<(String, String)>,
}

/// An arrow.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Index of the vertex.
    pub from: usize,
    /// Index of the vertex.
    pub to: usize,
    /// Output, without the operator; empty for a timer.
    pub output: String,
    /// Operator that sends, of a node with several.
    pub from_operator: Option<String>,
    /// Input, without the operator.
    pub input: String,
    /// Operator that reads.
    pub to_operator: Option<String>,
    /// Type of the output, or of the input where the output has none.
    pub type_name: Option<String>,
    /// `1 ms` or `1 ms or less often`, where it follows from timers.
    pub every: Option<String>,
    /// `500 us`
    pub deadline: Option<String>,
    /// For who looks closer.
    pub details: Vec<(String, String)>,
}

/// A chain and the arrows that it may take.
#[derive(Clone, Debug)]
pub struct ChainPath {
    /// Its name.
    pub name: String,
    /// `2 ms`
    pub within: String,
    /// Indices of edges.
    pub edges: Vec<usize>,
}

impl Graph {
    /// Everything that the descriptor says.
    pub fn new(loaded: &Loaded) -> Self {
        let dataflow = &loaded.dataflow;
        let mut graph = Self { name: dataflow.name.clone(), ..Self::default() };
        let sources = sources(dataflow, &mut graph.vertices);
        let first = graph.vertices.len();
        for node in &dataflow.nodes {
            graph.vertices.push(vertex(node, &loaded.annotations.of(node.id.as_str())));
        }
        let periods = input_periods(dataflow, &loaded.annotations);
        for arrow in arrows(dataflow) {
            let from = match &arrow.source {
                Source::Output { node, .. } => first + *node as usize,
                source => sources[&source_name(source)],
            };
            // Of a fan-in only the sum of what comes is known.
            let alone = |i: &usize| dataflow.nodes[arrow.reader].inputs[*i].more_sources.is_empty();
            let period = arrow.input().filter(alone).and_then(|i| periods[arrow.reader][i]);
            let every = period.map(|every| match every {
                Every::Period(period) => time(nanos(period)),
                Every::UpTo(period) => format!("{} or less often", time(nanos(period))),
            });
            graph.edges.push(edge(loaded, &arrow, (from, first + arrow.reader), every));
        }
        graph.chains = dataflow.chains.iter().map(|chain| path(dataflow, chain)).collect();
        graph
    }

    /// A `flowchart` for Mermaid.
    pub fn mermaid(&self) -> String {
        mermaid::text(self)
    }

    /// A page with the picture in it. It loads nothing.
    pub fn html(&self) -> String {
        html::page(self)
    }
}

/// One vertex per timer period and per kind of log source, by name.
fn sources(dataflow: &Dataflow, vertices: &mut Vec<Vertex>) -> BTreeMap<String, usize> {
    // Shorter periods first.
    let mut all: BTreeMap<(u64, String), Vertex> = BTreeMap::new();
    let inputs = dataflow.nodes.iter().flat_map(|node| &node.inputs);
    for source in inputs.flat_map(|input| input.sources()) {
        let (period, kind, title, chips) = match source {
            Source::Output { .. } => continue,
            Source::Timer { period_ns } => {
                (*period_ns, Kind::Timer, time(*period_ns), vec![hertz(*period_ns)])
            }
            Source::Logs { level, node } => {
                let of = node.as_ref().map_or("all nodes".to_owned(), ToString::to_string);
                (u64::MAX, Kind::Logs, format!("logs of {of}"), vec![level.to_string()])
            }
        };
        let name = source_name(source);
        all.entry((period, name.clone())).or_insert_with(|| Vertex {
            title,
            kind,
            subtitle: None,
            chips,
            place: None,
            operators: Vec::new(),
            group: None,
            details: vec![("source".to_owned(), name)],
        });
    }
    let mut places = BTreeMap::new();
    for ((_, name), vertex) in all {
        places.insert(name, vertices.len());
        vertices.push(vertex);
    }
    places
}

fn source_name(source: &Source) -> String {
    match source {
        Source::Timer { period_ns } => format!("dora/timer/nanos/{period_ns}"),
        Source::Logs { level, node: None } => format!("dora/logs/{level}"),
        Source::Logs { level, node: Some(node) } => format!("dora/logs/{level}/{node}"),
        Source::Output { .. } => String::new(),
    }
}

fn hertz(period_ns: u64) -> String {
    let hertz = 1e9 / period_ns.max(1) as f64;
    let text = format!("{hertz:.3}");
    format!("{} Hz", text.trim_end_matches('0').trim_end_matches('.'))
}

fn vertex(node: &Node, notes: &NodeNotes) -> Vertex {
    let id = node.id.to_string();
    let what = match &node.kind {
        NodeKind::Executable { path, args } if !path.is_empty() => {
            [std::slice::from_ref(path), args].concat().join(" ")
        }
        NodeKind::Executable { .. } => notes.source.unwrap_or("node").to_owned(),
        NodeKind::Shell { command } => format!("sh: {command}"),
        NodeKind::Dynamic => "dynamic".to_owned(),
        NodeKind::Runtime { .. } => "operators".to_owned(),
    };
    let short = match &node.kind {
        NodeKind::Executable { path, .. } if !path.is_empty() => {
            path.rsplit('/').next().unwrap_or(path).to_owned()
        }
        _ => what.clone(),
    };
    let core = (node.cpu_affinity.len() == 1).then(|| node.cpu_affinity[0]);
    let mut chips = Vec::new();
    chips.extend(node.rt.as_ref().and_then(policy));
    if !node.cpu_affinity.is_empty() {
        let cores: Vec<String> = node.cpu_affinity.iter().map(u32::to_string).collect();
        chips.push(format!("core {}", cores.join(", ")));
    }
    chips.extend(notes.machine.as_ref().map(|machine| format!("on {machine}")));
    chips.extend(notes.wcet.map(|wcet| format!("wcet {}", time(nanos(wcet)))));
    let mut details = vec![("starts".to_owned(), what)];
    let mut more =
        |name: &str, text: Option<String>| details.extend(text.map(|text| (name.to_owned(), text)));
    more("name", notes.name.clone());
    more("description", notes.description.clone());
    more("scheduling", node.rt.as_ref().map(scheduling));
    let outputs: Vec<String> = node.outputs.iter().map(|output| output.id.to_string()).collect();
    more("outputs", (!outputs.is_empty()).then(|| outputs.join(", ")));
    more("declared at", (node.at.line > 0).then(|| node.at.to_string()));
    Vertex {
        group: id.rsplit_once('.').map(|(module, _)| module.to_owned()),
        title: id,
        kind: Kind::Node,
        subtitle: Some(cut(&short, 28)),
        chips,
        place: core.map(|core| match &notes.machine {
            Some(machine) => format!("{machine}, core {core}"),
            None => format!("core {core}"),
        }),
        operators: notes.operators.clone(),
        details,
    }
}

fn policy(rt: &RtSettings) -> Option<String> {
    let priority = rt.priority.map(|priority| format!(" {priority}")).unwrap_or_default();
    match rt.policy {
        SchedPolicy::Fifo => Some(format!("fifo{priority}")),
        SchedPolicy::Rr => Some(format!("rr{priority}")),
        SchedPolicy::Deadline => Some("deadline".to_owned()),
        SchedPolicy::Other => None,
    }
}

fn scheduling(rt: &RtSettings) -> String {
    let mut text = policy(rt).unwrap_or_else(|| "ordinary".to_owned());
    if let (Some(runtime), Some(period)) = (rt.runtime_ns, rt.period_ns) {
        text += &format!(", {} in every {}", time(runtime), time(period));
    }
    text += &match rt.wait {
        WaitPolicy::Park => ", parks".to_owned(),
        WaitPolicy::Spin => ", spins".to_owned(),
        WaitPolicy::SpinThenPark { spin_ns } => format!(", spins {}, then parks", time(spin_ns)),
    };
    text
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
