//! Everybody is killed with SIGKILL in turn, two hundred times in all: nothing is left, and what survives goes on. And so
//! are runtimes whose operator is between two nodes, forty times.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    counting, node,
    pair::{PATIENCE, Pair, kill, lives, wait},
};

/// With eight victims each.
const ROUNDS: usize = 25;
/// With four killed runtimes each.
const RUNTIME_ROUNDS: usize = 10;

/// The nodes of a pair's dataflows: each leaves a file with its process id in its name, `alive_<role>_<pid>`.
struct Nodes<'a> {
    pair: &'a Pair,
    known: BTreeSet<String>,
}

impl Nodes<'_> {
    /// Names of the files that were not known before.
    fn new_files(&self) -> Vec<String> {
        let all = fs::read_dir(self.pair.project.path("")).expect("the working folder").flatten();
        let names = all.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with("alive_") && !self.known.contains(name)).collect()
    }

    /// The new processes: source, checker.
    fn next(&mut self) -> [Pid; 2] {
        let mut found = None;
        let begin = Instant::now();
        while found.is_none() {
            if begin.elapsed() > PATIENCE {
                let said = fs::read_to_string(self.pair.project.path("said")).unwrap_or_default();
                panic!(
                    "two new nodes did not come, only {:?}; in {:?}\n{said}",
                    self.new_files(),
                    self.pair.list()
                );
            }
            sleep(Duration::from_millis(5));
            let new = self.new_files();
            let of = |role: &str| {
                let mark = format!("alive_{role}_");
                new.iter().find_map(|name| Pid::from_raw(name.strip_prefix(&mark)?.parse().ok()?))
            };
            found = of("source").zip(of("checker"));
        }
        self.known.extend(self.new_files());
        let (source, checker) = found.expect("just found");
        [source, checker]
    }

    /// Those that came without being asked for; forgets all of them.
    fn rest(&mut self) -> Vec<Pid> {
        let new = self.new_files();
        let pids =
            new.iter().filter_map(|name| Pid::from_raw(name.rsplit_once('_')?.1.parse().ok()?)).collect();
        for name in self.known.iter().chain(&new) {
            fs::remove_file(self.pair.project.path(name)).expect("it is there");
        }
        self.known.clear();
        pids
    }
}

/// What it says is in `said` in the working folder.
fn in_background(pair: &Pair, args: &[&str]) -> Child {
    let said = fs::File::create(pair.project.path("said")).expect("a file");
    let also = said.try_clone().expect("a descriptor");
    pair.command(args).stdout(said).stderr(also).spawn().expect("dora starts")
}

