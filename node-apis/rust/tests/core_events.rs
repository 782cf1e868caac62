//! A node and a daemon in miniature: handshake, order of events, endings.

mod support;

use dora_node_api::rt::{Event, Notice, RtError, StopCause};
use dora_protocol::{
    node_link::{ToDaemon, ToNode},
    policy::QueuePolicy,
    rt::WaitPolicy,
};
use lockfree_ipc::{Activity, clock::monotonic_ns};
use support::{Edge, Node, wire};

const MS: u64 = 1_000_000;

fn pair(how: Edge) -> (Node, Node) {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "out", &mut b, "in", how);
    (a, b)
}

#[test]
fn messages_arrive_with_sequence_tag_and_latency_and_are_counted() {
    let (a, b) = pair(Edge::default());
    let ((mut a, a_daemon), (mut b, b_daemon)) = (a.join(0), b.join(0));
    let out = a.output::<f64>("out", 4).unwrap();
    let input = b.input::<f64>("in").unwrap();
    a.send(&out, &[1.0, 2.0]).unwrap();
    a.send_with(&out, 1, |to: &mut [f64]| to[0] = 3.0).unwrap();
    assert!(matches!(b.wait(), Event::Input(i) if i == input));
    let view = b.read(&input).unwrap();
    assert_eq!((&view[..], view.seq()), (&[1.0, 2.0][..], 0));
    assert_eq!(view.tag().time_ns, view.header().send_ns, "a source stamps its own time");
    assert_eq!(b.tag(), view.tag());
    assert_eq!(b.read(&input).unwrap_err(), RtError::NothingToRead { input: 0 });
    b.wait();
    assert_eq!(b.read(&input).unwrap()[..], [3.0]);
    assert_eq!(b.try_next(), None);
    let (sent, received) = (a_daemon.status.output(0), b_daemon.status.input(0));
    assert_eq!((sent.sent, sent.bytes, sent.copied), (2, 24, 1));
    assert_eq!((received.received, received.latency.count()), (2, 2));
    assert_eq!(sent.progress_time, view.tag().time_ns.max(sent.progress_time));
    assert!(received.first_ns > 0);
}

#[test]
fn outputs_inherit_the_tag_of_the_event_being_worked_on() {
    let (mut a, mut b, mut c) = (Node::new("a"), Node::new("b"), Node::new("c"));
    wire(&mut a, "x", &mut b, "x", Edge::default());
    wire(&mut b, "y", &mut c, "y", Edge::default());
    let ((mut a, _a), (mut b, b_daemon), (mut c, _c)) = (a.join(0), b.join(0), c.join(0));
    let (x, y) = (a.output::<u8>("x", 1).unwrap(), b.output::<u8>("y", 1).unwrap());
    a.send(&x, &[1]).unwrap();
    b.wait();
    b.send(&y, &[2]).unwrap();
    c.wait();
    assert_eq!(c.tag(), b.tag());
    assert!(c.tag().time_ns > 0);
    assert_eq!(b_daemon.status.output(0).progress_time, b.tag().time_ns);
}

#[test]
fn the_least_recently_served_input_comes_first_and_latest_skips_to_the_newest() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "x", &mut b, "x", Edge::default());
    wire(&mut a, "y", &mut b, "y", Edge::default());
    let ((mut a, _a), (mut b, _b)) = (a.join(0), b.join(0));
    let (x, y) = (a.output::<i32>("x", 1).unwrap(), a.output::<i32>("y", 1).unwrap());
    let (in_x, in_y) = (b.input::<i32>("x").unwrap(), b.input::<i32>("y").unwrap());
    for n in 0..4 {
        a.send(&x, &[n]).unwrap();
    }
    a.send(&y, &[9]).unwrap();
    assert!(matches!(b.wait(), Event::Input(i) if i == in_x));
    assert!(matches!(b.wait(), Event::Input(i) if i == in_y));
    assert!(matches!(b.wait(), Event::Input(i) if i == in_x));
    assert_eq!(b.latest(&in_x).unwrap().unwrap()[..], [3]);
    assert!(b.latest(&in_x).unwrap().is_none());
}

