//! Edges and inputs that come while the node runs, as the familiar API shows them.

use super::*;

/// Lets `sender` send on a further edge, and gives what `reader` must be told: the edge, and its memory.
fn another_edge(sender: &Daemon, reader: &Daemon) -> (InputEdge, OwnedFd) {
    let edge = edge::create(&spec()).unwrap();
    let id: crate::dora_core::config::NodeId = "other".parse().unwrap();
    let out =
        OutputEdge { number: 1, receiver: id.clone(), input: "in".into(), edge: 0, doorbell: 1, eventfd: 2 };
    let fds = [edge.as_fd(), reader.fds[0].as_fd(), reader.fds[1].as_fd()];
    sender.tell(&ToNode::ReaderAdded { output: 0, edge: out }, &fds);
    (InputEdge { number: 1, sender: Some(id), edge: 0, arena: 1, closed: false }, edge)
}

#[test]
fn senders_of_one_input_each_have_types_of_their_own() {
    let (mut a, mut events, a_daemon) = joined(false);
    let (mut b, mut b_events, b_daemon) = joined(false);
    let (wired, edge) = another_edge(&b_daemon, &a_daemon);
    a_daemon.tell(&ToNode::EdgeAdded { input: 0, edge: wired }, &[edge.as_fd(), b_daemon.fds[4].as_fd()]);
    // Both say when they have taken it in.
    for (events, daemon) in [(&mut events, &a_daemon), (&mut b_events, &b_daemon)] {
        daemon.tell(&ToNode::ParamDeleted { key: "said".into() }, NONE);
        assert!(matches!(events.recv(), Some(Event::ParamDeleted { .. })));
    }
    // Types that are no well-known ones get a number of the sender's; these get the same.
    let array = |json: &Value| crate::integration_testing::json::to_array(json, None).unwrap();
    let of_a = array(&json!([{"x": 1}, {"x": 2}]));
    let of_b = array(&json!([{"name": "long enough not to travel in the ring"}, {"name": "and for a slot"}]));
    for _ in 0..3 {
        for (node, sent) in [(&mut a, &of_a), (&mut b, &of_b)] {
            let sent = dora_arrow_codec::internal::wrap(sent.clone());
            node.send_output("out".into(), MetadataParameters::new(), sent.clone()).unwrap();
            let found = dora_arrow_codec::internal::to_data(&received(&mut events).1);
            assert_eq!(found, dora_arrow_codec::internal::to_data(&sent));
        }
    }
}

#[test]
fn inputs_that_are_added_closed_and_connected_again_are_known_by_name() {
    let (_a, mut events, daemon) = joined(false);
    let (mut b, mut b_events, b_daemon) = joined(false);
    let (wired, edge) = another_edge(&b_daemon, &daemon);
    let fds = [edge.as_fd(), b_daemon.fds[4].as_fd()];
    let mut late = setup(false).0.inputs.remove(0);
    (late.id, late.source) = ("late".into(), InputSource::Edges { edges: vec![wired] });
    daemon.tell(&ToNode::InputAdded { input: late }, &fds);
    b_daemon.tell(&ToNode::ParamDeleted { key: "said".into() }, NONE);
    assert!(matches!(b_events.recv(), Some(Event::ParamDeleted { .. })));
    b.send_output("out".into(), MetadataParameters::new(), 1u8).unwrap();
    assert!(matches!(events.recv(), Some(Event::Input { id, .. }) if id.as_str() == "late"));
    daemon.tell(&ToNode::InputClosed { input: 1 }, NONE);
    assert!(matches!(events.recv(), Some(Event::InputClosed { id }) if id.as_str() == "late"));
    let (wired, edge) = another_edge(&b_daemon, &daemon);
    let fds = [edge.as_fd(), b_daemon.fds[4].as_fd()];
    daemon.tell(&ToNode::EdgeAdded { input: 1, edge: wired }, &fds);
    assert!(matches!(events.recv(), Some(Event::InputRecovered { id }) if id.as_str() == "late"));
    // The one that feeds it now is waited for by its name.
    daemon.tell(&ToNode::InputClosed { input: 1 }, NONE);
    let server = "other".parse().unwrap();
    let reply = events.recv_action_result("id", &server, Duration::from_secs(60));
    assert_eq!(futures::executor::block_on(reply).unwrap_err(), PatternError::ServerGone("other".into()));
}
