//! The pictures: everything of the descriptor is in them, they are well formed, and they load nothing from anywhere.

mod support;

use std::{collections::BTreeMap, path::Path};

use dora_descriptor::{graph::Graph, load};
use support::good;

/// A page as a browser reads it: tags with their attributes, in order. Fails where tags are not nested.
fn tags(page: &str) -> Vec<(String, BTreeMap<String, String>)> {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let (mut all, mut open, mut rest) = (Vec::new(), Vec::<String>::new(), page);
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a bare `>` in {:?}", &rest[..start]);
        let end = rest.find('>').expect("a tag that ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "tags are nested");
            continue;
        }
        let (name, attributes) = tag.split_once([' ', '/']).unwrap_or((tag, ""));
        let attributes = attributes.trim_end_matches('/');
        let mut map = BTreeMap::new();
        let mut pieces = attributes;
        while let Some((key, after)) = pieces.split_once("=\"") {
            let (value, next) = after.split_once('"').expect("a value that ends");
            let fresh = map.insert(key.trim().to_owned(), value.to_owned()).is_none();
            assert!(fresh, "{key} twice in <{tag}>");
            pieces = next;
        }
        if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name.to_owned());
            // What a script or a style holds is no markup.
            if name == "script" || name == "style" {
                rest = &rest[rest.find(&format!("</{name}>")).expect("it ends")..];
            }
        }
        all.push((name.to_owned(), map));
    }
    assert!(open.is_empty(), "tags that never end: {open:?}");
    all
}

/// Ids of elements of a class, with their data.
fn of_class<'a>(
    tags: &'a [(String, BTreeMap<String, String>)],
    class: &str,
) -> Vec<&'a BTreeMap<String, String>> {
    let has = |tag: &&BTreeMap<String, String>| {
        tag.get("class").is_some_and(|classes| classes.split(' ').any(|one| one == class))
            && tag.contains_key("id")
    };
    tags.iter().map(|(_, attributes)| attributes).filter(has).collect()
}

fn loads_nothing(page: &str) {
    for forbidden in
        ["http:", "https:", "//cdn", "src=", "href=", "@import", "url(http", "url(//", "fetch(", "import("]
    {
        assert!(!page.contains(forbidden), "{forbidden} in the page");
    }
    assert!(page.contains("default-src 'none'"), "the browser is told so");
}

/// The page without what it shows of the file: a URL there is text, and nobody loads it.
fn without_details(page: &str) -> String {
    let mut pieces = page.split("data-details=\"");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| all + piece.split_once('"').expect("a value that ends").1)
}

/// How many sources the inputs of nodes and operators have, as the file says.
fn sources(blocks: &serde_json::Value) -> usize {
    let of_input = |input: &serde_json::Value| input["source"].as_array().map_or(1, Vec::len);
    let of_block = |block: &serde_json::Value| {
        let own: usize =
            block["inputs"].as_object().into_iter().flatten().map(|(_, input)| of_input(input)).sum();
        let single = block.get("operator").map_or(0, |operator| sources(&serde_json::json!([operator])));
        own + single + sources(&block["operators"])
    };
    blocks.as_array().into_iter().flatten().map(of_block).sum()
}

#[test]
fn every_example_is_drawn_whole_and_without_a_network() {
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
    let mut drawn = 0;
    for folder in std::fs::read_dir(examples).expect("the examples are there") {
        let path = folder.expect("readable").path().join("dataflow.yml");
        if !path.exists() {
            continue;
        }
        let loaded = load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let graph = Graph::new(&loaded);
        let inputs = sources(&loaded.dataflow.descriptor["nodes"]);
        assert_eq!(graph.edges.len(), inputs, "{}", path.display());
        let page = graph.html();
        loads_nothing(&without_details(&page));
        let tags = tags(&page);
        let (nodes, edges) = (of_class(&tags, "node"), of_class(&tags, "edge"));
        assert_eq!((nodes.len(), edges.len()), (graph.vertices.len(), graph.edges.len()));
        for node in &loaded.dataflow.nodes {
            assert!(nodes.iter().any(|tag| tag["data-name"] == node.id.as_str()), "{}", node.id);
        }
        for (edge, tag) in graph.edges.iter().zip(edges) {
            assert_eq!(tag["data-from"], format!("v{}", edge.from));
            assert_eq!(tag["data-to"], format!("v{}", edge.to));
        }
        let mermaid = graph.mermaid();
        assert_eq!(mermaid.lines().filter(|line| line.contains("-->")).count(), inputs);
        drawn += 1;
    }
    assert!(drawn > 5, "{drawn} examples");
}

