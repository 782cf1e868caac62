//! One run from beginning to end: check, build the shared memory, start the processes, supervise, report.
//!
//! Everything that can be refused is refused before the first process is started. From then on a failure of one
//! node is that node's row in the report; the others go on.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dora_protocol::{
    DataflowId,
    dataflow::{Dataflow, Node},
    log::LogLevel,
    node_link::{ENV_NODE_CONFIG, NodeEnv, VERSION},
};
use lockfree_ipc::clock;
use rustix::process::Pid;
use tokio::{
    io::Interest,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};

use crate::{
    compile::compile,
    environment::{self, Env},
    error::DaemonError,
    extension::Extensions,
    feeds::Feeds,
    log_file::LogFile,
    logs::{Capture, Display},
    node_link::NodeLink,
    node_state::{Due, Living, NodeState},
    options::{RunEvent, RunOptions, StopRequest},
    own_rt::OwnSetup,
    pool::Pool,
    program::{self, Program},
    report::RunReport,
    spawn::{self, Process, Request, Spawner},
    supervisor::{Fact, Supervisor},
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
    stop: mpsc::UnboundedReceiver<StopRequest>,
    events: mpsc::Sender<RunEvent>,
) -> Result<RunReport, DaemonError> {
    let called_ns = clock::monotonic_ns();
    let id = DataflowId::now_v7();
    let mut dataflow = dataflow;
    // The parent folder of `flow.yml` is the empty path.
    dataflow.working_dir = std::path::absolute(Path::new(".").join(&dataflow.working_dir))
        .map_err(|source| DaemonError::Machinery { what: "in the working directory", source })?;
    let display = Arc::new(Display::new(events));
    let launches = launches(&dataflow, &options, &display)?;
    // Before anything is pinned: its thread passes its cores on to the nodes.
    let spawner =
        Spawner::get().map_err(|source| DaemonError::Machinery { what: "the spawning thread", source })?;
    let existing = rt_tuning::sched::allowed_current();
    let own = OwnSetup::apply(&dataflow, options.rt, &existing);
    let mut wiring = compile(&dataflow, id)?;
    let feeds = Arc::new(Feeds::new(std::mem::take(&mut wiring.feeds)));
    let pool = Pool::start(&dataflow, &wiring, options.rt, &existing)?;
    let folder = log_folder(&dataflow, &options, id)?;
    let (facts, received) = mpsc::channel(FACTS);
    let mut supervisor = Supervisor {
        id,
        nodes: dataflow.nodes.iter().map(NodeState::new).collect(),
        broken: vec![None; wiring.edges.len()],
        dataflow: Arc::new(dataflow),
        options,
        wiring,
        display,
        feeds,
        extensions: Extensions::default(),
        facts,
        tasks: JoinSet::new(),
        pool,
        called_ns,
        epoch_ns: None,
        stop_at: None,
        stopping: false,
        own_problems: own.problems.clone(),
        rt_table: None,
        refused: None,
        warnings: Vec::new(),
    };
    for (node, launch) in launches.into_iter().enumerate() {
        if let Some(launch) = launch {
            supervisor.launch(node, launch, &spawner, &folder, &existing).await?;
        }
    }
    let outcome = supervisor.run(received, stop).await;
    supervisor.settle().await;
    let orphans = spawn::sweep_orphans(&id.to_string());
    if orphans > 0 {
        let text = format!("{orphans} processes that nodes had left behind were ended");
        supervisor.display.system(LogLevel::Warn, None, text);
    }
    outcome.map(|()| supervisor.report())
}

/// Program and environment of a node.
struct Launch {
    program: Program,
    env: Env,
}

