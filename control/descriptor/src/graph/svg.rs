//! The drawing: boxes with what they are, arrows with what they carry. Colours are classes of the page's style sheet.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Edge, Graph, Kind, Vertex,
    html::escaped,
    layout::{Input, Layout, Point, Rect, Route, layout},
};

/// Widths of the fonts on average, pixels per character.
const BOLD: f64 = 8.2;
const SMALL: f64 = 6.6;
const TINY: f64 = 6.1;
const ROW: f64 = 18.0;
const COLOURS: usize = 6;

/// The `svg` element.
pub(super) fn drawing(graph: &Graph) -> String {
    let places = places(graph);
    let sizes: Vec<(f64, f64)> = graph.vertices.iter().map(size).collect();
    let edges: Vec<(usize, usize)> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let texts: Vec<[String; 2]> = graph.edges.iter().map(label).collect();
    let labels: Vec<f64> = texts.iter().map(label_width).collect();
    let drawn = layout(&Input { sizes: &sizes, edges: &edges, labels: &labels });
    let mut out = String::new();
    _ = writeln!(
        out,
        "<svg id=\"picture\" viewBox=\"0 0 {:.0} {:.0}\" width=\"{0:.0}\" height=\"{1:.0}\" role=\"img\" aria-label=\"dataflow {}\">",
        drawn.width,
        drawn.height,
        escaped(&graph.name)
    );
    out += "<defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 1 10 5 0 9z\" class=\"tip\"/></marker></defs>\n<g id=\"view\">\n";
    groups(&mut out, graph, &drawn);
    let spots = spots(&drawn, &texts);
    for (index, edge) in graph.edges.iter().enumerate() {
        edge_text(&mut out, graph, index, edge, &drawn.routes[index], &texts[index], spots[index]);
    }
    for (index, vertex) in graph.vertices.iter().enumerate() {
        let colour = vertex.place.as_ref().and_then(|place| places.get(place.as_str())).copied();
        vertex_text(&mut out, index, vertex, drawn.boxes[index], colour);
    }
    out += "</g>\n</svg>";
    out
}

/// Colour of every place that somebody is bound to.
pub(super) fn places(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for place in graph.vertices.iter().filter_map(|vertex| vertex.place.as_deref()) {
        all.insert(place, 0);
    }
    all.values_mut().enumerate().for_each(|(number, colour)| *colour = number % COLOURS);
    all
}

fn width(text: &str, per_character: f64) -> f64 {
    text.chars().count() as f64 * per_character
}

fn chips_width(chips: &[String]) -> f64 {
    chips.iter().map(|chip| width(chip, SMALL) + 18.0).sum()
}

fn size(vertex: &Vertex) -> (f64, f64) {
    if vertex.kind != Kind::Node {
        let chip = vertex.chips.first().map_or(0.0, |chip| width(chip, TINY));
        return (width(&vertex.title, BOLD).max(chip) + 44.0, 44.0);
    }
    let subtitle = vertex.subtitle.as_deref().map_or(0.0, |text| width(text, SMALL));
    let wide = width(&vertex.title, BOLD)
        .max(subtitle)
        .max(chips_width(&vertex.chips))
        .max(chips_width(&vertex.operators));
    let rows = 1 + usize::from(vertex.subtitle.is_some()) + usize::from(!vertex.chips.is_empty());
    let operators = if vertex.operators.is_empty() { 0.0 } else { 26.0 };
    (wide.max(90.0) + 34.0, rows as f64 * ROW + 22.0 + operators)
}

/// Two lines: what, and what is known about it.
fn label(edge: &Edge) -> [String; 2] {
    let mut first = match &edge.from_operator {
        Some(operator) => format!("{operator}/{}", edge.output),
        None => edge.output.clone(),
    };
    let input = match &edge.to_operator {
        Some(operator) => format!("{operator}/{}", edge.input),
        None => edge.input.clone(),
    };
    if first.is_empty() {
        first = input;
    } else if edge.input != edge.output || edge.to_operator.is_some() {
        first += &format!(" → {input}");
    }
    if let Some(name) = &edge.type_name {
        first += &format!(" [{}]", name.rsplit('/').next().unwrap_or(name));
    }
    let from_timer = edge.output.is_empty();
    let every = edge.every.as_ref().filter(|_| !from_timer).map(|every| format!("every {every}"));
    let deadline = edge.deadline.as_ref().map(|deadline| format!("within {deadline}"));
    let second: Vec<String> = every.into_iter().chain(deadline).collect();
    [first, second.join(" · ")]
}

fn label_width(text: &[String; 2]) -> f64 {
    width(&text[0], SMALL).max(width(&text[1], TINY))
}

