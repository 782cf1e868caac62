//! Starting the process of a node, the first time and again.
//!
//! A node is started with the same program, environment and cores each time; they are found once. Its log goes on in the
//! same file.

use std::{
    collections::VecDeque,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use dora_protocol::{
    dataflow::Node,
    log::LogLevel,
    node_link::{ENV_NODE_CONFIG, NodeEnv, VERSION},
};
use lockfree_ipc::StatusPage;
use tokio::{io::Interest, sync::oneshot, time::Instant};

use crate::{
    environment::{self, Env},
    error::{DaemonError, ProgramError},
    log_file::LogFile,
    logs::{Capture, Display},
    node_link::NodeLink,
    node_state::{Due, Living, Phase, ProcessId, Role},
    options::RunOptions,
    program::{self, Program},
    spawn::{self, Request},
    supervisor::{Fact, Supervisor},
};

/// Program and environment of a node.
#[derive(Debug)]
pub(crate) struct Launch {
    program: Program,
    env: Env,
}

/// Finds the program of a node; `None` for a dynamic one. `host` is the environment of this process.
///
/// # Errors
/// [`ProgramError`] when it cannot be started.
pub(crate) fn find(
    node: &Node,
    working_dir: &Path,
    host: &Env,
    options: &RunOptions,
    display: &Display,
) -> Result<Option<Arc<Launch>>, ProgramError> {
    let (mut env, mut warnings) = environment::additions(node, host);
    let mut whole = host.clone();
    whole.extend(env.clone());
    let found = program::resolve(node, working_dir, &whole, options);
    if let Ok(Some(program)) = &found {
        warnings.extend(program.warnings.clone());
        if let Some(active) = &program.environment {
            active.set(&mut env, host);
        }
    }
    for warning in warnings {
        display.system(LogLevel::Warn, Some(&node.id), warning);
    }
    Ok(found?.map(|program| Arc::new(Launch { program, env })))
}

impl Supervisor {
    /// A number for a new process.
    pub(crate) fn enlist(&mut self, node: usize) -> ProcessId {
        self.last_process += 1;
        self.processes.insert(self.last_process, node);
        self.last_process
    }

    /// Starts the process of a node. A program that cannot be executed is the node's error.
    ///
    /// # Errors
    /// [`DaemonError`] when the daemon's own machinery fails; nothing is left running then.
    pub(crate) async fn launch(&mut self, node: usize) -> Result<(), DaemonError> {
        let Some(launch) = self.nodes[node].launch.clone() else { return Ok(()) };
        let description = self.dataflow.nodes[node].clone();
        let machinery = |what| move |source| DaemonError::Machinery { what, source };
        let log = &description.log;
        let file = LogFile::create(&self.folder, description.id.as_str(), log.max_size, log.max_rotated)
            .map_err(|source| DaemonError::LogFolder { path: self.folder.clone(), source })?;
        let (ours, theirs) = spawn::socket_pair().map_err(machinery("the socket of a node"))?;
        let request = self.spawn_request(&description, &launch, theirs)?;
        let program = request.file.display().to_string();
        // Finished tasks of former processes.
        while self.tasks.try_join_next().is_some() {}
        // What it was told before it was there waits for it.
        self.nodes[node].phase = Phase::Silent;
        let process = match self.spawner.spawn(request).await {
            Ok(process) => process,
            Err(e) => {
                self.never_started(node, Some(spawn_error(&program, &e)));
                return Ok(());
            }
        };
        let id = self.enlist(node);
        let place = match self.nodes[node].role {
            Role::Understudy(of) => of,
            _ => node,
        };
        let capture = Capture {
            index: place,
            process: id,
            node: description.id.clone(),
            dataflow: self.id.to_string(),
            min_level: log.min_level.unwrap_or(LogLevel::Stdout),
            file,
            display: self.display.clone(),
            feeds: self.feeds.clone(),
            tail: VecDeque::new(),
        };
        self.watch(node, id, process, ours, capture).map_err(machinery("the watch of a node"))
    }

    fn spawn_request(&self, node: &Node, launch: &Launch, socket: OwnedFd) -> Result<Request, DaemonError> {
        let config = NodeEnv {
            version: VERSION,
            dataflow_id: self.id,
            node_id: node.id.clone(),
            socket_fd: socket.as_raw_fd(),
        };
        let config = serde_json::to_string(&config)
            .map_err(|e| DaemonError::Machinery { what: "the configuration of a node", source: e.into() })?;
        let mut env = launch.env.clone();
        env.insert(ENV_NODE_CONFIG.to_owned(), config);
        let (cpus, unknown) = spawn::cpu_set(&node.cpu_affinity, &self.existing);
        if !unknown.is_empty() {
            let text = format!(
                "{}: `cpu_affinity` names cores {unknown:?}, which this process cannot use; it may use {:?}",
                node.at, self.existing
            );
            self.display.system(LogLevel::Warn, Some(&node.id), text);
        }
        Ok(Request {
            file: launch.program.file.clone(),
            args: launch.program.args.clone(),
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
        id: ProcessId,
        process: spawn::Process,
        socket: OwnedFd,
        capture: Capture,
    ) -> std::io::Result<()> {
        let (finish_logs, logs_finish) = oneshot::channel();
        let (finish_link, link_finish) = oneshot::channel();
        let limit = self.dataflow.nodes[node].startup_timeout;
        let state = &mut self.nodes[node];
        state.id = Some(id);
        state.pid = Some(process.pid.as_raw_nonzero().get().unsigned_abs());
        state.living = Some(Living { pid: process.pid, finish: vec![finish_logs, finish_link] });
        if let Some(limit) = limit {
            state.set_due(Instant::now() + limit, Due::Startup(limit));
        }
        state.link = Some(NodeLink::start(socket, id, self.facts.clone(), link_finish, &mut self.tasks)?);
        self.listen_for_misses(node)?;
        let pidfd = spawn::register(process.pidfd, Interest::READABLE)?;
        let facts = self.facts.clone();
        self.tasks.spawn(async move {
            // An error of epoll counts as an exit: reaping then waits for the real one.
            drop(pidfd.readable().await);
            // The supervisor is gone when the run was dropped; then nobody asks.
            drop(facts.send(Fact::Exited { process: id }).await);
        });
        let capture = capture.run(process.stdout, process.stderr, logs_finish, self.facts.clone());
        self.tasks.spawn_on(capture, self.log_thread.handle());
        Ok(())
    }

    /// A status page that goes on with another process must not show what the former one did last.
    pub(crate) fn wipe_activity(&self, node: usize) {
        let page = self.wiring.nodes[node].status.try_clone().ok().and_then(|fd| StatusPage::open(fd).ok());
        if let Some(page) = page {
            page.handling(lockfree_ipc::clock::monotonic_ns());
        }
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
