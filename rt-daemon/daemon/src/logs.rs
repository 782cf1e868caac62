//! What nodes print: captured, read, filtered, written to a file, shown.
//!
//! ```text
//!   stdout ─┐                     ┌─ raw ──────────────► send_stdout_as
//!           ├─ lines ── parse ────┤
//!   stderr ─┘                     └─ min_log_level ────► send_logs_as, dora/logs ► file ► display
//! ```
//!
//! One task per node, on a [thread](crate::log_thread) that does nothing else, asleep while the node is silent. A task takes
//! [`TURN`] bytes and lets the others have their turn; so nodes that print wait for each other for no longer than that.
//! The only timer is that of a file with unwritten lines, at
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
    log_thread::Pace,
    node_state::ProcessId,
    options::RunEvent,
    supervisor::Fact,
};

/// Unwritten lines get no older than this.
const FLUSH: Duration = Duration::from_secs(1);
/// Bytes of one node that are dealt with before those of others. Of empty lines it takes some 10 ms.
const TURN: usize = 8 << 10;
/// Lines that find fewer places than this are dropped: they are for what dora itself has to say.
const RESERVED: usize = 64;
/// Lines of standard error kept for the report of a failure.
const TAIL: usize = 10;
/// Characters of each.
const TAIL_WIDTH: usize = 500;

/// Where everything that is shown goes. Never waits: what the reader is too slow for is counted.
pub(crate) struct Display {
    events: mpsc::Sender<RunEvent>,
    /// Lines that nodes print are not shown.
    quiet: bool,
    dropped: AtomicU64,
}

impl Display {
    pub(crate) fn new(events: mpsc::Sender<RunEvent>, quiet: bool) -> Self {
        Self { events, quiet, dropped: AtomicU64::new(0) }
    }

    pub(crate) fn send(&self, event: RunEvent) {
        // That a dataflow has started must not be lost because a node prints without pause.
        let reserved = RESERVED.min(self.events.max_capacity() / 4);
        let is_line = matches!(&event, RunEvent::Log { message, .. } if !message.is_lifecycle());
        if is_line && self.quiet {
            return;
        }
        if is_line && self.events.capacity() <= reserved && !self.events.is_closed() {
            self.dropped.fetch_add(1, Ordering::Relaxed); // as below
        } else if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
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
            let mut buffer = vec![0; TURN];
            let mut flush_at: Option<Instant> = None;
            let (mut pace, mut resume_at) = (Pace::new(Instant::now()), None::<Instant>);
            loop {
                let due = flush_at.unwrap_or_else(Instant::now);
                let resume = resume_at.unwrap_or_else(Instant::now);
                let mut turn = None;
                tokio::select! {
                    biased;
                    // First, so that something that never stops printing cannot keep us from it.
                    _ = &mut finish => break,
                    () = tokio::time::sleep_until(due), if flush_at.is_some() => self.file.flush(),
                    () = tokio::time::sleep_until(resume), if resume_at.is_some() => resume_at = None,
                    () = out.readable(), if resume_at.is_none() => turn = Some(&mut out),
                    () = err.readable(), if resume_at.is_none() => turn = Some(&mut err),
                }
                if let Some(stream) = turn {
                    let begin = Instant::now();
                    self.read_some(stream, &mut buffer);
                    let now = Instant::now();
                    resume_at = pace.after(now - begin, now);
                    tokio::task::yield_now().await;
                }
                flush_at = self.file.is_dirty().then(|| flush_at.unwrap_or_else(|| Instant::now() + FLUSH));
            }
            for stream in [&mut out, &mut err] {
                self.drain(stream, &mut buffer).await;
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

    /// Takes what is there now and no more: who still writes is no longer our node.
    async fn drain(&mut self, stream: &mut Stream, buffer: &mut [u8]) {
        use std::io::Read;
        let name = stream.name;
        // Past tokio, which may not have noticed yet that there is something.
        if let Some(mut file) =
            stream.pipe.take().and_then(|p| p.into_nonblocking_fd().ok()).map(std::fs::File::from)
        {
            let mut left =
                rustix::io::ioctl_fionread(&file).map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
            while left > 0 {
                let most = left.min(buffer.len());
                match file.read(&mut buffer[..most]) {
                    Ok(0) => break,
                    Ok(n) => {
                        left -= n;
                        stream.splitter.push(&buffer[..n], |line| self.line(&line, name));
                        tokio::task::yield_now().await;
                    }
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

#[cfg(test)]
mod tests {
    use std::{io::Write, thread};

    use super::*;

    #[tokio::test]
    async fn what_others_print_after_the_end_of_a_node_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (out, mut pen) = io::pipe().unwrap();
        let (err, _silent) = io::pipe().unwrap();
        let writer = thread::spawn(move || while pen.write_all(&b"y\n".repeat(1 << 14)).is_ok() {});
        let (events, mut shown) = mpsc::channel(RESERVED * 4);
        let capture = Capture {
            index: 0,
            process: ProcessId::default(),
            node: "a".parse().unwrap(),
            dataflow: "d".to_owned(),
            min_level: LogLevel::Stdout,
            file: LogFile::create(folder.path(), "a", None, 1).unwrap(),
            display: Arc::new(Display::new(events, false)),
            feeds: Arc::new(Feeds::new(Vec::new())),
            tail: VecDeque::new(),
        };
        let display = capture.display.clone();
        let (finish, finished) = oneshot::channel();
        let (facts, mut told) = mpsc::channel(1);
        finish.send(()).unwrap();
        capture.run(out.into(), err.into(), finished, facts).await;
        writer.join().unwrap();
        assert!(matches!(told.recv().await, Some(Fact::LogsDone { .. })));

        let lines = std::fs::read_to_string(folder.path().join("log_a.jsonl")).unwrap().lines().count();
        assert!(lines <= 32 << 10, "more than a pipe can hold: {lines}");
        // Who shows them was too slow; what dora itself has to say still finds a place.
        display.system(LogLevel::Info, None, "started");
        drop(display);
        let (mut passed, mut said) = (0, 0);
        while let Some(event) = shown.recv().await {
            match event {
                RunEvent::Log { .. } => passed += 1,
                _ => said += 1,
            }
        }
        assert!(said == 1 && passed <= lines, "{said} {passed} of {lines}");
    }

    #[test]
    fn lines_that_find_no_place_are_counted_and_leave_room_for_what_dora_says() {
        let (events, mut shown) = mpsc::channel(40);
        let display = Display::new(events, false);
        let message = parse("y", &Origin { dataflow: "d", node: "a" }, Utc::now()).message;
        for _ in 0..100 {
            display.send(RunEvent::Log { level: LogLevel::Stdout, message: message.clone() });
        }
        assert_eq!(display.dropped(), 70);
        display.send(RunEvent::Started { after_ms: 1.0 });
        assert_eq!(display.dropped(), 70);
        let got: Vec<_> = std::iter::from_fn(|| shown.try_recv().ok()).collect();
        assert!(got.len() == 31 && matches!(got[30], RunEvent::Started { .. }), "{}", got.len());
    }
}
