//! The controller: a dataflow of two nodes that are this program, run by the reference's `dora`.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bench_support::{Job, Metrics, Wait, Work, hist::ENV_SAMPLES, place::Class};
use eyre::{WrapErr, bail, eyre};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

/// Environment variable that names the `dora` to compare with.
const ENV_DORA: &str = "DORA_1_1_0";
/// Environment variable that makes this program a node: its role, and what it is told.
pub const ENV_WORDS: &str = "BENCH_NODE";
/// Environment variable that names the file for the metrics of the node that measures.
pub const ENV_METRICS: &str = "BENCH_METRICS";
/// What a run may take over the time that its messages need.
const PATIENCE: Duration = Duration::from_secs(60);
/// Shared memory of a node, bytes: its default, and as many messages as it shall hold: with less, large ones are copied.
const POOL: (u64, u64) = (8 << 20, 16);

/// Where the nodes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Pinned to a core each, under the class that was asked for.
    AsOurs,
    /// Where the kernel puts them.
    Nowhere,
}

/// Does one run.
///
/// # Errors
/// A job that it cannot do, a `dora` that is not 1.1.0, a run that failed or took too long.
pub fn run(job: &Job, placed: Placed) -> eyre::Result<Metrics> {
    if job.wait == Wait::Spin {
        bail!("readers of dora 1.1.0 cannot spin: ask for wait=park");
    }
    let dora = find()?;
    let folder = env::temp_dir().join(format!("versus-dora-{}", std::process::id()));
    fs::create_dir_all(&folder).wrap_err_with(|| format!("failed to create {}", folder.display()))?;
    let result = run_in(&folder, &dora, job, placed);
    fs::remove_dir_all(&folder).wrap_err_with(|| format!("failed to remove {}", folder.display()))?;
    result
}

/// The `dora` to compare with, after it said that it is 1.1.0.
fn find() -> eyre::Result<PathBuf> {
    let hint = "install it with `python3 -m venv reference && reference/bin/pip install dora-rs-cli==1.1.0`, \
                then DORA_1_1_0=$PWD/reference/bin/dora";
    let path =
        env::var_os(ENV_DORA).map(PathBuf::from).ok_or_else(|| eyre!("{ENV_DORA} is not set: {hint}"))?;
    let output = Command::new(&path)
        .arg("--version")
        .output()
        .wrap_err_with(|| format!("{} does not start: {hint}", path.display()))?;
    let version = String::from_utf8_lossy(&output.stdout);
    if !version.split_whitespace().any(|word| word == "1.1.0") {
        bail!("{} says it is {:?}, not 1.1.0: {hint}", path.display(), version.trim());
    }
    // A dataflow is run from its own folder.
    Ok(fs::canonicalize(path)?)
}

fn run_in(folder: &Path, dora: &Path, job: &Job, placed: Placed) -> eyre::Result<Metrics> {
    let metrics = folder.join("metrics.json");
    let dataflow = folder.join("dataflow.yml");
    fs::write(&dataflow, dataflow_of(job, placed, &env::current_exe()?, &metrics).to_string())?;
    let mut child = Command::new(dora)
        .args(["run", "dataflow.yml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn_in_group()?;
    let says = [listen(child.stdout.take()), listen(child.stderr.take())];
    let needed = Duration::from_nanos(if job.work == Work::Paced { job.count * job.period_ns } else { 0 });
    let status = wait(&mut child, needed + PATIENCE)?;
    let said = says.map(|thread| thread.join().unwrap_or_default()).concat();
    match fs::read_to_string(&metrics) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(_) => {
            let lines: Vec<&str> = said.lines().collect();
            let end = lines[lines.len().saturating_sub(12)..].join("\n");
            bail!("dora 1.1.0 ended with {status} and measured nothing:\n{end}")
        }
    }
}

/// JSON, which is YAML.
fn dataflow_of(job: &Job, placed: Placed, program: &Path, metrics: &Path) -> serde_json::Value {
    let roles = match job.work {
        Work::RoundTrip => ["pong", "ping"],
        Work::Paced => ["paced-send", "paced-take"],
        Work::Stream => ["stream-send", "stream-take"],
    };
    let class = match (placed, job.class) {
        (Placed::Nowhere, _) => "unplaced",
        (Placed::AsOurs, Class::Fifo) => "fifo",
        (Placed::AsOurs, Class::Other) => "other",
    };
    let node = |core: usize| {
        let numbers = job.numbers().map(|n| n.to_string()).join(",");
        let mut env = json!({
            ENV_WORDS: format!("{} {core} {class} {numbers}", roles[core]),
            "DORA_NODE_SHM_POOL_SIZE": POOL.0.max(POOL.1 * job.size).to_string(),
        });
        if core == 1 {
            env[ENV_METRICS] = json!(metrics);
            if let Some(path) = env::var_os(ENV_SAMPLES) {
                // The node runs in another folder.
                env[ENV_SAMPLES] = json!(std::path::absolute(&path).unwrap_or_else(|_| path.into()));
            }
        }
        let (id, other) = if core == 0 { ("first", "second") } else { ("second", "first") };
        let mut input = json!({ "source": format!("{other}/out"), "queue_size": 100 });
        if job.work == Work::Stream {
            input["queue_policy"] = json!("backpressure");
        }
        let wired = job.work == Work::RoundTrip;
        let mut node = json!({ "id": id, "path": program, "env": env });
        if wired || core == 0 {
            node["outputs"] = json!(["out"]);
        }
        if wired || core == 1 {
            node["inputs"] = json!({ "in": input });
        }
        node
    };
    json!({ "nodes": [node(0), node(1)] })
}

trait SpawnInGroup {
    /// Starts a program in a process group of its own, so that all it starts can be ended.
    fn spawn_in_group(&mut self) -> eyre::Result<Child>;
}

impl SpawnInGroup for Command {
    fn spawn_in_group(&mut self) -> eyre::Result<Child> {
        use std::os::unix::process::CommandExt;
        self.process_group(0).spawn().wrap_err("failed to start `dora run`")
    }
}

fn listen(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was said until then is all there is to show.
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, longest: Duration) -> eyre::Result<std::process::ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > longest {
            // Gone already, perhaps.
            kill_process_group(Pid::from_child(child), Signal::KILL).ok();
            child.wait()?;
            bail!("dora 1.1.0 did not end within {} s", longest.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}
