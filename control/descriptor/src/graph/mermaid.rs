//! Mermaid text: one `flowchart`, a subgraph per module and per node with operators.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Edge, Graph, Kind, Vertex};

pub(super) fn text(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, vertex) in graph.vertices.iter().enumerate() {
        match &vertex.group {
            Some(group) => groups.entry(group).or_default().push(index),
            None => vertex_text(&mut out, "  ", index, vertex),
        }
    }
    for (number, (group, members)) in groups.iter().enumerate() {
        _ = writeln!(out, "  subgraph m{number}[\"{}\"]", escaped(group));
        for &index in members {
            vertex_text(&mut out, "    ", index, &graph.vertices[index]);
        }
        out += "  end\n";
    }
    for edge in &graph.edges {
        let from = end(graph, edge.from, edge.from_operator.as_deref());
        let to = end(graph, edge.to, edge.to_operator.as_deref());
        _ = writeln!(out, "  {from} -->|\"{}\"| {to}", label(edge));
    }
    out
}

fn vertex_text(out: &mut String, indent: &str, index: usize, vertex: &Vertex) {
    let title = escaped(&vertex.title);
    match vertex.kind {
        Kind::Timer => _ = writeln!(out, "{indent}v{index}([\"timer {title}\"])"),
        Kind::Logs => _ = writeln!(out, "{indent}v{index}([\"{title}\"])"),
        Kind::Node if vertex.operators.is_empty() => {
            let chips: String = vertex.chips.iter().map(|chip| format!("<br/>{}", escaped(chip))).collect();
            _ = writeln!(out, "{indent}v{index}[\"{title}{chips}\"]");
        }
        Kind::Node => {
            _ = writeln!(out, "{indent}subgraph v{index}[\"{title}\"]");
            for (number, operator) in vertex.operators.iter().enumerate() {
                _ = writeln!(out, "{indent}  v{index}o{number}[\"{}\"]", escaped(operator));
            }
            _ = writeln!(out, "{indent}end");
        }
    }
}

/// The operator, where it is known which; the only one of a node with one.
fn end(graph: &Graph, vertex: usize, operator: Option<&str>) -> String {
    let operators = &graph.vertices[vertex].operators;
    let number = match operator {
        Some(name) => operators.iter().position(|known| known == name),
        None => (operators.len() == 1).then_some(0),
    };
    number.map_or_else(|| format!("v{vertex}"), |number| format!("v{vertex}o{number}"))
}

/// `output [Type]`, the input where it has another name, the deadline.
fn label(edge: &Edge) -> String {
    let mut text = escaped(if edge.output.is_empty() { &edge.input } else { &edge.output });
    if !edge.output.is_empty() && edge.input != edge.output {
        text += &format!(" → {}", escaped(&edge.input));
    }
    if let Some(name) = &edge.type_name {
        text += &format!(" [{}]", escaped(name.rsplit('/').next().unwrap_or(name)));
    }
    if let Some(deadline) = &edge.deadline {
        text += &format!("<br/>≤ {}", escaped(deadline));
    }
    text
}

/// Entities for what means something to Mermaid between quotes, or to the page that it becomes.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '|' | '\\' | '{' | '}' | '[' | ']' => {
                _ = write!(out, "#{};", u32::from(character));
            }
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
