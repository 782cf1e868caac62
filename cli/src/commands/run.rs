//! `dora run`: one dataflow, in this process, until its nodes end or somebody stops it.
//!
//! ```text
//!   main thread      current-thread tokio: the daemon, signals
//!   dora-display     log lines to stdout; when the terminal is slow only this thread waits
//! ```
//!
//! | asked for                 | stdout            | stderr                  |
//! |---------------------------|-------------------|-------------------------|
//! | default                   | logs, text report | warnings, errors        |
//! | `--log-format json`       | JSON log lines    | text report as well     |
//! | `--report json`           | the report        | logs as well            |
//! | `--quiet`                 | as above, without the lines that nodes print |
//!
//! The first Ctrl-C (or SIGTERM, or SIGHUP) asks the nodes to stop, the second ends them at once. Both are
//! success; a node that had to be killed because it did not stop in time is a failed node, and the summary says so.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    thread,
};

use chrono::{Local, Utc};
use dora_daemon::{
    control::Control,
    observe::RunningNode,
    options::{RtMode, RunEvent, RunOptions},
    report::RunReport,
};
use dora_protocol::dataflow::Dataflow;
use tokio::sync::{mpsc, oneshot};

use super::{build, load_to_use, timing, warn_not_yet};
use crate::{
    args::{ReportFormat, RunArgs, given},
    display::{
        colors_allowed,
        logs::{LogFilter, LogFormat, LogPrinter},
        report, rt_table,
    },
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// Lines that may wait for the terminal before the daemon drops and counts them.
const WAITING_LINES: usize = 4096;

/// `dora run`
pub(crate) fn run(args: &RunArgs) -> CliResult {
    warn_not_yet(&given(&[(args.debug, "--debug")]));
    let mut dataflow = load_to_use(&args.path, &args.env)?.dataflow;
    if let Some(value) = args.exit_when_nodes_finish {
        dataflow.exit_when_nodes_finish = value;
    }
    warn_unknown_filter(args, &dataflow);
    if args.build {
        let locking = build::Locking::of(&args.sources, &dataflow)?;
        let options = build::Options { uv: args.uv, ..build::Options::default() };
        build::all(&mut dataflow, options, &locking)?;
    }
    let logs = dataflow.working_dir.join("out");
    let report = run_to_the_end(args, dataflow, None)?;
    show_report(args, &report)?;
    if let Some(path) = &args.profile {
        timing::write_profile(path, &report)?;
    }
    match report.failure() {
        None => Ok(()),
        Some(_) => {
            let folder = logs.join(&report.dataflow_id);
            Err(CliError::new(report::failures(&report))
                .hint(format!("everything the nodes printed is in {}", folder.display())))
        }
    }
}

fn warn_unknown_filter(args: &RunArgs, dataflow: &Dataflow) {
    let named = args.log_filter.iter().flat_map(|filter| filter.0.keys());
    for node in named.filter(|name| !dataflow.nodes.iter().any(|node| node.id == name.as_str())) {
        eprintln!("warning: the log filter names node `{node}`, which is not in the dataflow");
    }
}

/// Somebody who looks at the nodes while they run, and says when to stop.
pub(super) struct Watching {
    pub(super) observer: mpsc::UnboundedSender<RunningNode>,
    /// Resolved when the dataflow shall stop.
    pub(super) enough: oneshot::Receiver<()>,
}

/// Runs the dataflow and shows what it prints.
///
/// # Errors
/// When it could not be started; not when a node failed.
pub(super) fn run_to_the_end(
    args: &RunArgs,
    mut dataflow: Dataflow,
    watching: Option<Watching>,
) -> CliResult<RunReport> {
    let locking = build::Locking::of(&args.sources, &dataflow)?;
    build::prepare_pinned(&mut dataflow, &locking)?;
    let machinery = |error: io::Error| CliError::new("failed to start the runtime").caused_by(&error);
    let (observer, enough) = watching.map(|w| (w.observer, w.enough)).unzip();
    let options = RunOptions {
        rt: args.rt.map(RtMode::from).unwrap_or_default(),
        stop_after: args.stop_after,
        allow_shell_nodes: args.allow_shell_nodes,
        uv: args.uv,
        quiet: args.quiet,
        observer,
        ..RunOptions::default()
    };
    let (events, shown) = mpsc::channel(WAITING_LINES);
    let (done, display_done) = oneshot::channel();
    let display = Display::new(args);
    thread::Builder::new()
        .name("dora-display".to_owned())
        .spawn(move || {
            display.show_all(shown);
            // Nobody listens any more when a third Ctrl-C ended the wait.
            done.send(()).unwrap_or_default();
        })
        .map_err(machinery)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(machinery)?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::new().map_err(machinery)?;
        let outcome = supervise(dataflow, options, events, enough, &mut interrupts).await;
        // What was printed last is shown before the report, unless the terminal hangs and the user is tired of it.
        tokio::select! {
            _ = display_done => {}
            () = interrupts.next() => {}
        }
        outcome
    })
}

