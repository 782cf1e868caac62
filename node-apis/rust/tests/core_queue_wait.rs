//! Queue wait, as the status page tells it: what other messages cost a message, and nothing else.

mod support;

use std::{thread, time::Duration};

use dora_node_api::rt::Event;
use support::{Edge, Node, wire};

/// A handler that is long enough to be told from everything else, however busy the machine is: waits are compared with it from below.
const HANDLER: Duration = Duration::from_millis(30);
const HANDLER_NS: u64 = 30_000_000;

#[test]
fn messages_wait_for_those_before_them_and_not_for_wake_ups_and_handlers() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "out", &mut b, "in", Edge::default());
    let ((mut a, _a), (mut b, b_daemon)) = (a.join(0), b.join(0));
    let (out, input) = (a.output::<u8>("out", 1).unwrap(), b.input::<u8>("in").unwrap());
    let mut take = |expected: u8| {
        assert!(matches!(b.wait(), Event::Input(_)));
        assert_eq!(b.read(&input).unwrap()[..], [expected]);
    };
    let waits = || b_daemon.status.input(0).queue_wait;
    // Sent long before the node asks, as if it had been in a handler: it is the next, so nothing was before it.
    a.send(&out, &[1]).unwrap();
    thread::sleep(HANDLER);
    take(1);
    assert_eq!((waits().count(), waits().max()), (1, 0));
    assert!(b_daemon.status.input(0).latency.max() >= HANDLER_NS, "its latency says when it was sent");
    // Three at once: the second waits for the handler of the first, the third for both.
    for n in [2, 3, 4] {
        a.send(&out, &[n]).unwrap();
    }
    take(2);
    assert_eq!(waits().max(), 0);
    thread::sleep(HANDLER);
    take(3);
    assert!(waits().max() >= HANDLER_NS, "{}", waits().max());
    thread::sleep(HANDLER);
    take(4);
    assert!(waits().max() >= 2 * HANDLER_NS, "{}", waits().max());
    // Sent in the handler of the last, and taken first after it.
    a.send(&out, &[5]).unwrap();
    thread::sleep(3 * HANDLER);
    let before = waits().max();
    take(5);
    assert_eq!((waits().count(), waits().max()), (5, before));
    assert_eq!(waits().percentile(50.0), 0, "three of five did not wait for others");
    assert!(waits().max() <= b_daemon.status.input(0).latency.max(), "it is a part of the latency");
}
