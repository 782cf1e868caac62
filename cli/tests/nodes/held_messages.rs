//! A node that keeps more messages than an edge can lend gets copies, and the report says so.

use dora_node_api::{DoraNode, Event};

use crate::{node, project, said, say};

const MESSAGES: u64 = 300;

/// Messages too large to ride in the ring.
pub(crate) fn sender() -> eyre::Result<()> {
    let (mut node, _events) = DoraNode::init_from_env()?;
    for n in 0..MESSAGES {
        node.send_output("block".into(), Default::default(), vec![n; 100])?;
    }
    Ok(())
}

pub(crate) fn hoarder() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let mut kept = Vec::new();
    while let Some(event) = events.recv() {
        if let Event::Input { data, .. } = event {
            kept.push(data);
        }
    }
    let right =
        |(n, data): (usize, _)| <&[u64]>::try_from(data).is_ok_and(|values| *values == [n as u64; 100]);
    say(&format!("kept {} right {}", kept.len(), kept.iter().enumerate().all(right)));
    Ok(())
}

#[test]
fn messages_copied_for_a_node_that_keeps_them_are_counted_in_both_reports() {
    let reads = "    inputs: { block: { source: sender/block, queue_policy: backpressure } }\n";
    let flow =
        project(&[node("sender", "hoarded", "    outputs: [block]\n"), node("hoarder", "hoarder", reads)]);
    let json = flow.dora(&["run", "flow.yml", "--report", "json"]);
    assert_eq!(json.code, Some(0), "{json:?}");
    assert_eq!(said(&json.err, "hoarder"), [format!("kept {MESSAGES} right true")], "{json:?}");
    let report: serde_json::Value = serde_json::from_str(&json.out).expect("a JSON report");
    let copied = report["edges"][0]["copied_out"].as_u64().expect("a count");
    assert!(0 < copied && copied < MESSAGES, "{report}");
    let table = flow.dora(&["run", "flow.yml"]);
    assert!(table.out.contains(" copied, because the reader holds on to too many messages"), "{table:?}");
}