/// Finds all programs, or names all that are missing.
fn launches(
    dataflow: &Dataflow,
    options: &RunOptions,
    display: &Display,
) -> Result<Vec<Option<Launch>>, DaemonError> {
    let host = environment::of_host();
    let mut errors = Vec::new();
    let mut launches = Vec::new();
    for node in &dataflow.nodes {
        let (mut env, mut warnings) = environment::additions(node, &host);
        let mut whole = host.clone();
        whole.extend(env.clone());
        match program::resolve(node, &dataflow.working_dir, &whole, options) {
            Ok(program) => {
                warnings.extend(program.iter().flat_map(|p| p.warnings.clone()));
                if let Some(folder) = program.as_ref().and_then(|program| program.environment.as_ref()) {
                    environment::activate(&mut env, &host, folder);
                }
                launches.push(program.map(|program| Launch { program, env }));
            }
            Err(error) => errors.push(error),
        }
        for warning in warnings {
            display.system(LogLevel::Warn, Some(&node.id), warning);
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

    async fn launch(
        &mut self,
        node: usize,
        launch: Launch,
        spawner: &Spawner,
        folder: &Path,
        existing: &[usize],
    ) -> Result<(), DaemonError> {
        let description = self.dataflow.nodes[node].clone();
        let machinery = |what| move |source| DaemonError::Machinery { what, source };
        let log = &description.log;
        let file = LogFile::create(folder, description.id.as_str(), log.max_size, log.max_rotated)
            .map_err(|source| DaemonError::LogFolder { path: folder.to_owned(), source })?;
        let (ours, theirs) = spawn::socket_pair().map_err(machinery("the socket of a node"))?;
        let request = self.request(&description, launch, theirs, existing)?;
        let program = request.file.display().to_string();
        let process = match spawner.spawn(request).await {
            Ok(process) => process,
            Err(e) => {
                self.never_started(node, Some(spawn_error(&program, &e)));
                return Ok(());
            }
        };
        let capture = Capture {
            index: node,
            node: description.id.clone(),
            dataflow: self.id.to_string(),
            min_level: log.min_level.unwrap_or(LogLevel::Stdout),
            file,
            display: self.display.clone(),
            feeds: self.feeds.clone(),
            tail: VecDeque::new(),
        };
        self.watch(node, &description, process, ours, capture).map_err(machinery("the watch of a node"))
    }

    fn request(
        &self,
        node: &Node,
        launch: Launch,
        socket: OwnedFd,
        existing: &[usize],
    ) -> Result<Request, DaemonError> {
        use std::os::fd::AsRawFd;
        let config = NodeEnv {
            version: VERSION,
            dataflow_id: self.id,
            node_id: node.id.clone(),
            socket_fd: socket.as_raw_fd(),
        };
        let config = serde_json::to_string(&config)
            .map_err(|e| DaemonError::Machinery { what: "the configuration of a node", source: e.into() })?;
        let mut env = launch.env;
        env.insert(ENV_NODE_CONFIG.to_owned(), config);
        let (cpus, unknown) = spawn::cpu_set(&node.cpu_affinity, existing);
        if !unknown.is_empty() {
            let text = format!(
                "{}: `cpu_affinity` names cores {unknown:?}, which this process cannot use; it may use {existing:?}",
                node.at
            );
            self.display.system(LogLevel::Warn, Some(&node.id), text);
        }
        Ok(Request {
            file: launch.program.file,
            args: launch.program.args,
            env,
            working_dir: node.working_dir.clone().unwrap_or_else(|| self.dataflow.working_dir.clone()),
            socket,
            cpus,
        })
    }

    /// Starts the tasks that report about a new process.
    fn watch(
        &mut self,
        node: usize,
        description: &Node,
        process: Process,
        socket: OwnedFd,
        capture: Capture,
    ) -> std::io::Result<()> {
        let (finish_logs, logs_finish) = oneshot::channel();
        let (finish_link, link_finish) = oneshot::channel();
        let state = &mut self.nodes[node];
        state.pid = Some(process.pid.as_raw_nonzero().get().unsigned_abs());
        state.living = Some(Living { pid: process.pid, finish: vec![finish_logs, finish_link] });
        if let Some(limit) = description.startup_timeout {
            state.set_due(Instant::now() + limit, Due::Startup(limit));
        }
        state.link = Some(NodeLink::start(socket, node, self.facts.clone(), link_finish, &mut self.tasks)?);
        self.listen_for_misses(node)?;
        let pidfd = spawn::register(process.pidfd, Interest::READABLE)?;
        let facts = self.facts.clone();
        self.tasks.spawn(async move {
            // An error of epoll counts as an exit: reaping then waits for the real one.
            drop(pidfd.readable().await);
            // The supervisor is gone when the run was dropped; then nobody asks.
            drop(facts.send(Fact::Exited { node }).await);
        });
        self.tasks.spawn(capture.run(process.stdout, process.stderr, logs_finish, self.facts.clone()));
        Ok(())
    }
}

fn spawn_error(program: &str, error: &std::io::Error) -> String {
    let hint = match error.raw_os_error() {
        Some(libc::ENOEXEC) => {
            ": it is no program for this machine (built for another architecture, or a script without `#!`?)"
        }
        Some(libc::ENOENT) => ": the interpreter in its first line, or its working directory, does not exist",
        Some(libc::EACCES) => ": it may not be executed (is the file system mounted `noexec`?)",
        _ => "",
    };
    format!("failed to start `{program}`: {error}{hint}")
}