#[test]
fn a_busy_node_gets_one_tick_with_the_number_missed() {
    let (mut node, daemon) = Node::new("n").timer("tick", MS).join(monotonic_ns());
    let tick = node.timer("tick").unwrap();
    let Event::Tick(first) = node.wait() else { panic!("a timer needs no sender") };
    assert!(first == tick && first.nominal_ns <= monotonic_ns());
    let until = monotonic_ns() + 20 * MS;
    while monotonic_ns() < until {}
    let Event::Tick(late) = node.wait() else { panic!("a tick is due") };
    assert!(late.missed >= 18, "{late:?}");
    assert_eq!(late.count, first.count + late.missed + 1);
    assert_eq!(late.nominal_ns - first.nominal_ns, (late.count - first.count) * MS);
    let seen = daemon.status.input(0);
    assert_eq!((seen.received, seen.missed_ticks), (2, first.missed + late.missed));
    assert_eq!(node.tag().time_ns, late.nominal_ns);
}

#[test]
fn every_wait_policy_delivers_ticks_and_keeps_the_callers_deadline() {
    for wait in [WaitPolicy::Park, WaitPolicy::Spin, WaitPolicy::SpinThenPark { spin_ns: 50_000 }] {
        let (mut node, _daemon) = Node::new("n").timer("tick", 2 * MS).wait(wait).join(monotonic_ns());
        assert!(matches!(node.wait(), Event::Tick(_)), "{wait:?}");
        let (mut idle, _daemon) = Node::new("idle").wait(wait).join(0);
        let deadline = monotonic_ns() + MS;
        assert_eq!(idle.wait_until(deadline), None);
        assert!(monotonic_ns() >= deadline);
    }
}

#[test]
fn a_sleeping_node_is_woken_by_a_message_and_says_that_it_waits() {
    let (a, b) = pair(Edge::default());
    let ((mut a, _a), (mut b, b_daemon)) = (a.join(0), b.join(0));
    let out = a.output::<u8>("out", 1).unwrap();
    let reader = std::thread::spawn(move || b.wait());
    while !matches!(b_daemon.status.activity(), Activity::Waiting { .. }) {
        std::thread::yield_now();
    }
    a.send(&out, &[1]).unwrap();
    assert!(matches!(reader.join().unwrap(), Event::Input(_)));
    assert!(matches!(b_daemon.status.activity(), Activity::Done));
}

#[test]
fn the_breaker_trips_after_silence_and_recovers_after_the_next_message() {
    let (a, b) = pair(Edge { timeout_ns: Some(2 * MS), ..Edge::default() });
    let ((mut a, _a), (mut b, daemon)) = (a.join(0), b.join(0));
    let out = a.output::<u8>("out", 1).unwrap();
    assert_eq!(b.wait_until(monotonic_ns() + 5 * MS), None, "unarmed before the first message");
    a.send(&out, &[1]).unwrap();
    assert!(matches!(b.wait(), Event::Input(_)));
    assert!(matches!(b.wait(), Event::InputTimedOut(_)));
    assert_eq!(b.wait_until(monotonic_ns() + 5 * MS), None, "it trips once");
    a.send(&out, &[2]).unwrap();
    assert!(matches!(b.wait(), Event::Input(_)));
    assert!(matches!(b.wait(), Event::InputRecovered(_)));
    assert_eq!(daemon.status.input(0).timeouts, 1);
}