/// Runs the dataflow, and turns signals into stop requests while it does.
async fn supervise(
    dataflow: Dataflow,
    options: RunOptions,
    events: mpsc::Sender<RunEvent>,
    mut enough: Option<oneshot::Receiver<()>>,
    interrupts: &mut Interrupts,
) -> CliResult<RunReport> {
    let (control, requests) = mpsc::unbounded_channel();
    let mut running = pin!(dora_daemon::run(dataflow, options, requests, events));
    let mut interrupted = false;
    loop {
        tokio::select! {
            outcome = &mut running => return outcome.map_err(|error| CliError::from_error(&error)),
            () = said_enough(&mut enough) => {
                control.send(Control::Stop { grace: None }).unwrap_or_default();
            }
            () = interrupts.next() => {
                if !interrupted && io::stderr().is_terminal() {
                    // Not `eprintln!`: it panics when the terminal is just going away, and that would kill the nodes.
                    writeln!(io::stderr(), "\nstopping; press Ctrl-C again to end all nodes at once")
                        .unwrap_or_default();
                }
                // Refused only when the run has just ended by itself: then the next turn of the loop returns.
                let request = if interrupted { Control::Kill } else { Control::Stop { grace: None } };
                control.send(request).unwrap_or_default();
                interrupted = true;
            }
        }
    }
}

/// Returns once, when somebody says so.
async fn said_enough(enough: &mut Option<oneshot::Receiver<()>>) {
    match enough {
        // Whoever went away without a word wants nothing, and the run goes on.
        Some(receiver) => {
            let said = receiver.await;
            *enough = None;
            if said.is_err() {
                std::future::pending().await
            }
        }
        None => std::future::pending().await,
    }
}

/// The thread that shows what happens.
struct Display {
    printer: LogPrinter<Local>,
    /// stdout belongs to the JSON report.
    logs_to_stderr: bool,
    /// Where tables for people go; `None` when everything is JSON.
    tables: Option<Stream>,
}

/// Where text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Stream {
    fn open(self) -> Box<dyn Write> {
        match self {
            Stream::Out => Box::new(io::stdout()),
            Stream::Err => Box::new(io::stderr()),
        }
    }
}

/// Where tables go so that a stream of JSON stays one.
fn tables_to(report: ReportFormat, logs: LogFormat) -> Option<Stream> {
    match (report == ReportFormat::Json, logs == LogFormat::Json) {
        (false, false) => Some(Stream::Out),
        (true, false) | (false, true) => Some(Stream::Err),
        (true, true) => None,
    }
}

impl Display {
    fn new(args: &RunArgs) -> Self {
        let logs_to_stderr = args.report == ReportFormat::Json;
        let nodes = args.log_filter.clone().unwrap_or_default();
        let colors =
            if logs_to_stderr { colors_allowed(&io::stderr()) } else { colors_allowed(&io::stdout()) };
        Self {
            printer: LogPrinter {
                format: args.log_format,
                filter: LogFilter { default: args.log_level, nodes },
                colors,
                zone: Local,
            },
            logs_to_stderr,
            tables: tables_to(args.report, args.log_format),
        }
    }

    /// Shows events until there are no more. Lines that are there together are written together. A reader that went
    /// away (`| head`) ends the showing and not the dataflow.
    fn show_all(&self, mut events: mpsc::Receiver<RunEvent>) {
        let stream = if self.logs_to_stderr { Stream::Err } else { Stream::Out };
        let mut logs = stream.open();
        let mut readable = true;
        while let Some(first) = events.blocking_recv() {
            let mut text = self.text(&first);
            while text.len() < 64 << 10
                && let Ok(next) = events.try_recv()
            {
                text += &self.text(&next);
            }
            readable = readable && logs.write_all(text.as_bytes()).and_then(|()| logs.flush()).is_ok();
        }
    }

    fn text(&self, event: &RunEvent) -> String {
        let RunEvent::RtTable(table) = event else {
            return self.printer.text(event, Utc::now()).unwrap_or_default();
        };
        let text = format!("\n{}\n", rt_table::render(table));
        let logs = if self.logs_to_stderr { Stream::Err } else { Stream::Out };
        match self.tables {
            Some(stream) if stream == logs => text,
            Some(stream) => {
                stream.open().write_all(text.as_bytes()).unwrap_or_default();
                String::new()
            }
            None => String::new(),
        }
    }
}

fn show_report(args: &RunArgs, report: &RunReport) -> CliResult {
    let text = match args.report {
        ReportFormat::None => return Ok(()),
        ReportFormat::Text => format!("\n{}", report::render(report)),
        ReportFormat::Json => serde_json::to_string_pretty(report)
            .map(|json| json + "\n")
            .map_err(|error| CliError::new("failed to write the report as JSON").caused_by(&error))?,
    };
    let stream = match args.report {
        ReportFormat::Json => Stream::Out,
        _ => tables_to(args.report, args.log_format).unwrap_or(Stream::Err),
    };
    match stream.open().write_all(text.as_bytes()) {
        // The reader of a report for people may have gone; a program that asked for JSON must learn of it.
        Err(error) if args.report == ReportFormat::Json => {
            Err(CliError::new("failed to write the report to stdout").caused_by(&error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_never_reach_a_stream_that_carries_json() {
        let table = [
            (ReportFormat::Text, LogFormat::Pretty, Some(Stream::Out)),
            (ReportFormat::None, LogFormat::Compact, Some(Stream::Out)),
            (ReportFormat::Text, LogFormat::Json, Some(Stream::Err)),
            (ReportFormat::Json, LogFormat::Pretty, Some(Stream::Err)),
            (ReportFormat::Json, LogFormat::Json, None),
        ];
        for (report, logs, expected) in table {
            assert_eq!(tables_to(report, logs), expected, "{report:?} {logs:?}");
        }
    }
}
