//! Coordinator and daemon as background processes, in a home folder and on a port of the test's own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, test_kill_process};

use serde_json::Value;

use crate::support::{Ended, Project};

/// Begins each line that a node prints for its test.
pub(crate) const SAYS: &str = "says: ";
/// Nothing takes so long, also on a machine that does ten other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A home folder and a port; whatever was started in it is gone when dropped.
pub(crate) struct Pair {
    pub(crate) project: Project,
    pub(crate) port: u16,
}

impl Pair {
    /// Nothing runs yet; `flow.yml` in the working folder is `yaml`.
    pub(crate) fn new(yaml: &str) -> Self {
        let project = Project::new(yaml);
        for folder in ["home", "run"] {
            fs::create_dir(project.path(folder)).expect("a folder");
        }
        // Nobody has it now; that somebody takes it in the next moment shows as an error of `up`.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        Self { project, port: free.expect("a port").port() }
    }

    /// Both run.
    pub(crate) fn up(yaml: &str) -> Self {
        let pair = Self::new(yaml);
        pair.good(&["up"]);
        pair
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("HOME", self.project.path("home")).env("XDG_RUNTIME_DIR", self.project.path("run"));
        command.env("DORA_COORDINATOR_PORT", self.port.to_string()).stdin(Stdio::null());
        command
    }

    /// Runs `dora <args>` to its end.
    pub(crate) fn dora(&self, args: &[&str]) -> Ended {
        Ended::from(self.command(args).output().expect("dora starts"))
    }

    /// As [`Pair::dora`], where it must succeed; what is on stdout.
    pub(crate) fn good(&self, args: &[&str]) -> String {
        let ended = self.dora(args);
        assert_eq!(ended.code, Some(0), "dora {}: {}\n{}", args.join(" "), ended.err, ended.out);
        ended.out
    }

    /// One JSON document on stdout.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.good(args)).expect("one JSON document")
    }

    /// One JSON object per line.
    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        self.good(args).lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dora starts")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.project.path(name), text).expect("a file");
    }

    /// Waits until a node of the dataflow has printed this.
    pub(crate) fn wait_for_line(&self, dataflow: &str, text: &str) {
        wait(&format!("`{text}` in the logs"), || self.good(&["logs", dataflow]).contains(text));
    }

    /// Starts `flow.yml` under this name; returns when all its nodes are ready.
    pub(crate) fn start(&self, name: &str) {
        self.good(&["start", "flow.yml", "--detach", "--name", name]);
    }

    /// The rows of `dora list` that stay the same while nothing happens: UUID, name, status, number of nodes.
    pub(crate) fn list(&self) -> Vec<String> {
        let row = |row: &Value| format!("{} {} {} {}", row["uuid"], row["name"], row["status"], row["nodes"]);
        self.lines(&["list", "--format", "json"]).iter().map(row).collect()
    }

    /// A file in `~/.dora` of this pair: `daemon`, `lock`.
    pub(crate) fn file(&self, stem: &str, extension: &str) -> PathBuf {
        self.project.path("home").join(".dora").join(format!("{stem}-{}.{extension}", self.port))
    }

    /// What the daemon has said.
    pub(crate) fn daemon_log(&self) -> String {
        fs::read_to_string(self.file("daemon", "log")).unwrap_or_default()
    }

    /// The running daemon.
    pub(crate) fn daemon(&self) -> Pid {
        let pid = fs::read_to_string(self.file("daemon", "lock")).expect("the lock of the daemon");
        Pid::from_raw(pid.parse().expect("a process id")).expect("not zero")
    }

    /// The running coordinator: the process that was started with our port.
    pub(crate) fn coordinator(&self) -> Pid {
        let port = self.port.to_string();
        let is_ours = |pid: &Pid| {
            let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words.nth(1) == Some(b"coordinator") && words.any(|word| word == port.as_bytes())
        };
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = all.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        pids.into_iter().find(is_ours).expect("a coordinator")
    }

    /// Every line that nodes of a dataflow have said for their test.
    pub(crate) fn said(&self, dataflow: &str) -> Vec<String> {
        let logs = self.good(&["logs", dataflow, "--all-nodes"]);
        logs.lines().filter_map(|line| Some(line.split_once(SAYS)?.1.to_owned())).collect()
    }

    /// The processes of all nodes that run, as `dora node list` knows them.
    pub(crate) fn pids_of_running(&self) -> Vec<Pid> {
        let nodes = self.lines(&["node", "list", "-f", "json"]);
        let pid = |node: &Value| match &node["pid"] {
            Value::String(pid) => Pid::from_raw(pid.parse().ok()?),
            pid => Pid::from_raw(i32::try_from(pid.as_i64()?).ok()?),
        };
        nodes.iter().filter_map(pid).collect()
    }

    /// The process ids that nodes of a dataflow have said.
    pub(crate) fn pids(&self, dataflow: &str) -> Vec<Pid> {
        let pid = |line: &String| Pid::from_raw(line.strip_prefix("pid ")?.parse().ok()?);
        self.said(dataflow).iter().filter_map(pid).collect()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let runs = TcpStream::connect(self.address()).is_ok();
        let down = self.dora(&["down", "--force"]);
        // There may be nothing left when the test has ended them itself.
        if runs && !thread::panicking() {
            assert_eq!(down.code, Some(0), "{down:?}");
        }
    }
}

/// Kills a process as nothing else can, and waits until it is gone.
pub(crate) fn kill(pid: Pid) {
    let process = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    kill_process(pid, Signal::KILL).expect("it runs");
    use rustix::event::{PollFd, PollFlags, poll};
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None).expect("it ends");
}

/// Is there such a process? One that waits to be buried is none.
pub(crate) fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    test_kill_process(pid).is_ok() && !matches!(state, Some("Z" | "X") | None)
}

/// Waits until `done`; longer than [`PATIENCE`] is an error.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}