#[test]
fn closing_comes_after_what_is_queued_and_the_stop_after_the_last_closing() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "x", &mut b, "x", Edge::default());
    wire(&mut a, "y", &mut b, "y", Edge::default());
    let ((mut a, a_daemon), (mut b, daemon)) = (a.join(0), b.join(0));
    let x = a.output::<u8>("x", 1).unwrap();
    a.send(&x, &[1]).unwrap();
    a.send(&x, &[2]).unwrap();
    drop(a);
    assert!(matches!(a_daemon.hear(), Some(ToDaemon::OutputsClosed { outputs }) if outputs == [0, 1]));
    assert!(matches!(a_daemon.hear(), Some(ToDaemon::Done)));
    assert!(a_daemon.hear().is_none());
    let failed =
        ToNode::NodeFailed { node: "a".parse().unwrap(), error: "boom".into(), inputs: vec![0, 1, 99] };
    for message in [failed, ToNode::InputClosed { input: 0 }, ToNode::InputClosed { input: 1 }] {
        daemon.say(&message);
    }
    daemon.say(&ToNode::InputClosed { input: 77 });
    let mut seen = Vec::new();
    let mut notice = None;
    loop {
        let event = b.wait();
        if event == Event::Notice {
            notice = b.notice();
        }
        seen.push(match event {
            Event::Input(i) => format!("input {}", i.index()),
            Event::InputClosed(i) => format!("closed {}", i.index()),
            Event::Closed => break,
            other => format!("{other:?}"),
        });
    }
    let at = |what: &str| seen.iter().position(|s| s == what).unwrap();
    assert!(at("Notice") < at("closed 1") && at("Notice") < at("closed 0"), "{seen:?}");
    let inputs: Vec<usize> = (0..seen.len()).filter(|i| seen[*i] == "input 0").collect();
    assert!(inputs.len() == 2 && inputs.iter().all(|i| *i < at("closed 0")), "{seen:?}");
    assert_eq!(seen.last().unwrap(), "Stop(AllInputsClosed)");
    assert!(matches!(notice, Some(Notice::NodeFailed { inputs, .. }) if inputs.len() == 2));
}

#[test]
fn a_stop_overtakes_data_and_only_what_was_queued_follows() {
    let (a, b) = pair(Edge::default());
    let ((mut a, _a), (mut b, daemon)) = (a.join(0), b.join(0));
    let out = a.output::<u8>("out", 1).unwrap();
    a.send(&out, &[1]).unwrap();
    daemon.say(&ToNode::Stop);
    while !b.is_stopping() {
        std::thread::yield_now();
    }
    // The flag is raised before the event is posted.
    let first = std::iter::repeat_with(|| b.wait()).find(|e| !matches!(e, Event::Input(_)));
    assert_eq!(first, Some(Event::Stop(StopCause::Manual)));
    a.send(&out, &[2]).unwrap();
    let rest: Vec<Event> = std::iter::repeat_with(|| b.wait()).take_while(|e| *e != Event::Closed).collect();
    assert!(rest.len() <= 1, "{rest:?}");
    assert_eq!(b.wait(), Event::Closed);
}

#[test]
fn timers_keep_a_node_open_unless_it_shall_end_with_the_others() {
    for exit in [false, true] {
        let (_a, b) = pair(Edge::default());
        let mut b = b.timer("tick", MS);
        b.setup.exit_when_nodes_finish = exit;
        let (mut b, daemon) = b.join(monotonic_ns());
        daemon.say(&ToNode::InputClosed { input: 0 });
        while !matches!(b.wait(), Event::InputClosed(_)) {}
        let stopped = matches!(b.wait(), Event::Stop(StopCause::AllInputsClosed));
        assert_eq!(stopped, exit);
    }
}

#[test]
fn a_daemon_that_is_gone_stops_the_node() {
    let (mut node, daemon) = Node::new("n").join(0);
    drop(daemon);
    assert_eq!(node.wait(), Event::Stop(StopCause::Manual));
    assert_eq!(node.wait(), Event::Closed);
}

