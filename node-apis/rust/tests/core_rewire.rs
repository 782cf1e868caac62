//! The wiring of a living node changes: processes are replaced, edges and inputs come and go.
//!
//! A process that dies is a node whose samples are leaked and which is leaked itself: it gives nothing back.

mod support;

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use dora_node_api::rt::{Event, In, Notice, Out, RtNode, StopCause};
use dora_protocol::node_link::{InputSource, ToDaemon, ToNode};
use lockfree_ipc::{EdgeView, MAX_HELD, clock::monotonic_ns, edge};
use support::{Daemon, Edge, Memory, Node, wiring};

const MS: u64 = 1_000_000;
/// Elements of a message that does not fit into a ring entry.
const LARGE: usize = 40;

/// A node that sends on `out` in this memory, with one reader if there is one.
fn sender(name: &str, memory: &Memory, reader: Option<(&Node, &Arc<OwnedFd>)>) -> Node {
    let mut node = Node::new(name);
    node.output("out", memory);
    if let Some((reader, edge)) = reader {
        node.read_by(0, reader, "in", edge);
    }
    node
}

fn out(node: &mut RtNode) -> Out<u64> {
    node.output::<u64>("out", LARGE).unwrap()
}

fn send(node: &mut RtNode, to: &Out<u64>, number: u64) {
    node.send(to, &[number; LARGE]).unwrap();
}

/// Numbers that are there, and the events between them.
fn read_all(node: &mut RtNode, input: &In<u64>) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = node.try_next() {
        seen.push(match event {
            Event::Input(_) => {
                let view = node.read(input).unwrap();
                assert!(view.iter().all(|n| *n == view[0]), "half a message");
                view[0].to_string()
            }
            Event::Notice => format!("{:?}", node.notice().unwrap()),
            other => format!("{other:?}"),
        });
    }
    seen
}

