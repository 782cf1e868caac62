//! Chains of a dataflow in service, whose nodes are replaced, cut off and removed.

use dora_node_api::{DoraNode, Event};
use serde_json::Value;

use crate::{alone, node, pair::Pair, wait};

/// Messages that may be on their way when their beginning is replaced: two queues of ten, and one in each hand.
const ON_THEIR_WAY: u64 = 22;

/// Passes on what it gets, and says after each fifty.
pub(crate) fn passer() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    println!("\npasser is up");
    let mut got = 0_u64;
    while let Some(event) = events.recv() {
        match event {
            Event::Input { data, .. } => {
                node.send_output("number".into(), Default::default(), u64::try_from(&data)?)?;
                got += 1;
                if got.is_multiple_of(50) {
                    println!("fifty more");
                }
            }
            Event::Stop(_) => break,
            _ => {}
        }
    }
    Ok(())
}

/// `ticker` → `passer` → `end`, which passes on to nobody.
fn parts() -> [(&'static str, &'static str, &'static str); 3] {
    [
        ("ticker", "ticker", "    inputs: { tick: dora/timer/millis/5 }\n    outputs: [number]\n"),
        ("passer", "passer", "    inputs: { a: ticker/number }\n    outputs: [number]\n"),
        ("end", "passer", "    inputs: { a: passer/number }\n    outputs: [number]\n"),
    ]
}

/// What the dataflow came to, once it has ended.
fn report(pair: &Pair) -> Value {
    let out = pair.project.path("out");
    let mut folders = std::fs::read_dir(out).expect("a folder").flatten();
    let file = folders.next().expect("of one dataflow").path().join("report.json");
    let mut report = None;
    wait("the report", || {
        report = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        report.is_some()
    });
    report.expect("waited for")
}

#[test]
fn a_chain_is_watched_while_its_nodes_are_replaced_and_ends_with_its_beginning() {
    let nodes = parts().map(|(id, role, rest)| node(id, role, rest)).concat();
    let chain = "chains:\n  - { name: reflex, from: ticker/number, to: end/a, within: 100s }\n";
    let pair = Pair::up(&format!("nodes:\n{nodes}{chain}"));
    pair.start("robot");
    let fifties = || pair.good(&["logs", "robot", "end"]).matches("fifty more").count();
    let go_on = || {
        let before = fifties();
        // The first of them may have been on its way.
        wait("a hundred messages", || fifties() >= before + 2);
    };
    go_on();
    for (id, role, rest) in parts() {
        pair.write("new.yml", &alone(id, role, rest));
        pair.good(&["node", "replace", id, "--from-yaml", "new.yml"]);
        go_on();
    }
    for (command, says) in [
        (["node", "disconnect", "passer/number", "end/a"], "input `a` does not exist on node `end`"),
        (["node", "disconnect", "ticker/number", "passer/a"], "no way leads from output `ticker/number`"),
    ] {
        let refused = pair.dora(&command);
        assert!(refused.code == Some(1) && refused.err.contains(says), "{refused:?}");
    }
    go_on();
    // The others have nothing left to read, and end.
    pair.good(&["node", "remove", "ticker"]);

    let report = report(&pair);
    let edges = report["edges"].as_array().expect("edges");
    let taken: u64 = edges.iter().filter(|e| e["to"] == "end/a").filter_map(|e| e["taken"].as_u64()).sum();
    let row = &report["chains"][0];
    let number = |key: &str| row[key].as_u64().expect("a number");
    let (traced, untraced) = (number("traced"), number("untraced"));
    assert!(traced >= 450 && untraced <= ON_THEIR_WAY, "{row}");
    // What was on its way when the beginning was gone is not counted any more.
    assert!((traced + untraced..=traced + untraced + ON_THEIR_WAY).contains(&taken), "{taken}: {row}");
    assert_eq!(row["ended"]["reason"], "node `ticker` was removed", "{row}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("chain `reflex` ended after") && warnings.contains("node `ticker` was removed"),
        "{warnings}"
    );
}