#[test]
fn a_full_backpressure_reader_blocks_until_it_is_declared_gone() {
    let (a, b) = pair(Edge { queue_size: 1, policy: QueuePolicy::Backpressure, ..Edge::default() });
    let ((mut a, daemon), (b, _b)) = (a.join(0), b.join(0));
    let out = a.output::<u8>("out", 1).unwrap();
    let mut sent = 0;
    let refused = loop {
        match a.try_send(&out, &[0]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RtError::WouldBlock { output: 0 });
    assert!(sent >= 100);
    let blocked = std::thread::spawn(move || {
        let result = a.send(&out, &[1]);
        (a, result)
    });
    daemon.say(&ToNode::ReaderGone { output: 0, edge: 0 });
    let (mut a, result) = blocked.join().unwrap();
    result.unwrap();
    assert!((0..1000).all(|_| a.send(&out, &[2]).is_ok()), "the slots of the dead reader came back");
    drop(b);
}

#[test]
fn a_corrupt_edge_is_closed_and_reported_and_the_others_go_on() {
    let (mut a, mut b) = (Node::new("a"), Node::new("b"));
    wire(&mut a, "x", &mut b, "x", Edge::default());
    wire(&mut a, "y", &mut b, "y", Edge::default());
    let edge_of_x = b.fds[3].clone();
    let ((mut a, _a), (mut b, daemon)) = (a.join(0), b.join(0));
    let (x, y) = (a.output::<u8>("x", 1).unwrap(), a.output::<u8>("y", 1).unwrap());
    a.send(&x, &[1]).unwrap();
    a.send(&y, &[2]).unwrap();
    // The slot number of the first entry: the low half of its first word, behind the stamp.
    let capacity = u32::from_le_bytes(read_at(&edge_of_x, 16));
    assert!(capacity.is_power_of_two());
    let words = u64::from(u32::from_le_bytes(read_at(&edge_of_x, 28)));
    let entry = lockfree_ipc::layout::edge::entries(words);
    let stride = lockfree_ipc::layout::edge::ENTRY;
    for at in 0..u64::from(capacity) {
        rustix::io::pwrite(&*edge_of_x, &(u32::MAX - 1).to_le_bytes(), entry + at * stride + 8).unwrap();
    }
    let mut closed = 0;
    let mut got_y = false;
    for _ in 0..2 {
        match b.wait() {
            Event::InputClosed(i) => closed += u32::from(i.index() == 0),
            Event::Input(i) => got_y |= i.index() == 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(closed == 1 && got_y);
    let told = daemon.hear();
    assert!(matches!(&told, Some(ToDaemon::EdgeBroken { input: Some((0, 0)), .. })), "{told:?}");
}

fn read_at(fd: &std::os::fd::OwnedFd, at: u64) -> [u8; 4] {
    let mut bytes = [0; 4];
    assert_eq!(rustix::io::pread(fd, &mut bytes, at).unwrap(), 4);
    bytes
}

#[test]
fn wrong_types_and_sizes_are_small_errors_with_a_sentence() {
    let (a, b) = pair(Edge::default());
    let ((mut a, _a), (mut b, _b)) = (a.join(0), b.join(0));
    let out = a.output::<f32>("out", 2).unwrap();
    let input = b.input::<f64>("in").unwrap();
    assert_eq!(a.send(&out, &[0.0; 3]), Err(RtError::TooLarge { output: 0 }));
    a.send(&out, &[0.0; 2]).unwrap();
    b.wait();
    let error = b.read(&input).unwrap_err();
    let text = b.describe(error);
    assert!(text.contains("Float64") && text.contains("Float32") && text.contains("`in`"), "{text}");
}

#[test]
fn an_unread_message_and_a_dropped_view_give_their_slots_back() {
    let (a, b) = pair(Edge { queue_size: 1, ..Edge::default() });
    let ((mut a, _a), (mut b, _b)) = (a.join(0), b.join(0));
    let out = a.output::<u64>("out", 1).unwrap();
    let input = b.input::<u64>("in").unwrap();
    let mut kept = None;
    for n in 0..1000 {
        a.send(&out, &[n]).unwrap();
        b.wait();
        if n % 2 == 0 {
            kept = Some(b.read(&input).unwrap());
        }
    }
    assert_eq!(kept.unwrap()[..], [998]);
}
