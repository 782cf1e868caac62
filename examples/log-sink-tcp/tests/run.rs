//! The dataflow as a user runs it, beside collectors that die, and with a sink that dies.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use dora_log_utils::{LogMessage, parse_log};
use rustix::process::{Pid, Signal, kill_process};

#[path = "../../support/dora.rs"]
mod dora;

/// Nothing takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address of this machine that nobody else listens on.
fn own_address(last: u8) -> SocketAddr {
    let [.., a, b] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, a.max(1), b, last);
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    listener.local_addr().expect("bound")
}

fn run(name: &str, env: &[String]) -> dora::Run {
    let arguments: Vec<&str> = env.iter().flat_map(|pair| ["--env", pair]).collect();
    dora::run(env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_log-sink-tcp"), name, &arguments)
}

/// One life of a collector.
struct Collector {
    lines: BufReader<TcpStream>,
}

impl Collector {
    fn accept(listener: &TcpListener) -> Self {
        listener.set_nonblocking(true).expect("a socket");
        let begin = Instant::now();
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "nobody connects: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        stream.set_nonblocking(false).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { lines: BufReader::new(stream) }
    }

    /// The next message; `None` at the end of the connection.
    fn next(&mut self) -> Option<LogMessage> {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the sink goes on sending");
        (!line.is_empty()).then(|| parse_log(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The numbers of the readings in the next lines, `count` of them or until the end of the connection.
    fn readings(&mut self, count: usize) -> Vec<u64> {
        std::iter::from_fn(|| self.next()).filter_map(|message| reading(&message)).take(count).collect()
    }
}

fn reading(message: &LogMessage) -> Option<u64> {
    (message.node_id.as_deref() == Some("sensor")).then_some(())?;
    message.fields.as_ref()?.get("n")?.as_str()?.parse().ok()
}

/// The process of the sink with this address, and its parent, which is `dora`.
fn processes(address: SocketAddr) -> (Pid, Pid) {
    let wanted = format!("SINK_ADDR={address}");
    let found = fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let program = fs::read_link(entry.path().join("exe")).ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let ours = environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes());
        (ours && program.file_name()? == "log-sink-tcp").then_some(())?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())?;
        Some((Pid::from_raw(pid)?, Pid::from_raw(parent)?))
    });
    found.expect("the sink runs")
}

/// Each is the one before plus one.
fn is_complete(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[test]
fn collector_and_sink_may_be_killed_and_the_lines_go_on_in_order() {
    let address = own_address(1);
    let listener = TcpListener::bind(address).expect("the port is still free");
    let env = [format!("SINK_ADDR={address}"), "LINES=100000000".to_owned()];
    let running = thread::spawn(move || run("log-sink-tcp", &env));
    let mut first = Collector::accept(&listener);
    let before = first.readings(20);
    assert_eq!(before, (1..=20).collect::<Vec<_>>());
    drop((first, listener));

    // Long enough for more than one attempt in vain.
    thread::sleep(Duration::from_millis(500));
    let listener = TcpListener::bind(address).expect("the port of the former collector");
    let mut second = Collector::accept(&listener);
    let after = second.readings(50);
    assert!(after.len() == 50 && is_complete(&after), "{after:?}");
    assert!(after[0] > 20, "no line comes twice: {after:?}");

    let (sink, dora) = processes(address);
    kill_process(sink, Signal::KILL).expect("the sink runs");
    let mut third = Collector::accept(&listener);
    let later = third.readings(20);
    assert!(later.len() == 20 && is_complete(&later) && later[0] > after[49], "{after:?} {later:?}");

    kill_process(dora, Signal::INT).expect("dora runs");
    let rest = third.readings(usize::MAX);
    assert!(is_complete(&rest) && rest.first().is_none_or(|first| *first == later[19] + 1), "{rest:?}");
    let run = running.join().expect("no panic");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(run.row("nodes", "node", "sink")["restarts"], 1, "{run:#?}");
    let end = run.line("sink", "sent ").unwrap_or_default();
    assert!(end.ends_with("over 1 connections, dropped 0"), "of the second process: {end}");
}

#[test]
fn without_a_collector_nothing_waits_and_what_has_no_room_is_counted() {
    let address = own_address(2);
    let env = [format!("SINK_ADDR={address}"), "LINES=100".to_owned(), "SINK_BUFFER=10".to_owned()];
    let run = run("log-sink-tcp-alone", &env);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let edge = run.row("edges", "to", "sink/logs");
    assert_eq!(edge["sent"], edge["taken"], "the sink takes every line: {edge}");
    // 100 readings and the line before them.
    assert_eq!(
        run.line("sink", "sent "),
        Some("sink: sent 0 lines over 0 connections, dropped 101"),
        "{run:#?}"
    );
}
