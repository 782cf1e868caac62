//! One dataflow of the daemon: a thread with a runtime and a supervisor of its own.
//!
//! A thread each, because the start of a dataflow blocks (memory is made and touched, programs are looked for), and because
//! real-time mode takes the thread off the cores of *its* nodes. So neither holds up a command for another dataflow.
//!
//! The thread ends with the dataflow. What happens on it comes back as [`FlowEvent`]s; lines go straight into the queue for
//! the coordinator.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    pin::pin,
    thread,
};

use chrono::{SecondsFormat, Utc};
use dora_protocol::{
    DataflowId,
    daemon_link::{DataflowRecord, Parameters},
    dataflow::Dataflow,
    log::{LogLevel, LogMessage},
};
use rt_tuning::sched;
use tokio::sync::mpsc;

use super::log_queue::LogQueue;
use crate::{
    control::Control,
    error::sentence,
    options::{RtMode, RunEvent, RunOptions},
    report::{RtTable, RunReport},
};

/// Lines that may wait for the thread to pass them on before they are dropped and counted.
const WAITING_LINES: usize = 4096;
/// Taken at once.
const BATCH: usize = 256;

/// Something that happened to a dataflow.
#[derive(Debug)]
pub(super) enum FlowEvent {
    /// What its real-time set-up came to; before it starts, or is refused.
    RtTable(RtTable),
    /// Every node is ready, messages flow.
    Started,
    /// It is over: its report, or why it could not be started at all.
    Ended(Result<Box<RunReport>, String>),
}

/// A dataflow that runs, or is about to.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) record: DataflowRecord,
    pub(super) parameters: Parameters,
    /// Of the last change of a parameter that was carried out.
    pub(super) sequence: u64,
    /// Its own mode, or else the daemon's.
    pub(super) rt: RtMode,
    pub(super) rt_table: Option<RtTable>,
    /// Cores that its real-time nodes claim.
    pub(super) claimed: BTreeSet<usize>,
    pub(super) spawned: bool,
    pub(super) stopping: bool,
    pub(super) control: mpsc::UnboundedSender<Control>,
}

/// What a thread needs to run a dataflow.
pub(super) struct Launch {
    pub(super) dataflow: Dataflow,
    pub(super) options: RunOptions,
    /// All cores of this process, whatever the thread that launches is bound to.
    pub(super) cores: Vec<usize>,
    pub(super) voice: Voice,
}

impl Launch {
    /// Starts the thread. Its last event is [`FlowEvent::Ended`], whatever happens.
    ///
    /// # Errors
    /// What the kernel says about a new thread.
    pub(super) fn start(self) -> io::Result<mpsc::UnboundedSender<Control>> {
        let (control, requests) = mpsc::unbounded_channel();
        thread::Builder::new().name("dora-flow".to_owned()).spawn(move || {
            let (id, events) = (self.voice.id, self.voice.events.clone());
            // A panic in one dataflow is the end of that one. Its nodes are ended when its future is dropped.
            let caught = panic::catch_unwind(AssertUnwindSafe(|| self.run(requests)));
            let outcome = caught
                .unwrap_or_else(|_| Err("the daemon made a mistake and gave the dataflow up".to_owned()));
            // The host is gone when the process ends.
            events.send((id, FlowEvent::Ended(outcome.map(Box::new)))).unwrap_or_default();
        })?;
        Ok(control)
    }