/// A frame around the nodes of a module, where nobody else stands in it.
fn groups(out: &mut String, graph: &Graph, drawn: &Layout) {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, vertex) in graph.vertices.iter().enumerate() {
        if let Some(group) = &vertex.group {
            groups.entry(group).or_default().push(index);
        }
    }
    for (group, members) in groups {
        let edge = |pick: fn(f64, f64) -> f64, start: f64, of: &dyn Fn(&Rect) -> f64| {
            members.iter().map(|&member| of(&drawn.boxes[member])).fold(start, pick)
        };
        let (left, top) = (edge(f64::min, 1e9, &|r| r.x) - 12.0, edge(f64::min, 1e9, &|r| r.y) - 24.0);
        let (right, bottom) =
            (edge(f64::max, 0.0, &|r| r.x + r.w) + 12.0, edge(f64::max, 0.0, &|r| r.y + r.h) + 12.0);
        let inside = |rect: &Rect| {
            rect.x < right && rect.x + rect.w > left && rect.y < bottom && rect.y + rect.h > top
        };
        let foreign =
            (0..drawn.boxes.len()).any(|index| !members.contains(&index) && inside(&drawn.boxes[index]));
        if !foreign {
            _ = writeln!(
                out,
                "<g class=\"group\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"12\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
                right - left,
                bottom - top,
                left + 10.0,
                top + 16.0,
                escaped(group)
            );
        }
    }
}

fn vertex_text(out: &mut String, index: usize, vertex: &Vertex, rect: Rect, colour: Option<usize>) {
    let class = match vertex.kind {
        Kind::Node => "node",
        Kind::Timer => "node timer",
        Kind::Logs => "node logs",
    };
    let Rect { x, y, w, h } = rect;
    _ = write!(
        out,
        "<g class=\"{class}\" id=\"v{index}\" tabindex=\"0\" data-name=\"{}\" data-details=\"{}\"><title>{0}</title>",
        escaped(&vertex.title),
        details(&vertex.details)
    );
    let middle = x + w / 2.0;
    if vertex.kind != Kind::Node {
        _ = write!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{:.1}\"/>",
            h.min(44.0) / 2.0
        );
        let at = y + h / 2.0;
        _ = write!(
            out,
            "<text class=\"name\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            at - 1.0,
            escaped(&vertex.title)
        );
        for chip in vertex.chips.iter().take(1) {
            _ = write!(
                out,
                "<text class=\"small\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
                at + 14.0,
                escaped(chip)
            );
        }
        *out += "</g>\n";
        return;
    }
    _ = write!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"9\"/>");
    if let Some(colour) = colour {
        _ = write!(
            out,
            "<path class=\"strip k{colour}\" d=\"M{:.1} {y:.1}h-1a8 8 0 0 0-8 8v{:.1}a8 8 0 0 0 8 8h1z\"/>",
            x + 9.0,
            h - 16.0
        );
    }
    let content = size(vertex).1;
    let mut line = y + (h - content) / 2.0 + 25.0;
    _ = write!(
        out,
        "<text class=\"name\" x=\"{middle:.1}\" y=\"{line:.1}\">{}</text>",
        escaped(&vertex.title)
    );
    if let Some(subtitle) = &vertex.subtitle {
        line += ROW;
        _ = write!(
            out,
            "<text class=\"small\" x=\"{middle:.1}\" y=\"{line:.1}\">{}</text>",
            escaped(subtitle)
        );
    }
    if !vertex.chips.is_empty() {
        line += ROW + 4.0;
        row(out, "chip", &vertex.chips, middle, line);
    }
    if !vertex.operators.is_empty() {
        row(out, "operator", &vertex.operators, middle, line + 26.0);
    }
    *out += "</g>\n";
}

fn row(out: &mut String, class: &str, chips: &[String], middle: f64, line: f64) {
    let mut left = middle - (chips_width(chips) - 4.0) / 2.0;
    for chip in chips {
        let wide = width(chip, SMALL) + 14.0;
        _ = write!(
            out,
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"18\" rx=\"5\"/><text class=\"{class}\" x=\"{:.1}\" y=\"{line:.1}\">{}</text>",
            line - 13.0,
            left + wide / 2.0,
            escaped(chip)
        );
        left += wide + 4.0;
    }
}

/// `key TAB value NEWLINE …`, for the script of the page.
fn details(details: &[(String, String)]) -> String {
    let flat = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let lines: Vec<String> =
        details.iter().map(|(key, value)| format!("{}\t{}", flat(key), flat(value))).collect();
    escaped(&lines.join("\n")).replace('\n', "&#10;").replace('\t', "&#9;")
}