fn text(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

#[test]
fn after_a_restart_of_its_sender_an_input_goes_on_in_order_and_without_a_word() {
    let (first, second) = (Memory::new(Edge::default()), Memory::new(Edge::default()));
    let (old, new) = (first.edge(), second.edge());
    let mut reader = Node::new("reader");
    reader.reads("in", &[(0, "a", &old, &first)], Edge::default());
    let before = sender("a", &first, Some((&reader, &old)));
    let after = sender("a", &second, Some((&reader, &new)));
    let (mut reader, daemon) = reader.join(0);
    let input = reader.input::<u64>("in").unwrap();
    let (mut a, a_daemon) = before.join(0);
    let to = out(&mut a);
    (0..3).for_each(|n| send(&mut a, &to, n));
    std::mem::forget((a, a_daemon));
    daemon.told(&mut reader, |daemon| {
        daemon.say(&ToNode::EdgeClosed { input: 0, edge: 0, sender_lives: false });
        daemon.add_edge(0, 1, "a", &new, &second);
        daemon.say(&ToNode::NodeRestarted { node: "a".parse().unwrap() });
    });
    let (mut a, _a) = after.join(0);
    let to = out(&mut a);
    (3..6).for_each(|n| send(&mut a, &to, n));
    assert!(matches!(reader.wait(), Event::Notice));
    assert!(matches!(reader.notice(), Some(Notice::NodeRestarted { node }) if node.as_str() == "a"));
    assert_eq!(read_all(&mut reader, &input), text(0..6));
    assert_eq!(daemon.status.input(0).received, 6, "the counters go on");
}

#[test]
fn what_a_sender_sends_before_it_hears_that_its_reader_leaves_arrives() {
    let memories = [0, 1].map(|_| Memory::new(Edge::default()));
    let edges = [0, 1].map(|n| memories[n].edge());
    let mut reader = Node::new("reader");
    reader.reads(
        "in",
        &[(0, "a", &edges[0], &memories[0]), (1, "b", &edges[1], &memories[1])],
        Edge::default(),
    );
    let a = sender("a", &memories[0], Some((&reader, &edges[0])));
    let ((mut reader, daemon), (mut a, a_daemon)) = (reader.join(0), a.join(0));
    let (input, to) = (reader.input::<u64>("in").unwrap(), out(&mut a));
    send(&mut a, &to, 0);
    daemon.told(&mut reader, |daemon| {
        daemon.say(&ToNode::EdgeClosed { input: 0, edge: 0, sender_lives: true });
    });
    assert_eq!(read_all(&mut reader, &input), text(0..1));
    for n in 1..4 {
        send(&mut a, &to, n);
        assert_eq!(read_all(&mut reader, &input), text(n..n + 1), "its sender has not heard of it yet");
    }
    a_daemon.told(&mut a, |daemon| daemon.say(&ToNode::ReaderLeft { output: 0, edge: 0 }));
    send(&mut a, &to, 4);
    assert_eq!(read_all(&mut reader, &input), text(0..0));
    let ledger = lockfree_ipc::EdgeView::open(edges[0].as_fd()).unwrap().ledger();
    assert_eq!((ledger.sent, ledger.taken, ledger.queued), (4, 4, 0));
}

#[test]
fn the_next_process_of_a_reader_gets_what_was_queued_and_the_sender_what_the_dead_one_held() {
    let how = Edge { queue_size: 4, ..Edge::default() };
    let memory = Memory::new(how);
    let edge = memory.edge();
    let mut first = Node::new("reader");
    let place = first.place(1, 0);
    first.reads("in", &[(0, "a", &edge, &memory)], how);
    let (mut a, a_daemon) = sender("a", &memory, Some((&first, &edge))).join(0);
    let to = out(&mut a);
    let (mut reader, daemon) = first.join(0);
    std::mem::forget(daemon);
    let mut expected = 0;
    for restart in 0..20 {
        let input = reader.input::<u64>("in").unwrap();
        // It holds as much as a reader may, and dies with something in its queue.
        for n in 0..u64::from(MAX_HELD) {
            send(&mut a, &to, expected + n);
            assert!(matches!(reader.wait(), Event::Input(_)));
            let view = reader.read(&input).unwrap();
            assert_eq!(view[0], expected + n, "restart {restart}");
            std::mem::forget(view);
        }
        expected += u64::from(MAX_HELD);
        (expected..expected + 3).for_each(|n| send(&mut a, &to, n));
        std::mem::forget(reader);
        let head = edge::reader_died(edge.as_fd()).unwrap();
        let mut next = Node::again("reader", &place);
        next.reads("in", &[(0, "a", &edge, &memory)], how);
        let daemon;
        (reader, daemon) = next.join(0);
        std::mem::forget(daemon);
        // The new one reads before the sender hears of it.
        let input = reader.input::<u64>("in").unwrap();
        assert!(matches!(reader.wait(), Event::Input(_)));
        let first = reader.read(&input).unwrap();
        assert_eq!(first[0], expected, "what was queued is delivered");
        a_daemon.say(&ToNode::ReaderRestarted { output: 0, edge: 0, head });
        a_daemon.sync(&mut a);
        send(&mut a, &to, expected + 3);
        assert_eq!(first[..], [expected; LARGE], "the message that it looks at was overwritten");
        assert_eq!(read_all(&mut reader, &input), text(expected + 1..expected + 4));
        expected += 4;
    }
    let ledger = EdgeView::open(edge.as_fd()).unwrap().ledger();
    assert_eq!((ledger.sent, ledger.taken, ledger.overwritten), (expected, expected, 0));
    assert_eq!(a_daemon.status.output(0).no_slot, 0, "slots were lost");
}

#[test]
fn senders_of_one_input_are_interleaved_as_they_sent_and_it_closes_when_all_are_told_and_drained() {
    let memories = [(); 3].map(|()| Memory::new(Edge::default()));
    let edges = [0, 1, 2].map(|n| memories[n].edge());
    let names = ["a", "b", "c"];
    let mut reader = Node::new("reader");
    let wired: Vec<_> = (0..3).map(|n| (n as u32, names[n], &edges[n], &memories[n])).collect();
    reader.reads("in", &wired, Edge::default());
    let mut senders: Vec<(RtNode, Daemon)> =
        (0..3).map(|n| sender(names[n], &memories[n], Some((&reader, &edges[n]))).join(0)).collect();
    let (mut reader, daemon) = reader.join(0);
    let input = reader.input::<u64>("in").unwrap();
    for n in 0..12u64 {
        let node = &mut senders[[0, 0, 2, 1][n as usize % 4]].0;
        let to = out(node);
        send(node, &to, n);
    }
    daemon.told(&mut reader, |daemon| {
        for (input, edge) in [(0, 0), (0, 2), (0, 7), (9, 0)] {
            daemon.say(&ToNode::EdgeClosed { input, edge, sender_lives: false });
        }
    });
    assert_eq!(read_all(&mut reader, &input), text(0..12), "arrival order, and no closing yet");
    let to = out(&mut senders[1].0);
    send(&mut senders[1].0, &to, 12);
    daemon.say(&ToNode::InputClosed { input: 0 });
    assert!(matches!(reader.wait(), Event::Input(_)));
    assert_eq!(reader.wait(), Event::InputClosed(input.id()));
    assert_eq!(reader.wait(), Event::Stop(StopCause::AllInputsClosed));
}

#[test]
fn a_closed_input_opens_again_with_a_new_edge_and_says_so() {
    let (one, two) = (Memory::new(Edge::default()), Memory::new(Edge::default()));
    let (old, other, new) = (one.edge(), one.edge(), two.edge());
    let mut reader = Node::new("reader");
    reader.reads(
        "in",
        &[(0, "a", &old, &one)],
        Edge { timeout_ns: Some(3600 * 1000 * MS), ..Edge::default() },
    );
    reader.reads("stays", &[(0, "a", &other, &one)], Edge::default());
    let b = sender("b", &two, Some((&reader, &new)));
    let (mut reader, daemon) = reader.join(0);
    let input = reader.input::<u64>("in").unwrap();
    daemon.say(&ToNode::InputClosed { input: 0 });
    assert_eq!(reader.wait(), Event::InputClosed(input.id()));
    daemon.add_edge(0, 1, "b", &new, &two);
    assert_eq!(reader.wait(), Event::InputRecovered(input.id()));
    let (mut b, _b) = b.join(0);
    let to = out(&mut b);
    send(&mut b, &to, 7);
    assert_eq!(read_all(&mut reader, &input), ["7"]);
    daemon.say(&ToNode::InputClosed { input: 0 });
    assert_eq!(reader.wait(), Event::InputClosed(input.id()));
    daemon.say(&ToNode::InputClosed { input: 1 });
    assert!(matches!(reader.wait(), Event::InputClosed(_)));
    assert_eq!(reader.wait(), Event::Stop(StopCause::AllInputsClosed));
    // That was the end.
    let late = two.edge();
    daemon.add_edge(0, 2, "b", &late, &two);
    daemon.say(&ToNode::ParamDeleted { key: "all said".into() });
    while reader.wait() != Event::Notice {}
    assert_eq!(reader.wait(), Event::Closed);
}

#[test]
fn an_edge_that_comes_before_the_closing_is_given_out_prevents_it() {
    let (one, two) = (Memory::new(Edge::default()), Memory::new(Edge::default()));
    let (old, new) = (one.edge(), two.edge());
    let mut reader = Node::new("reader");
    reader.reads("in", &[(0, "a", &old, &one)], Edge::default());
    let a = sender("a", &one, Some((&reader, &old)));
    let b = sender("b", &two, Some((&reader, &new)));
    let ((mut reader, daemon), (mut a, _a), (mut b, _b)) = (reader.join(0), a.join(0), b.join(0));
    let (to_a, to_b) = (out(&mut a), out(&mut b));
    send(&mut a, &to_a, 0);
    let input = reader.input::<u64>("in").unwrap();
    daemon.told(&mut reader, |daemon| {
        daemon.say(&ToNode::InputClosed { input: 0 });
        daemon.add_edge(0, 1, "b", &new, &two);
    });
    send(&mut b, &to_b, 1);
    let seen = read_all(&mut reader, &input);
    assert_eq!(seen, ["0", "1"]);
}

#[test]
fn an_input_that_is_added_is_known_by_name_and_counted_and_the_seventeenth_is_refused() {
    let memory = Memory::new(Edge::default());
    let edge = memory.edge();
    let node = Node::new("reader").timer("tick", 3600 * 1000 * MS);
    let bell = lockfree_ipc::Doorbell::open(node.fds[0].try_clone().unwrap(), None).unwrap();
    let (mut node, daemon) = node.join(monotonic_ns());
    let edges = |closed| dora_protocol::node_link::InputEdge {
        number: 0,
        sender: Some("a".parse().unwrap()),
        edge: 0,
        arena: 1,
        closed,
    };
    let source = InputSource::Edges { edges: vec![edges(false)] };
    daemon
        .give(&ToNode::InputAdded { input: wiring("late", source, Edge::default()) }, &[&edge, &memory.read]);
    daemon.give(
        &ToNode::InputAdded { input: wiring("clock", InputSource::Timer { period_ns: MS }, Edge::default()) },
        &[],
    );
    let Event::Tick(tick) = node.wait() else { panic!("the new timer ticks") };
    assert_eq!((tick.input.index(), node.input_name(tick.input)), (2, Some("clock")));
    assert!(tick == node.timer("clock").unwrap());
    let late = node.input::<u64>("late").unwrap();
    assert_eq!(node.input_name(late.id()), Some("late"));
    assert!(node.input::<u64>("later").unwrap_err().to_string().contains("`tick`, `late`, `clock`"));
    let mut publisher = lockfree_ipc::Publisher::open(memory.write.try_clone().unwrap(), None, None).unwrap();
    publisher.add_edge(0, edge.try_clone().unwrap(), bell).unwrap();
    let loan = publisher.loan(8, 0).unwrap();
    publisher.send(
        loan,
        &lockfree_ipc::Header { type_id: dora_protocol::wire_type::UINT64, ..Default::default() },
    );
    while !matches!(node.wait(), Event::Input(id) if id == late) {}
    assert_eq!(node.read(&late).unwrap()[..], [0]);
    assert_eq!(daemon.status.input(1).received, 1);
    for n in 2..=16 {
        let closed = wiring(&format!("n{n}"), InputSource::Edges { edges: Vec::new() }, Edge::default());
        daemon.say(&ToNode::InputAdded { input: closed });
    }
    let told = daemon.hear();
    let Some(ToDaemon::EdgeBroken { input: Some((17, 0)), reason, .. }) = told else { panic!("{told:?}") };
    assert!(reason.contains("room for 17") && reason.contains("`n16`"), "{reason}");
}

#[test]
fn a_timeout_of_an_input_looks_at_all_its_edges_and_is_counted_with_its_end() {
    let how = Edge { timeout_ns: Some(20 * MS), ..Edge::default() };
    let memories = [Memory::new(how), Memory::new(how)];
    let edges = [memories[0].edge(), memories[1].edge()];
    let mut reader = Node::new("reader");
    reader.reads("in", &[(0, "a", &edges[0], &memories[0])], how);
    let a = sender("a", &memories[0], Some((&reader, &edges[0])));
    let b = sender("b", &memories[1], Some((&reader, &edges[1])));
    let ((mut reader, daemon), (mut a, _a), (mut b, _b)) = (reader.join(0), a.join(0), b.join(0));
    let (to_a, to_b) = (out(&mut a), out(&mut b));
    send(&mut a, &to_a, 0);
    assert!(matches!(reader.wait(), Event::Input(_)));
    assert!(matches!(reader.wait(), Event::InputTimedOut(_)));
    assert!(daemon.status.input(0).tripped);
    // The sender comes again with another process: silence until its first message.
    daemon.say(&ToNode::EdgeClosed { input: 0, edge: 0, sender_lives: false });
    daemon.add_edge(0, 1, "b", &edges[1], &memories[1]);
    daemon.sync(&mut reader);
    assert_eq!(reader.try_next(), None);
    send(&mut b, &to_b, 1);
    assert!(matches!(reader.wait(), Event::Input(_)));
    assert!(matches!(reader.wait(), Event::InputRecovered(_)));
    let seen = daemon.status.input(0);
    assert_eq!((seen.timeouts, seen.recoveries, seen.tripped), (1, 1, false));
    // Closed for good while it is timed out: that was its end already.
    assert!(matches!(reader.wait(), Event::InputTimedOut(_)));
    daemon.say(&ToNode::InputClosed { input: 0 });
    assert_eq!(reader.wait(), Event::Stop(StopCause::AllInputsClosed));
    assert!(!daemon.status.input(0).tripped);
}

#[test]
fn a_reader_that_is_added_gets_later_messages_only_and_one_that_leaves_keeps_what_it_has() {
    let how = Edge { queue_size: 2, ..Edge::default() };
    let memory = Memory::new(how);
    let edge = memory.edge();
    let mut reader = Node::new("reader");
    let place = reader.fds.clone();
    reader.reads("in", &[(3, "a", &edge, &memory)], how);
    let (mut a, a_daemon) = sender("a", &memory, None).join(0);
    let to = out(&mut a);
    send(&mut a, &to, 0);
    let (mut reader, _daemon) = reader.join(0);
    a_daemon.add_reader(0, 3, &edge, &place);
    a_daemon.sync(&mut a);
    (1..3).for_each(|n| send(&mut a, &to, n));
    let input = reader.input::<u64>("in").unwrap();
    assert!(matches!(reader.wait(), Event::Input(_)));
    let held = reader.read(&input).unwrap();
    assert_eq!(held[0], 1, "what was sent before is not replayed");
    a_daemon.say(&ToNode::ReaderLeft { output: 0, edge: 3 });
    a_daemon.sync(&mut a);
    (3..1000).for_each(|n| send(&mut a, &to, n));
    assert_eq!(held[..], [1; LARGE], "overwritten while the reader looks at it");
    assert_eq!(read_all(&mut reader, &input), ["2"], "nothing comes after it was disconnected");
    a_daemon.say(&ToNode::ReaderGone { output: 0, edge: 3 });
    a_daemon.say(&ToNode::ReaderGone { output: 0, edge: 99 });
    a_daemon.say(&ToNode::ReaderRestarted { output: 5, edge: 0, head: 1 });
    a_daemon.sync(&mut a);
    send(&mut a, &to, 1000);
}

#[test]
fn wiring_that_cannot_be_opened_is_reported_and_changes_nothing() {
    let memory = Memory::new(Edge::default());
    let foreign = Memory::new(Edge { queue_size: 1000, ..Edge::default() });
    let (edge, other) = (memory.edge(), foreign.edge());
    let mut reader = Node::new("reader");
    let place = reader.fds.clone();
    reader.reads("in", &[(0, "a", &edge, &memory)], Edge::default());
    let (mut a, a_daemon) = sender("a", &memory, Some((&reader, &edge))).join(0);
    let (mut reader, daemon) = reader.join(0);
    // Another arena's edge; no descriptors at all.
    daemon.add_edge(0, 1, "b", &other, &memory);
    let told = daemon.hear();
    assert!(matches!(&told, Some(ToDaemon::EdgeBroken { input: Some((0, 1)), .. })), "{told:?}");
    let bare = dora_protocol::node_link::OutputEdge {
        number: 4,
        receiver: "reader".parse().unwrap(),
        input: "in".into(),
        edge: 0,
        doorbell: 1,
        eventfd: 2,
    };
    a_daemon.say(&ToNode::ReaderAdded { output: 0, edge: bare });
    let Some(ToDaemon::EdgeBroken { output: Some((0, 4)), reason, .. }) = a_daemon.hear() else { panic!() };
    assert!(reason.contains("`reader/in`") && reason.contains("descriptor"), "{reason}");
    a_daemon.add_reader(0, 5, &other, &place);
    a_daemon.sync(&mut a);
    let to = out(&mut a);
    send(&mut a, &to, 1);
    let told = a_daemon.hear();
    assert!(matches!(&told, Some(ToDaemon::EdgeBroken { output: Some((0, 5)), .. })), "{told:?}");
    // A read position that nobody can have reached: the dead reader wrote it.
    a_daemon.say(&ToNode::ReaderRestarted { output: 0, edge: 0, head: u64::MAX });
    a_daemon.sync(&mut a);
    let input = reader.input::<u64>("in").unwrap();
    assert_eq!(read_all(&mut reader, &input), ["1"]);
    send(&mut a, &to, 2);
    let told = a_daemon.hear();
    assert!(matches!(&told, Some(ToDaemon::EdgeBroken { output: Some((0, 0)), .. })), "{told:?}");
}

#[test]
fn a_source_does_not_end_with_an_input_that_it_was_given_for_a_while() {
    let memory = Memory::new(Edge::default());
    let edge = memory.edge();
    let (mut node, daemon) = Node::new("source").join(0);
    let source = InputSource::Edges { edges: Vec::new() };
    daemon.say(&ToNode::InputAdded { input: wiring("in", source, Edge::default()) });
    daemon.add_edge(0, 0, "a", &edge, &memory);
    daemon.say(&ToNode::InputClosed { input: 0 });
    assert!(matches!(node.wait(), Event::InputClosed(_)));
    daemon.sync(&mut node);
    assert_eq!(node.try_next(), None);
}