    fn run(self, requests: mpsc::UnboundedReceiver<Control>) -> Result<RunReport, String> {
        let Self { dataflow, options, cores, voice } = self;
        let folder = log_folder(&dataflow.working_dir, voice.id);
        // In vain only when a core has just gone offline; then the kernel's choice is as good.
        drop(sched::set_affinity_current(&cores));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("failed to start the runtime of the dataflow: {error}"))?;
        let (sender, mut shown) = mpsc::channel(WAITING_LINES);
        runtime.block_on(async {
            let mut running = pin!(crate::run(dataflow, options, requests, sender));
            let mut batch = Vec::with_capacity(BATCH);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut running => break outcome,
                    _ = shown.recv_many(&mut batch, BATCH) => voice.pass_on(&mut batch),
                }
            };
            while shown.recv_many(&mut batch, BATCH).await > 0 {
                voice.pass_on(&mut batch);
            }
            if let Ok(report) = &outcome {
                for warning in &report.warnings {
                    voice.say(LogLevel::Warn, None, warning.clone());
                }
                if let Err(error) = keep(report, &folder) {
                    let text = format!("the report could not be kept in {}: {error}", folder.display());
                    voice.say(LogLevel::Warn, None, text);
                }
            }
            outcome.map_err(|error| error.to_string())
        })
    }
}

/// Where what happens on the thread goes.
pub(super) struct Voice {
    pub(super) id: DataflowId,
    /// Id of the daemon, for log lines.
    pub(super) daemon: String,
    /// `None` = lines are kept in their files only.
    pub(super) logs: Option<LogQueue>,
    pub(super) events: mpsc::UnboundedSender<(DataflowId, FlowEvent)>,
}

impl Voice {
    fn pass_on(&self, batch: &mut Vec<RunEvent>) {
        for event in batch.drain(..) {
            match event {
                RunEvent::Log { message, .. } => self.line(message),
                RunEvent::System { level, node, text } => self.say(level, node, text),
                RunEvent::Started { after_ms } => {
                    self.say(
                        LogLevel::Info,
                        None,
                        format!("all nodes are ready after {after_ms:.1} ms, messages flow"),
                    );
                    self.events.send((self.id, FlowEvent::Started)).unwrap_or_default();
                }
                RunEvent::RtTable(table) => {
                    self.say_table(&table);
                    self.events.send((self.id, FlowEvent::RtTable(table))).unwrap_or_default();
                }
            }
        }
    }

    fn line(&self, mut message: LogMessage) {
        if let Some(logs) = &self.logs {
            message.daemon_id = Some(self.daemon.clone());
            logs.push(self.id, message);
        }
    }

    /// A sentence of dora's own about this dataflow.
    fn say(&self, level: LogLevel, node: Option<String>, text: String) {
        self.line(LogMessage {
            build_id: None,
            dataflow_id: Some(self.id.to_string()),
            node_id: None,
            daemon_id: None,
            level: level.as_str().to_uppercase(),
            target: Some("dora".to_owned()),
            module_path: None,
            file: None,
            line: None,
            message: text,
            timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            fields: node.map(|node| BTreeMap::from([("node".to_owned(), node.into())])),
        });
    }

    /// The read-back of the real-time set-up in sentences: what is missing, or that nothing is.
    fn say_table(&self, table: &RtTable) {
        for problem in &table.problems {
            self.say(LogLevel::Warn, None, sentence(problem));
        }
        let asked = table.threads.iter().filter(|thread| thread.ok.is_some()).count();
        let got = table.threads.iter().filter(|thread| thread.ok == Some(true)).count();
        let text = format!("real-time set-up read back: {got} of {asked} threads have what was asked for");
        self.say(if got == asked { LogLevel::Info } else { LogLevel::Warn }, None, text);
    }
}

/// Name of the file, beside the logs, with what a dataflow came to.
const REPORT: &str = "report.json";

/// Keeps what `dora run --report json` would print; there is nobody here who could read it at the end.
fn keep(report: &RunReport, folder: &Path) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    let partial = folder.join(format!(".{REPORT}.partial"));
    fs::write(&partial, text)?;
    fs::rename(partial, folder.join(REPORT))
}

/// `<working folder>/out/<dataflow>`
pub(super) fn log_folder(working_dir: &Path, id: DataflowId) -> PathBuf {
    working_dir.join("out").join(id.to_string())
}