fn edge_text(
    out: &mut String,
    graph: &Graph,
    index: usize,
    edge: &Edge,
    route: &Route,
    text: &[String; 2],
    spot: Point,
) {
    let chains: String = graph
        .chains
        .iter()
        .enumerate()
        .filter(|(_, chain)| chain.edges.contains(&index))
        .map(|(number, _)| format!(" c{number}"))
        .collect();
    let back = if route.back { " back" } else { "" };
    let timer = if edge.output.is_empty() { " tick" } else { "" };
    let due = if edge.deadline.is_some() { " due" } else { "" };
    let name = format!("{} → {}", graph.vertices[edge.from].title, graph.vertices[edge.to].title);
    _ = write!(
        out,
        "<g class=\"edge{back}{timer}{due}{chains}\" id=\"e{index}\" tabindex=\"0\" data-from=\"v{}\" data-to=\"v{}\" data-name=\"{}\" data-details=\"{}\"><title>{2}</title>",
        edge.from,
        edge.to,
        escaped(&name),
        details(&edge.details)
    );
    let path = line(route);
    _ = write!(
        out,
        "<path class=\"wide\" d=\"{path}\"/><path class=\"line\" d=\"{path}\" marker-end=\"url(#tip)\"/>"
    );
    let (x, y) = spot;
    let lines = if text[1].is_empty() { 1.0 } else { 2.0 };
    let wide = label_width(text) + 8.0;
    _ = write!(
        out,
        "<rect class=\"under\" x=\"{:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" rx=\"4\"/>",
        x - wide / 2.0,
        y - lines * 7.0,
        lines * 14.0
    );
    let first = if lines > 1.0 { y - 2.5 } else { y + 4.0 };
    _ = write!(out, "<text class=\"label\" x=\"{x:.1}\" y=\"{first:.1}\">{}</text>", escaped(&text[0]));
    if lines > 1.0 {
        _ = write!(
            out,
            "<text class=\"fact\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            first + 13.0,
            escaped(&text[1])
        );
    }
    *out += "</g>\n";
}

/// The `d` of a path.
fn line(route: &Route) -> String {
    let points = &route.points;
    let mut path = format!("M{:.1} {:.1}", points[0].0, points[0].1);
    if !route.back {
        for (number, pair) in points.windows(2).enumerate() {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let middle = (x0 + x1) / 2.0;
            if number % 2 == 0 {
                _ = write!(path, "C{middle:.1} {y0:.1} {middle:.1} {y1:.1} {x1:.1} {y1:.1}");
            } else {
                _ = write!(path, "L{x1:.1} {y1:.1}");
            }
        }
        return path;
    }
    for three in points.windows(3) {
        let (before, corner, after) = (three[0], three[1], three[2]);
        let (a, b) = (towards(corner, before), towards(corner, after));
        _ = write!(path, "L{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}", a.0, a.1, corner.0, corner.1, b.0, b.1);
    }
    if let Some(end) = points.last() {
        _ = write!(path, "L{:.1} {:.1}", end.0, end.1);
    }
    path
}

/// A little way from a corner.
fn towards(corner: Point, to: Point) -> Point {
    let (dx, dy) = (to.0 - corner.0, to.1 - corner.1);
    let length = dx.hypot(dy);
    let share = if length > 0.0 { 10.0f64.min(length / 2.0) / length } else { 0.0 };
    (corner.0 + dx * share, corner.1 + dy * share)
}

/// A place for each label on its arrow, where no other label is, if there is one.
fn spots(drawn: &Layout, texts: &[[String; 2]]) -> Vec<Point> {
    let mut taken: Vec<Rect> = Vec::new();
    let mut spots = Vec::new();
    for (route, text) in drawn.routes.iter().zip(texts) {
        let (w, h) = (label_width(text) + 8.0, if text[1].is_empty() { 14.0 } else { 28.0 });
        let rect = |(x, y): Point| Rect { x: x - w / 2.0, y: y - h / 2.0, w, h };
        let free = |spot: &Point| {
            let mine = rect(*spot);
            let meets = |other: &Rect| {
                mine.x < other.x + other.w
                    && other.x < mine.x + mine.w
                    && mine.y < other.y + other.h
                    && other.y < mine.y + mine.h
            };
            !taken.iter().any(meets)
        };
        let candidates: Vec<Point> =
            [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74].iter().map(|&share| on(route, share)).collect();
        let spot = candidates.iter().copied().find(free).unwrap_or(candidates[0]);
        taken.push(rect(spot));
        spots.push(spot);
    }
    spots
}

/// A point of the part of an arrow that has the label.
fn on(route: &Route, share: f64) -> Point {
    let points = &route.points;
    if route.back {
        let (a, b) = (points[2], points[3]);
        return (a.0 + (b.0 - a.0) * share, a.1);
    }
    let ((x0, y0), (x1, y1)) = (points[0], points[1]);
    let (s, middle) = (1.0 - share, (x0 + x1) / 2.0);
    let bezier = |p0: f64, p1: f64, p2: f64, p3: f64| {
        s.powi(3) * p0 + 3.0 * s * s * share * p1 + 3.0 * s * share * share * p2 + share.powi(3) * p3
    };
    (bezier(x0, middle, middle, x1), bezier(y0, y0, y1, y1))
}
