//! Everybody is killed with SIGKILL in turn, two hundred times in all: nothing is left, and what survives goes on.

use std::{
    collections::BTreeSet,
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::{
    counting,
    pair::{PATIENCE, Pair, kill, lives, wait},
};

/// With eight victims each.
const ROUNDS: usize = 25;

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
        let mut run = in_background(pair, &["run", "flow.yml", "--stop-after", "500ms"]);
        let nodes = known.next();
        kill(nodes[victim]);
        assert_eq!(run.wait().expect("it ends").code(), Some(1), "a node was killed");
        gone(&nodes);
    }
}
