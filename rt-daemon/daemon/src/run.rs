//! One run from beginning to end: check, build the shared memory, start the processes, supervise, report.
//!
//! Everything that can be refused is refused before the first process is started. From then on a failure of one
//! node is that node's row in the report; the others go on.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dora_protocol::{DataflowId, control::FtStats, dataflow::Dataflow, log::LogLevel};
use lockfree_ipc::clock;
use rustix::process::Pid;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    compile::compile,
    control::Control,
    environment,
    error::DaemonError,
    extension::Extensions,
    feeds::Feeds,
    former::Former,
    launch::{self, Launch},
    log_thread::LogThread,
    logs::Display,
    node_state::NodeState,
    options::{RunEvent, RunOptions},
    own_rt::OwnSetup,
    pool::Pool,
    report::RunReport,
    spawn::{self, Spawner},
    supervisor::Supervisor,
};

/// Facts waiting for the supervisor; who has more to say waits.
const FACTS: usize = 256;

/// Runs a dataflow until all its nodes have ended.
///
/// Meant for a current-thread tokio runtime with I/O and time enabled. While nothing happens in the dataflow this
/// causes no wake-ups. Dropping the future ends all processes of the dataflow with SIGKILL.
///
/// # Errors
/// [`DaemonError`] when the run could not be started at all, or `--rt` was refused; no process is left then. A
/// node that fails is no error here but has one in the [`RunReport`].
pub async fn run(
    dataflow: Dataflow,
    options: RunOptions,
    control: mpsc::UnboundedReceiver<Control>,
    events: mpsc::Sender<RunEvent>,
) -> Result<RunReport, DaemonError> {
    let called_ns = clock::monotonic_ns();
    let id = options.id.unwrap_or_else(DataflowId::now_v7);
    let mut dataflow = dataflow;
    dataflow.working_dir = absolute(&dataflow.working_dir)?;
    let display = Arc::new(Display::new(events, options.quiet));
    let launches = launches(&dataflow, &options, &display)?;
    // Before anything is pinned: its thread passes its cores on to the nodes.
    let spawner =
        Spawner::get().map_err(|source| DaemonError::Machinery { what: "the spawning thread", source })?;
    let existing = rt_tuning::sched::allowed_current();
    let own = OwnSetup::apply(&dataflow, options.rt, &existing);
    let mut wiring = compile(&dataflow, id)?;
    let feeds = Arc::new(Feeds::new(std::mem::take(&mut wiring.feeds)));
    let pool = Pool::start(&dataflow, &wiring, options.rt, &existing)?;
    // After `own`: on the cores that are left to this thread.
    let log_thread = LogThread::start()
        .map_err(|source| DaemonError::Machinery { what: "the thread of the logs", source })?;
    let folder = log_folder(&dataflow, &options, id)?;
    let (facts, received) = mpsc::channel(FACTS);
    let mut former = Former::default();
    wiring.nodes.iter().flat_map(|node| &node.chains).for_each(|plan| former.chains.expect(&plan.key));
    let live = dataflow.clone();
    // From here on they are in the wiring: these indices are of the first dataflow.
    dataflow.chains.clear();
    let mut nodes: Vec<_> = dataflow.nodes.iter().map(NodeState::new).collect();
    for (state, launch) in nodes.iter_mut().zip(launches) {
        state.launch = launch;
    }
    let mut supervisor = Supervisor {
        id,
        nodes,
        live,
        dataflow: Arc::new(dataflow),
        params: options.params.clone(),
        options,
        wiring,
        former,
        faults: FtStats::default(),
        display,
        feeds,
        extensions: Extensions::default(),
        facts,
        tasks: JoinSet::new(),
        log_thread,
        processes: BTreeMap::new(),
        last_process: 0,
        spawner,
        folder,
        existing,
        pool,
        guests: None,
        to_start: VecDeque::new(),
        operation: None,
        waiting: VecDeque::new(),
        called_ns,
        called_at: Instant::now(),
        epoch_ns: None,
        stop_at: None,
        stopping: false,
        own_problems: own.problems.clone(),
        rt_table: None,
        refused: None,
        warnings: Vec::new(),
    };
    supervisor.open_for_guests();
    for node in 0..supervisor.nodes.len() {
        supervisor.launch(node).await?;
    }
    let outcome = supervisor.run(received, control).await;
    supervisor.settle().await;
    let orphans = spawn::sweep_orphans(&id.to_string());
    if orphans > 0 {
        let text = format!("{orphans} processes that nodes had left behind were ended");
        supervisor.display.system(LogLevel::Warn, None, text);
    }
    outcome.map(|()| supervisor.report())
}

/// The parent folder of `flow.yml` is the empty path.
pub(crate) fn absolute(folder: &Path) -> Result<PathBuf, DaemonError> {
    std::path::absolute(Path::new(".").join(folder))
        .map_err(|source| DaemonError::Machinery { what: "in the working directory", source })
}

/// Finds all programs, or names all that are missing.
fn launches(
    dataflow: &Dataflow,
    options: &RunOptions,
    display: &Display,
) -> Result<Vec<Option<Arc<Launch>>>, DaemonError> {
    let host = environment::of_host();
    let mut errors = Vec::new();
    let mut launches = Vec::new();
    for node in &dataflow.nodes {
        match launch::find(node, &dataflow.working_dir, &host, options, display) {
            Ok(launch) => launches.push(launch),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(launches) } else { Err(DaemonError::Programs(errors)) }
}

/// `<out_dir or working_dir>/out/<dataflow id>`
fn log_folder(dataflow: &Dataflow, options: &RunOptions, id: DataflowId) -> Result<PathBuf, DaemonError> {
    let base = options.out_dir.as_ref().unwrap_or(&dataflow.working_dir);
    let path = base.join("out").join(id.to_string());
    match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(source) => Err(DaemonError::LogFolder { path, source }),
    }
}

impl Supervisor {
    /// Waits until what was killed is really gone: at most a second, because a process that hangs in the kernel may
    /// never go.
    async fn settle(&self) {
        let mut leaders: Vec<Pid> = self.nodes.iter().filter_map(|n| Pid::from_raw(n.pid? as i32)).collect();
        for _ in 0..1000 {
            leaders.retain(|leader| !spawn::reap_group(*leader));
            if leaders.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