fn kill_child(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

fn gone(nodes: &[Pid]) {
    wait("the end of the nodes", || nodes.iter().all(|pid| !lives(*pid)));
}

#[test]
fn two_hundred_kills_leave_nothing_behind_and_the_survivors_stay_usable() {
    let pair = Pair::new(&counting());
    let mut nodes = Nodes { pair: &pair, known: BTreeSet::new() };
    for round in 0..ROUNDS {
        pair.good(&["up"]);
        under_a_pair(&pair, &mut nodes, round);
        alone(&pair, &mut nodes);
        let left: Vec<_> = fs::read_dir(pair.project.path("run/dora")).expect("a folder").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Five victims, with a coordinator and a daemon.
fn under_a_pair(pair: &Pair, known: &mut Nodes<'_>, round: usize) {
    let name = format!("attached {round}");
    let attached = in_background(pair, &["start", "flow.yml", "--attach", "--name", &name]);
    let nodes = known.next();
    kill_child(attached);
    assert!(nodes.iter().all(|pid| lives(*pid)), "a dataflow does not end with its terminal");

    kill(pair.coordinator());
    pair.good(&["up"]);
    assert!(nodes.iter().all(|pid| lives(*pid)), "nor with the coordinator");
    wait("the dataflow", || pair.dora(&["stop", &name]).code == Some(0));
    gone(&nodes);

    for victim in 0..2 {
        let name = format!("victim {victim} of {round}");
        pair.start(&name);
        let nodes = known.next();
        kill(nodes[victim]);
        // A source without a reader counts on, so it is stopped; a reader without a source ends.
        if victim == 1 {
            pair.dora(&["stop", &name]);
        }
        gone(&nodes);
        wait("its failure", || pair.list().iter().any(|row| row.contains(&name) && row.contains("Failed")));
    }

    pair.start(&format!("daemon {round}"));
    let nodes = known.next();
    kill(pair.daemon());
    gone(&nodes);
    // The next daemon may start it again.
    pair.good(&["up"]);
    pair.good(&["down", "--force"]);
    gone(&known.rest());
}

/// Three victims of `dora run`.
fn alone(pair: &Pair, known: &mut Nodes<'_>) {
    let run = in_background(pair, &["run", "flow.yml"]);
    let nodes = known.next();
    kill_child(run);
    gone(&nodes);
    for victim in 0..2 {
        let mut run = in_background(pair, &["run", "flow.yml"]);
        let nodes = known.next();
        kill(nodes[victim]);
        // A source without a reader counts on.
        if victim == 1 {
            kill_process(Pid::from_child(&run), Signal::INT).expect("it runs");
        }
        assert_eq!(run.wait().expect("it ends").code(), Some(1), "a node was killed");
        gone(&nodes);
    }
}

/// As [`counting`], with an operator of the runtime `rt` between the two nodes, which passes on what comes.
fn through_an_operator() -> String {
    let profile = Path::new(env!("CARGO_BIN_EXE_dora")).parent().expect("target/<profile>");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "-p", "operator-for-tests", "--target-dir"]).arg(profile.parent().expect("target"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(built.success(), "the operator was not built");
    let operator = format!(
        "  - id: rt\n    restart_policy: on-failure\n    max_restarts: 2\n    operators:\n      \
         - {{ id: echo, shared-library: {}, inputs: {{ echo: source/n }}, outputs: [out] }}\n",
        profile.join("operator_for_tests").display()
    );
    let source = "    inputs: { tick: dora/timer/millis/2 }\n    outputs: [n]\n";
    let checker = "    inputs: { n: rt/echo/out }\n";
    format!("nodes:\n{}{operator}{}", node("source", "source", source), node("checker", "checker", checker))
}

/// The runtime that this daemon, or `dora run`, has started; another one than `before`.
fn runtime_of(daemon: Pid, before: Option<Pid>) -> Pid {
    let parent = daemon.as_raw_nonzero().to_string();
    let is_it = |pid: &Pid| {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let line = fs::read(format!("{folder}/cmdline")).unwrap_or_default();
        let stat = fs::read_to_string(format!("{folder}/stat")).unwrap_or_default();
        // After the name: state, parent.
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1));
        line.split(|byte| *byte == 0).nth(1) == Some(b"runtime") && of == Some(&parent)
    };
    let mut found = None;
    wait("a runtime", || {
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let mut pids = all.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        found = pids.find(|pid| Some(*pid) != before && is_it(pid) && lives(*pid));
        found.is_some()
    });
    found.expect("just found")
}

/// Waits until the reader, whose words `said` gives, got numbers from the operator that runs now: more than the one before can
/// have left in the queue. What was in a process that was killed is missing, so there are gaps.
fn numbers_come(said: impl Fn() -> String) {
    let reached = || {
        let said = said();
        said.lines()
            .filter_map(|line| line.split_once("reached ")?.1.trim().parse().ok())
            .max()
            .unwrap_or(0_u64)
    };
    let before = reached();
    wait("numbers from the operator", || reached() > before + 100);
}

#[test]
fn operator_runtimes_that_are_killed_come_back_until_given_up_and_leave_nothing_behind() {
    let pair = Pair::new(&through_an_operator());
    let mut nodes = Nodes { pair: &pair, known: BTreeSet::new() };
    for round in 0..RUNTIME_ROUNDS {
        pair.good(&["up"]);
        runtime_under_a_pair(&pair, &mut nodes, &format!("round {round}"));
        pair.good(&["down"]);
        runtime_alone(&pair, &mut nodes);
        let left: Vec<_> = fs::read_dir(pair.project.path("run/dora")).expect("a folder").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Three runtimes of one node: two come back, the third was the last.
fn runtime_under_a_pair(pair: &Pair, known: &mut Nodes<'_>, name: &str) {
    pair.start(name);
    let [source, checker] = known.next();
    let mut runtime = None;
    for _ in 0..2 {
        let victim = runtime_of(pair.daemon(), runtime);
        numbers_come(|| pair.said(name).join("\n"));
        kill(victim);
        runtime = Some(victim);
    }
    let last = runtime_of(pair.daemon(), runtime);
    numbers_come(|| pair.said(name).join("\n"));
    assert!(lives(source) && lives(checker), "nobody else was started again");
    kill(last);
    // Its input is closed now. The source counts on without a reader.
    gone(&[checker]);
    assert!(lives(source), "the source does not end with its reader");
    let stopped = pair.dora(&["stop", name]);
    gone(&[source]);
    for part in ["rt: ended by signal SIGKILL", "not started again after 2 restarts (max_restarts)"] {
        assert!(stopped.err.contains(part), "`{part}` is not in {stopped:?}");
    }
}

/// A runtime of `dora run`, with the policy.
fn runtime_alone(pair: &Pair, known: &mut Nodes<'_>) {
    let mut run = in_background(pair, &["run", "flow.yml"]);
    let nodes = known.next();
    let daemon = Pid::from_child(&run);
    let victim = runtime_of(daemon, None);
    kill(victim);
    let next = runtime_of(daemon, Some(victim));
    numbers_come(|| fs::read_to_string(pair.project.path("said")).expect("it says something"));
    assert!(nodes.iter().all(|pid| lives(*pid)), "nobody else ends with the runtime");
    kill_process(daemon, Signal::INT).expect("it runs");
    let ended = run.wait().expect("it ends").code();
    assert_eq!(ended, Some(0), "the runtime came back and was stopped in good order");
    gone(&nodes);
    gone(&[next]);
}