const FULL: &str = "\
nodes:
  - id: camera
    path: target/release/camera
    description: takes pictures
    cpu_affinity: [2]
    rt: { policy: fifo, priority: 40 }
    wcet: 3ms
    deploy: { machine: arm }
    inputs: { tick: dora/timer/millis/20 }
    outputs: [image]
    output_types: { image: std/media/v1/Image }
  - id: vision
    operators:
      - { id: detect, python: d.py, inputs: { image: camera/image }, outputs: [boxes] }
      - { id: track, python: t.py, inputs: { boxes: vision/detect/boxes }, outputs: [target] }
  - id: nav.planner
    path: p
    inputs: { goal: { source: vision/track/target, deadline: 5ms }, logs: dora/logs/warn }
    outputs: [path]
  - id: nav.pilot
    path: p
    inputs: { path: nav.planner/path }
chains:
  - { name: see and steer, from: camera/image, to: nav.planner/goal, within: 40ms }
";

#[test]
fn operators_timers_types_rates_deadlines_chains_and_places_are_drawn() {
    let graph = Graph::new(&good(FULL));
    let page = graph.html();
    let tags = tags(&page);
    let (nodes, edges) = (of_class(&tags, "node"), of_class(&tags, "edge"));
    let texts = [
        ">detect<",
        ">track<",
        "20 ms",
        "50 Hz",
        "image [Image]",
        "every 20 ms",
        "within 5 ms",
        "fifo 40",
        "core 2",
        "on arm",
        "wcet 3 ms",
        "bound to arm, core 2",
        "see and steer",
        "within 40 ms",
        "detect/boxes → track/boxes",
    ];
    for text in texts {
        assert!(page.contains(text), "{text} is not in the page");
    }
    let camera = nodes.iter().find(|tag| tag["data-name"] == "camera").expect("drawn");
    assert!(camera["data-details"].contains("description&#9;takes pictures&#10;"), "{camera:?}");
    let chain: Vec<&str> = edges
        .iter()
        .filter(|tag| tag["class"].split(' ').any(|class| class == "c0"))
        .map(|tag| tag["data-name"].as_str())
        .collect();
    assert_eq!(chain, ["camera → vision", "vision → vision", "vision → nav.planner"]);
    assert_eq!(graph.vertices.iter().filter(|vertex| vertex.group.as_deref() == Some("nav")).count(), 2);
}

#[test]
fn mermaid_has_subgraphs_for_modules_and_operators() {
    let text = Graph::new(&good(FULL)).mermaid();
    let expected = "\
flowchart LR
  v0([\"timer 20 ms\"])
  v1([\"logs of all nodes\"])
  v2[\"camera<br/>fifo 40<br/>core 2<br/>on arm<br/>wcet 3 ms\"]
  subgraph v3[\"vision\"]
    v3o0[\"detect\"]
    v3o1[\"track\"]
  end
  subgraph m0[\"nav\"]
    v4[\"nav.planner\"]
    v5[\"nav.pilot\"]
  end
  v0 -->|\"tick\"| v2
  v2 -->|\"image [Image]\"| v3o0
  v3o0 -->|\"boxes\"| v3o1
  v3o1 -->|\"target → goal<br/>≤ 5 ms\"| v4
  v1 -->|\"logs\"| v4
  v4 -->|\"path\"| v5
";
    assert_eq!(text, expected);
}

#[test]
fn what_a_file_says_cannot_become_markup() {
    let text = "nodes:
  - id: a
    name: '</script><b a=\"1\">&'
    path: '<img>'
    description: \"x\\\"' onload=y\\tz\\n<!--\"
    outputs: [o]
    output_types: { o: '<i>' }
  - id: b
    path: b
    inputs: { i: a/o }
";
    let graph = Graph::new(&good(text));
    let tags = tags(&graph.html());
    for wrong in ["b", "img", "!--"] {
        assert!(!tags.iter().any(|(name, _)| name == wrong), "{wrong} became a tag");
    }
    assert_eq!(tags.iter().filter(|(name, _)| name == "script").count(), 1);
    assert!(!tags.iter().any(|(_, attributes)| attributes.contains_key("onload")));
    assert!(!graph.mermaid().contains("<i>"));
}

#[test]
fn a_thousand_nodes_are_drawn() {
    let mut text =
        String::from("nodes:\n  - { id: n0, path: x, inputs: { t: dora/timer/millis/1 }, outputs: [o] }\n");
    for n in 1..1000 {
        text += &format!(
            "  - {{ id: n{n}, path: x, inputs: {{ a: n{}/o, b: n{}/o }}, outputs: [o] }}\n",
            n / 2,
            n - 1
        );
    }
    let page = Graph::new(&good(&text)).html();
    assert_eq!(of_class(&tags(&page), "edge").len(), 1999);
}
