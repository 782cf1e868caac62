//! What nodes print: captured, read, filtered, written to a file, shown.
//!
//! ```text
//!   stdout ─┐                     ┌─ raw ──────────────► send_stdout_as
//!           ├─ lines ── parse ────┤
//!   stderr ─┘                     └─ min_log_level ────► send_logs_as, dora/logs ► file ► display
//! ```
//!
//! One task per node, asleep while the node is silent. The only timer is that of a file with unwritten lines, at
//! most [`FLUSH`] ahead. Nothing here waits for a reader: the display and the data feeds drop and count.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::Utc;
use dora_protocol::{NodeId, log::LogLevel};
use tokio::{
    net::unix::pipe::Receiver,
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    feeds::Feeds,
    log_file::LogFile,
    log_line::{Origin, Splitter, parse},
    node_state::ProcessId,
    options::RunEvent,
    supervisor::Fact,
};

/// Unwritten lines get no older than this.
const FLUSH: Duration = Duration::from_secs(1);
/// Lines of standard error kept for the report of a failure.
const TAIL: usize = 10;
/// Characters of each.
const TAIL_WIDTH: usize = 500;

/// Where everything that is shown goes. Never waits: what the reader is too slow for is counted.
pub(crate) struct Display {
    events: mpsc::Sender<RunEvent>,
    dropped: AtomicU64,
}

impl Display {
    pub(crate) fn new(events: mpsc::Sender<RunEvent>) -> Self {
        Self { events, dropped: AtomicU64::new(0) }
    }

    pub(crate) fn send(&self, event: RunEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            self.dropped.fetch_add(1, Ordering::Relaxed); // a plain count; nothing is ordered by it
        }
    }

    /// A sentence of dora's own.
    pub(crate) fn system(&self, level: LogLevel, node: Option<&NodeId>, text: impl Into<String>) {
        let node = node.map(ToString::to_string);
        self.send(RunEvent::System { level, node, text: text.into() });
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The capture of one node.
pub(crate) struct Capture {
    pub(crate) index: usize,
    pub(crate) process: ProcessId,
    pub(crate) node: NodeId,
    pub(crate) dataflow: String,
    pub(crate) min_level: LogLevel,
    pub(crate) file: LogFile,
    pub(crate) display: Arc<Display>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) tail: VecDeque<String>,
}

/// One of the two streams; `pipe` is `None` once it ended.
struct Stream {
    pipe: Option<Receiver>,
    splitter: Splitter,
    name: &'static str,
}

impl Stream {
    fn new(fd: OwnedFd, name: &'static str) -> io::Result<Self> {
        Ok(Self { pipe: Some(Receiver::from_owned_fd(fd)?), splitter: Splitter::default(), name })
    }

    /// Never ready when the stream has ended.
    async fn readable(&self) {
        match &self.pipe {
            Some(pipe) if pipe.readable().await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }
}

impl Capture {
    /// Captures until `finish` is resolved, then takes what is in the pipes at that moment and ends: a grandchild
    /// that still holds a pipe open does not keep us.
    pub(crate) async fn run(
        mut self,
        stdout: OwnedFd,
        stderr: OwnedFd,
        mut finish: oneshot::Receiver<()>,
        facts: mpsc::Sender<Fact>,
    ) {
        if let (Ok(mut out), Ok(mut err)) = (Stream::new(stdout, "stdout"), Stream::new(stderr, "stderr")) {
            let mut buffer = vec![0; 64 << 10];
            let mut flush_at: Option<Instant> = None;
            loop {
                let due = flush_at.unwrap_or_else(Instant::now);
                tokio::select! {
                    biased;
                    // First, so that something that never stops printing cannot keep us from it.
                    _ = &mut finish => break,
                    () = tokio::time::sleep_until(due), if flush_at.is_some() => self.file.flush(),
                    () = out.readable() => self.read_some(&mut out, &mut buffer),
                    () = err.readable() => self.read_some(&mut err, &mut buffer),
                }
                flush_at = self.file.is_dirty().then(|| flush_at.unwrap_or_else(|| Instant::now() + FLUSH));
            }
            for stream in [&mut out, &mut err] {
                self.drain(stream, &mut buffer);
            }
        } else {
            drop(finish.await);
        }
        self.file.flush();
        if self.file.lost() > 0 {
            let text = format!("{} log lines could not be written to its file", self.file.lost());
            self.display.system(LogLevel::Warn, Some(&self.node), text);
        }
        let tail = std::mem::take(&mut self.tail).into();
        // The supervisor is gone when the run was dropped; then nobody asks.
        drop(facts.send(Fact::LogsDone { process: self.process, tail }).await);
    }

    fn read_some(&mut self, stream: &mut Stream, buffer: &mut [u8]) {
        let Some(pipe) = &stream.pipe else { return };
        match pipe.try_read(buffer) {
            Ok(0) => stream.pipe = None,
            Ok(n) => {
                let name = stream.name;
                stream.splitter.push(&buffer[..n], |line| self.line(&line, name));
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => stream.pipe = None,
        }
    }

    /// Takes what is there now, at most 16 MB of it: who still writes is no longer our node.
    fn drain(&mut self, stream: &mut Stream, buffer: &mut [u8]) {
        use std::io::Read;
        let name = stream.name;
        // Past tokio, which may not have noticed yet that there is something.
        if let Some(mut file) =
            stream.pipe.take().and_then(|p| p.into_nonblocking_fd().ok()).map(std::fs::File::from)
        {
            for _ in 0..256 {
                match file.read(buffer) {
                    Ok(0) => break,
                    Ok(n) => stream.splitter.push(&buffer[..n], |line| self.line(&line, name)),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
        let mut last = None;
        stream.splitter.finish(|line| last = Some(line));
        if let Some(line) = last {
            self.line(&line, name);
        }
    }

    fn line(&mut self, text: &str, stream: &'static str) {
        if stream == "stderr" {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(text.chars().take(TAIL_WIDTH).collect());
        }
        let origin = Origin { dataflow: &self.dataflow, node: self.node.as_str() };
        let line = parse(text, &origin, Utc::now());
        let kept = self.min_level.passes(line.level);
        self.feeds.publish(self.index, &self.node, text, &line, kept);
        if !kept {
            return;
        }
        self.file.append(&line.message, line.level.as_str(), stream);
        if line.level == LogLevel::Error {
            self.file.flush();
        }
        self.display.send(RunEvent::Log { level: line.level, message: line.message });
    }
}
