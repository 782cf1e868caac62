//! Wiring that is wrong, or is no more: each error names who and why, nothing panics, and nothing is kept that is gone.

mod support;

use std::sync::Arc;

use dora_protocol::node_link::{InputEdge, InputSource, ToDaemon, ToNode, VERSION};
use support::{Edge, Memory, Node, wire};

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
    if let InputSource::Edges { edges } = &mut b.setup.inputs[0].source {
        edges[0].edge = 4711;
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
    if let InputSource::Edges { edges } = &mut b.setup.inputs[0].source {
        let InputEdge { edge, arena, .. } = &mut edges[0];
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
fn inputs_that_an_earlier_process_was_given_are_among_the_spare_ones_of_the_page() {
    for (more, fits) in [(2, true), (17, false)] {
        let mut node = Node::new("n").timer("tick", 3_600_000_000_000);
        node.place(1, 0);
        for _ in 0..more {
            node.reads("late", &[], Edge::default());
        }
        let joined = node.try_join(0).0;
        assert_eq!(joined.is_ok(), fits, "{:?}", joined.err().map(|e| e.to_string()));
    }
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

#[test]
fn a_node_that_does_not_send_keeps_no_reader_that_came_and_went() {
    let memory = Memory::new(Edge::default());
    let place = Node::new("reader").fds;
    let mut a = Node::new("a");
    a.output("out", &memory);
    let (mut a, daemon) = a.join(0);
    let inode = |edge: &Arc<std::os::fd::OwnedFd>| rustix::fs::fstat(edge).unwrap().st_ino.to_string();
    let mut inodes = Vec::new();
    for number in 0..50 {
        let edge = memory.edge();
        inodes.push(inode(&edge));
        daemon.add_reader(0, number, &edge, &place);
        daemon.say(&ToNode::ReaderRestarted { output: 0, edge: number, head: 0 });
        daemon.say(&ToNode::ReaderGone { output: 0, edge: number });
    }
    daemon.sync(&mut a);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let is_mapped = |inode: &String| maps.lines().any(|l| l.split_whitespace().nth(4) == Some(inode));
    assert!(!inodes.iter().any(is_mapped), "a reader that is gone is still mapped");
    let out = a.output::<u8>("out", 1).unwrap();
    a.send(&out, &[1]).unwrap();
}
