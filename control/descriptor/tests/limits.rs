//! Files that would blow the loader up: each ends in one clear error, and within 100 MB.
//!
//! `cargo test -p dora-descriptor --test limits -- --nocapture` prints what each costs.

use std::{fmt::Write as _, path::Path, time::Instant};

use dora_descriptor::load;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Most bytes that may be allocated at a time.
const MOST: usize = 100_000_000;

/// What is loaded, beside it other files, and what the message must have.
struct Bomb {
    name: &'static str,
    file: Vec<u8>,
    others: Vec<(&'static str, String)>,
    says: &'static [&'static str],
}

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

fn aliases(levels: usize, each: usize) -> String {
    let mut text = format!("a0: &a0 [{}]\n", "x,".repeat(each));
    for level in 1..levels {
        let previous = format!("*a{},", level - 1).repeat(each);
        writeln!(text, "a{level}: &a{level} [{previous}]").unwrap();
    }
    text
}

fn bombs() -> Vec<Bomb> {
    let one = |name, text: String, says| Bomb { name, file: text.into_bytes(), others: Vec::new(), says };
    let module = |name, flow: String, module: String, says| Bomb {
        name,
        file: flow.into_bytes(),
        others: vec![("m.yml", module)],
        says,
    };
    let nodes = |count| many(count, |n| format!("  - {{ id: n{n}, path: x }}\n"));
    let variables = |count| many(count, |n| format!("E{n}: x, "));
    let line = |count| {
        many(count, |n| {
            format!("  - {{ id: n{n}, path: x, inputs: {{ i: n{}/o }}, outputs: [o] }}\n", n.max(1) - 1)
        })
    };
    let header = "module: { name: m }\nnodes:\n";
    vec![
        one("ten megabytes of comment", "# a comment that goes on and on\n".repeat(320_000), &["at most"]),
        one("ten megabytes of nodes", format!("nodes:\n{}", nodes(400_000)), &["at most"]),
        one("billion laughs", aliases(20, 10), &["values, aliases included"]),
        one(
            "a long text copied",
            format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(100_000)),
            &["aliases"],
        ),
        one(
            "many small aliases",
            format!("a: &a x\nnodes: [{}]\n", "*a,".repeat(600_000)),
            &["values, aliases included"],
        ),
        one("brackets", "[".repeat(2_000_000), &["deeper", "recursion"]),
        one("braces", "{a: ".repeat(500_000), &["deeper", "recursion"]),
        one("dashes", "- ".repeat(1_000_000), &["deeper", "recursion"]),
        one("more values than may be", format!("nodes: [{}]\n", "x,".repeat(900_000)), &["values"]),
        one(
            "as many wrong nodes as may be",
            format!("nodes: [{}]\n", "x,".repeat(199_000)),
            &["more errors"],
        ),
        one("keys that are all unknown", many(90_000, |n| format!("k{n}: 1\n")), &["more errors"]),
        one("one key again and again", "a: 1\n".repeat(90_000), &["is given twice", "more errors"]),
        one(
            "one id again and again",
            format!("nodes:\n{}", "- { id: a, path: x }\n".repeat(10_000)),
            &["the id is taken", "more errors"],
        ),
        one(
            "nodes that all read what is not there",
            format!(
                "nodes:\n{}",
                many(10_000, |n| format!("- {{ id: n{n}, path: x, inputs: {{ i: m{n}/o }} }}\n"))
            ),
            &["does not exist", "more errors"],
        ),
        one(
            "one id of a megabyte",
            format!("nodes:\n- id: \"{}/\"\n  path: x\n", "x".repeat(1_000_000)),
            &["is not a valid node id: `/` separates"],
        ),
        one("one key of a megabyte", format!("{}: 1\n", "k".repeat(1_000_000)), &["not valid YAML"]),
        one(
            "more nodes than may be",
            format!("nodes:\n{}", nodes(40_000)),
            &["40000 nodes; a dataflow may have at most 10000"],
        ),
        one(
            "variables for every node",
            format!("env: {{ {} }}\nnodes:\n{}", variables(40_000), nodes(10_000)),
            &["more than a machine can hold"],
        ),
        one(
            "one input with a long list",
            format!(
                "nodes:\n- id: a\n  path: x\n  outputs: [o]\n  inputs: {{ i: {{ source: [{}] }} }}\n",
                "a/o, ".repeat(90_000)
            ),
            &["listed twice", "more errors"],
        ),
        one(
            "chains over a long line of nodes",
            format!(
                "nodes:\n{}chains:\n{}",
                line(10_000),
                many(100, |n| format!("  - {{ from: n{n}/o, to: n0/i, within: 1ms }}\n"))
            ),
            &["no way leads from"],
        ),
        one(
            "more chains than may be",
            format!(
                "nodes:\n{}chains:\n{}",
                line(100),
                many(20_000, |n| format!("  - {{ from: n{n}/o, to: n99/i, within: 1ms }}\n"))
            ),
            &["20000 chains; a dataflow may have at most 100"],
        ),
        one(
            "rules between all types",
            format!(
                "strict_types: true\ntype_rules:\n{}nodes:\n{}",
                many(200, |n| format!(
                    "  - {{ from: std/core/v1/String, to: \"std/media/v1/Image[encoding=e{n}]\" }}\n"
                )),
                many(10_000, |n| format!(
                    "  - {{ id: n{n}, path: x, outputs: [o], output_types: {{ o: std/core/v1/String }}, inputs: {{ i: n0/o }}, input_types: {{ i: std/core/v1/Bool }} }}\n"
                ))
            ),
            &["with so many rules the types"],
        ),
        one(
            "more rules than may be",
            format!("type_rules:\n{}nodes: []\n", many(40_000, |_| "  - { from: a, to: b }\n".to_owned())),
            &["40000 rules; there may be at most 200"],
        ),
        module(
            "variables for every node of a module",
            format!("nodes:\n  - id: m\n    module: m.yml\n    env: {{ {} }}\n", variables(50_000)),
            format!("{header}{}", nodes(5_000)),
            &["blows this dataflow up"],
        ),
        module(
            "variables of the dataflow for every node of a module",
            format!("env: {{ {} }}\nnodes:\n  - {{ id: m, module: m.yml }}\n", variables(40_000)),
            format!("{header}{}", nodes(5_000)),
            &["more than a machine can hold"],
        ),
        Bomb {
            name: "variables for every module of a module",
            file: format!("nodes:\n  - id: m\n    module: m.yml\n    env: {{ {} }}\n", variables(50_000))
                .into_bytes(),
            others: vec![
                (
                    "m.yml",
                    format!("{header}{}", many(5_000, |n| format!("  - {{ id: n{n}, module: e.yml }}\n"))),
                ),
                ("e.yml", "module: { name: e }\nnodes: []\n".to_owned()),
            ],
            says: &["blows this dataflow up"],
        },
        Bomb {
            name: "build lines for every module of a module",
            file: format!(
                "nodes:\n  - id: m\n    module: m.yml\n    build: |\n{}",
                "      make\n".repeat(100_000)
            )
            .into_bytes(),
            others: vec![
                (
                    "m.yml",
                    format!("{header}{}", many(5_000, |n| format!("  - {{ id: n{n}, module: e.yml }}\n"))),
                ),
                ("e.yml", "module: { name: e }\nnodes: []\n".to_owned()),
            ],
            says: &["blows this dataflow up"],
        },
        module(
            "modules that double",
            "nodes:\n  - { id: m, module: m.yml }\n".to_owned(),
            "module: { name: m }\nnodes:\n  - { id: m, module: m.yml }\n".to_owned(),
            &["m.yml"],
        ),
        module(
            "a module file that is too large",
            "nodes:\n  - { id: m, module: m.yml }\n".to_owned(),
            "# a comment that goes on and on\n".repeat(100_000),
            &["has more than 1048576 bytes"],
        ),
        Bomb {
            name: "UTF-16",
            file: b"\xFF\xFEn\0o\0d\0e\0s\0:\0".repeat(100_000),
            others: Vec::new(),
            says: &["not UTF-8"],
        },
        Bomb {
            name: "noise at the end",
            file: [&vec![b'#'; 1_000_000][..], b"\xC3"].concat(),
            others: Vec::new(),
            says: &["not UTF-8"],
        },
    ]
}

