//! What the test nodes of `node_lifecycle` do.

use std::{io::Write, time::Duration};

use dora_protocol::node_link::{ExtensionCall, ToDaemon, ToNode, VERSION};
use lockfree_ipc::{Doorbell, clock};

use crate::support::node::{TestNode, hear, hello, say, send, socket};

/// Returns when the node has ended in good order.
pub(crate) fn play(role: &str) {
    match role {
        "sender" => {
            let (mut node, _) = TestNode::connect();
            let status = node.status();
            let mut publisher = node.publisher(0);
            for n in 0..100u8 {
                send(&mut publisher, &[n; 3]);
                status.output(0).sent(3, true);
            }
            say(&node.socket, &ToDaemon::OutputsClosed { outputs: vec![0] });
            node.print_frames(|text| text.starts_with("reader gone"));
            say(&node.socket, &ToDaemon::Done);
        }
        "receiver" => receive(),
        "listener" => {
            let (node, _) = TestNode::connect();
            node.print_frames(|text| text.starts_with("closed") || text == "stop");
        }
        "speaker" => {
            let (mut node, _) = TestNode::connect();
            let mut publisher = node.publisher(0);
            send(&mut publisher, b"x");
            println!("pid {}", std::process::id());
            node.print_frames(|_| false);
        }
        "exits at once" => {
            eprintln!("no camera found");
            std::process::exit(3);
        }
        "never connects" => std::thread::sleep(Duration::from_secs(1000)),
        "garbage" => {
            let (node, _) = TestNode::connect();
            std::fs::File::from(node.socket.try_clone().unwrap()).write_all(&[0xff; 64]).unwrap();
            std::thread::sleep(Duration::from_secs(1000));
        }
        "wrong version" => {
            let socket = socket();
            say(&socket, &hello(VERSION + 1));
            match hear(&socket) {
                Some((ToNode::Refused { reason }, _)) => println!("refused: {reason}"),
                other => panic!("{other:?}"),
            }
            std::process::exit(1);
        }
        "deaf" => {
            ignore_sigterm();
            let (_node, _) = TestNode::connect();
            println!("pid {}", std::process::id());
            println!("running");
            std::thread::sleep(Duration::from_secs(1000));
        }
        "talker" => talk(),
        "talks to the end" => {
            let (node, _) = TestNode::connect();
            println!("first");
            say(&node.socket, &ToDaemon::OutputsClosed { outputs: vec![0] });
            say(&node.socket, &ToDaemon::Done);
            std::thread::sleep(Duration::from_millis(400));
            println!("last words");
        }
        "storer" => {
            let (node, _) = TestNode::connect();
            let call = ExtensionCall::Store { ns: "n".into(), key: "k".into(), value: vec![7] };
            say(&node.socket, &ToDaemon::Extension { request: 1, call });
            node.print_frames(|text| text.starts_with("reply"));
            say(&node.socket, &ToDaemon::OutputsClosed { outputs: vec![0] });
            node.print_frames(|text| text == "stop" || text.starts_with("reader"));
        }
        "fails when told" => {
            let (node, _) = TestNode::connect();
            node.print_frames(|text| text.starts_with("failed"));
            std::process::exit(9);
        }
        "hangs when told" => {
            let (node, _) = TestNode::connect();
            node.print_frames(|text| text.starts_with("failed"));
            println!("running");
            std::thread::sleep(Duration::from_secs(1000));
        }
        "exits in order" => {
            let (node, _) = TestNode::connect();
            say(&node.socket, &ToDaemon::Done);
        }
        "lingers" => {
            let (node, _) = TestNode::connect();
            node.print_frames(|text| text == "stop");
        }
        "prints what it reads" => {
            let (mut node, _) = TestNode::connect();
            let mut subscriber = node.subscriber(0);
            node.print_frames(|text| text.starts_with("closed"));
            while let Some(sample) = subscriber.take().unwrap() {
                println!("read {}", String::from_utf8_lossy(sample.payload()));
            }
        }
        "hangs in a handler" => {
            let mut node = TestNode::connect_only();
            node.status().handling(clock::monotonic_ns());
            let _node = node.ready(Vec::new());
            std::thread::sleep(Duration::from_secs(1000));
        }
        "waits" => {
            let mut node = TestNode::connect_only();
            node.status().waiting(clock::monotonic_ns());
            let (node, _) = node.ready(Vec::new());
            std::thread::sleep(Duration::from_millis(300));
            say(&node.socket, &ToDaemon::Done);
        }
        "leaves children" => {
            let (node, _) = TestNode::connect();
            for program in ["sleep", "setsid"] {
                let args: &[&str] = if program == "sleep" { &["1000"] } else { &["sleep", "1000"] };
                #[expect(clippy::zombie_processes, reason = "left behind on purpose")]
                let child = std::process::Command::new(program).args(args).spawn().unwrap();
                println!("child {}", child.id());
            }
            say(&node.socket, &ToDaemon::Done);
        }
        other => panic!("no such role: {other}"),
    }
}

fn receive() {
    let (mut node, _) = TestNode::connect();
    let status = node.status();
    let mut subscriber = node.subscriber(0);
    let (word, eventfd) = (node.fd(node.setup.doorbell), node.fd(node.setup.eventfd));
    let bell = Doorbell::open(word, Some(eventfd)).unwrap();
    let mut received = 0;
    while received < 100 {
        bell.prepare();
        match subscriber.take().unwrap() {
            Some(sample) => {
                bell.cancel();
                assert_eq!(sample.payload(), [received; 3]);
                let now = clock::monotonic_ns();
                status.input(0).received_at(now, now - sample.header().send_ns);
                received += 1;
            }
            None => {
                bell.park(None);
            }
        }
    }
    println!("received {received}");
    node.print_frames(|text| text.starts_with("closed"));
    say(&node.socket, &ToDaemon::Done);
}

fn talk() {
    let (node, _) = TestNode::connect();
    println!("plain");
    println!(
        r#"{{"level":"INFO","timestamp":"2026-01-02T03:04:05Z","message":"structured","fields":{{"a":1}}}}"#
    );
    eprintln!("to stderr");
    std::io::stdout().write_all(b"bad \xff byte\nlast without newline").unwrap();
    std::io::stdout().flush().unwrap();
    say(&node.socket, &ToDaemon::Done);
}

#[allow(unsafe_code, reason = "no safe way to ignore a signal")]
fn ignore_sigterm() {
    // SAFETY: SIG_IGN is no handler; nothing of ours runs in a signal.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}
