//! The thread that writes to the collector, and gets up again whenever the connection is gone.
//!
//! A line counts as sent when the kernel has taken it. What was in its hands when the collector died is lost without
//! being noticed, as always with TCP; a line whose writing failed is sent again as the first of the next connection.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use dora_log_utils::{LogMessage, format_json, plain_log};

use crate::buffer::{Batch, Buffer};

/// Between two attempts to connect; twice as long after each that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for a connection, and for a collector that reads nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// For the collector to take what is left when the dataflow has ended.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    /// Nobody took them until the end.
    pub(crate) left: u64,
}

/// Starts the thread. It ends soon after the buffer was closed.
///
/// # Errors
/// What the kernel says about a new thread.
pub(crate) fn start(own_id: String, address: String, buffer: Arc<Buffer>) -> io::Result<JoinHandle<Counts>> {
    let mut sender = Sender { own_id, address, buffer, connection: None, counts: Counts::default() };
    thread::Builder::new().name("sender".to_owned()).spawn(move || {
        while let Some(batch) = sender.buffer.take() {
            sender.send(&batch);
        }
        sender.counts
    })
}

struct Sender {
    own_id: String,
    address: String,
    buffer: Arc<Buffer>,
    connection: Option<TcpStream>,
    counts: Counts,
}

impl Sender {
    fn send(&mut self, batch: &Batch) {
        if self.connection.as_mut().is_some_and(is_gone) {
            self.connection = None;
        }
        if batch.gap > 0 {
            // Not one of the lines that are counted.
            self.deliver(&gap_line(&self.own_id, batch.gap));
        }
        for line in &batch.lines {
            if self.deliver(line) {
                self.counts.sent += 1;
            } else {
                self.counts.left += 1;
            }
        }
    }

    /// Writes one line, to as many connections as it takes. `false` when the last chance is over.
    fn deliver(&mut self, line: &str) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(connection) = &mut self.connection {
                if connection.write_all(format!("{line}\n").as_bytes()).is_ok() {
                    return true;
                }
                self.connection = None;
            }
            if self.buffer.closed_for().is_some_and(|time| time >= LAST_CHANCE) {
                return false;
            }
            match connect(&self.address) {
                Ok(connection) => {
                    self.counts.connections += 1;
                    self.connection = Some(connection);
                }
                Err(_) => {
                    self.buffer.pause(pause);
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the address names no machine");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(connection) => {
                // A collector that reads nothing is as good as none.
                connection.set_write_timeout(Some(PATIENCE))?;
                return Ok(connection);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Has the collector closed the connection? Without looking, the first line after that would be written into the void.
fn is_gone(connection: &mut TcpStream) -> bool {
    let mut unasked = [0; 64];
    if connection.set_nonblocking(true).is_err() {
        return true;
    }
    let gone = loop {
        match connection.read(&mut unasked) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
        }
    };
    gone || connection.set_nonblocking(false).is_err()
}

fn gap_line(own_id: &str, gap: u64) -> String {
    let message = LogMessage {
        node_id: Some(own_id.to_owned()),
        level: "WARN".to_owned(),
        fields: Some([("dropped".to_owned(), gap.into())].into()),
        ..plain_log(&format!("{gap} lines are missing here: nobody took them in time"))
    };
    format_json(&message)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
    };

    use dora_log_utils::parse_log;

    use super::*;
    use crate::buffer::Limits;

    #[test]
    fn a_collector_that_comes_late_is_told_what_it_missed_and_gets_the_rest() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let buffer = Arc::new(Buffer::new(Limits { lines: 2, bytes: 1000 }));
        ["a", "b", "c"].iter().for_each(|line| buffer.push((*line).to_owned()));
        let sender = start("sink".to_owned(), address, buffer.clone()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(connection).lines().map(Result::unwrap);
        let gap = parse_log(&lines.next().unwrap()).unwrap();
        assert_eq!((gap.level.as_str(), &gap.fields.unwrap()["dropped"]), ("WARN", &1.into()));
        buffer.close();
        assert_eq!(lines.collect::<Vec<_>>(), ["b", "c"]);
        let counts = sender.join().unwrap();
        assert_eq!((counts.sent, counts.connections, counts.left, buffer.dropped()), (2, 1, 0, 1));
    }

    #[test]
    fn when_nobody_comes_until_the_end_what_is_left_is_counted() {
        let nobody = "127.0.0.1:1".to_owned();
        let buffer = Arc::new(Buffer::new(Limits { lines: 10, bytes: 1000 }));
        ["a", "b"].iter().for_each(|line| buffer.push((*line).to_owned()));
        buffer.close();
        let counts = start("sink".to_owned(), nobody, buffer).unwrap().join().unwrap();
        assert_eq!((counts.sent, counts.connections, counts.left), (0, 0, 2));
    }
}
