//! `dora up` and `dora down`, and several pairs side by side.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    counting,
    pair::{Pair, lives, wait},
};

#[test]
fn a_dataflow_lives_from_up_to_down_and_nothing_is_left_of_it() {
    let pair = Pair::new(&counting());
    let up = pair.good(&["up"]);
    assert!(up.contains("started the coordinator at 127.0.0.1") && up.contains("started the daemon"), "{up}");
    let again = pair.good(&["up"]);
    assert!(again.contains("runs already") && again.contains("connected already"), "{again}");
    let (coordinator, daemon) = (pair.coordinator(), pair.daemon());
    pair.start("first");
    pair.start("second");
    let list = pair.list();
    assert!(list.len() == 2 && list.iter().all(|row| row.contains("Running")), "{list:?}");
    wait("the nodes' ids", || pair.pids("first").len() == 2 && pair.pids("second").len() == 2);
    let nodes = [pair.pids("first"), pair.pids("second")].concat();
    pair.good(&["stop", "first"]);
    assert_eq!(nodes.iter().filter(|pid| lives(**pid)).count(), 2, "only the second one's are left");
    let down = pair.good(&["down"]);
    assert!(down.contains("stopped dataflow `second`") && !down.contains("`first`"), "{down}");
    assert!(down.contains("stopped the daemon and the coordinator"), "{down}");
    for pid in nodes.iter().chain([&coordinator, &daemon]) {
        assert!(!lives(*pid), "process {pid:?} is left");
    }
    let gone = pair.dora(&["down"]);
    assert_eq!(gone.code, Some(1));
    let address = pair.address().to_string();
    assert!(gone.err.contains(&address) && gone.err.contains("dora up"), "{gone:?}");
}

#[test]
fn destroy_is_another_name_for_down_and_force_kills() {
    let pair = Pair::up(&counting());
    pair.start("it");
    wait("the nodes' ids", || pair.pids("it").len() == 2);
    let nodes = pair.pids("it");
    let down = pair.good(&["destroy", "--force"]);
    assert!(down.contains("stopped dataflow `it`"), "{down}");
    assert!(nodes.iter().all(|pid| !lives(*pid)));
}

/// Descriptors, threads, and resident memory in kB.
fn weight(pid: Pid) -> (usize, u64, u64) {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let status = fs::read_to_string(format!("{folder}/status")).expect("it runs");
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of that name");
        line.trim_end_matches(" kB").trim().parse().expect("a number")
    };
    (fs::read_dir(format!("{folder}/fd")).expect("it runs").count(), value("Threads:"), value("VmRSS:"))
}

#[test]
fn a_hundred_dataflows_one_after_the_other_leave_nothing_behind_in_daemon_and_coordinator() {
    let pair = Pair::up(&counting());
    let services = [pair.coordinator(), pair.daemon()];
    let mut before = None;
    for n in 0..100 {
        pair.start("it");
        pair.good(&["stop", "it", "--force"]);
        if n == 20 {
            before = Some(services.map(weight));
        }
    }
    let before = before.expect("it was looked at");
    for (before, service) in before.into_iter().zip(services) {
        // A thread or a connection may be just on its way out.
        let mut now = weight(service);
        wait("the end of the last threads", || {
            now = weight(service);
            now.0 <= before.0 + 2 && now.1 <= before.1 + 2
        });
        // What is remembered of eighty dataflows, and no more than that.
        assert!(now.2 < before.2 + 16 * 1024, "kB: {} before, {} now", before.2, now.2);
    }
}

#[test]
fn daemon_and_coordinator_in_the_foreground_end_in_good_order_by_a_signal() {
    let pair = Pair::new(&counting());
    let start = |what: &str| {
        let mut command = pair.command(&[what]);
        command.env("DORA_DAEMON_LOCAL_LISTEN_PORT", pair.port.to_string());
        if what == "coordinator" {
            command.args(["--store", "memory"]);
        }
        command.stderr(Stdio::null()).spawn().expect("dora starts")
    };
    let mut coordinator = start("coordinator");
    let mut daemon = start("daemon");
    wait("the pair", || pair.dora(&["status"]).code == Some(0));
    pair.start("it");
    wait("the nodes' ids", || pair.pids("it").len() == 2);
    let nodes = pair.pids("it");
    let end = |child: &mut Child| {
        kill_process(Pid::from_child(child), Signal::TERM).expect("it runs");
        child.wait().expect("it ends").code()
    };
    assert_eq!(end(&mut daemon), Some(0));
    assert!(nodes.iter().all(|pid| !lives(*pid)), "its nodes were stopped before");
    wait("the end in the list", || pair.list().iter().all(|row| row.contains("Finished")));
    assert_eq!(end(&mut coordinator), Some(0));
}

#[test]
fn pairs_on_two_ports_know_nothing_of_each_other() {
    let (one, other) = (Pair::up(&counting()), Pair::up(&counting()));
    one.start("of one");
    other.start("of the other");
    assert!(one.list().len() == 1 && one.list()[0].contains("of one"), "{:?}", one.list());
    wait("the nodes' ids", || other.pids("of the other").len() == 2);
    let nodes = other.pids("of the other");
    one.good(&["down"]);
    assert!(other.list()[0].contains("Running") && nodes.iter().all(|pid| lives(*pid)));
}

#[test]
fn two_pairs_share_a_home_when_their_ports_differ() {
    let pair = Pair::up(&counting());
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let second = |args: &[&str]| {
        let output = pair.command(args).env("DORA_COORDINATOR_PORT", free.to_string()).output();
        let output = output.expect("dora starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(second(&["up"]).contains("started the daemon"));
    second(&["start", "flow.yml", "--detach", "--name", "it"]);
    assert!(pair.list().is_empty());
    assert!(second(&["down"]).contains("stopped dataflow `it`"));
    assert!(pair.list().is_empty());
}

#[test]
fn up_shows_why_the_coordinator_did_not_come_up() {
    let pair = Pair::new("");
    fs::create_dir(pair.project.path("home/.dora")).expect("a folder");
    fs::write(pair.file("coordinator", "redb"), "this is no store").expect("a file");
    let up = pair.dora(&["up"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains("the coordinator ended at once") && up.err.contains(".redb"), "{up:?}");
    assert!(!up.err.contains("\n[ERROR]\n"), "one heading is enough: {up:?}");
    let again = pair.good(&["up", "--recreate-store"]);
    assert!(again.contains("started the daemon"), "{again}");
    let aside = fs::read(format!("{}.backup", pair.file("coordinator", "redb").display()));
    assert_eq!(aside.expect("the old store"), b"this is no store");
}

#[test]
fn up_tells_when_something_else_has_the_port() {
    let pair = Pair::new("");
    let _taken = TcpListener::bind(pair.address()).expect("the port");
    let up = pair.dora(&["up"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains(&pair.address().to_string()), "{up:?}");
}

#[test]
fn a_coordinator_elsewhere_is_not_started_from_here() {
    let pair = Pair::new("");
    let up = pair.dora(&["up", "--coordinator-addr", "192.0.2.1"]);
    assert_eq!(up.code, Some(1));
    assert!(up.err.contains("--interface 192.0.2.1") && up.err.contains("dora daemon"), "{up:?}");
}

#[test]
fn home_that_cannot_be_written_to_is_named() {
    let pair = Pair::new("");
    let file = pair.project.path("flow.yml");
    let up = pair.command(&["up"]).env("HOME", &file).output().expect("dora starts");
    let text = String::from_utf8_lossy(&up.stderr);
    assert!(
        !up.status.success() && text.contains(&file.display().to_string()) && text.contains("HOME"),
        "{text}"
    );
}
