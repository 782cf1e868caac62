//! Runs one command of a build: passes on what it prints, keeps its last lines, and ends it with all that it started.
#![expect(unsafe_code, reason = "a session of its own is begun between fork and exec")]

use std::{
    collections::VecDeque,
    io,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use dora_daemon::environment::Env;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Context, Failed, stopped};
use crate::error::CliError;

/// Lines of a failed command that its error repeats.
const LAST_LINES: usize = 20;
/// A longer line is passed on in parts.
const LONGEST_LINE: u64 = 64 << 10;
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long the output of a command that ended is waited for. A server that it left behind may hold its pipe for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A command that ended.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    tail: VecDeque<String>,
}

impl Finished {
    /// `ended with exit code 7; its last lines:` and the lines.
    pub(super) fn text(&self) -> String {
        let ending = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("ended with signal {signal}"),
            (None, None) => format!("ended with {}", self.status),
        };
        if self.tail.is_empty() {
            return ending;
        }
        let lines: Vec<String> = self.tail.iter().map(|line| format!("\n  {line}")).collect();
        format!("{ending}; its last lines:{}", lines.concat())
    }
}

/// Why a command did not end by itself.
pub(super) enum Broken {
    CannotStart(io::Error),
    Stopped,
}

impl Broken {
    /// `cannot` makes an error of the reason why the program could not be started.
    pub(super) fn or(self, cannot: impl FnOnce(io::Error) -> CliError) -> Failed {
        match self {
            Broken::CannotStart(error) => cannot(error).into(),
            Broken::Stopped => Failed::Stopped,
        }
    }
}

/// All processes that a command started; killed when dropped.
struct Group(Pid);

impl Group {
    fn signal(&self, signal: Signal) {
        // Fails when they are all gone, which is what is wanted.
        kill_process_group(self.0, signal).unwrap_or_default();
    }
}

/// Runs `command` to its end, or until the build stops. What it prints goes to the console behind `name`.
pub(super) async fn run(mut command: Command, name: &str, context: &mut Context) -> Result<Finished, Broken> {
    if *context.stop.borrow() {
        return Err(Broken::Stopped);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = detached(&mut command).kill_on_drop(true).spawn().map_err(Broken::CannotStart)?;
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).map(Guard::new);
    let (lines, mut printed) = mpsc::channel(256);
    let out = child.stdout.take().map(|pipe| tokio::spawn(read(pipe, lines.clone())));
    let err = child.stderr.take().map(|pipe| tokio::spawn(read(pipe, lines.clone())));
    drop(lines);
    let mut tail = VecDeque::new();
    let mut say = |line: String| {
        context.console.line(name, &line);
        if tail.len() == LAST_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    };
    let status = loop {
        tokio::select! {
            Some(line) = printed.recv() => say(line),
            status = child.wait() => break status,
            () = stopped(&mut context.stop) => {
                end(child, group).await;
                return Err(Broken::Stopped);
            }
        }
    };
    let until = tokio::time::Instant::now() + LAST_WORDS;
    while let Ok(Some(line)) = tokio::time::timeout_at(until, printed.recv()).await {
        say(line);
    }
    for reader in [out, err].into_iter().flatten() {
        reader.abort();
    }
    if let Some(group) = group {
        group.disarm();
    }
    Ok(Finished { status: status.map_err(Broken::CannotStart)?, tail })
}

/// Gives the command a session of its own, without terminal. Ctrl-C reaches dora alone, which ends the whole group; and what
/// wants to ask for a password fails in words, where in the background of a terminal it would stop for ever.
pub(super) fn detached(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null());
    // SAFETY: the closure makes one system call, which is async-signal-safe, and neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        })
    }
}

/// Kills the group when dropped, unless its command ended by itself.
struct Guard(Option<Group>);

impl Guard {
    fn new(leader: Pid) -> Self {
        Self(Some(Group(leader)))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            group.signal(Signal::KILL);
        }
    }
}

/// Asks the group to end, then insists: dropping the guard kills what is left.
async fn end(mut child: Child, group: Option<Guard>) {
    if let Some(Guard(Some(group))) = &group {
        group.signal(Signal::TERM);
    }
    if timeout(GRACE, child.wait()).await.is_ok() {
        // The others of the group got the signal, too: a moment for them.
        sleep(Duration::from_millis(50)).await;
    }
}

/// Sends the lines of a pipe until it ends or nobody listens.
async fn read(pipe: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    use tokio::io::AsyncReadExt;
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        // Progress that a program draws over itself: only what it drew last.
        let text = text.rsplit('\r').next().unwrap_or(text);
        if lines.send(text.to_owned()).await.is_err() {
            return;
        }
    }
}

/// A program in the `PATH` of `env`.
pub(super) fn find(program: &str, env: &Env) -> Option<PathBuf> {
    let path = env.get("PATH").map(String::as_str).unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let executable = |file: &Path| {
        file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| executable(file))
}
