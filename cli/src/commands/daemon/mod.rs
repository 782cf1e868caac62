//! `dora daemon`: the dataflows of this machine, for a coordinator that may come and go.
//!
//! The first Ctrl-C (or SIGTERM, or SIGHUP) stops the dataflows and then the daemon, the second kills what is left.

pub(crate) mod home;

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    pin::pin,
    thread,
};

use chrono::{Local, Utc};
use dora_daemon::{
    host::{self, EndRequest, HostOptions, Saying},
    options::{RtMode, RunEvent},
};
use dora_protocol::{local_socket, log::LogLevel};
use tokio::sync::mpsc;

use self::home::Home;
use super::warn_not_yet;
use crate::{
    args::DaemonArgs,
    client::{block_on, token},
    display::{
        colors_allowed,
        logs::{LogFilter, LogFormat, LogPrinter, NodeLevels},
    },
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// Sentences that may wait for the terminal.
const SAYINGS: usize = 1024;

/// `dora daemon`
pub(crate) fn run(args: &DaemonArgs) -> CliResult {
    let mut flags = args.zenoh.given();
    flags.extend(crate::args::given(&[(args.interface.is_some(), "--interface")]));
    warn_not_yet(&flags);
    // Before the first thread: what this process holds goes with it.
    let _place = if args.detached { Some(detach(args.coordinator_port)?) } else { None };
    let (sayings, said) = mpsc::channel(SAYINGS);
    let shown = show(said).map_err(|error| CliError::new("failed to start a thread").caused_by(&error))?;
    let options = HostOptions {
        coordinator: args.coord().address(),
        token: token(),
        listen: socket(args.local_listen_port),
        machine_id: args.machine_id.clone(),
        labels: args.labels(),
        rt: args.rt.map(RtMode::from).unwrap_or_default(),
        allow_shell_nodes: args.allow_shell_nodes,
        quiet: args.quiet,
        sayings,
    };
    let outcome = block_on(supervise(options));
    // Ends with the last sender; a terminal that hangs does not keep us.
    if !io::stderr().is_terminal() {
        shown.join().unwrap_or_default();
    }
    outcome
}

/// Where dynamic nodes of this user find the daemon.
fn socket(port: u16) -> PathBuf {
    let runtime_dir = std::env::var_os(local_socket::ENV_RUNTIME_DIR).map(PathBuf::from);
    local_socket::path(runtime_dir.as_deref(), rustix::process::getuid().as_raw(), port)
}

/// Leaves the terminal's session, so that neither its Ctrl-C nor its end reaches us, and takes the daemon's place.
fn detach(port: u16) -> CliResult<File> {
    leave_session()?;
    Home::new(port)?.take_place()
}

/// Makes this process the leader of a session of its own.
///
/// # Errors
/// When it leads a process group already: somebody else than `dora up` has started it.
pub(crate) fn leave_session() -> CliResult {
    rustix::process::setsid().map(drop).map_err(|error| {
        CliError::new("failed to leave the session of the terminal")
            .caused_by(&io::Error::from(error))
            .hint("`--detached` is for `dora up`; use that, or leave the flag out")
    })
}

/// Runs the daemon, and turns signals into requests to end.
async fn supervise(options: HostOptions) -> CliResult {
    let mut interrupts =
        Interrupts::new().map_err(|error| CliError::new("failed to watch for signals").caused_by(&error))?;
    let (end, requests) = mpsc::unbounded_channel();
    let mut running = pin!(host::serve(options, requests));
    let mut request = EndRequest::Graceful;
    loop {
        tokio::select! {
            outcome = &mut running => return outcome.map_err(|error| CliError::from_error(&error)),
            () = interrupts.next() => {
                // Refused only when it is just ending by itself.
                end.send(request).unwrap_or_default();
                request = EndRequest::Kill;
            }
        }
    }
}

/// A thread that writes what the daemon says to stderr; when that is slow, only this thread waits.
fn show(mut said: mpsc::Receiver<Saying>) -> io::Result<thread::JoinHandle<()>> {
    let printer = LogPrinter {
        format: LogFormat::Pretty,
        filter: LogFilter { default: LogLevel::Info, nodes: NodeLevels::default() },
        colors: colors_allowed(&io::stderr()),
        zone: Local,
    };
    thread::Builder::new().name("dora-display".to_owned()).spawn(move || {
        while let Some(Saying { level, text }) = said.blocking_recv() {
            let line =
                printer.text(&RunEvent::System { level, node: None, text }, Utc::now()).unwrap_or_default();
            // A log file on a full disk must not end the daemon.
            io::stderr().write_all(line.as_bytes()).unwrap_or_default();
        }
    })
}
