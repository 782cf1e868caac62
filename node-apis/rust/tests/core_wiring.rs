//! Nodes that cannot join: each error names who and why, and nothing panics.

mod support;

use dora_protocol::node_link::{InputSource, ToDaemon, VERSION};
use support::{Edge, Node, wire};

fn refusal(node: Node) -> String {
    node.try_join(0).0.unwrap_err().to_string()
}

#[test]
fn another_protocol_version_is_refused_and_both_are_named() {
    let mut node = Node::new("n");
    node.version = VERSION + 1;
    let text = refusal(node);
    assert!(
        text.contains(&format!("version {VERSION}")) && text.contains(&format!("version {}", VERSION + 1)),
        "{text}"
    );
}

#[test]
fn a_descriptor_index_out_of_range_is_refused_with_the_name_of_the_place() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "out", &mut b, "in", Edge::default());
    if let InputSource::Edge { edge, .. } = &mut b.setup.inputs[0].source {
        *edge = 4711;
    }
    let text = refusal(b);
    assert!(text.contains("input `in`") && text.contains("4711"), "{text}");
    a.setup.outputs[0].edges[0].doorbell = u32::MAX;
    let text = refusal(a);
    assert!(text.contains("output `out` to `b/in`"), "{text}");
    let mut bell = Node::new("n");
    bell.setup.doorbell = 99;
    assert!(refusal(bell).contains("doorbell"));
}

#[test]
fn a_descriptor_of_another_kind_is_refused() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "out", &mut b, "in", Edge::default());
    if let InputSource::Edge { edge, arena, .. } = &mut b.setup.inputs[0].source {
        std::mem::swap(edge, arena);
    }
    let text = refusal(b);
    assert!(text.contains("input `in`"), "{text}");
    let text = refusal(Node::new("n").timer("tick", 0));
    assert!(text.contains("`tick`") && text.contains("period"), "{text}");
}

#[test]
fn a_status_page_for_another_node_is_refused() {
    let mut node = Node::new("n").timer("tick", 1);
    node.setup.status = node.add(std::sync::Arc::new(lockfree_ipc::status::create(3, 3).unwrap()));
    assert!(refusal(node).contains("status page"));
}

#[test]
fn handles_for_names_that_are_none_list_those_there_are() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "out", &mut b, "in", Edge::default());
    a.setup.outputs[0].max_message_bytes = Some(64);
    let b = b.timer("tick", 1_000_000);
    let ((mut a, a_daemon), (b, _b)) = (a.join(0), b.join(0));
    let text = b.input::<u8>("inn").unwrap_err().to_string();
    assert!(text.contains("`inn`") && text.contains("`in`, `tick`"), "{text}");
    assert!(b.input::<u8>("tick").unwrap_err().to_string().contains("timer(\"tick\")"));
    assert!(b.timer("in").unwrap_err().to_string().contains("input(\"in\")"));
    let text = a.output::<f64>("out", 9).unwrap_err().to_string();
    assert!(text.contains("72") && text.contains("max_message_bytes"), "{text}");
    assert!(a.output::<f64>("x", 1).unwrap_err().to_string().contains("`out`"));
    drop(a);
    assert!(matches!(a_daemon.hear(), Some(ToDaemon::OutputsClosed { .. })));
}

#[test]
fn a_dropped_node_says_done_and_hangs_up() {
    let (node, daemon) = Node::new("n").join(0);
    drop(node);
    assert!(matches!(daemon.hear(), Some(ToDaemon::Done)));
    assert!(daemon.hear().is_none());
}
