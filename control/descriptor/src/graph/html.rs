//! The page: the drawing, a legend, details of what the pointer is on. No script, style, font or picture comes from
//! elsewhere, and its content policy forbids the browser to fetch any.

use std::fmt::Write as _;

use super::{Graph, Kind, svg};

pub(super) fn page(graph: &Graph) -> String {
    let mut out = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out += "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n";
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    _ = writeln!(out, "<title>{} · dora graph</title>", escaped(&graph.name));
    _ = writeln!(out, "<style>\n{}</style>\n</head>\n<body>", include_str!("page.css"));
    let nodes = graph.vertices.iter().filter(|vertex| vertex.kind == Kind::Node).count();
    _ = writeln!(
        out,
        "<header><h1>{}</h1><span>{nodes} nodes · {} connections</span><span class=\"hint\">drag to move, wheel to zoom, double click to fit</span></header>",
        escaped(&graph.name),
        graph.edges.len()
    );
    _ = writeln!(out, "<main>{}</main>", svg::drawing(graph));
    out += &aside(graph);
    _ = writeln!(out, "<script>\n{}</script>\n</body>\n</html>", include_str!("page.js"));
    out
}

fn aside(graph: &Graph) -> String {
    let mut out = String::from("<aside>\n<section id=\"details\" hidden><h2></h2><dl></dl></section>\n");
    if !graph.chains.is_empty() {
        out += "<section><h2>Chains</h2><ul id=\"chains\">\n";
        for (number, chain) in graph.chains.iter().enumerate() {
            _ = writeln!(
                out,
                "<li tabindex=\"0\" data-chain=\"c{number}\">{}<b>within {}</b></li>",
                escaped(&chain.name),
                escaped(&chain.within)
            );
        }
        out += "</ul></section>\n";
    }
    let places = svg::places(graph);
    out += "<section><h2>Legend</h2><ul class=\"legend\">\n";
    for (place, colour) in places {
        _ = writeln!(out, "<li><i class=\"k{colour}\"></i>bound to {}</li>", escaped(place));
    }
    let has = |kind| graph.vertices.iter().any(|vertex| vertex.kind == kind);
    if has(Kind::Timer) {
        out += "<li><i class=\"round\"></i>timer</li>\n";
    }
    if graph.edges.iter().any(|edge| edge.deadline.is_some()) {
        out += "<li><i class=\"rule due\"></i>has a deadline</li>\n";
    }
    out += "<li><i class=\"rule back\"></i>closes a loop</li>\n</ul></section>\n</aside>\n";
    out
}

/// Text between tags or between double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(character),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