#[test]
fn a_bomb_ends_in_a_clear_error_before_it_grows() {
    let mut wrong = String::new();
    for bomb in bombs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("flow.yml");
        std::fs::write(&file, &bomb.file).unwrap();
        for (name, text) in &bomb.others {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let cost = weigh(&file);
        println!("{:>8} ms {:>6} MB  {}", cost.millis, cost.bytes / 1_000_000, bomb.name);
        let message = match cost.said {
            Some(message) => message,
            None => {
                writeln!(wrong, "{}: it was accepted", bomb.name).unwrap();
                continue;
            }
        };
        if !bomb.says.iter().any(|part| message.contains(part)) {
            let start: String = message.chars().take(400).collect();
            writeln!(wrong, "{}: without {:?}:\n{start}", bomb.name, bomb.says).unwrap();
        }
        if cost.bytes > MOST {
            writeln!(wrong, "{}: {} bytes are allocated at a time", bomb.name, cost.bytes).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

struct Cost {
    millis: u128,
    bytes: usize,
    /// The message; `None`: there was no error.
    said: Option<String>,
}

fn weigh(file: &Path) -> Cost {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let start = Instant::now();
    let result = load(file, &[]);
    let millis = start.elapsed().as_millis();
    let bytes = ALLOCATED.peak_usage().saturating_sub(before);
    Cost { millis, bytes, said: result.err().map(|errors| errors.to_string()) }
}
